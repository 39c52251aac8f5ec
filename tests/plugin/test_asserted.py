"""What an assertion says of runs is read from its source; what cannot be is left out."""

from __future__ import annotations

import ast
import math
from typing import Any

import numpy as np
import pytest

from dlbench.plugin.asserted import Scope, bounds_in
from dlbench.runs import Runs

RUNS = Runs(
    experiment={"target": {"metric": "val_accuracy", "value": 0.8}},
    seeds=(0, 1, 2),
    points=np.array([0.0, 10.0, 20.0]),
    curves={
        "loss": np.array([[2.0, 1.0, 0.1], [2.0, 1.2, 0.2], [2.0, 2.5, 0.6]]),
        "val_accuracy": np.array([[0.1, 0.8, 0.9], [0.1, 0.7, 0.9], [0.1, 0.3, 0.5]]),
    },
    constant_loss=2.0,
)
DIVERGED = Runs(
    experiment={},
    seeds=(0, 1),
    points=np.array([0.0, 10.0]),
    curves={"loss": np.array([[2.0, np.nan], [2.0, 0.5]])},
)


class Trap:
    """Whatever is done to it is an error: nothing of the test's own is to be called."""

    def __getattr__(self, name: str) -> object:
        """Refuse."""
        raise AssertionError(name)

    def __getitem__(self, key: object) -> object:
        """Refuse."""
        raise AssertionError(key)

    def __call__(self, *arguments: object) -> object:
        """Refuse."""
        raise AssertionError(arguments)

    def __le__(self, other: object) -> bool:
        """Refuse."""
        raise AssertionError(other)


NAMES: dict[str, Any] = {
    "runs": RUNS,
    "diverged": DIVERGED,
    "by_rate": {0.1: RUNS, 1.0: DIVERGED},
    "rates": [0.1, 1.0],
    "best": 0.1,
    "limits": {("a", 4): 0.4},
    "task": "a",
    "size": 4,
    "highest": np.float64(0.4),
    "other": RUNS.select([0, 1]),
    "trap": Trap(),
    "math": math,
}


def read(source: str, written: dict[str, str] | None = None, *, held: bool = True) -> list[Any]:
    """Return the bounds in an assertion, each as a tuple."""

    def parsed(text: str) -> ast.expr:
        return ast.parse(text, mode="eval").body

    how = {name: parsed(text) for name, text in (written or {}).items()}
    known = [RUNS, DIVERGED]
    scope = Scope(NAMES, how, lambda one: any(one is runs for runs in known))
    return [tuple(bound.values()) for _, bound in bounds_in(parsed(source), scope, held=held)]


FINAL = ("final", "loss", None, "median", "<=", 0.4, 0.2, True)
READ: dict[str, list[tuple[Any, ...]]] = {
    'runs.final("loss").median() <= 0.4': [FINAL],
    "runs.final(metric='loss').median() <= highest": [FINAL],
    'highest >= runs.final("loss").median()': [FINAL],
    'runs.final("loss").median() <= limits[task, size]': [FINAL],
    'runs.final("loss").median() <= 2 * 0.1 + 0.2': [FINAL],
    'runs.final("loss").median() <= (0.4 if size == 4 else 9)': [FINAL],
    'runs.final("loss").median() <= 9 if size > 4 else runs.final("loss").median() <= 0.4': [FINAL],
    'by_rate[best].final("loss").median() <= 0.4': [FINAL],
    'by_rate[rates[size - 4]].final("loss").median() <= 0.4': [FINAL],
    'runs.final("loss").median() <= 0.4 and trap': [FINAL],
    '0.1 < runs.final("loss").median() <= 0.4': [
        ("final", "loss", None, "median", ">", 0.1, 0.2, True), FINAL,
    ],
    'trap < runs.final("loss").median() <= 0.4': [FINAL],
    'runs.final("loss").max() == 0.6': [("final", "loss", None, "max", "==", 0.6, 0.6, True)],
    'runs.final("val_accuracy").quantile(0.5) >= 0.9': [
        ("final", "val_accuracy", None, "quantile 0.5", ">=", 0.9, 0.9, True),
    ],
    'runs.best("loss").mean() < 1': [("best", "loss", None, "mean", "<", 1.0, 0.3, True)],
    'runs.at("loss", 10).median() <= 1.2': [("at", "loss", 10.0, "median", "<=", 1.2, 1.2, True)],
    'runs.steps_to("val_accuracy", 0.8).median() <= 4000': [
        ("steps_to", "val_accuracy", 0.8, "median", "<=", 4000.0, 15.0, True),
    ],
    "runs.steps_to_target().min() <= 10": [
        ("steps_to", "val_accuracy", 0.8, "min", "<=", 10.0, 10.0, True),
    ],
    'runs.steps_to("val_accuracy", 0.8).max() > 5': [
        ("steps_to", "val_accuracy", 0.8, "max", ">", 5.0, None, True),
    ],
    "runs.oscillation().min() >= 0": [("oscillation", "loss", None, "min", ">=", 0.0, 0.0, True)],
    'runs.regime == "mixed"': [],
    "not runs.failed.any()": [("share", "failed", None, "", "==", 0.0, 0.0, True)],
    "not diverged.diverged.all()": [("share", "diverged", None, "", "<", 1.0, 0.5, True)],
    "diverged.diverged.any()": [("share", "diverged", None, "", ">", 0.0, 0.5, True)],
    '(diverged.regimes == "diverged").mean() >= 0.5': [
        ("share", "diverged", None, "", ">=", 0.5, 0.5, True),
    ],
    '(runs.final("loss") <= 0.7).all()': [("final", "loss", None, "max", "<=", 0.7, 0.6, True)],
    '(runs.final("val_accuracy") > 0.4).all()': [
        ("final", "val_accuracy", None, "min", ">", 0.4, 0.5, True),
    ],
}  # fmt: skip


