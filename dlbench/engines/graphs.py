"""What a step or an evaluation runs as: PyTorch's operations alone, without Keras, then without Python.

Small steps cost what it takes to call their operations, not what these compute. So a function is
traced to the operations that it consists of; those that compute nothing, or the same at every call,
are taken out; and PyTorch's own interpreter calls the rest, which besides leaves Python free for the
thread that reads the curves. All that keeps every bit. Products and softmaxes over few columns are
computed another way round, which rounds otherwise.
"""

from __future__ import annotations

import contextlib
import math
import operator
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.fx.experimental import proxy_tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.node import map_arg
from torch.utils._pytree import tree_leaves, tree_map, tree_structure, tree_unflatten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch.fx import GraphModule, Node

aten = torch.ops.aten
TURN = aten.transpose.int

HANDED_ON = {aten.detach.default, aten.alias.default}
"""Operations that return what they are given."""
RESHAPING = {aten.view.default, aten._unsafe_view.default, aten.expand.default}  # noqa: SLF001 - its name
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
SCRIPTED_BYTES = 2**28
"""What a graph may compute to be scripted, 256 MiB: scripting holds all of it at once, and large
operations leave nothing to gain."""
SCRIPTED_CONSTANTS = 2**20
"""What its constants may take, 1 MiB: PyTorch does not give those of a script back."""


def traced(function: Callable[..., Any], *arguments: Any) -> GraphModule:
    """Return a function as a graph of the PyTorch operations that it consists of.

    Args:
        function: of tensors, or trees of them; what it does hangs on their shapes, not their values.
        arguments: an example of them.
    """
    # A tracer knows its inputs by identity, and one tensor may be two parts of a state.
    distinct = tree_map(lambda leaf: leaf if leaf is None else leaf.detach(), arguments)
    with _values_described():
        graph = make_fx(function)(*distinct)
    _hand_on(graph)
    _fold_constants(graph)
    if not _hangs_on_strides(graph):
        turned = _turn_narrow_products(graph) + _turn_narrow_softmax(graph)
        if turned:
            _let_strides_differ(graph)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph


def flattened(
    graph: Callable[..., Any], arguments: tuple[Any, ...]
) -> tuple[Callable[..., Any], list[Tensor]]:
    """Return a graph as a function of its arguments' tensors one by one, and these tensors.

    Args:
        graph: what is to be called.
        arguments: trees of tensors and None.
    """

    def of_leaves(*tensors: Tensor) -> Any:
        return graph(*_rebuilt(arguments, iter(tensors)))

    # Of another identity each, as in `traced`.
    return of_leaves, [leaf.detach() for leaf in leaves_of(arguments)]


def scripted(graph: GraphModule, arguments: tuple[Any, ...]) -> Callable[..., Any]:
    """Return a graph as a function that runs without Python, or the graph where that fails.

    The interpreter is TorchScript's, which PyTorch calls deprecated and carries on; what is to
    follow it, `torch.compile`, takes seconds where this takes milliseconds. Measured on one core
    with 16 runs of the digits network at batch 4: 663 µs a step as it was traced, 450 simplified,
    208 scripted.

    Args:
        graph: as `traced` returns it.
        arguments: an example of its arguments: what comes later has the same shapes and types.
    """
    operations = [node for node in graph.graph.nodes if node.op.startswith("call")]
    if not all(map(_repeats, operations)) or sum(map(_bytes, operations)) > SCRIPTED_BYTES:
        return graph
    if sum(map(_bytes, graph.graph.find_nodes(op="get_attr"))) > SCRIPTED_CONSTANTS:
        return graph
    of_leaves, example = flattened(graph, arguments)
    forms = []

    def flat(*tensors: Tensor) -> tuple[Tensor, ...]:
        returned = of_leaves(*tensors)
        forms.append(tree_structure(returned))
        return tuple(tree_leaves(returned))

    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            script = _recorded(flat, tuple(example))
        (form,) = forms
    except Exception:  # noqa: BLE001 - whatever it may lack, the graph runs without it
        return graph

    def run(*arguments: Any) -> Any:
        try:
            # Optimized, it would fuse operations, and spend its first calls on that.
            with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
                return tree_unflatten(script(*leaves_of(arguments)), form)
        except RuntimeError as error:
            # Before it stands where in the script it happened, which tells nobody anything.
            cause = re.search(
                r"^[\w.]*Error: (?!.*^[\w.]*Error: )(.*)", str(error), re.MULTILINE | re.DOTALL
            )
            raise RuntimeError(cause[1] if cause else str(error)) from error

    return run


def _recorded(function: Callable[..., Any], example: tuple[Tensor, ...]) -> Callable[..., Any]:
    """Return what a function calls as a script, in a unit of its own.

    `torch.jit.trace` does the same, and keeps every script for the life of the process: 3.6 MiB for
    300 operations.
    """
    graph, *_ = torch._C._create_graph_by_tracing(  # noqa: SLF001 - its name
        function, example, lambda _: "", True, False, None, []
    )
    unit = torch._C.CompilationUnit()  # noqa: SLF001 - `torch.jit`'s has no way in for a graph
    script: Callable[..., Any] = unit.create_function("run", graph, False)
    return script


def leaves_of(arguments: Any) -> Iterator[Tensor]:
    """Yield the tensors of a tree: at every step, hence faster than PyTorch's own, which knows more."""
    if isinstance(arguments, Tensor):
        yield arguments
    elif isinstance(arguments, dict):
        yield from leaves_of(tuple(arguments.values()))
    elif arguments is not None:
        for part in arguments:
            yield from leaves_of(part)


def _rebuilt(tree: Any, leaves: Iterator[Tensor]) -> Any:
    """Return a tree like the given one with other tensors in it, in the order of `leaves_of`."""
    if isinstance(tree, Tensor):
        return next(leaves)
    if isinstance(tree, dict):
        return {key: _rebuilt(part, leaves) for key, part in tree.items()}
    return None if tree is None else type(tree)(_rebuilt(part, leaves) for part in tree)


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
def _values_described() -> Iterator[None]:
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
            _repeats(node)
            and not _changes_its_inputs(node)
            and node not in changed
            and output not in node.users  # a caller may change what it is given
            and all(source in constants for source in node.all_input_nodes)
            and value_of(node) is not None
            and _bytes(node) <= FOLDED_BYTES
        ):
            with torch.no_grad():
                constants[node] = node.target(
                    *map_arg(node.args, constants.__getitem__),
                    **map_arg(node.kwargs, constants.__getitem__),
                )
    for node, value in constants.items():
        if node.op != "get_attr" and any(user not in constants for user in node.users):
            graph.register_buffer(node.name, value)
            with graph.graph.inserting_before(node):
                kept = graph.graph.get_attr(node.name)
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
        tensors, (_, *options) = (
            node.args[: SOFTMAX[node.target]],
            node.args[SOFTMAX[node.target] :],
        )
        with graph.graph.inserting_before(node):
            turned = [graph.graph.call_function(TURN, (n, 1, 2)) for n in tensors]
            dense = [graph.graph.call_function(aten.contiguous.default, (n,)) for n in turned]
            softmax = graph.graph.call_function(node.target, (*dense, 1, *options))
            back = graph.graph.call_function(TURN, (softmax, 1, 2))
        _put(back, node)
    return len(narrow)


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


def _repeats(node: Node) -> bool:
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


def _bytes(node: Node) -> int:
    """Return what a node's value takes; nothing where it is several, of each of which a node speaks."""
    value = value_of(node)
    return 0 if value is None else value.bytes
