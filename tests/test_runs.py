"""Runs: curves by seed, what is read off them, and their way into records and back."""

from __future__ import annotations

import json
import math
import struct
from base64 import b64decode
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlbench import metrics, runs
from dlbench.errors import ExperimentError, RecordError
from dlbench.plain import dumps, to_plain
from dlbench.runs import Runs

nan, inf = math.nan, math.inf


def some_runs(**changes: Any) -> Runs:
    """Return four runs, one of each regime."""
    fields: dict[str, Any] = {
        "experiment": {
            "id": "0123456789abcdef",
            "workload": "digits",
            "optimizer": {"class": "SGD", "learning_rate": 0.1},
            "batch_size": 32,
            "target": {"metric": "val_accuracy", "value": 0.75},
        },
        "seeds": (0, 1, 2, 7),
        "points": np.array([0.0, 10.0, 20.0]),
        "curves": {
            "loss": np.array([[2, 1, 0.5], [2, 2, 1.9], [2, 9, nan], [2, 1, 1.0]]),
            "val_accuracy": np.array([[0.5, 1, 0.9], [0.5, 0.5, 0.25], [0.5, nan, nan], [0.5] * 3]),
        },
        "constant_loss": 1.5,
        "starts": ("a", "b", "c", "d"),
        "orders": ("e", "f", "g", "h"),
    }
    return Runs(**(fields | changes))


A_CURVE: Any = next(iter(some_runs().to_builtins()["curves"].values()))  # type: ignore[union-attr]


def same(one: Runs, other: Runs) -> bool:
    """Return whether two runs hold the same, curves to float32's rounding."""
    return to_plain(one.to_builtins()) == to_plain(other.to_builtins())


# ---- one number a seed


def test_series_are_by_seed() -> None:
    """What comes back is a Series whose index is called `seed` and whose name is the metric's."""
    final = some_runs().final("val_accuracy")
    expected = pd.Series(
        [0.9, 0.25, nan, 0.5], index=pd.Index([0, 1, 2, 7], name="seed"), name="val_accuracy"
    )
    pd.testing.assert_series_equal(final, expected)
    assert final[7] == 0.5


def test_best_follows_the_metrics_direction() -> None:
    """The best loss is the lowest, the best accuracy the highest; NaN points do not count."""
    assert some_runs().best("loss").to_list() == [0.5, 1.9, 2.0, 1.0]
    assert some_runs().best("val_accuracy").to_list() == [1.0, 0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, [2, 2, 2, 2]), (5, [1.5, 2, 5.5, 1.5]), (10, [1, 2, 9, 1]), (20, [0.5, 1.9, nan, 1.0])],
)
def test_at_interpolates(step: float, expected: list[float]) -> None:
    """Between points a straight line; at a point its value, also where the next one is NaN."""
    assert some_runs().at("loss", step).to_list() == pytest.approx(expected, nan_ok=True)


def test_steps_to_target_is_the_workloads() -> None:
    """Without a target there is none; with one, it is `steps_to` for it."""
    found = some_runs().steps_to_target()
    assert found is not None
    assert found.to_list() == [5.0, inf, inf, inf]
    assert found.equals(some_runs().steps_to("val_accuracy", 0.75))
    assert some_runs(experiment={}).steps_to_target() is None
    reached = some_runs().steps_to("loss", 1.0)
    assert reached.to_list() == [10.0, inf, inf, 10.0]
    assert reached.median() == reached.quantile(0.9, interpolation="higher") == inf


def test_the_numbers_of_metrics_reach_the_seeds() -> None:
    """Loss over the run and oscillation are those of `dlbench.metrics`, for the right curve."""
    made = some_runs()
    losses = made.curves["loss"]
    assert made.mean_log_loss().to_list() == metrics.mean_log_loss(losses).tolist()
    assert made.mean_log_loss(1.5).to_list() == metrics.mean_log_loss(losses, 1.5).tolist()
    assert made.oscillation().to_list() == pytest.approx([0, 0, nan, 0], nan_ok=True)
    backwards = made.oscillation("val_accuracy")
    assert backwards.to_list() == pytest.approx([1 / 6, 1, nan, 0], nan_ok=True)


# ---- regimes


def test_each_regime() -> None:
    """Every run has its word, and failed is what diverged or stalled."""
    made = some_runs()
    assert made.regimes.to_dict() == {0: "converged", 1: "stalled", 2: "diverged", 7: "slow"}
    assert made.regime == "mixed"
    assert made.diverged.to_list() == [False, False, True, False]
    assert made.failed.to_list() == [False, True, True, False]


