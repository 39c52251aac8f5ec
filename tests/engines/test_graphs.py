"""What a step runs as gives the same numbers, at every call, with less to call."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest
import torch

from dlbench.engines import graphs, train
from dlbench.engines.graphs import scripted, traced
from dlbench.experiment import Experiment
from dlbench.workloads import digits_mlp

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def random(*shape: int) -> Tensor:
    """Return the same numbers for the same shape."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_one_tensor_may_be_two_arguments() -> None:
    """Traced with the same tensor twice, a function still tells its arguments apart."""
    one = torch.ones(2)
    graph = traced(lambda a, b: a + 2 * b, one, one)
    assert graph(one, torch.zeros(2)).tolist() == [1, 1]
    assert scripted(graph, (one, one))(one, torch.zeros(2)).tolist() == [1, 1]


def test_a_script_takes_and_returns_trees() -> None:
    """Lists, dicts and None come back as they would from the graph, with the same bits."""

    def function(state: list[Tensor], data: Any, rates: None) -> Any:
        del rates
        return {"state": [part.exp() for part in state], "sum": data["b"][0] - data["a"]}

    arguments = ([random(2), random(3)], {"b": (random(4), None), "a": torch.ones(4)}, None)
    graph = traced(function, *arguments)
    run = scripted(graph, arguments)
    assert run is not graph
    returned = run(*arguments)
    assert torch.equal(returned["state"][1], random(3).exp())
    assert torch.equal(returned["sum"], random(4) - 1)


def test_large_graphs_are_not_scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripting would hold everything that they compute at once."""
    monkeypatch.setattr(graphs, "SCRIPTED_BYTES", 11)
    graph = traced(torch.exp, random(3))
    assert scripted(graph, (random(3),)) is graph


def test_what_cannot_be_scripted_runs_as_it_was_traced() -> None:
    """TorchScript does not record the gradient of a layer norm; the graph computes it."""

    def gradient(x: Tensor) -> Tensor:
        slope: Tensor = torch.func.grad(lambda x: torch.layer_norm(x, (3,)).square().sum())(x)
        return slope

    graph = traced(gradient, random(2, 3))
    assert scripted(graph, (random(2, 3),)) is graph
    assert torch.equal(graph(random(2, 3)), gradient(random(2, 3)))


def test_large_constants_are_not_scripted() -> None:
    """PyTorch would hold them for the life of the process."""
    large = torch.ones(graphs.SCRIPTED_CONSTANTS)
    graph = traced(lambda x: x + large, torch.ones(()))
    assert scripted(graph, (torch.ones(()),)) is graph


def test_scripts_are_given_back() -> None:
    """PyTorch's own registry, which keeps what is in it, does not grow."""
    registry: Any = torch.jit._state._python_cu
    before = len(registry.get_functions())
    graph = traced(torch.exp, random(3))
    run = scripted(graph, (random(3),))
    assert run is not graph
    gc.collect()
    assert torch.equal(run(random(3)), random(3).exp())
    assert len(registry.get_functions()) == before


def test_an_error_in_a_script_tells_its_cause() -> None:
    """Not where in the script it happened."""
    arguments = (random(3), torch.tensor([1]))
    run = scripted(traced(lambda x, rows: x.gather(0, rows), *arguments), arguments)
    with pytest.raises(RuntimeError, match=r"^index 9 is out of bounds") as caught:
        run(random(3), torch.tensor([9]))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "lion"])
def test_steps_run_without_python(replaced: Callable[[str], list[bool]], optimizer: str) -> None:
    """The usual steps, whole batches and the rest of an epoch, are scripted."""
    without = replaced("scripted")
    train(Experiment(digits_mlp(), optimizer=optimizer, batch_size=1000, steps=3, seeds=2))
    assert without == [True, True]
