"""The step that is timed: one real update of one compiled Keras model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import torch

from dlbench.engines import timing
from dlbench.engines.fit import compiled
from dlbench.engines.timing import training_step
from dlbench.experiment import Experiment, Workload

if TYPE_CHECKING:
    import pytest

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(10, 3)).astype("float32")
Y = (X[:, 0] > 0).astype("int64")


def build() -> keras.Model:
    """Return a model with a random layer."""
    layers = [keras.Input((3,)), keras.layers.Dropout(0.5), keras.layers.Dense(2)]
    return keras.Sequential([*layers, keras.layers.Softmax()])


def experiment(*, weight: np.ndarray | None = None, batch_size: int = 4) -> Experiment:
    """Return an experiment on ten samples."""
    train = (X, Y) if weight is None else (X, Y, weight)
    workload = Workload(
        name="ten",
        model=build,
        data=(train, (X, Y)),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Experiment(workload, learning_rate=0.1, batch_size=batch_size, steps=3, seeds=[7, 8])


def test_a_call_is_one_update_of_the_first_seeds_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model starts as seed 7 does, has its metrics compiled, and each call updates it once."""
    made: list[keras.Model] = []

    def keep(*arguments: object, **more: object) -> keras.Model:
        made.append(compiled(*arguments, **more))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(timing, "compiled", keep)
    step = training_step(experiment())
    (model,) = made
    before = [weight.value.detach().clone() for weight in model.weights]
    assert int(model.optimizer.iterations) == 0
    logs = step()
    assert isinstance(logs, list)
    assert all(isinstance(value, float) for value in logs)
    assert len(logs) == 2  # loss and accuracy
    assert int(model.optimizer.iterations) == 1
    step()
    assert int(model.optimizer.iterations) == 2
    after = [weight.value.detach().clone() for weight in model.weights]
    assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_every_call_trains_on_the_same_first_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the first batch of the first seed, as tensors, with its sample weights."""
    seen: list[tuple[Any, Any, Any]] = []

    def watch(model: keras.Model, x: object, y: object, sample_weight: object = None) -> None:
        seen.append((x, y, sample_weight))

    monkeypatch.setattr(keras.Model, "train_on_batch", watch)
    weight = np.linspace(0.5, 1.5, 10).astype("float32")
    trained = experiment(weight=weight)
    step = training_step(trained)
    step()
    step()
    order = trained.order(7, 0)[:4]
    for x, y, weights in seen:
        assert isinstance(x, torch.Tensor)
        np.testing.assert_array_equal(x.cpu().numpy(), X[order])
        np.testing.assert_array_equal(y.cpu().numpy(), Y[order])
        np.testing.assert_array_equal(weights, weight[order])


def test_a_batch_larger_than_the_data_is_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch size of 1000 on ten samples times an update on ten."""
    sizes = []

    def watch(model: keras.Model, x: object, y: object, sample_weight: object = None) -> None:
        sizes.append(len(y))  # type: ignore[arg-type]

    monkeypatch.setattr(keras.Model, "train_on_batch", watch)
    training_step(experiment(batch_size=1000))()
    assert sizes == [10]


def test_generators_are_left_as_they_were() -> None:
    """Making the step draws from its own seed, not from the caller's generators."""
    state = torch.get_rng_state()
    training_step(experiment())
    assert torch.equal(torch.get_rng_state(), state)