def test_a_regime_that_all_share() -> None:
    """`regime` is one word, a plain string, where all seeds agree."""
    made = some_runs(
        experiment={}, constant_loss=None, curves={"loss": np.array([[2.0, 1, 0.5]] * 4)}
    )
    assert made.regime == "converged"
    assert type(made.regime) is str


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["val_loss", "loss"], "loss"),
        (["val_loss", "train_loss"], "train_loss"),
        (["accuracy", "val_error"], "val_error"),
        (["validation_loss", "mse"], "mse"),
    ],
)
def test_the_training_loss_is_found(names: list[str], expected: str) -> None:
    """It is "loss" where there is one, else what is better lower, on the training set if any."""
    made = some_runs(experiment={}, curves={name: np.ones((4, 3)) for name in names})
    assert made.loss_name == expected


def test_directions_are_declared_where_names_do_not_tell() -> None:
    """An unknown direction is an error that says how to declare it; a declared one counts."""
    curves = {"loss": np.ones((4, 3)), "score": np.array([[1.0, 3, 2]] * 4)}
    unknown = some_runs(experiment={}, curves=curves)
    with pytest.raises(ExperimentError, match=r"directions=\{'score': 'higher'\}"):
        unknown.best("score")
    higher = some_runs(experiment={}, curves=curves, higher_is_better={"score": True})
    lower = some_runs(experiment={}, curves=curves, higher_is_better={"score": False})
    assert (higher.best("score")[0], lower.best("score")[0]) == (3, 1)


# ---- refused


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"curves": {}}, "need curves"),
        ({"seeds": ()}, "need curves, seeds"),
        ({"seeds": (1, 2, 3, 1)}, "each seed must be there once"),
        ({"points": np.array([0.0, 10, 10])}, "rising points"),
        ({"points": np.array([0.0, nan, 10])}, "rising points"),
        ({"points": np.array([0.0, 1, inf])}, "rising points"),
        ({"points": np.array([[0.0, 1, 2]])}, "rising points"),
        ({"points": np.array([0.0, 1])}, r"shape \(4, 3\), expected \(4, 2\)"),
        ({"starts": ("a",)}, "1 starts for 4 seeds"),
        ({"orders": ("a",) * 5}, "5 orders for 4 seeds"),
        ({"experiment": {"target": {"metric": "acc", "value": 1}}}, "target names 'acc'"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    """Shapes, seeds, points and targets are checked when runs are made."""
    with pytest.raises(ExperimentError, match=message):
        some_runs(**changes)


def test_questions_that_have_no_answer() -> None:
    """An unknown metric or a step outside the run is an error that says what there is."""
    made = some_runs()
    with pytest.raises(ExperimentError, match=r"no metric 'acc'.*'val_accuracy'"):
        made.final("acc")
    for step in (-1, 21):
        with pytest.raises(ExperimentError, match="outside the run's 0 to 20"):
            made.at("loss", step)
    with pytest.raises(ExperimentError, match="no training loss among"):
        some_runs(experiment={}, curves={"accuracy": np.ones((4, 3))}).mean_log_loss()


@pytest.mark.parametrize("value", ["x", None, math.nan, True, [1]])
def test_what_is_no_number_is_named(value: Any) -> None:
    """Steps and targets are numbers; anything else is refused in a sentence."""
    made = some_runs()
    with pytest.raises(ExperimentError, match="target must be a number, got"):
        made.steps_to("loss", value)
    with pytest.raises(ExperimentError, match="step must be a number, got"):
        made.at("loss", value)


# ---- reading


def test_frame_is_tidy() -> None:
    """A row a metric, seed and point."""
    frame = some_runs().to_frame()
    assert list(frame.columns) == ["metric", "seed", "step", "value"]
    assert len(frame) == 2 * 4 * 3
    row = frame.query("metric == 'loss' and seed == 7 and step == 10")
    assert row["value"].to_list() == [1.0]
    assert frame["value"].isna().sum() == 3


def test_table_and_text_show_the_seeds() -> None:
    """A failing bound shows one line; `str` shows a row a seed."""
    made = some_runs()
    assert list(made.table().columns) == ["regime", "loss", "val_accuracy", "steps_to_target"]
    assert repr(made) == (
        "<Runs digits, SGD, rate 0.1, batch 32, 20 updates; converged: seeds 0; "
        "stalled: seeds 1; diverged: seeds 2; slow: seeds 7>"
    )
    lines = str(made).splitlines()
    assert lines[0] == "digits, SGD, rate 0.1, batch 32, 20 updates"
    assert len(lines) == 3 + 4
    assert lines[-1].split() == ["7", "slow", "1", "0.5", "inf"]


def test_a_loop_of_ones_own_has_a_title_too() -> None:
    """Where no optimizer is known, the title does without."""
    made = some_runs(experiment={"workload": "mine"}, constant_loss=None)
    assert repr(made).startswith("<Runs mine, 20 updates; ")
    assert repr(some_runs(experiment={})).startswith("<Runs ?, 20 updates; ")


# ---- records


VALUES = st.floats(width=32) | st.floats()


@settings(max_examples=60)
@given(
    data=st.data(), seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4, unique=True)
)
def test_round_trip(data: st.DataObject, seeds: list[int]) -> None:
    """Through strict JSON and back runs are the same, curves to float32, NaN and inf included."""
    gaps = data.draw(st.lists(st.integers(1, 10**6), min_size=1, max_size=5))
    shape = (len(seeds), len(gaps))
    row = st.lists(VALUES, min_size=shape[1], max_size=shape[1])
    grid = st.lists(row, min_size=shape[0], max_size=shape[0]).map(np.array)
    made = Runs(
        experiment={"workload": data.draw(st.text())},
        seeds=tuple(seeds),
        points=np.cumsum(gaps).astype(float),
        curves={"loss": data.draw(grid), data.draw(st.text()): data.draw(grid)},
        constant_loss=data.draw(st.none() | st.floats(allow_nan=False, allow_infinity=False)),
        starts=tuple(data.draw(st.text()) for _ in seeds),
        higher_is_better=data.draw(st.dictionaries(st.text(), st.booleans(), max_size=2)),
    )
    read = Runs.from_builtins(json.loads(dumps(made.to_builtins())))
    assert same(read, made)
    assert (read.seeds, read.points.tolist()) == (made.seeds, made.points.tolist())
    with np.errstate(over="ignore"):
        for name, values in made.curves.items():
            assert np.array_equal(read.curves[name], values.astype(np.float32), equal_nan=True)


