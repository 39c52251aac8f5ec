"""Runs made by formula, so that no test of the report trains a model."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pytest

from dlbench.history.record import Record, metrics_by_seed
from dlbench.history.run import Run
from dlbench.parameters.table import ParameterRow, ParameterTable
from dlbench.report.analysis import studies
from dlbench.runs import Runs

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from dlbench.report.study import Study
    from tests.conftest import Folder

Maker: TypeAlias = Callable[..., Record]

START = 2.3
SAMPLES = 1000


def made_runs(
    *,
    rate: float = 0.01,
    seeds: int = 5,
    steps: int = 400,
    batch_size: int = 32,
    learning_rate: float = 0.1,
    target: float | None = 0.9,
    workload: str = "digits",
    diverged: int = 0,
    points: int = 21,
) -> Runs:
    """Return runs whose loss falls as `2.3 exp(-rate step)`, a little faster by seed.

    The validation accuracy rises to 1 at the same rate. The first `diverged` seeds grow without
    end and are NaN from half of the run on.
    """
    at = np.unique(np.round(steps * np.linspace(0, 1, points) ** 2))
    rates = rate * (1 + 0.05 * np.arange(seeds))[:, None]
    left = np.exp(-rates * at)
    loss, accuracy = START * left, 1 - 0.9 * left
    loss[:diverged] = START * np.exp(at / 10)
    loss[:diverged, at > steps / 2] = np.nan
    accuracy[:diverged] = np.where(np.isnan(loss[:diverged]), np.nan, 0.1)
    return Runs(
        experiment={
            "workload": workload,
            "data": {"digest": workload},
            "loss": {"function": "sparse_categorical_crossentropy"},
            "optimizer": {"class": "SGD", "learning_rate": learning_rate},
            "batch_size": batch_size,
            "updates_per_epoch": -(-SAMPLES // batch_size),
            "steps": steps,
            "target": None if target is None else {"metric": "val_accuracy", "value": target},
        },
        seeds=tuple(range(seeds)),
        points=at,
        curves={
            "loss": loss,
            "accuracy": accuracy,
            "val_loss": loss * 1.1,
            "val_accuracy": accuracy,
        },
        constant_loss=START,
    )


def made_record(
    test: str,
    params: dict[str, Any],
    *,
    module: str = "benchmarks/test_rates.py",
    **changes: Any,
) -> Record:
    """Return a record of `made_runs`, to which goes what is no field of a record."""
    known = {name: changes.pop(name) for name in Record.__annotations__ if name in changes}
    runs = made_runs(**changes)
    ident = "-".join(str(value) for value in params.values())
    samples = float(runs.experiment["batch_size"])  # type: ignore[arg-type]
    seconds = 1e-3 + 2e-5 * samples
    record: Record = {
        "kind": "convergence",
        "case": f"{module}::{test}[{ident}]" if ident else f"{module}::{test}",
        "name": None,
        "module": module,
        "test": test,
        "params": params,
        "outcome": "passed",
        "message": None,
        "bounds": "enforced",
        "runs": runs.to_builtins(),
        "metrics": metrics_by_seed(runs),
        "parameters": None,
        "timing": {
            "what": "train_on_batch",
            "rounds": 20,
            "seconds": seconds,
            "iqr": seconds / 10,
            "samples_per_second": samples / seconds,
            "epoch_seconds": None,
        },
        "environment": {"python": "3.11.7", "keras": "3.15.1", "device": "cpu"},
        "duration": 1.5,
    }
    return record | known  # type: ignore[return-value]


def made_table(name: str, widths: tuple[int, ...]) -> ParameterTable:
    """Return the parameter table of a stack of Dense layers."""
    rows = tuple(
        ParameterRow(
            name=f"dense_{place}",
            layer="Dense",
            output_shape=(None, out),
            weights=units * out,
            biases=out,
            buffers=0,
            formula=f"({units} + 1) x {out}",
            trainable=(units + 1) * out,
            shared=0,
            bytes=4 * (units + 1) * out,
            macs=units * out,
            activations=out,
        )
        for place, (units, out) in enumerate(pairwise(widths))
    )
    total = sum(row.parameters for row in rows)
    return ParameterTable(name, rows, total, total, 0, 4 * total, 0)


def made_count(name: str, widths: tuple[int, ...], **changes: Any) -> Record:
    """Return a record of kind "parameters"."""
    module = "benchmarks/test_parameters.py"
    table = made_table(name, widths).to_builtins()
    empty: dict[str, Any] = {"runs": None, "metrics": None, "timing": None}
    record = made_record("test_models", {"model": name}, module=module)
    return record | empty | {"kind": "parameters", "parameters": table} | changes  # type: ignore[return-value]


def png() -> str:
    """Return a small PNG file, base64."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def made_run(records: list[Record], **changes: Any) -> Run:
    """Return a run of these records, complete, with a session that counts them."""
    outcomes = [record["outcome"] for record in records]
    session = {
        "started": "2026-01-02T03:04:05+00:00",
        "duration": 123.4,
        "command": "pytest benchmarks",
        "seeds": 5,
        "quick": False,
        "counts": {outcome: outcomes.count(outcome) for outcome in dict.fromkeys(outcomes)},
        "complete": True,
        "commit": {"id": "0123456789abcdef", "branch": "main", "dirty": False},
    } | changes.pop("session", {})
    return Run(records=records, session=session, **changes)


