"""Evaluation reads the loss that `fit` minimizes, of whole sets, and moves nothing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, log_expit, log_softmax, xlogy

from dlbench.backend import seeded
from dlbench.engines import evaluation
from dlbench.engines.evaluation import constant_loss, evaluate
from dlbench.engines.fit import compiled
from dlbench.experiment import Experiment, Workload

if TYPE_CHECKING:
    from collections.abc import Callable

layers = keras.layers
losses = keras.losses

LOGITS = losses.SparseCategoricalCrossentropy(from_logits=True)


def experiment(model: Callable[[], Any], data: object, **fields: Any) -> Experiment:
    """Return an experiment on which nothing is trained."""
    return Experiment(Workload(name="e", model=model, data=data, **fields), steps=1)


def read(chosen: Experiment) -> dict[str, float]:
    """Return the curves' values for the untrained model of seed 0."""
    with seeded(0):
        return evaluate(chosen, compiled(chosen))


def mlp() -> keras.Model:
    """Return a classifier with three inputs and four classes, as logits."""
    return keras.Sequential([keras.Input((3,)), layers.Dense(5, "tanh"), layers.Dense(4)])


def classes(count: int = 23) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs and class numbers."""
    rng = np.random.default_rng(2)
    return rng.normal(size=(count, 3)).astype(np.float32), rng.integers(0, 4, count)


def outputs_of(chosen: Experiment) -> np.ndarray:
    """Return the outputs of the untrained model of seed 0 for the training set, in float64."""
    with seeded(0), torch.no_grad():
        model = compiled(chosen)
        outputs = model(keras.ops.convert_to_tensor(chosen.workload.data.train.x), training=False)
    array: np.ndarray = outputs.numpy().astype(np.float64)
    return array


# ---- the loss


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
def test_loss_by_reduction(reduction: str, weighted: bool) -> None:
    """A loss is the mean or the sum over the set, sample weights multiplied in."""
    x, y = classes()
    weight = np.linspace(0.1, 3, len(y)) if weighted else np.ones(len(y))
    data = (x, y, weight) if weighted else (x, y)
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, reduction=reduction)
    chosen = experiment(mlp, data, loss=loss)
    each = -log_softmax(outputs_of(chosen), axis=1)[np.arange(len(y)), y] * weight
    expected = each.sum() if reduction == "sum" else each.mean()
    assert read(chosen)["loss"] == pytest.approx(expected, rel=1e-6)


def test_loss_divided_by_the_weights() -> None:
    """The reduction `mean_with_sample_weight` divides by the sum of the weights."""
    x, y = classes()
    weight = np.linspace(0.1, 3, len(y))
    loss = losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction="mean_with_sample_weight"
    )
    chosen = experiment(mlp, (x, y, weight), loss=loss)
    each = -log_softmax(outputs_of(chosen), axis=1)[np.arange(len(y)), y]
    assert read(chosen)["loss"] == pytest.approx(np.average(each, weights=weight), rel=1e-6)


def test_penalties_are_included() -> None:
    """The loss holds the penalties on weights and on activations, and what `add_loss` adds."""

    class Adds(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            self.add_loss(keras.ops.mean(x) - keras.ops.mean(x) + 0.25)
            return x

    def build() -> keras.Model:
        return keras.Sequential([
            keras.Input((3,)), Adds(),
            layers.Dense(1, kernel_regularizer=keras.regularizers.L2(0.5),
                         activity_regularizer=keras.regularizers.L1(0.1)),
        ])  # fmt: skip

    x, y = classes()
    chosen = experiment(build, (x, y), loss="mse")
    outputs = outputs_of(chosen)[:, 0]
    with seeded(0):
        kernel = build().get_weights()[0]
    expected = ((outputs - y) ** 2).mean() + 0.5 * (kernel**2).sum() + 0.25
    expected += 0.1 * np.abs(outputs).mean()
    assert read(chosen)["loss"] == pytest.approx(expected, rel=1e-6)


def test_training_and_validation_are_read_apart() -> None:
    """`val_` stands for the validation set, whose own weights count."""
    x, y = classes()
    chosen = experiment(mlp, ((x, y), (x[:5], y[:5])), loss=LOGITS, metrics=["accuracy"])
    swapped = experiment(mlp, ((x[:5], y[:5]), (x, y)), loss=LOGITS, metrics=["accuracy"])
    one, other = read(chosen), read(swapped)
    assert list(one) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert one["loss"] == other["val_loss"]
    assert one["val_accuracy"] == other["accuracy"]


def test_metrics_are_not_weighted() -> None:
    """As `metrics=` of Keras' `compile`, metrics leave sample weights out; the loss does not."""
    x, y = classes()
    weight = np.where(y == 0, 5.0, 0.1)
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    weighted = read(experiment(mlp, (x, y, weight), loss=loss, metrics=["accuracy"]))
    plain = read(experiment(mlp, (x, y), loss=loss, metrics=["accuracy"]))
    assert weighted["accuracy"] == plain["accuracy"]
    assert weighted["loss"] != plain["loss"]
    chosen = experiment(mlp, (x, y, weight), loss=loss)
    with seeded(0):
        model = mlp()
        model.compile(loss=loss, metrics=["accuracy"])
        kerass = model.evaluate(x, y, sample_weight=weight, verbose=0, batch_size=100)
    assert [weighted["loss"], weighted["accuracy"]] == pytest.approx(kerass, rel=1e-6)
    assert read(chosen)["loss"] == weighted["loss"]


