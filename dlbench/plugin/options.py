"""The plugin's options: declared here, read once into `Settings`, and never looked up deeper inside.

Every option is also an ini key of the same name, with underscores; the command line wins.
"""

from __future__ import annotations

import argparse
import math
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import pytest

from dlbench.engines import ENGINES, Engine
from dlbench.gate import Expect, Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

COMPILE = ("auto", "never")
Accept = Literal["yes", "drift"]
DEFAULT_SEEDS = 16
ACCEPTED_SEEDS = 32
"""What an accept trains: a later run looks at half of them first, at all where that decides."""
FALSE_ALARM = 0.01
"""The share of runs of the whole suite that may go red without cause."""
MOST_SEEDS = 100_000
QUICK_SEEDS = 3
QUICK_STEPS = 200
"""Under `--dlbench-quick` no run makes more updates than this."""


def seed_range(text: str) -> range:
    """Return the seeds that `text` names: `16` for 0 to 15, `100-115` for those.

    Raises:
        argparse.ArgumentTypeError: neither form, no seed, or more than 100,000.
    """
    numbers = re.fullmatch(r"([0-9]{1,10})(?:-([0-9]{1,10}))?", text.strip())
    if numbers:
        first, last = numbers.groups()
        seeds = range(int(first), int(last) + 1) if last else range(int(first))
        if 1 <= len(seeds) <= MOST_SEEDS and seeds[-1] < 2**32:
            return seeds
    raise argparse.ArgumentTypeError(
        f"seeds must be a number from 1 to {MOST_SEEDS} or a range such as 100-115, got {text!r}"
    )


def device_name(text: str) -> str:
    """Return the device that `text` names.

    Raises:
        argparse.ArgumentTypeError: something else than auto, cpu, cuda or cuda:N.
    """
    if re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?", text):
        return text
    raise argparse.ArgumentTypeError(f"the device must be auto, cpu, cuda or cuda:N, got {text!r}")


def accepting(text: str) -> str:
    """Return "yes" or "drift".

    Raises:
        argparse.ArgumentTypeError: something else, such as the path that follows the option.
    """
    if text in get_args(Accept):
        return text
    raise argparse.ArgumentTypeError(
        f"must stand alone or be =drift, got {text!r}; put it behind the test paths"
    )


def one_of(choices: Sequence[str]) -> Callable[[str], str]:
    """Return a reader of an ini value that must be one of the choices."""

    def read(text: str) -> str:
        if text in choices:
            return text
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(choices)}, got {text!r}")

    return read


def add_options(parser: pytest.Parser) -> None:
    """Declare the options, and an ini key for each."""
    group = parser.getgroup("dlbench", "training benchmarks (dlbench)")
    for name, text, settings in (*_SEEDS_AND_ENGINE, *_WHAT_AND_WHERE, *_GATE):
        group.addoption(f"--dlbench-{name}", dest=f"dlbench_{name}", help=text, **settings)
        ini = f"dlbench_{name}"
        if name == "accept":
            continue  # a baseline never changes by a setting that nobody sees
        if settings.get("action") == "store_true":
            parser.addini(ini, f"as --dlbench-{name} (true or false)", type="bool", default=False)
        else:
            parser.addini(ini, f"as --dlbench-{name}", default="")
    parser.addini(
        "dlbench_false_alarm",
        f"the share of runs of the whole suite that may go red without cause (default: {FALSE_ALARM:g})",
        default="",
    )
    parser.addini(
        "dlbench_keras_backend",
        "set KERAS_BACKEND to this before anything imports keras, where it is not set; without it "
        "`torch` is set where PyTorch is the only backend installed",
        default="",
    )


