"""The vectorized engine gives `fit`'s curves, for every layer family and optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest
import torch

from dlbench.backend import true_float64
from dlbench.engines import train, train_sweep
from dlbench.errors import EngineError, ExperimentError
from dlbench.experiment import Experiment, Workload

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.runs import Runs

layers = keras.layers
STEPS = 52
SAMPLES, BATCH = 44, 10  # the last batch of an epoch has 4 samples


def workload(
    build: Callable[[], keras.Model],
    shape: tuple[int, ...] = (6,),
    *,
    loss: Any = "mse",
    outputs: int = 1,
    integers: int = 0,
    weighted: bool = False,
) -> Workload:
    """Return a small problem with inputs of a shape, or of whole numbers below `integers`."""
    generator = np.random.default_rng(5)
    x: Any = generator.normal(size=(SAMPLES, *shape))
    if integers:
        x = generator.integers(integers, size=(SAMPLES, *shape))
    y = np.sin(x.reshape(SAMPLES, -1)[:, :outputs].astype(float)) + 0.1
    if outputs > 1:
        y = np.abs(y) / np.abs(y).sum(axis=1, keepdims=True)
    elif not isinstance(loss, str):
        y = (y > 0).astype(float)
    parts = (x, y, generator.uniform(0.5, 2, SAMPLES)) if weighted else (x, y)
    return Workload(
        name="small", model=build, data=(parts, (x[:9], y[:9])), loss=loss, metrics=["mae"]
    )


def dense(*middle: Callable[[], Any], outputs: int = 1, **first: Any) -> Callable[[], keras.Model]:
    """Return a builder of a dense net with layers in its middle."""

    def build() -> keras.Model:
        return keras.Sequential(
            [
                layers.Dense(7, activation="tanh", **first),
                *(make() for make in middle),
                layers.Dense(outputs),
            ]
        )

    return build


def both(problem: Workload, **fields: Any) -> tuple[Runs, Runs]:
    """Return an experiment's runs by `fit` and by the vectorized engine."""
    options = {"learning_rate": 0.02, "batch_size": BATCH, "steps": STEPS, "seeds": 2} | fields
    experiment = Experiment(problem, **options)
    return train(experiment, engine="fit"), train(experiment, engine="vectorized")


def assert_same(fit: Runs, vectorized: Runs, tolerance: float = 1e-9) -> None:
    """Assert equal curves; a NaN on either side fails."""
    assert fit.starts == vectorized.starts
    assert fit.orders == vectorized.orders
    assert fit.curves.keys() == vectorized.curves.keys()
    for name, values in fit.curves.items():
        gap = np.abs(values - vectorized.curves[name]).max()
        assert gap <= tolerance * (1 + np.abs(values).max()), name


