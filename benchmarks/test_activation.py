r"""# Activations: what does a nonlinearity buy?

A dense layer multiplies its input by a matrix, adds a bias, and sends each number through an
*activation function* $\varphi$: $h = \varphi(W x + b)$. Leave $\varphi$ out, and however many layers
are stacked, they are one:

$$W_2 (W_1 x + b_1) + b_2 = (W_2 W_1)\, x + (W_2 b_1 + b_2)$$

A stack of any depth is one affine map, of a rank no higher than its narrowest layer (Goodfellow,
Bengio and Courville 2016, *Deep Learning*, section 6.1). More layers buy other paths of training,
not one function more.

## What one affine map cannot do

The four points of the exclusive or are the smallest proof. Let $s(x)$ be an affine score for class
one, and $\ell(s) = \ln(1 + e^s)$ the loss of a sample of class zero, so that $\ell(-s)$ is that of a
sample of class one. Since $s(0,0) + s(1,1) = s(0,1) + s(1,0)$ and $\ell$ is convex (Jensen),

$$\frac{\ell(s_{00}) + \ell(s_{11}) + \ell(-s_{01}) + \ell(-s_{10})}{4}
\ge \ell\left(\frac{s_{00} + s_{11} - s_{01} - s_{10}}{4}\right) = \ell(0) = \ln 2$$

No weights give less, and no line has more than three of the four points on the right sides (Minsky
and Papert 1969, *Perceptrons*). On other data the floor of an affine model is the optimum of logistic
regression: a convex problem, which a solver settles once and for all.

## What it costs: the gradient has to come back

The gradient of layer $l$ is $\delta_l h_{l-1}^T$, and $\delta_l = \varphi'(z_l) \odot W_{l+1}^T
\delta_{l+1}$, with $z_l$ what enters the activation. Keras draws a square $n \times n$ kernel with
variance $1/n$ (Glorot and Bengio 2010, section 4.2.1), so that one more layer multiplies the size of
$\delta$, on average over the weights, by

$$\sqrt{\chi}, \qquad \chi = E[\varphi'(z)^2]$$

(He et al. 2015, section 2.2, for ReLU; Schoenholz et al. 2017, "Gradient backpropagation", for any
$\varphi$). While signals are small that is tanh's slope 1, the slope 1/2 of GELU and SiLU, and the 1/4
of the sigmoid; ReLU lets half of the units through, $\chi = 1/2$. Ten layers of sigmoid leave a
millionth. And a ReLU unit that is off for every sample has no gradient at all: it is *dead*, and
stays so (Lu et al. 2019, arXiv 1903.06733).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import keras
import numpy as np
import pandas as pd
import pytest
import seaborn as sns
import torch
from scipy.special import softmax
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import log_loss, mean_squared_error

from dlbench import Workload, workloads
from dlbench.backend import seeded

if TYPE_CHECKING:
    from dlbench.plugin.fixtures import Convergence

ACTIVATIONS = ["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid"]
FACTORS = {"tanh": 1.0, "relu": math.sqrt(1 / 2), "gelu": 1 / 2, "silu": 1 / 2, "sigmoid": 1 / 4}
STUCK = {("gelu", 8), ("sigmoid", 4), ("sigmoid", 8)}
STEPS = {"xor": 150, "moons": 400, "spirals": 400}
SEEDS = range(10)


# ---- one affine map


@pytest.mark.parametrize("hidden", ["32", "32-5-32", "16-16-16-16-16-16-2"])
def test_a_linear_stack_is_one_affine_map(hidden: str) -> None:
    """One matrix and one bias, composed from a trained stack, put out what the stack puts out."""
    digits, widths = workloads.digits_mlp(), [int(width) for width in hidden.split("-")]
    build = workloads.mlp(64, 10, hidden=widths, activation=None)
    stack = Workload(name="stack", model=build, data=digits.data, loss=digits.loss)
    model, x = trained(stack, seed=0), digits.data.validation.x
    matrix, bias = np.eye(64), np.zeros(64)
    for layer in model.layers:
        kernel, offset = (values.astype(float) for values in layer.get_weights())
        matrix, bias = matrix @ kernel, bias @ kernel + offset
    composed = softmax(x @ matrix + bias, axis=1)
    np.testing.assert_allclose(composed, model.predict(x, verbose=0), atol=1e-5)
    assert np.linalg.matrix_rank(matrix) == min(*widths, 10)


def test_max_pooling_is_a_nonlinearity_too() -> None:
    """On a straight line between two images an affine model bends nowhere; a linear CNN does."""
    images = workloads.digits_cnn().data.train.x
    start, end = images[:100], images[100:200]
    for build, affine in (
        (workloads.mlp((8, 8, 1), 10, activation=None, output=None), True),
        (workloads.cnn((8, 8, 1), 10, activation=None, output=None), False),
    ):
        with seeded(0):
            model = build()
        ends, middle = model(start) + model(end), model((start + end) / 2)
        assert (float(keras.ops.max(keras.ops.abs(ends - 2 * middle))) < 1e-4) == affine


# ---- the floor, and below it


@pytest.mark.parametrize("layers", [1, 2, 8])
@pytest.mark.parametrize("task", STEPS)
def test_linear_stacks_stop_at_the_floor(convergence: Convergence, task: str, layers: int) -> None:
    """However deep, no run is below the best affine model at any point, and they end there."""
    runs, floor = train_on_points(convergence, task, depth=layers - 1, activation=None)
    assert runs.curves["loss"].min() >= floor - 1e-6  # a theorem; 1e-6 for rounding
    assert runs.final("loss").median() <= 1.02 * floor
    if task == "xor":
        assert floor == pytest.approx(math.log(2))
        assert runs.curves["accuracy"].max() <= 3 / 4  # a theorem


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("task", STEPS)
def test_activations_pass_the_floor(convergence: Convergence, task: str, activation: str) -> None:
    """Two hidden layers with any activation behind them get far below it, and learn the task."""
    runs, floor = train_on_points(convergence, task, depth=2, activation=activation)
    assert runs.final("loss").median() <= floor / 2
    assert runs.final("accuracy").median() >= 0.95


@pytest.mark.parametrize("task", ["spirals", "moons"])
def test_decision_boundaries(convergence: Convergence, task: str) -> None:
    """A linear stack cuts the plane along a line; every activation bends it in its own way."""
    networks = {
        name: trained(getattr(workloads, task)(activation=name, depth=2), seed=0, epochs=50)
        for name in ["linear", *ACTIVATIONS]
    }
    unseen = getattr(workloads, task)().data.validation
    right = {
        name: (model.predict(unseen.x, verbose=0).argmax(axis=1) == unseen.y).mean()
        for name, model in networks.items()
    }
    convergence.figure(
        draw_boundaries(networks, unseen, right),
        f"How each network divides the plane ({task}, seed 0): the darker, the surer, with the "
        "boundary in black. Points are those that it did not train on; above stands the share of "
        "them that it gets right.",
    )
    assert min(right, key=right.__getitem__) == "linear"


# ---- depth, and the way back of the gradient


def test_gradients_at_the_start(convergence: Convergence) -> None:
    """One layer more shrinks the first layer's gradient by the factor that theory predicts."""
    rows = [
        {"activation": name, "hidden layers": depth, "layer": layer, "gradient (RMS)": size}
        for name in FACTORS
        for depth in (2, 4, 8)
        for seed in SEEDS
        for layer, size in enumerate(gradient_sizes(name, depth, seed), start=1)
    ]
    gradients = pd.DataFrame(rows)
    convergence.figure(
        draw_gradients(gradients),
        "The gradient of every layer's kernel before training, on the digits: root mean square over "
        f"its elements, geometric mean over {len(SEEDS)} seeds. Layer 1 is next to the input.",
    )
    first = gradients[gradients["layer"] == 1]
    sizes = np.log(first["gradient (RMS)"]).groupby([first["activation"], first["hidden layers"]])
    for name, factor in FACTORS.items():
        measured = math.exp((sizes.mean()[name, 8] - sizes.mean()[name, 4]) / 4)
        assert measured == pytest.approx(factor, rel=0.15)


