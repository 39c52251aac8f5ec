"""Closed forms: how many multiply-accumulates one call of a Keras layer makes.

Shapes carry the batch, so that a layer which folds other axes into it is counted as it is. What is
counted: each product that is added to a sum. Bias, activation and normalisation are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

from dlbench.parameters.formulas import einsum_letters, input_shapes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Layer: TypeAlias = Any
"""A `keras.layers.Layer`: Keras ships no types."""
Shape: TypeAlias = tuple[int, ...]


def closed_products(layer: Layer, inputs: Sequence[Shape], output: Shape) -> int | None:
    """Return the multiply-accumulates of one call, or None where no closed form is known.

    Args:
        layer: a layer that has a closed form of its parameters.
        inputs: the shapes of the tensors it was called on, in the order of its `call` method.
        output: the shape of its (first) output.
    """
    known = _PRODUCTS.get(type(layer).__name__)
    return known(layer, inputs, output) if known else None


def _none(_layer: Layer, _inputs: Sequence[Shape], _output: Shape) -> int:
    """A lookup multiplies nothing."""
    return 0


def _dense(layer: Layer, inputs: Sequence[Shape], _output: Shape) -> int:
    return prod(inputs[0]) * int(layer.units)


def _einsum_dense(layer: Layer, inputs: Sequence[Shape], _output: Shape) -> int:
    """Every combination of the equation's letters is one product."""
    letters, kernel, _ = einsum_letters(layer.equation, len(inputs[0]))
    sizes = zip(kernel, layer.kernel.shape, strict=True)
    return prod([*inputs[0], *(int(size) for letter, size in sizes if letter not in letters)])


