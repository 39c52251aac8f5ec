"""A graph rewritten gives the same numbers, at every call, whatever is changed in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.fx.experimental import proxy_tensor

from dlbench.engines import rewriting
from dlbench.engines.graphs import scripted, traced
from dlbench.engines.rewriting import Value, value_of

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


def test_values_are_described() -> None:
    """Beside each node stands what rewriting needs; PyTorch's own note is as it was afterwards."""
    before = proxy_tensor.extract_val
    graph = traced(lambda x: x.exp().transpose(0, 1), random(2, 3))
    assert proxy_tensor.extract_val is before
    values = [value_of(node) for node in graph.graph.nodes]
    assert values[0] == values[1] == Value((2, 3), (3, 1), torch.float32, "cpu", is_dense=True)
    assert values[2] == Value((3, 2), (1, 3), torch.float32, "cpu", is_dense=False)
    assert values[0].bytes == 24


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


def changed(x: Tensor, kept: Tensor) -> Any:
    """Add to a new constant in place."""
    del kept
    constant = torch.zeros(3)
    constant.add_(x)
    return constant * 1


def changed_by_a_view(x: Tensor, kept: Tensor) -> Any:
    """Change a new constant through a view of a part of it."""
    del kept
    constant = torch.zeros(2, 3)
    constant[0].add_(x)
    return constant * 1


def changed_statistics(x: Tensor, kept: Tensor) -> Any:
    """Let an operation change a constant that does not say so."""
    del kept
    mean = torch.zeros(3)
    rows = torch.stack([x, 2 * x])
    out = torch.nn.functional.batch_norm(rows, mean, torch.ones(3), training=True)
    return out, mean * 1


def counted(x: Tensor, kept: Tensor) -> Any:
    """Count in a tensor from outside."""
    kept.add_(1)
    return x + kept


def viewed_before(x: Tensor, kept: Tensor) -> Any:
    """Read a tensor from outside before it changes, and after."""
    before = kept.view(3) * 1
    kept.add_(x)
    return before + kept


@pytest.mark.parametrize(
    "function", [changed, changed_by_a_view, changed_statistics, counted, viewed_before]
)
def test_what_is_changed_in_place_is_made_anew(function: Callable[..., Any]) -> None:
    """Every call does what the function would, also with what it changes itself."""
    theirs, ours = torch.ones(3), torch.ones(3)
    graph = traced(lambda x: function(x, ours), random(3))
    ours.fill_(1)  # tracing calls the function
    run = scripted(graph, (random(3),))
    for call in (graph, run, graph, run):
        ours.copy_(theirs)
        torch.testing.assert_close(call(random(3)), function(random(3), theirs))


def test_a_caller_may_change_what_it_is_given() -> None:
    """A constant that is returned is a new one at every call."""
    graph = traced(lambda x: (x + 1, torch.zeros(3)), random(3))
    graph(random(3))[1].add_(5)
    assert graph(random(3))[1].tolist() == [0, 0, 0]


def test_random_numbers_are_drawn_at_every_call() -> None:
    """They depend on no input, and are no constant."""
    graph = traced(lambda x: x + torch.rand(3), torch.zeros(3))
    run = scripted(graph, (torch.zeros(3),))
    assert not torch.equal(graph(torch.zeros(3)), graph(torch.zeros(3)))
    assert not torch.equal(run(torch.zeros(3)), run(torch.zeros(3)))


def test_large_constants_are_not_kept() -> None:
    """A graph does not hold memory that its function gives back."""
    graph = traced(lambda x: x + torch.ones(rewriting.FOLDED_BYTES), torch.zeros(()))
    assert aten.ones.default in operations(graph)


@pytest.mark.parametrize(
    ("rows", "columns", "turned"), [(64, 10, True), (64, 32, False), (4, 10, False)]
)
def test_narrow_products_are_turned(rows: int, columns: int, *, turned: bool) -> None:
    """A product of many rows and few columns is computed as its transpose, with the same result."""
    left, right = random(3, rows, 17).double(), random(3, 17, columns).double()
    graph = traced(torch.bmm, left, right)
    assert (rewriting.TURN in operations(graph)) == turned
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
    assert (rewriting.TURN in operations(graph)) == turned
    torch.testing.assert_close(graph(*arguments), gradient(*arguments))


