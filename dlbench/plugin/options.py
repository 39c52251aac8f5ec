"""The plugin's options: declared here, read once into `Settings`, and never looked up deeper inside.

Every option is also an ini key of the same name, with underscores; the command line wins.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import pytest

DEFAULT_SEEDS = 5
MOST_SEEDS = 100_000
QUICK_SEEDS = 3
QUICK_STEPS = 200
"""Under `--dlbench-quick` no run makes more updates than this."""
QUICK_CASES = 3
"""Under `--dlbench-quick` a parametrized test keeps its first, middle and last case."""


def seed_range(text: str) -> range:
    """Return the seeds that `text` names: `16` for 0 to 15, `100-115` for those.

    Raises:
        argparse.ArgumentTypeError: neither form, no seed, or more than 100,000.
    """
    first, dash, last = text.strip().partition("-")
    if first.isdecimal() and (last.isdecimal() or not dash):
        seeds = range(int(first), int(last) + 1) if dash else range(int(first))
        if 1 <= len(seeds) <= MOST_SEEDS and seeds[-1] < 2**32:
            return seeds
    raise argparse.ArgumentTypeError(
        f"seeds must be a number from 1 to {MOST_SEEDS} or a range such as 100-115, got {text!r}"
    )


def add_options(parser: pytest.Parser) -> None:
    """Declare the options and ini keys."""
    group = parser.getgroup("dlbench", "training benchmarks (dlbench)")
    group.addoption(
        "--dlbench-seeds",
        dest="dlbench_seeds",
        metavar="N",
        type=seed_range,
        help=f"train every experiment from the seeds 0 to N-1 (default: {DEFAULT_SEEDS}), or from A "
        "to B when given as A-B; a case that names its own seeds keeps them",
    )
    group.addoption(
        "--dlbench-quick",
        dest="dlbench_quick",
        action="store_true",
        default=None,
        help=f"a first look: {QUICK_SEEDS} seeds, at most {QUICK_STEPS} updates a run, at most "
        f"{QUICK_CASES} cases a test; bounds are shown, not enforced",
    )
    group.addoption(
        "--dlbench-workload",
        dest="dlbench_workload",
        metavar="FILE.py:NAME",
        help="what the `workload` fixture returns: a Workload, or a function that makes one "
        "(default: scikit-learn's digits). Bounds of tests that use it are shown, not enforced",
    )
    group.addoption(
        "--dlbench-report",
        dest="dlbench_report",
        metavar="DIR",
        nargs="?",
        const="report",
        help="write the report to DIR/index.html and the run to DIR/run.json "
        "(without DIR: report; default: no report)",
    )
    parser.addini("dlbench_seeds", "as --dlbench-seeds", default="")
    parser.addini("dlbench_quick", "as --dlbench-quick (true or false)", type="bool", default=False)
    parser.addini("dlbench_workload", "as --dlbench-workload", default="")
    parser.addini("dlbench_report", "as --dlbench-report=DIR; empty for no report", default="")
    parser.addini(
        "dlbench_keras_backend",
        "set KERAS_BACKEND to this before anything imports keras, where it is not set; without it "
        "`torch` is set where PyTorch is the only backend installed",
        default="",
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line and the configuration file say, checked."""

    seeds: tuple[int, ...]
    quick: bool
    workload: str | None
    """`FILE.py:NAME`, or None for the workload that the suite brings."""
    report: Path | None
    """The folder, absolute, or None for no report."""
    overridden: tuple[str, ...]
    """The ini file's settings that the command line says otherwise."""

    @classmethod
    def from_config(cls, config: pytest.Config) -> Settings:
        """Return the settings of a pytest run.

        Raises:
            pytest.UsageError: a value that cannot be meant, before anything is collected.
        """
        overridden: list[str] = []

        def value(name: str) -> object:
            ini, option = config.getini(name), config.getoption(name)
            if option is None:
                return ini
            if ini and str(ini) != str(option):
                overridden.append(f"{name}={ini}")
            return option

        quick = bool(value("dlbench_quick"))
        seeds = value("dlbench_seeds") or (QUICK_SEEDS if quick else DEFAULT_SEEDS)
        report = str(value("dlbench_report") or "")
        return cls(
            seeds=tuple(seeds if isinstance(seeds, range) else _ini_seeds(str(seeds))),
            quick=quick,
            workload=str(value("dlbench_workload") or "") or None,
            report=_report_folder(config, report) if report else None,
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


def _ini_seeds(text: str) -> range:
    try:
        return seed_range(text)
    except argparse.ArgumentTypeError as error:
        raise pytest.UsageError(f"dlbench_seeds: {error}") from error


def _report_folder(config: pytest.Config, text: str) -> Path:
    folder = config.rootpath / text
    if folder.exists() and (not folder.is_dir() or any(folder.glob("*.py"))):
        raise pytest.UsageError(
            f"--dlbench-report: {text!r} is no folder for a report (it is a file, or holds Python "
            "code). Name the folder with an equals sign, --dlbench-report=DIR, or none at all and "
            "put the option behind the test paths"
        )
    return folder
