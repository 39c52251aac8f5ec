"""The learning rate at every update, by formula.

All functions take `step`, the updates made so far (0 at the first), a number or an array, and return
rates of that shape. Keras' forms: `keras/src/optimizers/schedules/learning_rate_schedule.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Array: TypeAlias = NDArray[np.float64]


def exponential(
    step: ArrayLike, rate: float, *, steps: int, factor: float, staircase: bool = False
) -> Array:
    """Return η_0 · factor^(k / steps); with `staircase`, k / steps is rounded down.

    Args:
        step: k.
        rate: η_0.
        steps: Keras' `decay_steps`.
        factor: Keras' `decay_rate`.
        staircase: Keras' `staircase`.
    """
    rates: Array = rate * factor ** _progress(step, steps, staircase=staircase)
    return rates


def inverse_time(
    step: ArrayLike, rate: float, *, steps: int, factor: float, staircase: bool = False
) -> Array:
    """Return η_0 / (1 + factor · k / steps): the 1/k that stochastic approximation asks for.

    Source of the form: Robbins and Monro 1951. Arguments as of `exponential`.
    """
    rates: Array = rate / (1 + factor * _progress(step, steps, staircase=staircase))
    return rates


def polynomial(
    step: ArrayLike, rate: float, *, steps: int, end: float = 1e-4, power: float = 1.0
) -> Array:
    """Return η_end + (η_0 - η_end) (1 - k / steps)^power, and η_end from `steps` on.

    Args:
        step: k.
        rate: η_0.
        steps: Keras' `decay_steps`.
        end: Keras' `end_learning_rate`.
        power: Keras' `power`; 1 is a straight line.
    """
    left = 1 - np.minimum(_progress(step, steps), 1)
    rates: Array = end + (rate - end) * left**power
    return rates


def piecewise(step: ArrayLike, boundaries: Sequence[int], rates: Sequence[float]) -> Array:
    """Return the first rate up to and including the first boundary, then the second, and so on.

    Args:
        step: k.
        boundaries: rising; a boundary itself still has the rate before it.
        rates: one more than boundaries.
    """
    passed = np.searchsorted(np.asarray(boundaries), np.asarray(step), side="left")
    chosen: Array = np.asarray(rates, dtype=float)[passed]
    return chosen


def cosine(  # noqa: PLR0913 - what Keras' schedule takes
    step: ArrayLike,
    rate: float,
    *,
    steps: int,
    end: float = 0.0,
    warmup_target: float | None = None,
    warmup: int = 0,
) -> Array:
    """Return half a cosine from the rate down to `end` times it, after a straight warm-up.

    Without warm-up η_0 (end + (1 - end) (1 + cos(πk / steps)) / 2). With it the rate rises in a line
    from η_0 to the target in `warmup` updates, and the cosine starts there. Source: Loshchilov and
    Hutter 2017, arXiv 1608.03983, equation 5.

    Args:
        step: k.
        rate: η_0.
        steps: Keras' `decay_steps`, of the cosine alone.
        end: Keras' `alpha`, a share of the rate from which the cosine starts.
        warmup_target: Keras' `warmup_target`.
        warmup: Keras' `warmup_steps`.
    """
    k = np.asarray(step, dtype=float)
    peak = rate if warmup_target is None else warmup_target
    falling = peak * _half_cosine(np.clip((k - warmup) / steps, 0, 1), end)
    rising = rate + (peak - rate) * k / max(warmup, 1)
    return np.where(k < warmup, rising, falling)


def cosine_restarts(  # noqa: PLR0913 - what Keras' schedule takes
    step: ArrayLike,
    rate: float,
    *,
    steps: int,
    longer: float = 2.0,
    lower: float = 1.0,
    end: float = 0.0,
) -> Array:
    """Return a cosine that starts anew after `steps` updates, each time `longer` times as long.

    Period i has steps · longer^i updates, and starts at η_0 · lower^i. Source: Loshchilov and Hutter
    2017, arXiv 1608.03983, section 3.

    Args:
        step: k.
        rate: η_0.
        steps: Keras' `first_decay_steps`.
        longer: Keras' `t_mul`.
        lower: Keras' `m_mul`.
        end: Keras' `alpha`, a share of η_0.
    """
    k = np.asarray(step, dtype=float)
    periods = 1
    ends = np.array([float(steps)])
    while ends[-1] <= k.max():
        ends = np.append(ends, ends[-1] + steps * longer**periods)
        periods += 1
    period = np.searchsorted(ends, k, side="right")
    begins = np.concatenate([[0.0], ends])[period]
    progress = (k - begins) / (steps * longer**period)
    rates: Array = rate * (end + (1 - end) * lower**period * _half_cosine(progress, 0.0))
    return rates


def _progress(step: ArrayLike, steps: int, *, staircase: bool = False) -> Array:
    progress = np.asarray(step, dtype=float) / steps
    return np.floor(progress) if staircase else progress


def _half_cosine(progress: Array, end: float) -> Array:
    falling: Array = end + (1 - end) * (1 + np.cos(np.pi * progress)) / 2
    return falling