def test_curves_are_little_endian_float32() -> None:
    """The compact form can be read by anyone: base64 of little-endian float32, row by row."""
    written = some_runs().to_builtins()["curves"]
    assert isinstance(written, dict)
    values = struct.unpack("<12f", b64decode(written["loss"]))  # type: ignore[arg-type]
    assert values[:6] == pytest.approx([2, 1, 0.5, 2, 2, 1.9])
    assert math.isnan(values[8])


def test_read_runs_answer_as_before() -> None:
    """Regimes, targets and texts are those of the runs that were written."""
    made = some_runs()
    read = Runs.from_builtins(json.loads(dumps(made.to_builtins())))
    assert read.regimes.equals(made.regimes)
    assert str(read) == str(made)
    assert (read.starts, read.orders, read.target) == (made.starts, made.orders, made.target)


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": None}, {"seeds": [inf]}, {"seeds": ["x"]}, {"seeds": [0, 1]}, {"seeds": []},
        {"seeds": [0, 0, 0, 0]}, {"points": 5}, {"points": [0, 10**400, 1]}, {"points": [0, 1]},
        {"points": [0, None, 2]}, {"points": [[0, 1, 2]]}, {"points": ["a", "b", "c"]},
        {"curves": []}, {"curves": {}}, {"curves": {"loss": "!!!"}}, {"curves": {"loss": 5}},
        {"curves": {"loss": "AAAA"}}, {"curves": {"accuracy": None}}, {"curves": {"loss": ""}},
        {"constant_loss": "x"}, {"constant_loss": 10**400}, {"experiment": 5},
        {"experiment": {"target": {}}}, {"experiment": {"target": {"metric": "loss"}}},
        {"experiment": {"target": {"metric": "loss", "value": []}}},
        {"experiment": {"target": {"metric": "nope", "value": 1}}},
        {"starts": 5}, {"starts": ["a"]}, {"higher_is_better": 5},
        {"experiment": {}, "curves": {"accuracy": A_CURVE}},
    ],
)  # fmt: skip
def test_broken_records_are_named(changes: dict[str, Any]) -> None:
    """Fields of other types or that do not fit each other are a `RecordError`, not a traceback."""
    with pytest.raises(RecordError):
        Runs.from_builtins(some_runs().to_builtins() | changes)


def test_every_field_is_needed() -> None:
    """A record without one of its fields is refused."""
    record = some_runs().to_builtins()
    for name in record:
        with pytest.raises(RecordError, match=name):
            Runs.from_builtins({k: v for k, v in record.items() if k != name})


def test_records_too_large_are_refused_before_they_are_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A few bytes that claim to be a long curve do not take the memory for one."""
    record = some_runs().to_builtins()
    monkeypatch.setattr(runs, "MAX_CURVE_VALUES", 11)
    with pytest.raises(RecordError, match="sensible length"):
        Runs.from_builtins(record)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=200)
@given(
    changes=st.dictionaries(st.sampled_from(sorted(some_runs().to_builtins())), JSON, max_size=3)
)
def test_nothing_but_a_record_error(changes: dict[str, Any]) -> None:
    """Whatever stands in a record, it is read into runs that answer, or it is a `RecordError`."""
    try:
        read = Runs.from_builtins(some_runs().to_builtins() | changes)
    except RecordError:
        return
    assert len(repr(read)) > 0
    assert len(read.table()) == len(read.seeds)


@pytest.mark.parametrize("method", ["best", "oscillation", "final"])
def test_a_misspelt_metric_is_named(method: str) -> None:
    """Whatever is asked of a curve that there is not, the answer lists those that there are."""
    with pytest.raises(ExperimentError, match=r"no metric 'acuracy'; these runs have \['loss'"):
        getattr(some_runs(), method)("acuracy")
