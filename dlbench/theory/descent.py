"""Gradient descent where everything is known: quadratics, and bounds for convex losses.

Along an eigenvector of the Hessian, with eigenvalue λ, the distance c to the optimum does not feel
the other directions. So a curve is a sum over modes: L = floor + ½ Σ λ c². Rates η are per update.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array: TypeAlias = NDArray[np.float64]


FLAT = 1e-12
"""An eigenvalue this small against the largest is rounding: there is no curvature in its direction."""


@dataclass(frozen=True, slots=True, eq=False)
class Quadratic:
    """A loss floor + ½ (θ - θ*)ᵀ H (θ - θ*), taken apart along the eigenvectors of H."""

    curvature: Array
    """The eigenvalues λ of H, rising, shape `(p,)`."""
    directions: Array
    """The eigenvectors of H, one a column, shape `(p, p)`."""
    optimum: Array
    """A minimizer θ*, shape `(p,)`."""
    floor: float
    """The loss there, in the unit of the loss."""

    def coordinates(self, weights: ArrayLike) -> Array:
        """Return the distance of weights, shape `(p,)`, to the optimum along each eigenvector."""
        shifted: Array = np.asarray(weights, dtype=float) - self.optimum
        return self.directions.T @ shifted

    def losses(self, coordinates: ArrayLike) -> Array:
        """Return the loss at coordinates of shape `(…, p)`; shape `(…)`."""
        excess: Array = np.square(np.asarray(coordinates, dtype=float)) @ self.curvature / 2
        return self.floor + excess


def least_squares(inputs: ArrayLike, targets: ArrayLike) -> Quadratic:
    """Return Keras' mean squared error of a linear model with one output, as a quadratic.

    H = (2/n) XᵀX: the mean has no factor ½, hence the 2 (`keras/src/losses/losses.py`,
    `mean_squared_error`). So descent is stable below 2/λ_max = n/σ_max(X)².

    Args:
        inputs: X, shape `(n, p)`, with a column of ones where the model has a bias.
        targets: shape `(n,)`.
    """
    x, y = np.asarray(inputs, dtype=float), np.asarray(targets, dtype=float)
    curvature, directions = np.linalg.eigh(2 / len(x) * x.T @ x)
    optimum = np.linalg.lstsq(x, y, rcond=None)[0]
    return Quadratic(curvature, directions, optimum, float(np.mean((x @ optimum - y) ** 2)))


def path(
    curvature: ArrayLike,
    start: ArrayLike,
    rates: ArrayLike,
    *,
    momentum: float = 0.0,
    nesterov: bool = False,
) -> Array:
    """Return the distance to the optimum along each eigenvector, after every update.

    Without momentum c_k = c_0 Π_{j<k} (1 - η_j λ); with it (c, v) is multiplied by `step_matrix` at
    each update. Exact for full batches. Source: Goh 2017, "Why momentum really works", Distill,
    "First steps: gradient descent" and "The dynamics of momentum".

    Args:
        curvature: λ, shape `(p,)`.
        start: c_0, shape `(p,)`; the velocity starts at 0.
        rates: η of each update, shape `(k,)`: a schedule may change it.
        momentum: β of Keras' SGD.
        nesterov: Keras' `nesterov`.

    Returns:
        Shape `(k + 1, p)`, the start first.
    """
    state = np.stack([np.asarray(start, dtype=float), np.zeros(np.shape(start))], axis=-1)
    states = [state]
    for rate in np.asarray(rates, dtype=float):
        matrices = step_matrix(curvature, float(rate), momentum=momentum, nesterov=nesterov)
        state = np.einsum("pij,pj->pi", matrices, state)
        states.append(state)
    return np.stack(states)[..., 0]


def step_matrix(
    curvature: ArrayLike, rate: float, *, momentum: float = 0.0, nesterov: bool = False
) -> Array:
    """Return the matrix by which one update multiplies (distance c, velocity v), of each mode.

    Keras' SGD makes v' = βv - ηg and c' = c + v', or with `nesterov` c' = c + βv' - ηg, where
    g = λc (`keras/src/optimizers/sgd.py`, `update_step`). So

    * plain and momentum: c' = (1 - ηλ) c + βv;
    * Nesterov: c' = (1 - (1 + β) ηλ) c + β² v.

    Args:
        curvature: λ, shape `(p,)`.
        rate: η.
        momentum: β.
        nesterov: Keras' `nesterov`.

    Returns:
        Shape `(p, 2, 2)`.
    """
    drive = rate * np.asarray(curvature, dtype=float)
    decay = np.full_like(drive, momentum)
    if nesterov:
        first = np.stack([1 - (1 + momentum) * drive, decay**2], axis=-1)
    else:
        first = np.stack([1 - drive, decay], axis=-1)
    return np.stack([first, np.stack([-drive, decay], axis=-1)], axis=-2)


def contraction(
    curvature: ArrayLike, rate: float, *, momentum: float = 0.0, nesterov: bool = False
) -> float:
    """Return the factor by which an update shrinks the slowest mode in the long run.

    The largest absolute eigenvalue of `step_matrix` over all modes: max |1 - ηλ| without momentum,
    and √β where momentum makes every mode oscillate. The loss shrinks by its square. A flat
    direction (λ below 1e-12 of the largest) has no say, since it is no part of the loss.

    Args:
        curvature: λ, shape `(p,)`.
        rate: η.
        momentum: β.
        nesterov: Keras' `nesterov`.
    """
    values = np.asarray(curvature, dtype=float)
    steep = values[values > FLAT * values.max()]
    matrices = step_matrix(steep, rate, momentum=momentum, nesterov=nesterov)
    return float(np.abs(np.linalg.eigvals(matrices)).max())


def stability_limit(sharpness: float, *, momentum: float = 0.0, nesterov: bool = False) -> float:
    """Return the rate from which on a mode of curvature `sharpness` grows without bound.

    Where an eigenvalue of `step_matrix` passes -1: 2 (1 + β) / λ, and with Nesterov's form
    (2 + 2β) / (λ (1 + 2β)). Source: Cohen et al. 2021, arXiv 2103.00065, equation 1.

    Rate and sharpness stand in it as a product, so the function also gives the sharpness at the
    edge of stability for a rate: 2 (1 + β) / η.
    """
    if nesterov:
        return (2 + 2 * momentum) / (sharpness * (1 + 2 * momentum))
    return 2 * (1 + momentum) / sharpness


def range_test(rates: ArrayLike, losses: ArrayLike, ceiling: ArrayLike) -> tuple[Array, Array]:
    """Return the largest rate that trains and the next one, which fails: the limit lies between.

    From the rate that ends lowest upwards, until a loss is not below the ceiling, or is no number.
    Small rates that have not got anywhere yet are thus no limit. Shape after the range test of Smith
    2017, arXiv 1506.01186, section 3.3, by a run for each rate in place of one run whose rate rises:
    what a run has gone through before says nothing about the next rate.

    Args:
        rates: η, rising, shape `(k,)`.
        losses: at the end of a short training from each rate, shape `(k,)` or `(k, runs)`.
        ceiling: the loss of a training that failed, for each run or for all: the loss at the start,
            say, or that of the best constant.

    Returns:
        Both of shape `()` or `(runs,)`. 0 stands for a rate below the grid, `inf` for one above.
    """
    values = np.asarray(losses, dtype=float)
    known = np.where(np.isfinite(values), values, np.inf)
    fails = ~(known < np.asarray(ceiling, dtype=float))
    places = np.arange(len(known)).reshape(-1, *[1] * (known.ndim - 1))
    # Going up from the best rate; one more place, where nothing was tried, ends every search.
    beyond = np.concatenate([fails & (places >= known.argmin(axis=0)), np.ones_like(fails[:1])])
    first = np.where(fails.all(axis=0), 0, beyond.argmax(axis=0))
    grid = np.concatenate([[0.0], np.asarray(rates, dtype=float), [np.inf]])
    return grid[first], grid[first + 1]


def best_rate(curvature: ArrayLike) -> float:
    """Return the fixed rate with the fastest worst mode, without momentum: 2 / (λ_min + λ_max).

    Its contraction is (κ - 1) / (κ + 1), where κ = λ_max / λ_min. Source: Goh 2017, "Why momentum
    really works", Distill, "Choosing a step-size". For λ > 0.
    """
    values = np.asarray(curvature, dtype=float)
    return float(2 / (values.min() + values.max()))


def logistic_smoothness(inputs: ArrayLike) -> float:
    """Return the largest curvature that the mean binary cross-entropy of a linear model can have.

    The Hessian is Xᵀ D X / n with D = diag(p (1 - p)) of at most 1/4, hence σ_max(X)² / (4n).
    Source: Böhning and Lindsay 1988, "Monotonicity of quadratic-approximation algorithms".

    Args:
        inputs: X, shape `(n, p)`, with a column of ones where the model has a bias.
    """
    x = np.asarray(inputs, dtype=float)
    return float(np.linalg.norm(x, 2) ** 2 / (4 * len(x)))


def convex_bound(distance: float, rate: float, updates: ArrayLike) -> Array:
    """Return what the loss can be above a minimum at most, after k updates: ‖θ_0 - θ*‖² / (2ηk).

    For a convex loss of curvature at most M and a rate of at most 1/M. Source: Beck and Teboulle
    2009, "A fast iterative shrinkage-thresholding algorithm", theorem 3.1, without a penalty.

    Args:
        distance: ‖θ_0 - θ*‖ to any minimizer.
        rate: η.
        updates: k >= 1.
    """
    bound: Array = distance**2 / (2 * rate * np.asarray(updates, dtype=float))
    return bound
