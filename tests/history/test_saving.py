"""A saved run has a number of its own, is whole, and never costs another one."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dlbench.history.naming import saved_runs
from dlbench.history.saving import save_numbered, turn


def test_numbers_count_up_in_each_folder(tmp_path: Path) -> None:
    """The next free number, whatever the names; foreign files count for nothing."""
    folder = tmp_path / "machine"
    assert save_numbered(b"1", folder, "a") == folder / "0001_a.json"
    assert save_numbered(b"2", folder, "b") == folder / "0002_b.json"
    (folder / "0041_other.json").write_bytes(b"")
    (folder / "notes_9999.json").write_bytes(b"")
    assert save_numbered(b"3", folder, "a").name == "0042_a.json"
    (folder / "9999_x.json").write_bytes(b"")
    assert save_numbered(b"4", folder, "a").name == "10000_a.json"
    assert (folder / "0001_a.json").read_bytes() == b"1"
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("name", ["../x", "a/b", "/etc/x", "a\0b"])
def test_a_name_does_not_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    """A separator in a name is refused before anything is written."""
    with pytest.raises(ValueError, match="no name of a file"):
        save_numbered(b"", tmp_path / "machine", name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("linked", [True, False])
def test_no_file_is_ever_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linked: bool
) -> None:
    """A file that comes between looking and writing keeps its name; ours takes the next."""
    from dlbench.history import saving

    numbers = iter([1, 1, 2])
    monkeypatch.setattr(saving, "_next_number", lambda folder: next(numbers))
    if not linked:

        def refuse(*paths: object) -> None:
            if Path(str(paths[1])).exists():
                raise FileExistsError
            raise OSError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", refuse)
    first, second = (save_numbered(text, tmp_path, "x") for text in (b"1", b"2"))
    assert (first.read_bytes(), second.read_bytes()) == (b"1", b"2")
    assert (first.name, second.name) == ("0001_x.json", "0002_x.json")


def test_a_saved_file_has_the_usual_permissions(tmp_path: Path) -> None:
    """The mask decides, as for any file of the user's."""
    before = os.umask(0o027)
    try:
        path = save_numbered(b"", tmp_path, "x")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """What the system refuses is an `OSError` that says so, and no part of a file is left."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            save_numbered(b"x" * 100_000, tmp_path, "x")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []


def test_many_at_once_have_a_number_each(tmp_path: Path) -> None:
    """Eight threads save ten runs each: eighty files, eighty numbers, each what was written."""

    def many(worker: int) -> None:
        for count in range(10):
            with turn(tmp_path):
                save_numbered(f"{worker} {count}".encode(), tmp_path, f"w{worker}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(many, range(8)))
    runs = saved_runs(tmp_path)
    assert [one.number for one in runs] == list(range(1, 81))
    assert len({one.path.read_bytes() for one in runs}) == 80


def test_a_turn_waits_for_the_other(tmp_path: Path) -> None:
    """While one session saves, another cannot begin; a folder that cannot be made stops nobody."""
    import fcntl

    with turn(tmp_path / "new"):
        handle = os.open(tmp_path / "new", os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(handle)
    (tmp_path / "file").write_bytes(b"")
    with turn(tmp_path / "file" / "below"):
        pass


KILLED = """
import os, random, signal, sys, time
from pathlib import Path
from dlbench.history.run import Run, read_run, write_run
from dlbench.history.saving import save_numbered

folder = Path(sys.argv[1])
record = {"kind": "loop", "case": "a.py::t", "name": None, "module": "a.py", "test": "t",
    "params": {}, "outcome": "passed", "message": "x" * 20000, "bounds": "enforced", "runs": None,
    "metrics": None, "parameters": None, "timing": None, "environment": {}, "duration": 1.0}
run = Run(records=[record])
write_run(run, folder / "run.json")
content = (folder / "run.json").read_bytes()
chance = random.Random(0)
confirmed = 0
for _ in range(int(sys.argv[2])):
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        while True:
            write_run(run, folder / "run.json")
            save_numbered(content, folder / "machine", "x")
            os.write(tell, b".")
    os.close(tell)
    first = os.read(told, 1)
    time.sleep(chance.random() * 0.008)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(told, "rb") as rest:
        confirmed += len(first + rest.read())
    paths = list((folder / "machine").glob("*.json"))
    assert read_run(folder / "run.json") == run
    assert len(paths) >= confirmed, "a run that was saved is gone"
    assert all(path.read_bytes() == content for path in paths[-5:]), "a run is not whole"
assert all(path.read_bytes() == content for path in paths), "a run is not whole"
print("confirmed", confirmed)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_200_moments_every_run_is_whole(tmp_path: Path) -> None:
    """A process that saves without end is killed 200 times: what it saved is there, and whole."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), "200"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.stderr == ""
    word, confirmed = done.stdout.split()
    assert word == "confirmed"
    assert int(confirmed) >= 200
