"""The proof tells rounding from a difference."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from dlbench.engines.proof import _is_of, _noise, agree, updates_to_prove
from dlbench.engines.tracing import NotVectorizable
from dlbench.experiment import Experiment
from dlbench.workloads import xor

BEFORE = np.array([1.0, -2.0, 3.0], dtype=np.float32)
AFTER = BEFORE + np.float32(0.01)


def test_rounding_agrees() -> None:
    """A last bit is no difference."""
    assert agree(np.nextafter(AFTER, np.float32(np.inf)), AFTER, BEFORE)


@pytest.mark.parametrize(
    "ours",
    [
        BEFORE,  # it does not train
        AFTER + np.float32(0.001),  # a tenth of the update too much
        np.array([1.01, np.nan, 3.01], dtype=np.float32),
        np.array([1.01, np.inf, 3.01], dtype=np.float32),
    ],
)
def test_differences_do_not_agree(ours: np.ndarray) -> None:
    """A variable that stands still, one that moves otherwise, and a NaN on one side are seen."""
    assert not agree(ours, AFTER, BEFORE)


def test_both_diverged_agree() -> None:
    """Where `fit` is NaN at the same places, the engines agree."""
    nan = np.full(3, np.nan, dtype=np.float32)
    assert agree(nan, nan.copy(), BEFORE)


def test_whole_numbers_agree_exactly() -> None:
    """Counters and seed states are compared for equality."""
    assert agree(np.array([4]), np.array([4]), np.array([3]))
    assert not agree(np.array([5]), np.array([4]), np.array([3]))


def test_a_fit_that_stops_at_a_nan_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `fit` has no state to compare with, the experiment is left to it."""
    from dlbench.engines import proof
    from dlbench.engines.fit import FirstUpdates
    from dlbench.engines.state import Lane

    stopped = FirstUpdates(before=[BEFORE], after=None, gradients=[], curves={})
    monkeypatch.setattr(proof, "first_updates", lambda *_: stopped)
    with pytest.raises(NotVectorizable, match="stops at a NaN"):
        proof.prove([Lane(Experiment(xor()), 0)], ["dense/kernel"], [], {}, 3)


def test_noise_is_a_gradient_of_rounding() -> None:
    """A variable with a gradient of rounding and its slots are excused, and no other."""
    names = ["dense/kernel", "dense/bias", "norm/beta", "pre_dense/bias"]
    noise = _noise(names, [0.5, 1e-9, 0.0, 0.2])
    assert noise == ["dense/bias"]
    assert _is_of("dense/bias", noise)
    assert _is_of("adam/dense_bias_velocity", noise)
    assert not _is_of("pre_dense/bias", noise)
    assert not _is_of("adam/pre_dense_bias_velocity", noise)


def test_proves_until_everything_has_happened_once() -> None:
    """Accumulation and overwriting by averages are waited for."""
    accumulate = keras.optimizers.SGD(0.1, gradient_accumulation_steps=4)
    assert updates_to_prove(Experiment(xor(), optimizer=accumulate)) == 7
    assert updates_to_prove(Experiment(xor())) == 3
