"""What a layer holds: its inner layers, and the tensors of its parameters, by identity.

Keras has no public way to list a layer's inner layers, nor to tell what was made as state from what
was frozen later. The private names for both stay in this module, and its tests fail when they move.
"""

# ruff: noqa: SLF001

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

Layer: TypeAlias = Any
"""A `keras.layers.Layer`: Keras ships no types."""
Kind: TypeAlias = Literal["weights", "biases", "buffers"]


@dataclass(frozen=True, slots=True)
class Held:
    """One tensor of a layer. Two layers that share it hold the same `tensor` object."""

    kind: Kind
    tensor: Any
    trainable: bool

    @property
    def elements(self) -> int:
        """The number of its elements."""
        return int(self.tensor.numel())

    @property
    def bytes(self) -> int:
        """The bytes it takes in memory."""
        return self.elements * int(self.tensor.element_size())


def all_layers(layer: Layer) -> list[Layer]:
    """Return a layer and every layer inside it, at any depth."""
    return list(layer._flatten_layers())


def inner_layers(layer: Layer) -> list[Layer]:
    """Return the layers directly inside `layer`, in their order, without the inputs of a model."""
    import keras

    if isinstance(layer, keras.Model):
        inside = layer.layers
    else:
        inside = layer._flatten_layers(include_self=False, recursive=False)
    return [one for one in inside if not isinstance(one, keras.layers.InputLayer)]


def is_adapted(layer: Layer) -> bool:
    """Tell whether LoRA matrices or quantized weights stand beside, or for, a layer's own."""
    return any(
        getattr(one, "lora_enabled", False) or getattr(one, "quantization_mode", None)
        for one in all_layers(layer)
    )


def holdings(layer: Layer, trained: Iterable[int], *, own: bool = False) -> list[Held]:
    """Return every parameter tensor of a layer once.

    To Keras' weights come the buffers, and parameters that torch alone knows, of wrapped modules
    and of the layers themselves.

    Args:
        layer: a built layer.
        trained: the `id` of each tensor that the optimizer updates.
        own: leave out what the inner layers hold.
    """
    import keras
    from torch.nn import Module

    trained = frozenset(trained)
    found: dict[int, Held] = {}

    def add(kind: Kind, tensor: Any) -> None:
        found.setdefault(id(tensor), Held(kind, tensor, id(tensor) in trained))

    for one in [layer] if own else all_layers(layer):
        # Of a wrapped module torch knows the names, where Keras only numbers the variables.
        wraps = isinstance(one, keras.layers.TorchModuleWrapper)
        module: Module = one.module if wraps else one
        for name, parameter in Module.named_parameters(module, recurse=wraps):
            add(_kind(name), parameter)
        for _, buffer in Module.named_buffers(module, recurse=wraps):
            add("buffers", buffer)
        for variable in one._trainable_variables:
            add(_kind(variable.name), variable.value)
        for variable in one._non_trainable_variables:
            add("buffers", variable.value)
    return list(found.values())


def _kind(name: str) -> Kind:
    """Return what a tensor of this name does to its input: it multiplies, or it is added."""
    last = name.rsplit(".", 1)[-1]
    return "biases" if last == "beta" or last.startswith("bias") else "weights"
