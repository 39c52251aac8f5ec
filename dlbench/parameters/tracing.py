"""One sample's way through a model, without computing: what each layer multiplies and puts out.

The model is called on torch's `meta` device, where tensors have a shape and no values. So a layer
that is called twice is seen twice, in a functional model as in a subclassed one. Layers without a
closed form, and what a model computes between its layers, are counted by PyTorch's own counter of
matrix products and convolutions (`torch.utils.flop_counter`).
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

from dlbench.backend import isolated_keras
from dlbench.parameters.holdings import all_layers
from dlbench.parameters.products import Shape, closed_products

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dlbench.parameters.parts import Part

Nested: TypeAlias = Any
"""A tensor or shape, or lists and dicts of them."""

LENGTHS = (128, 160)
"""Two sizes tried for an axis of open size; multiples of 32, as networks that halve need them."""


@dataclass(frozen=True, slots=True)
class Work:
    """What one layer does to one sample, over all its calls; None where it cannot be known."""

    macs: int | None
    activations: int | None
    output_shape: tuple[int | None, ...] | None
    """Of its first call; the batch is None."""


UNKNOWN = Work(None, None, None)
IDLE = Work(0, 0, None)


def trace(model: Any, parts: Sequence[Part]) -> dict[int, Work]:
    """Return what each part of a model does to one sample, by the `id` of its layer.

    It is empty where the model cannot be called without data: its inputs are not known, or it looks
    at values outside of any layer.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            inputs = _inputs(model)
            lengths = LENGTHS if _has_open_axis(inputs) else LENGTHS[:1]
            works = [_trace(model, parts, inputs, length) for length in lengths]
            return {layer: _agreed(work, works[-1][layer]) for layer, work in works[0].items()}
    except Exception:  # noqa: BLE001 - the user's own code; what is not known is said to be so
        return {}


def _agreed(first: Work, second: Work) -> Work:
    """Keep what does not depend on the lengths that were only tried."""
    shape = first.output_shape
    if shape is not None and second.output_shape is not None:
        both = zip(shape, second.output_shape, strict=True)
        shape = tuple(one if one == other else None for one, other in both)
    same = first.macs == second.macs, first.activations == second.activations
    return Work(first.macs if same[0] else None, first.activations if same[1] else None, shape)


def _trace(
    model: Any,
    parts: Sequence[Part],
    inputs: Nested,
    length: int,
) -> dict[int, Work]:
    import keras
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    batch = keras.tree.flatten(inputs)[0].shape[0] or 1

    def filled(symbol: Any) -> Any:
        first, *rest = symbol.shape
        return keras.ops.empty((first or batch, *(size or length for size in rest)), symbol.dtype)

    modules = (module for layer in all_layers(model) for module in layer.modules())
    modes = [(module, module.training) for module in modules]
    counter = FlopCounterMode(display=False, custom_mapping=_matrix_vector_products())
    tracer = _Tracer(counter.get_total_flops)
    with (
        isolated_keras(),
        keras.device("meta"),
        keras.StatelessScope(),
        torch.no_grad(),
        tracer.watching(parts),
    ):
        args, kwargs = keras.tree.map_structure(filled, inputs)
        try:
            with counter:
                model(*args, **kwargs, training=False)
        finally:
            for module, mode in modes:
                module.training = mode
    return tracer.works(parts, batch)


def _inputs(model: Any) -> tuple[list[Nested], dict[str, Nested]]:
    """Return the symbolic inputs of a model: the positional ones and the named ones.

    A subclassed model remembers only the shapes that it was built with.
    """
    import keras

    if isinstance(model, keras.Sequential):
        with contextlib.suppress(AttributeError):
            return [model.inputs[0]], {}
    elif hasattr(model, "_inputs_struct"):
        return [model.input], {}
    built_with = model.get_build_config()
    if "shapes_dict" not in built_with:
        return [_symbols(built_with["input_shape"])], {}
    shapes = built_with["shapes_dict"].items()
    return [], {name.removesuffix("_shape"): _symbols(shape) for name, shape in shapes}


def _symbols(shape: Nested) -> Nested:
    """Return the shapes in `shape`, which may be nested, as symbolic tensors."""
    import keras

    if isinstance(shape, Mapping):
        return {name: _symbols(one) for name, one in shape.items()}
    if all(size is None or isinstance(size, int) for size in shape):
        return keras.KerasTensor(shape)
    return [_symbols(one) for one in shape]


def _has_open_axis(inputs: Nested) -> bool:
    import keras

    return any(None in symbol.shape[1:] for symbol in keras.tree.flatten(inputs))


def _matrix_vector_products() -> dict[Any, Callable[..., int]]:
    """Return formulas for the products that PyTorch's counter leaves out, in FLOPs."""
    import torch

    aten = torch.ops.aten

    def product(left: Shape, *_: object, **__: object) -> int:
        return 2 * prod(left)

    def sum_and_product(_: Shape, left: Shape, *__: object, **___: object) -> int:
        return 2 * prod(left)

    return {aten.mv: product, aten.dot: product, aten.vdot: product, aten.addmv: sum_and_product}


@dataclass(frozen=True, slots=True)
class _Call:
    macs: int | None
    outputs: list[Shape]


