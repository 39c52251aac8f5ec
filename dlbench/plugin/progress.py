"""How far a long training is: a line under pytest's own on a terminal, now and then one elsewhere."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    import pytest

TERMINAL_INTERVAL = 0.2
"""Seconds between two states of the line on a terminal."""
PLAIN_INTERVAL = 20.0
"""Seconds between two lines where there is no terminal."""

# Make room below (IND scrolls where need be and keeps the column), note the cursor, go down, erase.
_BELOW = "\x1bD\x1b[1A\x1b7\x1b[1B\r\x1b[2K"
_BACK = "\x1b8"


class Progress:
    """Writes past pytest's capturing and beside its own line; silent on an xdist worker."""

    def __init__(self, config: pytest.Config) -> None:
        self._reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
        self._capture: Any = config.pluginmanager.get_plugin("capturemanager")
        self._live = self._reporter is not None and (
            self._reporter.isatty and self._reporter.hasmarkup
        )
        self._name = self._unit = ""
        self._start = self._written = 0.0
        self._shown = self._pressed = False

    @contextlib.contextmanager
    def of(self, name: str, unit: str) -> Iterator[None]:
        """Show the progress of what is called `name` inside the block; leave no line behind it.

        Args:
            name: the test's.
            unit: what is counted.
        """
        self._name, self._unit, self._start = name, unit, time.monotonic()
        self._written = self._start
        try:
            with self._noticed_interrupts():
                yield
        finally:
            if self._shown:
                self._show("")

    @contextlib.contextmanager
    def _noticed_interrupts(self) -> Iterator[None]:
        """Let no Ctrl-C get lost in the block.

        One that falls into a finalizer or a weak reference's callback is only printed by Python, and
        training would go on: the next `update`, or the block's end, raises it again.
        """

        def note(number: int, frame: FrameType | None) -> None:
            self._pressed = True
            signal.default_int_handler(number, frame)

        own = threading.current_thread() is threading.main_thread()
        if not own or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            yield
            return
        signal.signal(signal.SIGINT, note)
        try:
            yield
            if self._pressed:
                raise KeyboardInterrupt
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._pressed = False

    def update(self, done: int, total: int) -> None:
        """Say how many of all are done; most calls write nothing and cost nothing.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed since the block began.
        """
        if self._pressed:
            raise KeyboardInterrupt
        if self._reporter is None or self._reporter.verbosity < 0:
            return
        now = time.monotonic()
        interval = TERMINAL_INTERVAL if self._live else PLAIN_INTERVAL
        if now - self._written < interval or not 0 < done < total:
            return
        self._written = now
        left = (now - self._start) / done * (total - done)
        self._show(f"{self._name}: {done:,} of {total:,} {self._unit}, {_duration(left)} left")

    def _show(self, text: str) -> None:
        with self._uncaptured():
            if self._live:
                width = shutil.get_terminal_size().columns - 1
                sys.stdout.write(f"{_BELOW}{text[:width]}{_BACK}")
                sys.stdout.flush()
                self._shown = bool(text)
            else:
                self._reporter.ensure_newline()
                self._reporter.write_line(text)
                self._reporter.flush()

    def _uncaptured(self) -> contextlib.AbstractContextManager[None]:
        if self._capture is None:
            return contextlib.nullcontext()
        context: contextlib.AbstractContextManager[None] = (
            self._capture.global_and_fixture_disabled()
        )
        return context


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