class Branches(keras.Model):  # type: ignore[misc]
    """A subclassed model with two ways through it, one layer of it shared."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = layers.Dense(6, activation="gelu")
        self.out = layers.Dense(1)

    def call(self, inputs: Any) -> Any:
        """Add what the shared layer makes of the inputs once and twice."""
        return self.out(self.shared(inputs) + self.shared(self.shared(inputs)))


def torch_net(norm: bool = False) -> keras.Model:
    """Return a Keras model around a torch module."""
    parts: list[torch.nn.Module] = [torch.nn.Linear(6, 8, dtype=torch.float64)]
    if norm:
        parts.append(torch.nn.BatchNorm1d(8, dtype=torch.float64))
    parts += [torch.nn.Tanh(), torch.nn.Linear(8, 1, dtype=torch.float64)]
    wrapped = layers.TorchModuleWrapper(torch.nn.Sequential(*parts), output_shape=(None, 1))
    return keras.Sequential([keras.Input((6,)), wrapped])


def functional() -> keras.Model:
    """Return a functional model with a skip connection."""
    inputs = keras.Input((6,))
    hidden = layers.Dense(6, activation="silu")(inputs)
    return keras.Model(inputs, layers.Dense(1)(layers.add([hidden, inputs])))


def sequence(layer: Callable[[], Any]) -> Callable[[], keras.Model]:
    """Return a builder of a model of sequences, 5 steps of 3 numbers."""
    return lambda: keras.Sequential([keras.Input((5, 3)), layer(), layers.Dense(1)])


def attention() -> keras.Model:
    """Return a model with self-attention and layer normalization."""
    inputs = keras.Input((5, 3))
    mixed = layers.MultiHeadAttention(num_heads=2, key_dim=3)(inputs, inputs)
    pooled = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(mixed + inputs))
    return keras.Model(inputs, layers.Dense(1)(pooled))


def embedding() -> keras.Model:
    """Return a model of words, with masking."""
    return keras.Sequential(
        [
            keras.Input((5,), dtype="int32"),
            layers.Embedding(9, 4, mask_zero=True),
            layers.GRU(3),
            layers.Dense(1),
        ]
    )


def conv(layer: Callable[[], Any], shape: tuple[int, ...]) -> Callable[[], keras.Model]:
    """Return a builder of a small convolutional net."""
    return lambda: keras.Sequential(
        [
            keras.Input(shape),
            layer(),
            layers.Activation("relu"),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )


def pooled() -> keras.Model:
    """Return a net of convolution, pooling and batch normalization."""
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(3, 3, padding="same"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(1),
        ]
    )


IMAGE, FIRST = (6, 6, 2), {"data_format": "channels_first"}
FAMILIES: dict[str, tuple[Callable[[], keras.Model], tuple[int, ...], int]] = {
    "dense": (dense(), (6,), 0),
    "functional": (functional, (6,), 0),
    "subclassed": (Branches, (6,), 0),
    "torch": (torch_net, (6,), 0),
    "torch batch norm": (lambda: torch_net(norm=True), (6,), 0),
    "dropout": (dense(lambda: layers.Dropout(0.3)), (6,), 0),
    "gaussian noise": (dense(lambda: layers.GaussianNoise(0.2)), (6,), 0),
    "gaussian dropout": (dense(lambda: layers.GaussianDropout(0.2)), (6,), 0),
    "alpha dropout": (dense(lambda: layers.AlphaDropout(0.2)), (6,), 0),
    "dropout seeded": (dense(lambda: layers.Dropout(0.3, seed=3)), (6,), 0),
    "batch norm": (dense(layers.BatchNormalization), (6,), 0),
    "layer norm": (dense(layers.LayerNormalization), (6,), 0),
    "prelu": (dense(layers.PReLU), (6,), 0),
    "regularized": (dense(kernel_regularizer="l2", activity_regularizer="l1"), (6,), 0),
    "constrained": (dense(kernel_constraint="max_norm"), (6,), 0),
    "simple rnn": (sequence(lambda: layers.SimpleRNN(4)), (5, 3), 0),
    "lstm": (sequence(lambda: layers.LSTM(4)), (5, 3), 0),
    "gru": (sequence(lambda: layers.GRU(4)), (5, 3), 0),
    "bidirectional": (sequence(lambda: layers.Bidirectional(layers.LSTM(3))), (5, 3), 0),
    "attention": (attention, (5, 3), 0),
    "embedding": (embedding, (5,), 9),
    "conv1d": (conv(lambda: layers.Conv1D(3, 2), (5, 3)), (5, 3), 0),
    "conv2d": (conv(lambda: layers.Conv2D(3, 3), IMAGE), IMAGE, 0),
    "conv2d strided": (conv(lambda: layers.Conv2D(3, 3, 2, padding="same"), IMAGE), IMAGE, 0),
    "conv2d first": (conv(lambda: layers.Conv2D(3, 3, **FIRST), (2, 6, 6)), (2, 6, 6), 0),
    "conv2d transpose": (conv(lambda: layers.Conv2DTranspose(3, 3), IMAGE), IMAGE, 0),
    "depthwise": (conv(lambda: layers.DepthwiseConv2D(3), IMAGE), IMAGE, 0),
    "separable": (conv(lambda: layers.SeparableConv2D(3, 3), IMAGE), IMAGE, 0),
    "pooled": (pooled, IMAGE, 0),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_layer_family(family: str) -> None:
    """In true float64 a family's curves are `fit`'s to 1e-9 over 52 updates."""
    build, shape, integers = FAMILIES[family]
    with true_float64():
        assert_same(*both(workload(build, shape, integers=integers), optimizer="adam"))


OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "sgd": lambda: keras.optimizers.SGD(0.05),
    "momentum": lambda: keras.optimizers.SGD(0.02, momentum=0.9),
    "nesterov": lambda: keras.optimizers.SGD(0.02, momentum=0.9, nesterov=True),
    "sgd decay": lambda: keras.optimizers.SGD(0.05, weight_decay=0.01),
    "adam": lambda: keras.optimizers.Adam(0.01),
    "amsgrad": lambda: keras.optimizers.Adam(0.01, amsgrad=True),
    "adamw": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.05),
    "nadam": lambda: keras.optimizers.Nadam(0.01),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.01, momentum=0.5, centered=True),
    "adagrad": lambda: keras.optimizers.Adagrad(0.05),
    "adadelta": lambda: keras.optimizers.Adadelta(1.0),
    "adamax": lambda: keras.optimizers.Adamax(0.01),
    "lion": lambda: keras.optimizers.Lion(0.003),
    "ftrl": lambda: keras.optimizers.Ftrl(0.05),
    "adafactor": lambda: keras.optimizers.Adafactor(0.05),
    "lamb": lambda: keras.optimizers.Lamb(0.02),
    "muon": lambda: keras.optimizers.Muon(0.02),
    "clipnorm": lambda: keras.optimizers.SGD(0.05, clipnorm=0.1),
    "global clipnorm": lambda: keras.optimizers.SGD(0.05, global_clipnorm=0.1),
    "clipvalue": lambda: keras.optimizers.SGD(0.05, clipvalue=0.05),
    "accumulation": lambda: keras.optimizers.Adam(0.01, gradient_accumulation_steps=3),
    "ema": lambda: keras.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.9),
    "ema overwrite": lambda: keras.optimizers.SGD(
        0.05, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=5
    ),
    "exponential decay": lambda: keras.optimizers.SGD(
        keras.optimizers.schedules.ExponentialDecay(0.1, 7, 0.8)
    ),
    "cosine warm-up": lambda: keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(0.0, 30, warmup_target=0.02, warmup_steps=9)
    ),
    "piecewise": lambda: keras.optimizers.SGD(
        keras.optimizers.schedules.PiecewiseConstantDecay([5, 20], [0.1, 0.05, 0.01])
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer(name: str) -> None:
    """In true float64 an optimizer's curves are `fit`'s to 1e-9 over 52 updates."""
    with true_float64():
        optimizer = OPTIMIZERS[name]()
        assert_same(*both(workload(dense()), optimizer=optimizer, learning_rate=None))


LOSSES: dict[str, tuple[Callable[[], Any], int]] = {
    "mae": (lambda: "mae", 1),
    "huber": (lambda: keras.losses.Huber(delta=0.3), 1),
    "log_cosh": (lambda: "log_cosh", 1),
    "hinge": (lambda: "hinge", 1),
    "binary": (
        lambda: keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1),
        1,
    ),
    "categorical": (lambda: keras.losses.CategoricalCrossentropy(from_logits=True), 3),
    "kld": (lambda: "kl_divergence", 3),
    "cosine": (lambda: "cosine_similarity", 3),
    "sum": (lambda: keras.losses.MeanSquaredError(reduction="sum"), 1),
}


@pytest.mark.parametrize("name", LOSSES)
def test_loss(name: str) -> None:
    """In true float64 a loss's curves are `fit`'s to 1e-9, sample weights included."""
    loss, outputs = LOSSES[name]
    with true_float64():
        problem = workload(dense(outputs=outputs), loss=loss(), outputs=outputs, weighted=True)
        assert_same(*both(problem, learning_rate=0.002))


def test_float32() -> None:
    """In float32 the curves are `fit`'s to 1e-5 over 52 updates."""
    assert_same(*both(workload(dense(lambda: layers.Dropout(0.2)))), tolerance=1e-5)


