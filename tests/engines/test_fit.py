"""The fit engine defines what is right: here it is held against loops written out by hand."""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest
import torch
from keras.src.backend.common.global_state import get_global_attribute
from keras.src.backend.torch import nn as keras_nn
from keras.src.random.seed_generator import global_seed_generator

from dlbench.backend import quiet_keras, seeded
from dlbench.engines import OnProgress, ignore_progress
from dlbench.engines.draws import portable_draws
from dlbench.engines.evaluation import evaluate
from dlbench.engines.fit import _generator, compiled, first_updates, train_by_fit
from dlbench.errors import ExperimentError
from dlbench.experiment import Experiment, Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dlbench.runs import Runs

SAMPLES = 10


def numbers(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return a regression problem with three inputs and noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 3)).astype(np.float32)
    y = x @ np.array([1.0, -2.0, 0.5]) + 0.3 + rng.normal(scale=0.1, size=count)
    return x, y.astype(np.float32)


def train(experiment: Experiment, on_progress: OnProgress = ignore_progress) -> Runs:
    """Train by the engine under test."""
    return train_by_fit(experiment, on_progress)


def linear() -> keras.Model:
    """Return a linear model that starts at random weights."""
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])


def workload(model: Callable[[], Any] = linear, **changes: Any) -> Workload:
    """Return a workload on `numbers`, with a validation set."""
    fields: dict[str, Any] = {
        "name": "numbers",
        "model": model,
        "data": (numbers(SAMPLES), numbers(6, seed=1)),
        "loss": "mse",
    }
    return Workload(**(fields | changes))


def by_hand(
    experiment: Experiment,
    seed: int,
    *,
    rate: Callable[[int], float] = lambda _: 0.1,
    accumulate: int = 1,
    momentum: float | None = None,
) -> dict[str, list[float]]:
    """Train the linear model by plain SGD in NumPy, in float64; return the curves at the points.

    `momentum` is that of a moving average of the weights, as Keras' `use_ema` keeps it.
    """
    with seeded(seed):
        start = experiment.workload.build().get_weights()
    weights = np.concatenate([start[0].ravel(), start[1]]).astype(np.float64)
    average, gradient_sum = weights.copy(), np.zeros(4)
    curves: dict[str, list[float]] = {}
    data: Any = experiment.workload.data

    def read() -> None:
        for prefix, values in {"": weights, "ema_": average}.items():
            for name, part in (("", data.train), ("val_", data.validation)):
                wide = np.column_stack([part.x, np.ones(len(part))])
                share = 1.0 if part.weight is None else part.weight
                loss = np.mean((wide @ values - part.y) ** 2 * share)
                curves.setdefault(f"{prefix}{name}loss", []).append(float(loss))

    read()
    batches: Iterable[Any] = experiment.batches(seed)
    for step, batch in enumerate(batches):
        if step == experiment.steps:
            break
        wide = np.column_stack([batch.x, np.ones(len(batch))]).astype(np.float64)
        share = 1.0 if batch.weight is None else batch.weight
        gradient_sum += 2 * wide.T @ ((wide @ weights - batch.y) * share) / len(batch)
        if (step + 1) % accumulate == 0:
            weights = weights - rate(step) * gradient_sum / accumulate
            gradient_sum = np.zeros(4)
        if momentum is not None:
            kept = momentum if step // accumulate else 0.0
            average = kept * average + (1 - kept) * weights
        if step + 1 in experiment.points:
            read()
    return curves


def assert_same_curves(runs: Runs, expected: dict[int, dict[str, list[float]]]) -> None:
    """Every curve of every seed equals the expected one, to float32's rounding."""
    for row, seed in enumerate(runs.seeds):
        for name, values in runs.curves.items():
            assert values[row] == pytest.approx(expected[seed][name], rel=2e-5, abs=1e-6), name


def assert_same_bits(one: Runs, other: Runs) -> None:
    """Both runs hold the same seeds and, NaN included, the same bits."""
    assert one.seeds == other.seeds
    assert one.curves.keys() == other.curves.keys()
    for name in one.curves:
        assert one.curves[name].tobytes() == other.curves[name].tobytes(), name
    assert (one.starts, one.orders) == (other.starts, other.orders)


