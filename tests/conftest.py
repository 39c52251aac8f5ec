"""What the tests of the two doors share: a suite of someone's own that trains in a blink."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from dlbench.plugin.session import RunSession, session_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.gate.sides import Compared

TINY = '''
"""# A tiny analysis

Two classes that a line parts.
"""

import keras
import numpy as np
import pytest

DISCUSSION = "A line is enough."

x = np.random.default_rng(0).normal(size=(40, 2)).astype("float32")
y = (x[:, 0] > 0).astype("int64")
DATA = ((x[:30], y[:30]), (x[30:], y[30:]))


def build():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, activation="softmax")])


LEARNS = {
    "data": DATA,
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["accuracy"],
    "target": ("val_accuracy", 0.8),
    "learning_rate": 5.0,
    "batch_size": "full",
    "steps": 5,
    "seeds": 2,
}


def loop(seed):
    return {"loss": [1.0, 0.5 + seed / 100], "val_accuracy": [0.5, 0.9]}
'''
"""The head of a test file: a model, data, everything that a call needs, and a loop of one's own."""

NO_PAGE = """
import dlbench.report


def write_report(run, folder, against=None, on_progress=None):
    (folder / "index.html").write_text("page")
    return folder / "index.html"


dlbench.report.write_report = write_report
"""
"""A conftest.py for a process of its own, where the page itself is not what is tested."""

QUIET = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")
"""No cache folder, and without a plugin that takes a second to load."""

HEAVY = (
    *("torch", "keras", "numpy", "pandas", "matplotlib", "scipy", "seaborn", "sklearn"),
    *("rich", "jinja2", "orjson"),
)
"""Packages that a session without dlbench's fixtures, and its doors, leave unloaded."""

HOT = (
    "matplotlib.pyplot",
    "pandas",
    "rich.console",
    "rich.table",
    "sklearn.datasets",
    "dlbench.engines.fit",
    "dlbench.engines.loop",
    "dlbench.engines.timing",
    "dlbench.experiment",
    "dlbench.history.environment",
    "dlbench.history.record",
    "dlbench.history.run",
    "dlbench.parameters",
    "dlbench.report",
    "dlbench.runs",
    "dlbench.workloads.loading",
    "dlbench.workloads.real",
)


@dataclass(frozen=True)
class Ran:
    """What came of a pytest run inside this process."""

    result: pytest.RunResult
    session: RunSession

    @property
    def records(self) -> list[dict[str, Any]]:
        """What the plugin gathered."""
        return cast("list[dict[str, Any]]", self.session.records)

    @property
    def record(self) -> dict[str, Any]:
        """The only one."""
        (record,) = self.records
        return record

    @property
    def output(self) -> str:
        """Everything pytest wrote, errors too."""
        return f"{self.result.stdout}\n{self.result.stderr}"


class _Spy:
    session: RunSession

    @pytest.hookimpl(tryfirst=True)
    def pytest_unconfigure(self, config: pytest.Config) -> None:
        if session_key in config.stash:
            self.session = config.stash[session_key]


