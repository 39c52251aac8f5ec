r"""
# Laws of networks

What can be said of a network before it is trained, and of its gradients while it is? How large its
signals are, how many units are off, what it can and cannot represent: by formula, whatever the data.
Held to it are Keras' own layers and initializers, in double precision.

## First weights

A weight of variance $\sigma_w^2$, symmetric around 0, sends half of a signal's square through ReLU:

$$E \lVert h \rVert^2 = \frac{n\, \sigma_w^2}{2} \lVert x \rVert^2$$

He's $\sigma_w^2 = 2 / n$ keeps it at any depth, Glorot's $1 / n$ halves it at every layer (He et al.
2015, arXiv 1502.01852, section 2.2). All $n$ units of a layer are off with probability $2^{-n}$ (Lu
et al. 2019, arXiv 1903.06733). Where they are on and off divides the inputs into $\sum_{j \le d}
\binom{n}{j}$ pieces (Zaslavsky 1975), and into $2 \sum_{j < d} \binom{n-1}{j}$ while biases are 0.

## What a network can represent

Layers without an activation between them are one linear map, at any depth. So on exclusive or no such
stack gets below a squared error of $1/4$ or a cross-entropy of $\ln 2$, and two ReLU units reach 0
(Goodfellow et al. 2016, section 6.1).

## Gradients

ReLU lets a factor through, so what enters a unit and what leaves it are bound together:
$\langle w, g_w \rangle + b\, g_b = \langle v, g_v \rangle$, at every step (Du, Hu and Lee 2018, arXiv
1806.00900, theorem 2.1). Batch normalization takes a factor out: $\langle w, g_w \rangle$ is 0, but
for its $\varepsilon$. And the gradients of a softmax cancel over the classes.

## Descent on a net

Of a two-layer linear net two numbers tell all, though its loss is not convex: the output $f$ and the
curvature $\lambda$, at width $n$,

$$f' = f \left(1 - \eta\lambda + \tfrac{\eta^2 f^2}{n}\right), \qquad
\lambda' = \lambda + \tfrac{\eta f^2}{n} (\eta\lambda - 4)$$

(Lewkowycz et al. 2020, arXiv 2003.02218, section 2). Below $2 / \lambda_0$ it is lazy; between
$2 / \lambda_0$ and $4 / \lambda_0$ the loss leaps until the curvature has given way, the *catapult*;
above, it diverges. Larger nets show something similar all the time: the curvature rises until it
hovers around $2 / \eta$, the *edge of stability* (Cohen et al. 2021, section 3). That is no theorem,
so here it is a band.

## What is tried

Initializers on square and oblong kernels and on convolutions, signals through a thousand nets, all
pieces of small layers counted one by one; gradients at 15 updates of two optimizers; the linear net at
two widths in each phase; tanh nets at two rates, of which the largest curvature is measured on the way.
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

from benchmarks.laws import NORMAL, compiled, drawn, flat, mlp, net, picture, put_out
from dlbench import Workload
from dlbench.backend import seeded, true_float64
from dlbench.theory import (
    descent,
    initializers,
    networks,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dlbench.plugin.fixtures import Convergence

pytestmark = pytest.mark.convergence(quick=False)

SGD = keras.optimizers.SGD
ONE = np.ones((1, 1))
to_numpy = keras.ops.convert_to_numpy


@pytest.fixture(autouse=True)
def precision(request: pytest.FixtureRequest) -> Iterator[str]:
    """Compute in true float64, unless a case asks for float32."""
    wanted = getattr(request, "param", "float64")
    with true_float64() if wanted == "float64" else contextlib.nullcontext():
        yield wanted


# ---- first weights


DEVIATIONS = 5
"""How many standard errors a mean over fixed seeds may be off."""


@pytest.mark.parametrize("shape", [(1000, 1000), (3000, 300), (3, 3, 200, 500)])
@pytest.mark.parametrize("form", ["uniform", "normal"])
@pytest.mark.parametrize("scheme", initializers.SCHEMES)
def test_variance(scheme: str, form: str, shape: tuple[int, ...]) -> None:
    """A kernel has the scheme's variance, as closely as that many draws can tell; and mean 0."""
    kernel = getattr(keras.initializers, scheme.title() + form.title())(seed=1)
    weights = to_numpy(kernel(shape)).ravel()
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
    rows, count, width = [], 1000, 16
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
    formula = r"$E\,|h_L|^2 = (n\,\sigma_w^2 / 2)^L\, |x|^2$"
    measure = "mean of $|h|^2 / |x|^2$"
    grid = picture(frame, formula, x="layer", y=measure, hue="scheme", col="weights")
    convergence.figure(
        grid.set(yscale="log"),
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
    with seeded(0):
        hidden = [partial(layers.Dense, 4)] * depth
        model = net(2, *hidden, partial(layers.Dense, 1, activation=last))
    compiled(model, keras.optimizers.Adam(0.05), loss)
    # By full batches each epoch's loss is that before its update.
    curve = model.fit(x, y, batch_size=4, epochs=150, verbose=0).history["loss"]
    assert min(curve) >= floor - 1e-14
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
        weights = [to_numpy(variable) for variable in model.trainable_variables]
        kernel, bias, scale, _, *relu = range(len(weights))
        epsilon = model.layers[1].epsilon
        expected = networks.batchnorm_product(
            weights[scale], found[scale], signal.var(axis=0), epsilon
        )
        product_in = np.sum(to_numpy(first.kernel) * found[kernel], axis=0)
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


# ---- descent on a network


PHASES = {0.8: "lazy", 2.6: "catapult", 3.6: "catapult", 4.4: "divergent"}


@pytest.mark.parametrize("width", [16, 256])
def test_two_layer_linear_net(convergence: Convergence, width: int) -> None:
    """Output and curvature follow the recursion update by update, in all three phases."""
    rows = []
    for seed, (share, phase) in enumerate(PHASES.items()):
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
        while len(found) < 26 and found[-1][0] ** 2 < 1e12:
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
        label = f"{share:g}, {phase}"
        for update, (one, two) in enumerate(zip(np.transpose(expected), found, strict=True)):
            rows.append((label, update, "loss $f^2$", one[0] ** 2, two[0] ** 2))
            rows.append((label, update, "curvature λ", one[1], two[1]))
    frame = pd.DataFrame(rows, columns=["η λ₀, phase", "update", "of", "predicted", "measured"])
    formula = r"$f' = f\,(1 - \eta\lambda + \eta^2 f^2/n)$, "
    formula += r"$\lambda' = \lambda + (\eta f^2/n)(\eta\lambda - 4)$"
    grid = picture(frame, formula, x="update", y="", hue="η λ₀, phase", col="of", sharey=False)
    grid.axes_dict["loss $f^2$"].set(yscale="log", ylim=(1e-9, 1e6), xlim=(-0.5, 20))
    grid.axes_dict["curvature λ"].set(ylim=(0, 5))
    convergence.figure(
        grid,
        f"A two-layer linear net of width {width}: lines are the recursion of two numbers, dots are "
        "Keras with all its weights.",
    )


def test_edge_of_stability(convergence: Convergence) -> None:
    """Full batches drive ηλ/2 from below 1 up to 1, and there it hovers, at either rate."""
    x, frames = np.linspace(-1, 1, 20)[:, None], []
    y = np.polynomial.chebyshev.chebval(x, [0, 0, 0, 0, 1])
    hidden = partial(layers.Dense, 24, activation="tanh")
    model = partial(net, 1, hidden, hidden, partial(layers.Dense, 1))
    by_rate = convergence.sweep(
        Workload(name="Chebyshev polynomial", model=model, data=(x, y), loss="mse"),
        learning_rate=[0.1, 0.13], batch_size="full", steps=1400, seeds=8,
        probes=["sharpness"],
    )  # fmt: skip
    for rate, runs in by_rate.items():
        share = runs.curves["probe_sharpness"] / descent.stability_limit(rate)
        late = share[:, runs.points >= 1000]
        # 64 other seeds at each rate: at the start at most 0.83; late from 0.73 to 1.45, medians 1.01.
        assert share[:, 0].max() < 1
        assert 0.85 < np.median(late) < 1.15
        assert late.min() > 0.5
        assert late.max() < 1.8
        frames.append(
            runs.to_frame()
            .query("metric == 'probe_sharpness'")
            .assign(rate=f"{rate:g}", share=share.ravel())
        )
    frame = pd.concat(frames, ignore_index=True)
    grid = sns.relplot(
        frame, x="step", y="share", hue="rate", style="rate", units="seed", kind="line", estimator=None,
        alpha=0.5, palette="colorblind", height=3, aspect=1.8,
    )  # fmt: skip
    grid.refline(y=1, color="black")
    grid.set(xlabel="update", ylabel=r"$\eta\,\lambda_{\max}\,/\,2$", ylim=(0, None))
    convergence.figure(
        grid,
        "The Hessian's largest eigenvalue of tanh nets that are trained by full batches, a line a "
        "seed: it rises until the rate is as large as that curvature bears, whichever rate it is.",
    )


# ---- what the laws are tried on


def gradients(model: Any, loss: Any) -> list[Any]:
    """Return the gradient of each trainable variable."""
    weights = [variable.value for variable in model.trainable_variables]
    return [to_numpy(gradient) for gradient in torch.autograd.grad(loss, weights)]


def two_numbers(model: Any) -> tuple[float, float]:
    """Return output and curvature of the two-layer linear net."""
    width = len(flat(model)) / 2
    return put_out(model, ONE).item(), np.sum(flat(model) ** 2) / width


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


DISCUSSION = """
**Depth without the right variance is silence.** Six layers of Glorot's weights leave a 64th of a
signal's square, He's leave all of it: on average over nets. One net may be far off, the more so the
narrower it is.

**The catapult is visible in two numbers.** Between $2 / \\lambda_0$ and $4 / \\lambda_0$ the loss
rises by orders of magnitude, the curvature falls until the rate suits it, and the net converges to a
place that is flatter than where it began. A loss that rises at first is no proof of a rate too high.

**The edge of stability is a band.** The sharpness of a small tanh net climbs to $2 / \\eta$ and then
swings around it. When it gets there, and how far it swings, depends on the seed; that it ends up there
does not.
"""
