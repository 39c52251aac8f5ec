"""Functions that build the models of the shipped workloads: a multilayer perceptron and a CNN.

Both return a builder, a function without arguments that makes a fresh model at each call. It is a
`functools.partial` of a function in this file, so that it can be pickled, and a record shows it
with its arguments.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import keras

Activation: TypeAlias = "str | Callable[..., object] | None"
"""As Keras' layers take it: a name, a function, or None for none at all."""


def mlp(
    inputs: int | Sequence[int],
    outputs: int,
    *,
    hidden: Sequence[int] = (32, 32),
    activation: Activation = "relu",
    output: Activation = "softmax",
) -> Callable[[], keras.Model]:
    """Return a builder of a multilayer perceptron: dense layers, one after the other.

    Args:
        inputs: features of a sample, or its shape, which is then flattened.
        outputs: units of the last layer, one a class.
        hidden: units of each layer before it; `(width,) * depth` for a family, `()` for a linear
            model.
        activation: of each hidden layer.
        output: of the last layer; `None` for a regression.
    """
    shape = (inputs,) if isinstance(inputs, int) else tuple(inputs)
    return partial(
        build_mlp, shape, outputs, hidden=tuple(hidden), activation=activation, output=output
    )


def cnn(
    shape: Sequence[int],
    outputs: int,
    *,
    filters: Sequence[int] = (8, 16),
    activation: Activation = "relu",
    output: Activation = "softmax",
) -> Callable[[], keras.Model]:
    """Return a builder of a small convolutional network.

    Each block is a 3x3 convolution that keeps the size, and a 2x2 maximum pooling that halves it;
    one dense layer follows.

    Args:
        shape: a sample's height and width, in pixels, and its channels.
        outputs: units of the last layer, one a class.
        filters: of each block's convolution.
        activation: of each convolution.
        output: of the last layer; `None` for a regression.
    """
    return partial(
        build_cnn,
        tuple(shape),
        outputs,
        filters=tuple(filters),
        activation=activation,
        output=output,
    )


def build_mlp(
    shape: tuple[int, ...],
    outputs: int,
    *,
    hidden: tuple[int, ...],
    activation: Activation,
    output: Activation,
) -> keras.Model:
    """Return a new model of the kind that `mlp` describes."""
    import keras

    layers = [keras.layers.Flatten()] if len(shape) > 1 else []
    layers += [keras.layers.Dense(units, activation=activation) for units in hidden]
    layers += [keras.layers.Dense(outputs, activation=output)]
    # All at once: `add` would build the whole stack anew for each layer.
    return keras.Sequential([keras.Input(shape), *layers])


def build_cnn(
    shape: tuple[int, ...],
    outputs: int,
    *,
    filters: tuple[int, ...],
    activation: Activation,
    output: Activation,
) -> keras.Model:
    """Return a new model of the kind that `cnn` describes."""
    import keras

    layout = {"data_format": "channels_last"}  # whatever keras.json says: the data have it so
    layers: list[keras.Layer] = []
    for count in filters:
        layers += [
            keras.layers.Conv2D(count, 3, padding="same", activation=activation, **layout),
            keras.layers.MaxPooling2D(2, **layout),
        ]
    layers += [keras.layers.Flatten(), keras.layers.Dense(outputs, activation=output)]
    return keras.Sequential([keras.Input(shape), *layers])
