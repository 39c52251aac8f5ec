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

Of a two-layer linear net two numbers tell all, though its loss is not convex: the output $f$ and the
curvature $\lambda$, at width $n$,

$$f' = f \left(1 - \eta\lambda + \tfrac{\eta^2 f^2}{n}\right), \qquad
\lambda' = \lambda + \tfrac{\eta f^2}{n} (\eta\lambda - 4)$$

(Lewkowycz et al. 2020, arXiv 2003.02218, section 2). Below $2 / \lambda_0$ it is lazy; between
$2 / \lambda_0$ and $4 / \lambda_0$ the loss leaps until the curvature has given way, the *catapult*;
above, it diverges. Larger nets show something similar all the time: the curvature rises until it
hovers around $2 / \eta$, the *edge of stability* (Cohen et al. 2021, section 3). That is no theorem,
so here it is a band.

## Optimizers

A running average is a weighted sum of what it has seen, $(1 - \beta) \sum_j \beta^{k-j} g_j$. So the
path of any optimizer under given gradients is a formula. Adam's first step, for one, is

$$-\eta\, g \,/\, \bigl(|g| + \varepsilon / \sqrt{1 - \beta_2}\bigr)$$

in the form that Keras has (Kingma and Ba 2015, section 2).

## First weights

A weight of variance $\sigma_w^2$, symmetric around 0, sends half of a signal's square through ReLU:

$$E \lVert h \rVert^2 = \frac{n\, \sigma_w^2}{2} \lVert x \rVert^2$$

He's $\sigma_w^2 = 2 / n$ keeps it at any depth, Glorot's $1 / n$ halves it at every layer (He et al.
2015, arXiv 1502.01852, section 2.2). All $n$ units of a layer are off with probability $2^{-n}$ (Lu
et al. 2019, arXiv 1903.06733). Where they are on and off divides the inputs into $\sum_{j \le d}
\binom{n}{j}$ pieces (Zaslavsky 1975), and into $2 \sum_{j < d} \binom{n-1}{j}$ while biases are 0.

## Gradients

ReLU lets a factor through, so what enters a unit and what leaves it are bound together:
$\langle w, g_w \rangle + b\, g_b = \langle v, g_v \rangle$, at every step (Du, Hu and Lee 2018, arXiv
1806.00900, theorem 2.1). Batch normalization takes a factor out: $\langle w, g_w \rangle$ is 0, but
for its $\varepsilon$. And the gradients of a softmax cancel over the classes.

## Batches

A batch's gradient is right on average and off by $\mathrm{tr}\,\Sigma / B \cdot (N - B) / (N - 1)$.
On a quadratic of curvature $h$, whose samples' gradients have variance $s$ everywhere, that noise
stops the loss at

$$\frac{\eta\, s}{2 B\, (2 - \eta h)}$$

above the optimum (Zhang et al. 2019, arXiv 1907.04164, section 3), and the best rate for one update
is $\eta_{\max} / (1 + B_{\mathrm{noise}} / B)$ (McCandlish et al. 2018, arXiv 1812.06162, section 2.2).
Few samples make few batches: all of them can be drawn, and the averages are then exact.
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
import seaborn as sns
import torch
from keras import layers
from scipy.optimize import minimize
from scipy.sparse.linalg import LinearOperator, eigsh

