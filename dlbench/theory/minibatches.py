"""The gradient of a batch: right on average, and off by how much; and what the noise costs.

Gradients of single samples are the rows of an array `(n, p)`. G is their mean, Σ their covariance
(divided by n). A batch has B of the n samples.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array: TypeAlias = NDArray[np.float64]


def updates_per_epoch(samples: int, batch_size: int) -> int:
    """Return ceil(n / B): the last, partial batch is an update too, and a full step."""
    return math.ceil(samples / batch_size)


def covariance(gradients: ArrayLike) -> Array:
    """Return Σ, the mean of (g_i - G)(g_i - G)ᵀ, shape `(p, p)`.

    Args:
        gradients: of single samples, shape `(n, p)`.
    """
    g = np.asarray(gradients, dtype=float)
    apart = g - g.mean(axis=0)
    products: Array = apart.T @ apart / len(g)
    return products


def batch_variance(gradients: ArrayLike, batch_size: int, *, replacement: bool = False) -> float:
    """Return E ‖g_B - G‖², how far a batch's gradient is off: tr Σ / B · (n - B) / (n - 1).

    The last factor is that of a finite population, and is left out where samples are drawn with
    replacement. E ‖g_B‖² is ‖G‖² more. Sources: Cochran 1977, "Sampling techniques", theorem 2.2;
    McCandlish et al. 2018, arXiv 1812.06162, section 2.2.

    Args:
        gradients: of single samples, shape `(n, p)`, n > 1.
        batch_size: B.
        replacement: whether a sample may be drawn twice into a batch.
    """
    g = np.asarray(gradients, dtype=float)
    finite = 1.0 if replacement else (len(g) - batch_size) / (len(g) - 1)
    return float(np.trace(covariance(g)) / batch_size * finite)


def noise_scale(gradients: ArrayLike) -> float:
    """Return tr Σ / ‖G‖²: the batch size at which noise and signal are equal, in samples.

    Source: McCandlish et al. 2018, arXiv 1812.06162, section 2.2 (there B_simple).

    Args:
        gradients: of single samples, shape `(n, p)`.
    """
    g = np.asarray(gradients, dtype=float)
    return float(np.trace(covariance(g)) / np.sum(g.mean(axis=0) ** 2))


class NoiseEstimate(NamedTuple):
    """Unbiased estimates from two batches; either may be negative on one pair."""

    signal: Array
    """Of ‖G‖²."""
    noise: Array
    """Of tr Σ."""


def noise_estimate(
    small: ArrayLike, large: ArrayLike, *, small_size: int, large_size: int
) -> NoiseEstimate:
    """Return ‖G‖² and tr Σ as estimated from the squared lengths of two batches' gradients.

    ‖G‖² ≈ (B₂ ‖g_B₂‖² - B₁ ‖g_B₁‖²) / (B₂ - B₁),  tr Σ ≈ (‖g_B₁‖² - ‖g_B₂‖²) / (1/B₁ - 1/B₂).

    Unbiased for samples drawn independently (with replacement). A ratio of unbiased numbers is
    biased: average both over many pairs, then divide. Source: McCandlish et al. 2018, arXiv
    1812.06162, appendix A.1.

    Args:
        small: ‖g_B₁‖², any shape.
        large: ‖g_B₂‖², the same shape.
        small_size: B₁.
        large_size: B₂ > B₁.
    """
    one, two = np.asarray(small, dtype=float), np.asarray(large, dtype=float)
    signal = (large_size * two - small_size * one) / (large_size - small_size)
    noise = (one - two) / (1 / small_size - 1 / large_size)
    return NoiseEstimate(signal, noise)


def expected_gain(
    gradients: ArrayLike, hessian: ArrayLike, rate: ArrayLike, batch_size: int
) -> Array:
    """Return by how much one update lowers a quadratic loss on average.

    η ‖G‖² - ½ η² (Gᵀ H G + tr(H Σ) / B), for samples drawn with replacement. Source: McCandlish et
    al. 2018, arXiv 1812.06162, section 2.2.

    Args:
        gradients: of single samples, shape `(n, p)`.
        hessian: H, shape `(p, p)`.
        rate: η, any shape.
        batch_size: B.
    """
    signal, curved, noise = _along(gradients, hessian)
    eta = np.asarray(rate, dtype=float)
    gain: Array = eta * signal - eta**2 / 2 * (curved + noise / batch_size)
    return gain


def best_rate(gradients: ArrayLike, hessian: ArrayLike, batch_size: int) -> float:
    """Return the rate of the largest expected gain: η_max / (1 + B_noise / B).

    η_max = ‖G‖² / (Gᵀ H G) and B_noise = tr(H Σ) / (Gᵀ H G): proportional to small batches, constant
    for large ones. Source: McCandlish et al. 2018, arXiv 1812.06162, section 2.2.

    Args:
        gradients: of single samples, shape `(n, p)`.
        hessian: H, shape `(p, p)`.
        batch_size: B.
    """
    signal, curved, noise = _along(gradients, hessian)
    return signal / curved / (1 + noise / curved / batch_size)


def expected_excess(  # noqa: PLR0913 - what the formula takes
    curvature: ArrayLike,
    start: ArrayLike,
    noise: ArrayLike,
    *,
    rate: float,
    batch_size: int,
    updates: ArrayLike,
) -> Array:
    """Return the expected loss above the optimum, ½ Σ h E c², after k updates by noisy gradients.

    E c_k² = q^k c_0² + (η² s / B) (1 - q^k) / (1 - q) with q = (1 - ηh)², for each mode. As k grows
    it ends at `noise_floor`. For a quadratic whose noise is the same everywhere, samples drawn with
    replacement, no momentum. (Keras' `fit` draws each sample once an epoch: its floor is lower.)
    Source: Zhang et al. 2019, arXiv 1907.04164, section 3.

    Args:
        curvature: h > 0 of each mode, shape `(p,)`.
        start: c_0 of each mode.
        noise: s, the variance of a single sample's gradient along each mode.
        rate: η, below 2/h.
        batch_size: B.
        updates: k, shape `(m,)`.

    Returns:
        Shape `(m,)`.
    """
    h, c, s = (np.asarray(values, dtype=float) for values in (curvature, start, noise))
    factor = (1 - rate * h) ** 2
    kept = factor ** np.asarray(updates, dtype=float)[:, None]
    squares = kept * c**2 + rate**2 * s / batch_size * (1 - kept) / (1 - factor)
    excess: Array = squares @ h / 2
    return excess


def noise_floor(curvature: ArrayLike, noise: ArrayLike, rate: float, batch_size: int) -> float:
    """Return where noise stops the loss: Σ η s / (2B (2 - ηh)) above the optimum.

    Half the rate or twice the batch make about half the floor. Conditions and source as of
    `expected_excess`.

    Args:
        curvature: h > 0 of each mode, shape `(p,)`.
        noise: s, the variance of a single sample's gradient along each mode.
        rate: η, below 2/h.
        batch_size: B.
    """
    h, s = np.asarray(curvature, dtype=float), np.asarray(noise, dtype=float)
    return float(np.sum(rate * s / (2 * batch_size * (2 - rate * h))))


def _along(gradients: ArrayLike, hessian: ArrayLike) -> tuple[float, float, float]:
    """Return ‖G‖², Gᵀ H G and tr(H Σ)."""
    g, h = np.asarray(gradients, dtype=float), np.asarray(hessian, dtype=float)
    mean = g.mean(axis=0)
    return float(mean @ mean), float(mean @ h @ mean), float(np.sum(h * covariance(g)))
