"""A lock between processes, held while accepted entries are read, merged and written.

The kernel's lock (`flock`) on the suite's root folder: it leaves no file in anybody's checkout, and
it goes when its process does, so that none is ever stale. Where there is no such lock (Windows,
some network file systems), a file that only one process can create. That one a killed process does
leave behind, and it is not broken by guess: two that guess alike would both write. It is named,
with whose it was, for people to delete.
"""

from __future__ import annotations

import errno
import os
import platform
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dlbench.errors import BaselineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FILE = ".dlbench-accept.lock"

PATIENCE = 30.0
"""Seconds to wait for another accept, which itself takes one or two."""

PAUSE = 0.02
"""Seconds between two tries."""

_TAKEN = {errno.EAGAIN, errno.EACCES}


@contextmanager
def locked(folder: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock on a folder; nobody else who asks for it holds it at the same time.

    Args:
        folder: it must exist.
        patience: seconds to wait for whoever holds it.

    Raises:
        BaselineError: it is held for longer, or cannot be had; nothing has been done.
    """
    deadline = time.monotonic() + patience
    try:
        release = _by_kernel(folder, deadline) or _by_file(folder, deadline)
    except OSError as error:
        raise BaselineError(
            f"{folder}: cannot be locked for an accept: {error.strerror or error}; nothing was written"
        ) from error
    try:
        yield
    finally:
        release()


def _by_kernel(folder: Path, deadline: float) -> Callable[[], None] | None:
    """Return what releases the kernel's lock; None where there is no such lock."""
    try:
        import fcntl
    except ImportError:
        return None
    handle = os.open(folder, os.O_RDONLY)
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _TAKEN and time.monotonic() < deadline:
                time.sleep(PAUSE)
                continue
            os.close(handle)
            if error.errno in _TAKEN:
                raise _too_long(f"{folder} is locked") from None
            return None

        def release() -> None:
            fcntl.flock(handle, fcntl.LOCK_UN)  # closing does not, while a forked child has it open
            os.close(handle)

        return release


def _by_file(folder: Path, deadline: float) -> Callable[[], None]:
    """Return what removes the lock's file."""
    path = folder / FILE
    while True:
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            if time.monotonic() < deadline:
                time.sleep(PAUSE)
                continue
            raise _too_long(
                f"{path} is there, made by {_owner(path)}: if that one is gone, delete the file"
            ) from None
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(f"process {os.getpid()} on {platform.node()}\n")
        return lambda: path.unlink(missing_ok=True)


def _owner(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()[:200] or "nobody known"
    except OSError:
        return "nobody known"


def _too_long(what: str) -> BaselineError:
    return BaselineError(f"another accept is under way, for too long: {what}. Nothing was written")
