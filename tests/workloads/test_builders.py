"""The builders of models: shapes, parameters, freshness, pickling."""

from __future__ import annotations

import itertools
import pickle
from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest

from dlbench.keras_objects import function_name
from dlbench.workloads.builders import cnn, mlp

if TYPE_CHECKING:
    from collections.abc import Callable

BUILDERS = [mlp(4, 3), cnn((8, 8, 1), 3)]


@pytest.mark.parametrize("hidden", [(), (5,), (5, 6, 7)])
def test_mlp_has_the_layers_asked_for(hidden: tuple[int, ...]) -> None:
    """A perceptron has a dense layer for each width and one for the outputs."""
    model = mlp(4, 3, hidden=hidden)()
    assert [layer.units for layer in model.layers] == [*hidden, 3]
    widths = [4, *hidden, 3]
    assert model.count_params() == sum((ins + 1) * outs for ins, outs in itertools.pairwise(widths))


@pytest.mark.parametrize("activation", ["relu", "tanh", "leaky_relu", None, keras.ops.sin])
def test_activation_is_that_of_every_hidden_layer(activation: object) -> None:
    """The activation is that of the hidden layers; the last layer has its own."""
    expected = keras.activations.get(activation)
    for model in (mlp(4, 3, activation=activation)(), cnn((8, 8, 1), 3, activation=activation)()):  # type: ignore[arg-type]
        active = [layer.activation for layer in model.layers if hasattr(layer, "activation")]
        assert active == [expected] * (len(active) - 1) + [keras.activations.softmax]


def test_output_activation_can_be_none() -> None:
    """A regression's last layer is linear."""
    for build in (mlp(4, 1, output=None), cnn((8, 8, 1), 1, output=None)):
        assert build().layers[-1].activation is keras.activations.linear


def test_mlp_flattens_images() -> None:
    """Inputs of several dimensions are flattened first."""
    model = mlp((2, 3, 1), 2, hidden=())()
    assert model(np.zeros((5, 2, 3, 1), np.float32)).shape == (5, 2)
    assert model.count_params() == (6 + 1) * 2


def test_cnn_halves_the_image_at_each_block() -> None:
    """Each block keeps the size in its convolution and halves it in its pooling."""
    model = cnn((8, 8, 3), 10, filters=(4, 6))()
    shapes = [layer.output.shape[1:] for layer in model.layers]
    assert shapes == [(8, 8, 4), (4, 4, 4), (4, 4, 6), (2, 2, 6), (24,), (10,)]
    assert model.count_params() == (9 * 3 + 1) * 4 + (9 * 4 + 1) * 6 + (24 + 1) * 10


def test_cnn_takes_channels_last_whatever_keras_is_set_to() -> None:
    """The layout of images is that of the data, not of keras.json."""
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        model = cnn((8, 8, 3), 10, filters=(4,))()
    finally:
        keras.config.set_image_data_format(before)
    assert model.layers[0].output.shape == (None, 8, 8, 4)


@pytest.mark.parametrize("build", BUILDERS, ids=["mlp", "cnn"])
def test_every_call_builds_afresh(build: Callable[[], keras.Model]) -> None:
    """Two calls give two models that share nothing."""
    one, other = build(), build()
    assert not {id(v) for v in one.variables} & {id(v) for v in other.variables}


@pytest.mark.parametrize("build", BUILDERS, ids=["mlp", "cnn"])
def test_builders_can_be_pickled(build: Callable[[], keras.Model]) -> None:
    """A builder crosses to another process and builds the same kind of model there."""
    again = pickle.loads(pickle.dumps(build))  # noqa: S301 - our own bytes
    assert again().count_params() == build().count_params()


def test_records_show_a_builder_with_its_arguments() -> None:
    """The name in a record says which model it is."""
    name = function_name(mlp(4, 3, hidden=[5], activation="tanh"))
    assert name == (
        "dlbench.workloads.builders.build_mlp"
        "((4), 3, hidden=(5), activation='tanh', output='softmax')"
    )
