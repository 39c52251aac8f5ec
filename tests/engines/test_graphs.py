"""What a step runs as gives the same numbers, at every call, with less to call."""

from __future__ import annotations

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

aten = torch.ops.aten


def operations(graph: torch.fx.GraphModule) -> list[Any]:
    """Return what a graph calls."""
    return [node.target for node in graph.graph.nodes if node.op == "call_function"]


def random(*shape: int) -> Tensor:
    """Return the same numbers for the same shape."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_one_tensor_may_be_two_arguments() -> None:
    """Traced with the same tensor twice, a function still tells its arguments apart."""
    one = torch.ones(2)
    graph = traced(lambda a, b: a + 2 * b, one, one)
    assert graph(one, torch.zeros(2)).tolist() == [1, 1]
    assert scripted(graph, (one, one))(one, torch.zeros(2)).tolist() == [1, 1]


def test_what_does_nothing_is_left_out() -> None:
    """Views of the shape that is there already go; those of another shape stay."""

    def function(x: Tensor) -> Tensor:
        return x.view(2, 3).expand(2, 3).detach().reshape(3, 2) + 1

    graph = traced(function, random(2, 3))
    assert operations(graph) == [aten.view.default, aten.add.Tensor]
    assert torch.equal(graph(random(2, 3)), function(random(2, 3)))


def test_constants_are_computed_once() -> None:
    """What depends on no input is kept as a value."""
    graph = traced(lambda x: x * (torch.arange(3) + 1).prod(), random(3))
    assert operations(graph) == [aten.mul.Tensor]
    assert torch.equal(graph(random(3)), random(3) * 6)


def changed(x: Tensor) -> Tensor:
    """Add to a constant in place."""
    constant = torch.zeros(3)
    constant.add_(x)
    return constant


def changed_by_a_view(x: Tensor) -> Tensor:
    """Change a constant through a view of a part of it."""
    constant = torch.zeros(2, 3)
    constant[0].add_(x)
    return constant


@pytest.mark.parametrize("function", [changed, changed_by_a_view])
def test_what_is_changed_in_place_is_made_anew(function: Callable[[Tensor], Tensor]) -> None:
    """A second call starts from the constant again."""
    graph = traced(function, random(3))
    run = scripted(graph, (random(3),))
    for _ in range(2):
        assert torch.equal(graph(random(3)), function(random(3)))
        assert torch.equal(run(random(3)), function(random(3)))


def test_random_numbers_are_drawn_at_every_call() -> None:
    """They depend on no input, and are no constant."""
    graph = traced(lambda x: x + torch.rand(3), torch.zeros(3))
    run = scripted(graph, (torch.zeros(3),))
    assert not torch.equal(graph(torch.zeros(3)), graph(torch.zeros(3)))
    assert not torch.equal(run(torch.zeros(3)), run(torch.zeros(3)))


def test_large_constants_are_not_kept() -> None:
    """A graph does not hold memory that its function gives back."""
    graph = traced(lambda x: x + torch.ones(graphs.FOLDED_BYTES), torch.zeros(()))
    assert aten.ones.default in operations(graph)


@pytest.mark.parametrize(
    ("rows", "columns", "turned"), [(64, 10, True), (64, 32, False), (4, 10, False)]
)
def test_narrow_products_are_turned(rows: int, columns: int, *, turned: bool) -> None:
    """A product of many rows and few columns is computed as its transpose, with the same result."""
    left, right = random(3, rows, 17), random(3, 17, columns)
    graph = traced(torch.bmm, left, right)
    assert (graphs.TURN in operations(graph)) == turned
    torch.testing.assert_close(graph(left, right), torch.bmm(left, right))


@pytest.mark.parametrize("function", [torch.softmax, torch.log_softmax])
@pytest.mark.parametrize(("shape", "turned"), [((3, 64, 10), True), ((3, 4, 10), False)])
def test_narrow_softmax_is_turned(
    function: Callable[..., Tensor], shape: tuple[int, ...], *, turned: bool
) -> None:
    """A softmax over few classes is computed for many samples at once, and so is its gradient."""

    def gradient(x: Tensor, weight: Tensor) -> Tensor:
        slope: Tensor = torch.func.grad(lambda x: (function(x, -1) * weight).sum())(x)
        return slope

    arguments = random(*shape), random(*shape).cos()
    graph = traced(gradient, *arguments)
    assert (graphs.TURN in operations(graph)) == turned
    torch.testing.assert_close(graph(*arguments), gradient(*arguments))


def test_what_is_turned_may_be_viewed() -> None:
    """Values of other strides reach a view, which needs a copy then, and leave as they would."""

    def function(x: Tensor) -> tuple[Tensor, Tensor]:
        chances = torch.softmax(x, 2)
        return chances + 1, chances.view(-1, 5)

    graph = traced(function, random(3, 64, 10))
    run = scripted(graph, (random(3, 64, 10),))
    assert run is not graph
    for returned in (graph(random(3, 64, 10)), run(random(3, 64, 10))):
        torch.testing.assert_close(tuple(returned), function(random(3, 64, 10)))
        assert all(value.is_contiguous() for value in returned)


def strided(x: Tensor) -> Tensor:
    """Look at the memory of what is computed."""
    return torch.softmax(x, 2).as_strided((4,), (1,))


def doubled_in_place(x: Tensor) -> Tensor:
    """Change what is computed through a view."""
    chances = torch.softmax(x, 2)
    chances.view(-1).mul_(2)
    return chances


@pytest.mark.parametrize("function", [strided, doubled_in_place])
def test_what_hangs_on_strides_is_not_turned(function: Callable[[Tensor], Tensor]) -> None:
    """Where a turned value might be taken for another, none is turned."""
    graph = traced(function, random(3, 64, 10))
    assert graphs.TURN not in operations(graph)
    assert torch.equal(graph(random(3, 64, 10)), function(random(3, 64, 10)))


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


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "lion"])
def test_steps_run_without_python(monkeypatch: pytest.MonkeyPatch, optimizer: str) -> None:
    """The usual steps, whole batches and the rest of an epoch, are scripted."""
    without = []

    def spy(graph: Any, arguments: Any) -> Any:
        step = scripted(graph, arguments)
        without.append(step is not graph)
        return step

    monkeypatch.setattr("dlbench.engines.vectorized.scripted", spy)
    train(Experiment(digits_mlp(), optimizer=optimizer, batch_size=1000, steps=3, seeds=2))
    assert without == [True, True]
