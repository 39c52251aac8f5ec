"""Closed forms: how many parameters a Keras layer has, from its arguments and its input shape.

They never look at a variable, so that the count of the variables can be checked against them. Each
carries its formula with the numbers in it, such as `(64 + 1) x 32`. Source: the `build` method of
each layer in `keras/src/layers`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import prod
from typing import Any, TypeAlias

from dlbench.parameters.holdings import is_adapted

Layer: TypeAlias = Any
"""A `keras.layers.Layer`: Keras ships no types."""


@dataclass(frozen=True, slots=True)
class Form:
    """A layer's parameters by formula."""

    weights: int
    biases: int
    buffers: int
    formula: str


def closed_form(layer: Layer) -> Form | None:
    """Return the parameters of a built layer by formula, or None where no formula is known.

    Only Keras' own classes have one: a subclass may hold anything, and so may a layer with LoRA
    matrices or quantized weights.
    """
    known = _FORMS.get(type(layer).__name__)
    if known is None or not type(layer).__module__.startswith("keras.src.layers."):
        return None
    if not layer.built or layer.get_build_config() is None or is_adapted(layer):
        return None
    return known(layer)


def input_shapes(layer: Layer) -> list[tuple[int, ...]]:
    """Return the shapes a layer was built with, in the order of its `build` method, batch first.

    An axis of open size, along which no built layer has parameters, is 0.
    """
    built_with = layer.get_build_config()
    if "shapes_dict" in built_with:
        shapes = [shape for shape in built_with["shapes_dict"].values() if shape is not None]
    else:
        shape = built_with["input_shape"]
        shapes = shape if shape and isinstance(shape[0], Sequence) else [shape]
    return [tuple(size or 0 for size in shape) for shape in shapes]


def _dense(layer: Layer) -> Form:
    return _affine([_features(layer)], [layer.units], bias=layer.use_bias)


def _einsum_dense(layer: Layer) -> Form:
    """The letters of the kernel take their sizes from the input, new ones from the output."""
    (shape,) = input_shapes(layer)
    inputs, kernel, output = einsum_letters(layer.equation, len(shape))
    made = layer.compute_output_shape(tuple(size or None for size in shape))
    size = dict(zip(output, made, strict=True)) | dict(zip(inputs, shape, strict=True))
    matrix = [size[letter] for letter in kernel]
    added = [size[letter] for letter in output if letter in (layer.bias_axes or "")]
    formula = _text(matrix) + (f" + {_text(added)}" if added else "")
    return Form(prod(matrix), prod(added) if added else 0, 0, formula)


def einsum_letters(equation: str, rank: int) -> tuple[str, str, str]:
    """Return the letters of input, kernel and output, the ellipsis spelled out as digits.

    Args:
        equation: such as `"...x,xy->...y"`.
        rank: the number of dimensions of the input.
    """
    inputs, kernel, output = re.split(r",|->", equation.replace(" ", ""))
    missing = rank - len(inputs.replace("...", ""))
    digits = "0123456789"[:missing]
    return inputs.replace("...", digits), kernel, output.replace("...", digits)


