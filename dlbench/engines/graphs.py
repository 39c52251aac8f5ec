"""What a step or an evaluation runs as: PyTorch's operations alone, without Keras, then without Python.

Small steps cost what it takes to call their operations, not what these compute. So a function is
traced to the operations that it consists of; those that compute nothing, or the same at every call,
are taken out; and PyTorch's own interpreter calls the rest, which besides leaves Python free for the
thread that reads the curves. All that keeps every bit. Products and softmaxes over few columns are
computed another way round, which rounds otherwise.
"""

from __future__ import annotations

import re
import warnings
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.fx._lazy_graph_module import _use_lazy_graph_module
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_leaves, tree_map, tree_structure, tree_unflatten

from dlbench.engines.rewriting import bytes_of, repeats, rewrite, values_described

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch.fx import GraphModule

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
    # Lazily: its Python is written once, when it is first called, and not after each change.
    with values_described(), _use_lazy_graph_module(True):
        graph = make_fx(function)(*distinct)
        rewrite(graph)
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
    if not all(map(repeats, operations)) or sum(map(bytes_of, operations)) > SCRIPTED_BYTES:
        return graph
    constants = [
        attrgetter(str(node.target))(graph) for node in graph.graph.find_nodes(op="get_attr")
    ]
    if not all(isinstance(one, Tensor) and one.layout is torch.strided for one in constants):
        return graph
    if sum(one.nbytes for one in constants) > SCRIPTED_CONSTANTS:
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
