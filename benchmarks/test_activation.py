r"""# Activations: what does a nonlinearity buy?

A dense layer multiplies its input by a matrix, adds a bias, and sends each number through an
*activation function*: $h = \varphi(W x + b)$. Leave $\varphi$ out, and however many layers are
stacked, they are one:

$$W_2 (W_1 x + b_1) + b_2 = (W_2 W_1)\, x + (W_2 b_1 + b_2)$$

A stack of any depth is one affine map, of a rank no higher than its narrowest layer (Goodfellow,
Bengio and Courville 2016, *Deep Learning*, section 6.1). Depth buys it other paths of training, and
not one function more.

## What one affine map cannot do

The four points of the exclusive or are the smallest proof. Let $s$ be an affine score for class one,
and $\ell(s) = \ln(1 + e^s)$ the loss at a point of class zero, so that $\ell(-s)$ is that at a point
of class one. Since $s_{00} + s_{11} = s_{01} + s_{10}$ and $\ell$ is convex (Jensen's inequality),

$$\frac{\ell(s_{00}) + \ell(s_{11}) + \ell(-s_{01}) + \ell(-s_{10})}{4} \ge \ell(0) = \ln 2$$

No weights give a lower loss, and no line has more than three of the four points on their right sides
(Minsky and Papert 1969, *Perceptrons*). On other data the floor of all affine models is the optimum
of logistic regression, a convex problem that a solver settles once and for all.

## What depth costs: the gradient has to come back

The gradient of layer $l$ is $\delta_l h_{l-1}^T$, and backwards through the layers
$\delta_l = \varphi'(z_l) \odot W_{l+1}^T \delta_{l+1}$, where $z_l$ is what enters the activation.
Keras draws a kernel of $n \times n$ weights with variance $1/n$ (Glorot and Bengio 2010, section
4.2.1). So one layer more multiplies the size of $\delta$ by about

$$\sqrt{\chi}, \qquad \chi = E[\varphi'(z)^2]$$

(He et al. 2015, section 2.2, for ReLU; Schoenholz et al. 2017, "Gradient backpropagation"). Near
zero that is tanh's slope of 1, the 1/2 of GELU and SiLU, the 1/4 of the sigmoid; ReLU lets every
second unit through, $\chi = 1/2$. Ten layers of sigmoid leave a millionth. And a ReLU unit that is
off for every sample has no gradient at all: it is *dead*, and stays so (Lu et al. 2019, arXiv
1903.06733).
"""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pandas as pd
import pytest
import seaborn as sns
import torch
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from dlbench import Experiment, Workload, workloads
from dlbench.backend import seeded

if TYPE_CHECKING:
    from dlbench.plugin.fixtures import Convergence

ACTIVATIONS = ["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid"]
BY_ADAM: dict[str, Any] = {"optimizer": "adam", "learning_rate": 0.03, "batch_size": "full"}
STEPS = {"xor": 150, "moons": 400, "spirals": 400}
SEEDS = range(10)


# ---- without an activation


@pytest.mark.parametrize("hidden", ["32", "32-5-32", "16-16-16-16-16-16-2"])
def test_a_linear_stack_is_one_affine_map(hidden: str) -> None:
    """One matrix and one bias, composed from a trained stack, put out what the stack puts out."""
    digits, widths = workloads.digits_mlp(), [int(width) for width in hidden.split("-")]
    build = workloads.mlp(64, 10, hidden=widths, activation=None)
    model = trained(
        Workload(name="stack", model=build, data=digits.data, loss=digits.loss), seed=0, epochs=5
    )
    matrix, bias = np.eye(64), np.zeros(64)
    for layer in model.layers:
        kernel, offset = numpy(layer.kernel.value), numpy(layer.bias.value)
        matrix, bias = matrix @ kernel, bias @ kernel + offset
    x = digits.data.validation.x
    np.testing.assert_allclose(softmax(x @ matrix + bias, axis=1), numpy(model(x)), atol=1e-5)
    assert np.linalg.matrix_rank(matrix) == min(*widths, 10)


