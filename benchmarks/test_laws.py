r"""
# Laws

What must training do? A bound from experience catches what got worse. A formula catches what is
*wrong*, with no baseline at all: an optimizer that adds $\varepsilon$ in the wrong place, a mean that
is a sum, an initializer with the other's variance. For a surprising number of questions the exact
answer is known. Here real layers, optimizers, losses and trainers are held to it, in double
precision, to rounding.

## Descent

On a quadratic each eigenvector of the Hessian goes its own way. Per update, the distance $c$ and the
velocity $v$ along one of curvature $\lambda$ become

$$c' = (1 - \eta\lambda)\, c + \beta v, \qquad v' = \beta v - \eta\lambda c$$

(Goh 2017, "Why momentum really works", *Distill*; Nesterov's form has another first line). So the
whole curve follows, and where it ceases to fall: from $\eta = 2 (1 + \beta) / \lambda_{\max}$ on, or
$(2 + 2\beta) / (\lambda_{\max} (1 + 2\beta))$ with Nesterov (Cohen et al. 2021, arXiv 2103.00065,
equation 1).

## Optimizers

A running average is a weighted sum of what it has seen, $(1 - \beta) \sum_j \beta^{k-j} g_j$. So the
path of any optimizer under given gradients is a formula. Adam's first step, for one, is

$$-\eta\, g \,/\, \bigl(|g| + \varepsilon / \sqrt{1 - \beta_2}\bigr)$$

in the form that Keras has (Kingma and Ba 2015, section 2).

## What is tried

Least squares of two sizes, every kind of momentum below, at and above its limit; eleven optimizers,
eight schedules and three ways to clip, under gradients that are known beforehand. The bugs that each
law catches are listed in `docs/laws.md`; the laws of networks and of batches follow.
"""

from __future__ import annotations

import contextlib
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pandas as pd
import pytest
import torch
from keras import layers
from scipy.optimize import minimize

from benchmarks.laws import NORMAL, compiled, drawn, flat, line, mlp, net, picture
from dlbench import Workload
from dlbench.backend import seeded, true_float64
from dlbench.theory import (
    descent,
    losses,
    optimizers,
    schedules,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dlbench.plugin.fixtures import Convergence

pytestmark = pytest.mark.convergence(quick=False)

SGD = keras.optimizers.SGD
QUIET: dict[str, Any] = {"shuffle": False, "verbose": 0}
ONE = np.ones((1, 1))


@pytest.fixture(autouse=True)
def precision(request: pytest.FixtureRequest) -> Iterator[str]:
    """Compute in true float64, unless a case asks for float32."""
    wanted = getattr(request, "param", "float64")
    with true_float64() if wanted == "float64" else contextlib.nullcontext():
        yield wanted


# ---- descent


KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "momentum": {"momentum": 0.9},
    "Nesterov": {"momentum": 0.9, "nesterov": True},
}


SHARES = [0.1, 0.95, 1.05]
"""Of the limit, by which rates are tried."""


@pytest.mark.parametrize(("samples", "inputs"), [(20, 2), (300, 8)])
def test_least_squares(convergence: Convergence, samples: int, inputs: int) -> None:
    """From every seed, every point of the curve is the formula's, below the limit and above it."""
    x, y = drawn(0, samples, inputs), drawn(1, samples)
    quadratic = descent.least_squares(np.column_stack([x, np.ones(samples)]), y)
    limit = descent.stability_limit(quadratic.curvature.max())
    # Experiments keep a rate to the digits of single precision.
    rates = {float(f"{share * limit:.4g}"): share for share in SHARES}
    linear = partial(net, inputs, partial(layers.Dense, 1))
    workload = Workload(name="least squares", model=linear, data=(x, y), loss="mse")
    by_rate = convergence.sweep(workload, learning_rate=rates, batch_size="full", steps=60)
    for rate, runs in by_rate.items():
        for seed, curve in zip(runs.seeds, runs.curves["loss"], strict=True):
            with seeded(seed):
                start = quadratic.coordinates(flat(workload.build()))
            path = descent.path(quadratic.curvature, start, np.full(60, rate))
            expected = quadratic.losses(path)[runs.points.astype(int)]
            np.testing.assert_allclose(curve, expected, rtol=1e-9)
        assert runs.diverged.all() if rates[rate] > 1 else not runs.diverged.any()


