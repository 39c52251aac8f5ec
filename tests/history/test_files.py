"""Files are read up to a size, and written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dlbench.history.files import write_atomically


@pytest.mark.parametrize("name", ["fsync", "fdopen", "replace"])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failed_write_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException
) -> None:
    """Stopped at any step, the old file is whole and no part of a new one lies about."""
    path = tmp_path / "run.json"
    write_atomically(path, b"old")

    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(Path if name == "replace" else os, name, fail)
        with pytest.raises(type(error)):
            write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


def test_the_file_is_on_the_disk_before_it_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written, flushed to the disk, and only then moved: in this order."""
    order: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(file: int) -> None:
        assert os.fstat(file).st_size == 7
        order.append("fsync")
        fsync(file)

    def noted_replace(self: Path, target: Path) -> Path:
        assert self.read_bytes() == b"content"
        assert self.parent == target.parent
        order.append("replace")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    write_atomically(tmp_path / "a" / "b.json", b"content")
    assert order == ["fsync", "replace"]


def test_a_written_file_has_the_usual_permissions(tmp_path: Path) -> None:
    """Others may read it as any file of the user's: the mask decides, not the temporary file."""
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a", b"")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