_SEEDS_AND_ENGINE: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (
        "seeds",
        (
            f"train every experiment from the seeds 0 to N-1 (default: {DEFAULT_SEEDS}, and "
            f"{ACCEPTED_SEEDS} with --dlbench-accept), or from A to B "
            "when given as A-B; a case that names its own seeds keeps them (under -quick, so many of them)"
        ),
        {"metavar": "N", "type": seed_range},
    ),
    (
        "quick",
        (
            f"a first look: {QUICK_SEEDS} seeds, at most {QUICK_STEPS} updates a run, the first and "
            "last case of a test, none that is marked convergence(quick=False); bounds are shown, not "
            "enforced"
        ),
        {"action": "store_true", "default": None},
    ),
    (
        "engine",
        (
            "auto (default): train all seeds in one program, where its first updates agree with Keras' "
            "fit, else by fit; vectorized: the same, but what cannot be is an error; fit: one model.fit "
            "a seed"
        ),
        {"choices": ENGINES},
    ),
    (
        "compile",
        "auto (default): torch.compile the training step where that repays its cost; never",
        {"choices": COMPILE},
    ),
)

_WHAT_AND_WHERE: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (
        "device",
        "where to train (default: auto, the device that Keras chooses)",
        {"metavar": "auto|cpu|cuda[:N]", "type": device_name},
    ),
    (
        "workload",
        (
            "what the `workload` fixture returns: a Workload, or a function that makes one (default: "
            "scikit-learn's digits). Bounds of tests that use it are shown, not enforced"
        ),
        {"metavar": "FILE.py:NAME"},
    ),
    (
        "report",
        (
            "write the report to DIR/index.html and the run to DIR/run.json (without DIR: report; "
            "default: no report)"
        ),
        {"metavar": "DIR", "nargs": "?", "const": "report"},
    ),
)