# ---- equal to a loop by hand


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("batch_size", "steps"), [(1, 13), (3, 7), (4, 6), (4, 7), (10, 5), (64, 3), ("full", 3)]
)
def test_curves_equal_plain_sgd(batch_size: int | str, steps: int, weighted: bool) -> None:
    """Partial last batches, runs that end within an epoch, and sample weights are trained right."""
    weights = [np.linspace(0.2, 2.0, SAMPLES)] if weighted else []
    chosen = workload(data=((*numbers(SAMPLES), *weights), numbers(6, seed=1)))
    experiment = Experiment(
        chosen, learning_rate=0.1, batch_size=batch_size, steps=steps, seeds=[3, 0]
    )
    runs = train(experiment)
    assert runs.points.tolist() == list(experiment.points)
    assert (runs.points[0], runs.points[-1]) == (0, steps)
    assert_same_curves(runs, {seed: by_hand(experiment, seed) for seed in (3, 0)})


def test_gradient_accumulation_counts_batches_as_updates() -> None:
    """With accumulation over 3 batches the weights move at every third update alone."""
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=3)
    experiment = Experiment(workload(), optimizer=optimizer, batch_size=4, steps=10)
    runs = train(experiment)
    assert_same_curves(runs, {0: by_hand(experiment, 0, accumulate=3)})
    assert runs.at("loss", 1).item() == runs.at("loss", 2).item() != runs.at("loss", 3).item()


def test_learning_rate_schedules_run_through_all_epochs() -> None:
    """A schedule sees the updates of the whole run, not those of an epoch."""
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([2, 5], [0.2, 0.05, 0.01])
    experiment = Experiment(workload(), learning_rate=schedule, batch_size=4, steps=9)
    rates = {0: 0.2, 1: 0.2, 2: 0.2, 3: 0.05, 4: 0.05, 5: 0.05}
    expected = by_hand(experiment, 0, rate=lambda step: rates.get(step, 0.01))
    assert_same_curves(train(experiment), {0: expected})


@pytest.mark.parametrize("accumulate", [None, 2])
def test_moving_averages_are_a_further_series(accumulate: int | None) -> None:
    """`ema_loss` is that of averages over the whole run; `loss` is read before they overwrite."""
    optimizer = keras.optimizers.SGD(
        0.1, use_ema=True, ema_momentum=0.8, gradient_accumulation_steps=accumulate
    )
    experiment = Experiment(workload(), optimizer=optimizer, batch_size=4, steps=8)
    runs = train(experiment)
    assert list(runs.curves) == ["loss", "val_loss", "ema_loss", "ema_val_loss"]
    expected = by_hand(experiment, 0, accumulate=accumulate or 1, momentum=0.8)
    assert_same_curves(runs, {0: expected})
    assert runs.final("loss").item() != runs.final("ema_loss").item()


def test_reading_averages_leaves_the_weights() -> None:
    """With and without averages beside it, the training goes the same way."""
    plain = train(Experiment(workload(), learning_rate=0.1, batch_size=4, steps=7))
    optimizer = keras.optimizers.SGD(0.1, use_ema=True)
    averaged = train(Experiment(workload(), optimizer=optimizer, batch_size=4, steps=7))
    for name in ("loss", "val_loss"):
        assert plain.curves[name].tobytes() == averaged.curves[name].tobytes()


def test_batches_arrive_whole_and_in_order() -> None:
    """Keras peeks into the generator; no batch is lost, repeated or moved by it."""
    seen: list[np.ndarray] = []

    class Recorder(keras.Sequential):  # type: ignore[misc]
        def train_step(self, data: Any) -> Any:
            seen.append(data[0].numpy())
            return super().train_step(data)

    def build() -> keras.Model:
        return Recorder([keras.Input((3,)), keras.layers.Dense(1)])

    experiment = Experiment(workload(build), batch_size=4, steps=8, seeds=[5])
    train(experiment)
    expected: list[Any] = [batch.x for batch in experiment.batches(5)][:8]
    assert [len(batch) for batch in seen] == [4, 4, 2, 4, 4, 2, 4, 4]
    assert all(np.array_equal(a, b) for a, b in zip(seen, expected, strict=True))
    epoch = np.concatenate(seen[:3])
    assert sorted(map(tuple, epoch)) == sorted(map(tuple, numbers(SAMPLES)[0]))
    assert not np.array_equal(epoch, np.concatenate(seen[3:6]))


