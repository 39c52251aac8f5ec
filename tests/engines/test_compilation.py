"""A step is compiled where that repays its cost, never silently wrong, and by no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from dlbench.engines import compilation, train
from dlbench.engines.compilation import (
    COST,
    MARGIN,
    SAVED_PER_NODE,
    compiled_step,
    has_compiler,
    worth_compiling,
)
from dlbench.engines.graphs import traced
from dlbench.experiment import Experiment
from dlbench.workloads import digits_mlp, xor

if TYPE_CHECKING:
    from collections.abc import Callable


def test_long_trainings_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is saved has to exceed the cost by the margin; "never" and "always" overrule it."""
    monkeypatch.setattr(compilation, "has_compiler", lambda: True)
    enough = int(MARGIN * COST / (100 * SAVED_PER_NODE)) + 1
    assert worth_compiling("auto", 100, enough)
    assert not worth_compiling("auto", 100, enough - 1)
    assert not worth_compiling("never", 100, enough)
    assert worth_compiling("always", 1, 1)


def test_nothing_is_compiled_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no C++ compiler is found, the traced step runs as it is."""
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert not has_compiler()
    assert not worth_compiling("always", 10**6, 10**6)


def test_a_failing_compiler_leaves_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever compilers raise, the step is the graph itself."""

    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr(torch, "compile", fail)
    monkeypatch.setattr("torch._inductor.compile", fail)
    arguments = ([torch.ones(2)], None, torch.ones(2), None)
    graph = traced(lambda state, _, rows, __: [state[0] + rows], *arguments)
    assert compiled_step(graph, arguments) is graph


@pytest.mark.skipif(not has_compiler(), reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_many_samples_of_few_classes(
    monkeypatch: pytest.MonkeyPatch, replaced: Callable[[str], list[bool]], optimizer: str
) -> None:
    """With samples side by side, and without torch.compile's checks, the curves are the same."""
    monkeypatch.setattr(compilation, "_by_dynamo", None)  # the compiler beneath it has to do
    steps = replaced("compiled_step")
    experiment = Experiment(
        digits_mlp(), optimizer=optimizer, learning_rate=0.01, batch_size=50, steps=30, seeds=3
    )
    traced = train(experiment, engine="vectorized", compiling="never")
    fast = train(experiment, engine="vectorized", compiling="always")
    assert steps == [True]
    for name, values in traced.curves.items():
        np.testing.assert_allclose(values, fast.curves[name], rtol=1e-4, err_msg=name)


@pytest.mark.skipif(not has_compiler(), reason="torch.compile needs a C++ compiler")
def test_compiled_curves_are_the_traced_ones() -> None:
    """Compiled or not, curves differ by rounding only."""
    experiment = Experiment(xor(), steps=12, seeds=2)
    traced = train(experiment, engine="vectorized", compiling="never")
    compiled = train(experiment, engine="vectorized", compiling="always")
    for name, values in traced.curves.items():
        np.testing.assert_allclose(values, compiled.curves[name], rtol=1e-5, err_msg=name)
