"""The marker `convergence`: what a test says of its own gates, checked before anything trains."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import pytest

from dlbench.errors import GateError
from dlbench.plain import to_plain

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from dlbench.gate.rules import Rules
    from dlbench.plain import Plain

NAME = "convergence"

HELP = (
    f"{NAME}(gates=..., margin=..., higher_is_better=..., scale=..., quick=True): of a test with "
    "dlbench's fixture `convergence`. gates: the names of those that are compared with the baseline "
    "(training_loss, val_loss, val_..., steps_to_target, failed, parameters, points; default: all); "
    "margin: what is tolerated, as a share, for all or a dict by gate; higher_is_better: a dict by "
    "validation curve; scale: 'linear' for losses that may be 0 or less; quick=False leaves the test "
    "out under --dlbench-quick"
)

OF_GATES = ("gates", "margin", "higher_is_better", "scale")
KEYS = (*OF_GATES, "quick")

ALIKE = 0.9
"""From here on a name is taken for a misspelling of another; 1 where they are equal."""


def marked(item: pytest.Item) -> dict[str, Any]:
    """Return what a test's markers say, each key from the marker closest to the test."""
    said: dict[str, Any] = {}
    for mark in item.iter_markers(NAME):
        said = dict(mark.kwargs) | said
    return said


def said_of_gates(item: pytest.Item) -> dict[str, Plain]:
    """Return what a test's markers say of its gates, as builtins for its records."""
    return {key: to_plain(value) for key, value in marked(item).items() if key in OF_GATES}


def rules_of(item: pytest.Item) -> Rules:
    """Return what a test's markers say of its gates.

    Raises:
        GateError: a value that cannot be meant.
    """
    from dlbench.gate.rules import Rules

    return Rules.of(**{key: value for key, value in marked(item).items() if key in OF_GATES})


def check_markers(items: Iterable[pytest.Item]) -> None:
    """Check every marker of these tests.

    Raises:
        pytest.UsageError: a key that is not known, or a value that cannot be meant.
    """
    for item in items:
        marks = list(item.iter_markers(NAME))
        for mark in marks:
            if mark.args:
                raise _wrong(item, f"takes keywords only, got {mark.args[0]!r}")
            for key in mark.kwargs:
                if key not in KEYS:
                    close = get_close_matches(key, KEYS, n=1)
                    hint = f"; did you mean {close[0]!r}?" if close else ""
                    raise _wrong(item, f"has no key {key!r}, only {', '.join(KEYS)}{hint}")
        if not isinstance(quick := marked(item).get("quick", True), bool):
            raise _wrong(item, f"takes quick=True or quick=False, got {quick!r}")
        if any(key in mark.kwargs for mark in marks for key in OF_GATES):
            try:
                rules_of(item)
            except GateError as error:
                raise _wrong(item, f"says what cannot be meant: {error}") from error


def check_curves(item: pytest.Item, known: Collection[str]) -> None:
    """Check the curves that a test's markers name against those that it was accepted with.

    A name that is not among them may be new, as of a metric that comes with the marker: that shows
    when the case is called. A name that is all but one of them is misspelt; not one that differs in
    its numbers alone, as `val_top_5` from `val_top_3`.

    Args:
        item: the test; its markers are checked.
        known: the names that were accepted.

    Raises:
        pytest.UsageError: a misspelt curve.
    """
    rules = rules_of(item)
    said = {*(rules.gates or ()), *rules.margins, *rules.higher_is_better, *rules.scales}
    for name in sorted(each for each in said - set(known) if each.startswith("val_")):
        close = get_close_matches(name, known, n=1, cutoff=ALIKE)
        if close and _letters(name) != _letters(close[0]):
            raise _wrong(
                item,
                f"names {name!r}, which this test was not accepted with; did you mean {close[0]!r}? "
                "Where it is new, --dlbench-accept takes it",
            )


def _letters(name: str) -> str:
    return "".join(sign for sign in name if sign.isalpha())


def _wrong(item: pytest.Item, what: str) -> pytest.UsageError:
    return pytest.UsageError(f"{item.nodeid}: the marker {NAME} {what}")
