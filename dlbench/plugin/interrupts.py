"""Ctrl-C in a training: its place in the test, without the arguments of the fifty frames beneath."""

from __future__ import annotations

from pathlib import Path

import pytest

DOOR = Path(__file__).with_name("fixtures.py")
"""What tests call."""


class Interrupts:
    """Shortens what pytest tells of an interrupt."""

    def __init__(self, config: pytest.Config) -> None:
        # The option is pytest's terminal's, which may be off.
        self._whole = bool(getattr(config.option, "fulltrace", False))

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Cut the traceback of an interrupted training down to the line of the test that began it.

        pytest puts every frame into words, arguments and all, and prints the last one. With the
        tensors of a training step that takes longer than all else between Ctrl-C and the end.
        """
        frames = excinfo.traceback
        doors = [number for number, frame in enumerate(frames) if frame.path == DOOR]
        if doors and not self._whole:
            excinfo.traceback = frames[doors[0] - 1 : doors[0]]