def pooled(pictures: Tensor) -> Tensor:
    """Return the largest of each 2 x 2, as Keras takes them of pictures of shape (…, channels)."""
    first = pictures.permute(0, 3, 1, 2).contiguous()
    return torch.nn.functional.max_pool2d(first, 2).permute(0, 2, 3, 1)


def test_pictures_are_pooled_as_they_lie() -> None:
    """Pooling copies no picture first; ties have the same winner, and the gradient is the same."""

    def step(pictures: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        slope: Tensor = torch.func.grad(lambda x: (pooled(x) * weight).sum())(pictures)
        return pooled(pictures), slope

    arguments = random(3, 4, 6, 6, 8).mul(2).round(), random(4, 3, 3, 8)
    many = torch.func.vmap(step, in_dims=(0, None))
    graph = traced(many, *arguments)
    assert aten.clone.default not in operations(graph)
    for returned, expected in zip(graph(*arguments), many(*arguments), strict=True):
        assert torch.equal(returned, expected)


def changed_before_it_is_pooled(pictures: Tensor) -> Tensor:
    """Change what was copied before the copy is pooled."""
    first = (pictures + 1).permute(0, 3, 1, 2) + 1
    copied = first.clone(memory_format=torch.contiguous_format)
    first.mul_(-1)
    return torch.nn.functional.max_pool2d(copied, 2) + first.sum()


def used_elsewhere(pictures: Tensor) -> Tensor:
    """Do more with a copy than pool it."""
    first = pictures.permute(0, 3, 1, 2).contiguous()
    return torch.nn.functional.max_pool2d(first, 2).sum() + first


@pytest.mark.parametrize("function", [changed_before_it_is_pooled, used_elsewhere])
def test_what_needs_its_copy_keeps_it(function: Callable[[Tensor], Tensor]) -> None:
    """A copy of what is changed afterwards, or that something else reads, stays."""
    graph = traced(function, random(4, 6, 6, 8))
    assert aten.clone.default in operations(graph)
    assert torch.equal(graph(random(4, 6, 6, 8)), function(random(4, 6, 6, 8)))


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


def strided(chances: Tensor) -> Tensor:
    """Look at the memory of what is computed."""
    return chances.as_strided((4,), (1,))


def halves(chances: Tensor) -> Tensor:
    """Take each number for two."""
    return chances.view(torch.int16)


def pairs(chances: Tensor) -> Tensor:
    """Take each two numbers for one."""
    return torch.view_as_complex(chances.view(3, 64, 5, 2))


def doubled_by_a_view(chances: Tensor) -> Tensor:
    """Change what is computed through a view."""
    chances.view(-1).mul_(2)
    return chances


def doubled_in_part(chances: Tensor) -> Tensor:
    """Change a part of a view."""
    torch.split(chances.view(-1), 10)[0].mul_(2)
    return chances


def doubled_before_a_view_is_read(chances: Tensor) -> Tensor:
    """Change what was viewed before."""
    view = chances.view(-1)
    chances.mul_(2)
    return view


@pytest.mark.parametrize(
    "function",
    [strided, halves, pairs, doubled_by_a_view, doubled_in_part, doubled_before_a_view_is_read],
)
def test_what_hangs_on_strides_is_not_turned(function: Callable[[Tensor], Tensor]) -> None:
    """Where a turned value might be taken for another, none is turned."""
    graph = traced(lambda x: function(torch.softmax(x, 2)), random(3, 64, 10))
    assert rewriting.TURN not in operations(graph)
    assert torch.equal(graph(random(3, 64, 10)), function(torch.softmax(random(3, 64, 10), 2)))


def test_what_is_new_may_be_changed() -> None:
    """The gradient of a clamp changes a mask in place: that keeps nothing from being turned."""

    def gradient(x: Tensor) -> Tensor:
        slope: Tensor = torch.func.grad(lambda x: torch.softmax(x, 2).clamp(0.1, 0.2).sum())(x)
        return slope

    graph = traced(gradient, random(3, 64, 10))
    assert rewriting.TURN in operations(graph)
    torch.testing.assert_close(graph(random(3, 64, 10)), gradient(random(3, 64, 10)))
