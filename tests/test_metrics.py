"""Curves in, one number out: each definition is held against a slower one written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dlbench import metrics

nan, inf = math.nan, math.inf

ANY = st.floats(-1e6, 1e6) | st.just(nan) | st.just(inf) | st.just(-inf)
CURVES = arrays(float, st.tuples(st.integers(1, 4), st.integers(1, 6)), elements=ANY)
FINITE = arrays(
    float, st.tuples(st.integers(1, 4), st.integers(1, 6)), elements=st.floats(1e-6, 1e6)
)


# ---- direction


@pytest.mark.parametrize(
    ("metric", "higher"),
    [
        ("loss", False), ("val_loss", False), ("ema_val_loss", False), ("Val_Loss", False),
        ("mean_absolute_error", False), ("mae", False), ("val_mse", False), ("rmse", False),
        ("sparse_categorical_crossentropy", False), ("error_rate", False),
        ("accuracy", True), ("val_acc", True), ("ema_accuracy", True), ("auc", True),
        ("precision", True), ("recall", True), ("f1_score", True), ("r2_score", True),
        ("mean_iou", True), ("top_k_categorical_accuracy", True),
        ("perplexity", None), ("score", None), ("x", None), ("", None),
    ],
)  # fmt: skip
def test_direction_by_name(metric: str, higher: bool | None) -> None:
    """Losses and errors are better lower, accuracies higher; other names do not tell."""
    assert metrics.higher_is_better(metric) is higher


# ---- best


@given(curves=CURVES, higher=st.booleans())
def test_best_is_the_extreme_of_the_finite_points(curves: np.ndarray, *, higher: bool) -> None:
    """The best value is taken over finite points; without any it is NaN."""
    for row, found in zip(curves, metrics.best(curves, higher=higher), strict=True):
        finite = row[np.isfinite(row)]
        expected = nan if not finite.size else finite.max() if higher else finite.min()
        assert found == expected or (math.isnan(found) and math.isnan(expected))


# ---- steps-to-target


@pytest.mark.parametrize(
    ("curve", "target", "higher", "expected"),
    [
        ([0.0, 0.5, 1.0], 0.75, True, 15.0),
        ([0.0, 0.5, 1.0], 0.5, True, 10.0),
        ([0.0, 0.5, 1.0], 1.0, True, 20.0),
        ([0.0, 0.5, 1.0], 0.0, True, 0.0),
        ([0.0, 0.5, 1.0], 1.1, True, inf),
        ([0.0, 1.0, 0.0], 0.9, True, 9.0),
        ([4.0, 2.0, 1.0], 3.0, False, 5.0),
        ([4.0, 2.0, 1.0], 5.0, False, 0.0),
        ([4.0, 2.0, 1.0], 0.5, False, inf),
        ([4.0, nan, 1.0], 2.0, False, 20.0),
        ([nan, 1.0, 2.0], 1.5, False, 10.0),
        ([nan, nan, nan], 1.5, False, inf),
        ([4.0, inf, 1.0], 2.0, False, 20.0),
        ([1.0, inf, inf], 2.0, True, inf),
        ([4.0, -inf, 1.0], 2.0, False, 20.0),
        ([1.0, 1.0, 1.0], 1.0, True, 0.0),
        ([1.0, 2.0, 3.0], nan, True, inf),
    ],
)  # fmt: skip
def test_steps_to(curve: list[float], target: float, expected: float, *, higher: bool) -> None:
    """The first crossing, on a straight line between finite points; `inf` where there is none."""
    steps = np.array([0.0, 10.0, 20.0])
    assert metrics.steps_to(np.array([curve]), steps, target, higher=higher) == [expected]


@given(curves=FINITE, target=st.floats(1e-6, 1e6), data=st.data())
def test_the_curve_is_at_the_target_where_it_is_said_to_be(
    curves: np.ndarray, target: float, data: st.DataObject
) -> None:
    """Interpolated at the found step, the curve has the target's value; before, it was worse."""
    gaps = data.draw(arrays(float, curves.shape[1], elements=st.floats(1, 100)))
    steps = np.cumsum(gaps) - gaps[0]
    higher = data.draw(st.booleans())
    found = metrics.steps_to(curves, steps, target, higher=higher)
    for row, step in zip(curves, found, strict=True):
        reached = row >= target if higher else row <= target
        assert math.isfinite(step) == reached.any()
        if reached.any() and not reached[0]:
            assert np.interp(step, steps, row) == pytest.approx(target, rel=1e-6, abs=1e-3)
            assert not reached[steps < step].any()
            assert steps[reached.argmax() - 1] <= step <= steps[reached.argmax()]


@given(curves=CURVES, target=st.floats(-1e6, 1e6))
def test_lower_is_higher_upside_down(curves: np.ndarray, target: float) -> None:
    """Lower-better of a curve is higher-better of its negative; only `inf` stands for never."""
    steps = np.arange(curves.shape[1], dtype=float)
    lower = metrics.steps_to(curves, steps, target, higher=False)
    assert np.array_equal(lower, metrics.steps_to(-curves, steps, -target, higher=True))
    assert not np.isnan(lower).any()
    assert (lower >= 0).all()


# ---- loss over the run