@pytest.mark.parametrize("source", READ)
def test_a_bound_is_read(source: str) -> None:
    """Metric, statistic, comparison, bound and what was measured, whichever side they stand on."""
    found = read(source)
    assert len(found) == len(READ[source])
    for bound, expected in zip(found, READ[source], strict=True):
        assert bound == pytest.approx(expected)


def test_a_regime_that_all_share_is_a_share_of_one() -> None:
    """`runs.regime == "…"` says that the share of it is 1."""
    found = read('diverged.regime == "diverged"', held=False)
    assert found == [("share", "diverged", None, "", "==", 1.0, 0.5, False)]


def test_loss_over_the_run_is_of_the_training_loss() -> None:
    """`mean_log_loss` takes no metric, and its record says which curve it is of."""
    ((summary, metric, *_, bound, measured, held),) = read("runs.mean_log_loss().median() <= 0.5")
    assert (summary, metric, bound, held) == ("mean_log_loss", "loss", 0.5, True)
    assert measured == pytest.approx(RUNS.mean_log_loss().median())


@pytest.mark.parametrize(
    "source",
    [
        "trap.final('loss').median() <= 0.4",
        "trap['runs'].final('loss').median() <= 0.4",
        "trap() <= 0.4",
        "trap <= trap",
        "not trap",
        "trap.all()",
        "runs.final('loss').median() <= trap",
        "runs.final('loss').median() <= float(0.4)",
        "runs.final('loss').median() <= math.inf",
        "runs.final('loss').median() <= 1e300 * 1e300",
        "runs.final('loss').median() <= True",
        "runs.final('loss').median() != 0.4",
        "runs.final('loss').median() <= 0.4 or trap",
        "runs.final('loss').median() in [0.2]",
        "runs.final('loss').describe() <= 0.4",
        "runs.final('loss')[0] <= 0.4",
        "runs.final(*['loss']).median() <= 0.4",
        "runs.curves['loss'].min() >= 0",
        "(runs.final('loss') / runs.at('loss', 0)).median() <= 1",
        "other.final('loss').median() <= 0.4",
        "runs.select([0]).final('loss').median() <= 0.4",
        "runs.failed.max() <= 0",
        "diverged.steps_to_target().median() <= 4",
        "size == 4",
        "unknown <= 0.4",
    ],
)
def test_what_cannot_be_read_is_left_out(source: str) -> None:
    """Nothing of the test's own is called or asked, and nothing is guessed."""
    assert read(source) == []


def test_a_name_stands_for_what_it_was_assigned() -> None:
    """A Series, or a number, that was given a name first is followed back, as long as it is that."""
    NAMES["steps"], NAMES["middle"] = RUNS.steps_to_target(), RUNS.final("loss").median()
    written = {"steps": "runs.steps_to_target()", "middle": 'runs.final("loss").median()'}
    assert read("middle <= 0.4", written) == [FINAL]
    (steps,) = read("steps.median() <= 20", written)
    expected = ("steps_to", "val_accuracy", 0.8, "median", "<=", 20.0, 15.0, True)
    assert steps == pytest.approx(expected)
    NAMES["steps"], NAMES["middle"] = RUNS.final("loss"), 0.3
    assert read("middle <= 0.4", written) == read("steps.median() <= 20", written) == []
    assert read("middle <= 0.4", {"middle": "middle"}) == []


def test_of_what_failed_the_part_is_told_that_did_not_hold() -> None:
    """Where a chain fails, each of its bounds says whether it held; one alone cannot have."""
    below, above = read('0.3 <= runs.final("loss").median() <= 0.4', held=False)
    assert (below[-1], above[-1]) == (False, True)
    assert read('runs.final("loss").median() <= 0.4', held=False) == []
    assert read('runs.final("loss").median() <= 0.1', held=True) == []


def test_a_seed_without_a_value_is_no_held_bound() -> None:
    """What is asserted of every seed fails where one diverged, and nothing finite was measured."""
    (bound,) = read('(diverged.final("loss") <= 1).all()', held=False)
    assert bound == ("final", "loss", None, "max", "<=", 1.0, None, False)
