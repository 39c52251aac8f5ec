"""Convolutions by products are Keras' convolutions."""

from __future__ import annotations

from typing import Any

import keras
import pytest
import torch
from keras.src.backend.torch import nn

from dlbench.engines.convolution import by_products

CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": ((2, 7, 8, 3), (3, 3, 3, 4), {}),
    "same": ((2, 7, 8, 3), (3, 2, 3, 4), {"padding": "same"}),
    "strided": ((2, 7, 8, 3), (3, 3, 3, 4), {"strides": (2, 3)}),
    "strided same": ((2, 7, 8, 3), (4, 3, 3, 4), {"strides": 2, "padding": "same"}),
    "dilated": ((2, 9, 8, 3), (3, 2, 3, 4), {"dilation_rate": (2, 3)}),
    "dilated same": ((2, 9, 8, 3), (3, 3, 3, 4), {"dilation_rate": 2, "padding": "same"}),
    "channels first": ((2, 3, 7, 8), (3, 3, 3, 4), {"data_format": "channels_first"}),
    "one dimension": ((2, 9, 3), (4, 3, 5), {"padding": "same", "strides": 2}),
    "three dimensions": ((2, 5, 6, 4, 2), (2, 3, 2, 2, 3), {"padding": "same"}),
    "grouped": ((2, 7, 8, 4), (3, 3, 2, 6), {}),
}


@pytest.mark.parametrize("case", CASES)
def test_is_keras_convolution(case: str) -> None:
    """Outputs and gradients are PyTorch's to rounding, in float64."""
    shape, size, options = CASES[case]
    torch.manual_seed(0)
    inputs = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    kernel = torch.randn(size, dtype=torch.float64, requires_grad=True)
    expected = nn.conv(inputs, kernel, **options)
    ours = by_products(nn.conv)(inputs, kernel, **options)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)
    weights = torch.randn_like(expected)
    theirs = torch.autograd.grad((expected * weights).sum(), (inputs, kernel))
    found = torch.autograd.grad((ours * weights).sum(), (inputs, kernel))
    torch.testing.assert_close(found, theirs, rtol=1e-12, atol=1e-12)


def test_follows_keras_default_format() -> None:
    """Without a data format, the one that Keras is configured for is taken."""
    inputs, kernel = torch.randn(2, 5, 5, 3), torch.randn(3, 3, 3, 4)
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        outputs = by_products(nn.conv)(inputs.movedim(-1, 1), kernel)
    finally:
        keras.config.set_image_data_format(before)
    torch.testing.assert_close(
        outputs.movedim(1, -1), by_products(nn.conv)(inputs, kernel, data_format="channels_last")
    )
