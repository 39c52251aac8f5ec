"""Progress on long trainings: where it is written, when, and what is left behind."""

from __future__ import annotations

import contextlib
import re
import signal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from dlbench.plugin import progress
from dlbench.plugin.progress import PLAIN_INTERVAL, TERMINAL_INTERVAL, Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Suite


class Reporter:
    """pytest's terminal reporter, as far as progress asks it."""

    def __init__(self, *, terminal: bool, verbosity: int) -> None:
        self.isatty = self.hasmarkup = terminal
        self.verbosity = verbosity
        self.lines: list[str] = []
        self.dots = True

    def ensure_newline(self) -> None:
        """End the line of dots."""
        self.dots = False

    def write_line(self, line: str) -> None:
        """Keep a line."""
        assert not self.dots
        self.lines.append(line)

    def flush(self) -> None:
        """Do nothing."""


class Capture:
    """pytest's capture manager: tells whether capturing is off."""

    off = False

    @contextlib.contextmanager
    def global_and_fixture_disabled(self) -> Iterator[None]:
        """Turn capturing off for a block."""
        self.off = True
        yield
        self.off = False


class Clock:
    """A clock that goes when told."""

    now = 1000.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that progress reads."""
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is written to the terminal."""
    written: list[str] = []
    stream = SimpleNamespace(write=written.append, flush=lambda: None)
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stdout=stream))
    return written


def progress_of(reporter: Reporter | None, capture: Capture | None = None) -> Progress:
    """Return progress for a run that has this reporter and capture manager."""
    plugins = {"terminalreporter": reporter, "capturemanager": capture}
    config: Any = SimpleNamespace(pluginmanager=SimpleNamespace(get_plugin=plugins.get))
    return Progress(config)


def visible(text: str) -> str:
    """Return text without the terminal's control sequences."""
    return re.sub(r"\x1b(\[[0-9]*[A-Za-z]|[D78])|\r", "", text)


def test_a_line_now_and_then_where_there_is_no_terminal(clock: Clock, screen: list[str]) -> None:
    """Every twenty seconds a line of its own: the test, how far, and the time left."""
    reporter = Reporter(terminal=False, verbosity=0)
    shown = progress_of(reporter, Capture())
    with shown.of("test_it[4]", "updates over 5 seeds"):
        for done in range(1, 100):
            clock.now += PLAIN_INTERVAL / 10
            shown.update(done, 1000)
    assert len(reporter.lines) == 9
    assert reporter.lines[0] == "test_it[4]: 10 of 1,000 updates over 5 seeds, 33 min 00 s left"
    assert screen == []


def test_a_short_training_says_nothing(clock: Clock, screen: list[str]) -> None:
    """What ends before the first interval, or is done, is not told of."""
    reporter = Reporter(terminal=False, verbosity=0)
    shown = progress_of(reporter)
    with shown.of("test_it", "updates"):
        clock.now += PLAIN_INTERVAL * 0.9
        shown.update(9, 10)
        clock.now += PLAIN_INTERVAL
        shown.update(0, 10)
        shown.update(10, 10)
    assert reporter.lines == []
    assert reporter.dots
    assert screen == []


def test_on_a_terminal_one_line_below_is_drawn_over_and_erased(
    clock: Clock, screen: list[str]
) -> None:
    """The line under pytest's dots is kept up to date; at the end nothing is left of it."""
    reporter = Reporter(terminal=True, verbosity=0)
    shown = progress_of(reporter, Capture())
    with shown.of("test_it", "seeds"):
        for done in range(1, 4):
            clock.now += TERMINAL_INTERVAL * 1.1
            shown.update(done, 10)
            shown.update(done, 10)  # too soon after the last
    texts = [visible(text) for text in screen]
    assert texts[:1] == ["test_it: 1 of 10 seeds, 2 s left"]
    assert len(texts) == 4
    assert texts[-1] == ""
    for text in screen:
        # Below, saved, down, start of line, erased … and back to where pytest writes its dots.
        assert text.startswith("\x1bD\x1b[1A\x1b7\x1b[1B\r\x1b[2K")
        assert text.endswith("\x1b8")
        assert "\n" not in text
    assert reporter.lines == []
    assert reporter.dots


def test_the_line_goes_when_training_fails(clock: Clock, screen: list[str]) -> None:
    """An error, or Ctrl-C, leaves no half line behind."""
    shown = progress_of(Reporter(terminal=True, verbosity=0))
    with pytest.raises(KeyboardInterrupt), shown.of("test_it", "updates"):
        clock.now += 1
        shown.update(1, 10)
        raise KeyboardInterrupt
    assert visible(screen[-1]) == ""
    assert len(screen) == 2


