"""Parameter counts: closed forms against Keras' variables, and against PyTorch's own counter."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import keras
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers
from torch.utils.flop_counter import FlopCounterMode

from dlbench.parameters import count_parameters

if TYPE_CHECKING:
    from collections.abc import Callable

Shape = tuple[int, ...]


def model_of(layer: Any, *shapes: Shape, dtype: str | None = None) -> Any:
    """Return a model of one layer; a layer that merges takes its inputs as a list."""
    inputs = [keras.Input(shape, dtype=dtype) for shape in shapes]
    merges = isinstance(layer, layers.Attention | layers.Dot | layers.Add)
    return keras.Model(inputs, layer(inputs) if merges else layer(*inputs))


def executed(model: Any) -> tuple[int, Shape]:
    """Return what PyTorch really multiplies for one sample, and the shape that comes out."""
    with keras.device("meta"), keras.StatelessScope(), torch.no_grad():
        samples = [keras.ops.empty((1, *one.shape[1:]), one.dtype) for one in model.inputs]
        with FlopCounterMode(display=False) as counter:
            output = model(samples if len(samples) > 1 else samples[0], training=False)
    return counter.get_total_flops() // 2, tuple(output.shape)


def evaluated(formula: str) -> float:
    """Work a formula out: it is arithmetic, with `x` for times."""
    return float(eval(formula.replace("x", "*"), {"__builtins__": {}}))  # noqa: S307 - our own


LAYERS: dict[str, tuple[Any, list[Shape], str]] = {
    "dense": (layers.Dense(32), [(64,)], "(64 + 1) x 32"),
    "dense, no bias": (layers.Dense(1, use_bias=False), [(5, 4)], "4 x 1"),
    "einsum": (
        layers.EinsumDense("abc,cde->abde", output_shape=(None, 2, 8), bias_axes="de"),
        [(6, 16)],
        "16 x 2 x 8 + 2 x 8",
    ),
    "einsum, ellipsis": (
        layers.EinsumDense("...x,xy->...y", output_shape=7),
        [(3, 5, 4)],
        "4 x 7",
    ),
    "conv1d": (layers.Conv1D(4, 3, padding="causal"), [(9, 3)], "(3 x 3 + 1) x 4"),
    "conv2d, groups": (
        layers.Conv2D(4, (3, 2), groups=2, dilation_rate=2),
        [(9, 9, 6)],
        "(3 x 2 x 6/2 + 1) x 4",
    ),
    "conv2d, channels first": (
        layers.Conv2D(4, 3, strides=2, data_format="channels_first"),
        [(3, 9, 9)],
        "(3 x 3 x 3 + 1) x 4",
    ),
    "conv3d": (layers.Conv3D(2, 3), [(5, 5, 5, 2)], "(3 x 3 x 3 x 2 + 1) x 2"),
    "conv1d transposed": (layers.Conv1DTranspose(4, 3, strides=2), [(9, 3)], "(3 x 3 + 1) x 4"),
    "conv2d transposed": (
        layers.Conv2DTranspose(4, 3, dilation_rate=2, use_bias=False),
        [(9, 9, 3)],
        "3 x 3 x 3 x 4",
    ),
    "conv3d transposed": (
        layers.Conv3DTranspose(2, 3),
        [(4, 4, 4, 2)],
        "(3 x 3 x 3 x 2 + 1) x 2",
    ),
    "depthwise1d": (layers.DepthwiseConv1D(3), [(9, 3)], "(3 + 1) x 3"),
    "depthwise2d": (
        layers.DepthwiseConv2D(3, depth_multiplier=2, strides=2),
        [(9, 9, 3)],
        "(3 x 3 + 1) x 3 x 2",
    ),
    "separable1d": (
        layers.SeparableConv1D(5, 3, depth_multiplier=2),
        [(9, 3)],
        "3 x 3 x 2 + (3 x 2 + 1) x 5",
    ),
    "separable2d": (
        layers.SeparableConv2D(5, 3, padding="same"),
        [(9, 9, 3)],
        "3 x 3 x 3 + (3 x 1 + 1) x 5",
    ),
    "lstm": (layers.LSTM(5, return_sequences=True), [(7, 3)], "4 x (3 + 5 + 1) x 5"),
    "lstm, no bias": (layers.LSTM(5, use_bias=False), [(7, 3)], "4 x (3 + 5) x 5"),
    "gru": (layers.GRU(5), [(7, 3)], "3 x (3 + 5 + 2) x 5"),
    "bidirectional": (layers.Bidirectional(layers.LSTM(5)), [(7, 3)], "2 x 4 x (3 + 5 + 1) x 5"),
    "bidirectional, two kinds": (
        layers.Bidirectional(layers.LSTM(5), backward_layer=layers.GRU(5, go_backwards=True)),
        [(7, 3)],
        "4 x (3 + 5 + 1) x 5 + 3 x (3 + 5 + 2) x 5",
    ),
    "time distributed": (
        layers.TimeDistributed(layers.Conv2D(3, 3)),
        [(7, 8, 8, 2)],
        "(3 x 3 x 2 + 1) x 3",
    ),
    "attention, 4 projections": (
        layers.MultiHeadAttention(2, 8, value_dim=4, output_shape=5),
        [(6, 16), (9, 12)],
        "(16 + 1) x 2 x 8 + (12 + 1) x 2 x 8 + (12 + 1) x 2 x 4 + (2 x 4 + 1) x 5",
    ),
    "attention, gated": (
        layers.MultiHeadAttention(2, 8, use_gate=True),
        [(6, 16), (6, 16)],
        "4 x (16 + 1) x 2 x 8 + (2 x 8 + 1) x 16",
    ),
    "attention, two axes": (
        layers.MultiHeadAttention(2, 8, attention_axes=(1, 2), use_bias=False),
        [(6, 5, 16), (6, 5, 16)],
        "3 x 16 x 2 x 8 + 2 x 8 x 16",
    ),
    "dot attention": (layers.Attention(use_scale=True), [(6, 4), (9, 4)], "1"),
    "batch norm": (layers.BatchNormalization(), [(4, 4, 3)], "4 x 3"),
    "batch norm, no scale": (layers.BatchNormalization(scale=False, axis=1), [(4, 2)], "3 x 4"),
    "batch norm, renorm": (layers.BatchNormalization(renorm=True), [(4,)], "7 x 4"),
    "layer norm": (layers.LayerNormalization(axis=[1, 2]), [(5, 4)], "2 x 5 x 4"),
    "group norm": (layers.GroupNormalization(2), [(5, 4)], "2 x 4"),
    "rms norm": (layers.RMSNormalization(), [(5, 4)], "4"),
    "unit norm": (layers.UnitNormalization(), [(5, 4)], "0"),
    "spectral norm": (
        layers.SpectralNormalization(layers.Conv2DTranspose(5, 3)),
        [(8, 8, 3)],
        "(3 x 3 x 3 + 1) x 5 + 3",
    ),
    "prelu": (layers.PReLU(), [(4, 4, 3)], "4 x 4 x 3"),
    "prelu, shared": (layers.PReLU(shared_axes=[1, 2]), [(4, 4, 3)], "3"),
    "normalization": (layers.Normalization(), [(4, 3)], "2 x 3 + 1"),
    "normalization, given": (layers.Normalization(mean=0.0, variance=1.0), [(4,)], "0"),
    "dropout": (layers.Dropout(0.5), [(4,)], "0"),
    "pooling": (layers.MaxPooling2D(), [(4, 4, 1)], "0"),
    "dot": (layers.Dot(axes=1), [(6, 4), (6, 5)], "0"),
}


@pytest.mark.parametrize(("layer", "shapes", "formula"), LAYERS.values(), ids=LAYERS)
def test_closed_form(layer: Any, shapes: list[Shape], formula: str) -> None:
    """A layer's formula works out to Keras' count, and its multiply-accumulates are PyTorch's."""
    model = model_of(layer, *shapes)
    (row,) = count_parameters(model).rows
    assert row.formula == formula
    assert evaluated(formula) == row.parameters == layer.count_params()
    assert row.trainable == sum(variable.value.numel() for variable in layer.trainable_weights)
    macs, (_, *shape) = executed(model)
    assert row.macs == macs
    assert row.output_shape == (None, *shape)
    assert row.activations == prod(shape)


