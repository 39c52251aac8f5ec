"""What tests of the engines share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dlbench.engines import vectorized

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[bool]]:
    """Return a function that notes whether a graph was replaced, each time that a step is made of it.

    It takes the name of what the vectorized engine makes steps by, and returns the notes.
    """

    def watch(name: str) -> list[bool]:
        notes: list[bool] = []
        make = getattr(vectorized, name)

        def spy(graph: Any, arguments: Any) -> Any:
            step = make(graph, arguments)
            notes.append(step is not graph)
            return step

        monkeypatch.setattr(vectorized, name, spy)
        return notes

    return watch
