"""Saved runs by name: a number, what they were saved as, a path, a commit, a branch, last, latest.

pytest-benchmark keeps runs as `STORAGE/MACHINE/0007_NAME.json`: the number counts up in each machine's
folder, the name is what `--benchmark-save` was given or, with `--benchmark-autosave`, the commit and
the time. These are found by the names of the files. Only a commit or a branch, and `latest`, are
looked for in the files, and there in their heads.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING

from dlbench.errors import NotFoundError, RecordError
from dlbench.history.head import Head, read_head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

STORAGE = Path(".benchmarks")
"""Where pytest-benchmark saves, seen from where it is run."""

LAST = Path("report", "run.json")
"""The last run, beside its report."""

MOST_FILES = 100_000
"""A folder with more is no storage of saved runs."""

MOST_LISTED = 12
"""How many matches an error lists."""

KINDS = ("run", "file", "commit", "branch")
"""The prefixes that settle a clash: `run:0007`, `file:a.json`, `commit:c0ffee`, `branch:main`."""

_FILE = re.compile(r"(?P<number>\d{4,9})_(?P<name>.*)\.json", re.DOTALL)
_AUTOSAVED = re.compile(
    r"(?P<commit>[0-9a-f]{40}|unversioned|unknown)_(?P<time>\d{8}_\d{6})(_uncommitted-changes)?"
)
_COMMIT = re.compile(r"[0-9a-fA-F]{4,64}")


@dataclass(frozen=True, slots=True)
class Saved:
    """A saved file and what its name tells; nothing of it is read."""

    path: Path
    machine: str
    """The folder: system, Python and bits; empty for a file that lies elsewhere."""
    number: int | None
    name: str
    """What it was saved as; for a file of another form, its name without the ending."""

    @classmethod
    def of(cls, path: Path, machine: str = "") -> Saved:
        """Return what a path tells."""
        parts = _FILE.fullmatch(path.name)
        if parts is None:
            return cls(path, machine, None, path.stem)
        return cls(path, machine, int(parts["number"]), parts["name"])

    @property
    def commit(self) -> str | None:
        """The commit that an autosaved file is named after, 40 hexadecimal digits."""
        parts = _AUTOSAVED.fullmatch(self.name)
        return parts["commit"] if parts and len(parts["commit"]) > len("unversioned") else None

    @property
    def label(self) -> str:
        """A short name: the number and what it was saved as, an autosaved run's commit cut short."""
        parts = _AUTOSAVED.fullmatch(self.name)
        name = f"{parts['commit'][:10]} {parts['time']}" if parts else self.name
        return name if self.number is None else f"{self.number:04} {name}"


def storage_folder(text: str | Path | None = None) -> Path:
    """Return the folder that `--benchmark-storage` names: `file://PATH`, or a plain path.

    Raises:
        RecordError: another kind of storage, such as Elasticsearch.
    """
    if text is None or isinstance(text, Path):
        return text or STORAGE
    path = text.removeprefix("file://")
    if "://" in path:
        raise RecordError(f"saved runs are read from a folder or file://PATH, got {text!r}")
    return Path(path)


def saved_runs(storage: Path = STORAGE) -> list[Saved]:
    """Return every saved run under a folder, in the order of numbers within each machine's.

    Files lie in the folder itself or one below it, as pytest-benchmark looks for them.

    Raises:
        RecordError: the folder holds more files than anyone saves.
    """
    files, folders = _entries(storage)
    found = [Saved.of(path) for path in files]
    for folder in sorted(folders):
        found += [Saved.of(path, folder.name) for path in _entries(folder)[0]]
    if len(found) > MOST_FILES:
        raise RecordError(f"{storage}: holds more than {MOST_FILES:,} files; name one below it")
    return sorted(found, key=lambda one: (one.machine, one.number or 0, one.path.name))


def find(name: str, storage: Path = STORAGE, *, last: Path = LAST) -> Saved:
    """Return the one saved run that a name means.

    Args:
        name: a number (`7`, `0007`), what a run was saved as, a path or a glob, a commit (four
            digits or more of it), a branch, `last`, `latest`; a prefix of `KINDS` says which.
        storage: where the saved runs lie.
        last: what `last` means.

    Raises:
        NotFoundError: nothing, or more than one, which are listed.
        RecordError: for `latest`, a folder that is no storage.
    """
    found = matches(name, storage, last=last)
    if len(found) == 1:
        return found[0]
    if found:
        shown = [f"  {one.path}" for one in found[:MOST_LISTED]]
        shown += [f"  and {len(found) - MOST_LISTED} more"] if len(found) > MOST_LISTED else []
        raise NotFoundError(
            f"{name!r} means {len(found)} saved runs; name one by its path:\n" + "\n".join(shown)
        )
    raise NotFoundError(f"no saved run is meant by {name!r}: {_remedy(storage)}")


