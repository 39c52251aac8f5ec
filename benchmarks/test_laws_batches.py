r"""
# Laws of batches

A batch stands for all samples. How well it does so is known: few samples make few batches, all of
them can be drawn, and the averages are then exact.

## Noise

A batch's gradient is right on average and off by $\mathrm{tr}\,\Sigma / B \cdot (N - B) / (N - 1)$.
On a quadratic of curvature $h$, whose samples' gradients have variance $s$ everywhere, that noise
stops the loss at

$$\frac{\eta\, s}{2 B\, (2 - \eta h)}$$

above the optimum (Zhang et al. 2019, arXiv 1907.04164, section 3), and the best rate for one update
is $\eta_{\max} / (1 + B_{\mathrm{noise}} / B)$ (McCandlish et al. 2018, arXiv 1812.06162, section 2.2).

An epoch of $N$ samples has $\lceil N / B \rceil$ updates, the last by a smaller batch where $B$ does
not divide $N$.

## Losses and metrics

A batch's loss is the mean of its samples' losses, weighted or not. A metric is that of all samples at
once, in whatever batches they were seen. Each is held against its definition.

## What is tried

All batches of every size from six samples, all sequences of three small batches, and two thousand
descents at once for the floor; fifteen losses and eight metrics, in batches that divide the samples and
in batches that do not.
"""

from __future__ import annotations

import contextlib
import math
from functools import partial
from itertools import combinations, product
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pandas as pd
import pytest
import torch
from keras import layers