def test_unused_variable_is_skipped_as_fit_skips_it() -> None:
    """A variable without a gradient is not touched by weight decay either."""

    def build() -> keras.Model:
        model = dense()()
        model.add_weight(shape=(3,), initializer="ones", name="unused")
        return model

    optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.1)
    with true_float64(), pytest.warns(UserWarning, match="Gradients do not exist"):
        assert_same(*both(workload(build), optimizer=optimizer, learning_rate=None))


def test_dict_inputs() -> None:
    """A model with named inputs is trained as by `fit`."""

    def build() -> keras.Model:
        inputs = {name: keras.Input((3,), name=name) for name in ("left", "right")}
        both_sides = layers.concatenate([layers.Dense(4)(x) for x in inputs.values()])
        return keras.Model(inputs, layers.Dense(1)(both_sides))

    generator = np.random.default_rng(0)
    x = {name: generator.normal(size=(SAMPLES, 3)) for name in ("left", "right")}
    data = ((x, x["left"][:, :1]), (x, x["left"][:, :1]))
    with true_float64():
        assert_same(*both(Workload(name="two", model=build, data=data, loss="mse")))


def small(seeds: Any = 3, **fields: Any) -> Experiment:
    """Return an experiment whose curves the tests below compare to the bit."""
    problem = workload(dense(lambda: layers.Dropout(0.2)))
    return Experiment(problem, **{"batch_size": BATCH, "steps": 20, "seeds": seeds} | fields)


