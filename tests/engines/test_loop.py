"""The user's own loop: what it may return, and the runs that come of it."""

from __future__ import annotations

import math
import random
from collections import OrderedDict
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from dlbench.engines.loop import call_loop, describe_loop, runs_of_loop
from dlbench.errors import ExperimentError

INF, NAN = math.inf, math.nan


def returning(curves: Any) -> Any:
    """Return a loop that returns `curves`, whatever the seed."""
    return lambda seed: curves


@pytest.mark.parametrize(
    "values",
    [
        [1.0, 0.5],
        (1, 0.5),
        np.array([1.0, 0.5], dtype=np.float32),
        torch.tensor([1.0, 0.5]),
        [torch.tensor(1.0), np.float64(0.5)],
        pd.Series([1.0, 0.5], index=[7, 8]),
        iter([1.0, 0.5]),
    ],
    ids=lambda values: type(values).__name__,
)
def test_any_sequence_of_numbers_is_a_curve(values: Any) -> None:
    """Lists, tuples, arrays, tensors, Series and iterators become lists of plain floats."""
    curves = call_loop(returning(OrderedDict(loss=values)), 0)
    assert curves == {"loss": [1.0, 0.5]}
    assert all(type(value) is float for value in curves["loss"])


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ([1.0, 0.5], "must return a dict of curves.*got list"),
        (None, "must return a dict of curves.*got NoneType"),
        ({}, "must return a dict of curves.*got a dict without any"),
        ({"step": [0, 1]}, "must return a dict of curves"),
        ({"loss": 0.5}, "sequence of numbers"),
        ({"loss": None}, "sequence of numbers"),
        ({"loss": ["low"]}, "sequence of numbers"),
        ({"loss": [[1.0, 2.0]]}, "sequence of numbers"),
        ({"loss": [1 + 2j]}, "sequence of numbers"),
        ({"loss": [10**400]}, "sequence of numbers"),
        ({"loss": []}, "equal lengths of at least 1.*'loss': 0"),
        ({"loss": [1.0], "accuracy": [0.1, 0.2]}, "equal lengths.*'loss': 1, 'accuracy': 2"),
        ({"loss": [1.0, 0.5], "step": [0]}, "equal lengths.*'step': 1"),
    ],
    ids=str,
)
def test_what_is_no_curve_is_refused(returned: Any, words: str) -> None:
    """The contract is said where it is broken: a dict, numbers, one length."""
    with pytest.raises(ExperimentError, match=words):
        call_loop(returning(returned), 0)


def test_a_loop_draws_from_its_seed_and_leaves_the_generators() -> None:
    """Python's, NumPy's and PyTorch's numbers depend on the seed alone; the caller's go on."""

    def train(seed: int) -> dict[str, list[float]]:
        return {"loss": [random.random(), np.random.rand(), float(torch.rand(()))]}  # noqa: NPY002, S311

    numpy_state: Any = np.random.get_state()  # noqa: NPY002
    state = random.getstate(), numpy_state[1].copy(), torch.get_rng_state()
    first, other = call_loop(train, 1), call_loop(train, 2)
    assert call_loop(train, 1) == first
    assert not set(first["loss"]) & set(other["loss"])
    assert random.getstate() == state[0]
    numpy_state = np.random.get_state()  # noqa: NPY002
    assert (numpy_state[1] == state[1]).all()
    assert torch.equal(torch.get_rng_state(), state[2])


def test_runs_hold_the_curves_by_seed() -> None:
    """Curves come out as `(seeds, points)`, with the points that "step" names."""
    curves = {
        4: {"loss": [2.0, 1.0], "bleu": [3.0, 4.0], "step": [0.0, 50.0]},
        2: {"loss": [2.5, 0.5], "bleu": [5.0, 6.0], "step": [0.0, 50.0]},
    }
    runs = runs_of_loop(describe_loop(returning({})), curves, {"bleu": "higher"})
    assert runs.seeds == (4, 2)
    assert runs.points.tolist() == [0.0, 50.0]
    assert runs.curves["loss"].tolist() == [[2.0, 1.0], [2.5, 0.5]]
    assert runs.best("bleu").tolist() == [4.0, 6.0]


