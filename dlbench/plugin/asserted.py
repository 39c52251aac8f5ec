"""What an assertion says of runs, read from its source and its names.

A bound compares one number of some runs with a number of the test's: `runs.final("loss").median() <=
highest`. No function of the test's own is called for it. Names, constants, subscripts of plain containers
and arithmetic are looked up; called are only the methods below, of `Runs` and of the Series that they
return, which compute and change nothing. What is written in any other way is no bound.
"""

from __future__ import annotations

import ast
import math
import operator
import warnings
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dlbench.history.record import Asserted
    from dlbench.runs import Runs

SUMMARIES = {
    "final": ("metric",),
    "best": ("metric",),
    "at": ("metric", "step"),
    "steps_to": ("metric", "target"),
    "steps_to_target": (),
    "mean_log_loss": ("floor",),
    "oscillation": ("metric",),
}
"""The methods of `Runs` that return a number a seed, and what they take."""

STATISTICS = ("median", "mean", "min", "max", "quantile")
"""The methods of a Series that make one number of it."""

REGIMES = ("converged", "slow", "stalled", "diverged")

SIGNS: dict[type[ast.cmpop], tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge),
    ast.Eq: ("==", operator.eq),
}
TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE, ast.Eq: ast.Eq,
}  # fmt: skip
"""What holds of the right side, where this holds of the left."""

OPERATIONS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: math.pow,  # of floats: no power takes for ever
    **{sign: holds for sign, (_, holds) in SIGNS.items()},
}
"""Of numbers and texts."""


class Unreadable(Exception):  # noqa: N818 - no error: the test asserts something else
    """An expression that is not of the few forms that are read."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Where an assertion stands."""

    names: Mapping[str, object]
    """What each name means there."""
    written: Mapping[str, ast.expr]
    """How the names that are assigned once were: `updates = runs.steps_to_target()`."""
    known: Callable[[object], bool]
    """Whether an object is one of the test's runs."""

    def origin(self, name: str) -> tuple[ast.expr, Scope]:
        """Return how a name was assigned, and a scope in which it was not yet.

        Raises:
            Unreadable: more than once, or not in this function.
        """
        if name not in self.written:
            raise Unreadable
        rest = {other: how for other, how in self.written.items() if other != name}
        return self.written[name], replace(self, written=rest)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number of some runs."""

    runs: Runs
    summary: str
    metric: str
    value: Any
    """A number or, as long as there is no statistic, a Series with a value a seed."""
    at: float | None = None
    statistic: str = ""

    def bound(self, sign: type[ast.cmpop], bound: float) -> tuple[Runs, Asserted]:
        """Return the runs, and what is asserted of them.

        Raises:
            Unreadable: no comparison by size, or one with infinity, which says nothing.
        """
        if sign not in SIGNS or not math.isfinite(bound):
            raise Unreadable
        comparison, holds = SIGNS[sign]
        measured = float(self.value)
        return self.runs, {
            "summary": self.summary,
            "metric": self.metric,
            "at": self.at,
            "statistic": self.statistic,
            "comparison": comparison,
            "bound": bound,
            "measured": measured if math.isfinite(measured) else None,
            "held": bool(holds(measured, bound)),
        }


def bounds_in(test: ast.expr, scope: Scope, *, held: bool) -> list[tuple[Runs, Asserted]]:
    """Return the bounds that an assertion sets, each with the runs that it is on.

    Args:
        test: what is asserted.
        scope: where.
        held: whether it does. What does not come out so was not what was asserted.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the test itself was told already
        found = list(_bounds(test, scope))
    if held:
        return [(runs, bound) for runs, bound in found if bound["held"]]
    return found if any(not bound["held"] for _, bound in found) else []