# ---- chunks


def masked() -> keras.Model:
    """Return a sequence classifier that masks zeros, with penalties on its activations."""
    return keras.Sequential([
        keras.Input((6,)),
        layers.Embedding(5, 3, mask_zero=True, activity_regularizer=keras.regularizers.L2(0.3)),
        layers.SimpleRNN(3, return_sequences=True, kernel_regularizer=keras.regularizers.L1(0.1)),
        layers.Dense(4),
    ])  # fmt: skip


def batch_level(y_true: Any, y_pred: Any) -> Any:
    """Return a metric that is no mean over samples: the range of the outputs."""
    return keras.ops.max(y_pred) - keras.ops.min(y_pred) + 0 * keras.ops.sum(y_true)


@pytest.mark.parametrize("chunk", [1, 5, 7, 10, 22, 23])
@pytest.mark.parametrize(
    "loss",
    [
        losses.SparseCategoricalCrossentropy(from_logits=True),
        losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum"),
        losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=2),
        losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight"),
    ],
    ids=["mean", "sum", "ignored", "by weight"],
)
def test_chunks_make_no_difference(loss: Any, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Masks, ignored classes, sums, weights and batch-level metrics are those of the whole set."""
    rng = np.random.default_rng(3)
    x, y = rng.integers(0, 5, (23, 6)), rng.integers(0, 4, (23, 6))
    x[:, 0] = 1  # no sample is masked as a whole
    x[9, 1:] = 0
    weight = np.linspace(0.1, 3, 23)[:, None] * np.ones(6)
    chosen = experiment(masked, (x, y, weight), loss=loss, metrics=["accuracy"])
    whole = read(chosen)
    monkeypatch.setattr(evaluation, "CHUNK", chunk)
    assert read(chosen) == pytest.approx(whole, rel=2e-6)


@pytest.mark.parametrize("chunk", [1, 5, 22])
def test_chunks_do_not_split_a_metric(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A metric that is no mean over samples is that of the whole set."""
    x, y = classes()
    chosen = experiment(mlp, (x, y), loss=LOGITS, metrics=[batch_level])
    monkeypatch.setattr(evaluation, "CHUNK", chunk)
    assert read(chosen)["batch_level"] == pytest.approx(np.ptp(outputs_of(chosen)), rel=1e-6)


# ---- what is not finite


def test_where_the_loss_is_nan_metrics_are_too() -> None:
    """A model of NaN outputs has no accuracy, and no AUC that would stop at them."""

    def build() -> keras.Model:
        layer = layers.Dense(1, "sigmoid", bias_initializer="zeros")
        return keras.Sequential([keras.Input((3,)), layer])

    x, y = classes()
    labels = (y > 1).astype(int)[:, None]
    chosen = experiment(build, (x, labels), loss="binary_crossentropy", metrics=["acc", "auc"])
    with seeded(0):
        model = compiled(chosen)
        assert np.isfinite(list(evaluate(chosen, model).values())).all()
        model.layers[0].bias.assign([math.nan])
        values = evaluate(chosen, model)
    assert list(values) == ["loss", "acc", "auc"]
    assert np.isnan(list(values.values())).all()


def test_an_infinite_loss_reads_as_nan() -> None:
    """A loss beyond float32 reads as NaN, since no curve continues from there."""

    def build() -> keras.Model:
        return keras.Sequential([keras.Input((3,)), layers.Dense(1), layers.Rescaling(1e30)])

    assert math.isnan(read(experiment(build, classes(), loss="mse"))["loss"])


# ---- nothing moves


class Block(torch.nn.Module):
    """A torch module with parts in both modes."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(3)
        self.frozen = torch.nn.BatchNorm1d(3).eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalize twice."""
        normalized: torch.Tensor = self.frozen(self.norm(x))
        return normalized


def test_modes_are_restored() -> None:
    """Training parts still train and frozen ones do not, in wrapped torch modules within a list."""
    blocks: list[Block] = []

    def build() -> keras.Model:
        blocks.append(Block())
        wrapper = layers.TorchModuleWrapper(blocks[-1])
        return keras.Sequential([keras.Input((3,)), wrapper, layers.Dense(1)])

    chosen = experiment(build, classes(), loss="mse")
    with seeded(0):
        model = compiled(chosen)
        model.train()
        block = blocks[-1]
        assert (block.norm.training, block.frozen.training) == (True, False)
        evaluate(chosen, model)
    assert (model.training, block.training) == (True, True)
    assert (block.norm.training, block.frozen.training) == (True, False)
    for norm in (block.norm, block.frozen):
        assert norm.num_batches_tracked is not None
        assert norm.num_batches_tracked.item() == 0


def test_an_evaluation_that_fails_restores_as_well() -> None:
    """An exception, Ctrl-C among them, leaves modes, variables and generators as they were."""

    class Stops(keras.layers.Layer):  # type: ignore[misc]
        armed = False

        def build(self, _: Any) -> None:
            self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)

        def call(self, x: Any) -> Any:
            self.count.assign_add(1.0)
            torch.rand(3)
            if Stops.armed:
                raise KeyboardInterrupt
            return x

    def build() -> keras.Model:
        return keras.Sequential([keras.Input((3,)), Stops(), layers.Dense(1)])

    chosen = experiment(build, classes(), loss="mse")
    with seeded(0):
        model = compiled(chosen)
        model.train()
        generator = torch.get_rng_state()
        count = float(model.layers[0].count.value)
        Stops.armed = True
        with pytest.raises(KeyboardInterrupt):
            evaluate(chosen, model)
        assert torch.equal(torch.get_rng_state(), generator)
    assert float(model.layers[0].count.value) == count
    assert model.training
    assert model.layers[0].training