@pytest.mark.parametrize("depth", [1, 4, 8])
@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu", "sigmoid"])
def test_depth(convergence: Convergence, activation: str, depth: int) -> None:
    """Networks whose gradient has vanished stay where a guess would be; the others learn."""
    network = workloads.digits_mlp(activation=activation, depth=depth)
    runs = convergence(network, learning_rate=0.1, epochs=5)
    if (activation, depth) in STUCK:
        assert runs.final("loss").min() >= 2.25  # a guess among ten classes: ln 10 = 2.303
    else:
        assert runs.final("loss").max() <= 1.9


def test_dead_units(convergence: Convergence) -> None:
    """A large learning rate kills ReLU units: they are off for every sample, and stay off."""
    digits = workloads.digits_mlp()
    rows = [
        {"learning rate": rate, "hidden layer": layer, "dead units (share)": share}
        for rate in (0.01, 0.1, 0.5, 1.0, 2.0)
        for seed in SEEDS
        for layer, share in enumerate(
            dead_shares(trained(digits, seed, optimizer=keras.optimizers.SGD(rate), epochs=3)),
            start=1,
        )
    ]
    dead = pd.DataFrame(rows)
    grid = sns.relplot(
        dead, x="learning rate", y="dead units (share)", hue="hidden layer", style="hidden layer",
        kind="line", markers=True, errorbar=("pi", 100), palette="colorblind", height=3, aspect=1.8,
    )  # fmt: skip
    grid.set(xscale="log", ylim=(0, 1))
    convergence.figure(
        grid,
        "ReLU units that are off for every training sample after three epochs on the digits, by "
        f"the learning rate: mean and range over {len(SEEDS)} seeds.",
    )
    shares = dead.groupby("learning rate")["dead units (share)"].mean()
    assert shares[0.1] <= 0.15
    assert shares[1.0] >= 0.4


