"""How fast histories are read: against pytest-benchmark's own loading of the same folder.

Collected only when named: `pytest benchmarks/internals/test_history.py -s`. A thousand saved runs of 30 cases
with 16 seeds each are made by formula, packed as they are saved; each side reads them in a process of
its own, six times, and the fastest counts: the files are in the system's cache then.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dlbench.history.packing import pack
from dlbench.history.record import KEY, SCHEMA

if TYPE_CHECKING:
    from pathlib import Path

RUNS, CASES, SEEDS, POINTS = 1000, 30, 16, 21
WORKLOADS = 4
"""Cases of one workload begin with the same weights: nine each in this repository's suite."""

CURVES = ("loss", "accuracy", "val_loss", "val_accuracy")
STATS = ("min", "max", "mean", "stddev", "rounds", "median", "iqr", "q1", "q3", "iqr_outliers",
         "stddev_outliers", "ld15iqr", "hd15iqr", "ops", "total", "iterations")  # fmt: skip

TIMED = """
import json, resource, time
{imports}
def once():
{body}
seconds = []
for _ in range(6):
    begin = time.perf_counter()
    found = once()
    seconds.append(time.perf_counter() - begin)
print(json.dumps([min(seconds), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, found]))
"""

SIDES = {
    "pytest-benchmark loads the folder": (
        """from pytest_benchmark.logger import Logger
from pytest_benchmark.storage.file import FileStorage""",
        "return len(list(FileStorage({folder!r}, Logger(Logger.QUIET)).load_benchmarks()))",
    ),
    "dlbench loads one case": (
        "from dlbench.history import read_history",
        "return len(read_history({folder!r}, {case!r}, ['mean_log_loss']).runs)",
    ),
    "dlbench history of one case": (
        """import contextlib, io
import dlbench.cli.tables
from dlbench import cli
from dlbench.history.trend import trends""",
        """out = io.StringIO()
    with contextlib.redirect_stdout(out):
        cli.main(['history', {case!r}, '--storage', {folder!r}])
    return len(out.getvalue().splitlines())""",
    ),
    "dlbench loads everything as a frame": (
        "from dlbench.history import load",
        "return len(load({folder!r}))",
    ),
    "dlbench reads two runs whole": (
        "from pathlib import Path; from dlbench.history import find, read_run",
        "return sum(len(read_run(find(n, Path({folder!r})).path).records) for n in ('7', '0900'))",
    ),
}


def record(case: int, rng: np.random.Generator) -> dict[str, Any]:
    """Return a record with curves of random losses and of accuracies among 1,437 samples."""
    curves = {}
    for name in CURVES:
        values = rng.lognormal(size=(SEEDS, POINTS))
        if "accuracy" in name:
            values = rng.integers(0, 1438, size=(SEEDS, POINTS)) / 1437
        curves[name] = base64.b64encode(values.astype("<f4").tobytes()).decode()
    metrics = {f"final_{name}": rng.random(SEEDS).astype("f4").tolist() for name in CURVES}
    weights = np.random.default_rng(case % WORKLOADS)  # the same in every run, and in many cases
    starts = [f"{digest:016x}" for digest in weights.integers(2**63, size=SEEDS)]
    return {
        "kind": "convergence", "case": f"benchmarks/test_a.py::test_case[{case}]", "name": None,
        "module": "benchmarks/test_a.py", "test": "test_case", "params": {"case": case},
        "outcome": "passed", "message": None, "bounds": "enforced",
        "runs": {
            "experiment": {"id": f"{case:016x}", "workload": "digits", "data": {"train": 1437},
                           "optimizer": {"class": "SGD", "learning_rate": 0.1}, "batch_size": 32},
            "seeds": list(range(SEEDS)), "points": [float(point) for point in range(POINTS)],
            "curves": curves, "constant_loss": 2.3, "starts": starts, "orders": starts,
            "higher_is_better": {}, "engine": "vectorized", "engine_note": None,
        },
        "metrics": metrics | {
            "regime": ["converged"] * SEEDS,
            "mean_log_loss": (case + np.arange(SEEDS) + 1e-3 * rng.normal(size=SEEDS)).tolist(),
            "steps_to_target": rng.integers(100, 200, size=SEEDS).astype(float).tolist(),
        },
        "parameters": None,
        "timing": {"what": "train_on_batch", "rounds": 20, "seconds": 0.001, "iqr": 1e-5,
                   "samples_per_second": 1e4, "epoch_seconds": 0.1},
        "environment": {"python": "3.11.7", "keras": "3.15.1", "torch": "2.13.0", "device": "cpu"},
        "duration": 1.0,
    }  # fmt: skip