def test_no_gradient_is_left_or_taken() -> None:
    """Evaluation builds no graph and leaves the gradients that are there."""
    chosen = experiment(mlp, classes(), loss=LOGITS)
    with seeded(0):
        model = compiled(chosen)
        weight = model.trainable_variables[0].value
        weight.grad = torch.full_like(weight, 7.0)
        evaluate(chosen, model)
    assert (weight.grad == 7).all()


# ---- the best constant


def constant(loss: object, y: Any, weight: Any = None) -> float:
    """Return `constant_loss` for labels, which must be known."""
    x = np.zeros((len(y), 1))
    data = (x, y) if weight is None else (x, y, weight)
    found = constant_loss(Workload(name="c", model=mlp, data=data, loss=loss))
    assert found is not None
    return found


LABELS = np.array([0, 1, 1, 3, 3, 3])
ENTROPY = -(1 / 6 * math.log(1 / 6) + 1 / 3 * math.log(1 / 3) + 1 / 2 * math.log(1 / 2))
"""Of the classes' shares 1/6, 1/3, 0 and 1/2, in nats."""


@pytest.mark.parametrize(
    ("loss", "labels"),
    [
        ("sparse_categorical_crossentropy", LABELS),
        ("sparse_categorical_crossentropy", LABELS[:, None]),
        ("sparse_categorical_crossentropy", np.column_stack([LABELS, LABELS[::-1]])),
        (losses.SparseCategoricalCrossentropy(), LABELS),
        (losses.SparseCategoricalCrossentropy(from_logits=True), LABELS),
        ("categorical_crossentropy", np.eye(4)[LABELS]),
        (losses.CategoricalCrossentropy(from_logits=True), np.eye(4)[LABELS]),
        (losses.SparseCategoricalCrossentropy(ignore_class=9), np.append(LABELS, [9, 9])),
        (losses.SparseCategoricalCrossentropy(ignore_class=-1), np.append(LABELS, [-1])),
    ],
)
def test_constant_of_a_cross_entropy_is_the_entropy(loss: object, labels: np.ndarray) -> None:
    """The best constant has the classes' frequencies; its loss is their entropy."""
    assert constant(loss, labels) == pytest.approx(ENTROPY, abs=1e-5)


