"""Figures as bytes, drawn here or by other processes."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import joblib
import pytest

from dlbench.report import rendering
from dlbench.report.analysis import studies
from dlbench.report.style import Palette

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dlbench.history.record import Record
    from dlbench.report.study import Study


@pytest.fixture
def some(trained: Callable[..., Record]) -> list[Study]:
    """Return three studies of different figures."""
    return studies(
        [trained("test_a", {"x": x}) for x in range(3)]
        + [trained("test_b", {}), trained("test_c", {"depth": 2})]
    )


@pytest.fixture
def several_processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each study a process, and end them after the test."""
    monkeypatch.setattr(rendering, "A_PROCESS", 1)
    monkeypatch.setattr(joblib, "cpu_count", lambda: 2)
    yield
    joblib.externals.loky.get_reusable_executor().shutdown(wait=True)


@pytest.mark.usefixtures("several_processes")
def test_other_processes_draw_the_same_bytes(
    some: list[Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many processes draw, every figure is the same to the byte, and in its place."""
    palette = Palette.of(some)
    with monkeypatch.context() as patched:
        patched.setattr(rendering, "_of_study", None)  # here, and not in the other processes
        elsewhere = list(rendering.renderings(some, palette))
    monkeypatch.setattr(rendering, "A_PROCESS", len(some) + 1)
    assert elsewhere == list(rendering.renderings(some, palette))
    assert [bool(figures) for figures in elsewhere] == [True] * 3


@pytest.mark.usefixtures("several_processes")
def test_what_goes_wrong_elsewhere_is_raised_here(some: list[Study]) -> None:
    """A defect in drawing is the same error, wherever it was drawn."""
    palette = Palette.of(some[1:])
    with pytest.raises(KeyError, match="x"):
        list(rendering.renderings(some, palette))


@pytest.mark.usefixtures("several_processes")
def test_what_a_killed_process_leaves_is_drawn_here(
    some: list[Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that is short of memory costs no figure."""
    palette = Palette.of(some)
    monkeypatch.setattr(rendering, "_elsewhere", lambda *_: os._exit(9))
    drawn = []
    monkeypatch.setattr(rendering, "_of_study", lambda study, _: drawn.append(study))
    assert list(rendering.renderings(some, palette)) == [None] * 3
    assert drawn == some


LEFT_ALONE = """\
import os, subprocess, sys
child = "import os, sys, threading; from dlbench.report.rendering import end_with;" \\
    "end_with(int(sys.argv[1])); print('drawing', flush=True); threading.Event().wait()"
process = subprocess.Popen([sys.executable, "-c", child, str(os.getpid())], stdout=subprocess.PIPE)
print(process.stdout.readline().decode(), process.pid, flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows gives an orphan no other parent")
def test_a_process_ends_with_the_one_that_started_it() -> None:
    """Killed in the middle of a report, it leaves none behind that would wait for ever."""
    # Its process holds the same stderr: this returns when both are gone.
    done = subprocess.run(
        [sys.executable, "-c", LEFT_ALONE], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.startswith("drawing")
    assert done.returncode == -9


def test_few_studies_start_no_process(some: list[Study], monkeypatch: pytest.MonkeyPatch) -> None:
    """A process takes longer to start than a few studies to be drawn."""
    drawn_by = set[int]()

    def of_study(*_: object) -> list[rendering.Rendering]:
        drawn_by.add(os.getpid())
        return []

    monkeypatch.setattr(rendering, "_of_study", of_study)
    assert list(rendering.renderings(some, Palette.of(some))) == [[]] * 3
    assert drawn_by == {os.getpid()}
