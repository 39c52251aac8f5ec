"""The marker `convergence`: what a test says of its own gates, checked before anything trains."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME = "convergence"

HELP = (
    f"{NAME}(quick=True): of a test with dlbench's fixture `convergence`; quick=False leaves the "
    "test out under --dlbench-quick"
)

KEYS = ("quick",)


def marked(item: pytest.Item) -> dict[str, Any]:
    """Return what a test's markers say, each key from the marker closest to the test."""
    said: dict[str, Any] = {}
    for mark in item.iter_markers(NAME):
        said = dict(mark.kwargs) | said
    return said


def check_markers(items: Iterable[pytest.Item]) -> None:
    """Check every marker of these tests.

    Raises:
        pytest.UsageError: a key that is not known, or a value that cannot be meant.
    """
    for item in items:
        for mark in item.iter_markers(NAME):
            if mark.args:
                raise _wrong(item, f"takes keywords only, got {mark.args[0]!r}")
            for key in mark.kwargs:
                if key not in KEYS:
                    close = get_close_matches(key, KEYS, n=1)
                    hint = f"; did you mean {close[0]!r}?" if close else ""
                    raise _wrong(item, f"has no key {key!r}, only {', '.join(KEYS)}{hint}")
        if not isinstance(quick := marked(item).get("quick", True), bool):
            raise _wrong(item, f"takes quick=True or quick=False, got {quick!r}")


def _wrong(item: pytest.Item, what: str) -> pytest.UsageError:
    return pytest.UsageError(f"{item.nodeid}: the marker {NAME} {what}")
