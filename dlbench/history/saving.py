"""Saving a run among others: a number of its own, whole or not at all, whoever else saves too."""

from __future__ import annotations

import errno
import os
import re
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dlbench.history.files import umask

if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBER = re.compile(r"(\d{4,9})_")

NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS})
"""What a file system says that cannot give one file two names."""


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Wait until no other session saves in a folder, and let none begin before this one is done.

    pytest-benchmark looks for the next free number and then writes: two sessions at once would
    take the same. The lock is the kernel's: it goes when its process does. Where there is none,
    nothing is waited for.

    Args:
        folder: where runs are saved; made if need be.
    """
    try:
        import fcntl

        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):  # Windows, or a folder that pytest-benchmark will complain of
        yield
        return
    try:
        with suppress(OSError):  # some network file systems have no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def save_numbered(content: bytes, folder: Path, name: str) -> Path:
    """Write a file as `FOLDER/NNNN_NAME.json`, under the next free number, and return its path.

    It is flushed to the disk before it has that name. No file that is there is ever replaced, nor
    by a session that saves at the same time.

    Args:
        content: the file's.
        folder: one machine's; made if need be.
        name: what it is saved as; it cannot lead out of the folder.

    Raises:
        OSError: no space, or no permission; nothing is left of the file then.
        ValueError: a name with a separator in it.
    """
    if Path(name).name != name or "\0" in name:
        raise ValueError(f"a run cannot be saved as {name!r}: this is no name of a file")
    folder.mkdir(parents=True, exist_ok=True)
    handle, written = tempfile.mkstemp(dir=folder, prefix=".saving.")
    temporary = Path(written)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~umask())
        while True:
            path = folder / f"{_next_number(folder):04}_{name}.json"
            if _given(temporary, path):
                return path
    finally:
        temporary.unlink(missing_ok=True)


def _given(temporary: Path, path: Path) -> bool:
    """Give a file its name, unless the name is taken; return whether it has it."""
    try:
        os.link(temporary, path)  # unlike a rename, it never replaces a file
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if path.exists():
            return False
        temporary.rename(path)
    return True


def _next_number(folder: Path) -> int:
    numbers = [int(found[1]) for path in folder.iterdir() if (found := _NUMBER.match(path.name))]
    return max(numbers, default=0) + 1