@pytest.fixture
def trained() -> Maker:
    """A function that makes the record of a training."""
    return made_record


@pytest.fixture
def by_seed() -> Callable[[Record, str], NDArray[np.float64]]:
    """A function that returns a record's numbers of one name, a value a seed, NaN for None."""

    def of(record: Record, name: str) -> NDArray[np.float64]:
        values: Any = (record["metrics"] or {})[name]
        return np.array([np.nan if value is None else value for value in values], dtype=float)

    return of


@pytest.fixture
def counted() -> Maker:
    """A function that makes the record of a count."""
    return made_count


@pytest.fixture
def study_of() -> Callable[..., Study]:
    """A function that makes the one study of records of one test."""

    def one(records: list[Record]) -> Study:
        (study,) = studies(records)
        return study

    return one


@pytest.fixture
def run_of() -> Callable[..., Run]:
    """A function that makes a run of records."""
    return made_run


@pytest.fixture(scope="session")
def suite() -> Run:
    """A run with something of everything that a suite can leave."""
    rates = {10.0: 5, 1.0: 2, 0.1: 0, 0.01: 0}
    records = [
        made_record(
            "test_rate", {"learning_rate": rate}, learning_rate=rate, diverged=diverged,
            rate=min(rate, 1) / 10,
        )
        for rate, diverged in rates.items()
    ]  # fmt: skip
    records[1] |= {"outcome": "failed", "message": "assert 'mixed' == 'converged'"}
    records += [
        made_record(
            "test_batch", {"batch_size": size}, module="benchmarks/test_batches.py",
            batch_size=SAMPLES if size == "full" else size, steps=steps,
        )
        for size, steps in ((1, 1000), (32, 400), ("full", 20))
    ]  # fmt: skip
    records += [
        made_record(
            "test_grid", {"batch_size": size, "learning_rate": rate}, batch_size=size,
            module="benchmarks/test_batches.py", learning_rate=rate, rate=rate / 10,
        )
        for size in (4, 32)
        for rate in (0.03, 0.1, 0.3)
    ]  # fmt: skip
    records += [
        made_record(
            "test_depth", {"activation": activation, "depth": depth, "workload": workload},
            module="benchmarks/test_activations.py", workload=workload, rate=rate / depth,
        )
        for workload in ("moons", "spirals")
        for activation, rate in (("linear", 1e-4), ("relu", 0.02), ("tanh", 0.03))
        for depth in (1, 3)
    ]  # fmt: skip
    records += [
        made_count("LeNet", (400, 120, 84, 10)),
        made_count("Deep", (64, *([32] * 30), 10)),
        made_count("Small", (2, 2, 1)),
    ]
    modules = {
        record["module"]: {
            "theory": f"# {record['module'][16:-3].capitalize()}\n\nThe loss is $\\ell = \\ln 10$.",
            "discussion": "Small rates are **slow**.",
        }
        for record in records
    }
    figure = {
        "case": "benchmarks/test_activations.py::test_depth[relu-1-moons]",
        "module": "benchmarks/test_activations.py",
        "caption": "The boundary that relu draws",
        "png": png(),
    }
    return made_run(
        records, modules=modules, figures=[figure], introduction="# Does it train?\n\nQuestions."
    )


