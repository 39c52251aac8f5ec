"""Rewriting traced graphs: what computes nothing is left out, what is slow is computed otherwise."""

from __future__ import annotations

import contextlib
import math
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.fx.experimental import proxy_tensor
from torch.fx.node import map_arg

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch.fx import GraphModule, Node

aten = torch.ops.aten
TURN = aten.transpose.int

HANDED_ON = {aten.detach.default, aten.alias.default}
"""Operations that return what they are given."""
RESHAPING = {
    aten.view.default,
    aten._unsafe_view.default,  # noqa: SLF001 - its name
    aten.expand.default,
    aten.permute.default,
}
"""Operations that do so where it has the shape asked for."""
FOLDED_BYTES = 2**18
"""The size up to which a constant is kept, instead of computed at every call: 256 KiB."""
LANES = 16
"""Numbers of 4 bytes in the widest vector of a CPU (AVX-512)."""
SOFTMAX = {
    aten._softmax.default: 1,  # noqa: SLF001 - its name
    aten._log_softmax.default: 1,  # noqa: SLF001 - its name
    aten._softmax_backward_data.default: 2,  # noqa: SLF001 - its name
    aten._log_softmax_backward_data.default: 2,  # noqa: SLF001 - its name
}
"""How many of an operation's arguments are tensors; the next one is the dimension."""
POOLING = {
    aten.max_pool2d_with_indices.default,
    aten.max_pool2d_with_indices_backward.default,
}
ON_STRIDES = {
    aten.as_strided.default,
    aten.as_strided_.default,
    aten.as_strided_scatter.default,
    aten._reshape_alias.default,  # noqa: SLF001 - its name
    aten.view.dtype,
    aten.view_as_complex.default,
}
"""Operations that look at the memory itself, or ask for numbers side by side in it."""
WRITING = {
    aten.native_batch_norm.default,
    aten.cudnn_batch_norm.default,
    aten.miopen_batch_norm.default,
}
"""Operations that change an input and do not say so: the running statistics."""


def rewrite(graph: GraphModule) -> None:
    """Let a graph compute the same with less to call, in place.

    Args:
        graph: traced while `values_described`; without that it stays as it is.
    """
    _hand_on(graph)
    _fold_constants(graph)
    if not _hangs_on_strides(graph):
        changed = _turn_narrow_products(graph) + _turn_narrow_softmax(graph)
        if changed + _pool_as_it_lies(graph):
            _let_strides_differ(graph)
    graph.graph.eliminate_dead_code()
    graph.recompile()


@dataclass(frozen=True, slots=True)
class Value:
    """What is noted of a tensor that a node gives."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype
    device: str
    is_dense: bool
    """Contiguous, the last dimension side by side in memory."""

    @property
    def bytes(self) -> int:
        """What it takes."""
        return math.prod(self.shape) * self.dtype.itemsize


def value_of(node: Node) -> Value | None:
    """Return what is noted of a node's value; None where it is no tensor."""
    value = node.meta.get("val")
    return value if isinstance(value, Value) else None


@contextlib.contextmanager
def values_described() -> Iterator[None]:
    """Note a `Value` beside each node that is traced inside the block.

    PyTorch would make an imitation of each tensor, which takes two fifths of a trace.
    """
    before = proxy_tensor.extract_val

    def described(value: Any, *_: Any, **__: Any) -> Any:
        if isinstance(value, Tensor) and value.layout is torch.strided:
            layout = (tuple(value.shape), value.stride(), value.dtype, value.device.type)
            return Value(*layout, is_dense=value.is_contiguous())
        return None

    proxy_tensor.extract_val = described  # type: ignore[assignment]
    try:
        yield
    finally:
        proxy_tensor.extract_val = before


# ---- what need not be computed


def _hand_on(graph: GraphModule) -> None:
    """Take out the operations that only return what they are given."""
    for node in list(graph.graph.nodes):
        if node.target in HANDED_ON or (
            node.target in RESHAPING and _layout(node) == _layout(node.args[0]) is not None
        ):
            node.replace_all_uses_with(node.args[0])
            graph.graph.erase_node(node)