@pytest.mark.parametrize("condition", [40.0])
def test_momentum(convergence: Convergence, condition: float) -> None:
    """With momentum and with Nesterov's, each update of Keras' trainer is the formula's."""
    x, rows = spectrum([1.0, condition / 2, condition]), []
    y, quadratic = x @ [1.0, -1.0, 2.0], descent.least_squares(x, x @ [1.0, -1.0, 2.0])
    for (kind, how), share in product(KINDS.items(), SHARES):
        rate = share * descent.stability_limit(condition, **how)
        model = compiled(line(3), SGD(rate, **how))
        start = quadratic.coordinates(flat(model))
        measured = trained(model, x, y, updates=40)
        path = descent.path(quadratic.curvature, start, np.full(40, rate), **how)
        predicted = quadratic.losses(path)
        # The loss ends at 0: how close, rounding decides.
        np.testing.assert_allclose(measured, predicted, rtol=1e-8, atol=1e-20)
        rows += [(kind, f"{share}", *at) for at in zip(range(41), predicted, measured, strict=True)]
    frame = pd.DataFrame(rows, columns=["kind", "rate / limit", "update", "predicted", "measured"])
    formula = r"$L_k = L^* + \sum_i\, \lambda_i\, c_{i,k}^2\, /\, 2$"
    grid = picture(frame, formula, x="update", y="training loss", hue="rate / limit", col="kind")
    convergence.figure(
        grid.set(yscale="log", ylim=(1e-3, 1e6)),
        f"Least squares whose curvatures are up to {condition:g} times apart: lines are the formula, "
        "dots are Keras. Each kind has a limit of its own.",
    )


@pytest.mark.parametrize(
    ("kind", "sharpness"), [("plain", 0.5), ("momentum", 20.0), ("Nesterov", 20.0)]
)
def test_divergence_begins_at_the_limit(kind: str, sharpness: float) -> None:
    """A thousandth below the limit the loss still shrinks in the end, a thousandth above it grows."""
    x = spectrum([sharpness / 10, sharpness / 3, sharpness])
    limit = descent.stability_limit(sharpness, **KINDS[kind])
    for share in (0.999, 1.001):
        model = compiled(line(3), SGD(share * limit, **KINDS[kind]))
        curve = trained(model, x, np.zeros(len(x)), updates=120, every=60)
        assert (curve[2] > curve[1]) == (share > 1)


@pytest.mark.parametrize("condition", [5.0, 30.0])
def test_contraction(condition: float) -> None:
    """At the best fixed rate the loss shrinks by ((κ - 1) / (κ + 1))² an update, late in training."""
    curvature = [1.0, condition / 3, condition / 2, condition]
    x, rate = spectrum(curvature), descent.best_rate(curvature)
    model = compiled(line(4), SGD(rate))
    curve = trained(model, x, np.zeros(len(x)), updates=60)
    factor = descent.contraction(curvature, rate)
    assert factor == pytest.approx((condition - 1) / (condition + 1))
    assert curve[60] / curve[59] == pytest.approx(factor**2, rel=1e-6)


@pytest.mark.parametrize("share", [0.1, 1.0])
@pytest.mark.parametrize("seed", range(2))
def test_logistic_regression_keeps_its_bound(seed: int, share: float) -> None:
    """Up to 1 / M the loss falls at every update, and stays below the bound of convex losses."""
    x = drawn(seed, 40, 3)
    y = (x @ [1.0, -1.0, 0.5] + 1.5 * drawn(seed + 10, 40) > 0).astype(float)
    wide = np.column_stack([x, np.ones(40)])
    best = minimize(
        lambda w: losses.binary_crossentropy_of_logits(y[:, None], (wide @ w)[:, None]).mean(),
        np.zeros(4), tol=1e-10,
    )  # fmt: skip
    rate = share / descent.logistic_smoothness(wide)
    with seeded(seed):
        logistic = net(3, partial(layers.Dense, 1, activation="sigmoid"))
    distance = np.linalg.norm(np.concatenate(logistic.get_weights(), axis=None) - best.x)
    curve = trained(compiled(logistic, SGD(rate), "binary_crossentropy"), x, y, updates=80)
    assert (np.diff(curve) < 0).all()
    bound = descent.convex_bound(float(distance), rate, np.arange(1, 81))
    assert (curve[1:] - best.fun <= bound).all()


# ---- optimizers


TOLERANCE = {"float64": 1e-13, "float32": 1e-5}
"""Of weights of about 1, after 20 updates. From 12 seeds: at most 1.3e-15 and 1.9e-6."""


RATE = 0.02


