"""When `torch.compile` repays its cost, and the step it makes.

The decision depends on the work to come alone, not on a clock: the same experiment is compiled in
every run or in none, so that its curves repeat to the bit.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any, Literal

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

SAVED_PER_NODE = 3.2e-6
"""Seconds that compiling saves a step for each operation of its graph: what PyTorch takes to call one.

Measured on one core with 176 operations and 32 runs: 623 µs as it is, 72 µs compiled.
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
        graph: the traced step.
        arguments: what it will be called with; one call compiles it here.
    """
    step: Callable[..., Any] = torch.compile(graph, dynamic=False, fullgraph=True)
    try:
        with torch.no_grad():
            step(*arguments)
    except Exception:  # noqa: BLE001 - whatever a compiler may lack, the graph runs without it
        return graph
    return step
