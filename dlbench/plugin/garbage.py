"""Python's garbage collector, which need not look at half a million imported objects again and again."""

from __future__ import annotations

import atexit
import gc
import sys
from typing import TYPE_CHECKING

import pytest

from dlbench.plugin.case import case_key

if TYPE_CHECKING:
    from collections.abc import Generator


class Garbage:
    """Sets aside what the first training left in memory, until the session is over.

    Tracing a training step makes so many objects that Python looks for cycles in all that there are,
    most of them Keras' and PyTorch's: 150 ms each time, a twentieth of a session (measured on a
    module of 42 cases). What is made later is collected as ever; what fixtures of a wider scope held
    then, and is in a cycle, at the end of the session.
    """

    def __init__(self) -> None:
        # Python 3.12 has some hundred objects set aside from its start.
        self._known = gc.get_freeze_count()
        self._used = False
        self._set_aside = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """Note the first test that uses dlbench."""
        self._used = self._used or case_key in item.stash

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        """After the first that trained all is imported, and what the test made is gone."""
        result = yield
        # Who has frozen something already would lose it by our thawing.
        ours = not self._set_aside and gc.get_freeze_count() == self._known
        if self._used and ours and "keras" in sys.modules:
            self._set_aside = True
            gc.collect()
            gc.freeze()
        return result

    def pytest_keyboard_interrupt(self) -> None:
        """Let Python take leave at once: at the end it would look through everything several times."""
        if self._used:
            atexit.unregister(gc.freeze)  # of an earlier session in this process
            atexit.register(gc.freeze)

    def pytest_unconfigure(self) -> None:
        """Leave the collector as it was."""
        if self._set_aside:
            self._set_aside = False
            gc.unfreeze()