ESSAY = r'''
r"""
# Small networks

The loss of a guess among two is $\ell = \ln 2$:

$$\ell(\theta) = -\frac{1}{n} \sum_{i=1}^{n} \ln p_\theta(y_i \mid x_i) = \ln 2
\quad \text{where one class is as likely as any other}$$

| data | classes |
|------|---------|
| xor  | 2       |

    a line of code that is wider than a phone is, and so has to be scrolled to be read whole
"""
DISCUSSION = "Too small a rate is **slow**, too large a one diverges."
'''
"""A docstring with something of everything."""

IMPORTS = """
import matplotlib.pyplot as plt
import pytest

from dlbench import workloads
"""

SMALL = """
@pytest.mark.parametrize("width", [2, 8])
def test_width(convergence, width):
    model = workloads.xor(width=width)
    convergence(model, optimizer="adam", learning_rate=0.05, batch_size="full", steps=60, seeds=4)


@pytest.mark.parametrize("learning_rate", [0.001, 0.01, 0.1, 1.0, 2.0, 10.0, 100000.0])
def test_rate(convergence, learning_rate):
    model = workloads.moons(width=8)
    runs = convergence(model, optimizer="sgd", learning_rate=learning_rate, steps=60, seeds=3)
    assert runs.final("val_accuracy").median() > 0.6


def test_count(parameters):
    parameters(workloads.moons().model)
"""

HOSTILE = """
@pytest.mark.parametrize("trap", TRAPS)
def test_trap(convergence, trap):
    model = workloads.xor()
    convergence(model, optimizer="sgd", learning_rate=0.1, batch_size="full", steps=4, seeds=2)
    figure, _ = plt.subplots(figsize=(2, 1))
    convergence.figure(figure, trap)
    raise ValueError(trap)
"""

TRAPS = [
    "<script>window.harmed = 1</script>",
    "</style></title><script>window.harmed = 1</script>",
    "<img src='https://evil.example/x.png' onerror='window.harmed = 1'>",
    '" autofocus onfocus="window.harmed = 1" x="',
    "[a](javascript:window.harmed=1) $\\text{<script>window.harmed=1</script>}$",
    "\x1b]8;;javascript:window.harmed=1\x07a\x1b]8;;\x07\x1b[31m",
]
"""Texts that set a global of the page, ask another machine, or steer a terminal, if they get there."""


@pytest.fixture(scope="session")
def small(new_folder: Callable[[], Folder]) -> Path:
    """The report of a small suite that was trained, as it lies on the disk; one file is hostile."""
    folder = new_folder()
    folder.write(SMALL, name="test_small.py", head=ESSAY + IMPORTS)
    traps = "\n\n".join(["# Hostile", *TRAPS])
    head = f"__doc__ = DISCUSSION = {traps!r}\nTRAPS = {TRAPS!r}\n"
    folder.write(HOSTILE, name="test_hostile.py", head=head + IMPORTS)
    ran = folder.run_fresh("--dlbench-report=report", "--benchmark-max-time=0.01")
    assert (folder.path / "report" / "run.json").exists(), f"{ran.stdout}\n{ran.stderr}"
    return folder.path / "report"


@pytest.fixture(scope="session")
def pages(small: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages by name: of what was trained, and of runs at the edges of what there can be."""
    from dlbench.report import write_report
    from dlbench.report.analysis import analyses
    from dlbench.report.page import page
    from dlbench.report.summary import summarized

    rates = (0.1, 1.0, 10.0)
    failed = [
        made_record("test_rate", {"learning_rate": rate}, learning_rate=rate, diverged=5)
        | {"outcome": "failed", "message": "AssertionError: assert 'diverged' == 'converged'"}
        for rate in rates
    ]
    runs = {
        "empty": made_run([]),
        "one": made_run([made_record("test_a", {}, seeds=1)]),
        "failed": made_run(failed),
    }
    folder = tmp_path_factory.mktemp("pages")
    made = {name: write_report(run, folder / name) for name, run in runs.items()}
    many = [
        made_record("test_a", {"x": x, "y": y}, rate=0.001 * (x + y + 1), points=3, seeds=2)
        for x in range(25)
        for y in range(20)
    ]
    run = made_run(many)
    made["many"] = folder / "many.html"
    # Without pictures, whose number does not grow with that of the cases.
    html = page(summarized(run, analyses(run)), {"drawn": {}, "handed_in": {}})
    made["many"].write_text(html, encoding="utf-8")
    return made | {"small": small / "index.html"}