def test_one_fit_a_run() -> None:
    """A run is one call of `fit`: callbacks, schedules and averages see one training."""
    calls: list[dict[str, Any]] = []

    class Counted(keras.Sequential):  # type: ignore[misc]
        def fit(self, *args: Any, **kwargs: Any) -> Any:
            calls.append(kwargs)
            return super().fit(*args, **kwargs)

    def build() -> keras.Model:
        return Counted([keras.Input((3,)), keras.layers.Dense(1)])

    train(Experiment(workload(build), batch_size=4, epochs=3, seeds=2))
    assert [(call["epochs"], call["steps_per_epoch"]) for call in calls] == [(3, 3), (3, 3)]


# ---- what else can be trained


def test_dict_inputs() -> None:
    """A model with several named inputs trains as one that gets them side by side."""
    x, y = numbers(SAMPLES)

    def build() -> keras.Model:
        a, b = keras.Input((1,), name="a"), keras.Input((2,), name="b")
        joined = keras.layers.Concatenate()([a, b])
        return keras.Model(
            {"a": a, "b": b}, keras.layers.Dense(1, kernel_initializer="ones")(joined)
        )

    def joined() -> keras.Model:
        layer = keras.layers.Dense(1, kernel_initializer="ones")
        return keras.Sequential([keras.Input((3,)), layer])

    apart = workload(build, data=({"a": x[:, :1], "b": x[:, 1:]}, y))
    options: dict[str, Any] = {"learning_rate": 0.1, "batch_size": 4, "steps": 5}
    runs = train(Experiment(apart, **options))
    expected = train(Experiment(workload(joined, data=(x, y)), **options))
    assert runs.curves["loss"] == pytest.approx(expected.curves["loss"], rel=1e-6)


def test_models_without_a_training_argument() -> None:
    """A model whose `call` takes the inputs alone is trained and measured."""

    class Bare(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, x: Any) -> Any:
            return self.dense(x)

    runs = train(Experiment(workload(Bare), learning_rate=0.1, batch_size=4, steps=9))
    assert (runs.final("loss") < runs.at("loss", 0)).all()


def test_losses_with_a_signature_of_the_users_own() -> None:
    """A model's own `compute_loss`, in the older form without `training`, is what is read."""

    class Shifted(keras.Sequential):  # type: ignore[misc]
        def compute_loss(
            self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None
        ) -> Any:
            del sample_weight
            return keras.ops.mean((y_pred[:, 0] - y) ** 2) + keras.ops.mean(x[:, 0] - x[:, 0] + 1)

    def build() -> keras.Model:
        # The name is a part of the variables' paths, and so of their streams.
        return Shifted([keras.Input((3,)), keras.layers.Dense(1)], name="sequential")

    runs = train(Experiment(workload(build), learning_rate=0.1, batch_size=4, steps=2))
    plain = train(Experiment(workload(), learning_rate=0.1, batch_size=4, steps=2))
    assert runs.curves["loss"] == pytest.approx(plain.curves["loss"] + 1, rel=1e-6)


def test_weights_in_half_precision_have_a_digest() -> None:
    """bfloat16 weights, which NumPy does not know, are digested all the same."""

    def build() -> keras.Model:
        return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, dtype="bfloat16")])

    runs = train(Experiment(workload(build), steps=1, seeds=2))
    assert len(set(runs.starts)) == 2


# ---- a run depends on its seed alone


class Noise(keras.layers.Layer):  # type: ignore[misc]
    """Adds noise in every call, in evaluation too, from every generator there is."""

    def call(self, x: Any) -> Any:
        """Return `x` with noise of Python, NumPy, PyTorch and Keras."""
        noise = random.gauss() + np.random.normal() + torch.randn(())  # noqa: NPY002
        return x + 0.1 * noise + 0.1 * keras.random.normal(keras.ops.shape(x))