@pytest.mark.parametrize(
    ("layer", "shape", "formula", "macs"),
    [
        # Keras computes the first step of these twice, so PyTorch's counter finds one step more.
        (layers.SimpleRNN(5), (7, 3), "(3 + 5 + 1) x 5", 7 * 8 * 5),
        (layers.GRU(5, reset_after=False), (7, 3), "3 x (3 + 5 + 1) x 5", 7 * 3 * 8 * 5),
        (
            layers.RNN([layers.LSTMCell(4), layers.GRUCell(5)]),
            (7, 3),
            "4 x (3 + 4 + 1) x 4 + 3 x (4 + 5 + 2) x 5",
            7 * (4 * 7 * 4 + 3 * 9 * 5),
        ),
        (
            layers.ConvLSTM2D(4, 3, return_sequences=True),
            (5, 8, 8, 3),
            "4 x (3 x 3 x (3 + 4) + 1) x 4",
            5 * 6 * 6 * 4 * 9 * 7 * 4,
        ),
        (
            layers.ConvLSTM1D(4, 3, use_bias=False, data_format="channels_first"),
            (5, 3, 8),
            "4 x 3 x (3 + 4) x 4",
            5 * 6 * 4 * 3 * 7 * 4,
        ),
    ],
    ids=["simple", "gru", "cells", "conv2d", "conv1d"],
)
def test_recurrent_steps(layer: Any, shape: Shape, formula: str, macs: int) -> None:
    """A recurrent layer does the same work at each step, once."""
    (row,) = count_parameters(model_of(layer, shape)).rows
    assert (row.formula, row.macs) == (formula, macs)
    assert evaluated(formula) == row.parameters == layer.count_params()


