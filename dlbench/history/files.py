"""Files: read up to a size, written whole or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from dlbench.errors import RecordError

MAX_BYTES = 256 * 2**20
"""A larger file is not read: no suite writes one, and reading it could exhaust the memory."""

_READING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Opening a pipe does not wait for who writes into it."""


def read_bounded(path: Path, most: int) -> bytes:
    """Return what a file holds, if it is a file and has at most so many bytes.

    Raises:
        RecordError: it is a folder, a pipe or a device, or larger; the message leaves out the path.
        OSError: it is not there, or cannot be read.
    """
    _checked_size(path.stat(), most)
    return path.read_bytes()


def read_last(path: Path, most: int) -> bytes:
    """Return the last bytes of a file: so many, or all where it has no more.

    Raises:
        RecordError: as `read_bounded`, with its own bound on the whole file.
        OSError: it is not there, or cannot be read.
    """
    handle = os.open(path, _READING)
    try:
        size = _checked_size(os.fstat(handle), MAX_BYTES)
        os.lseek(handle, max(0, size - most), os.SEEK_SET)
        return os.read(handle, most)
    finally:
        os.close(handle)


def _checked_size(status: os.stat_result, most: int) -> int:
    if not stat.S_ISREG(status.st_mode):
        raise RecordError("not a file")  # a pipe or a device would never end
    if status.st_size > most:
        raise RecordError(f"larger than {most // 2**20} MiB; dlbench writes none so large")
    return status.st_size


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file beside its place, flush it to the disk, then move it there.

    A kill at any moment leaves the old file or the new one, never a part of one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o666 & ~umask())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def umask() -> int:
    """Return which permissions the user withholds from new files."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
