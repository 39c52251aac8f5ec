"""Cases are chosen by parts of ids, and by expressions as pytest's `-k` has them."""

from __future__ import annotations

import pytest

from dlbench.cli.selection import selected
from dlbench.errors import NotFoundError

CASE = "benchmarks/test_rate.py::test_Adam[0.1-moons]"


@pytest.mark.parametrize(
    ("cases", "expression", "meant"),
    [
        ([], None, True), (["test_rate"], None, True), (["x", "[0.1-moons]"], None, True),
        (["x"], None, False), (["adam"], None, False), ([], "adam", True), ([], "sgd", False),
        ([], "adam and moons", True), ([], "adam and xor", False), ([], "xor or adam", True),
        ([], "not xor", True), ([], "not (adam or xor)", False), ([], "not not adam", True),
        ([], "xor and adam or moons", True), ([], "xor and (adam or moons)", False),
        (["test_rate"], "xor", False), ([], "[0.1-moons]", True),
    ],
)  # fmt: skip
def test_what_is_meant(cases: list[str], expression: str | None, meant: bool) -> None:
    """Any of the parts, and the expression, case ignored; `and` binds before `or`."""
    assert selected(cases, expression)(CASE) is meant


@pytest.mark.parametrize("expression", ["(", "a and", "or a", "a b", "(a", "a)", "not", "()", ")("])
def test_what_is_no_expression(expression: str) -> None:
    """A broken expression is refused with what is expected."""
    with pytest.raises(NotFoundError, match="is no expression: expected words"):
        selected([], expression)