@given(losses=FINITE)
def test_mean_log_loss_is_the_log_of_the_geometric_mean(losses: np.ndarray) -> None:
    """Point 0 is left out, unless it is the only one."""
    found = metrics.mean_log_loss(losses, floor=1e-9)
    points = losses[:, 1:] if losses.shape[1] > 1 else losses
    assert found == pytest.approx(np.log(points).sum(axis=1) / points.shape[1], abs=1e-9)


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([2.0, 1.0, math.e], 0.5),
        ([2.0, 0.0, 0.0], math.log(0.002)),
        ([2.0, -5.0, 0.002], math.log(0.002)),
        ([2.0, 1.0, nan], inf),
        ([2.0, inf, 1.0], inf),
        ([2.0, 1.0, -inf], inf),
        ([nan, 1.0, 1.0], 0.0),
        ([inf, 1.0, 1.0], 0.0),
        ([nan, nan, nan], inf),
        ([nan], inf),
        ([math.e], 1.0),
        ([0.0, 0.0], math.log(1e-30)),
    ],
)
def test_mean_log_loss(losses: list[float], expected: float) -> None:
    """Zeros count as the floor, and a point that is not finite makes `inf` of the run."""
    assert metrics.mean_log_loss(np.array([losses])) == pytest.approx([expected])


def test_the_floor_is_shared_by_all_seeds() -> None:
    """A thousandth of the seeds' median start, those that start finite; a given floor wins."""
    losses = np.array([[1.0, 0.0], [2.0, 0.0], [9.0, 0.0], [nan, 0.0]])
    assert metrics.loss_floor(losses) == pytest.approx(0.002)
    assert metrics.mean_log_loss(losses) == pytest.approx(math.log(0.002))
    assert metrics.mean_log_loss(losses, floor=1.0) == pytest.approx(0.0)
    assert metrics.loss_floor(-losses) == 1e-30


# ---- oscillation


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([3.0, 2.0, 1.0], 0.0), ([1.0, 2.0, 3.0], 1.0), ([1.0, 0.0, 1.0], 0.5),
        ([4.0, 1.0, 2.0], 0.25), ([1.0, 1.0, 1.0], 0.0), ([1.0], 0.0),
        ([1.0, nan, 0.0], nan), ([1.0, inf, inf], nan), ([nan], nan),
    ],
)  # fmt: skip
def test_oscillation(curve: list[float], expected: float) -> None:
    """The rises' share of all movement; 0 where nothing moves, NaN where a point is not finite."""
    assert metrics.oscillation(np.array([curve])) == pytest.approx([expected], nan_ok=True)


@given(curves=CURVES)
def test_oscillation_backwards_is_the_rest(curves: np.ndarray) -> None:
    """A curve and its reverse share the movement between them."""
    there, back = metrics.oscillation(curves), metrics.oscillation(curves[:, ::-1])
    known = np.isfinite(curves).all(axis=1)
    moves = (curves != curves[:, :1]).any(axis=1)
    assert np.array_equal(np.isnan(there), ~known)
    assert (there + back)[known & moves] == pytest.approx(1.0)
    assert ((there >= 0) & (there <= 1))[known].all()


# ---- regimes


@pytest.mark.parametrize(
    ("losses", "constant", "reached", "expected"),
    [
        ([1.0, 0.5], None, None, "converged"),
        ([1.0, 0.5], 0.7, None, "converged"),
        ([1.0, 0.5], 0.7, True, "converged"),
        ([1.0, 0.5], 0.7, False, "slow"),
        ([1.0, 0.8], 0.7, True, "stalled"),
        ([1.0, 0.7], 0.7, False, "stalled"),
        ([0.5, 0.6], 0.7, True, "converged"),
        ([1.0, 1.0], None, True, "stalled"),
        ([1.0, 1.5], None, True, "stalled"),
        ([1.0, 1.51], None, True, "diverged"),
        ([1.0, 1.51], 9.0, True, "diverged"),
        ([1.0, 99.0, 0.5], 0.7, True, "converged"),
        ([1.0, nan, 0.5], 0.7, True, "diverged"),
        ([1.0, 0.1, nan], 0.7, True, "diverged"),
        ([nan, 0.1, 0.1], 0.7, True, "diverged"),
        ([1.0, inf, 0.1], 0.7, True, "diverged"),
        ([0.0, 0.0], None, True, "stalled"),
        ([0.0, 1e-9], None, True, "diverged"),
        ([-1.0, -0.4], None, True, "diverged"),
        ([-1.0, -0.6], None, True, "stalled"),
        ([-1.0, -2.0], None, True, "converged"),
        ([1.0], None, None, "stalled"),
        ([1.0], 2.0, True, "converged"),
    ],
)
def test_regimes(
    losses: list[float],
    constant: float | None,
    reached: bool | None,
    expected: str,
) -> None:
    """Each word at and beside its border."""
    arrived = None if reached is None else np.array([reached])
    assert metrics.regimes(np.array([losses]), constant, arrived) == [expected]


def test_each_run_has_a_regime_of_its_own() -> None:
    """Runs are judged one by one."""
    losses = np.array([[1.0, nan], [1.0, 1.2], [1.0, 0.5], [1.0, 0.5]])
    found = metrics.regimes(losses, 0.9, np.array([False, False, False, True]))
    assert tuple(found) == metrics.REGIMES
    assert set(found[:2]) == metrics.FAILED
