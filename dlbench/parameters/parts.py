"""The lines of a table: a model taken apart into the layers that are told apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlbench.parameters.formulas import Form, closed_form
from dlbench.parameters.holdings import Layer, inner_layers

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Part:
    """One layer, with what is inside it or without."""

    name: str
    """Where it stands: `encoder/dense` is the layer `dense` of the model `encoder`."""
    layer: Layer
    form: Form | None
    """Its parameters in closed form, if one is known."""
    opened: bool
    """Its inner layers are parts of their own: only what it holds itself is counted here."""


def parts(model: Layer) -> list[Part]:
    """Return the layers of a model in their order, each once, models and custom layers opened.

    A layer with a closed form stays whole, whatever is inside it (such as the cell of an LSTM).
    What is opened comes before what is inside it.
    """
    return list(_parts(model, "", set()))


def _parts(layer: Layer, path: str, seen: set[int]) -> Iterator[Part]:
    if id(layer) in seen:
        return
    seen.add(id(layer))
    form, inside = closed_form(layer), inner_layers(layer)
    opened = form is None and bool(inside)
    yield Part(path or layer.name, layer, form, opened)
    if opened:
        for one in inside:
            yield from _parts(one, f"{path}/{one.name}" if path else one.name, seen)