def _convolution(layer: Layer, inputs: Sequence[Shape], output: Shape) -> int:
    """Each output sums over the window and the channels of its group."""
    return prod(output) * _window(layer) * (_channels(layer, inputs) // int(layer.groups))


def _transposed(layer: Layer, inputs: Sequence[Shape], _output: Shape) -> int:
    """Each input is spread over the window and the filters."""
    return prod(inputs[0]) * _window(layer) * int(layer.filters)


def _depthwise(layer: Layer, _inputs: Sequence[Shape], output: Shape) -> int:
    return prod(output) * _window(layer)


def _separable(layer: Layer, inputs: Sequence[Shape], output: Shape) -> int:
    channels = _channels(layer, inputs) * int(layer.depth_multiplier)
    places = prod(output) // int(layer.filters)
    return places * channels * (_window(layer) + int(layer.filters))


def _recurrent(layer: Layer, inputs: Sequence[Shape], output: Shape) -> int | None:
    """The same work at each step of the sequence, from the input and from the state."""
    batch, steps = inputs[0][:2]
    step = _step(layer.cell, output)
    return None if step is None else batch * steps * step


def _step(cell: Layer, output: Shape) -> int | None:
    """Return the products of one step of one sample: gates x (d + u) x u."""
    name = type(cell).__name__
    if name == "StackedRNNCells":
        each = [_step(one, output) for one in cell.cells]
        return None if None in each else sum(filter(None, each))
    if name not in _GATES:
        return None
    if name != "ConvLSTMCell":
        units = int(cell.units)
        return _GATES[name] * (input_shapes(cell)[0][-1] + units) * units
    first = cell.data_format == "channels_first"
    channels = input_shapes(cell)[0][1 if first else -1]
    places = output[-cell.rank :] if first else output[-cell.rank - 1 : -1]
    filters = int(cell.filters)
    return prod(places) * _window(cell) * _GATES[name] * (channels + filters) * filters


def _bidirectional(layer: Layer, inputs: Sequence[Shape], output: Shape) -> int | None:
    forward = closed_products(layer.forward_layer, inputs, output)
    backward = closed_products(layer.backward_layer, inputs, output)
    return None if forward is None or backward is None else forward + backward


def _time_distributed(layer: Layer, inputs: Sequence[Shape], output: Shape) -> int | None:
    batch, steps, *rest = inputs[0]
    step = closed_products(layer.layer, [(batch, *rest)], (output[0], *output[2:]))
    return None if step is None else steps * step


@dataclass(frozen=True, slots=True)
class _Heads:
    """The sizes of an attention layer."""

    queries: int
    keys: int
    """Heads of key and value, which several heads of the query may share."""
    size: int
    value_size: int
    gated: bool


def _multi_head_attention(layer: Layer, inputs: Sequence[Shape], output: Shape) -> int | None:
    heads, gated = layer.num_heads, bool(layer.get_config().get("use_gate"))
    sizes = _Heads(heads, heads, layer.key_dim, layer.value_dim, gated)
    one_axis = len(inputs[0]) == 3  # noqa: PLR2004 - batch, sequence, features
    return _heads_products(sizes, inputs, output) if one_axis else None


def _grouped_query_attention(layer: Layer, inputs: Sequence[Shape], output: Shape) -> int:
    queries, keys, gated = layer.num_query_heads, layer.num_key_value_heads, layer.get_config()
    sizes = _Heads(queries, keys, layer.head_dim, layer.head_dim, bool(gated.get("use_gate")))
    return _heads_products(sizes, inputs, output)


def _heads_products(heads: _Heads, inputs: Sequence[Shape], output: Shape) -> int:
    """The projections, and for each pair of places the score and the weighing of the value."""
    query, value, key = (*inputs, inputs[-1])[:3]
    targets, sources = prod(query[:-1]), prod(value[:-1])
    pairs = targets * value[1]
    return (
        targets * query[-1] * heads.queries * heads.size
        + sources * key[-1] * heads.keys * heads.size
        + sources * value[-1] * heads.keys * heads.value_size
        + targets * query[-1] * heads.queries * heads.value_size * heads.gated
        + pairs * heads.queries * (heads.size + heads.value_size)
        + targets * heads.queries * heads.value_size * output[-1]
    )


def _attention(layer: Layer, inputs: Sequence[Shape], _output: Shape) -> int:
    """Luong's: a dot product for each pair of places (additive scores sum without products)."""
    query, value = inputs[:2]
    pairs = prod(query[:-1]) * value[1]
    return pairs * ((query[-1] if layer.score_mode == "dot" else 0) + value[-1])


def _additive_attention(layer: Layer, inputs: Sequence[Shape], _output: Shape) -> int:
    """Bahdanau's: the score sums scale x tanh(query + key) over the features."""
    query, value = inputs[:2]
    return prod(query[:-1]) * value[1] * (query[-1] * bool(layer.use_scale) + value[-1])


def _window(layer: Layer) -> int:
    return int(prod(layer.kernel_size))


def _channels(layer: Layer, inputs: Sequence[Shape]) -> int:
    return inputs[0][1 if layer.data_format == "channels_first" else -1]


_GATES = {"SimpleRNNCell": 1, "GRUCell": 3, "LSTMCell": 4, "ConvLSTMCell": 4}
_PRODUCTS: dict[str, Callable[[Layer, Sequence[Shape], Shape], int | None]] = {
    "AdditiveAttention": _additive_attention,
    "Attention": _attention,
    "Bidirectional": _bidirectional,
    "Conv1D": _convolution,
    "Conv1DTranspose": _transposed,
    "Conv2D": _convolution,
    "Conv2DTranspose": _transposed,
    "Conv3D": _convolution,
    "Conv3DTranspose": _transposed,
    "ConvLSTM1D": _recurrent,
    "ConvLSTM2D": _recurrent,
    "ConvLSTM3D": _recurrent,
    "Dense": _dense,
    "DepthwiseConv1D": _depthwise,
    "DepthwiseConv2D": _depthwise,
    "EinsumDense": _einsum_dense,
    "Embedding": _none,
    "GRU": _recurrent,
    "GroupedQueryAttention": _grouped_query_attention,
    "LSTM": _recurrent,
    "MultiHeadAttention": _multi_head_attention,
    "RNN": _recurrent,
    "SeparableConv1D": _separable,
    "SeparableConv2D": _separable,
    "SimpleRNN": _recurrent,
    "TimeDistributed": _time_distributed,
}