class Counter(keras.layers.Layer):  # type: ignore[misc]
    """Scales by a count of its own calls: once a plain weight, once one that is left trainable."""

    def build(self, _: Any) -> None:
        """Make the two counters."""
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)
        self.careless = self.add_weight(shape=(), initializer="zeros")

    def call(self, x: Any) -> Any:
        """Count, and scale by the counts."""
        self.count.assign_add(1.0)
        with torch.no_grad():
            self.careless.assign_add(1.0)
        return x / (1 + 0.01 * self.count + 0.01 * self.careless)


class Wrapped(torch.nn.Module):
    """A torch module with batch normalization, dropout and a buffer that it replaces."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(3, 8)
        self.norm = torch.nn.BatchNorm1d(8)
        self.dropout = torch.nn.Dropout(0.5)
        self.calls: torch.Tensor
        self.register_buffer("calls", torch.zeros(()))
        self.frozen = torch.nn.BatchNorm1d(8).eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return a hidden layer that shrinks with every call."""
        self.calls = self.calls + 1
        hidden: torch.Tensor = self.frozen(self.dropout(self.norm(self.linear(x))))
        return hidden / (1 + 0.01 * self.calls)


def dropout() -> keras.Model:
    """Return an MLP with batch normalization and dropout."""
    layers = keras.layers
    return keras.Sequential([
        keras.Input((3,)), layers.Dense(8, "relu"), layers.BatchNormalization(),
        layers.Dropout(0.5), layers.GaussianNoise(0.1), layers.Dense(1),
    ])  # fmt: skip


def noisy() -> keras.Model:
    """Return a model that draws random numbers in every call."""
    return keras.Sequential([keras.Input((3,)), Noise(), keras.layers.Dense(1)])


def counting() -> keras.Model:
    """Return a model that counts its calls."""
    return keras.Sequential([keras.Input((3,)), Counter(), keras.layers.Dense(1)])


def wrapped_in_a_list() -> keras.Model:
    """Return a model that keeps a torch module where PyTorch's `modules()` does not look."""
    wrapper = keras.layers.TorchModuleWrapper(Wrapped())
    return keras.Sequential([keras.Input((3,)), wrapper, keras.layers.Dense(1)])


class WrappedAsAttribute(keras.Model):  # type: ignore[misc]
    """A subclassed model with a torch module and a layer built at the first call."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Wrapped()
        self.dense = keras.layers.Dense(1)

    def call(self, x: Any) -> Any:
        """Return the outputs."""
        return self.dense(self.inner(x))


MODELS = [dropout, noisy, counting, wrapped_in_a_list, WrappedAsAttribute]


def everything_in(model: keras.Model) -> dict[str, bytes]:
    """Return the bytes of a model's variables and buffers."""
    state = {f"{i} {v.path}": v.value for i, v in enumerate(model.variables)}
    for layer in model._flatten_layers():
        state |= {f"{layer.name} {name}": buffer for name, buffer in layer.named_buffers()}
    return {name: tensor.detach().numpy().tobytes() for name, tensor in state.items()}


@pytest.mark.parametrize("build", MODELS)
def test_reading_the_curves_changes_nothing(build: Callable[[], keras.Model]) -> None:
    """A training that is read at every update ends in the bits of a plain `fit`."""
    made: list[keras.Model] = []

    def kept() -> keras.Model:
        made.append(build())
        return made[-1]

    experiment = Experiment(workload(kept), learning_rate=0.05, batch_size=4, epochs=2, seeds=[1])
    assert experiment.points == (0, 1, 2, 3, 4, 5, 6)
    with seeded(1):
        plain = compiled(experiment)
        batches = _generator(experiment, 1)
        with portable_draws():
            plain.fit(batches, steps_per_epoch=3, epochs=2, shuffle=False, verbose=0)
    runs = train(experiment)
    assert everything_in(made[-1]) == everything_in(plain)
    assert np.isfinite(runs.curves["loss"]).all()


