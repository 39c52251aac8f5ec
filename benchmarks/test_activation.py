r"""
# Activations

What does a nonlinearity between two layers buy? A dense layer multiplies its input by a matrix, adds
a bias, and sends each number through an *activation function*: $h = \varphi(W x + b)$. Leave $\varphi$
out, and however many layers are stacked, they are one:

$$W_2 (W_1 x + b_1) + b_2 = (W_2 W_1)\, x + (W_2 b_1 + b_2)$$

A stack of any depth is one affine map, of a rank no higher than its narrowest layer (Goodfellow,
Bengio and Courville 2016, *Deep learning*, section 6.1). Depth buys it not one function more.

## What one affine map cannot do

The four points of the exclusive or are the smallest proof. Let $s$ be an affine score for class one,
and $\ell(s) = \ln(1 + e^s)$ the loss at a point of class zero, so that $\ell(-s)$ is that at a point
of class one. Since $s_{00} + s_{11} = s_{01} + s_{10}$ and $\ell$ is convex (Jensen's inequality),

$$\frac{\ell(s_{00}) + \ell(s_{11}) + \ell(-s_{01}) + \ell(-s_{10})}{4} \ge \ell(0) = \ln 2$$

No weights give a lower loss, and no line has more than three of the four points on their right sides
(Minsky and Papert 1969, *Perceptrons*). On other data the floor of all affine models is the optimum
of logistic regression, a convex problem that a solver settles once and for all.

## What depth costs

The gradient of layer $l$ is $\delta_l h_{l-1}^T$, and from layer to layer it has to come back:
$\delta_l = \varphi'(z_l) \odot W_{l+1}^T \delta_{l+1}$, where $z_l$ is what enters the activation.
Keras draws a kernel of $n \times n$ weights with variance $1/n$ (Glorot and Bengio 2010, section
4.2.1). So every layer multiplies the size of $\delta$ by about

$$\sqrt{\chi}, \qquad \chi = E[\varphi'(z)^2]$$

(He et al. 2015, section 2.2, for ReLU; Schoenholz et al. 2017, "Gradient backpropagation"). Near zero
that is tanh's slope of 1, the 1/2 of GELU and SiLU, the 1/4 of the sigmoid; ReLU lets every second
unit through, $\chi = 1/2$. Ten layers of sigmoid leave a millionth. And a ReLU unit that is off for
every sample has no gradient at all: it is *dead* (Lu et al. 2019, arXiv 1903.06733).
"""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, Any

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
    import keras

    from dlbench.plugin.fixtures import Convergence

ACTIVATIONS = ["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid"]
FULL_BATCH: dict[str, Any] = {"optimizer": "adam", "learning_rate": 0.03, "batch_size": "full"}
STEPS = {"xor": 150, "moons": 300, "spirals": 300}
TO_BE_SEEN: dict[str, Any] = FULL_BATCH | {"learning_rate": 0.1, "steps": 150}


@pytest.mark.convergence(quick=False)
@pytest.mark.parametrize("hidden", ["32", "32-5-32", "16-16-16-16-16-16-2"])
def test_a_linear_stack_is_one_affine_map(hidden: str) -> None:
    """One matrix and one bias, composed from a trained stack, put out what the stack puts out."""
    digits, widths = workloads.digits_mlp(), [int(width) for width in hidden.split("-")]
    build = workloads.mlp(64, 10, hidden=widths, activation=None)
    stack = Workload(name="stack", model=build, data=digits.data, loss=digits.loss)
    model = trained(stack, seed=0, steps=150)
    matrix, bias = np.eye(64), np.zeros(64)
    for layer in model.layers:
        kernel, offset = (values.astype(float) for values in layer.get_weights())
        matrix, bias = matrix @ kernel, bias @ kernel + offset
    x = np.asarray(digits.data.train.x)
    outputs = model.predict(x, verbose=0)
    np.testing.assert_allclose(softmax(x @ matrix + bias, axis=1), outputs, atol=1e-5)
    assert np.linalg.matrix_rank(matrix) == min(*widths, 10)