@pytest.mark.parametrize("layers", [1, 2, 5])
@pytest.mark.parametrize("task", STEPS)
def test_linear_stacks_stop_at_the_floor(convergence: Convergence, task: str, layers: int) -> None:
    """However deep, no run is below the best affine model at any point, and they end at it."""
    stack = getattr(workloads, task)(activation=None, depth=layers - 1, width=16)
    runs = convergence(stack, **BY_ADAM, steps=STEPS[task])
    floor = affine_floor(stack)
    assert runs.curves["loss"].min() >= floor - 1e-6  # a theorem; 1e-6 is for rounding
    assert runs.final("loss").median() <= 1.02 * floor
    if task == "xor":
        assert floor == pytest.approx(math.log(2))
        assert runs.curves["accuracy"].max() <= 3 / 4  # a theorem


# ---- with one


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("task", STEPS)
def test_activations_pass_the_floor(convergence: Convergence, task: str, activation: str) -> None:
    """Two hidden layers, each with an activation, get far below the floor and learn the task."""
    network = getattr(workloads, task)(activation=activation, depth=2, width=16)
    runs = convergence(network, **BY_ADAM, steps=STEPS[task])
    assert runs.final("loss").median() <= affine_floor(network) / 2
    assert runs.final("accuracy").median() >= 0.95


@pytest.mark.parametrize("task", ["spirals", "moons"])
def test_decision_boundaries(convergence: Convergence, task: str) -> None:
    """A linear stack cuts the plane along a line; every activation bends it in its own way."""
    make, right = getattr(workloads, task), {}
    unseen = make().data.validation
    low, high = unseen.x.min(axis=0) - 0.2, unseen.x.max(axis=0) + 0.2
    across, up = np.linspace(low, high, 100).T
    plane = np.dstack(np.meshgrid(across, up)).reshape(-1, 2)
    panels = pd.DataFrame({"activation": ["linear", *ACTIVATIONS]})
    grid = sns.FacetGrid(panels, col="activation", col_wrap=4, height=2.2)
    for name, axes in grid.axes_dict.items():
        model = trained(make(activation=name), seed=0, **BY_ADAM, steps=STEPS[task])
        right[name] = (numpy(model(unseen.x)).argmax(axis=1) == unseen.y).mean()
        chance = numpy(model(plane))[:, 1].reshape(100, 100)
        axes.contourf(across, up, chance, levels=np.linspace(0, 1, 11), cmap="vlag", alpha=0.8)
        axes.contour(across, up, chance, levels=[0.5], colors="black", linewidths=1)
        axes.scatter(*unseen.x.T, c=unseen.y, cmap="vlag", s=7, edgecolors="white", linewidths=0.3)
        axes.set_title(f"{name}: {right[name]:.0%} right", fontsize=9)
    convergence.figure(
        grid,
        f"How eight networks with two hidden layers divide the plane ({task}, one seed): the "
        "darker, the surer, the boundary in black. The points are those held back for validation.",
    )
    assert min(right, key=right.__getitem__) == "linear"


# ---- depth


def test_gradients_at_the_start(convergence: Convergence) -> None:
    """One layer more shrinks the first layer's gradient by the factor that theory predicts."""
    factors = {"tanh": 1.0, "relu": 0.5**0.5, "gelu": 1 / 2, "silu": 1 / 2, "sigmoid": 1 / 4}
    rows = [
        (name, depth, layer, size)
        for name, depth, seed in product(factors, (2, 4, 8), SEEDS)
        for layer, size in enumerate(gradient_sizes(name, depth, seed), start=1)
    ]
    sizes = pd.DataFrame(rows, columns=["activation", "hidden layers", "layer", "gradient"])
    grid = sns.relplot(
        sizes, x="layer", y="gradient", col="hidden layers", hue="activation", style="activation",
        kind="line", markers=True, estimator="median", errorbar=("pi", 100), palette="colorblind",
        height=2.8,
    )  # fmt: skip
    grid.set(yscale="log", ylabel="gradient (root mean square)")
    convergence.figure(
        grid,
        "How large the gradient of every layer's kernel is before training, on the digits, from "
        f"the input (layer 1) to the output: median and range over {len(SEEDS)} seeds.",
    )
    first = sizes[sizes["layer"] == 1].groupby(["activation", "hidden layers"])["gradient"]
    for name, factor in factors.items():
        measured = (first.median()[name, 8] / first.median()[name, 4]) ** (1 / 4)
        assert measured == pytest.approx(factor, rel=0.15)


