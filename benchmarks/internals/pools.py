"""Pools of real runs: trained once, kept in a folder if one is given, and made entries of the gate."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from benchmarks.internals.bugs import BUGS, DROPPED_BATCH, HARMLESS, MOVED, NOTHING, PERTURBED
from dlbench.engines import memory, train
from dlbench.gate.entry import TRAINING_LOSS, entry_of
from dlbench.gate.text import rounded
from dlbench.history.environment import environment
from dlbench.runs import Runs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.internals.bugs import Change, Setting
    from dlbench.gate.entry import Entry
    from dlbench.history.record import Record

CLEAN_RUNS = 512
"""Runs without a change, and as many with weights moved by 1e-6, from the same seeds."""
BUG_RUNS = 128
"""Runs with each bug, from the first of the same seeds."""
FEW_RUNS = 16
"""Runs on two threads, and compiled: slow on purpose."""

ALPHA = 0.01 / (60 * 4)
"""The error rate of each test in a suite of 60 cases of 4 tests each: 4.2e-5."""


@dataclass(frozen=True)
class Pool:
    """All runs of one setting: the clean ones, and those under each change, as entries."""

    name: str
    clean: Entry
    """With the yardstick and the error rate of an accepted one."""
    changed: dict[str, Entry]
    """By the change's name, from the first of the clean seeds."""

    def entry(self, change: str | None) -> Entry:
        """Return the runs under a change; the clean ones for None."""
        return self.clean if change is None else self.changed[change]

    def losses(self, change: str | None = None) -> np.ndarray:
        """Return every run's log of the training loss over the run, shape `(runs,)`."""
        return np.array(self.entry(change).values[TRAINING_LOSS])


def pool_of(
    setting: Setting, folder: Path, *, runs: int = CLEAN_RUNS, bug_runs: int = BUG_RUNS
) -> Pool:
    """Return a setting's pool, trained where the folder does not hold it.

    Args:
        setting: what is trained.
        folder: where runs are kept.
        runs: without a change, and with weights moved by 1e-6.
        bug_runs: with each bug, and perturbed by rounding.
    """
    clean_runs = trained(setting, NOTHING, runs, folder)
    clean = rounded(entry_of(record_of(setting, clean_runs)))
    counts = {MOVED.name: runs, "two threads": min(runs, FEW_RUNS), "compiled": min(runs, FEW_RUNS)}
    changed = {}
    for change in (*BUGS, *HARMLESS):
        if not change.suits(setting):
            continue
        found = trained(setting, change, counts.get(change.name, bug_runs), folder)
        if change is DROPPED_BATCH:
            # The order is drawn as ever; it is the training that leaves its end out.
            found = replace(found, orders=clean_runs.orders[: len(found.seeds)])
        changed[change.name] = entry_of(record_of(setting, found), floor=clean.floor)
    pool = Pool(setting.name, clean, changed)
    moved, yardstick = pool.losses(PERTURBED.name), np.full(len(clean.seeds), np.nan)
    yardstick[: len(moved)] = np.abs(moved - pool.losses()[: len(moved)])
    accepted = replace(clean, alpha=ALPHA, yardstick=tuple(float(f"{d:.4g}") for d in yardstick))
    return replace(pool, clean=accepted)


def trained(setting: Setting, change: Change, runs: int, folder: Path) -> Runs:
    """Return runs of a setting under a change, from the folder where it holds them."""
    experiment = change.make(setting, range(runs))
    file = folder / f"{setting.name} {change.name} {runs} {experiment.id}.json".replace(" ", "-")
    if file.is_file():
        return Runs.from_builtins(json.loads(file.read_text(encoding="utf-8")))
    with _threads(change.threads):
        found = train(experiment, engine="vectorized", **{"compiling": "never", **change.engine})
    file.write_text(json.dumps(found.to_builtins()), encoding="utf-8")
    return found


def record_of(setting: Setting, runs: Runs) -> Record:
    """Return the record that the plugin would keep of these runs."""
    record: dict[str, Any] = {
        "kind": "convergence",
        "case": f"benchmarks/test_study.py::test_setting[{setting.name}]",
        "name": None,
        "module": "benchmarks/test_study.py",
        "bounds": "enforced",
        "runs": runs.to_builtins(),
        "parameters": None,
        "environment": environment(),
    }
    return cast("Record", record)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let the engine use so many threads, even where one would be faster."""
    before, shared_from = torch.get_num_threads(), memory.SHARED_FROM
    torch.set_num_threads(count)
    memory.SHARED_FROM = 0 if count > 1 else shared_from
    try:
        yield
    finally:
        torch.set_num_threads(before)
        memory.SHARED_FROM = shared_from