@pytest.mark.parametrize("layers", [1, 2, 5])
@pytest.mark.parametrize("task", STEPS)
def test_linear_stacks_stop_at_the_floor(convergence: Convergence, task: str, layers: int) -> None:
    """However deep, no run is below the best affine model at any point, and they end at it."""
    stack = getattr(workloads, task)(activation=None, depth=layers - 1, width=16)
    floor = affine_floor(stack)
    runs = convergence(stack, **FULL_BATCH, steps=STEPS[task], target=("loss", 0.99 * floor))
    assert runs.curves["loss"].min() >= floor - 1e-6  # a theorem; 1e-6 is for rounding
    assert runs.final("loss").median() <= 1.02 * floor  # 100 other seeds, 3,000 draws of 16: 1.005
    if task == "xor":
        assert floor == pytest.approx(math.log(2))
        assert runs.curves["accuracy"].max() <= 3 / 4  # a theorem


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("task", STEPS)
def test_activations_pass_the_floor(convergence: Convergence, task: str, activation: str) -> None:
    """Two hidden layers, each with an activation, get far below the floor and learn the task."""
    network = getattr(workloads, task)(activation=activation, depth=2, width=16)
    half = affine_floor(network) / 2
    runs = convergence(network, **FULL_BATCH, steps=STEPS[task], target=("loss", half))
    # 100 other seeds, 3,000 draws of 16, the worst of all cases: 0.18 of the floor, 0.965.
    assert runs.final("loss").median() <= half
    assert runs.final("accuracy").median() >= 0.95


@pytest.mark.convergence(quick=False)
def test_decision_boundaries(convergence: Convergence) -> None:
    """A linear stack cuts the plane along a line; every activation bends it in its own way."""
    make, right = workloads.spirals, {}
    points, labels = np.asarray(make().data.train.x), make().data.train.y
    across, up = np.linspace(points.min(axis=0) - 0.2, points.max(axis=0) + 0.2, 100).T
    plane = np.dstack(np.meshgrid(across, up)).reshape(-1, 2)
    panels = pd.DataFrame({"activation": ["linear", *ACTIVATIONS]})
    grid = sns.FacetGrid(panels, col="activation", col_wrap=4, height=2.2)
    for name, axes in grid.axes_dict.items():
        model = trained(make(activation=name), seed=0, **TO_BE_SEEN)
        right[name] = (model.predict(points, verbose=0).argmax(axis=1) == labels).mean()
        chance = model.predict(plane, batch_size=len(plane), verbose=0)[:, 1].reshape(100, 100)
        axes.contourf(across, up, chance, levels=np.linspace(0, 1, 11), cmap="vlag", alpha=0.8)
        axes.contour(across, up, chance, levels=[0.5], colors="black", linewidths=1)
        axes.scatter(*points.T, c=labels, cmap="vlag", s=7, edgecolors="white", linewidths=0.3)
        axes.set_title(f"{name}: {right[name]:.0%} right", fontsize=9)
    caption = "How eight networks divide the plane (one seed each); the boundary is black."
    convergence.figure(grid, caption)
    assert min(right, key=right.__getitem__) == "linear"


@pytest.mark.convergence(quick=False)
def test_gradients_at_the_start(convergence: Convergence) -> None:
    """One layer more shrinks the first layer's gradient by the factor that theory predicts."""
    factors = {"tanh": 1.0, "relu": 0.5**0.5, "gelu": 1 / 2, "silu": 1 / 2, "sigmoid": 1 / 4}
    rows = [
        (name, depth, layer, size)
        for name, depth, seed in product(factors, (2, 4, 8), range(10))
        for layer, size in enumerate(gradient_sizes(name, depth, seed), start=1)
    ]
    sizes = pd.DataFrame(rows, columns=["activation", "hidden layers", "layer", "gradient"])
    grid = sns.relplot(
        sizes, x="layer", y="gradient", col="hidden layers", hue="activation", style="activation",
        kind="line", markers=True, estimator="median", errorbar=("pi", 100), palette="colorblind",
        height=2.8,
    )  # fmt: skip
    convergence.figure(
        grid.set(yscale="log", ylabel="gradient (root mean square)"),
        "The gradient of each layer's kernel before training on the digits, from the input (layer 1) "
        "to the output: median and range over ten seeds.",
    )
    first = sizes[sizes["layer"] == 1].groupby(["activation", "hidden layers"])["gradient"].median()
    for name, factor in factors.items():
        measured = (first[name, 8] / first[name, 4]) ** (1 / 4)
        assert measured == pytest.approx(factor, rel=0.2)  # 3,000 draws of ten other seeds: 0.18


