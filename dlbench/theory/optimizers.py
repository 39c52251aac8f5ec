"""Optimizers by their definition: the step at every update, as a weighted sum of past gradients.

Keras keeps running averages and updates them in place. Unrolled, an average of decay β is

    (1 - β) Σ_{j<=k} β^(k-j) g_j,

and that is how the paths here are computed: by weights of the past, with no state at all. Arrays of
gradients have shape `(k, …)`, one row an update; a path of steps has the same shape, and is what is
added to the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Array: TypeAlias = NDArray[np.float64]


def decaying_sum(values: ArrayLike, decay: float) -> Array:
    """Return Σ_{j<=k} β^(k-j) x_j for every k; times 1 - β it is an average that began at 0.

    Args:
        values: x, shape `(k, …)`.
        decay: β.
    """
    x = np.asarray(values, dtype=float)
    ages = np.subtract.outer(np.arange(len(x)), np.arange(len(x)))
    weights = np.where(ages >= 0, float(decay) ** np.maximum(ages, 0), 0.0)
    return np.tensordot(weights, x, axes=1)


def sgd_steps(
    gradients: ArrayLike, rates: ArrayLike, *, momentum: float = 0.0, nesterov: bool = False
) -> Array:
    """Return the steps of SGD: v_k = -Σ β^(k-j) η_j g_j, or β v_k - η_k g_k with `nesterov`.

    Under a constant gradient momentum ends at 1 / (1 - β) steps of plain descent. Sources: Polyak
    1964; Sutskever et al. 2013, section 2; Keras' form `keras/src/optimizers/sgd.py`.

    Args:
        gradients: shape `(k, …)`.
        rates: η, a number or shape `(k,)`.
        momentum: β.
        nesterov: Keras' `nesterov`.
    """
    plain = -_by_update(rates, gradients) * np.asarray(gradients, dtype=float)
    velocity = decaying_sum(plain, momentum)
    return momentum * velocity + plain if nesterov else velocity


def adam_steps(  # noqa: PLR0913 - Adam's own
    gradients: ArrayLike,
    rates: ArrayLike,
    *,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    amsgrad: bool = False,
) -> Array:
    """Return the steps of Adam: -η √(1 - β₂^k) / (1 - β₁^k) · m_k / (√v_k + ε).

    Keras adds ε before the correction of v, the paper after it; so the first step is
    -η g / (|g| + ε / √(1 - β₂)). Sources: Kingma and Ba 2015, section 2 (the "more efficient" order
    of its last lines); `keras/src/optimizers/adam.py`. With `amsgrad` the largest v so far is taken
    (Reddi et al. 2018, algorithm 2), before correction.

    Args:
        gradients: shape `(k, …)`.
        rates: η, a number or shape `(k,)`.
        beta_1: β₁, of the mean.
        beta_2: β₂, of the mean square.
        epsilon: ε, in the unit of a gradient.
        amsgrad: Keras' `amsgrad`.
    """
    g = np.asarray(gradients, dtype=float)
    mean = (1 - beta_1) * decaying_sum(g, beta_1)
    square = (1 - beta_2) * decaying_sum(g**2, beta_2)
    if amsgrad:
        square = np.maximum.accumulate(square, axis=0)
    count = _by_update(np.arange(1, len(g) + 1), g)
    correction = np.sqrt(1 - beta_2**count) / (1 - beta_1**count)
    steps: Array = -_by_update(rates, g) * correction * mean / (np.sqrt(square) + epsilon)
    return steps


def rmsprop_steps(  # noqa: PLR0913 - RMSprop's own
    gradients: ArrayLike,
    rates: ArrayLike,
    *,
    decay: float = 0.9,
    momentum: float = 0.0,
    epsilon: float = 1e-7,
    centered: bool = False,
) -> Array:
    r"""Return the steps of RMSprop: -η g / √(v_k + ε), where v is the average of g².

    There is no correction: the first step is -η g / √((1 - \rho) g² + ε), about 1 / √(1 - \rho)
    times the rate. ε stands inside the root, in the unit of a squared gradient. With `centered` the
    square of the average gradient is taken from v; momentum is a decaying sum of the steps.
    Sources: Hinton 2012, "Neural networks for machine learning", lecture 6e; Graves 2013, arXiv
    1308.0850, equations 38 to 41 (centered); `keras/src/optimizers/rmsprop.py`.

    Args:
        gradients: shape `(k, …)`.
        rates: η, a number or shape `(k,)`.
        decay: Keras' `rho`.
        momentum: Keras' `momentum`.
        epsilon: ε.
        centered: Keras' `centered`.
    """
    g = np.asarray(gradients, dtype=float)
    square = (1 - decay) * decaying_sum(g**2, decay)
    if centered:
        square -= ((1 - decay) * decaying_sum(g, decay)) ** 2
    return decaying_sum(-_by_update(rates, g) * g / np.sqrt(square + epsilon), momentum)


def lion_steps(
    gradients: ArrayLike, rates: ArrayLike, *, beta_1: float = 0.9, beta_2: float = 0.99
) -> Array:
    """Return the steps of Lion: -η sign(β₁ m_{k-1} + (1 - β₁) g_k).

    m is the average of gradients of decay β₂, of which the newest has no part yet. The first step
    is -η sign(g). Sources: Chen et al. 2023, arXiv 2302.06675, algorithm 2;
    `keras/src/optimizers/lion.py`.

    Args:
        gradients: shape `(k, …)`.
        rates: η, a number or shape `(k,)`.
        beta_1: β₁, of the step.
        beta_2: β₂, of what is remembered.
    """
    g = np.asarray(gradients, dtype=float)
    mean = (1 - beta_2) * decaying_sum(g, beta_2)
    before = np.concatenate([np.zeros_like(mean[:1]), mean[:-1]])
    steps: Array = -_by_update(rates, g) * np.sign(beta_1 * before + (1 - beta_1) * g)
    return steps


def weights_after(
    start: ArrayLike, steps: ArrayLike, rates: ArrayLike = 0.0, *, decay: float = 0.0
) -> Array:
    """Return the weights after every update: θ_k = Π (1 - η_j w) θ_0 + Σ_j Π_{i>j} (1 - η_i w) s_j.

    Decay is decoupled: weights are first multiplied by 1 - ηw, then the step is added. Any Keras
    optimizer takes it as `weight_decay`. Sources: Loshchilov and Hutter 2019, arXiv 1711.05101,
    algorithm 2; `keras/src/optimizers/base_optimizer.py`, `_apply_weight_decay`.

    Args:
        start: θ_0, shape `(…)`.
        steps: s, shape `(k, …)`.
        rates: η, a number or shape `(k,)`; without decay it does not matter.
        decay: w.

    Returns:
        Shape `(k, …)`.
    """
    s = np.asarray(steps, dtype=float)
    kept = np.cumprod(1 - decay * np.broadcast_to(np.asarray(rates, dtype=float), len(s)))
    share = np.tril(np.divide.outer(kept, kept))
    from_start: Array = np.multiply.outer(kept, np.asarray(start, dtype=float))
    return from_start + np.tensordot(share, s, axes=1)


def averaged_weights(weights: ArrayLike, decay: float) -> Array:
    """Return the moving average of weights: β^(k-1) θ_1 + (1 - β) Σ_{1<j<=k} β^(k-j) θ_j.

    It begins at the weights after the first update, so it needs no correction. Keras puts it in the
    place of the weights when `fit` ends. Sources: Polyak and Juditsky 1992 (averaging);
    `keras/src/optimizers/base_optimizer.py`, `_update_model_variables_moving_average`.

    Args:
        weights: θ_1, θ_2, …, shape `(k, …)`.
        decay: Keras' `ema_momentum`.
    """
    path = np.asarray(weights, dtype=float)
    shares = np.full(len(path), 1 - decay)
    shares[0] = 1.0
    return decaying_sum(_by_update(shares, path) * path, decay)


def accumulated(gradients: ArrayLike, count: int) -> Array:
    """Return the gradient of every update when each is made of `count` batches: their mean.

    It is the gradient of the large batch where the small ones are equally large, and the loss is a
    mean over samples that do not meet (no batch normalization). Clipping comes after the mean.
    Source: `keras/src/optimizers/base_optimizer.py`, `_backend_apply_gradients`.

    Args:
        gradients: shape `(k, …)`; what is left over at the end makes no update.
        count: Keras' `gradient_accumulation_steps`.

    Returns:
        Shape `(k // count, …)`.
    """
    g = np.asarray(gradients, dtype=float)
    updates = len(g) // count
    means: Array = g[: updates * count].reshape(updates, count, *g.shape[1:]).mean(axis=1)
    return means


def clipped_by_value(gradient: ArrayLike, limit: float) -> Array:
    """Return each number of a gradient, cut off at ±`limit`: Keras' `clipvalue`."""
    cut: Array = np.clip(np.asarray(gradient, dtype=float), -limit, limit)
    return cut


