"""When `torch.compile` repays its cost, and the step it makes.

The decision depends on the work to come alone, not on a clock: the same experiment is compiled in
every run or in none, so that its curves repeat to the bit.
"""

from __future__ import annotations

import os
import shutil
import warnings
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_leaves, tree_structure, tree_unflatten

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

SAVED_PER_NODE = 3.2e-6
"""Seconds that compiling saves a step for each operation of its graph: what PyTorch takes to call one.

Measured on one core with 176 operations and 32 runs: 623 µs as it is, 72 µs compiled.
"""
COST = 12.0
"""Seconds that compiling takes: 5 to 16 were measured, the more the first time in a process."""
MARGIN = 2
"""By how much it has to be repaid."""

LANES = 16
"""Numbers of 4 bytes in the widest vector of a CPU (AVX-512)."""

Compiling = Literal["auto", "never", "always"]


def worth_compiling(compiling: Compiling, operations: int, steps: int) -> bool:
    """Return whether to compile a step: it repays its cost, and a compiler is there.

    Args:
        compiling: "never" and "always" (as far as there is a compiler) overrule the figures.
        operations: nodes of the step's graph.
        steps: the updates to come.
    """
    repaid = compiling == "always" or operations * steps * SAVED_PER_NODE > MARGIN * COST
    return compiling != "never" and repaid and has_compiler()


def has_compiler() -> bool:
    """Return whether there is a C++ compiler, which `torch.compile` needs on a CPU."""
    named = os.environ.get("CXX")
    return any(shutil.which(name) for name in ([named] if named else ["g++", "clang++", "c++"]))


def compiled_step(graph: torch.fx.GraphModule, arguments: tuple[Any, ...]) -> Callable[..., Any]:
    """Return the compiled step, or the graph itself where compiling fails.

    Args:
        graph: the traced step, a function of state, data, rows and rates.
        arguments: what it will be called with; one call compiles it here. The data stay the same.
    """
    with torch.no_grad(), warnings.catch_warnings():
        # PyTorch warns of its own doings, and a suite may turn warnings into errors.
        warnings.simplefilter("ignore")
        for compiled in (_by_inductor, _by_dynamo):
            try:
                return compiled(graph, arguments)
            except Exception:  # noqa: BLE001, S112 - whatever a compiler may lack, the next one runs without it
                continue
    return graph


def _by_dynamo(graph: torch.fx.GraphModule, arguments: tuple[Any, ...]) -> Callable[..., Any]:
    step: Callable[..., Any] = torch.compile(graph, dynamic=False, fullgraph=True)
    step(*arguments)
    return step


def _by_inductor(graph: torch.fx.GraphModule, arguments: tuple[Any, ...]) -> Callable[..., Any]:
    """Compile without what `torch.compile` checks before each call: half of a small step's time.

    Raises:
        ValueError: a step's state would not do for the next step.
    """
    import torch._inductor  # it takes two seconds to load, and most trainings are not compiled

    state, data, rows, rates = arguments
    constant = [leaf for leaf in tree_leaves(data) if leaf is not None]
    varying = [rows] if rates is None else [rows, rates]
    form = tree_structure(arguments)

    def step_of_leaves(*tensors: Tensor) -> Any:
        left = iter(tensors)
        leaves = [None if leaf is None else next(left) for leaf in tree_leaves(arguments)]
        return graph(*tree_unflatten(leaves, form))

    flat = [*state, *constant, *varying]
    flat_graph = make_fx(step_of_leaves)(*flat)
    _turn_narrow_products(flat_graph)
    _put_samples_side_by_side(flat_graph)
    compiled: Callable[..., Any] = torch._inductor.compile(flat_graph, flat)  # noqa: SLF001 - the compiler beneath `torch.compile`
    if [part.stride() for part in compiled(*flat)] != [part.stride() for part in state]:
        raise ValueError("a step's state has other strides than what it was made of")

    def step(state: list[Tensor], data: Any, rows: Tensor, rates: Tensor | None) -> Any:
        del data  # they are `constant`
        return compiled(*state, *constant, rows, *(() if rates is None else (rates,)))

    return step


def _turn_narrow_products(graph: torch.fx.GraphModule) -> None:
    """Compute products of few columns and many rows as their transposes, (A B)' = B' A'.

    The library's kernels for a product fill a processor's vector with columns. Measured for a last
    layer of 32 inputs and 10 classes, 100 samples and 32 runs: forwards from 95 to 29 µs, its
    gradient from 128 to 27.
    """
    bmm, turn = torch.ops.aten.bmm.default, torch.ops.aten.permute.default
    for node in list(graph.graph.nodes):
        known = _value(node) if node.op == "call_function" and node.target is bmm else None
        if known is None or not known.shape[2] < LANES <= known.shape[1]:
            continue
        with graph.graph.inserting_before(node):
            left, right = (graph.graph.call_function(turn, (n, [0, 2, 1])) for n in node.args)
            product = graph.graph.call_function(bmm, (right, left))
            turned = graph.graph.call_function(turn, (product, [0, 2, 1]))
        turned.meta = dict(node.meta)
        node.replace_all_uses_with(turned)
        graph.graph.erase_node(node)
    graph.recompile()


def _value(node: torch.fx.Node) -> Any:
    """Return what stands for a node's value, with its shape; None where it is not known."""
    return node.meta.get("val", node.meta.get("tensor_meta"))


def _put_samples_side_by_side(graph: torch.fx.GraphModule) -> None:
    """Let a softmax over a few classes, and what follows, be computed for many samples at once.

    With classes side by side in memory a processor's vector holds one sample's, half of it empty;
    with samples side by side it is full. Measured with 10 classes, 100 samples and 32 runs: from
    290 to 74 µs for the loss and its gradient.
    """
    from torch._inductor.inductor_prims import force_stride_order

    softmax = (torch.ops.aten._softmax.default, torch.ops.aten._log_softmax.default)  # noqa: SLF001 - their names
    for node in list(graph.graph.nodes):
        if node.op != "call_function" or node.target not in softmax:
            continue
        logits = node.args[0]
        known = _value(logits)
        if known is None or len(known.shape) != 3:  # noqa: PLR2004 - runs, samples, classes
            continue
        _, samples, classes = known.shape
        if classes < LANES <= samples:
            strides = [samples * classes, 1, samples]
            with graph.graph.inserting_before(node):
                turned = graph.graph.call_function(force_stride_order, (logits, strides))
            node.replace_input_with(logits, turned)
    graph.recompile()