class _Tracer:
    """Stands in for the `call` of each layer, and writes down what each call did."""

    def __init__(self, flops: Callable[[], int]) -> None:
        self._flops = flops
        self._calls: list[tuple[int, _Call]] = []
        self._within: list[int] = [0]
        """FLOPs of the calls inside each call that is under way."""
        self._lost: set[int] = set()
        """Layers inside one that could not be followed."""
        self._muted = False

    @contextlib.contextmanager
    def watching(self, parts: Sequence[Part]) -> Iterator[None]:
        """Inside the block, the calls of these layers are written down."""
        with contextlib.ExitStack() as stack:
            for part in parts:
                quantized = getattr(part.layer, "quantization_mode", None)
                method = "quantized_call" if quantized else "call"
                stand_in = self._watched(part, getattr(part.layer, method))
                stack.enter_context(_replaced(part.layer, method, stand_in))
            yield

    def works(self, parts: Sequence[Part], batch: int) -> dict[int, Work]:
        """Return what all calls of each part did, for one sample of the batch."""
        calls: dict[int, list[_Call]] = {id(part.layer): [] for part in parts}
        for layer, call in self._calls:
            calls[layer].append(call)
        return {
            layer: UNKNOWN if layer in self._lost else _work(made, batch)
            for layer, made in calls.items()
        }

    def _watched(self, part: Part, original: Callable[..., Nested]) -> Callable[..., Nested]:
        signature = inspect.signature(original)

        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Nested:
            if self._muted:
                return original(*args, **kwargs)
            depth, calls, before = len(self._within), len(self._calls), self._flops()
            self._within.append(0)
            followed = not _repeats(part)
            if followed:
                try:
                    outputs = _run(part.layer, original, args, kwargs)
                except Exception:  # noqa: BLE001 - it looks at values, or mixes devices
                    followed = False
            if not followed:
                del self._calls[calls:]
                outputs = self._shapes_alone(part, args, kwargs)
            spent = self._flops() - before
            own = (spent - self._within[depth]) // 2
            del self._within[depth:]
            self._within[-1] += spent
            shapes = _shapes(outputs)
            closed = None
            if part.form is not None and shapes:
                bound = signature.bind(*args, **kwargs).arguments.items()
                inputs = [value for name, value in bound if not name.endswith("mask")]
                closed = closed_products(part.layer, _shapes(inputs), shapes[0])
            counted = own if followed else None
            self._calls.append(
                (id(part.layer), _Call(counted if closed is None else closed, shapes))
            )
            return outputs

        return call

    def _shapes_alone(self, part: Part, args: Nested, kwargs: Nested) -> Nested:
        """Return empty outputs of the shapes that Keras infers, as it does for a symbolic call."""
        import keras

        def symbol(one: Any) -> Any:
            if not keras.ops.is_tensor(one):
                return one
            return keras.KerasTensor(one.shape, keras.backend.standardize_dtype(one.dtype))

        self._lost.update(id(layer) for layer in all_layers(part.layer)[1:])
        self._muted = True
        try:
            args, kwargs = keras.tree.map_structure(symbol, (args, kwargs))
            spec = part.layer.compute_output_spec(*args, **kwargs)
        finally:
            self._muted = False
        return keras.tree.map_structure(lambda one: keras.ops.empty(one.shape, one.dtype), spec)


def _repeats(part: Part) -> bool:
    """Tell whether a layer takes many equal steps of known work, which need not be taken."""
    import keras

    return part.form is not None and isinstance(
        part.layer, keras.layers.RNN | keras.layers.Bidirectional
    )


@contextlib.contextmanager
def _replaced(layer: Any, method: str, stand_in: Callable[..., Nested]) -> Iterator[None]:
    """Inside the block, the method of this one layer is another; Keras does not notice."""
    attributes = vars(layer)
    own = attributes.get(method)
    attributes[method] = stand_in
    try:
        yield
    finally:
        del attributes[method]
        if own is not None:
            attributes[method] = own


def _run(layer: Any, original: Callable[..., Nested], args: Nested, kwargs: Nested) -> Nested:
    """Call a layer on the meta device; a wrapped torch module with stand-ins for its tensors."""
    import keras
    import torch

    if not isinstance(layer, keras.layers.TorchModuleWrapper):
        return original(*args, **kwargs)
    module = layer.module.eval()
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    without_values = {name: one.to("meta") for name, one in tensors.items()}
    kwargs = {name: value for name, value in kwargs.items() if name != "training"}
    return torch.func.functional_call(module, without_values, args, kwargs)


def _work(calls: Sequence[_Call], batch: int) -> Work:
    if not calls:
        return IDLE
    macs = [call.macs for call in calls]
    first = calls[0].outputs[0] if calls[0].outputs else None
    return Work(
        macs=None if None in macs else sum(filter(None, macs)) // batch,
        activations=sum(prod(shape) for call in calls for shape in call.outputs) // batch,
        output_shape=(None, *first[1:]) if first else None,
    )


def _shapes(nested: Nested) -> list[Shape]:
    """Return the shapes of the tensors in `nested`, in their order."""
    import keras

    flat = keras.tree.flatten(nested)
    return [tuple(one.shape) for one in flat if keras.ops.is_tensor(one)]