def test_a_run_depends_on_its_seed_alone() -> None:
    """Other seeds, their number and their order change no bit of a run's curves."""
    alone = train(small([7]), engine="vectorized")
    among = train(small([3, 11, 7, 2]), engine="vectorized")
    for name, values in alone.curves.items():
        np.testing.assert_array_equal(values[0], among.curves[name][2], err_msg=name)


def test_second_run_is_identical() -> None:
    """The same experiment gives the same bits again."""
    first, second = (train(small(), engine="vectorized") for _ in range(2))
    for name, values in first.curves.items():
        np.testing.assert_array_equal(values, second.curves[name], err_msg=name)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs trained two at a time have the curves of runs trained at once."""
    from dlbench.engines import vectorized
    from dlbench.engines.memory import Budget, measured_budget

    def tight(*measured: Any) -> Budget:
        measured_budget(*measured)
        return Budget(runs=2, step_bytes=1, sample_bytes=1 << 26)

    whole = train(small(5), engine="vectorized")
    monkeypatch.setattr(vectorized, "measured_budget", tight)
    parts = train(small(5), engine="vectorized")
    assert whole.starts == parts.starts
    for name, values in whole.curves.items():
        np.testing.assert_allclose(values, parts.curves[name], rtol=1e-6, err_msg=name)


def test_a_chunk_that_runs_out_of_memory_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where four runs do not fit, two are tried, and every run is trained once."""
    from dlbench.engines import vectorized

    sizes = []
    stacked = vectorized._stacked

    def scarce(lanes: Any) -> Any:
        sizes.append(len(lanes))
        if len(lanes) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried …")
        return stacked(lanes)

    whole = train(small(4), engine="vectorized")
    monkeypatch.setattr(vectorized, "_stacked", scarce)
    parts = train(small(4), engine="vectorized")
    assert sizes == [4, 2, 2]
    np.testing.assert_allclose(parts.curves["loss"], whole.curves["loss"], rtol=1e-6)


def test_a_sweep_is_its_experiments() -> None:
    """Rates trained in one program have the curves of each rate trained alone."""
    experiments = [small(2, learning_rate=rate) for rate in (0.3, 0.01)]
    swept = train_sweep(experiments, engine="vectorized")
    for experiment, runs in zip(experiments, swept, strict=True):
        assert runs.experiment == experiment.to_builtins()
        alone = train(experiment, engine="vectorized")
        for name, values in alone.curves.items():
            np.testing.assert_array_equal(values, runs.curves[name], err_msg=name)


def test_a_sweep_differs_in_its_rates_alone() -> None:
    """Experiments of another length, batch size or momentum are no sweep, nor is nothing at all."""
    momentum = keras.optimizers.SGD(0.1, momentum=0.5)
    for other in (
        small(2, steps=21),
        small(2, batch_size=9),
        small(3),
        small(2, optimizer=momentum),
    ):
        with pytest.raises(ExperimentError, match="differ in nothing but the learning rate"):
            train_sweep([small(2), other])
    with pytest.raises(ExperimentError, match="one or more"):
        train_sweep([])


