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

from dlbench.engines.graphs import flattened, leaves_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

SAVED_PER_NODE = 1.8e-6
"""Seconds that compiling saves a step for each operation of its graph: what PyTorch takes to call one.

Measured on one core with 123 operations and 32 runs: 286 µs scripted, 65 µs compiled. A graph that
cannot be scripted gains more; its operations are mostly large ones.
"""
COST = 12.0
"""Seconds that compiling takes: 5 to 16 were measured, the more the first time in a process."""
MARGIN = 2
"""By how much it has to be repaid."""

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

    state, data, _, _ = arguments
    constant = list(leaves_of(data))
    of_leaves, flat = flattened(graph, arguments)
    compiled: Callable[..., Any] = torch._inductor.compile(make_fx(of_leaves)(*flat), [*flat])  # noqa: SLF001 - the compiler beneath `torch.compile`
    if [part.stride() for part in compiled(*flat)] != [part.stride() for part in state]:
        raise ValueError("a step's state has other strides than what it was made of")

    def step(state: list[Tensor], data: Any, rows: Tensor, rates: Tensor | None) -> Any:
        del data  # they are `constant`
        return compiled(*state, *constant, rows, *(() if rates is None else (rates,)))

    return step