_GATE: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (
        "accept",
        (
            "make this run the baseline, and print old -> new for the commit message; the gate reports "
            "and fails nothing. drift: take cases too that became worse by more than three margins "
            "since they were first accepted. Put it behind the test paths, or write =yes"
        ),
        {"nargs": "?", "const": "yes", "type": accepting, "metavar": "drift"},
    ),
    (
        "baseline",
        "where the baseline's files lie (default: baselines/ beside each test file)",
        {"metavar": "DIR"},
    ),
    (
        "gate",
        (
            "what fails against the baseline. auto (default): worse, incomparable, missing, and where "
            "CI=true also new and cannot tell; lenient: worse alone; strict: better too; off: nothing "
            "is compared"
        ),
        {"choices": get_args(Mode)},
    ),
    (
        "expect",
        "for refactorings and upgrades: fail on anything more than that, better included",
        {"choices": get_args(Expect)},
    ),
    (
        "summary",
        (
            "write the verdicts as Markdown to FILE, for a comment on a pull request (GitHub's "
            "GITHUB_STEP_SUMMARY gets them by itself)"
        ),
        {"metavar": "FILE"},
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line and the configuration file say, checked."""

    seeds: tuple[int, ...]
    quick: bool
    engine: Engine
    compiling: Literal["auto", "never"]
    device: str | None
    """None leaves the choice to Keras."""
    workload: str | None
    """`FILE.py:NAME`, or None for the workload that the suite brings."""
    report: Path | None
    """The folder, absolute, or None for no report."""
    accept: Accept | None
    """None does not accept."""
    baseline: Path | None
    """The folder, absolute, or None for `baselines/` beside each module."""
    gate: Mode
    expect: Expect | None
    summary: Path | None
    """A Markdown file to write the verdicts to, absolute."""
    false_alarm: float
    overridden: tuple[str, ...]
    """The ini file's settings that the command line says otherwise."""

    @classmethod
    def from_config(cls, config: pytest.Config) -> Settings:
        """Return the settings of a pytest run.

        Raises:
            pytest.UsageError: a value that cannot be meant, before anything is collected.
        """
        overridden: list[str] = []

        def value(name: str, read: Callable[[Any], Any]) -> Any:
            ini, option = config.getini(name), config.getoption(name)
            try:
                written = read(ini) if ini else None
            except argparse.ArgumentTypeError as error:
                raise pytest.UsageError(f"{name}: {error}") from error
            if option is None:
                return written
            if written is not None and written != option:
                overridden.append(f"{name}={ini}")
            return option

        quick = bool(value("dlbench_quick", bool))
        device = value("dlbench_device", device_name)
        accept = config.getoption("dlbench_accept")
        usual = QUICK_SEEDS if quick else ACCEPTED_SEEDS if accept else DEFAULT_SEEDS
        seeds = value("dlbench_seeds", seed_range) or range(usual)
        baseline = _path(config, "baseline", value("dlbench_baseline", str))
        gate: Mode = value("dlbench_gate", one_of(get_args(Mode))) or "auto"
        compares = gate != "off" and not quick
        _check_gate(quick=quick, accept=accept, baseline=baseline if compares else None)
        return cls(
            seeds=tuple(seeds),
            quick=quick,
            engine=value("dlbench_engine", one_of(ENGINES)) or "auto",
            compiling=value("dlbench_compile", one_of(COMPILE)) or "auto",
            device=None if device in {None, "auto"} else device,
            workload=value("dlbench_workload", str) or None,
            report=_report_folder(config, value("dlbench_report", str)),
            accept=accept,
            baseline=baseline,
            gate=gate,
            expect=value("dlbench_expect", one_of(get_args(Expect))),
            summary=_path(config, "summary", value("dlbench_summary", str)),
            false_alarm=_share(config.getini("dlbench_false_alarm")),
            overridden=tuple(overridden),
        )

    def enforces_bounds(self, fixtures: list[str]) -> bool:
        """Return whether a test's failing assertions fail it.

        Args:
            fixtures: the names of the fixtures that the test uses.
        """
        if "convergence" not in fixtures:
            return True
        return not (self.quick or (self.workload is not None and "workload" in fixtures))


def _report_folder(config: pytest.Config, text: str | None) -> Path | None:
    """Return the folder, where pytest's own options put a path: seen from where the user stands."""
    if not text:
        return None
    folder = _path(config, "report", text)
    assert folder is not None  # noqa: S101 - there is a text
    is_code = folder.is_dir() and (folder.resolve() == config.rootpath or any(folder.glob("*.py")))
    if is_code or folder.is_file() or "::" in text:
        raise pytest.UsageError(
            f"--dlbench-report: {text!r} is no folder for a report (it is a file or a test, or holds "
            "code). Name the folder with an equals sign, --dlbench-report=DIR, or none at all and "
            "put the option behind the test paths"
        )
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        why = "may not be written to" if there.is_dir() else "is no folder"
        raise pytest.UsageError(f"--dlbench-report: {text!r} cannot be made: {there} {why}")
    return folder


def _path(config: pytest.Config, name: str, text: str | None) -> Path | None:
    """Return a path: from where the user stands, or from the root folder if the ini file has it."""
    if not text:
        return None
    asked = config.getoption(f"dlbench_{name}") is not None
    return (config.invocation_params.dir if asked else config.rootpath) / text


def _check_gate(*, quick: bool, accept: Accept | None, baseline: Path | None) -> None:
    if accept and quick:
        raise pytest.UsageError(
            "--dlbench-accept: a quick look is no baseline; leave out --dlbench-quick"
        )
    if baseline is not None and not accept and not baseline.is_dir():
        raise pytest.UsageError(
            f"--dlbench-baseline: there is no folder {baseline}. --dlbench-accept makes it, "
            "--dlbench-gate=off goes without"
        )


def _share(text: str) -> float:
    try:
        share = float(text) if text else FALSE_ALARM
    except ValueError:
        share = math.nan
    if not 0 < share < 0.5:  # noqa: PLR2004 - a coin tells as much
        raise pytest.UsageError(f"dlbench_false_alarm must lie between 0 and 0.5, got {text!r}")
    return share


def from_here(config: pytest.Config, path: Path) -> str:
    """Return a path as it is seen from where pytest was started."""
    here = config.invocation_params.dir
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
