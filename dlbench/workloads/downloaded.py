"""Workloads on the data sets that Keras downloads: MNIST, Fashion-MNIST and CIFAR-10.

Nothing is fetched before one of these functions is called. Keras keeps what it fetched in the
folder `datasets` of its cache (`~/.keras`, or `$KERAS_HOME`), and reads it from there at the next
call. Keras' test set is the validation set. The targets are round values that such models are known
to reach; unlike those of the other workloads they were not measured with this suite.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dlbench.backend import require_torch
from dlbench.errors import DownloadError
from dlbench.experiment import Workload
from dlbench.workloads.builders import Activation, cnn, mlp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import keras


def mnist(*, activation: Activation = "relu", depth: int = 2, width: int = 128) -> Workload:
    """Handwritten digits, 28x28 pixels, read by a 784-128-128-10 perceptron.

    60,000 samples train, 10,000 validate; the target is a validation accuracy of 0.97. Source:
    LeCun et al. 1998, "Gradient-based learning applied to document recognition".

    Raises:
        DownloadError: the data are not on this machine, and there is no network.
    """
    model = mlp((28, 28, 1), 10, hidden=(width,) * depth, activation=activation)
    return _images("mnist", model, 0.97)


def fashion_mnist(*, activation: Activation = "relu", depth: int = 2, width: int = 128) -> Workload:
    """Pieces of clothing, 28x28 pixels, ten kinds, told by a 784-128-128-10 perceptron.

    60,000 samples train, 10,000 validate; the target is a validation accuracy of 0.86. Source:
    Xiao et al. 2017, "Fashion-MNIST".

    Raises:
        DownloadError: the data are not on this machine, and there is no network.
    """
    model = mlp((28, 28, 1), 10, hidden=(width,) * depth, activation=activation)
    return _images("fashion_mnist", model, 0.86)


def cifar10(*, activation: Activation = "relu", filters: Sequence[int] = (32, 64)) -> Workload:
    """Colour photographs, 32x32 pixels, ten classes, told by a small convolutional network.

    50,000 samples train, 10,000 validate; the target is a validation accuracy of 0.6. Source:
    Krizhevsky 2009, "Learning multiple layers of features from tiny images".

    Raises:
        DownloadError: the data are not on this machine, and there is no network.
    """
    return _images("cifar10", cnn((32, 32, 3), 10, filters=filters, activation=activation), 0.6)


def _images(name: str, model: Callable[[], keras.Model], target: float) -> Workload:
    require_torch()
    import keras

    try:
        train, validation = getattr(keras.datasets, name).load_data()
    except Exception as error:
        raise DownloadError(
            f"{name} is not on this machine, and Keras could not fetch it: {error}. "
            "dlbench.workloads:digits_mlp needs no network. To train on this one, call "
            f"keras.datasets.{name}.load_data() where there is a network, and copy the folder "
            "datasets of Keras' cache (~/.keras, or $KERAS_HOME) from there to here; "
            "Keras removes a file with another checksum"
        ) from error
    return Workload(
        name=name,
        model=model,
        data=(_prepared(*train), _prepared(*validation)),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        target=("val_accuracy", target),
    )


def _prepared(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels from 0 to 1, shape `(n, height, width, channels)`, and labels, shape `(n,)`."""
    pixels = images.reshape(len(images), *images.shape[1:3], -1)
    return pixels.astype(np.float32) / 255, labels.ravel().astype(np.int64)