@pytest.mark.parametrize("build", MODELS)
def test_a_second_run_is_bit_identical(build: Callable[[], keras.Model]) -> None:
    """Trained again in the same process, an experiment gives the same bits."""
    experiment = Experiment(workload(build), learning_rate=0.05, batch_size=4, steps=5, seeds=2)
    assert_same_bits(train(experiment), train(experiment))


@pytest.mark.parametrize("build", [dropout, wrapped_in_a_list])
def test_a_run_depends_on_its_seed_alone(build: Callable[[], keras.Model]) -> None:
    """Other seeds, their order, and whatever was built or seeded before, do not count."""

    def trained(seeds: list[int]) -> Runs:
        return train(
            Experiment(workload(build), learning_rate=0.05, batch_size=4, steps=4, seeds=seeds)
        )

    together = trained([0, 1, 2])
    keras.layers.Dropout(0.5)
    dropout()
    keras.utils.set_random_seed(99)
    torch.rand(7)
    backwards = trained([2, 0])
    alone = trained([1])
    for name, curves in together.curves.items():
        assert curves[[2, 0]].tobytes() == backwards.curves[name].tobytes()
        assert curves[[1]].tobytes() == alone.curves[name].tobytes()
        assert len({row.tobytes() for row in curves}) == 3
    assert (together.starts[1], together.orders[1]) == (alone.starts[0], alone.orders[0])
    assert len(set(together.starts)) == len(set(together.orders)) == 3


# Keras warns of a layer that it cannot build.
@pytest.mark.filterwarnings("ignore:Layer 'broken' looks like it has unbuilt state")
def test_a_failed_build_leaves_no_trace() -> None:
    """Builders that fail, at once or at their first call, do not touch the runs after them."""

    class Broken(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(4)

        def call(self, x: Any) -> Any:
            raise RuntimeError(f"broken on {self.dense(x)}")

    def unready() -> keras.Model:
        keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        raise LookupError("no model today")

    def symbolic() -> keras.Model:
        return keras.Model(outputs := keras.Input((3,)), Broken()(outputs))

    options: dict[str, Any] = {"learning_rate": 0.1, "batch_size": 4, "steps": 4}
    before = train(Experiment(workload(dropout), **options))
    for broken, error in (
        (Broken, ExperimentError),
        (unready, LookupError),
        (symbolic, RuntimeError),
    ):
        with pytest.raises(error):
            Experiment(workload(broken), **options)
    assert_same_bits(before, train(Experiment(workload(dropout), **options)))


SCRIPT = """
import keras, numpy as np
from dlbench import Experiment, Workload
from dlbench.engines import train

def build():
    layers = keras.layers
    return keras.Sequential([keras.Input((3,)), layers.Dense(8, "relu"), layers.Dropout(0.5),
                             layers.BatchNormalization(), layers.Dense(1)])

rng = np.random.default_rng(0)
data = (rng.normal(size=(10, 3)), rng.normal(size=10))
experiment = Experiment(Workload(name="n", model=build, data=data, loss="mse"),
                        optimizer="adam", batch_size=4, steps=5, seeds=2)
runs = train(experiment, engine="fit")
print(experiment.id, runs.starts, runs.orders, runs.curves["loss"].tobytes().hex())
"""


def test_a_fresh_process_gives_the_same_bits(capsys: pytest.CaptureFixture[str]) -> None:
    """A fresh process with another hash seed gives the runs, and the id, that this one gives."""
    fresh = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | {"PYTHONHASHSEED": "1", "KERAS_BACKEND": "torch"},
        capture_output=True, text=True, check=True, timeout=120,
    ).stdout  # fmt: skip
    exec(SCRIPT, {"__name__": "__main__"})  # noqa: S102 - the text above
    assert capsys.readouterr().out == fresh
    assert len(fresh.split()[-1]) == 2 * 6 * 16


# ---- manners


def global_state() -> dict[str, Any]:
    """Return the state of every process-wide generator, and the names that Keras has given."""
    numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002
    return {
        "keras": global_seed_generator().state.value.numpy().tobytes(),
        "names": dict(get_global_attribute("object_name_uids")),
        "python": random.getstate(),
        "numpy": repr(numpy_state),
        "torch": torch.get_rng_state().numpy().tobytes(),
    }