def _bounds(test: ast.expr, scope: Scope) -> Iterator[tuple[Runs, Asserted]]:
    """Yield the bounds in a condition; what is none is passed over."""
    parts: list[tuple[Callable[..., tuple[Runs, Asserted]], tuple[Any, ...]]] = []
    match test:
        case ast.BoolOp(op=ast.And(), values=values):
            for value in values:
                yield from _bounds(value, scope)
        case ast.IfExp(test=condition, body=body, orelse=orelse):
            try:
                chosen = body if plain(condition, scope) else orelse
            except Unreadable:
                return
            yield from _bounds(chosen, scope)
        case ast.Compare(left=left, ops=signs, comparators=others):
            sides = [left, *others]
            parts = [
                (_pair, (one, type(sign), other))
                for one, sign, other in zip(sides, signs, others, strict=False)
            ]
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            parts = [(_of_seeds, (inner, True))]
        case _:
            parts = [(_of_seeds, (test, False))]
    for read, arguments in parts:
        try:
            yield read(*arguments, scope)
        except Unreadable:
            continue


def _pair(
    left: ast.expr, sign: type[ast.cmpop], right: ast.expr, scope: Scope
) -> tuple[Runs, Asserted]:
    """Read `left sign right`, whichever side the runs are on."""
    if isinstance(left, ast.Attribute) and left.attr == "regime" and sign is ast.Eq:
        return _one(_share(left.value, plain(right, scope), scope), "mean", {}).bound(sign, 1.0)
    try:
        measured = _number_of_runs(left, scope)
    except Unreadable:
        return _number_of_runs(right, scope).bound(TURNED.get(sign, sign), _number(left, scope))
    return measured.bound(sign, _number(right, scope))


def _of_seeds(test: ast.expr, turned: bool, scope: Scope) -> tuple[Runs, Asserted]:  # noqa: FBT001
    """Read `….all()` and `….any()`, or the contrary, of a regime; and `(… <= bound).all()`."""
    match test:
        case ast.Call(func=ast.Attribute(value=inner, attr="all" | "any" as how), args=[]):
            pass
        case _:
            raise Unreadable
    match inner:
        case ast.Compare(left=left, ops=[sign], comparators=[right]) if not _is_regimes(left):
            if turned or how == "any":
                raise Unreadable
            return _every(_series_of_runs(left, scope), type(sign), _number(right, scope))
    share = _one(_series_of_runs(inner, scope), "mean", {})
    if how == "all":
        return share.bound(ast.Lt if turned else ast.Eq, 1.0)
    return share.bound(ast.Eq if turned else ast.Gt, 0.0)


def _every(series: Quantity, sign: type[ast.cmpop], bound: float) -> tuple[Runs, Asserted]:
    """Return a bound on every seed, which is one on the worst: none if a seed has no value."""
    if sign not in {ast.Lt, ast.LtE, ast.Gt, ast.GtE}:
        raise Unreadable
    worst = "max" if sign in {ast.Lt, ast.LtE} else "min"
    return _one(series, worst, {"skipna": False}).bound(sign, bound)


# ---- numbers of runs


def _number_of_runs(node: ast.expr, scope: Scope) -> Quantity:
    """Read a number of the runs of one call: a statistic over the seeds."""
    match node:
        case ast.Name(id=name):
            found = _number_of_runs(*scope.origin(name))
            return _checked(found, found.value == scope.names[name])
        case ast.Call(func=ast.Attribute(value=inner, attr=statistic)) if statistic in STATISTICS:
            arguments = _arguments(node, ("q",) if statistic == "quantile" else (), scope)
            return _one(_series_of_runs(inner, scope), statistic, arguments)
    raise Unreadable


def _series_of_runs(node: ast.expr, scope: Scope) -> Quantity:
    """Read a number a seed of the runs of one call."""
    match node:
        case ast.Name(id=name):
            found = _series_of_runs(*scope.origin(name))
            return _checked(found, found.value.equals(scope.names[name]))
        case ast.Attribute(value=receiver, attr="failed" | "diverged" as regime):
            return _share(receiver, regime, scope)
        case ast.Compare(left=ast.Attribute(value=receiver), ops=[ast.Eq()], comparators=[regime]):
            if _is_regimes(node.left):
                return _share(receiver, plain(regime, scope), scope)
        case ast.Call(func=ast.Attribute(value=receiver, attr=summary)) if summary in SUMMARIES:
            runs = _runs(receiver, scope)
            taken = _arguments(node, SUMMARIES[summary], scope)
            return _summary(runs, summary, taken)
    raise Unreadable