# ---- other tasks


@pytest.mark.parametrize("activation", ["linear", "relu"])
@pytest.mark.parametrize("task", ["diabetes", "digits_cnn"])
def test_other_tasks(convergence: Convergence, task: str, activation: str) -> None:
    """Where straight lines suffice, a nonlinearity lowers the training loss and little else."""
    network = getattr(workloads, task)(activation=activation)
    runs = convergence(network, optimizer="adam", learning_rate=0.01, steps=150)
    if task == "diabetes":
        x, y = network.data.train.x, network.data.train.y
        floor = mean_squared_error(y, LinearRegression().fit(x, y).predict(x))
        assert (runs.curves["loss"].min() >= floor - 1e-6) == (activation == "linear")
        assert runs.best("val_loss").median() <= 0.5
    else:
        assert runs.final("val_accuracy").median() >= 0.92


# ---- what the tests above are made of


def train_on_points(
    convergence: Convergence, task: str, *, depth: int, activation: str | None
) -> tuple[Runs, float]:
    """Train on points in the plane; return the runs and the floor of all affine models."""
    network = getattr(workloads, task)(activation=activation, depth=depth, width=16)
    runs = convergence(
        network, optimizer="adam", learning_rate=0.03, batch_size="full", steps=STEPS[task]
    )
    x, y = network.data.train.x.astype(float), network.data.train.y
    best = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(x, y)  # no penalty
    return runs, log_loss(y, best.predict_proba(x))


def trained(
    workload: Workload, seed: int, *, optimizer: object = "adam", epochs: int = 20
) -> keras.Model:
    """Train by Keras alone, for what needs the weights themselves."""
    with seeded(seed):
        model = workload.build()
        model.compile(optimizer=optimizer, loss=workload.loss.build())
        model.fit(workload.data.train.x, workload.data.train.y, epochs=epochs, verbose=0)
    return model


def gradient_sizes(activation: str, depth: int, seed: int) -> list[float]:
    """Return the root mean square of each kernel's gradient, on all digits, before training."""
    digits = workloads.digits_mlp(activation=activation, depth=depth)
    with seeded(seed):
        model = digits.build()
    loss = digits.loss.build()(digits.data.train.y, model(digits.data.train.x)).mean()
    gradients = torch.autograd.grad(loss, [layer.kernel.value for layer in model.layers])
    return [float(gradient.square().mean().sqrt()) for gradient in gradients]


def dead_shares(model: keras.Model) -> list[float]:
    """Return, for each hidden layer, the share of its units that are 0 for every digit."""
    signal, shares = workloads.digits_mlp().data.train.x, []
    for layer in model.layers[:-1]:
        signal = layer(signal)
        shares.append(float((signal <= 0).all(dim=0).double().mean()))
    return shares