def assert_unmoved(call: Callable[[], object]) -> None:
    """Every generator, and the names that Keras gives, are after `call` as they were before."""
    keras.layers.Dense(1)
    before = global_state()
    call()
    after = global_state()
    for name in before:
        assert after[name] == before[name], name


@pytest.mark.parametrize("build", MODELS)
def test_global_state_is_as_it_was(build: Callable[[], keras.Model]) -> None:
    """Training leaves the generators of Python, NumPy, PyTorch and Keras, and Keras' names."""
    experiment = Experiment(workload(build), batch_size=4, steps=2)
    assert_unmoved(lambda: train(experiment))


def test_an_interrupt_leaves_the_global_state() -> None:
    """Ctrl-C in the middle of a run goes through, and everything is as it was."""
    experiment = Experiment(workload(dropout), batch_size=4, steps=9, seeds=3)
    told: list[int] = []

    def interrupt(done: int, total: int) -> None:
        told.append(done)
        if done == 12:
            raise KeyboardInterrupt(total)

    def interrupted() -> None:
        with pytest.raises(KeyboardInterrupt):
            train(experiment, interrupt)

    assert_unmoved(interrupted)
    assert told[-1] == 12


def test_the_callers_objects_are_untouched() -> None:
    """Optimizer, loss and metrics are templates: none of the caller's own is built or updated."""
    optimizer = keras.optimizers.Adam(0.01)
    loss, metric = keras.losses.Huber(), keras.metrics.MeanAbsoluteError()

    def configs() -> list[dict[str, Any]]:
        with quiet_keras():
            return [optimizer.get_config(), loss.get_config(), metric.get_config()]

    before = configs()
    chosen = workload(loss=loss, metrics=[metric])
    first = train(Experiment(chosen, optimizer=optimizer, batch_size=4, steps=5))
    assert not optimizer.built
    assert int(optimizer.iterations.value) == 0
    assert metric.result() == 0
    assert configs() == before
    second = train(Experiment(chosen, optimizer=optimizer, batch_size=4, steps=5))
    assert_same_bits(first, second)


def test_progress_tells_every_update() -> None:
    """Progress counts up to the updates of all seeds."""
    told: list[tuple[int, int]] = []
    experiment = Experiment(workload(), batch_size=4, steps=4, seeds=2)
    train(experiment, lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert set(told) == {(done, 8) for done in range(9)}


# ---- divergence is a result


def test_a_rate_far_too_large_diverges_as_a_result() -> None:
    """At a rate of 1e10 the curves end in NaN, point 0 stays, and the run is called diverged."""
    told: list[int] = []
    chosen = workload(metrics=["mae"])
    experiment = Experiment(chosen, learning_rate=1e10, batch_size=4, steps=60, seeds=2)
    runs = train(experiment, lambda done, _: told.append(done))
    assert runs.regime == "diverged"
    for name in ("loss", "val_loss", "mae", "val_mae"):
        assert np.isfinite(runs.curves[name][:, 0]).all()
        assert np.isnan(runs.curves[name][:, -1]).all()
    first_nan = np.isnan(runs.curves["loss"]).argmax(axis=1)
    assert all(np.isnan(runs.curves["loss"][run, at:]).all() for run, at in enumerate(first_nan))
    assert len(told) < experiment.steps
    assert told[-1] == 120


def test_a_diverged_seed_harms_no_other() -> None:
    """Where one seed's weights turn NaN, the seed before and the one after train as alone."""

    class FailsOnOne(keras.layers.Layer):  # type: ignore[misc]
        def build(self, _: Any) -> None:
            value = math.nan if torch.initial_seed() == 1 else 1.0  # the run's own seed
            self.scale = self.add_weight(shape=(), initializer=lambda *_, **__: torch.tensor(value))

        def call(self, x: Any) -> Any:
            return x * self.scale

    def build() -> keras.Model:
        return keras.Sequential([keras.Input((3,)), FailsOnOne(), keras.layers.Dense(1)])

    options: dict[str, Any] = {"learning_rate": 0.05, "batch_size": 4, "steps": 5}
    runs = train(Experiment(workload(build), **options, seeds=[0, 1, 2]))
    assert runs.diverged.to_list() == [False, True, False]
    assert np.isnan(runs.curves["loss"][1]).all()
    for seed in (0, 2):
        alone = train(Experiment(workload(build), **options, seeds=[seed]))
        assert runs.curves["loss"][seed].tobytes() == alone.curves["loss"][0].tobytes()


def probabilities() -> keras.Model:
    """Return a binary classifier whose outputs are probabilities."""
    last = keras.layers.Dense(1, "sigmoid", kernel_initializer="zeros")
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(9, "relu"), last])