PATHS: dict[str, tuple[Callable[..., Any], dict[str, Any], Callable[..., Any], dict[str, Any]]] = {
    # what Keras makes, with which options; the formula, with which options
    "sgd": (SGD, {}, optimizers.sgd_steps, {}),
    "momentum": (SGD, KINDS["momentum"], optimizers.sgd_steps, KINDS["momentum"]),
    "nesterov": (SGD, KINDS["Nesterov"], optimizers.sgd_steps, KINDS["Nesterov"]),
    "sgd, decay": (SGD, {"weight_decay": 0.3}, optimizers.sgd_steps, {}),
    "adam": (keras.optimizers.Adam, {}, optimizers.adam_steps, {}),
    "adam, ε": (keras.optimizers.Adam, {"epsilon": 0.1}, optimizers.adam_steps, {"epsilon": 0.1}),
    "amsgrad": (
        keras.optimizers.Adam, {"amsgrad": True, "beta_2": 0.5},
        optimizers.adam_steps, {"amsgrad": True, "beta_2": 0.5},
    ),
    "adamw": (keras.optimizers.AdamW, {"weight_decay": 0.3}, optimizers.adam_steps, {}),
    "rmsprop": (
        keras.optimizers.RMSprop, {"epsilon": 0.01}, optimizers.rmsprop_steps, {"epsilon": 0.01},
    ),
    "rmsprop, centered": (
        keras.optimizers.RMSprop, {"centered": True, "momentum": 0.5, "rho": 0.8},
        optimizers.rmsprop_steps, {"centered": True, "momentum": 0.5, "decay": 0.8},
    ),
    "lion": (keras.optimizers.Lion, {}, optimizers.lion_steps, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("precision", TOLERANCE, indirect=True)
def test_optimizer(precision: str, name: str) -> None:
    """Twenty updates by gradients that are known beforehand lead where the weighted sums say."""
    make, options, formula, known = PATHS[name]
    start, given, path = driven(make(RATE, **options), updates=20)
    decay = options.get("weight_decay", 0.0)
    for first, slopes, passed in zip(start, given, path, strict=True):
        steps = formula(slopes, RATE, **known)
        expected = optimizers.weights_after(first, steps, RATE, decay=decay)
        np.testing.assert_allclose(passed, expected, atol=TOLERANCE[precision])


@pytest.mark.parametrize("kind", ["clipvalue", "clipnorm", "global_clipnorm"])
@pytest.mark.parametrize("limit", [0.05, 0.5, 50.0])
def test_clipping(kind: str, limit: float) -> None:
    """A gradient is cut off, or scaled to a length, alone or with all others; or left alone."""
    start, given, path = driven(SGD(1.0, **{kind: limit}), updates=4)
    clip: dict[str, Callable[..., Any]] = {
        "clipvalue": lambda slopes, limit: [optimizers.clipped_by_value(g, limit) for g in slopes],
        "clipnorm": optimizers.clipped_by_norm,
        "global_clipnorm": optimizers.clipped_by_global_norm,
    }
    for update in range(4):
        expected = clip[kind]([slopes[update] for slopes in given], limit)
        for first, passed, step in zip(start, path, expected, strict=True):
            before = passed[update - 1] if update else first
            np.testing.assert_allclose(before - passed[update], step, atol=1e-14)


S = keras.optimizers.schedules


SCHEDULES: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "exponential": (
        lambda: S.ExponentialDecay(0.5, 10, 0.3),
        lambda k: schedules.exponential(k, 0.5, steps=10, factor=0.3),
    ),
    "staircase": (
        lambda: S.ExponentialDecay(0.5, 10, 0.3, staircase=True),
        lambda k: schedules.exponential(k, 0.5, steps=10, factor=0.3, staircase=True),
    ),
    "inverse time": (
        lambda: S.InverseTimeDecay(0.5, 10, 0.3),
        lambda k: schedules.inverse_time(k, 0.5, steps=10, factor=0.3),
    ),
    "polynomial": (
        lambda: S.PolynomialDecay(0.5, 25, end_learning_rate=0.1, power=2.0),
        lambda k: schedules.polynomial(k, 0.5, steps=25, end=0.1, power=2),
    ),
    "piecewise": (
        lambda: S.PiecewiseConstantDecay([5, 20], [0.5, 0.2, 0.1]),
        lambda k: schedules.piecewise(k, [5, 20], [0.5, 0.2, 0.1]),
    ),
    "cosine": (
        lambda: S.CosineDecay(0.5, 25, alpha=0.1),
        lambda k: schedules.cosine(k, 0.5, steps=25, end=0.1),
    ),
    "warm-up": (
        lambda: S.CosineDecay(0.01, 25, warmup_target=0.5, warmup_steps=8),
        lambda k: schedules.cosine(k, 0.01, steps=25, warmup_target=0.5, warmup=8),
    ),
    "restarts": (
        lambda: S.CosineDecayRestarts(0.5, 7, t_mul=1.5, m_mul=0.8, alpha=0.1),
        lambda k: schedules.cosine_restarts(k, 0.5, steps=7, longer=1.5, lower=0.8, end=0.1),
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule(name: str) -> None:
    """Under a gradient of 1 the weight moves by the rate; 40 updates, 40 rates."""
    make, formula = SCHEDULES[name]
    model = compiled(line(1), SGD(make()), product_loss)
    weights = [model.get_weights()[0].item()]
    for _ in range(40):
        model.train_on_batch(ONE, ONE)
        weights.append(model.get_weights()[0].item())
    np.testing.assert_allclose(-np.diff(weights), formula(np.arange(40)), atol=1e-14)


@pytest.mark.parametrize("limit", [None, 0.1])
@pytest.mark.parametrize("count", [2, 3])
def test_accumulation(count: int, limit: float | None) -> None:
    """Small batches, gathered, are the large one: the mean of equal parts, clipped afterwards."""
    ends = []
    for size, parts in ((4 * count, None), (4, count)):
        optimizer = SGD(0.5, gradient_accumulation_steps=parts, global_clipnorm=limit)
        model = compiled(mlp(0), optimizer)
        model.fit(drawn(1, 48, 3), drawn(2, 48, 2), batch_size=size, epochs=2, **QUIET)
        ends.append(flat(model))
    np.testing.assert_allclose(ends[1], ends[0], atol=1e-13)


@pytest.mark.parametrize("momentum", [0.5, 0.9])
def test_moving_average(momentum: float) -> None:
    """When `fit` ends, the average of all weights so far has taken the place of the weights."""
    model = compiled(mlp(0), SGD(0.5, use_ema=True, ema_momentum=momentum))
    passed: list[Any] = []
    keep = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: passed.append(flat(model))  # noqa: ARG005
    )
    model.fit(drawn(1, 40, 3), drawn(2, 40, 2), epochs=3, callbacks=[keep], batch_size=8, **QUIET)
    expected = optimizers.averaged_weights(passed, momentum)[-1]
    np.testing.assert_allclose(flat(model), expected, atol=1e-14)
    assert np.abs(flat(model) - passed[-1]).max() > 1e-3


# ---- what the laws are tried on


def spectrum(curvature: Sequence[float]) -> Any:
    """Return inputs of 30 samples for which a linear model's Hessian has these eigenvalues."""
    values = np.asarray(curvature, dtype=float)
    columns = np.linalg.qr(drawn(0, 30, len(values))).Q
    return columns * np.sqrt(15 * values) @ np.linalg.qr(drawn(1, len(values), len(values))).Q


def product_loss(y: Any, p: Any) -> Any:
    """Return a loss whose gradient does not depend on the weights of a linear model."""
    return keras.ops.mean(y * p, axis=-1)


def trained(model: Any, x: Any, y: Any, updates: int, every: int = 1) -> Any:
    """Return the loss before the first update and after each, or some, by full batches."""
    curve = []
    for update in range(updates + 1):
        if update % every == 0:
            with torch.no_grad():
                curve.append(float(model.compute_loss(x, y, model(x))))
        if update < updates:
            model.train_on_batch(x, y)
    return np.array(curve)


def driven(optimizer: Any, updates: int) -> tuple[list[Any], list[Any], list[Any]]:
    """Return, for kernel and bias, the start, the gradients that are given, and the path taken."""
    with seeded(0):
        dense = partial(layers.Dense, 2, bias_initializer=NORMAL)
        model = compiled(net(3, dense), optimizer, product_loss)
    start, given, path = model.get_weights(), [], []
    for update in range(updates):
        x, y = drawn(update, 8, 3), drawn(update + 50, 8, 2)
        given.append([x.T @ y / y.size, y.sum(axis=0) / y.size])
        model.train_on_batch(x, y)
        path.append(model.get_weights())
    return start, *([np.array(one) for one in zip(*rows, strict=True)] for rows in (given, path))


DISCUSSION = """
**Where a formula covers the case, Keras agrees with it to rounding**: whole curves of gradient descent
with and without momentum, the paths of eleven optimizers, eight schedules, clipping, accumulation,
decay and averages. No seed, no bound and no baseline are needed to see that something is wrong, and
none to see that it is not.

**The limit is sharp.** A thousandth below it descent converges, a thousandth above it diverges. Just
below it is slow: in the sharpest direction 0.95 of the limit is no faster than 0.05.

**Momentum moves the limit**, plain momentum up and Nesterov's down: for $\\beta = 0.9$ to 1.9 times
and to 0.68 times that of plain descent. A rate that one of them bears is too high for another.
"""