def test_a_sweep_of_schedules() -> None:
    """Each run of a sweep has its own schedule's rate."""
    schedules = [keras.optimizers.schedules.ExponentialDecay(rate, 5, 0.5) for rate in (0.1, 0.01)]
    experiments = [small(2, learning_rate=schedule) for schedule in schedules]
    swept = train_sweep(experiments, engine="vectorized")
    for experiment, runs in zip(experiments, swept, strict=True):
        assert_same(train(experiment, engine="fit"), runs, tolerance=1e-5)


def test_a_diverging_run_disturbs_no_other() -> None:
    """One rate of a sweep diverges to NaN; the other's curves are those it has alone."""
    experiments = [small(2, learning_rate=rate) for rate in (1e30, 0.01)]
    wild, calm = train_sweep(experiments, engine="vectorized")
    assert wild.regime == "diverged"
    assert np.isnan(wild.curves["mae"][:, -1]).all()
    alone = train(experiments[1], engine="vectorized")
    np.testing.assert_array_equal(calm.curves["loss"], alone.curves["loss"])


@pytest.mark.parametrize("rate", [1e30, 1e38])
def test_a_diverging_binary_cross_entropy_is_a_result(rate: float) -> None:
    """PyTorch's own loss raises at a NaN; in both engines the runs have diverged, at the same points."""

    def build() -> keras.Model:
        return keras.Sequential(
            [layers.Dense(7, activation="relu"), layers.Dense(1, activation="sigmoid")]
        )

    problem = workload(build, loss=keras.losses.BinaryCrossentropy())
    fit, vectorized = both(problem, learning_rate=rate)
    assert fit.regime == vectorized.regime == "diverged"
    for name, values in fit.curves.items():
        np.testing.assert_array_equal(
            np.isfinite(values), np.isfinite(vectorized.curves[name]), err_msg=name
        )


def test_an_error_in_a_traced_step_is_left_to_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """What PyTorch raises while the program runs is a reason too, not the end of the test."""
    from dlbench.engines import vectorized

    def failing(*_: Any) -> Any:
        def step(*_: Any) -> Any:
            raise RuntimeError("no such kernel")

        step.graph = torch.fx.Graph()  # type: ignore[attr-defined]
        return step

    monkeypatch.setattr(vectorized, "trace", failing)
    runs = train(small())
    assert runs.engine == "fit"
    assert runs.engine_note == "RuntimeError: no such kernel"


def test_ends_early_when_all_have_diverged() -> None:
    """Progress jumps to the end, and the curves have every point."""
    told: list[int] = []
    experiment = small(2, learning_rate=1e30, steps=400)
    runs = train(experiment, lambda done, _: told.append(done), engine="vectorized")
    assert len(told) < 100
    assert runs.curves["loss"].shape == (2, len(experiment.points))


class DataDependent(keras.layers.Layer):  # type: ignore[misc]
    """Branches on a value."""

    def call(self, inputs: Any) -> Any:
        """Return the inputs, or their negative where their sum is negative."""
        return -inputs if inputs.detach().sum().item() < 0 else inputs


class Counting(keras.layers.Layer):  # type: ignore[misc]
    """Keeps a Python counter."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def call(self, inputs: Any) -> Any:
        """Return the inputs times the number of calls so far."""
        self.calls += 1
        return inputs * (1 + self.calls / 100)


class NumpyNoise(keras.layers.Layer):  # type: ignore[misc]
    """Draws from NumPy's global generator."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return the inputs times a random number while training."""
        return inputs * float(np.random.uniform(0.5, 1.5)) if training else inputs  # noqa: NPY002


class OwnStep(keras.Model):  # type: ignore[misc]
    """Trains by a step of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.out = layers.Dense(1)

    def call(self, inputs: Any) -> Any:
        """Return the dense layer's outputs."""
        return self.out(inputs)

    def train_step(self, data: Any) -> Any:
        """Train on the batch twice."""
        super().train_step(data)
        return super().train_step(data)