def _convolution(layer: Layer) -> Form:
    groups = getattr(layer, "groups", 1)
    channels = _channels(layer)
    size, channel_text = layer.kernel_size, f"{channels}/{groups}" if groups > 1 else channels
    written = _text([*size, channel_text])
    return _affine([*size, channels // groups], [layer.filters], bias=layer.use_bias, text=written)


def _depthwise(layer: Layer) -> Form:
    return _affine(
        layer.kernel_size, [_channels(layer), layer.depth_multiplier], bias=layer.use_bias
    )


def _separable(layer: Layer) -> Form | None:
    channels, multiplier = _channels(layer), layer.depth_multiplier
    return _sum(
        [
            _affine(layer.kernel_size, [channels, multiplier], bias=False),
            _affine([channels, multiplier], [layer.filters], bias=layer.use_bias),
        ]
    )


def _embedding(layer: Layer) -> Form:
    return _affine([layer.input_dim], [layer.output_dim], bias=False)


def _reversible_embedding(layer: Layer) -> Form | None:
    return _sum([_embedding(layer)] * (1 if layer.tie_weights else 2))


def _recurrent(gates: int) -> Callable[[Layer], Form]:
    """A cell with `gates` matrices on [input, state]: gates x (d + u + 1) x u.

    A GRU with `reset_after` (Keras' default, and cuDNN's) has a bias for the input and one for the
    state: 3 x (d + u + 2) x u.
    """

    def form(cell: Layer) -> Form:
        features, units = _features(cell), cell.units
        biases = (1 + getattr(cell, "reset_after", False)) * cell.use_bias
        inner = f"({features} + {units}" + (f" + {biases})" if biases else ")")
        formula = f"{inner} x {units}" if gates == 1 else f"{gates} x {inner} x {units}"
        return Form(gates * (features + units) * units, gates * biases * units, 0, formula)

    return form


def _conv_lstm_cell(cell: Layer) -> Form:
    axis = 1 if cell.data_format == "channels_first" else -1
    channels, filters, size = input_shapes(cell)[0][axis], cell.filters, cell.kernel_size
    inner = f"{_text(size)} x ({channels} + {filters})" + (" + 1" if cell.use_bias else "")
    weights = 4 * prod(size) * (channels + filters) * filters
    formula = f"4 x ({inner}) x {filters}" if cell.use_bias else f"4 x {inner} x {filters}"
    return Form(weights, 4 * filters * cell.use_bias, 0, formula)


def _cells(layer: Layer) -> Form | None:
    each_once = {id(cell): cell for cell in layer.cells}.values()
    return _sum([closed_form(cell) for cell in each_once])


def _cell(layer: Layer) -> Form | None:
    return closed_form(layer.cell)


def _inner(layer: Layer) -> Form | None:
    return closed_form(layer.layer)


def _bidirectional(layer: Layer) -> Form | None:
    return _sum([closed_form(layer.forward_layer), closed_form(layer.backward_layer)])


def _multi_head_attention(layer: Layer) -> Form | None:
    """Four projections: query, key and value to `heads x size`, and from there to the output."""
    query, value, key = (shape[-1] for shape in _query_value_key(layer))
    heads, size, value_size = layer.num_heads, layer.key_dim, layer.value_dim
    config, bias = layer.get_config(), layer.use_bias
    gate = [_affine([query], [heads, value_size], bias=bias)] if config.get("use_gate") else []
    return _sum(
        [
            _affine([query], [heads, size], bias=bias),
            _affine([key], [heads, size], bias=bias),
            _affine([value], [heads, value_size], bias=bias),
            *gate,
            _affine([heads, value_size], config["output_shape"] or [query], bias=bias),
        ]
    )


def _grouped_query_attention(layer: Layer) -> Form | None:
    """As in multi-head attention, but key and value have fewer heads than the query."""
    query, value, key = (shape[-1] for shape in _query_value_key(layer))
    heads, shared, size = layer.num_query_heads, layer.num_key_value_heads, layer.head_dim
    gate = [_affine([query], [heads, size], bias=layer.use_bias)]
    return _sum(
        [
            _affine([query], [heads, size], bias=layer.use_bias),
            _affine([key], [shared, size], bias=layer.use_bias),
            _affine([value], [shared, size], bias=layer.use_bias),
            *(gate if getattr(layer, "use_gate", False) else []),
            _affine([heads, size], [query], bias=layer.use_bias),
        ]
    )


def _query_value_key(layer: Layer) -> list[tuple[int, ...]]:
    """Return the three shapes; a key that was not given is the value."""
    shapes = input_shapes(layer)
    return shapes if len(shapes) == 3 else [*shapes, shapes[-1]]  # noqa: PLR2004 - the three


def _attention(layer: Layer) -> Form:
    scalars = int(layer.use_scale) + (layer.score_mode == "concat")
    return Form(scalars, 0, 0, str(scalars))


def _additive_attention(layer: Layer) -> Form:
    return _vectors([input_shapes(layer)[0][-1]], weights=int(layer.use_scale))


def _batch_normalization(layer: Layer) -> Form:
    """Scale and offset are trained; the moving mean and variance are buffers (5 with renorm)."""
    return _vectors(
        [input_shapes(layer)[0][layer.axis]],
        weights=int(layer.scale),
        biases=int(layer.center),
        buffers=5 if getattr(layer, "renorm", False) else 2,
    )


def _layer_normalization(layer: Layer) -> Form:
    rms = getattr(layer, "rms_scaling", False)
    return _vectors(
        _along(layer), weights=int(layer.scale or rms), biases=int(layer.center and not rms)
    )


def _group_normalization(layer: Layer) -> Form:
    return _vectors(_along(layer), weights=int(layer.scale), biases=int(layer.center))


def _rms_normalization(layer: Layer) -> Form:
    return _vectors(_along(layer), weights=1)


def _spectral_normalization(layer: Layer) -> Form | None:
    """The wrapped layer, and a vector along the last axis of its matrix for the power iteration."""
    inner, name = layer.layer, type(layer.layer).__name__
    sizes = {"Dense": "units", "Embedding": "output_dim"}
    sizes |= {f"Conv{rank}D": "filters" for rank in (1, 2, 3)}
    if name.endswith("Transpose"):
        last = _channels(inner)
    elif name in sizes:
        last = getattr(inner, sizes[name])
    else:
        return None
    return _sum([closed_form(inner), _vectors([last], buffers=1)])


def _prelu(layer: Layer) -> Form:
    shape = input_shapes(layer)[0]
    shared = layer.shared_axes or []
    own = [size for axis, size in enumerate(shape) if axis > 0 and axis not in shared]
    return _vectors(own or [1], weights=1)


def _normalization(layer: Layer) -> Form:
    """Mean and variance of each feature and the number of samples; none where they were given."""
    if layer.input_mean is not None:
        return Form(0, 0, 0, "0")
    kept = _along(layer) or [1]
    return Form(0, 0, 2 * prod(kept) + 1, f"2 x {_text(kept)} + 1")


def _affine(
    inputs: Sequence[int], outputs: Iterable[int], *, bias: bool, text: str | None = None
) -> Form:
    """Return a matrix from `inputs` to `outputs`, and one bias an output: (i + 1) x o.

    Args:
        inputs: factors of the number of inputs that one output sums over.
        outputs: factors of the number of outputs.
        bias: whether each output has one.
        text: the inputs as they are written, where that differs.
    """
    after = [size for size in outputs if size != 1] or [1]
    written = text or _text(inputs)
    formula = f"({written} + 1) x {_text(after)}" if bias else f"{written} x {_text(after)}"
    return Form(prod(inputs) * prod(after), prod(after) if bias else 0, 0, formula)


def _vectors(shape: Sequence[int], *, weights: int = 0, biases: int = 0, buffers: int = 0) -> Form:
    """Return so many arrays of one shape."""
    arrays, size = weights + biases + buffers, prod(shape)
    formula = _text(shape) if arrays == 1 else f"{arrays} x {_text(shape)}" if arrays else "0"
    return Form(weights * size, biases * size, buffers * size, formula)


def _sum(forms: Sequence[Form | None]) -> Form | None:
    """Return the forms together, equal neighbours written as a product; None if one is unknown."""
    known = [form for form in forms if form is not None]
    if len(known) < len(forms):
        return None
    terms = []
    for formula, same in groupby(form.formula for form in known):
        times = len(list(same))
        is_sum = "+" in re.sub(r"\([^()]*\)", "", formula)
        term = f"({formula})" if is_sum and times > 1 else formula
        terms.append(term if times == 1 else f"{times} x {term}")
    return Form(
        sum(form.weights for form in known),
        sum(form.biases for form in known),
        sum(form.buffers for form in known),
        " + ".join(terms),
    )


def _features(layer: Layer) -> int:
    """Return the size of the input's last axis."""
    return input_shapes(layer)[0][-1]


def _channels(layer: Layer) -> int:
    """Return the number of input channels of a convolution."""
    axis = 1 if layer.data_format == "channels_first" else -1
    return input_shapes(layer)[0][axis]


def _along(layer: Layer) -> list[int]:
    """Return the input's sizes along the layer's own axes."""
    axes = [layer.axis] if isinstance(layer.axis, int) else layer.axis
    return [input_shapes(layer)[0][axis] for axis in axes]


def _text(sizes: Iterable[object]) -> str:
    return " x ".join(map(str, sizes))


_FORMS: dict[str, Callable[[Layer], Form | None]] = {
    "AdditiveAttention": _additive_attention,
    "Attention": _attention,
    "BatchNormalization": _batch_normalization,
    "Bidirectional": _bidirectional,
    "Conv1D": _convolution,
    "Conv1DTranspose": _convolution,
    "Conv2D": _convolution,
    "Conv2DTranspose": _convolution,
    "Conv3D": _convolution,
    "Conv3DTranspose": _convolution,
    "ConvLSTM1D": _cell,
    "ConvLSTM2D": _cell,
    "ConvLSTM3D": _cell,
    "ConvLSTMCell": _conv_lstm_cell,
    "Dense": _dense,
    "DepthwiseConv1D": _depthwise,
    "DepthwiseConv2D": _depthwise,
    "EinsumDense": _einsum_dense,
    "Embedding": _embedding,
    "GRU": _cell,
    "GRUCell": _recurrent(3),
    "GroupNormalization": _group_normalization,
    "GroupedQueryAttention": _grouped_query_attention,
    "LSTM": _cell,
    "LSTMCell": _recurrent(4),
    "LayerNormalization": _layer_normalization,
    "MultiHeadAttention": _multi_head_attention,
    "Normalization": _normalization,
    "PReLU": _prelu,
    "RMSNormalization": _rms_normalization,
    "RNN": _cell,
    "ReversibleEmbedding": _reversible_embedding,
    "SeparableConv1D": _separable,
    "SeparableConv2D": _separable,
    "SimpleRNN": _cell,
    "SimpleRNNCell": _recurrent(1),
    "SpectralNormalization": _spectral_normalization,
    "StackedRNNCells": _cells,
    "TimeDistributed": _inner,
}