def _fold_constants(graph: GraphModule) -> None:
    """Compute what depends on no input once, here, and keep it."""
    changed: set[Node] = set()
    for node in reversed(graph.graph.nodes):
        # What an operation changes in place may be a view of anything before it.
        if node in changed or _changes_its_inputs(node):
            changed.update(node.all_input_nodes)
    names = {node.target for node in changed if node.op == "get_attr"}
    (output,) = graph.graph.find_nodes(op="output")
    constants: dict[Node, Any] = {}
    for node in graph.graph.nodes:
        if node.op == "get_attr" and node.target not in names:
            constants[node] = operator.attrgetter(node.target)(graph)
        elif (
            repeats(node)
            and not _changes_its_inputs(node)
            and node not in changed
            and output not in node.users  # a caller may change what it is given
            and all(source in constants for source in node.all_input_nodes)
            and value_of(node) is not None
            and bytes_of(node) <= FOLDED_BYTES
        ):
            with torch.no_grad():
                constants[node] = node.target(
                    *map_arg(node.args, constants.__getitem__),
                    **map_arg(node.kwargs, constants.__getitem__),
                )
    for node, value in constants.items():
        if node.op != "get_attr" and any(user not in constants for user in node.users):
            name = f"constant_{node.name}"  # a module has methods of its own, such as `half`
            graph.register_buffer(name, value)
            with graph.graph.inserting_before(node):
                kept = graph.graph.get_attr(name)
            kept.meta = dict(node.meta)
            node.replace_all_uses_with(kept)


# ---- what is faster another way round


def _turn_narrow_products(graph: GraphModule) -> int:
    """Compute products of few columns and many rows as their transposes, (A B)' = B' A'.

    The library's kernels for a product fill a processor's vector with columns. Measured for a last
    layer of 32 inputs and 10 classes, 100 samples and 32 runs: forwards from 95 to 29 µs, its
    gradient from 128 to 27.

    Returns:
        How many there were.
    """
    products = [n for n in graph.graph.nodes if n.target is aten.bmm.default and _is_narrow(n)]
    narrow = [
        n for n in products if (of := value_of(n.args[0])) is not None and of.shape[2] >= LANES
    ]
    for node in narrow:
        with graph.graph.inserting_before(node):
            left, right = (graph.graph.call_function(TURN, (n, 1, 2)) for n in node.args)
            product = graph.graph.call_function(aten.bmm.default, (right, left))
            turned = graph.graph.call_function(TURN, (product, 1, 2))
        _put(turned, node)
    return len(narrow)


def _turn_narrow_softmax(graph: GraphModule) -> int:
    """Compute a softmax over a few classes, and what follows it, for many samples at once.

    With classes side by side in memory a processor's vector holds one sample's, half of it empty;
    with samples side by side it is full. Measured with 10 classes and 16 runs, there and back:
    444 µs against 107 with 100 samples, 6.0 ms against 1.8 with 1,437.

    Returns:
        How many there were.
    """
    narrow = [n for n in graph.graph.nodes if n.target in SOFTMAX and _is_narrow(n)]
    for node in narrow:
        count = SOFTMAX[node.target]
        tensors, options = node.args[:count], node.args[count + 1 :]
        with graph.graph.inserting_before(node):
            turned = [graph.graph.call_function(TURN, (n, 1, 2)) for n in tensors]
            dense = [graph.graph.call_function(aten.contiguous.default, (n,)) for n in turned]
            softmax = graph.graph.call_function(node.target, (*dense, 1, *options))
            back = graph.graph.call_function(TURN, (softmax, 1, 2))
        _put(back, node)
    return len(narrow)


def _pool_as_it_lies(graph: GraphModule) -> int:
    """Pool channels that lie side by side, without copying each channel's picture together first.

    PyTorch pools either, and fills a processor's vector with channels where it can. Measured for
    4,496 pictures of 8 x 8 and 8 channels: 6 ms for the copy and 13 for the pooling, against 2.

    Returns:
        How many copies were left out.
    """
    copies = [
        node
        for node in graph.graph.find_nodes(op="call_function", target=aten.clone.default)
        if _has_channels_side_by_side(node.args[0])
        and _is_pooled_only(node)
        and not any(map(_changes_its_inputs, node.args[0].users))
    ]
    for node in copies:
        node.replace_all_uses_with(node.args[0])
        graph.graph.erase_node(node)
    return len(copies)