@dataclass(frozen=True)
class Folder:
    """A folder with test files in it, in which pytest runs in a process of its own."""

    path: Path

    def write(self, tests: str, *, name: str = "test_tiny.py", head: str = TINY) -> None:
        """Write a test file: the tiny analysis' head, and these tests."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{head.lstrip()}\n\n{textwrap.dedent(tests)}", encoding="utf-8")

    def write_conftest(self, text: str = NO_PAGE) -> None:
        """Write a conftest.py; by default one that replaces the report's page by a word."""
        self.write(text, name="conftest.py", head="")

    def run_fresh(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run pytest in a new process, which must load everything itself."""
        return subprocess.run(
            [sys.executable, "-m", "pytest", *QUIET, *arguments],
            cwd=self.path,
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def environment(self, **changes: str) -> dict[str, str]:
        """Return this process' variables without those that Keras and pytest read, and `changes`.

        Keras' home is an empty folder: no keras.json chooses a backend.
        """
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("KERAS_", "PYTEST_"))
        }
        own = {"KERAS_HOME": str(self.path.parent / "keras"), "OMP_NUM_THREADS": "1"}
        return kept | own | changes


@dataclass(frozen=True)
class Suite(Folder):
    """The same, with pytest run in this process, where PyTorch and Keras are loaded already."""

    pytester: pytest.Pytester

    def run(self, *arguments: str | Path) -> Ran:
        """Run pytest here."""
        spy = _Spy()
        result = self.pytester.runpytest_inprocess(
            *QUIET, *arguments, plugins=[spy], no_reraise_ctrlc=True
        )
        return Ran(result, spy.session)


@pytest.fixture(scope="session")
def loaded() -> None:
    """Load everything heavy once: pytester drops what a run inside this process imported."""
    for name in HOT:
        import_module(name)
    import torch

    torch.set_num_threads(1)  # on 40 samples more only wait for each other
    names: dict[str, object] = {}
    exec(TINY, names)  # noqa: S102 - the text above
    from dlbench.engines import train
    from dlbench.engines.timing import training_step
    from dlbench.experiment import Experiment, Workload

    learns: dict[str, object] = dict(names["LEARNS"])  # type: ignore[call-overload]
    carried = {key: learns.pop(key) for key in ("data", "loss", "metrics", "target")}
    workload = Workload(name="tiny", model=names["build"], **carried)  # type: ignore[arg-type]
    experiment = Experiment(workload, **learns)  # type: ignore[arg-type]
    train(experiment)
    training_step(experiment)()


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, loaded: None) -> Suite:
    """An empty folder for tests of someone's own, run inside this process."""
    del loaded
    for name in ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    return Suite(pytester.path, pytester)


@pytest.fixture(scope="session")
def new_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Folder]:
    """Make an empty folder for tests of someone's own, run in processes of their own."""

    def make() -> Folder:
        path = tmp_path_factory.mktemp("own") / "suite"
        path.mkdir()
        return Folder(path)

    return make


@pytest.fixture
def folder(new_folder: Callable[[], Folder]) -> Folder:
    """One such folder."""
    return new_folder()


@pytest.fixture
def stub_report(monkeypatch: pytest.MonkeyPatch, loaded: None) -> None:
    """Write a page of one word, where the page itself is not what is tested."""
    del loaded

    def write(
        run: object, folder: Path, against: object = None, on_progress: object = None
    ) -> Path:
        del run
        (folder / "index.html").write_text("page", encoding="utf-8")
        return folder / "index.html"

    monkeypatch.setattr("dlbench.report.write_report", write)


SAVED_AT = Path(".benchmarks", "Linux-CPython-3.11-64bit")


def made_numbers(case: str, seeds: int, shift: float, **changes: Any) -> dict[str, Any]:
    """Return a record with metrics by formula; curves of two points; nothing was trained."""
    import base64
    import struct

    losses = [round(0.5 + seed / 100 + shift, 6) for seed in range(seeds)]
    curve = struct.pack(f"<{2 * seeds}f", *(one for loss in losses for one in (2.0, loss)))
    shares = struct.pack(f"<{2 * seeds}f", *(one for seed in range(seeds) for one in (0.1, 0.9)))
    record: dict[str, Any] = {
        "kind": "convergence", "case": case, "name": None, "module": case.partition("::")[0],
        "test": case.partition("::")[2].partition("[")[0], "params": {}, "outcome": "passed",
        "message": None, "bounds": "enforced",
        "runs": {
            "experiment": {"id": "a1b2", "data": {"train": 10, "digest": "d"}, "target": None},
            "seeds": list(range(seeds)), "points": [0.0, 10.0],
            "curves": {
                "loss": base64.b64encode(curve).decode(),
                "val_accuracy": base64.b64encode(shares).decode(),
            },
            "constant_loss": None, "starts": [f"{seed:016x}" for seed in range(seeds)],
            "orders": [], "higher_is_better": {}, "engine": "vectorized", "engine_note": None,
        },
        "metrics": {
            "regime": ["converged"] * seeds,
            "mean_log_loss": losses,
            "final_val_accuracy": [0.9] * seeds,
            "steps_to_target": [100.0 + seed for seed in range(seeds - 1)] + [None],
        },
        "parameters": None,
        "timing": {
            "what": "train_on_batch", "rounds": 20, "seconds": 0.002, "iqr": 0.0001,
            "samples_per_second": None, "epoch_seconds": None,
        },
        "environment": {"python": "3.11.7", "keras": "3.15.1", "torch": "2.13.0", "device": "cpu"},
        "duration": 1.0,
    }  # fmt: skip
    return record | changes


