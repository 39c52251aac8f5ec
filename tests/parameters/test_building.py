"""Models built without allocating their weights, and without leaving a trace."""

from __future__ import annotations

import random
from typing import Any

import keras
import numpy as np
import pytest
import torch
from keras import layers

from dlbench.parameters import count_parameters
from dlbench.parameters.building import build


def test_no_weight_is_allocated() -> None:
    """All 138 million weights of VGG16, which would take 528 MiB, are shapes alone."""
    model = build(keras.applications.VGG16)
    assert model.count_params() == 138_357_544
    assert all(variable.value.is_meta for variable in model.variables)


def test_optimizer_variables_are_not_allocated_either() -> None:
    """Adam's moments for VGG16 would be another gigabyte."""
    assert count_parameters(keras.applications.VGG16, "adam").optimizer == 2 * 138_357_544 + 2


def draws_and_names() -> tuple[Any, ...]:
    """Return what the random generators give next, and what Keras would call the next layer."""
    return random.random(), np.random.rand(), torch.rand(1).item(), layers.Dense(1).name  # noqa: NPY002, S311


def test_counting_leaves_no_trace() -> None:
    """Random numbers and layer names go on as if nothing had been built."""

    def builder() -> Any:
        draws_and_names()
        return keras.Sequential([keras.Input((4,)), layers.Dense(2), layers.Dropout(0.5)])

    layers.Dense(1)  # the first one's name would have no number
    keras.utils.set_random_seed(1)
    name = layers.Dense(1).name
    expected = draws_and_names()[:3]
    keras.utils.set_random_seed(1)
    layers.Dense(1)
    count_parameters(builder)
    *draws, later = draws_and_names()
    assert tuple(draws) == expected
    assert int(later.rsplit("_", 1)[-1]) - int(name.rsplit("_", 1)[-1]) == 3
    assert keras.random.uniform((2,)).device.type == "cpu"


@pytest.mark.parametrize("values", [False, True])
def test_layers_of_a_builder_are_named_from_the_start(values: bool) -> None:
    """However many layers were made before, a count's rows are `dense` and `dense_1`."""

    def builder() -> Any:
        first = layers.Dense(3)
        model = keras.Sequential([keras.Input((2,)), first, layers.Dense(4)])
        if values:  # cannot be built without allocating
            first.kernel[0, 0].item()
        return model

    layers.Dense(1)
    for _ in range(2):
        assert [row.name for row in count_parameters(builder).rows] == ["dense", "dense_1"]


def test_a_builder_that_needs_values_is_run_for_real() -> None:
    """Adapting a layer to data cannot be done without values."""

    def builder() -> Any:
        scale = layers.Normalization()
        scale.adapt(np.arange(8.0).reshape(4, 2))
        assert scale.mean[0, 0].item() == 3.0
        return keras.Sequential([keras.Input((2,)), scale, layers.Dense(3)])

    table = count_parameters(builder)
    assert (table.unique, table.trainable) == (5 + 9, 9)


def test_a_wrapped_module_keeps_its_weights() -> None:
    """A module made outside the builder would be emptied by a move to the meta device."""
    module = torch.nn.Linear(3, 2)
    before = module.weight.detach().clone()

    def builder() -> Any:
        return keras.Sequential([keras.Input((3,)), keras.layers.TorchModuleWrapper(module)])

    assert count_parameters(builder).unique == 8
    assert torch.equal(module.weight, before)


def test_a_builder_that_fails_says_why() -> None:
    """The error is the builder's own."""

    def builder() -> Any:
        raise KeyError("no such data")

    with pytest.raises(KeyError, match="no such data"):
        count_parameters(builder)