def _has_channels_side_by_side(node: Node) -> bool:
    """Return whether a value of shape (…, channels, height, width) lies so, on a CPU."""
    value = value_of(node)
    if value is None or len(value.shape) < 4 or value.device != "cpu":  # noqa: PLR2004 - as said
        return False
    channels, _, width = value.shape[-3:]
    return value.strides[-3:] == (1, width * channels, channels)


def _is_pooled_only(node: Node) -> bool:
    """Return whether a value is, in whatever shape, given to poolings and to nothing else."""
    return all(
        user.target in POOLING or (user.target in RESHAPING and _is_pooled_only(user))
        for user in node.users
    )


def _hangs_on_strides(graph: GraphModule) -> bool:
    """Return whether a graph might compute something else from values with other strides.

    It might where it looks at the memory itself, or changes what it has a view of: `reshape` may
    return a copy. Only what is new, and viewed by nobody, may be changed.
    """
    for node in graph.graph.nodes:
        if node.target in ON_STRIDES:
            return True
        if _changes_its_inputs(node):
            seen = (*node.all_input_nodes, *(u for n in node.all_input_nodes for u in n.users))
            if node.target in WRITING or any(_shares(one) for one in seen if one is not node):
                return True
    return False


def _let_strides_differ(graph: GraphModule) -> None:
    """Let the operations work on values of any strides, and return these as they were."""
    for node in graph.graph.nodes:
        if node.target in (aten.view.default, aten._unsafe_view.default):  # noqa: SLF001 - its name
            node.target = aten.reshape.default
    (output,) = graph.graph.find_nodes(op="output")
    with graph.graph.inserting_before(output):
        for node in output.all_input_nodes:
            value = value_of(node)
            if node.op == "call_function" and value is not None and value.is_dense:
                dense = graph.graph.call_function(aten.contiguous.default, (node,))
                output.replace_input_with(node, dense)


def _is_narrow(node: Node) -> bool:
    """Return whether a value of shape (runs, many, few) is computed, along the few, on a CPU."""
    value = value_of(node)
    if value is None or len(value.shape) != 3 or value.device != "cpu":  # noqa: PLR2004 - as said
        return False
    along = node.args[SOFTMAX[node.target]] if node.target in SOFTMAX else 2
    return along in (2, -1) and value.shape[2] < LANES <= value.shape[1]


def _put(new: Node, old: Node) -> None:
    new.meta = dict(old.meta)
    old.replace_all_uses_with(new)
    old.graph.erase_node(old)


# ---- what is known of an operation


def repeats(node: Node) -> bool:
    """Return whether a node is one operation that does the same whatever its inputs' values."""
    if node.target is operator.getitem:
        return True
    varying = {torch.Tag.nondeterministic_seeded, torch.Tag.data_dependent_output}
    return isinstance(node.target, OpOverload) and varying.isdisjoint(node.target.tags)


def _changes_its_inputs(node: Node) -> bool:
    if node.target in WRITING:
        return True
    return isinstance(node.target, OpOverload) and node.target._schema.is_mutable  # noqa: SLF001 - its name


def _shares(node: Node) -> bool:
    """Return whether a node's value may lie in another's memory."""
    if node.target is operator.getitem:
        return True
    if not isinstance(node.target, OpOverload):
        return False
    return any(value.alias_info is not None for value in node.target._schema.returns)  # noqa: SLF001 - its name


def _layout(node: Node) -> object:
    value = value_of(node)
    return None if value is None else (value.shape, value.strides, value.dtype)


def bytes_of(node: Node) -> int:
    """Return what a node's value takes; nothing where it is several, of each of which a node speaks."""
    value = value_of(node)
    return 0 if value is None else value.bytes
