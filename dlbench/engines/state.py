"""A run's state: every variable of its model and optimizer, and the buffers of its torch modules."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from torch import Tensor

    from dlbench.experiment import Experiment


@dataclass(frozen=True, slots=True)
class Lane:
    """One run among those that are trained together."""

    experiment: Experiment
    seed: int


def variables_of(model: keras.Model) -> list[Any]:
    """Return every variable of a compiled model and its built optimizer, the trained ones first."""
    return [
        *model.trainable_variables,
        *model.non_trainable_variables,
        *model.optimizer.variables,
    ]


def state_of(model: keras.Model) -> list[Tensor]:
    """Return a copy of a run's state: its variables, then its buffers."""
    tensors = [variable.value for variable in variables_of(model)]
    tensors += [buffer for _, _, buffer in named_buffers(model)]
    return [tensor.detach().clone() for tensor in tensors]


def wrappers(model: keras.Model) -> list[Any]:
    """Return the layers that wrap a torch module, in a fixed order."""
    layers = model._flatten_layers()  # noqa: SLF001
    return [layer for layer in layers if isinstance(layer, keras.layers.TorchModuleWrapper)]


def named_buffers(model: keras.Model) -> list[tuple[int, str, Tensor]]:
    """Return the wrapped modules' buffers, each with its wrapper's place and its name.

    Keras does not see them: BatchNorm's moving statistics in a torch module are such.
    """
    return [
        (number, name, buffer)
        for number, wrapper in enumerate(wrappers(model))
        for name, buffer in wrapper.module.named_buffers()
    ]


def initial_digest(model: keras.Model) -> str:
    """Return the digest of a model's variables: equal ones mean an equal start."""
    return array_digest(keras.ops.convert_to_numpy(variable) for variable in model.variables)


def array_digest(arrays: Iterable[np.ndarray]) -> str:
    """Return 16 hexadecimal digits over the arrays' shapes, types and bytes."""
    state = hashlib.blake2b(digest_size=8)
    for array in arrays:
        state.update(f"{array.shape}{array.dtype.str}".encode())
        state.update(array.tobytes())
    return state.hexdigest()
