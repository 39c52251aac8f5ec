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
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from dlbench import Workload, workloads
from dlbench.backend import seeded

if TYPE_CHECKING:
    from dlbench.plugin import Convergence

ACTIVATIONS = ["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid"]
STEPS = {"xor": 150, "moons": 400, "spirals": 400}
TRAINING = {"optimizer": "adam", "learning_rate": 0.03, "batch_size": "full"}
SEEDS = range(10)


@pytest.mark.parametrize("hidden", ["32", "32-5-32", "16-16-16-16-16-16-2"])
def test_a_linear_stack_is_one_affine_map(hidden: str) -> None:
    """One matrix and one bias, composed from a trained stack, put out what the stack puts out."""
    digits, widths = workloads.digits_mlp(), [int(width) for width in hidden.split("-")]
    build = workloads.mlp(64, 10, hidden=widths, activation=None)
    stack = Workload(name="linear stack", model=build, data=digits.data, loss=digits.loss)
    model, x = trained(stack, seed=0), digits.data.validation.x
    matrix, bias = np.eye(64), np.zeros(64)
    for layer in model.layers:
        kernel, offset = (np.float64(values) for values in layer.get_weights())
        matrix, bias = matrix @ kernel, bias @ kernel + offset
    np.testing.assert_allclose(
        softmax(x @ matrix + bias, axis=1), model.predict(x, verbose=0), atol=1e-5
    )
    assert np.linalg.matrix_rank(matrix) == min(*widths, 10)


@pytest.mark.parametrize("layers", [1, 2, 8])
@pytest.mark.parametrize("task", STEPS)
def test_linear_stacks_stop_at_the_floor(convergence: Convergence, task: str, layers: int) -> None:
    """However deep, no run is below the best affine model at any point, and all end there."""
    stack = getattr(workloads, task)(activation=None, depth=layers - 1, width=16)
    runs = convergence(stack, **TRAINING, steps=STEPS[task])
    floor = affine_floor(stack)
    assert runs.curves["loss"].min() >= floor - 1e-6  # a theorem; 1e-6 is for rounding
    assert runs.final("loss").median() <= 1.02 * floor
    if task == "xor":
        assert floor == pytest.approx(math.log(2))
        assert runs.curves["accuracy"].max() <= 3 / 4  # a theorem


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("task", STEPS)
def test_activations_pass_the_floor(convergence: Convergence, task: str, activation: str) -> None:
    """The same two hidden layers with any activation between them get below it, and learn the task."""
    network = getattr(workloads, task)(activation=activation, depth=2, width=16)
    runs = convergence(network, **TRAINING, steps=STEPS[task])
    assert runs.final("loss").median() <= affine_floor(network) / 2
    assert runs.final("accuracy").median() >= 0.95


@pytest.mark.parametrize("task", ["spirals", "moons"])
def test_decision_boundaries(convergence: Convergence, task: str) -> None:
    """A linear stack cuts the plane by a line; every activation bends it in its own way."""
    side = np.linspace(-1.5, 2.5, 120) if task == "moons" else np.linspace(-1.2, 1.2, 120)
    plane = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    cells, accuracy = [], {}
    for activation in ["linear", *ACTIVATIONS]:
        network = getattr(workloads, task)(activation=activation, depth=2, width=16)
        model, points = trained(network, seed=0, epochs=50), network.data.validation
        guess = model.predict(points.x, verbose=0).argmax(axis=1)
        accuracy[activation] = (guess == points.y).mean()
        chance = model.predict(plane, verbose=0, batch_size=4096)[:, 1].reshape(120, 120)
        cells.append((f"{activation}: {accuracy[activation]:.2f}", chance))
    convergence.figure(
        boundaries(cells, side, points),
        f"Where on the plane each network sees class one ({task}, seed 0), the points that it did "
        "not train on, and the share of them that it gets right.",
    )
    assert max(accuracy, key=accuracy.get) != "linear"


def test_gradients_at_the_start(convergence: Convergence) -> None:
    """One more layer changes the first layer's gradient by the factor that theory predicts."""
    rows = [
        {"activation": activation, "hidden layers": depth, "seed": seed, "layer": layer + 1, "gradient": size}
        for activation in PREDICTED
        for depth in (2, 4, 8)
        for seed in SEEDS
        for layer, size in enumerate(gradient_sizes(workloads.digits_mlp(activation=activation, depth=depth), seed))
    ]
    E