def made_document(records: list[dict[str, Any]], **session: Any) -> dict[str, Any]:
    """Return the document that pytest-benchmark saves of records, not packed."""
    from dlbench.history.record import KEY

    by_case: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        by_case.setdefault(record["case"], []).append(record)
    whole: dict[str, Any] = {
        "started": "2026-01-01T00:00:00+00:00", "duration": 9.0, "command": "pytest", "seeds": 5,
        "quick": False, "counts": {"passed": len(by_case)}, "complete": True,
        "commit": {"id": "c0ffee" + "0" * 34, "branch": "main", "dirty": False},
    } | session  # fmt: skip
    commit = whole["commit"]
    stats = dict.fromkeys(
        ("min", "max", "mean", "stddev", "rounds", "median", "iqr", "q1", "q3", "ld15iqr",
         "hd15iqr", "ops", "total", "iterations"), 1.0,
    )  # fmt: skip
    return {
        "machine_info": {"node": "vm", "cpu": {"flags": ["avx", "sse"]}},
        "commit_info": {"id": commit["id"], "time": whole["started"], "author_time": None,
                        "dirty": commit["dirty"], "project": "p", "branch": commit["branch"]},
        "benchmarks": [
            {"group": None, "name": case.split("::")[1], "fullname": case, "params": None,
             "param": None, "extra_info": {KEY: {"schema": 1, "records": some}}, "options": {},
             "stats": stats | {"iqr_outliers": 0, "stddev_outliers": 0, "outliers": "0;0"}}
            for case, some in by_case.items()
        ],
        "datetime": whole["started"], "version": "5.3.1",
        KEY: {"schema": 1, "session": whole, "introduction": "", "modules": {}},
    }  # fmt: skip


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """A function that saves a run as pytest-benchmark does, packed, under `.benchmarks`."""

    def saved(
        number: int, name: str = "x", *, shift: float = 0.0, records: Any = None, **session: Any
    ) -> Path:
        from dlbench.history.packing import pack

        made = records or [made_numbers("bench/test_a.py::test_b[1]", 16, shift)]
        document = made_document(made, **session)
        pack(document)
        path = tmp_path / SAVED_AT / f"{number:04}_{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=4), encoding="utf-8")
        return path

    return saved


@pytest.fixture
def made() -> tuple[Callable[..., dict[str, Any]], Callable[..., dict[str, Any]]]:
    """Functions that make a record, and a document of records, neither packed."""
    return made_numbers, made_document


@pytest.fixture
def against(save: Callable[..., Path]) -> Callable[..., Compared]:
    """A function that saves records as two runs and compares the second with the first."""
    from dlbench.gate.sides import compared, saved_side
    from dlbench.history.naming import Saved

    def make(first: Any, second: Any, **session: Any) -> Compared:
        paths = [save(1, "old", records=first), save(2, "new", records=second, **session)]
        a, b = (saved_side(Saved.of(path)) for path in paths)
        return compared(a, b, lambda case: True, 0.01)

    return make
