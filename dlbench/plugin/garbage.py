"""Python's garbage collector, which need not look at half a million imported objects again and again."""

from __future__ import annotations

import atexit
import gc

import pytest

from dlbench.plugin.case import case_key


class Garbage:
    """Sets aside what the first training left in memory, until the session is over.

    Tracing a training step makes so many objects that Python looks for cycles in all that there are,
    most of them Keras' and PyTorch's: 150 ms each time, a twentieth of a session (measured on a
    module of 42 cases). What is made later is collected as ever.
    """

    def __init__(self) -> None:
        self._used = False
        self._set_aside = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """Note the first test that uses dlbench."""
        self._used = self._used or case_key in item.stash

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(self) -> None:
        """After that test everything is imported."""
        # Who has frozen something already would lose it by our thawing.
        if self._used and not self._set_aside and not gc.get_freeze_count():
            self._set_aside = True
            gc.collect()
            gc.freeze()

    def pytest_keyboard_interrupt(self) -> None:
        """Let Python take leave at once: at the end it would look through everything several times."""
        if self._used:
            atexit.register(gc.freeze)

    def pytest_unconfigure(self) -> None:
        """Leave the collector as it was."""
        if self._set_aside:
            self._set_aside = False
            gc.unfreeze()
