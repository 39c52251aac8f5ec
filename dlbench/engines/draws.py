"""Random numbers that depend on a seed's state and a position alone, in both engines.

Keras' torch backend draws `Dropout` from PyTorch's global generator and other layers from a generator
seeded by a Python number: neither can be traced, nor drawn for many runs at once, and a run's numbers
would change with what else runs. Here element i of a draw is a hash of (state of the layer's
`SeedGenerator`, i). The state is a variable, so each run has its own, and both engines draw the same.
"""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

_MASK = 0xFFFFFFFF
_GOLDEN = 0x9E3779B1
"""2**32 over the golden ratio, odd: neighbouring positions start far apart (Knuth, TAOCP 3, 6.4)."""


@contextlib.contextmanager
def portable_draws() -> Iterator[None]:
    """Inside the block Keras' layers draw their random numbers from here."""
    from keras.src.backend.torch import random as keras_random

    ours = {
        "uniform": uniform,
        "normal": normal,
        "truncated_normal": truncated_normal,
        "randint": randint,
        "dropout": dropout,
    }
    theirs = {name: getattr(keras_random, name) for name in ours}
    for name, draw in ours.items():
        setattr(keras_random, name, draw)
    try:
        yield
    finally:
        for name, draw in theirs.items():
            setattr(keras_random, name, draw)


def bits(state: Tensor, count: int) -> Tensor:
    """Return `count` numbers from 0 to 2**32 - 1, shape `(count,)`, int64.

    Args:
        state: shape `(2,)`: a seed, and how often it was drawn from.
        count: at most 2**32.
    """
    first, second = state[0].to(torch.int64) & _MASK, state[1].to(torch.int64) & _MASK
    key = _mix(first ^ _mix((second * _GOLDEN + 1) & _MASK))
    positions = torch.arange(count, dtype=torch.int64, device=state.device)
    return _mix(_mix((positions * _GOLDEN) & _MASK ^ key) + key & _MASK)


def _mix(x: Tensor) -> Tensor:
    """Scramble 32 bits held in int64 so that each input bit flips half of the output's.

    Source: C. Wellons 2018, "Prospecting for Hash Functions", the function `lowbias32`.
    """
    x = x ^ (x >> 16)
    x = (x * 0x7FEB352D) & _MASK
    x = x ^ (x >> 15)
    x = (x * 0x846CA68B) & _MASK
    return x ^ (x >> 16)


def _unit(seed: Any, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Return numbers in [0, 1), each a multiple of 2**-24 so that float32 holds it exactly."""
    from keras.src.random.seed_generator import draw_seed

    state = draw_seed(seed)
    return ((bits(state, math.prod(shape)) >> 8).to(dtype) * 2.0**-24).reshape(tuple(shape))


def _wide(dtype: torch.dtype) -> torch.dtype:
    """Return the type to draw in: half precision holds neither 24 bits nor the tails."""
    return dtype if dtype == torch.float64 else torch.float32


def _dtype(dtype: Any) -> torch.dtype:
    import keras
    from keras.src.backend.torch.core import to_torch_dtype

    made: torch.dtype = to_torch_dtype(dtype or keras.config.floatx())
    return made


def uniform(
    shape: Sequence[int],
    minval: float = 0.0,
    maxval: float = 1.0,
    dtype: Any = None,
    seed: Any = None,
) -> Tensor:
    """Return uniform numbers in [minval, maxval), as `keras.random.uniform`.

    In half precision the largest may be rounded up to maxval.
    """
    made = _dtype(dtype)
    return (_unit(seed, shape, _wide(made)) * (maxval - minval) + minval).to(made)


def normal(
    shape: Sequence[int],
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: Any = None,
    seed: Any = None,
) -> Tensor:
    """Return normal numbers, as `keras.random.normal` (Box and Muller 1958)."""
    made = _dtype(dtype)
    radius, angle = _unit(seed, (2, *shape), _wide(made))
    drawn = torch.sqrt(-2 * torch.log1p(-radius)) * torch.cos(2 * math.pi * angle)
    return (drawn * stddev + mean).to(made)


def truncated_normal(
    shape: Sequence[int],
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: Any = None,
    seed: Any = None,
) -> Tensor:
    """Return normal numbers within two standard deviations, by the inverse distribution."""
    edge = math.erf(math.sqrt(2.0))
    made = _dtype(dtype)
    unit = _unit(seed, shape, _wide(made)) + 2.0**-25
    return (math.sqrt(2.0) * torch.erfinv(edge * (2 * unit - 1)) * stddev + mean).to(made)


def randint(
    shape: Sequence[int],
    minval: int,
    maxval: int,
    dtype: Any = "int32",
    seed: Any = None,
) -> Tensor:
    """Return whole numbers from minval to maxval - 1, as `keras.random.randint`."""
    unit = _unit(seed, shape, torch.float64)
    return (torch.floor(unit * (maxval - minval)) + minval).to(_dtype(dtype))


def dropout(
    inputs: Tensor,
    rate: float,
    noise_shape: Sequence[int | None] | None = None,
    seed: Any = None,
) -> Tensor:
    """Return inputs with a share `rate` of them zero and the others scaled up."""
    if rate == 0:
        return inputs
    if rate == 1:
        return torch.zeros_like(inputs)
    shape = [
        inputs.shape[axis] if size is None else size
        for axis, size in enumerate(noise_shape or [None] * inputs.ndim)
    ]
    kept = _unit(seed, shape, torch.float32) >= rate
    return torch.where(kept, inputs / (1 - rate), torch.zeros_like(inputs))