def test_a_long_line_is_cut_to_the_terminal(
    clock: Clock, screen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must not wrap: the line below the dots is one line."""
    monkeypatch.setenv("COLUMNS", "30")
    shown = progress_of(Reporter(terminal=True, verbosity=0))
    with shown.of("test_" + "x" * 100, "updates"):
        clock.now += 1
        shown.update(1, 10)
    assert len(visible(screen[0])) == 29


@pytest.mark.parametrize("reporter", [None, Reporter(terminal=True, verbosity=-1)])
def test_silent_on_a_worker_and_when_quiet(
    clock: Clock, screen: list[str], reporter: Reporter | None
) -> None:
    """A worker of pytest-xdist has no terminal; `-q` asks for less."""
    shown = progress_of(reporter, Capture())
    with shown.of("test_it", "updates"):
        clock.now += 1000
        shown.update(1, 10)
    assert screen == []


def test_it_is_written_past_the_capturing(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """What pytest captures of a test holds no progress."""
    capture = Capture()
    reporter = Reporter(terminal=False, verbosity=0)
    seen = []
    monkeypatch.setattr(reporter, "flush", lambda: seen.append(capture.off))
    shown = progress_of(reporter, capture)
    with shown.of("test_it", "updates"):
        clock.now += PLAIN_INTERVAL + 1
        shown.update(1, 10)
    assert seen == [True]
    assert not capture.off


FAST = """
    import pytest
    from dlbench.plugin import progress

    @pytest.fixture(autouse=True)
    def at_once(monkeypatch):
        monkeypatch.setattr(progress, "PLAIN_INTERVAL", 0.0)
"""

LONG = """
    def test_loop(convergence, capsys):
        print("said by the test")
        convergence.record(loop, seeds=3)
        assert capsys.readouterr().out == "said by the test\\n"

    def test_trained(convergence):
        convergence(build, **LEARNS)

    def test_after():
        pass
"""


def test_in_a_real_run_dots_and_captured_output_stay_whole(suite: Suite) -> None:
    """Without a terminal, progress takes lines of its own between pytest's."""
    suite.pytester.makeconftest(FAST)
    suite.write(LONG)
    ran = suite.run("--benchmark-disable")
    ran.result.assert_outcomes(passed=3)
    ran.result.stdout.fnmatch_lines(
        [
            "test_loop: 1 of 3 seeds, * s left",
            "test_loop: 2 of 3 seeds, * s left",
            ".",
            "test_tiny.py *",
            "test_trained: 2 of 10 updates over 2 runs, * s left",
            ".",
            "test_tiny.py .*[[]100%]",
        ]
    )


@pytest.mark.parametrize("argument", ["-q", "-v", "-s", "--capture=sys", "-p no:terminal"])
def test_with_other_options_of_pytest(suite: Suite, argument: str) -> None:
    """However pytest writes, tests pass; with `-q` nothing is told of the way."""
    suite.pytester.makeconftest(FAST)
    suite.write(LONG)
    ran = suite.run("--benchmark-disable", *argument.split())
    assert ran.result.ret == 0
    told = "test_loop: 1 of 3 seeds" in ran.output
    assert told is (argument not in {"-q", "-p no:terminal"})
    if argument == "-v":
        assert "test_tiny.py::test_after PASSED" in ran.output


@pytest.fixture
def listening() -> Iterator[None]:
    """Ctrl-C is Python's, also where these tests run in a shell's background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def swallowed_interrupt() -> None:
    """Send Ctrl-C to where it does not get through, as to a finalizer."""
    with contextlib.suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.usefixtures("listening")
def test_an_interrupt_that_was_swallowed_comes_with_the_next_update() -> None:
    """It ends the training all the same; afterwards Ctrl-C is Python's again, and forgotten."""
    shown, before = progress_of(None), signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), shown.of("test_a", "updates"):
        swallowed_interrupt()
        shown.update(1, 10)
    assert signal.getsignal(signal.SIGINT) is before
    shown.update(2, 10)


@pytest.mark.usefixtures("listening")
def test_an_interrupt_that_was_swallowed_last_comes_at_the_end() -> None:
    """Where no update follows, the end of the block raises it."""
    with pytest.raises(KeyboardInterrupt), progress_of(None).of("test_a", "updates"):
        swallowed_interrupt()
