"""What each layer multiplies and puts out for one sample, where no closed form tells."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import torch
from keras import layers

from dlbench.parameters import count_parameters


class Custom(layers.Layer):  # type: ignore[misc]
    """A layer of one's own: a matrix, and a function that uses it."""

    def __init__(self, function: Any, shape: tuple[int, ...] = (4, 4)) -> None:
        super().__init__()
        self.function = function
        self.kernel = self.add_weight(shape=shape, name="kernel")

    def call(self, inputs: Any) -> Any:
        """Apply the function to inputs and matrix."""
        return self.function(inputs, self.kernel)


def table_of(*stack: Any, shape: tuple[int | None, ...] = (4,), batch: int | None = None) -> Any:
    """Count a stack of layers."""
    return count_parameters(keras.Sequential([keras.Input(shape, batch), *stack]))


def test_a_custom_layer_is_counted() -> None:
    """Its matrix product is found without a closed form, and so is a matrix-vector product."""
    assert table_of(Custom(keras.ops.matmul)).macs == 16
    assert table_of(Custom(torch.matmul, shape=(4,)), shape=(3, 4)).macs == 12
    assert table_of(Custom(keras.ops.multiply, shape=(4,))).macs == 0


def test_values_that_a_layer_looks_at_are_not_there() -> None:
    """Its work is unknown, not zero; that of the layers around it is known."""

    def looks(inputs: Any, kernel: Any) -> Any:
        numbers = keras.ops.ones((4, 4)).tolist()
        return keras.ops.matmul(inputs, keras.ops.array(numbers)) * keras.ops.sum(kernel)

    table = table_of(layers.Dense(4), Custom(looks), layers.Dense(3))
    assert [row.macs for row in table.rows] == [16, None, 12]
    assert [row.output_shape for row in table.rows] == [(None, 4), (None, 4), (None, 3)]
    assert (table.macs, table.macs_complete) == (28, False)
    assert table.rows[1].flops is None


class Opaque(keras.Model):  # type: ignore[misc]
    """A model that looks at values outside of any layer."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(2)

    def call(self, inputs: Any) -> Any:
        """Decide by the first value."""
        return self.dense(inputs) if float(inputs[0, 0]) >= 0 else inputs


def test_a_model_that_looks_at_values() -> None:
    """Its parameters are exact, its work is unknown."""
    model = Opaque()
    model(np.ones((1, 4), "float32"))
    table = count_parameters(model)
    assert (table.unique, table.macs, table.macs_complete) == (10, 0, False)


def test_an_open_axis_leaves_open_what_depends_on_it() -> None:
    """Without a length, the work of each step is unknown; that after the sequence is known."""
    table = table_of(layers.LSTM(5), layers.Dense(2), shape=(None, 3))
    assert [row.macs for row in table.rows] == [None, 10]
    table = table_of(layers.LSTM(5, return_sequences=True), layers.Dense(2), shape=(None, 3))
    assert [row.output_shape for row in table.rows] == [(None, None, 5), (None, None, 2)]
    assert [row.activations for row in table.rows] == [None, None]
    assert (table.macs, table.macs_complete, table.unique) == (0, False, 192)


def test_counts_are_for_one_sample_of_a_fixed_batch() -> None:
    """A stateful layer's batch size does not multiply its work."""
    table = table_of(layers.LSTM(5, stateful=True), shape=(7, 3), batch=6)
    assert (table.macs, table.activations) == (7 * 4 * 8 * 5, 5)


def test_wrapped_torch_layers_are_counted() -> None:
    """An LSTM and attention of torch multiply as Keras' do."""

    class Last(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = torch.nn.LSTM(3, 8, batch_first=True)
            self.attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            hidden, _ = self.lstm(inputs)
            mixed: torch.Tensor = self.attention(hidden, hidden, hidden)[0]
            return mixed

    wrapped = keras.layers.TorchModuleWrapper(Last())
    assert table_of(wrapped, shape=(6, 3)).macs == 6 * 4 * 11 * 8 + 4 * 6 * 64 + 2 * 36 * 8


class Block(layers.Layer):  # type: ignore[misc]
    """A transformer's block, with inputs by name and a mask."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = layers.MultiHeadAttention(2, 4)
        self.dense = layers.Dense(8)

    def call(self, inputs: Any) -> Any:
        """Attend, then mix features."""
        mask = keras.ops.ones((1, 6, 6), "bool")
        mixed = self.attention(value=inputs, query=inputs, attention_mask=mask)
        return self.dense(inputs + mixed)


def test_layers_inside_a_custom_layer_are_told_apart() -> None:
    """Each has a line and its closed form; the block itself has no line, having nothing."""
    table = table_of(Block(), shape=(6, 8))
    assert [row.layer for row in table.rows] == ["MultiHeadAttention", "Dense"]
    assert [row.macs for row in table.rows] == [4 * 6 * 64 + 2 * 36 * 8, 6 * 64]
    assert table.activations == 2 * 48


def test_tracing_changes_nothing() -> None:
    """Weights, statistics, seeds and modes are as before, and the layers' own `call` is back."""
    model = keras.Sequential(
        [keras.Input((4,)), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(2)]
    )
    before = [variable.value.detach().clone() for variable in model.variables]
    modes = [module.training for module in model.modules()]
    count_parameters(model)
    after = [variable.value for variable in model.variables]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert [module.training for module in model.modules()] == modes
    assert not any("call" in vars(layer) for layer in [model, *model.layers])
    assert model(np.ones((3, 4), "float32")).shape == (3, 2)
