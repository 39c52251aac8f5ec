"""What networks can represent, and what their gradients must satisfy, whatever the data.

Kernels are as Keras keeps them: shape `(inputs, units)`, so that a layer puts out x W + b.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Array: TypeAlias = NDArray[np.float64]

XOR_FLOORS = {
    "binary_crossentropy": math.log(2),
    "mean_squared_error": 1 / 4,
}
"""The lowest loss of any affine model on the four points of the exclusive or, per sample.

For an affine score s_00 + s_11 = s_01 + s_10, and both losses are convex in the score: the constant
1/2 (score 0) is the best. Two ReLU units reach 0. Source: Goodfellow, Bengio and Courville 2016,
"Deep learning", section 6.1.
"""

XOR_ACCURACY = 3 / 4
"""The highest accuracy of any affine model there (Minsky and Papert 1969, "Perceptrons")."""


def composed(kernels: Sequence[ArrayLike], biases: Sequence[ArrayLike]) -> tuple[Array, Array]:
    """Return the kernel and the bias of the one affine map that a linear stack is.

    Its rank is at most the smallest width. Source: Goodfellow, Bengio and Courville 2016, "Deep
    learning", section 6.1.

    Args:
        kernels: of each layer from the input on, shape `(inputs, units)`.
        biases: of each layer, shape `(units,)`.
    """
    kernel = np.eye(len(np.asarray(kernels[0])))
    bias = np.zeros(len(kernel))
    for weights, offset in zip(kernels, biases, strict=True):
        matrix = np.asarray(weights, dtype=float)
        kernel, bias = kernel @ matrix, bias @ matrix + np.asarray(offset, dtype=float)
    return kernel, bias


def linear_regions(units: int, inputs: int, *, biases: bool) -> int:
    """Return on how many pieces of the input space one layer of ReLU units is linear.

    Σ_{j<=d} C(n, j) for n generic hyperplanes in d dimensions, and 2 Σ_{j<d} C(n-1, j) where all
    pass through the origin, as at Keras' start with biases of 0. Generic: no d + 1 of the
    hyperplanes share a point (no d, but for the origin), which random kernels satisfy with
    probability 1. Sources: Zaslavsky 1975; Cover 1965, section II (through the origin).

    Args:
        units: n.
        inputs: d.
        biases: whether biases are generic, or all 0.
    """
    if biases:
        return sum(math.comb(units, j) for j in range(inputs + 1))
    return 2 * sum(math.comb(units - 1, j) for j in range(inputs))


class TwoLayerPath(NamedTuple):
    """Where a two-layer linear net is after every update; each of shape `(k + 1,)`."""

    outputs: Array
    """f, the output for the input 1; the loss is f² / 2."""
    curvatures: Array
    """λ = (‖u‖² + ‖v‖²) / n, the tangent kernel: the sharpness where f is 0."""


def two_layer_linear(
    output: float, curvature: float, rate: float, *, width: int, updates: int
) -> TwoLayerPath:
    """Return the path of f = v·u / √n under gradient descent on f² / 2, from two numbers alone.

    f' = f (1 - ηλ + η² f² / n),  λ' = λ + (η f² / n) (ηλ - 4).

    Exact, though the loss is not convex. For wide nets three phases follow: below η = 2/λ_0 the loss
    falls steadily; from 2/λ_0 to 4/λ_0 it rises first, until λ has fallen below 2/η, and then
    converges to a flatter place; above 4/λ_0 it diverges. Keras' squared error is f², not f² / 2:
    its rate counts twice. Source: Lewkowycz et al. 2020, arXiv 2003.02218, section 2.

    Args:
        output: f at the start.
        curvature: λ at the start; at least 2 |f| / √n for any weights.
        rate: η.
        width: n.
        updates: k.
    """
    outputs, curvatures = [float(output)], [float(curvature)]
    for _ in range(updates):
        f, sharp = outputs[-1], curvatures[-1]
        push = rate * f**2 / width
        outputs.append(f * (1 - rate * sharp + rate * push))
        curvatures.append(sharp + push * (rate * sharp - 4))
    return TwoLayerPath(np.array(outputs), np.array(curvatures))


def rescaled(
    kernel: ArrayLike, bias: ArrayLike, next_kernel: ArrayLike, factors: ArrayLike
) -> tuple[Array, Array, Array]:
    """Return weights that compute the same: what enters each ReLU unit is scaled, what leaves undone.

    relu(c x) = c relu(x) for c > 0. Source: Neyshabur et al. 2015, arXiv 1506.02617, section 2.

    Args:
        kernel: shape `(inputs, units)`.
        bias: shape `(units,)`.
        next_kernel: of the following layer, shape `(units, outputs)`.
        factors: c > 0, shape `(units,)`.
    """
    c = np.asarray(factors, dtype=float)
    after: Array = np.asarray(next_kernel, dtype=float) / c[:, None]
    return np.asarray(kernel, dtype=float) * c, np.asarray(bias, dtype=float) * c, after


class Parts(NamedTuple):
    """A layer's kernel and bias, or the gradients of both."""

    kernel: ArrayLike
    """Shape `(inputs, units)`."""
    bias: ArrayLike
    """Shape `(units,)`."""


def relu_imbalance(
    weights: Parts, gradients: Parts, next_kernel: ArrayLike, next_gradient: ArrayLike
) -> Array:
    """Return, for each ReLU unit, what must be 0: <w_in, g_in> + b g_b - <w_out, g_out>.

    The rescaling by c changes nothing, so the derivative of the loss along it is 0. It holds at any
    weights, for any loss and any batch. Source: Du, Hu and Lee 2018, arXiv 1806.00900, theorem 2.1.

    Args:
        weights: of the layer of units.
        gradients: of its weights.
        next_kernel: of the following layer, shape `(units, outputs)`.
        next_gradient: of the following kernel.

    Returns:
        Shape `(units,)`, in the unit of the loss.
    """
    into: Array = np.sum(np.asarray(weights.kernel) * np.asarray(gradients.kernel), axis=0)
    into = into + np.asarray(weights.bias) * np.asarray(gradients.bias)
    out: Array = np.sum(np.asarray(next_kernel) * np.asarray(next_gradient), axis=1)
    return into - out


def batchnorm_product(
    scale: ArrayLike, scale_gradient: ArrayLike, variance: ArrayLike, epsilon: float
) -> Array:
    r"""Return what <w, g> must be for the weights into each unit that batch normalization follows.

    $\gamma g_\gamma \cdot \varepsilon / (\sigma^2 + \varepsilon)$, with the batch's own variance.
    A scale-free unit has 0 (Arora, Li and Lyu 2018, arXiv 1812.03981, section 2); this is the exact
    form at any ε. Derivation: for weights c w the normalized value is c z / √(c² σ² + ε), whose
    derivative at c = 1 is itself times ε / (σ² + ε). The gradient of a bias before it is 0.

    Args:
        scale: gamma, shape `(units,)`.
        scale_gradient: the gradient of gamma.
        variance: σ² of what enters the normalization over the batch (biased, as Keras takes it).
        epsilon: Keras' `epsilon`, 1e-3 unless given.
    """
    product: Array = np.asarray(scale, dtype=float) * np.asarray(scale_gradient, dtype=float)
    return product * epsilon / (np.asarray(variance, dtype=float) + epsilon)
