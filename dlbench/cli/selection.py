"""Which cases a command is about: parts of test ids, and expressions as pytest's `-k` has them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dlbench.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_TOKEN = re.compile(r"[()]|[^\s()]+")


def selected(cases: Sequence[str], expression: str | None = None) -> Callable[[str], bool]:
    """Return a function that tells by a test's id whether it is meant.

    Args:
        cases: ids or parts of ids, any of which must be in it; none means all.
        expression: words that must be in it, case ignored, with `and`, `or`, `not` and parentheses.

    Raises:
        NotFoundError: the expression is none.
    """
    holds = _Expression(expression).read() if expression else None

    def is_meant(case: str) -> bool:
        named = not cases or any(one in case for one in cases)
        return named and (holds is None or holds(case.lower()))

    return is_meant


class _Expression:
    """A reader of `-k` by recursive descent; nothing is compiled or evaluated."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _TOKEN.findall(text)
        self.place = 0

    def read(self) -> Callable[[str], bool]:
        holds = self._either()
        if self.place < len(self.tokens):
            raise self._error()
        return holds

    def _either(self) -> Callable[[str], bool]:
        parts = [self._both()]
        while self._next_is("or"):
            parts.append(self._both())
        return lambda case: any(part(case) for part in parts)

    def _both(self) -> Callable[[str], bool]:
        parts = [self._one()]
        while self._next_is("and"):
            parts.append(self._one())
        return lambda case: all(part(case) for part in parts)

    def _one(self) -> Callable[[str], bool]:
        if self._next_is("not"):
            part = self._one()
            return lambda case: not part(case)
        if self._next_is("("):
            whole = self._either()
            if not self._next_is(")"):
                raise self._error()
            return whole
        if self.place == len(self.tokens) or self.tokens[self.place] in {")", "and", "or"}:
            raise self._error()
        word = self.tokens[self.place].lower()
        self.place += 1
        return lambda case: word in case

    def _next_is(self, token: str) -> bool:
        found = self.place < len(self.tokens) and self.tokens[self.place] == token
        self.place += found
        return found

    def _error(self) -> NotFoundError:
        return NotFoundError(
            f"-k {self.text!r} is no expression: expected words joined by and, or, not, ( and )"
        )