FALLBACKS: dict[str, tuple[Callable[[], keras.Model], str]] = {
    "data-dependent branch": (dense(DataDependent), "DataDependent|data_dependent|item"),
    "counter": (dense(Counting), r"counting\.calls"),
    "spectral norm": (
        lambda: keras.Sequential([layers.SpectralNormalization(layers.Dense(1))]),
        "spectral_normalization",
    ),
    "numpy noise": (dense(NumpyNoise), "differs from `fit`'s"),
    "torch dropout": (
        lambda: keras.Sequential(
            [
                layers.TorchModuleWrapper(torch.nn.Dropout(0.5), output_shape=(None, 6)),
                layers.Dense(1),
            ]
        ),
        "random",
    ),
    "own train_step": (OwnStep, "train_step|differs from `fit`'s"),
}


@pytest.mark.parametrize("name", FALLBACKS)
def test_falls_back_to_fit_aloud(name: str) -> None:
    """What cannot be vectorized is trained by `fit`, with the reason; asked for, it is an error."""
    build, reason = FALLBACKS[name]
    experiment = Experiment(workload(build), batch_size=BATCH, steps=8, seeds=2)
    runs = train(experiment)
    assert runs.engine == "fit"
    assert runs.engine_note is not None
    import re

    assert re.search(reason, runs.engine_note), runs.engine_note
    assert "\n" not in runs.engine_note
    with pytest.raises(EngineError, match="--dlbench-engine=auto"):
        train(experiment, engine="vectorized")


def test_a_model_that_failed_leaves_nothing_behind() -> None:
    """A healthy model after a failed trace is vectorized, with the curves it had before it."""
    before = train(small(), engine="vectorized")
    for build, _ in FALLBACKS.values():
        train(Experiment(workload(build), batch_size=BATCH, steps=3, seeds=1))
    after = train(small(), engine="vectorized")
    np.testing.assert_array_equal(before.curves["loss"], after.curves["loss"])


def test_the_proof_catches_what_does_not_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step whose bias does not train is found by the first updates, and named."""
    from dlbench.engines.program import Program

    update = Program._update

    def frozen_bias(self: Program, state: Any, grads: Any, rate: Any) -> Any:
        new = update(self, state, grads, rate)
        return [state[0], *new[1:]]

    monkeypatch.setattr(Program, "_update", frozen_bias)
    runs = train(small())
    assert runs.engine == "fit"
    assert "sequential/dense/kernel differs from `fit`'s" in str(runs.engine_note)


def test_a_metric_that_counts_in_python_is_left_to_fit() -> None:
    """A Python counter in a metric would stand still in a traced evaluation: it is found, and named."""

    class Calls(keras.metrics.Mean):  # type: ignore[misc]
        calls = 0

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            self.calls = self.calls + 1
            super().update_state(keras.ops.mean(y_pred) * self.calls)

    example = workload(dense())
    counting = Workload(
        name="small", model=dense(), data=example.data, loss="mse", metrics=[Calls(name="calls")]
    )
    runs = train(Experiment(counting, steps=4, seeds=2))
    assert runs.engine == "fit"
    assert "calls.calls, a Python value" in str(runs.engine_note)


def test_the_proof_catches_a_wrong_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    """A curve that is read wrongly is found, and named."""
    from dlbench.engines.program import Program

    measure = Program.measure

    def halved(self: Program, *arguments: Any) -> Any:
        loss, new = measure(self, *arguments)
        return loss / 2, new

    monkeypatch.setattr(Program, "measure", halved)
    runs = train(small())
    assert runs.engine == "fit"
    assert "the curve 'loss' differs" in str(runs.engine_note)


def test_an_error_while_reading_is_left_to_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the other thread raises is a reason like any other, told in one line."""
    from dlbench.engines.reading import Reader

    def fail(self: Reader, states: Any) -> Any:
        raise IndexError("in the other thread")

    monkeypatch.setattr(Reader, "_read", fail)
    runs = train(small())
    assert runs.engine == "fit"
    assert "IndexError: in the other thread" in str(runs.engine_note)