def test_points_count_from_zero_where_no_step_is_given() -> None:
    """Without "step" the points are 0, 1, 2, and so on."""
    runs = runs_of_loop(describe_loop(returning({})), {0: {"loss": [3.0, 2.0, 1.0]}})
    assert runs.points.tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("last", [INF, -INF, NAN])
def test_a_run_that_diverged_may_end_early(last: float) -> None:
    """It is NaN from its end on, whichever seed it is, the first too."""
    curves = {
        0: {"loss": [1.0, last], "step": [0.0, 5.0]},
        1: {"loss": [1.0, 0.9, 0.8], "step": [0.0, 5.0, 9.0]},
    }
    runs = runs_of_loop(describe_loop(returning({})), curves)
    assert runs.regimes.tolist() == ["diverged", "converged"]
    assert math.isnan(runs.curves["loss"][0, 2])
    assert runs.points.tolist() == [0.0, 5.0, 9.0]


@pytest.mark.parametrize(
    "other",
    [
        {"loss": [1.0]},
        {"loss": [1.0, 0.9], "accuracy": [0.1, 0.2]},
        {"losses": [1.0, 0.9]},
        {"loss": [1.0, 0.9], "step": [0.0, 1.0]},
        {"loss": [NAN, 0.9, 0.8]},
    ],
    ids=str,
)
def test_seeds_that_return_something_else_are_refused(other: dict[str, list[float]]) -> None:
    """Every seed returns the same metrics, read at the same steps."""
    with pytest.raises(ExperimentError, match="every seed must return the same metrics"):
        runs_of_loop(describe_loop(returning({})), {0: {"loss": [1.0, 0.9]}, 1: other})


@pytest.mark.parametrize(
    ("curves", "directions", "words"),
    [
        ({"bleu": [1.0], "loss": [1.0]}, {}, r"declare it, directions=\{\"bleu\""),
        ({"loss": [1.0]}, {"loss": "down"}, "got {'loss': 'down'}"),
        ({"loss": [1.0]}, {"los": "lower"}, "one of \\['loss'\\], got {'los': 'lower'}"),
        ({"accuracy": [1.0]}, {}, "return the training loss too"),
        ({"loss": [1.0]}, {"loss": "higher"}, "return the training loss too"),
        ({"loss": [1.0, 1.0], "step": [3.0, 3.0]}, {}, "rising points"),
        ({"loss": [1.0, 1.0], "step": [0.0, NAN]}, {}, "rising points"),
    ],
    ids=str,
)
def test_runs_that_cannot_be_read_are_refused(
    curves: dict[str, list[float]], directions: dict[str, str], words: str
) -> None:
    """Every metric has a direction, one is a loss, and points rise."""
    with pytest.raises(ExperimentError, match=words):
        runs_of_loop(describe_loop(returning({})), {0: curves}, directions)


def test_a_target_names_a_curve() -> None:
    """A target on a metric that the loop does not return is refused, by its name."""
    experiment = describe_loop(returning({}), target=("val_acc", 0.9))
    with pytest.raises(ExperimentError, match="target names 'val_acc'"):
        runs_of_loop(experiment, {0: {"loss": [1.0, 0.5]}})


@pytest.mark.parametrize(
    "target", ["acc", ("acc",), ("acc", "0.9"), ("acc", NAN), (0.9, "acc"), ("acc", 1, 2)], ids=str
)
def test_a_target_is_a_metric_and_a_finite_value(target: Any) -> None:
    """Anything else is refused before the loop is called."""
    with pytest.raises(ExperimentError, match="target must be a metric and a finite value"):
        describe_loop(returning({}), target=target)


def test_a_loop_is_described_by_its_name_target_and_id() -> None:
    """The id stands for what the record can say: the same for the same, another for another."""

    def train(seed: int) -> dict[str, list[float]]:
        return {"loss": [float(seed)]}

    described = describe_loop(train, target=("loss", float(np.float32(0.5))))
    assert described["workload"] == "train"
    assert described["target"] == {"metric": "loss", "value": 0.5}
    assert described["id"] == describe_loop(train, target=("loss", 0.5))["id"]
    assert described["id"] != describe_loop(train, target=("loss", 0.4))["id"]
    assert describe_loop(train, workload="mine")["workload"] == "mine"