def save(folder: Path, number: int) -> int:
    """Save a run as pytest-benchmark does, and return its bytes."""
    rng = np.random.default_rng(number)
    commit = {"id": f"{number:040x}", "branch": "main", "dirty": False}
    started = f"2026-{1 + number // 28 % 12:02}-{1 + number % 28:02}T00:00:00+00:00"
    records = [record(case, rng) for case in range(CASES)]
    document: dict[str, Any] = {
        "machine_info": {"node": "vm", "cpu": {"flags": [f"flag{flag}" for flag in range(120)]}},
        "commit_info": commit | {"time": started, "author_time": started, "project": "p"},
        "benchmarks": [
            {"group": None, "name": one["case"].split("::")[1], "fullname": one["case"],
             "params": one["params"], "param": str(place),
             "extra_info": {KEY: {"schema": SCHEMA, "records": [one]}},
             "options": {"disable_gc": False, "timer": "perf_counter", "min_rounds": 5,
                         "max_time": 1.0, "min_time": 5e-6, "warmup": False},
             "stats": dict.fromkeys(STATS, 0.00123456789) | {"outliers": "1;2"}}
            for place, one in enumerate(records)
        ],
        "datetime": started, "version": "5.3.1",
        KEY: {"schema": SCHEMA, "introduction": "", "modules": {}, "session": {
            "started": started, "duration": 9.0, "command": "pytest", "seeds": SEEDS,
            "quick": False, "counts": {"passed": CASES}, "complete": True, "commit": commit}},
    }  # fmt: skip
    pack(document)
    path = folder / f"{number:04}_{commit['id']}_20260101_000000.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.write_text(json.dumps(document, indent=4), encoding="utf-8")


def timed(side: str, folder: Path) -> tuple[float, float, int]:
    """Return a side's seconds, its largest memory in MiB, and how much it found."""
    imports, body = SIDES[side]
    case = "benchmarks/test_a.py::test_case[17]"
    code = TIMED.format(imports=imports, body="    " + body.format(folder=str(folder), case=case))
    done = subprocess.run(  # noqa: S603 - fixed arguments
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600
    )
    seconds, memory, found = json.loads(done.stdout)
    return seconds, memory, found


@pytest.mark.parametrize("runs", [RUNS // 4, RUNS])
def test_reading_histories(tmp_path: Path, runs: int) -> None:
    """Print the table; one case of a history is read in a fraction of the folder's time and memory."""
    size = max(save(tmp_path / "machine", number) for number in range(1, runs + 1))
    print(f"\n{runs} runs of {CASES} cases, {SEEDS} seeds; {size / 2**10:.0f} KiB each")
    results = {side: timed(side, tmp_path) for side in SIDES if runs >= RUNS or "two" not in side}
    base = results["pytest-benchmark loads the folder"][0]
    for side, (seconds, memory, found) in results.items():
        print(f"{side:38} {seconds:8.3f} s {seconds / base:6.2f} x {memory:7.0f} MiB  {found:,}")
    assert results["dlbench loads one case"][2] == runs
    assert results["dlbench history of one case"][1] < 1024
