"""The first weights: their variance by fan, and what a signal goes through at depth.

A fan is the number of inputs (or outputs) of a unit: the kernel's window times its channels.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Array: TypeAlias = NDArray[np.float64]


class Scheme(NamedTuple):
    """What a variance is scaled by: scale / fan."""

    scale: float
    mode: str
    """`fan_in`, or `fan_avg` for the mean of both fans."""


SCHEMES = {
    "glorot": Scheme(1.0, "fan_avg"),
    "he": Scheme(2.0, "fan_in"),
    "lecun": Scheme(1.0, "fan_in"),
}
"""Glorot and Bengio 2010, equation 12; He et al. 2015, arXiv 1502.01852, equation 10; LeCun et al.
1998, "Efficient backprop", section 4.6. Keras: `keras/src/initializers/random_initializers.py`."""


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """Return fan-in and fan-out of a kernel: a dense `(inputs, units)`, or a convolution's.

    Args:
        shape: the window's sides, input channels, output channels.
    """
    *window, inputs, outputs = shape
    size = math.prod(window)
    return size * inputs, size * outputs


def variance(scheme: str, shape: Sequence[int]) -> float:
    """Return the variance of a kernel's weights at the start, whatever their distribution.

    Args:
        scheme: "glorot", "he" or "lecun".
        shape: of the kernel.
    """
    scale, mode = SCHEMES[scheme]
    fan_in, fan_out = fans(shape)
    return scale / (fan_in if mode == "fan_in" else (fan_in + fan_out) / 2)


def uniform_limit(variance: float) -> float:
    """Return the end of the symmetric interval on which a uniform number has this variance."""
    return math.sqrt(3 * variance)


def relu_gain(units: int, variance: float, depth: int = 1) -> float:
    """Return E ‖h_L‖² / ‖x‖² after L layers of as many ReLU units: (n σ_w² / 2)^L.

    A symmetric weight makes each pre-activation positive in half of the draws, so half of its second
    moment passes. Exact at any width for independent symmetric weights of mean 0 and biases of 0.
    With He's variance it is 1; with Glorot's or LeCun's on square layers it is 2^-L. Source: He et
    al. 2015, arXiv 1502.01852, section 2.2.

    Args:
        units: n, of every layer.
        variance: σ_w², of one weight.
        depth: L.
    """
    return float((units * variance / 2) ** depth)


def relu_spread(units: int, depth: int = 1) -> float:
    """Return the variance of ‖h_L‖² over initial weights, in units of its squared mean.

    (1 + 5/n)^L - 1, for Gaussian weights: of one unit E relu(z)² = σ²/2 and E relu(z)⁴ = 3σ⁴/2, so
    one layer adds 5/n. It grows as exp(5 L/n): depth without width is a lottery. Source: Hanin and
    Rolnick 2018, arXiv 1803.01719, "How to start training" (there as a sum of 1/n_l).

    Args:
        units: n, of every layer.
        depth: L.
    """
    return float((1 + 5 / units) ** depth - 1)


def relu_correlation(cosine: ArrayLike) -> Array:
    """Return the cosine between two signals after one wide ReLU layer, from that before it.

    (√(1 - c²) + c (π - arccos c)) / π, the arc-cosine kernel of degree 1. Signals turn towards each
    other: two at right angles have 1/π after one layer. Holds as the width grows, for weights of
    mean 0 and biases of 0. Source: Cho and Saul 2009, "Kernel methods for deep learning",
    section 2.1.

    Args:
        cosine: c, from -1 to 1.
    """
    c = np.clip(np.asarray(cosine, dtype=float), -1, 1)
    after: Array = (np.sqrt(1 - c**2) + c * (np.pi - np.arccos(c))) / np.pi
    return after


def silent_share(units: int, depth: int = 1) -> float:
    """Return the probability that an input dies on its way: 1 - (1 - 2^-n)^L.

    All n units of a layer are off at once with probability 2^-n, and then nothing passes. For
    independent, symmetric, continuous weights and biases of 0, one input, at the start. Source: Lu
    et al. 2019, arXiv 1903.06733, section 3; Rister and Rubin 2020, arXiv 2007.06192.

    Args:
        units: n, of every layer.
        depth: L.
    """
    return float(1 - (1 - 2.0**-units) ** depth)