@pytest.mark.parametrize("depth", [1, 4, 8])
@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu", "sigmoid"])
def test_depth(convergence: Convergence, activation: str, depth: int) -> None:
    """A network whose gradient has vanished stays as good as a guess; the others learn."""
    network = workloads.digits_mlp(activation=activation, depth=depth)
    runs = convergence(network, learning_rate=0.1, epochs=5)
    if (activation, depth) in {("gelu", 8), ("sigmoid", 4), ("sigmoid", 8)}:
        assert runs.final("loss").min() >= 2.25  # a guess among ten classes: ln 10 = 2.303
    else:
        assert runs.final("loss").max() <= 1.9


def test_dead_units(convergence: Convergence) -> None:
    """A large learning rate kills ReLU units: they are off for every sample, and stay off."""
    digits, rows = workloads.digits_mlp(), []
    for rate, seed in product((0.01, 0.1, 0.5, 1.0, 2.0), SEEDS[:5]):
        model = trained(digits, seed, learning_rate=rate, epochs=3)
        signal = digits.data.train.x
        for number, layer in enumerate(model.layers[:-1], start=1):
            signal = layer(signal)
            rows.append((rate, number, float((signal <= 0).all(dim=0).double().mean())))
    dead = pd.DataFrame(rows, columns=["learning rate", "hidden layer", "share of dead units"])
    grid = sns.relplot(
        dead, x="learning rate", y="share of dead units", hue="hidden layer", style="hidden layer",
        kind="line", markers=True, errorbar=("pi", 100), palette="colorblind", height=3, aspect=1.8,
    )  # fmt: skip
    grid.set(xscale="log", ylim=(-0.02, 1.02))
    convergence.figure(
        grid,
        "ReLU units that are off for every training sample after three epochs on the digits: mean "
        "and range over 5 seeds.",
    )
    shares = dead.groupby("learning rate")["share of dead units"].mean()
    assert shares[0.1] <= 0.15
    assert shares[1.0] >= 0.4


# ---- other tasks, a similar model


@pytest.mark.parametrize("activation", ["linear", "relu"])
@pytest.mark.parametrize("task", ["diabetes", "digits_cnn"])
def test_other_tasks(convergence: Convergence, task: str, activation: str) -> None:
    """Where a line nearly suffices, the target is reached without any activation as well."""
    network = getattr(workloads, task)(activation=activation)
    runs = convergence(network, optimizer="adam", learning_rate=0.01, steps=150)
    assert (runs.regimes == "converged").mean() >= 0.6


# ---- what the tests above are made of


def affine_floor(workload: Workload) -> float:
    """Return the training loss of logistic regression without a penalty."""
    x, y = workload.data.train.x.astype(float), workload.data.train.y
    best = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(x, y)
    return float(log_loss(y, best.predict_proba(x)))


def trained(workload: Workload, seed: int, **how: Any) -> keras.Model:
    """Train one model by Keras alone, for what needs the weights themselves."""
    experiment = Experiment(workload, **how)
    with seeded(seed):
        model = workload.build()
        model.compile(optimizer=experiment.optimizer.build(), loss=workload.loss.build())
        for batch in experiment.batches(seed):
            model.train_on_batch(batch.x, batch.y)
    return model


def numpy(tensor: torch.Tensor) -> np.ndarray:
    """Return a tensor's values in double precision."""
    return tensor.detach().cpu().double().numpy()


def gradient_sizes(activation: str, depth: int, seed: int) -> list[float]:
    """Return the root mean square of each kernel's gradient, over all digits, before training."""
    digits = workloads.digits_mlp(activation=activation, depth=depth)
    with seeded(seed):
        model = digits.build()
    losses = digits.loss.build()(digits.data.train.y, model(digits.data.train.x))
    kernels = [layer.kernel.value for layer in model.layers]
    gradients = torch.autograd.grad(losses.mean(), kernels)
    return [float(gradient.square().mean().sqrt()) for gradient in gradients]


DISCUSSION = """
TODO
"""
