"""Convolutions as matrix products, for many runs at once.

`vmap` turns a convolution with a kernel of its own in each run into a grouped convolution, which
PyTorch computes slowly on a CPU. The same sum as a product of patches and kernel is one `bmm`.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor


def by_products(original: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return Keras' `conv` of the torch backend, computed by matrix products.

    Args:
        original: `keras.src.backend.torch.nn.conv`, which still computes grouped convolutions.
    """

    def conv(  # noqa: PLR0913, PLR0917 - the signature of what it replaces
        inputs: Tensor,
        kernel: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
    ) -> Tensor:
        import keras

        kernel = keras.ops.convert_to_tensor(kernel)
        channels_first = (data_format or keras.config.image_data_format()) == "channels_first"
        last = inputs.movedim(1, -1) if channels_first else inputs
        dimensions = last.ndim - 2
        if last.shape[-1] != kernel.shape[-2]:
            return original(inputs, kernel, strides, padding, data_format, dilation_rate)
        outputs = _conv(
            last, kernel, _each(strides, dimensions), padding, _each(dilation_rate, dimensions)
        )
        return outputs.movedim(-1, 1) if channels_first else outputs

    return conv


def _conv(
    inputs: Tensor,
    kernel: Tensor,
    strides: Sequence[int],
    padding: str,
    dilations: Sequence[int],
) -> Tensor:
    """Convolve; inputs `(batch, *space, in)`, kernel `(*size, in, out)`, no groups."""
    *size, _, filters = kernel.shape
    spans = [(k - 1) * d + 1 for k, d in zip(size, dilations, strict=True)]
    if padding == "same":
        inputs = _padded(inputs, spans, strides)
    counts = [
        (length - span) // stride + 1
        for length, span, stride in zip(inputs.shape[1:-1], spans, strides, strict=True)
    ]
    patches = []
    for offsets in itertools.product(*(range(k) for k in size)):
        window = [slice(None)]
        for offset, dilation, stride, count in zip(
            offsets, dilations, strides, counts, strict=True
        ):
            start = offset * dilation
            window.append(slice(start, start + stride * (count - 1) + 1, stride))
        patches.append(inputs[tuple(window)])
    return torch.cat(patches, dim=-1) @ kernel.reshape(-1, filters)


def _padded(inputs: Tensor, spans: Sequence[int], strides: Sequence[int]) -> Tensor:
    """Return inputs with zeros around, so that an output stands at every stride-th input."""
    edges: list[int] = [0, 0]  # the channels
    for length, span, stride in reversed(
        list(zip(inputs.shape[1:-1], spans, strides, strict=True))
    ):
        total = max((-(-length // stride) - 1) * stride + span - length, 0)
        edges += [total // 2, total - total // 2]
    return torch.nn.functional.pad(inputs, edges)


def _each(value: Any, dimensions: int) -> tuple[int, ...]:
    return (value,) * dimensions if isinstance(value, int) else tuple(value)