@pytest.mark.parametrize(
    "loss",
    [
        "binary_crossentropy",
        losses.BinaryCrossentropy(),
        losses.BinaryCrossentropy(from_logits=True),
    ],
)
@pytest.mark.parametrize("shape", [(8,), (8, 1), (4, 2)])
def test_constant_of_a_binary_cross_entropy(loss: object, shape: tuple[int, ...]) -> None:
    """For several outputs it is the mean of their entropies, each of its own frequency."""
    labels = np.array([0, 1, 0, 0, 0, 1, 0, 0]).reshape(shape)
    shares = labels.reshape(len(labels), -1).mean(axis=0)
    expected = -(xlogy(shares, shares) + xlogy(1 - shares, 1 - shares)).mean()
    assert constant(loss, labels) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("classes_", [2, 5])
def test_constant_under_label_smoothing(classes_: int) -> None:
    """With smoothed labels the best constant is smoothed too; no other does better."""
    labels = np.eye(classes_)[[0, 0, 0, 1]]
    loss = losses.CategoricalCrossentropy(label_smoothing=0.2)
    smooth = 0.8 * labels.mean(axis=0) + 0.2 / classes_
    assert constant(loss, labels) == pytest.approx(-(smooth * np.log(smooth)).sum(), abs=1e-5)


def test_constant_where_one_class_is_all_there_is() -> None:
    """A class that never or always occurs gives a loss of 0, not NaN."""
    for loss in (
        losses.SparseCategoricalCrossentropy(from_logits=True),
        losses.SparseCategoricalCrossentropy(),
        losses.BinaryCrossentropy(from_logits=True),
        losses.BinaryCrossentropy(),
    ):
        assert constant(loss, np.zeros(4, dtype=int)) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("shape", [(12,), (12, 1), (4, 3), (2, 3, 2)])
def test_constant_of_squared_and_absolute_error(shape: tuple[int, ...]) -> None:
    """It is the variance around the mean, and the mean distance from the median."""
    labels = np.random.default_rng(4).gamma(1.0, size=shape).astype(np.float32)
    assert constant("mse", labels) == pytest.approx(labels.var(axis=0).mean(), rel=1e-5)
    distance = np.abs(labels - np.median(labels, axis=0)).mean()
    assert constant("mae", labels) == pytest.approx(distance, rel=1e-5)


@settings(max_examples=40, deadline=None)
@given(data=st.lists(st.tuples(st.integers(0, 3), st.floats(0.1, 10)), min_size=1, max_size=20))
def test_weights_count_as_copies_do(data: list[tuple[int, float]]) -> None:
    """No constant on a grid does better than the weighted optimum, in the loss `fit` sees."""
    labels = np.array([label for label, _ in data])
    weight = np.array([share for _, share in data])
    grid = np.linspace(0, 3, 61)
    distance = np.abs(grid[:, None] - labels)
    for loss, each in (("mae", distance), ("mse", distance**2)):
        found = constant(loss, labels, weight)
        assert found <= (each * weight).mean(axis=1).min() * (1 + 1e-5) + 1e-6
    logits = np.linspace(-8, 8, 65)[:, None]
    hits = labels > 1
    entropy = -np.where(hits, log_expit(logits), log_expit(-logits))
    binary = losses.BinaryCrossentropy(from_logits=True)
    found = constant(binary, hits.astype(int), weight)
    assert found <= (entropy * weight).mean(axis=1).min() * (1 + 1e-5) + 1e-5


def test_weighted_constant_is_compared_with_a_weighted_loss() -> None:
    """A predictor that outputs the best constant has exactly the constant's loss, weights given."""
    labels, weight = np.array([0, 0, 1, 1, 1]), np.array([4.0, 4, 4, 8, 8])
    share = 20 / 28

    def build() -> keras.Model:
        bias = keras.initializers.Constant(math.log(share / (1 - share)))
        return keras.Sequential([
            keras.Input((3,)), layers.Dense(1, kernel_initializer="zeros", bias_initializer=bias)
        ])  # fmt: skip

    loss = losses.BinaryCrossentropy(from_logits=True)
    chosen = experiment(build, (np.zeros((5, 3)), labels, weight), loss=loss)
    assert expit(math.log(share / (1 - share))) == pytest.approx(share)
    assert read(chosen)["loss"] == pytest.approx(constant_loss(chosen.workload), rel=1e-6)


def test_a_loss_that_takes_no_such_constant_has_none() -> None:
    """Where a loss of the user's own refuses the constant, or is not finite, it is not known."""

    def picky(y_true: Any, y_pred: Any) -> Any:
        if y_pred.shape[-1] != 7:
            raise LookupError("seven outputs, please")
        return keras.ops.mean(y_true)

    def infinite(y_true: Any, y_pred: Any) -> Any:
        return y_true + y_pred + math.inf

    for loss in (picky, infinite):
        data = (np.zeros((4, 1)), np.arange(4))
        assert constant_loss(Workload(name="c", model=mlp, data=data, loss=loss)) is None