@pytest.mark.parametrize(
    ("layer", "parameters"),
    [
        (layers.Embedding(10, 4), 40),
        (layers.ReversibleEmbedding(10, 4), 40),
        (layers.ReversibleEmbedding(10, 4, tie_weights=False), 80),
    ],
    ids=["plain", "tied", "untied"],
)
def test_embeddings(layer: Any, parameters: int) -> None:
    """A table of vectors is looked up, which multiplies nothing."""
    (row,) = count_parameters(model_of(layer, (7,), dtype="int32")).rows
    assert (row.parameters, row.macs, row.activations) == (parameters, 0, 28)


def test_grouped_attention_shares_keys() -> None:
    """Four query heads read from two heads of keys and values."""
    (row,) = count_parameters(model_of(layers.GroupQueryAttention(8, 4, 2), (6, 16), (9, 16))).rows
    assert row.formula == "(16 + 1) x 4 x 8 + 2 x (16 + 1) x 2 x 8 + (4 x 8 + 1) x 16"
    assert row.macs == 6 * 16 * 32 + 2 * 9 * 16 * 16 + 6 * 32 * 16 + 2 * 6 * 9 * 4 * 8


def test_additive_attention_weighs_a_sum() -> None:
    """Bahdanau's score is a weighted sum over the features of each pair of places."""
    (row,) = count_parameters(model_of(layers.AdditiveAttention(), (6, 4), (9, 4))).rows
    assert (row.formula, row.macs) == ("4", 6 * 9 * (4 + 4))


size = st.integers(1, 9)
sequence, image = st.tuples(st.just(6), size), st.tuples(st.just(8), st.just(7), size)
padding = st.sampled_from(["valid", "same"])
some = st.integers(1, 3)
bias = st.booleans()


def arguments(make: Any, *positional: Any, shape: Any, **named: Any) -> Any:
    """Draw a function that makes a layer with drawn arguments, and a shape that the layer takes."""
    made = st.builds(
        lambda args, kwargs: lambda: make(*args, **kwargs),
        st.tuples(*positional),
        st.fixed_dictionaries(named),
    )
    return st.tuples(made, shape)


ANY_LAYER = st.one_of(
    arguments(layers.Dense, size, use_bias=bias, shape=sequence),
    arguments(layers.Conv1D, size, some, padding=padding, dilation_rate=some, shape=sequence),
    arguments(layers.Conv2D, size, some, padding=padding, use_bias=bias, shape=image),
    arguments(layers.Conv2DTranspose, size, some, padding=padding, strides=some, shape=image),
    arguments(layers.DepthwiseConv2D, some, depth_multiplier=some, use_bias=bias, shape=image),
    arguments(layers.SeparableConv2D, size, some, depth_multiplier=some, shape=image),
    arguments(layers.LSTM, size, use_bias=bias, shape=sequence),
    arguments(layers.GRU, size, use_bias=bias, shape=sequence),
    arguments(lambda units: layers.Bidirectional(layers.LSTM(units)), size, shape=sequence),
    arguments(lambda units: layers.TimeDistributed(layers.Dense(units)), size, shape=sequence),
    arguments(layers.BatchNormalization, center=bias, scale=bias, shape=image),
    arguments(layers.LayerNormalization, center=bias, scale=bias, shape=sequence),
    arguments(layers.PReLU, shared_axes=st.sampled_from([None, [1], [2]]), shape=sequence),
)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(ANY_LAYER)
def test_any_layer(drawn: tuple[Callable[[], Any], Shape]) -> None:
    """Whatever the arguments, formula, variables, Keras' count and PyTorch's counter agree."""
    make, shape = drawn
    layer = make()
    model = model_of(layer, shape)
    (row,) = count_parameters(model).rows
    assert evaluated(row.formula) == row.parameters == layer.count_params()
    assert row.macs == executed(model)[0]


@settings(deadline=None, max_examples=15, derandomize=True)
@given(st.lists(st.integers(2, 6), min_size=4, max_size=4), bias)
def test_any_attention(sizes: list[int], bias: bool) -> None:
    """So too for attention of any size (above 1: a product with a single number sums nothing)."""
    heads, key, value, features = sizes
    layer = layers.MultiHeadAttention(heads, key, value_dim=value, use_bias=bias)
    model = model_of(layer, (5, features), (4, features))
    (row,) = count_parameters(model).rows
    assert evaluated(row.formula) == row.parameters == layer.count_params()
    assert row.macs == executed(model)[0]
