"""What counts as a sample, a level, a count, else refused by name; a mean, its error, and t."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

CONSTANT = 1e-12
"""A standard deviation below this share of the largest value is float64's rounding, no spread.

Differences that are equal by construction, as log(2a) - log(a), differ by some 1e-16 of their
terms; t would make a certainty of that.
"""


def sample(values: ArrayLike) -> np.ndarray:
    """Return values as floats, shape `(n,)`, n >= 1; they may be infinite or NaN.

    Raises:
        ValueError: `values` is empty or not one-dimensional.
    """
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"a sample has shape (n,) with n >= 1, got shape {array.shape}")
    return array


def finite_sample(what: str, values: ArrayLike, *, at_least: int) -> np.ndarray:
    """Return values as finite floats, shape `(n,)`, n >= `at_least`.

    Raises:
        ValueError: too few values, a value that is not finite, or not one dimension.
    """
    array = sample(values)
    if not np.isfinite(array).all():
        index = int(np.flatnonzero(~np.isfinite(array))[0])
        raise ValueError(f"{what} must be finite, got {array[index]} at index {index}")
    if array.size < at_least:
        raise ValueError(f"{what} must be at least {at_least} values, got {array.size}")
    return array


def check_alpha(alpha: float) -> None:
    """Refuse what is no error rate of a one-sided test.

    Raises:
        ValueError: `alpha` is outside (0, 0.5).
    """
    if not 0 < alpha < 0.5:  # noqa: PLR2004
        raise ValueError(f"alpha must lie between 0 and 0.5, both excluded, got {alpha}")


def check_level(level: float) -> None:
    """Refuse what is no level of confidence.

    Raises:
        ValueError: `level` is outside (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, both excluded, got {level}")


def check_size(what: str, size: float) -> None:
    """Refuse what is no margin or deviation.

    Raises:
        ValueError: `size` is negative or not finite.
    """
    if not (size >= 0 and np.isfinite(size)):
        raise ValueError(f"{what} must be finite and not negative, got {size}")


def check_count(what: str, count: int, *, least: int, most: int | None = None) -> None:
    """Refuse what is no whole number within bounds.

    Raises:
        ValueError: `count` is not whole, below `least` or above `most`.
    """
    if not float(count).is_integer() or count < least or (most is not None and count > most):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{what} must be a whole number {bounds}, got {count}")


def mean_and_error(array: np.ndarray) -> tuple[float, float]:
    """Return the mean of n >= 2 values and its standard error, s / √n; 0 where all are equal."""
    largest = float(np.abs(array).max())
    # In units of the largest value, so that no square leaves float64's range.
    deviation = float((array / largest).std(ddof=1)) if largest > 0 else 0.0
    if deviation <= CONSTANT:
        return float(np.median(array)), 0.0  # the median of equal values is exact, a mean may round
    return float(array.mean()), deviation * largest / array.size**0.5


def t_tail(t: float, freedom: float) -> float:
    """Return P(T > t) for T of Student's t with so many degrees of freedom."""
    from scipy import special

    return float(special.stdtr(freedom, -t))


def half_width(error: float, freedom: float, alpha: float) -> float:
    """Return how far a mean lies off to one side, or farther, in a share alpha of samples: t x error."""
    from scipy import special

    return -error * float(special.stdtrit(freedom, alpha))
