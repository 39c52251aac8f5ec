"""The lock: one process at a time, by the kernel or, where it has no such lock, by a file."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from dlbench.errors import BaselineError
from dlbench.gate import lock
from dlbench.gate.lock import FILE, locked

if TYPE_CHECKING:
    from pathlib import Path

COUNTS = """
import sys
from pathlib import Path
from dlbench.gate.lock import locked
{patch}
folder = Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(50):
    with locked(folder):
        count = int((folder / "count").read_text())
        (folder / "count").write_text(str(count + 1))
"""
"""Read, add one, write: a count comes out too small where two do it at once."""

HOLDS = """
import sys
from pathlib import Path
from dlbench.gate.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""

NO_KERNEL_LOCK = "sys.modules['fcntl'] = None"


def started(script: str, folder: Path) -> subprocess.Popen[str]:
    """Start a Python process that waits for a line, and wait until it does."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout
    assert process.stdout.readline()
    return process


def refusal(folder: Path) -> str:
    """Return what the refusal to lock a folder says."""
    with pytest.raises(BaselineError) as e, locked(folder, patience=0.05):
        pytest.fail("the lock was had")
    return str(e.value)


@pytest.mark.parametrize("patch", ["", NO_KERNEL_LOCK], ids=["kernel", "file"])
def test_processes_take_turns(tmp_path: Path, patch: str) -> None:
    """Three processes that each add one 50 times, at once, come to 150, and leave no file."""
    (tmp_path / "count").write_text("0")
    processes = [started(COUNTS.format(patch=patch), tmp_path) for _ in range(3)]
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert (tmp_path / "count").read_text() == "150"
    assert list(tmp_path.iterdir()) == [tmp_path / "count"]


def test_the_kernels_lock_goes_with_its_process(tmp_path: Path) -> None:
    """While a process holds it nobody else gets it; when it is killed anybody does."""
    process = started(HOLDS, tmp_path)
    assert re.search("another accept .*Nothing was written", refusal(tmp_path))
    process.kill()
    process.communicate()
    with locked(tmp_path, patience=0.05):
        pass


def test_a_lock_is_released_after_an_error(tmp_path: Path) -> None:
    """What goes wrong under the lock does not keep it."""
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), locked(tmp_path, patience=0):
            1 / 0  # noqa: B018


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EBADF, errno.EOPNOTSUPP])
def test_where_folders_cannot_be_locked_a_file_is_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """On file systems without the kernel's lock the file says whose it is, and goes afterwards."""

    def refuse(*_: object) -> None:
        raise OSError(number, "no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locked(tmp_path):
        assert f"process {os.getpid()} on " in (tmp_path / FILE).read_text()
        assert f"process {os.getpid()} " in refusal(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["process 1 on gone\n", "", "\x00\xff"])
def test_a_lock_file_left_behind_is_named_and_not_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    """It may be anybody's: the message names the file and its owner, and the file stays."""
    monkeypatch.setitem(sys.modules, "fcntl", None)
    (tmp_path / FILE).write_text(content)
    message = refusal(tmp_path)
    assert "is gone, delete the file" in message
    assert str(tmp_path / FILE) in message
    assert (tmp_path / FILE).read_text() == content


def test_what_cannot_be_locked_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder, or one in which no file can be made: an error that names it."""
    assert re.search("none: cannot be locked .*No such file", refusal(tmp_path / "none"))
    (tmp_path / "file").write_text("")
    monkeypatch.setitem(sys.modules, "fcntl", None)
    assert re.search("file: cannot be locked .*Not a directory", refusal(tmp_path / "file"))


def test_it_waits_for_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes second gets the lock as soon as the first one lets go."""
    process = started(HOLDS, tmp_path)
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 1:
            process.communicate("let go\n")

    monkeypatch.setattr("time.sleep", pause)
    with locked(tmp_path, patience=60):
        assert pauses == [lock.PAUSE]