@pytest.mark.parametrize("depth", [1, 4, 8])
@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu", "sigmoid"])
def test_depth(convergence: Convergence, activation: str, depth: int) -> None:
    """A network whose gradient has vanished stays as good as a guess; the others learn."""
    network = workloads.digits_mlp(activation=activation, depth=depth)
    runs = convergence(network, learning_rate=0.1, epochs=5)
    if (activation, depth) in {("gelu", 8), ("sigmoid", 4), ("sigmoid", 8)}:
        # A guess: ln 10 = 2.303. Of 1,000 other seeds 7 of gelu's begin to learn, down to 1.93;
        # in 3,000 draws of 16 no median is below 2.298.
        assert runs.final("loss").median() >= 2.25
    else:
        assert runs.final("loss").median() <= 1.9  # 3,000 draws of 16 of them: 1.73


@pytest.mark.convergence(quick=False)
def test_dead_units(convergence: Convergence) -> None:
    """A large learning rate kills ReLU units: they are off for every sample."""
    rates = [0.01, 0.1, 0.5, 1.0, 2.0]
    by_rate = convergence.sweep(
        workloads.digits_mlp(), learning_rate=rates, epochs=3, probes=["dead_units"]
    )
    last = {rate: by_rate[rate].final("probe_dead_units") for rate in rates}
    dead = pd.DataFrame(last).melt(var_name="learning rate", value_name="share of dead units")
    grid = sns.relplot(
        dead, x="learning rate", y="share of dead units", kind="line", marker="o",
        errorbar=("pi", 100), height=3, aspect=1.8,
    )  # fmt: skip
    caption = "Units that are off for every sample after three epochs: mean and range over seeds."
    convergence.figure(grid.set(xscale="log", ylim=(-0.02, 1.02)), caption)
    assert last[0.1].mean() <= 0.15  # 200 other seeds, 3,000 draws of 16: at most 0.093
    assert last[1.0].mean() >= 0.4  # at least 0.496


@pytest.mark.convergence(quick=False)
@pytest.mark.parametrize("activation", ["linear", "relu"])
@pytest.mark.parametrize("task", ["diabetes", "digits_cnn"])
def test_other_tasks(convergence: Convergence, task: str, activation: str) -> None:
    """Where a line nearly suffices, the target is reached without any activation as well."""
    network = getattr(workloads, task)(activation=activation)
    runs = convergence(network, optimizer="adam", learning_rate=0.01, steps=150, seeds=8)
    assert (runs.regimes == "converged").mean() >= 0.8  # 100 of 100 other seeds


def affine_floor(workload: Workload) -> float:
    """Return the training loss of logistic regression without a penalty."""
    x, y = np.asarray(workload.data.train.x, dtype=float), workload.data.train.y
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
**Without an activation, depth is decoration.** The target of the linear stacks, one per cent below
their floor, is out of reach: with one, two or five layers they end at the floor itself, and not one
point of one run is below it. All that depth changes is how fast they get there.

**With one, any will do.** Seven activations pass half the floor, which is their target, and learn all
three tasks. In the plane each has a hand of its own: straight pieces from ReLU and leaky ReLU, curves
from the smooth ones. The sigmoid is the slowest. Its slope is a quarter at best, and it lingers at the
floor before it bends.

**Depth is where they part**, and the gradients tell before the first update. Those of tanh arrive
whole. ReLU, GELU and SiLU shrink what goes forward as much as what comes back, so that all layers are
equally slow: the deeper, the slower. The sigmoid loses its signal on the way back: its last layer
learns, its first one stands still. The networks with the smallest gradients stay as good as a guess,
for want of a start and not of ability. Initial weights made for the activation (He et al. 2015),
normalization and residual connections are remedies for this one figure.

**ReLU's own risk is the rate.** At moderate rates few units are dead. Near the rate at which training
fails, half of them and more are off for every sample; the analysis of learning rates shows what is
left then. A leaky ReLU always has a slope, and cannot die.

**Not every task needs one.** The regression reaches its target without a nonlinearity, and so does the
convolutional network, whose maximum pooling is one of its own.
"""
