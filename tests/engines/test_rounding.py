"""A perturbed run differs from the real one by what rounding can do, and by nothing else."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch

from dlbench.backend import seeded
from dlbench.engines import Engine, train
from dlbench.engines.rounding import ULPS, perturbed
from dlbench.experiment import Experiment, Workload
from dlbench.workloads import digits_cnn, digits_mlp

EPS = torch.finfo(torch.float32).eps


def weights(workload: Workload, seed: int) -> list[np.ndarray]:
    """Return a fresh model's trainable weights."""
    with seeded(seed):
        return [variable.numpy() for variable in workload.build().trainable_variables]


def test_every_weight_moves_by_a_few_units_in_the_last_place() -> None:
    """Each moves by 8 eps |w|, up or down, zeros not at all; another seed moves otherwise."""
    experiment = Experiment(digits_mlp(), seeds=2)
    moved = perturbed(experiment)
    directions = []
    for seed in (0, 1):
        before, after = weights(experiment.workload, seed), weights(moved.workload, seed)
        flat = np.concatenate([values.ravel() for values in before]).astype(float)
        change = np.concatenate([values.ravel() for values in after]) - flat
        np.testing.assert_allclose(np.abs(change), ULPS * EPS * np.abs(flat), rtol=0.5 / ULPS)
        assert (flat == 0).any()
        directions.append(np.sign(change[flat != 0]))
        assert abs(directions[-1].mean()) < 0.1
    assert (directions[0] != directions[1]).any()
    for again, first in zip(weights(moved.workload, 1), after, strict=True):
        np.testing.assert_array_equal(again, first)


@pytest.mark.parametrize("engine", ["fit", "vectorized"])
def test_only_rounding_is_between_the_runs(engine: Engine) -> None:
    """Same data, same order, same dropout: the curves part by less than a thousandth."""

    def build() -> keras.Model:
        inputs = keras.Input((64,))
        hidden = keras.layers.Dropout(0.5)(keras.layers.Dense(16, "relu")(inputs))
        return keras.Model(inputs, keras.layers.Dense(10, "softmax")(hidden))

    digits = digits_mlp()
    workload = Workload(name="dropout", model=build, data=digits.data, loss=digits.loss)
    experiment = Experiment(workload, learning_rate=0.1, steps=30, seeds=3)
    real, shaken = train(experiment, engine=engine), train(perturbed(experiment), engine=engine)
    assert shaken.experiment == real.experiment
    assert shaken.orders == real.orders
    assert set(shaken.starts).isdisjoint(real.starts)
    np.testing.assert_allclose(shaken.curves["loss"], real.curves["loss"], rtol=1e-3)
    assert (shaken.curves["loss"] != real.curves["loss"]).any()


def test_a_bias_of_zero_on_a_black_background_does_not_count_as_rounding() -> None:
    """A sum that is exactly 0 stays on its side of the kink: a CNN moves by less than 1e-5."""
    experiment = Experiment(digits_cnn(filters=(2,)), learning_rate=0.2, steps=20, seeds=8)
    real, shaken = train(experiment), train(perturbed(experiment))
    moved = (shaken.mean_log_loss() - real.mean_log_loss()).abs()
    assert 0 < moved.median() < 1e-5
