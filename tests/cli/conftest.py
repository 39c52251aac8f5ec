"""What the tests of `dlbench compare` share: two saved runs, compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dlbench.cli.compare_sides import compared, saved_side
from dlbench.history.naming import Saved

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.cli.compare_sides import Compared


@pytest.fixture
def against(save: Any) -> Callable[..., Compared]:
    """A function that saves records as two runs and compares the second with the first."""

    def make(first: Any, second: Any, **session: Any) -> Compared:
        paths = [save(1, "old", records=first), save(2, "new", records=second, **session)]
        a, b = (saved_side(Saved.of(path)) for path in paths)
        return compared(a, b, lambda case: True, 0.01)

    return make
