"""Losses and metrics by their definitions, a number a sample, in the plainest form there is.

Arrays have one row a sample; a loss over several outputs is their mean, as Keras has it
(`keras/src/losses/losses.py`). Probabilities lie between 1e-7 and 1 - 1e-7, where Keras does not
clip them. Logarithms are natural: entropies are in nats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from scipy.special import log_softmax, logsumexp, xlogy

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array: TypeAlias = NDArray[np.float64]

KERAS_EPSILON = 1e-7
"""What Keras adds inside a logarithm, or cuts off below (`keras.config.epsilon`)."""


def weighted_mean(values: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Return the loss of a batch: Σ w l / n, the number of samples below, not the sum of weights.

    Source: `keras/src/losses/loss.py`, `reduce_weighted_values`, "sum_over_batch_size".

    Args:
        values: a loss a sample, shape `(n,)`.
        weights: shape `(n,)`, 1 each where not given.
    """
    losses = np.asarray(values, dtype=float)
    return float(np.mean(losses if weights is None else losses * np.asarray(weights)))


def squared_error(y: ArrayLike, p: ArrayLike) -> Array:
    """Return the mean of (p - y)² over the outputs; its gradient has a factor 2."""
    return _over_outputs(_apart(y, p) ** 2)


def absolute_error(y: ArrayLike, p: ArrayLike) -> Array:
    """Return the mean of |p - y| over the outputs."""
    return _over_outputs(np.abs(_apart(y, p)))


def huber(y: ArrayLike, p: ArrayLike, delta: float = 1.0) -> Array:
    """Return e² / 2 for errors up to delta and delta (|e| - delta / 2) beyond (Huber 1964)."""
    error = np.abs(_apart(y, p))
    inside = np.minimum(error, delta)
    return _over_outputs(inside**2 / 2 + delta * (error - inside))


def log_cosh(y: ArrayLike, p: ArrayLike) -> Array:
    """Return the mean of ln cosh(p - y): e² / 2 near 0, |e| - ln 2 far away."""
    error = _apart(y, p)
    return _over_outputs(np.logaddexp(error, -error) - np.log(2))


def poisson(y: ArrayLike, p: ArrayLike) -> Array:
    """Return the mean of p - y ln(p + 1e-7), a Poisson count's loss but for what p does not change.

    Args:
        y: counts, shape `(n, outputs)`.
        p: rates above 0.
    """
    rates = np.asarray(p, dtype=float)
    return _over_outputs(rates - np.asarray(y, dtype=float) * np.log(rates + KERAS_EPSILON))


def hinge(y: ArrayLike, p: ArrayLike, *, squared: bool = False) -> Array:
    """Return the mean of max(0, 1 - y p) for labels of -1 and 1, or of its square."""
    short = np.maximum(0, 1 - np.asarray(y, dtype=float) * np.asarray(p, dtype=float))
    return _over_outputs(short**2 if squared else short)


def binary_crossentropy(y: ArrayLike, p: ArrayLike) -> Array:
    """Return -y ln p - (1 - y) ln(1 - p), the mean over the outputs."""
    labels, chances = np.asarray(y, dtype=float), np.asarray(p, dtype=float)
    return -_over_outputs(xlogy(labels, chances) + xlogy(1 - labels, 1 - chances))


def binary_crossentropy_of_logits(y: ArrayLike, z: ArrayLike) -> Array:
    """Return ln(1 + e^z) - y z: the cross-entropy of p = 1 / (1 + e^-z), which no z overflows."""
    logits = np.asarray(z, dtype=float)
    return _over_outputs(np.logaddexp(0, logits) - np.asarray(y, dtype=float) * logits)


def focal_crossentropy(y: ArrayLike, p: ArrayLike, focus: float = 2.0) -> Array:
    """Return the cross-entropy of each output times (1 - p_t)^focus, p_t the right label's chance.

    Source: Lin et al. 2017, arXiv 1708.02002, equation 4.

    Args:
        y: labels 0 and 1, shape `(n, outputs)`.
        p: probabilities.
        focus: Keras' `gamma`.
    """
    right = np.where(np.asarray(y) == 1, p, 1 - np.asarray(p, dtype=float))
    return _over_outputs(-((1 - right) ** focus) * np.log(right))


def categorical_crossentropy(y: ArrayLike, p: ArrayLike, smoothing: float = 0.0) -> Array:
    """Return -Σ y ln p over classes; smoothing s first makes y into (1 - s) y + s / classes.

    Source of smoothing: Szegedy et al. 2016, arXiv 1512.00567, section 7.

    Args:
        y: a distribution over classes, shape `(n, classes)`.
        p: probabilities that sum to 1.
        smoothing: Keras' `label_smoothing`.
    """
    chances = np.asarray(p, dtype=float)
    labels = (1 - smoothing) * np.asarray(y, dtype=float) + smoothing / chances.shape[-1]
    return -_over_classes(xlogy(labels, chances))