from benchmarks.laws import compiled, drawn, flat, line, mlp, net, picture, put_out
from dlbench.backend import true_float64
from dlbench.theory import (
    descent,
    losses,
    minibatches,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dlbench.plugin.fixtures import Convergence

pytestmark = pytest.mark.convergence(quick=False)

SGD = keras.optimizers.SGD
FULL = 10_000
"""A batch size that takes in all samples."""


@pytest.fixture(autouse=True)
def precision(request: pytest.FixtureRequest) -> Iterator[str]:
    """Compute in true float64, unless a case asks for float32."""
    wanted = getattr(request, "param", "float64")
    with true_float64() if wanted == "float64" else contextlib.nullcontext():
        yield wanted


# ---- batches


@pytest.mark.parametrize("size", range(1, 7))
@pytest.mark.parametrize("seed", range(2))
def test_noise_of_a_batch(seed: int, size: int) -> None:
    """Over all batches that can be drawn, the update is that of all samples, and off by the law."""
    model, x, y = mlp(seed), drawn(seed, 6, 3), drawn(seed + 1, 6, 2)
    single = updates_by(model, x, y, [(sample,) for sample in range(6)])
    drawn_once = updates_by(model, x, y, combinations(range(6), size))
    whole = single.mean(axis=0)
    np.testing.assert_allclose(drawn_once.mean(axis=0), whole, atol=1e-13)
    noise = np.mean(np.sum((drawn_once - whole) ** 2, axis=1))
    assert noise == pytest.approx(minibatches.batch_variance(single, size), rel=1e-9, abs=1e-20)


@pytest.mark.parametrize("seed", range(3))
def test_noise_scale_estimate(seed: int) -> None:
    """From the lengths of updates by small and by large batches: signal and noise, without bias."""
    model, x, y = mlp(seed), drawn(seed, 4, 3), drawn(seed + 1, 4, 2)
    single, small, large = (
        updates_by(model, x, y, product(range(4), repeat=size)) for size in (1, 2, 3)
    )
    pairs = np.meshgrid(np.sum(small**2, axis=1), np.sum(large**2, axis=1))
    signal, noise = minibatches.noise_estimate(*pairs, small_size=2, large_size=3)
    assert signal.mean() == pytest.approx(np.sum(single.mean(axis=0) ** 2), rel=1e-10)
    scale = minibatches.noise_scale(single)
    assert noise.mean() / signal.mean() == pytest.approx(scale, rel=1e-10)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_best_rate_of_a_batch(size: int) -> None:
    """Averaged over all batches, one update at the best rate gains what it should, others less."""
    x, y = drawn(0, 4, 2), drawn(1, 4)
    model = compiled(line(2), SGD(1.0))
    quadratic = descent.least_squares(x, y)
    hessian = quadratic.directions * quadratic.curvature @ quadratic.directions.T
    single = updates_by(model, x, y, [(sample,) for sample in range(4)])
    best = minibatches.best_rate(single, hessian, size)
    gains = []
    for rate in (0.7 * best, best, 1.3 * best):
        steps = updates_by(model, x, y, product(range(4), repeat=size), rate=rate) * rate
        after = quadratic.losses((flat(model) - steps - quadratic.optimum) @ quadratic.directions)
        start = model.evaluate(x, y, verbose=0)
        gains.append(start - after.mean())
        expected = minibatches.expected_gain(single, hessian, rate, size)
        assert gains[-1] == pytest.approx(float(expected), rel=1e-10)
    assert gains[1] == max(gains)


@pytest.mark.parametrize(("samples", "size"), [(4, 1), (3, 2)])
def test_expected_loss_under_noise(samples: int, size: int) -> None:
    """Over all sequences of three batches: the mean loss after each is the noisy quadratic's."""
    targets, rate, updates = drawn(0, samples), 0.35, 3 if size == 1 else 2
    model = compiled(line(1), SGD(rate))
    start, optimum, excess = model.get_weights(), targets.mean(), []
    batches = [targets[list(batch)] for batch in product(range(samples), repeat=size)]
    for sequence in product(batches, repeat=updates):
        model.set_weights(start)
        weights = [start[0].item()]
        for batch in sequence:
            model.train_on_batch(np.ones((size, 1)), batch)
            weights.append(model.get_weights()[0].item())
        excess.append((np.array(weights) - optimum) ** 2)
    expected = minibatches.expected_excess(
        [2.0], [start[0].item() - optimum], [4 * targets.var()], rate=rate, batch_size=size,
        updates=np.arange(updates + 1),
    )  # fmt: skip
    np.testing.assert_allclose(np.mean(excess, axis=0), expected, rtol=1e-11)


def test_noise_floor(convergence: Convergence) -> None:
    """The loss falls to the floor of its batch size and rate, along the curve of the formula."""
    samples, outputs, updates, rows = 2048, 2000, 200, []
    # An input of √(outputs / 2) makes the curvature 1 for every output: Keras' loss is their mean.
    height = math.sqrt(outputs / 2)
    optima = drawn(0, samples, outputs)
    optimum = optima.mean(axis=0)
    for size, rate in product([1, 16], [0.1, 0.6]):
        generator = np.random.default_rng(size)
        flat_start = partial(layers.Dense, outputs, use_bias=False, kernel_initializer="ones")
        model = compiled(net(1, flat_start), SGD(rate))
        excess = [np.mean((1 - optimum) ** 2) / 2]
        for _ in range(updates):
            batch = generator.integers(samples, size=size)
            model.train_on_batch(np.full((size, 1), height), height * optima[batch])
            excess.append(np.mean((flat(model) - optimum) ** 2) / 2)
        expected = minibatches.expected_excess(
            [1.0], [np.sqrt(np.mean((1 - optimum) ** 2))], [optima.var(axis=0).mean()], rate=rate,
            batch_size=size, updates=np.arange(updates + 1),
        )  # fmt: skip
        floor = minibatches.noise_floor([1.0], [optima.var(axis=0).mean()], rate, size)
        # 36 other draws: at most 0.018 off, late and over the whole run.
        assert np.mean(excess[100:]) == pytest.approx(floor, rel=0.03)
        assert np.mean(excess / expected) == pytest.approx(1, abs=0.03)
        rows += [
            (f"rate {rate}", f"{size}", update, expected[update], excess[update])
            for update in range(0, updates + 1, 5)
        ]
    columns = ["rate", "batch size", "update", "predicted", "measured"]
    frame = pd.DataFrame(rows, columns=columns)
    formula, loss = r"floor: $\eta\,s \,/\, (2B\,(2 - \eta h))$", "loss above the optimum"
    grid = picture(frame, formula, x="update", y=loss, hue="batch size", col="rate")
    convergence.figure(
        grid.set(yscale="log"),
        "Descent by batches drawn with replacement, down to where their noise stops it: lines are "
        "the formula, dots are Keras' mean over 2,000 outputs.",
    )


@pytest.mark.parametrize("size", [24, FULL])
def test_full_batches_have_no_order(size: int) -> None:
    """With all samples in a batch, shuffling changes nothing, and the history is the curve."""
    ends, x, y = [], drawn(1, 24, 3), drawn(2, 24, 2)
    for seed in (None, 1, 2):
        model = compiled(mlp(0), SGD(0.1))
        start = model.evaluate(x, y, verbose=0, batch_size=24)
        keras.utils.set_random_seed(seed or 0)
        history = model.fit(
            x, y, batch_size=size, epochs=5, verbose=0, shuffle=seed is not None
        ).history["loss"]
        ends.append(flat(model))
        assert history[0] == pytest.approx(start, rel=1e-12)
    np.testing.assert_allclose(ends[1:], [ends[0]] * 2, atol=1e-14)


@pytest.mark.parametrize("size", [1, 3, 7, 10, FULL])
def test_epochs(size: int) -> None:
    """An epoch has ceil(N / B) updates; at a rate of 0 its history is the loss of all samples."""
    x, y = drawn(1, 10, 3), drawn(2, 10, 2)
    model = compiled(mlp(0), SGD(0.0))
    history = model.fit(x, y, batch_size=size, epochs=3, verbose=0).history["loss"]
    assert int(model.optimizer.iterations) == 3 * minibatches.updates_per_epoch(10, size)
    whole = losses.weighted_mean(losses.squared_error(y, put_out(model, x)))
    np.testing.assert_allclose(history, whole, rtol=1e-12)


# ---- losses and metrics


L, ONE_HOT = keras.losses, np.eye(4)


LOSSES: dict[str, tuple[str, Any, Callable[..., Any]]] = {
    # what it is of; Keras' loss; the definition
    "squared error": ("reals", L.MeanSquaredError, losses.squared_error),
    "absolute error": ("reals", L.MeanAbsoluteError, losses.absolute_error),
    "huber": ("reals", partial(L.Huber, delta=0.7), partial(losses.huber, delta=0.7)),
    "log cosh": ("reals", L.LogCosh, losses.log_cosh),
    "cosine": ("reals", L.CosineSimilarity, losses.cosine_distance),
    "hinge": ("signs", L.Hinge, losses.hinge),
    "squared hinge": ("signs", L.SquaredHinge, partial(losses.hinge, squared=True)),
    "poisson": ("counts", L.Poisson, losses.poisson),
    "binary": ("chances", L.BinaryCrossentropy, losses.binary_crossentropy),
    "focal": ("chances", L.BinaryFocalCrossentropy, losses.focal_crossentropy),
    "binary, logits": (
        "logits", partial(L.BinaryCrossentropy, from_logits=True),
        losses.binary_crossentropy_of_logits,
    ),
    "categorical": ("distributions", L.CategoricalCrossentropy, losses.categorical_crossentropy),
    "smoothed": (
        "distributions", partial(L.CategoricalCrossentropy, label_smoothing=0.2),
        partial(losses.categorical_crossentropy, smoothing=0.2),
    ),
    "kl": ("distributions", L.KLDivergence, losses.kl_divergence),
    "sparse, logits": (
        "classes", partial(L.SparseCategoricalCrossentropy, from_logits=True),
        losses.crossentropy_of_logits,
    ),
}  # fmt: skip


@pytest.mark.parametrize("samples", [1, 17])
@pytest.mark.parametrize("name", LOSSES)
def test_loss(name: str, samples: int) -> None:
    """A batch's loss is the mean of its samples' by definition, weighted or not."""
    kind, make, definition = LOSSES[name]
    for seed in range(3):
        y, p = answers(kind, seed, samples)
        weights = np.random.default_rng(seed).uniform(0, 2, size=samples)
        for given in (None, weights):
            expected = losses.weighted_mean(definition(y, p), given)
            found = float(make()(y, p, sample_weight=given))
            assert found == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("seed", range(3))
def test_cross_entropy_gradient(seed: int) -> None:
    """By the logits it is softmax minus the labels, over the number of samples."""
    y, z = answers("classes", seed, 9)
    logits = torch.tensor(z, requires_grad=True)
    loss = L.SparseCategoricalCrossentropy(from_logits=True)(y, logits)
    (found,) = torch.autograd.grad(loss, logits)
    np.testing.assert_allclose(found, losses.crossentropy_gradient(y, z), atol=1e-15)


M = keras.metrics


METRICS: dict[str, tuple[str, Any, Callable[..., Any]]] = {
    "accuracy": ("classes", M.SparseCategoricalAccuracy, losses.top_accuracy),
    "top 2": (
        "classes", partial(M.SparseTopKCategoricalAccuracy, k=2),
        partial(losses.top_accuracy, count=2),
    ),
    "precision": ("found", M.Precision, lambda y, p: losses.precision_recall(y, p)[0]),
    "recall": ("found", M.Recall, lambda y, p: losses.precision_recall(y, p)[1]),
    "area": ("found", M.AUC, losses.area_under_curve),
    "R²": ("line", M.R2Score, losses.explained_variance),
    "squared error": ("line", M.MeanSquaredError, lambda y, p: np.mean((p - y) ** 2)),
    "root": ("line", M.RootMeanSquaredError, lambda y, p: np.sqrt(np.mean((p - y) ** 2))),
}  # fmt: skip


@pytest.mark.parametrize("size", [3, 40, FULL])
@pytest.mark.parametrize("name", METRICS)
def test_metric(name: str, size: int) -> None:
    """Gathered batch by batch, the last one smaller, a metric is that of all samples at once."""
    kind, make, definition = METRICS[name]
    for seed in range(2):
        y, p = answers(kind, seed, 100)
        metric, column = make(), (slice(None), None) if p.ndim == 1 else slice(None)
        for start in range(0, len(y), size):
            part = slice(start, start + size)
            metric.update_state(y[part][column], p[part][column])
        assert float(metric.result()) == pytest.approx(float(definition(y, p)), rel=1e-12)


# ---- what the laws are tried on


def updates_by(model: Any, x: Any, y: Any, batches: Any, rate: float = 1.0) -> Any:
    """Return the gradients of some batches, by what one update does to the weights."""
    compiled(model, SGD(rate))
    start, before, found = model.get_weights(), flat(model), []
    for batch in batches:
        model.train_on_batch(x[list(batch)], y[list(batch)])
        found.append((before - flat(model)) / rate)
        model.set_weights(start)
    return np.array(found)


def answers(kind: str, seed: int, samples: int) -> tuple[Any, Any]:
    """Return labels and outputs of the kind that a loss or a metric takes."""
    generator = np.random.default_rng(seed)
    shape = (samples, 3)
    binary, real = generator.integers(2, size=shape), generator.normal(size=shape) * 2
    kinds: dict[str, Callable[[], tuple[Any, Any]]] = {
        "reals": lambda: (generator.normal(size=shape), real),
        "signs": lambda: (2.0 * binary - 1, real),
        "counts": lambda: (generator.poisson(2, size=shape), generator.uniform(0.1, 4, size=shape)),
        "chances": lambda: (binary, generator.uniform(0.01, 0.99, size=shape)),
        "logits": lambda: (binary, 3 * real),
        "distributions": lambda: tuple(generator.dirichlet(np.ones(4), size=(2, samples))),
        "classes": lambda: (generator.integers(4, size=samples), drawn(seed, samples, 4) * 3),
        # Scores between the thresholds at which Keras takes its area: then it is exact.
        "found": lambda: (binary[:, 0], (generator.integers(10, size=samples) + 0.5) / 10),
        "line": lambda: (real[:, 0] + real[:, 1], real[:, 0]),
    }
    return kinds[kind]()


DISCUSSION = """
**Averages over all batches are exact.** With six samples there are 20 batches of three, and their mean
update is that of all six; how far they are from it is a formula of the batch size.

**With two thousand samples chance is left**, and the floor of the loss is met to a few per cent: a 16th
of the noise from a batch of 16, six times the rate and more than six times the floor. (Keras' `fit`
draws each sample once an epoch, so its floor is lower. The formula is a model of it, not a law.)

**A mean is a promise.** Every loss is the mean over its samples, whether the batch is whole or the last
and smaller one, so that a rate means the same at any batch size.
"""