def _summary(runs: Runs, summary: str, taken: dict[str, Any]) -> Quantity:
    values = getattr(runs, summary)(**taken)
    if values is None:  # no target
        raise Unreadable
    if summary == "steps_to_target" and runs.target:
        taken = {"metric": runs.target[0], "target": runs.target[1]}
        summary = "steps_to"
    metric = taken.get("metric", runs.loss_name if summary == "mean_log_loss" else "loss")
    at = taken.get("step", taken.get("target"))
    return Quantity(runs, summary, str(metric), values, None if at is None else float(at))


def _share(receiver: ast.expr, regime: object, scope: Scope) -> Quantity:
    """Return whether each seed has a regime, or failed."""
    runs = _runs(receiver, scope)
    if regime == "failed":
        return Quantity(runs, "share", "failed", runs.failed)
    if regime not in REGIMES:
        raise Unreadable
    return Quantity(runs, "share", str(regime), runs.regimes == regime)


def _one(series: Quantity, statistic: str, arguments: dict[str, Any]) -> Quantity:
    """Return one number of a number a seed: of whether it has a regime, the share alone."""
    if series.summary == "share":
        if statistic != "mean":
            raise Unreadable
        return replace(series, value=float(series.value.mean()))
    value = float(getattr(series.value, statistic)(**arguments))
    words = f"quantile {arguments.get('q', 0.5):g}" if statistic == "quantile" else statistic
    return replace(series, value=value, statistic=words)


def _checked(found: Quantity, same: object) -> Quantity:
    """Return what a name was assigned, if that is what it still means."""
    if not same:
        raise Unreadable
    return found


def _is_regimes(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "regimes"


def _runs(node: ast.expr, scope: Scope) -> Runs:
    runs: Any = plain(node, scope)
    if not scope.known(runs):
        raise Unreadable
    return runs  # type: ignore[no-any-return]


def _arguments(call: ast.Call, names: tuple[str, ...], scope: Scope) -> dict[str, Any]:
    if len(call.args) > len(names) or any(word.arg is None for word in call.keywords):
        raise Unreadable
    given = {name: plain(one, scope) for name, one in zip(names, call.args, strict=False)}
    return given | {str(word.arg): plain(word.value, scope) for word in call.keywords}


# ---- what the test holds them against


def _number(node: ast.expr, scope: Scope) -> float:
    value = plain(node, scope)
    if isinstance(value, (bool, str)) or not isinstance(value, Real):
        raise Unreadable
    return float(value)


def plain(node: ast.expr, scope: Scope) -> Any:  # noqa: PLR0911 - a form a line
    """Return what an expression means, without calling anything of the test's.

    Raises:
        Unreadable: it cannot be told so.
    """
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name) if name in scope.names:
            return scope.names[name]
        case ast.Tuple(elts=items):
            return tuple(plain(item, scope) for item in items)
        case ast.Subscript(value=container, slice=place):
            found = plain(container, scope)
            if type(found) in {dict, list, tuple}:
                return found[plain(place, scope)]
        case ast.IfExp(test=condition, body=body, orelse=orelse):
            return plain(body if plain(condition, scope) else orelse, scope)
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_number(inner, scope)
        case (
            ast.BinOp(left=left, op=op, right=right)
            | ast.Compare(left=left, ops=[op], comparators=[right])
        ):
            sides = [plain(one, scope) for one in (left, right)]
            if type(op) in OPERATIONS and all(isinstance(one, (Real, str)) for one in sides):
                return OPERATIONS[type(op)](*sides)
    raise Unreadable