def crossentropy_of_logits(classes: ArrayLike, z: ArrayLike) -> Array:
    """Return ln Σ e^z - z_y for the class y of each sample; ln(classes) where all logits agree.

    Args:
        classes: shape `(n,)`, whole numbers.
        z: shape `(n, classes)`.
    """
    logits = np.asarray(z, dtype=float)
    right = np.take_along_axis(logits, np.asarray(classes)[:, None], axis=-1)[:, 0]
    loss: Array = logsumexp(logits, axis=-1) - right
    return loss


def crossentropy_gradient(classes: ArrayLike, z: ArrayLike) -> Array:
    """Return the gradient of the mean cross-entropy by the logits: (softmax(z) - onehot(y)) / n.

    It sums to 0 over classes, and so do the gradients of the last layer's bias and kernel. Source:
    Goodfellow, Bengio and Courville 2016, "Deep learning", section 6.2.2.3.

    Args:
        classes: shape `(n,)`, whole numbers.
        z: shape `(n, classes)`.
    """
    logits = np.asarray(z, dtype=float)
    onehot = np.eye(logits.shape[-1])[np.asarray(classes)]
    gradient: Array = (np.exp(log_softmax(logits, axis=-1)) - onehot) / len(logits)
    return gradient


def kl_divergence(y: ArrayLike, p: ArrayLike) -> Array:
    """Return Σ y ln(y / p) over classes, for distributions y and p."""
    labels, chances = np.asarray(y, dtype=float), np.asarray(p, dtype=float)
    return _over_classes(labels * (np.log(labels) - np.log(chances)))


def cosine_distance(y: ArrayLike, p: ArrayLike) -> Array:
    """Return minus the cosine of the angle between y and p: -1 where they point the same way."""
    labels, outputs = np.asarray(y, dtype=float), np.asarray(p, dtype=float)
    lengths = np.linalg.norm(labels, axis=-1) * np.linalg.norm(outputs, axis=-1)
    cosine: Array = -np.sum(labels * outputs, axis=-1) / lengths
    return cosine


# ---- metrics, over all samples


def top_accuracy(classes: ArrayLike, scores: ArrayLike, count: int = 1) -> float:
    """Return the share of samples whose class is among the `count` highest scores; no ties.

    Args:
        classes: shape `(n,)`, whole numbers.
        scores: shape `(n, classes)`.
        count: k.
    """
    values = np.asarray(scores, dtype=float)
    right = np.take_along_axis(values, np.asarray(classes)[:, None], axis=-1)
    return float(np.mean(np.sum(values > right, axis=-1) < count))


def precision_recall(labels: ArrayLike, chances: ArrayLike, threshold: float = 0.5) -> Array:
    """Return the share of the found that are positive, and the share of positives that are found.

    Args:
        labels: 0 and 1, shape `(n,)`.
        chances: shape `(n,)`; what is above the threshold is found.
        threshold: 0 to 1.
    """
    positive, found = np.asarray(labels) == 1, np.asarray(chances) > threshold
    hits = np.sum(positive & found)
    return np.array([hits / found.sum(), hits / positive.sum()])


def area_under_curve(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the chance that a positive's score is above a negative's, half for ties.

    The area under the receiver's curve. Source: Hanley and McNeil 1982, "The meaning and use of the
    area under a receiver operating characteristic (ROC) curve".

    Args:
        labels: 0 and 1, shape `(n,)`.
        scores: shape `(n,)`.
    """
    values, positive = np.asarray(scores, dtype=float), np.asarray(labels) == 1
    apart = np.subtract.outer(values[positive], values[~positive])
    return float(np.mean((np.sign(apart) + 1) / 2))


def explained_variance(y: ArrayLike, p: ArrayLike) -> float:
    """Return R² = 1 - Σ (y - p)² / Σ (y - mean y)², for one output.

    Args:
        y: shape `(n,)`.
        p: shape `(n,)`.
    """
    labels = np.asarray(y, dtype=float)
    return float(1 - np.sum(_apart(y, p) ** 2) / np.sum((labels - labels.mean()) ** 2))


def _apart(y: ArrayLike, p: ArrayLike) -> Array:
    error: Array = np.asarray(p, dtype=float) - np.asarray(y, dtype=float)
    return error


def _over_outputs(values: Array) -> Array:
    mean: Array = values.mean(axis=-1)
    return mean


def _over_classes(values: Array) -> Array:
    total: Array = values.sum(axis=-1)
    return total
