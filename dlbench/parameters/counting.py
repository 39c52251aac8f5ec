"""Counting a model: the closed form of each layer against its variables, and the totals."""

from __future__ import annotations

import warnings
from math import prod
from typing import TYPE_CHECKING, Any

from dlbench.backend import isolated_keras, require_torch
from dlbench.errors import NotAModelError, ParameterMismatchError, UnbuiltModelError
from dlbench.parameters.building import build
from dlbench.parameters.holdings import Held, holdings
from dlbench.parameters.parts import Part, parts
from dlbench.parameters.table import ParameterRow, ParameterTable
from dlbench.parameters.tracing import UNKNOWN, Work, trace

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from dlbench.parameters.formulas import Form


def count_parameters(
    model: Any | Callable[[], Any],
    optimizer: Any = None,
) -> ParameterTable:
    """Return the exact number of parameters of a Keras model, layer by layer and in all.

    Args:
        model: a built `keras.Model`, or a function that builds one. A function is run on torch's
            `meta` device, so that no weight is allocated; it must make everything it uses.
        optimizer: a name or a Keras optimizer, which stays untouched; its variables are counted.
            Without one, those of the optimizer that the model was compiled with.

    Raises:
        NotAModelError: `model` is neither, or the function returns something else.
        UnbuiltModelError: the model, or a layer in it, has no weights yet.
        ParameterMismatchError: a layer's closed form disagrees with its variables.
    """
    require_torch()
    import keras

    if isinstance(model, keras.Model):
        return _count(model, optimizer)
    if isinstance(model, keras.Layer):
        raise NotAModelError(
            f"expected a keras.Model or a function that builds one, got the layer {model.name!r}: "
            "put it into keras.Sequential([keras.Input(shape), layer])"
        )
    if not callable(model) or _is_torch_module(model):
        raise NotAModelError(
            f"expected a keras.Model or a function that builds one, got {type(model).__name__}"
            + ("; wrap it in keras.layers.TorchModuleWrapper" if _is_torch_module(model) else "")
        )
    built = build(model)
    if not isinstance(built, keras.Model):
        name = getattr(model, "__qualname__", repr(model))
        hint = ": does it end in `return model`?" if built is None else ""
        raise NotAModelError(
            f"{name}() must return a keras.Model, got {type(built).__name__}{hint}"
        )
    return _count(built, optimizer)


def _is_torch_module(model: object) -> bool:
    import torch

    return isinstance(model, torch.nn.Module)


def _count(model: Any, optimizer: Any) -> ParameterTable:
    if not model.built:
        raise UnbuiltModelError(
            f"the model {model.name!r} is not built, so its layers have no weights yet: begin it "
            "with keras.Input(shape), call model.build(input_shape), or call it on a batch"
        )
    found = parts(model)
    for part in found:
        _require_built(part.layer, model)
    trained = frozenset(id(variable.value) for variable in model.trainable_variables)
    works = trace(model, found)
    rows: list[ParameterRow] = []
    seen: dict[int, Held] = {}
    for part in found:
        held = {id(one.tensor): one for one in holdings(part.layer, trained, own=part.opened)}
        work = works.get(id(part.layer), UNKNOWN)
        if held or not part.opened or (works and work.macs != 0):
            shared = [one for tensor, one in held.items() if tensor in seen]
            rows.append(_row(part, held.values(), _elements(shared), work))
        seen |= held
    used = optimizer if optimizer is not None else getattr(model, "optimizer", None)
    return ParameterTable(
        name=model.name,
        rows=tuple(rows),
        unique=_elements(seen.values()),
        trainable=_elements(one for one in seen.values() if one.trainable),
        non_trainable=_elements(one for one in seen.values() if not one.trainable),
        bytes=sum(one.bytes for one in seen.values()),
        random_state=_random_state(model),
        optimizer=None if used is None else _optimizer_variables(used, model),
    )


def _require_built(layer: Any, model: Any) -> None:
    """Refuse a layer that would make weights when called, and was not called yet."""
    import keras

    if not layer.built and type(layer).build is not keras.Layer.build:
        raise UnbuiltModelError(
            f"the layer {layer.name!r} ({type(layer).__name__}) of the model {model.name!r} has no "
            "weights yet: call the model on a batch, or remove the layer if nothing uses it"
        )


def _row(part: Part, held: Collection[Held], shared: int, work: Work) -> ParameterRow:
    counts = {
        kind: _elements(one for one in held if one.kind == kind)
        for kind in ("weights", "biases", "buffers")
    }
    if part.form is not None:
        _require_agreement(part, part.form, counts)
    return ParameterRow(
        name=part.name,
        layer=type(part.layer).__name__,
        output_shape=None if part.opened else work.output_shape,
        **counts,
        formula=part.form.formula if part.form else "counted" if held else "0",
        trainable=_elements(one for one in held if one.trainable),
        shared=shared,
        bytes=sum(one.bytes for one in held),
        macs=work.macs,
        # What an opened layer puts out is put out by a layer inside it.
        activations=0 if part.opened else work.activations,
    )


def _require_agreement(part: Part, form: Form, counts: Mapping[str, int]) -> None:
    """Raise where the closed form and the variables of a layer differ."""
    expected = {"weights": form.weights, "biases": form.biases, "buffers": form.buffers}
    if counts != expected:
        raise ParameterMismatchError(
            f"the layer {part.name!r} ({type(part.layer).__name__}) holds {_spoken(counts)}, but "
            f"its closed form {form.formula} gives {_spoken(expected)}. Either variables were "
            "added to or taken from the layer, or the closed form does not fit this version of "
            "Keras: please report it"
        )


def _spoken(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in counts.items())


def _elements(held: Iterable[Held]) -> int:
    return sum(one.elements for one in held)


def _random_state(model: Any) -> int:
    """Return the numbers in the model's seed generators, which Keras counts as variables."""
    weights = {id(variable) for variable in model.weights}
    return sum(prod(one.shape) for one in model.variables if id(one) not in weights)


def _optimizer_variables(optimizer: Any, model: Any) -> int:
    """Return the numbers in the variables of an optimizer, built for a model on the meta device."""
    import keras

    config = None
    if isinstance(optimizer, keras.optimizers.Optimizer) and not _is_on_meta(optimizer):
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            config = optimizer.get_config()  # Keras reads the rate in a way that NumPy 2 deprecates
    with isolated_keras(), keras.device("meta"):
        fresh = (
            keras.optimizers.get(optimizer)
            if config is None
            else type(optimizer).from_config(config)
        )
        fresh.build(model.trainable_variables)
        return sum(prod(variable.shape) for variable in fresh.variables)


def _is_on_meta(optimizer: Any) -> bool:
    """Tell whether a model's builder made it while nothing was allocated: it has no other user."""
    return all(variable.value.is_meta for variable in optimizer.variables)