from dlbench import Workload
from dlbench.backend import seeded, true_float64
from dlbench.theory import (
    descent,
    initializers,
    losses,
    minibatches,
    networks,
    optimizers,
    schedules,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dlbench.plugin.fixtures import Convergence

SGD = keras.optimizers.SGD
NORMAL = keras.initializers.RandomNormal(stddev=1.0)
QUIET: dict[str, Any] = {"shuffle": False, "verbose": 0}
ONE = np.ones((1, 1))
FULL = 10_000
"""A batch size that takes in all samples."""


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
SHARES = [0.1, 0.6, 0.95, 1.05]
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


@pytest.mark.parametrize("condition", [4.0, 40.0])
def test_momentum(convergence: Convergence, condition: float) -> None:
    """With momentum and with Nesterov's, each update of Keras' trainer is the formula's."""
    x, rows = spectrum([1.0, condition / 2, condition]), []
    y, quadratic = x @ [1.0, -1.0, 2.0], descent.least_squares(x, x @ [1.0, -1.0, 2.0])
    for (kind, how), share in product(KINDS.items(), SHARES):
        rate = share * descent.stability_limit(condition, **how)
        model = compiled(line(3), SGD(rate, **how))
        start = quadratic.coordinates(flat(model))
        measured = trained(model, x, y, updates=60)
        path = descent.path(quadratic.curvature, start, np.full(60, rate), **how)
        predicted = quadratic.losses(path)
        # The loss ends at 0: how close, rounding decides.
        np.testing.assert_allclose(measured, predicted, rtol=1e-8, atol=1e-20)
        rows += [(kind, f"{share}", *at) for at in zip(range(61), predicted, measured, strict=True)]
    frame = pd.DataFrame(rows, columns=["kind", "rate / limit", "update", "predicted", "measured"])
    grid = picture(frame, x="update", y="training loss", hue="rate / limit", col="kind")
    convergence.figure(
        titled(
            grid.set(yscale="log", ylim=(1e-7, 1e6)),
            r"$L_k = L^* + \sum_i\, \lambda_i\, c_{i,k}^2\, /\, 2$",
        ),
        f"Least squares whose curvatures are up to {condition:g} times apart: lines are the formula, "
        "dots are Keras. Each kind has a limit of its own.",
    )


@pytest.mark.parametrize("sharpness", [0.5, 20.0])
@pytest.mark.parametrize("kind", KINDS)
def test_divergence_begins_at_the_limit(kind: str, sharpness: float) -> None:
    """A thousandth below the limit the loss still shrinks in the end, a thousandth above it grows."""
    x = spectrum([sharpness / 10, sharpness / 3, sharpness])
    limit = descent.stability_limit(sharpness, **KINDS[kind])
    for share in (0.999, 1.001):
        model = compiled(line(3), SGD(share * limit, **KINDS[kind]))
        curve = trained(model, x, np.zeros(len(x)), updates=120)
        assert (curve[-1] > curve[60]) == (share > 1)


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
@pytest.mark.parametrize("seed", range(3))
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


PHASES = {0.8: "lazy", 2.6: "catapult", 3.6: "catapult", 4.4: "divergent"}


@pytest.mark.parametrize("width", [16, 256])
def test_two_layer_linear_net(convergence: Convergence, width: int) -> None:
    """Output and curvature follow the recursion update by update, in all three phases."""
    rows = []
    for (share, phase), seed in product(PHASES.items(), range(3)):
        with seeded(seed):
            model = net(
                1,
                partial(layers.Dense, width, use_bias=False, kernel_initializer=NORMAL),
                partial(layers.Rescaling, width**-0.5),
                partial(layers.Dense, 1, use_bias=False, kernel_initializer=NORMAL),
            )
        f, curvature = two_numbers(model)
        # Keras' squared error is f², whose gradient is that of f² / 2 twice: so is its rate.
        compiled(model, SGD(share / curvature / 2))
        found = [(f, curvature)]
        while len(found) < 41 and found[-1][0] ** 2 < 1e12:
            model.train_on_batch(ONE, 0 * ONE)
            found.append(two_numbers(model))
        expected = networks.two_layer_linear(
            f, curvature, share / curvature, width=width, updates=len(found) - 1
        )
        np.testing.assert_allclose(found, np.transpose(expected), rtol=1e-7, atol=1e-12)
        loss = np.array(found)[:, 0] ** 2
        rises, ends = loss[1] > loss[0], loss[-1] < loss[0]
        assert (rises, ends) == {
            "lazy": (False, True), "catapult": (True, True), "divergent": (True, False),
        }[phase]  # fmt: skip
        if seed == 0:
            label = f"{share:g}, {phase}"
            for update, (one, two) in enumerate(zip(np.transpose(expected), found, strict=True)):
                rows.append((label, update, "loss $f^2$", one[0] ** 2, two[0] ** 2))
                rows.append((label, update, "curvature λ", one[1], two[1]))
    frame = pd.DataFrame(rows, columns=["η λ₀, phase", "update", "of", "predicted", "measured"])
    grid = picture(frame, x="update", y="", hue="η λ₀, phase", col="of", sharey=False)
    grid.axes_dict["loss $f^2$"].set(yscale="log", ylim=(1e-9, 1e6), xlim=(-0.5, 20))
    grid.axes_dict["curvature λ"].set(ylim=(0, 5))
    title = r"$f' = f\,(1 - \eta\lambda + \eta^2 f^2/n), \quad \lambda' = \lambda"
    convergence.figure(
        titled(grid, title + r" + (\eta f^2/n)(\eta\lambda - 4)$"),
        f"A two-layer linear net of width {width}: lines are the recursion of two numbers, dots are "
        "Keras with all its weights.",
    )


@pytest.mark.parametrize("edge", [15.0, 20.0])
def test_edge_of_stability(convergence: Convergence, edge: float) -> None:
    """Full batches drive the sharpness from below 2/η up to it, and there it hovers."""
    x = np.linspace(-1, 1, 20)[:, None]
    y, rate, rows = np.polynomial.chebyshev.chebval(x, [0, 0, 0, 0, 1]), 2 / edge, []
    assert descent.stability_limit(rate) == pytest.approx(edge)
    for seed in range(2):
        hidden = partial(layers.Dense, 24, activation="tanh")
        with seeded(seed):
            model = compiled(net(1, hidden, hidden, partial(layers.Dense, 1)), SGD(rate))
        for update in range(1401):
            if update % 50 == 0:
                rows.append((f"{seed}", update, sharpness(model, x, y)))
            model.train_on_batch(x, y)
    frame = pd.DataFrame(rows, columns=["seed", "update", "sharpness"])
    # 12 seeds at each rate: at the start at most 0.72 of the edge; late, by every hundredth update,
    # from 0.72 to 1.39, with medians from 0.92 to 1.04.
    assert frame.loc[frame["update"] == 0, "sharpness"].max() < 0.8 * edge
    late = frame[frame["update"] >= 1000].groupby("seed")["sharpness"]
    assert late.median().between(0.85 * edge, 1.15 * edge).all()
    assert late.min().min() > 0.5 * edge
    assert late.max().max() < 1.6 * edge
    grid = sns.relplot(
        frame, x="update", y="sharpness", hue="seed", style="seed", kind="line", markers=True,
        palette="colorblind", height=3, aspect=1.8,
    )  # fmt: skip
    grid.refline(y=edge, color="black", label=rf"$2\,/\,\eta = {edge:g}$")
    grid.ax.set_ylim(0, None)
    caption = (
        f"The Hessian's largest eigenvalue of a tanh net, trained by full batches at {rate:.3g}."
    )
    convergence.figure(titled(grid, rf"edge of stability: $2\,/\,\eta = {edge:g}$"), caption)


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


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("precision", TOLERANCE, indirect=True)
def test_optimizer(precision: str, name: str, seed: int) -> None:
    """Twenty updates by gradients that are known beforehand lead where the weighted sums say."""
    make, options, formula, known = PATHS[name]
    start, given, path = driven(make(RATE, **options), seed, updates=20)
    decay = options.get("weight_decay", 0.0)
    for first, slopes, passed in zip(start, given, path, strict=True):
        steps = formula(slopes, RATE, **known)
        expected = optimizers.weights_after(first, steps, RATE, decay=decay)
        np.testing.assert_allclose(passed, expected, atol=TOLERANCE[precision])


@pytest.mark.parametrize("kind", ["clipvalue", "clipnorm", "global_clipnorm"])
@pytest.mark.parametrize("limit", [0.05, 0.5, 50.0])
def test_clipping(kind: str, limit: float) -> None:
    """A gradient is cut off, or scaled to a length, alone or with all others; or left alone."""
    start, given, path = driven(SGD(1.0, **{kind: limit}), seed=0, updates=4)
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
        ends.append(np.concatenate(model.get_weights(), axis=None))
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


# ---- first weights

DEVIATIONS = 5
"""How many standard errors a mean over fixed seeds may be off."""


@pytest.mark.parametrize("shape", [(1000, 1000), (3000, 300), (3, 3, 200, 500), (300, 3000)])
@pytest.mark.parametrize("form", ["uniform", "normal"])
@pytest.mark.parametrize("scheme", initializers.SCHEMES)
def test_variance(scheme: str, form: str, shape: tuple[int, ...]) -> None:
    """A kernel has the scheme's variance, as closely as that many draws can tell; and mean 0."""
    kernel = getattr(keras.initializers, scheme.title() + form.title())(seed=1)
    weights = np.asarray(kernel(shape)).ravel()
    variance = initializers.variance(scheme, shape)
    # The standard error of a variance is that of squares: 2/√5 of it for uniform numbers, √2 at most
    # for normal ones, cut off at two deviations or not.
    spread = {"uniform": math.sqrt(4 / 5), "normal": math.sqrt(2)}[form]
    error = DEVIATIONS / math.sqrt(len(weights))
    assert np.mean(weights**2) == pytest.approx(variance, rel=error * spread)
    assert np.mean(weights) == pytest.approx(0, abs=error * math.sqrt(variance))
    if form == "uniform":
        limit = initializers.uniform_limit(variance)
        assert np.abs(weights).max() == pytest.approx(limit, rel=1e-4)
        assert np.abs(weights).max() <= limit


def test_signal_through_depth(convergence: Convergence) -> None:
    """He keeps the square of a signal at any depth; Glorot and LeCun halve it at every layer."""
    rows, count, width = [], 4000, 16
    for scheme, form in product(initializers.SCHEMES, ["uniform", "normal"]):
        variance = initializers.variance(scheme, (width, width))
        for depth, signals in enumerate(
            many_nets(scheme.title() + form.title(), count, width, 6), start=1
        ):
            found = np.mean(np.sum(signals**2, axis=1))
            gain = initializers.relu_gain(width, variance, depth)
            error = math.sqrt(initializers.relu_spread(width, depth) / count)
            assert found == pytest.approx(gain, rel=DEVIATIONS * error)
            rows.append((scheme, form, depth, gain, found))
    columns = ["scheme", "weights", "layer", "predicted", "measured"]
    frame = pd.DataFrame(rows, columns=columns)
    grid = picture(frame, x="layer", y="mean of $|h|^2 / |x|^2$", hue="scheme", col="weights")
    convergence.figure(
        titled(grid.set(yscale="log"), r"$E\,|h_L|^2 = (n\,\sigma_w^2 / 2)^L\, |x|^2$"),
        f"A signal on its way through ReLU layers of {width} units: lines are the formula, dots the "
        f"mean of {count:,} nets. LeCun lies upon Glorot: on square layers they are the same.",
    )


@pytest.mark.parametrize("depth", [1, 3, 6])
@pytest.mark.parametrize("width", [1, 2, 4])
def test_silent_nets(width: int, depth: int) -> None:
    """An input dies on its way in the share of nets that the formula says."""
    count = 20_000
    *_, signals = many_nets("GlorotUniform", count, width, depth)
    share = initializers.silent_share(width, depth)
    error = math.sqrt(share * (1 - share) / count)
    silent = np.mean(~signals.any(axis=1))
    assert silent == pytest.approx(share, abs=DEVIATIONS * error)


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize(("units", "inputs"), [(7, 1), (8, 2), (20, 2), (9, 3), (6, 4)])
def test_linear_regions(units: int, inputs: int, biases: bool) -> None:  # noqa: FBT001
    """A layer of ReLU units divides its inputs into as many pieces as hyperplanes can."""
    for seed in range(3):
        with seeded(seed):
            start = keras.initializers.RandomNormal() if biases else "zeros"
            layer = layers.Dense(units, activation="relu", bias_initializer=start)
            layer.build((None, inputs))
        found = patterns(layer, biases=biases)
        assert len(found) == networks.linear_regions(units, inputs, biases=biases)


# ---- what networks can represent, and what their gradients satisfy


@pytest.mark.parametrize("widths", [(5,), (8, 3, 8), (16, 16, 16, 16, 2, 16)])
def test_a_linear_stack_is_one_map(widths: tuple[int, ...]) -> None:
    """At any depth it puts out what one kernel and one bias do, of the rank of the narrowest."""
    for seed in range(3):
        with seeded(seed):
            dense = partial(layers.Dense, bias_initializer=NORMAL)
            model = net(6, *(partial(dense, width) for width in (*widths, 4)))
        weights = model.get_weights()
        kernel, bias = networks.composed(weights[::2], weights[1::2])
        x = drawn(seed, 30, 6)
        np.testing.assert_allclose(put_out(model, x), x @ kernel + bias, atol=1e-12)
        assert np.linalg.matrix_rank(kernel) == min(*widths, 4)


@pytest.mark.parametrize("depth", [0, 2])
@pytest.mark.parametrize("loss", networks.XOR_FLOORS)
def test_exclusive_or(loss: str, depth: int) -> None:
    """No linear stack gets below the floor or beyond three in four; two ReLU units do."""
    floor, x = networks.XOR_FLOORS[loss], np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y, last = np.array([0.0, 1.0, 1.0, 0.0]), "sigmoid" if loss == "binary_crossentropy" else None
    for seed in range(2):
        with seeded(seed):
            hidden = [partial(layers.Dense, 4)] * depth
            model = net(2, *hidden, partial(layers.Dense, 1, activation=last))
        curve = trained(compiled(model, keras.optimizers.Adam(0.05), loss), x, y, updates=150)
        assert curve.min() >= floor - 1e-14
        assert curve[-1] == pytest.approx(floor, rel=0.01)
        assert np.mean((put_out(model, x)[:, 0] > 0.5) == y) <= networks.XOR_ACCURACY
    two = net(2, partial(layers.Dense, 2, activation="relu"), partial(layers.Dense, 1))
    two.set_weights(
        [np.ones((2, 2)), np.array([0.0, -1.0]), np.array([[1.0], [-2.0]]), np.zeros(1)]
    )
    np.testing.assert_array_equal(put_out(two, x)[:, 0], y)


@pytest.mark.parametrize("seed", range(3))
def test_relu_units_can_be_rescaled(seed: int) -> None:
    """What enters a unit times a factor, what leaves divided by it: the outputs are the same."""
    model, x = mlp(seed), drawn(seed, 50, 3)
    before, weights = put_out(model, x), model.get_weights()
    factors = np.geomspace(1e-3, 1e3, len(weights[1]))
    weights[:3] = networks.rescaled(weights[0], weights[1], weights[2], factors)
    model.set_weights(weights)
    np.testing.assert_allclose(put_out(model, x), before, atol=1e-12)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("seed", range(2))
def test_gradient_identities(seed: int, optimizer: str) -> None:
    """Units balance, normalized weights feel no scale, classes cancel: at each of 15 updates."""
    with seeded(seed):
        model = net(
            5,
            partial(layers.Dense, 12), layers.BatchNormalization,
            partial(layers.Dense, 9, activation="relu", bias_initializer=NORMAL),
            partial(layers.Dense, 7, activation="relu", bias_initializer=NORMAL),
            partial(layers.Dense, 4),
        )  # fmt: skip
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    compiled(
        model,
        keras.optimizers.get({"class_name": optimizer, "config": {"learning_rate": 0.05}}),
        loss,
    )
    x, y = drawn(seed, 32, 5), np.random.default_rng(seed).integers(4, size=32)
    for _ in range(15):
        first, signal = model.layers[0], put_out(model.layers[0], x)
        found = gradients(model, loss(y, model(x, training=True)))
        weights = [variable.numpy() for variable in model.trainable_variables]
        kernel, bias, scale, _, *relu = range(len(weights))
        epsilon = model.layers[1].epsilon
        expected = networks.batchnorm_product(
            weights[scale], found[scale], signal.var(axis=0), epsilon
        )
        product_in = np.sum(first.kernel.numpy() * found[kernel], axis=0)
        np.testing.assert_allclose(product_in, expected, atol=1e-14)
        np.testing.assert_allclose(found[bias], 0, atol=1e-14)
        for at in (relu[0], relu[2]):
            apart = networks.relu_imbalance(
                networks.Parts(*weights[at : at + 2]), networks.Parts(*found[at : at + 2]),
                weights[at + 2], found[at + 2],
            )  # fmt: skip
            np.testing.assert_allclose(apart, 0, atol=1e-14)
        np.testing.assert_allclose(found[-1].sum(), 0, atol=1e-15)
        np.testing.assert_allclose(found[-2].sum(axis=1), 0, atol=1e-14)
        model.train_on_batch(x, y)


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


@pytest.mark.parametrize("size", [1, 2, 4])
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
    for size, rate in product([1, 4, 16], [0.1, 0.6]):
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
    grid = picture(frame, x="update", y="loss above the optimum", hue="batch size", col="rate")
    convergence.figure(
        titled(grid.set(yscale="log"), r"floor: $\eta\,s \,/\, (2B\,(2 - \eta h))$"),
        "Descent by batches drawn with replacement, down to where their noise stops it: lines are "
        "the formula, dots are Keras' mean over 2,000 outputs. The dot that stands out is a batch "
        "of four that drew one sample twice.",
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


def drawn(seed: int, *shape: int) -> Any:
    """Return normal numbers."""
    return np.random.default_rng(seed).normal(size=shape)


def spectrum(curvature: Sequence[float]) -> Any:
    """Return inputs of 30 samples for which a linear model's Hessian has these eigenvalues."""
    values = np.asarray(curvature, dtype=float)
    columns = np.linalg.qr(drawn(0, 30, len(values))).Q
    return columns * np.sqrt(15 * values) @ np.linalg.qr(drawn(1, len(values), len(values))).Q


def net(inputs: int, *stack: Callable[[], Any]) -> Any:
    """Return a network of some layers, each from a function that makes it."""
    return keras.Sequential([keras.Input((inputs,)), *(make() for make in stack)])


def line(inputs: int) -> Any:
    """Return a linear model without a bias, always of the same first weights."""
    with seeded(0):
        return net(inputs, partial(layers.Dense, 1, use_bias=False))


def mlp(seed: int) -> Any:
    """Return a network of 3 inputs, 8 ReLU units and 2 outputs, none of whose biases is 0."""
    dense = partial(layers.Dense, bias_initializer=NORMAL)
    with seeded(seed):
        return net(3, partial(dense, 8, activation="relu"), partial(dense, 2))


def compiled(model: Any, optimizer: Any, loss: Any = "mse") -> Any:
    """Return the model, ready to train."""
    model.compile(optimizer=optimizer, loss=loss)
    return model


def put_out(layer: Any, x: Any) -> Any:
    """Return what a layer or a model makes of inputs."""
    with torch.no_grad():
        return layer(x).numpy()


def product_loss(y: Any, p: Any) -> Any:
    """Return a loss whose gradient does not depend on the weights of a linear model."""
    return keras.ops.mean(y * p, axis=-1)


def flat(model: Any) -> Any:
    """Return all weights, one after the other."""
    return np.concatenate(model.get_weights(), axis=None)


def trained(model: Any, x: Any, y: Any, updates: int) -> Any:
    """Return the loss before the first update and after each, by full batches."""
    curve = []
    for update in range(updates + 1):
        with torch.no_grad():
            curve.append(float(model.compute_loss(x, y, model(x))))
        if update < updates:
            model.train_on_batch(x, y)
    return np.array(curve)


def driven(optimizer: Any, seed: int, updates: int) -> tuple[list[Any], list[Any], list[Any]]:
    """Return, for kernel and bias, the start, the gradients that are given, and the path taken."""
    with seeded(seed):
        dense = partial(layers.Dense, 2, bias_initializer=NORMAL)
        model = compiled(net(3, dense), optimizer, product_loss)
    start, given, path = model.get_weights(), [], []
    for update in range(updates):
        x, y = drawn(100 * seed + update, 8, 3), drawn(100 * seed + update + 50, 8, 2)
        given.append([x.T @ y / y.size, y.sum(axis=0) / y.size])
        model.train_on_batch(x, y)
        path.append(model.get_weights())
    return start, *([np.array(one) for one in zip(*rows, strict=True)] for rows in (given, path))


def gradients(model: Any, loss: Any) -> list[Any]:
    """Return the gradient of each trainable variable."""
    weights = [variable.value for variable in model.trainable_variables]
    return [gradient.numpy() for gradient in torch.autograd.grad(loss, weights)]


def updates_by(model: Any, x: Any, y: Any, batches: Any, rate: float = 1.0) -> Any:
    """Return the gradients of some batches, by what one update does to the weights."""
    compiled(model, SGD(rate))
    start, before, found = model.get_weights(), flat(model), []
    for batch in batches:
        model.train_on_batch(x[list(batch)], y[list(batch)])
        found.append((before - flat(model)) / rate)
        model.set_weights(start)
    return np.array(found)


def two_numbers(model: Any) -> tuple[float, float]:
    """Return output and curvature of the two-layer linear net."""
    width = len(flat(model)) / 2
    return put_out(model, ONE).item(), np.sum(flat(model) ** 2) / width


def sharpness(model: Any, x: Any, y: Any) -> float:
    """Return the largest eigenvalue of the loss's Hessian, by Lanczos' method."""
    weights = [variable.value for variable in model.trainable_variables]
    slopes = torch.autograd.grad(model.compute_loss(x, y, model(x)), weights, create_graph=True)
    slope = torch.cat([one.flatten() for one in slopes])

    def times(vector: Any) -> Any:
        along = slope @ torch.tensor(vector.ravel())
        rows = torch.autograd.grad(along, weights, retain_graph=True)
        return torch.cat([row.flatten() for row in rows]).numpy()

    hessian = LinearOperator((len(slope), len(slope)), times, dtype=float)
    start = np.ones(len(slope))
    found = eigsh(hessian, k=1, which="LA", v0=start, tol=1e-4, return_eigenvectors=False)
    return float(found[0])


def many_nets(initializer: str, count: int, width: int, depth: int) -> Iterator[Any]:
    """Yield the signals after each ReLU layer, a row a net, for an input of length 1 of its own."""
    signal = drawn(0, count, width)
    signal /= np.linalg.norm(signal, axis=1, keepdims=True)
    scheme = getattr(keras.initializers, initializer)
    for layer in range(depth):
        # Each net's kernel is a matrix of its own: the axes tell the initializer its fans.
        kernel = scheme(seed=layer, input_axes=[1], output_axes=[2])
        dense = layers.EinsumDense(
            "bni,nio->bno", (count, width), activation="relu", kernel_initializer=kernel
        )
        signal = put_out(dense, signal[None])[0]
        yield signal


def patterns(layer: Any, *, biases: bool) -> set[tuple[bool, ...]]:
    """Return every pattern of units that are on together, for some input.

    Each piece has a corner (without biases: an edge) where as many units as there are inputs (one
    fewer) turn on. Around it lie pieces to all sides of each of those units.
    """
    kernel, bias = layer.get_weights()
    inputs, found = len(kernel), set()
    for meeting in combinations(range(len(bias)), inputs if biases else inputs - 1):
        places = list(meeting)
        across = np.linalg.pinv(kernel[:, places].T)
        edge = np.linalg.svd(kernel[:, places].T)[2][-1] if places else np.ones(1)
        corners = [-across @ bias[places]] if biases else [edge, -edge]
        sides = 1e-6 * np.array(list(product([-1, 1], repeat=len(places)))) @ across.T
        for corner in corners:
            found |= {tuple(on) for on in put_out(layer, corner + sides) > 0}
    return found


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


def picture(frame: Any, *, x: str, y: str, hue: str, col: str, sharey: bool = True) -> Any:
    """Return panels in which lines are what was predicted and dots what was measured."""
    how: dict[str, Any] = {"x": x, "hue": hue, "palette": "colorblind"}
    grid = sns.relplot(
        frame, y="predicted", col=col, kind="line", height=3, aspect=1.15,
        facet_kws={"sharey": sharey}, **how,
    )  # fmt: skip
    for name, axes in grid.axes_dict.items():
        part = frame[frame[col] == name]
        sns.scatterplot(part, y="measured", s=18, legend=False, ax=axes, **how)
    return grid.set(ylabel=y).set_titles("{col_name}")


def titled(grid: Any, formula: str) -> Any:
    """Return the panels under the formula that draws their lines."""
    grid.figure.suptitle(formula, y=1.08)
    return grid


DISCUSSION = """
**Most of this is exact.** Where a formula covers the case, Keras agrees with it to rounding: whole
curves of gradient descent with and without momentum, the paths of eleven optimizers, eight schedules,
clipping, accumulation, decay and averages, every loss and every metric. A thousandth below the limit
descent converges, a thousandth above it diverges. No seed, no bound and no baseline are needed to see
that something is wrong, and none to see that it is not.

**Averages over all batches are exact too.** With six samples there are 20 batches of three, and their
mean update is that of all six. With two thousand samples chance is left, and the floor of the loss is
met to a few per cent: a 16th of the noise from a batch of 16, six times the rate and more than six
times the floor. (Keras' `fit` draws each sample once an epoch, so its floor is lower. The formula is a
model of it, not a law.)

**The catapult is visible in two numbers.** Between $2 / \\lambda_0$ and $4 / \\lambda_0$ the loss
rises by orders of magnitude, the curvature falls until the rate suits it, and the net converges to a
place that is flatter than where it began. A loss that rises at first is no proof of a rate too high.

**The edge of stability is a band.** The sharpness of a small tanh net climbs to $2 / \\eta$ and then
swings around it. When it gets there, and how far it swings, depends on the seed; that it ends up there
does not.

**Depth without the right variance is silence.** Six layers of Glorot's weights leave a 64th of a
signal's square, He's leave all of it: on average over nets. One net may be far off, the more so the
narrower it is.
"""
