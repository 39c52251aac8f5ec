"""Workloads on small real data that scikit-learn ships: nothing is downloaded.

A fifth of the samples, drawn by a fixed permutation, validates. All figures in the docstrings were
measured with 20 seeds, Keras' own `fit`, keras 3.15 and torch 2.13 on one CPU thread.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from dlbench.experiment import Workload
from dlbench.workloads.builders import Activation, cnn, mlp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import keras
    from numpy.typing import NDArray

SPLIT_SEED = 0
"""Of the permutation that splits the samples, whatever the seed of a run."""


def digits_mlp(*, activation: Activation = "relu", depth: int = 2, width: int = 32) -> Workload:
    """Handwritten digits, 8x8 pixels, read by a 64-32-32-10 perceptron (3,466 parameters).

    The stand-in for MNIST that needs no network: 1,437 samples train, 360 validate, pixels from 0
    to 1, softmax and cross-entropy. Source: scikit-learn's `load_digits`, the test part of
    Alpaydin and Kaynak 1998, "Optical recognition of handwritten digits".

    The target, a validation accuracy of 0.93, lies just after the knee of quality against updates
    (median accuracy 0.86 after 109 updates, 0.90 after 163, 0.93 after 228, 0.95 after 346, 0.965
    after 540). By SGD at rate 0.1, batches of 32, 12 epochs (540 updates, 0.6 s), every seed
    reaches it: after 230 updates (median; quartiles 190 and 258; the last 313). At the end the
    worst seed stands at 0.95.
    """
    return _digits("digits_mlp", (64,), mlp(64, 10, hidden=(width,) * depth, activation=activation))


def digits_cnn(*, activation: Activation = "relu", filters: Sequence[int] = (8, 16)) -> Workload:
    """The same digits, read by a small convolutional network (1,898 parameters).

    Data, split and target are those of `digits_mlp`, so that the two models can be compared. By SGD
    at rate 0.1, batches of 32, 12 epochs (540 updates, 1.5 s), every seed reaches the target: after
    260 updates (median; quartiles 219 and 309; the last 358). It goes on to a median of 0.968, and
    swings more than the perceptron: the worst seed ends at 0.911, after 0.93 was reached.
    """
    shape = (8, 8, 1)
    return _digits("digits_cnn", shape, cnn(shape, 10, filters=filters, activation=activation))


def _digits(name: str, shape: tuple[int, ...], model: Callable[[], keras.Model]) -> Workload:
    pixels, y = _digits_by_sample()
    x = pixels.reshape(-1, *shape)
    train, validation = _split(len(x))
    return Workload(
        name=name,
        model=model,
        data=((x[train], y[train]), (x[validation], y[validation])),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        target=("val_accuracy", 0.93),
    )


@cache
def _digits_by_sample() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return pixels, shape `(samples, 64)`, and labels: read once, for the file is text."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    return (pixels / 16).astype(np.float32), labels.astype(np.int64)


def diabetes(*, activation: Activation = "relu", depth: int = 2, width: int = 32) -> Workload:
    """How far a diabetes has gone after a year, by a 10-32-32-1 regression (1,441 parameters).

    353 patients train, 89 validate. Inputs and labels are standardized by the mean and standard
    deviation of the training part, so that a loss of 1 is that of the mean label; the loss is the
    mean squared error. Source: scikit-learn's `load_diabetes`, from Efron et al. 2004, "Least angle
    regression".

    The target, a validation loss of 0.55, lies after the knee (median loss 0.94 after 10 updates,
    0.68 after 38, 0.56 after 86, 0.51 after 154, 0.496 after 240); ordinary least squares has 0.484
    there. By SGD at rate 0.01, batches of 32, 20 epochs (240 updates, 0.4 s), every seed reaches
    it: after 96 updates (median; quartiles 62 and 122; the last 204). The 89 patients make it a
    noisy measure: at the end the seeds stand between 0.41 and 0.57.
    """
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    train, validation = _split(len(x))
    x, y = _standardized(x, train), _standardized(y, train)
    return Workload(
        name="diabetes",
        model=mlp(10, 1, hidden=(width,) * depth, activation=activation, output=None),
        data=((x[train], y[train]), (x[validation], y[validation])),
        loss="mean_squared_error",
        metrics=["mean_absolute_error"],
        target=("val_loss", 0.55),
    )


def _split(samples: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows that train and the fifth that validates."""
    # RandomState's streams are frozen (NEP 19): every NumPy splits alike.
    order = np.random.RandomState(SPLIT_SEED).permutation(samples)
    cut = samples * 4 // 5
    return order[:cut], order[cut:]


def _standardized(values: NDArray[Any], train: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return values less the mean of the training part, over its standard deviation."""
    part = values[train]
    standardized: NDArray[Any] = (values - part.mean(axis=0)) / part.std(axis=0)
    return standardized.astype(np.float32)