def clipped_by_norm(gradients: Sequence[ArrayLike], limit: float) -> list[Array]:
    """Return gradients, each scaled down to a length of at most `limit`: Keras' `clipnorm`.

    Direction is kept in each variable, not in all together. Source:
    `keras/src/optimizers/base_optimizer.py`, `_clip_by_norm`.

    Args:
        gradients: one array a variable.
        limit: the largest length allowed.
    """
    return [one for each in gradients for one in clipped_by_global_norm([each], limit)]


def clipped_by_global_norm(gradients: Sequence[ArrayLike], limit: float) -> list[Array]:
    """Return gradients, all scaled by one factor to a common length of at most `limit`.

    Sources: Pascanu et al. 2013, arXiv 1211.5063, algorithm 1;
    `keras/src/optimizers/base_optimizer.py`, `clip_by_global_norm`.

    Args:
        gradients: one array a variable.
        limit: the largest length allowed, over all variables together.
    """
    arrays = [np.asarray(gradient, dtype=float) for gradient in gradients]
    length = np.sqrt(sum(float(np.sum(array**2)) for array in arrays))
    factor = min(1.0, limit / length) if length else 1.0
    return [factor * array for array in arrays]


def _by_update(values: ArrayLike, gradients: ArrayLike) -> Array:
    """Return a number, or one an update, in a shape that multiplies gradients `(k, …)`."""
    numbers = np.asarray(values, dtype=float)
    return numbers.reshape(numbers.shape + (1,) * (np.ndim(gradients) - numbers.ndim))