def raises_at_nan(y_true: Any, y_pred: Any) -> Any:
    """Return a loss of the user's own that stops at NaN, as many functions of PyTorch do."""
    return torch.nn.functional.binary_cross_entropy(y_pred, y_true, reduction="none")


@pytest.mark.parametrize(
    "loss", ["binary_crossentropy", keras.losses.BinaryFocalCrossentropy(), raises_at_nan]
)
def test_losses_that_refuse_nan_diverge_as_a_result(loss: object) -> None:
    """PyTorch's binary cross-entropy raises at NaN, between two points; the run diverges."""
    x, y = numbers(SAMPLES)
    data = (x * 100, (y > 0).astype(np.float32)[:, None])
    chosen = workload(probabilities, data=data, loss=loss, metrics=["accuracy", "auc"])
    experiment = Experiment(chosen, learning_rate=1e38, batch_size=4, steps=4000, seeds=2)
    assert experiment.points[1] == 10
    told: list[int] = []
    losses = set()

    def note(done: int, _: int) -> None:
        told.append(done)
        losses.add(keras_nn.binary_crossentropy)

    original = keras_nn.binary_crossentropy
    runs = train(experiment, note)
    assert runs.regime == "diverged"
    assert np.isnan(runs.final("auc")).all()
    assert told[-1] == 8000
    assert len(told) < 50
    assert (len(losses - {original}), keras_nn.binary_crossentropy) == (2, original)


def test_an_error_in_a_healthy_training_is_an_error() -> None:
    """What a layer raises while all numbers are finite reaches the caller as it is."""

    class Fails(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any, training: Any = None) -> Any:
            if training:
                raise LookupError("mine")
            return x

    def build() -> keras.Model:
        return keras.Sequential([keras.Input((3,)), Fails(), keras.layers.Dense(1)])

    with pytest.raises(LookupError, match="mine"):
        train(Experiment(workload(build), batch_size=4, steps=3))


def test_a_fit_that_is_cut_short_is_no_divergence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a cap of Keras ends the training, no NaN stands for updates that were never made."""
    experiment = Experiment(workload(), batch_size=4, epochs=3)
    monkeypatch.setattr(keras.src.backend.config, "_MAX_EPOCHS", 2)
    with (
        pytest.warns(UserWarning, match="Limiting epochs"),
        pytest.raises(ExperimentError, match=r"6 of 9 updates.*KERAS_MAX_EPOCHS"),
    ):
        train(experiment)


def test_point_zero_is_the_untrained_model() -> None:
    """The first reading of a run is that of the model as it is built from the seed."""
    experiment = Experiment(workload(metrics=["mae"]), learning_rate=0.1, batch_size=4, steps=3)
    runs = train(experiment)
    with seeded(0):
        expected = evaluate(experiment, compiled(experiment))
    assert {name: runs.curves[name][0, 0] for name in runs.curves} == expected


def test_gradients_of_every_update_count() -> None:
    """A variable that is at its optimum after one update still has the gradient of that update."""

    def one_weight() -> keras.Model:
        return keras.Sequential([keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])

    ones = np.ones((4, 1), dtype=np.float32)
    workload = Workload(name="one", model=one_weight, data=(ones, ones), loss="mse")
    experiment = Experiment(workload, learning_rate=0.5, batch_size="full", steps=3)
    assert first_updates(experiment, seed=0, updates=3).gradients == [2.0]