def matches(name: str, storage: Path = STORAGE, *, last: Path = LAST) -> list[Saved]:
    """Return every saved run that a name can mean, in order; see `find`.

    A name that a file carries is not looked for among commits and branches too: that would take
    reading every file. `commit:` and `branch:` ask for those.
    """
    kind, separator, rest = name.partition(":")
    if separator and kind in KINDS:
        finders = _finders(storage, last)[kind]
        return _unique(finder(rest) for finder in finders)
    every = _finders(storage, last)
    named = _unique(finder(name) for finder in (*every["run"], *every["file"]))
    return named or _unique(finder(name) for finder in (*every["commit"], *every["branch"]))


def _finders(storage: Path, last: Path) -> dict[str, tuple[Callable[[str], list[Saved]], ...]]:
    def special(name: str) -> list[Saved]:
        if name == "last":
            return [Saved.of(last)] if last.is_file() else []
        return [found] if name == "latest" and (found := _latest(storage)) else []

    def numbered(name: str) -> list[Saved]:
        number = int(name) if name.isascii() and name.isdigit() and len(name) <= 9 else None  # noqa: PLR2004
        return [
            one
            for one in saved_runs(storage)
            if name in {one.name, one.path.stem} or _is(one.number, number)
        ]

    def filed(name: str) -> list[Saved]:
        return _at(name, storage)

    def committed(name: str) -> list[Saved]:
        if not _COMMIT.fullmatch(name):
            return []
        every = saved_runs(storage)
        named = [one for one in every if _starts(one.commit, name)]
        others = _heads(one for one in every if one.commit is None)
        return [*named, *(one for one, head in others if _starts(head.commit, name))]

    def branched(name: str) -> list[Saved]:
        return [one for one, head in _heads(saved_runs(storage)) if name and head.branch == name]

    return {
        "run": (special, numbered), "file": (filed,), "commit": (committed,), "branch": (branched,)
    }  # fmt: skip


def _at(name: str, storage: Path) -> list[Saved]:
    """Return the files at a path or glob, seen from here or from the storage."""
    found: list[Path] = []
    try:
        direct = [path for path in (Path(name), storage / name) if path.is_file()]
        if direct:
            found = direct[:1]
        elif has_magic(name):
            whole = Path(name)
            start = Path(whole.anchor) if whole.is_absolute() else Path()
            found = _saved_of(start.glob(str(whole.relative_to(whole.anchor))))
            if not (found or whole.is_absolute()):
                found = _saved_of([*storage.glob(name), *storage.glob(f"*/{name}")])
    except (OSError, ValueError, NotImplementedError):  # no path of this system's
        return []
    return [Saved.of(path, _machine(path, storage)) for path in sorted(found)]


def _saved_of(found: Iterable[Path]) -> list[Path]:
    return [path for path in found if path.suffix == ".json" and path.is_file()]


def _machine(path: Path, storage: Path) -> str:
    return path.parent.name if path.parent.parent == storage else ""


def _latest(storage: Path) -> Saved | None:
    """Return the newest run that is complete and passed, reading from the newest on."""
    newest: dict[str, tuple[str, Saved]] = {}
    for one in reversed(saved_runs(storage)):
        if one.machine in newest:
            continue
        head = _head(one)
        if head is not None and head.complete and head.passed:
            newest[one.machine] = (head.time, one)
    return max(newest.values(), key=lambda found: found[0])[1] if newest else None


def _heads(some: Iterable[Saved]) -> Iterator[tuple[Saved, Head]]:
    for one in some:
        head = _head(one)
        if head is not None:
            yield one, head


def _head(one: Saved) -> Head | None:
    """Return a file's head; None where the file cannot be read, which is no match then."""
    try:
        return read_head(one.path)
    except RecordError:
        return None


def _entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the saved runs in a folder, and the folders in it; nothing that is hidden."""
    files: list[Path] = []
    folders: list[Path] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                with suppress(OSError):  # a link that leads to itself
                    if entry.is_dir():
                        folders.append(folder / entry.name)
                    elif entry.name.endswith(".json") and entry.is_file():
                        files.append(folder / entry.name)
    except OSError:  # no folder, or one that may not be read
        return [], []
    return files, folders


def _unique(found: Iterator[list[Saved]]) -> list[Saved]:
    by_path = {one.path.absolute(): one for some in found for one in some}
    return list(by_path.values())


def _is(number: int | None, wanted: int | None) -> bool:
    return wanted is not None and number == wanted


def _starts(commit: str | None, prefix: str) -> bool:
    return commit is not None and commit.startswith(prefix.lower())


def _remedy(storage: Path) -> str:
    known = saved_runs(storage)
    if not known:
        return nothing_saved(storage)
    labels = ", ".join(repr(one.path.stem) for one in known[-3:])
    return f"{len(known)} are saved under {storage}, the last of them {labels}"


def nothing_saved(storage: Path) -> str:
    """Return in a sentence that a storage is empty, and how to fill it."""
    return (
        f"nothing is saved under {storage}; save with `pytest --benchmark-autosave`, or name the "
        "folder with --storage"
    )
