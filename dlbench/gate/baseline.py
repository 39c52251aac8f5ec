"""The baseline: the files of accepted entries, which live in git and are reviewed like code.

One file a benchmark module, in `baselines/` beside it; or under one configured folder, in which
the modules' own paths are kept, so that modules of one name do not clash. `text` is what is in it.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dlbench.errors import BaselineError
from dlbench.gate.text import CONFLICT, Accepted, NewerError, format_cases, parse_cases, within
from dlbench.history.files import read_bounded, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dlbench.gate.entry import Entry

FOLDER = "baselines"

MAX_BYTES = 16 * 2**20
"""A larger file is not read: a case of 32 seeds takes some 4 kB."""

NOT_SEARCHED = ("node_modules", "site-packages")
"""Besides these, no hidden folder and no virtual environment holds benchmarks."""


def read_baseline(path: Path, module: str | None = None) -> dict[str, Entry]:
    """Return a file's entries by their keys.

    Args:
        path: the file.
        module: the entries' `module`, which the file does not name, so that both can be moved; by
            default the module beside the file's folder.

    Raises:
        BaselineError: the file is missing, no file, too large, truncated, in conflict, edited by
            hand or newer; it names the file, the case, and the command that mends it.
    """
    return {key: case.entry for key, case in read_cases(path, module).items()}


def read_cases(path: Path, module: str | None = None) -> dict[str, Accepted]:
    """Return the same with what people read; see `read_baseline`."""
    module = module or (path.parent.parent / f"{path.stem}.py").as_posix()
    file, accept = shlex.quote(str(path)), f"`pytest {shlex.quote(module)} --dlbench-accept`"
    mends = (
        f"`git checkout -- {file}` brings back the committed one; where there is none, delete it, "
        f"then {accept}"
    )
    try:
        text = read_bounded(path, MAX_BYTES).decode()
        if found := CONFLICT.search(text):
            mends = (
                f"`git checkout --ours -- {file}` (or --theirs) takes one side, then accept anew "
                f"what both sides changed: {accept}"
            )
            raise ValueError(f"{within(text, found.start())}a merge left its marker {found[1]}")  # noqa: TRY301 - mended as the others below
        return parse_cases(text, module)
    except OSError as error:
        raise BaselineError(f"{path}: cannot be read: {error.strerror}; {mends}") from error
    except NewerError as error:
        raise BaselineError(f"{path}: {error}") from error
    except ValueError as error:
        raise BaselineError(f"{path}: {error}; {mends}") from error


@dataclass(frozen=True, slots=True)
class Baseline:
    """A suite's baseline files; each is read when first asked for."""

    root: Path
    """What modules' paths start from: pytest's root folder."""
    folder: Path | None = None
    """Where all files lie; None for `baselines/` beside each module."""
    _known: dict[str, dict[str, Entry]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _ours: dict[Path, bool] = field(default_factory=dict, init=False, repr=False, compare=False)

    def path_of(self, module: str) -> Path:
        """Return where a module's file lies, or would lie.

        Raises:
            BaselineError: the module is outside the root folder, and files lie under one folder.
        """
        name = PurePosixPath(module)
        if self.folder is None:
            return self.root / name.parent / FOLDER / f"{name.stem}.json"
        if name.is_absolute() or ".." in name.parts:
            raise BaselineError(
                f"{module} lies outside {self.root}, so {self.folder} cannot keep its path: start "
                "pytest with a --rootdir above both, or leave dlbench_baseline out"
            )
        return self.folder / name.with_suffix(".json")

    def entries(self, module: str) -> Mapping[str, Entry]:
        """Return a module's entries by key, read at the first call; none where there is no file.

        Raises:
            BaselineError: there is a file, and it cannot be read.
        """
        if module not in self._known:
            self._known[module] = {key: case.entry for key, case in self.read(module).items()}
        return self._known[module]

    def read(self, module: str) -> dict[str, Accepted]:
        """Return a module's cases as its file has them now; none where there is no file.

        Raises:
            BaselineError: there is a file, and it cannot be read.
        """
        path = self.path_of(module)
        # A link that leads nowhere is there: only its target can be put back.
        return read_cases(path, module) if os.path.lexists(path) else {}

    def exists(self, modules: Iterable[str]) -> bool:
        """Return whether any of these modules has a file, or a neighbour that has one.

        A module without a file is new where its neighbours' are compared, whatever else is run.
        """
        paths = [self.path_of(module) for module in modules]
        return any(os.path.lexists(path) for path in paths) or any(
            self._holds_ours(folder) for folder in {path.parent for path in paths}
        )

    def _holds_ours(self, folder: Path) -> bool:
        """Return whether a folder holds a file of accepted cases; looked up once."""
        if folder not in self._ours:
            self._ours[folder] = any(_is_ours(path) for path in folder.glob("*.json"))
        return self._ours[folder]

    def modules(self) -> list[str]:
        """Return every module that has a file, run or not."""
        return [module for module in self._filed() if (self.root / module).is_file()]

    def orphans(self) -> list[str]:
        """Return the modules that are gone, though their files of accepted cases are still there."""
        gone = [module for module in self._filed() if not (self.root / module).exists()]
        return [module for module in gone if _is_ours(self.path_of(module))]

    def _filed(self) -> list[str]:
        if self.folder is not None:
            paths = sorted(self.folder.rglob("*.json"))
            return [path.relative_to(self.folder).with_suffix(".py").as_posix() for path in paths]
        found = []
        for folder, names, files in os.walk(self.root):
            here = Path(folder)
            if here.name == FOLDER:
                beside = here.parent.relative_to(self.root)
                found += [
                    (beside / f"{Path(name).stem}.py").as_posix()
                    for name in files
                    if name.endswith(".json") and not name.startswith(".")
                ]
            names[:] = [name for name in names if _may_hold(here, name)]
        return sorted(found)

    def format(self, module: str, cases: Mapping[str, Accepted]) -> bytes:
        """Return a module's file with these cases, after reading it back; nothing where none is.

        Raises:
            BaselineError: it would not be read as what it is.
        """
        content = format_cases(cases) if cases else b""
        try:
            if not cases or parse_cases(content.decode(), module) == dict(cases):
                return content
            why = "it reads back as something else"
        except ValueError as error:
            why = str(error)
        raise BaselineError(
            f"{self.path_of(module)}: not written: {why}. An entry holds what a baseline cannot "
            "keep, such as a digest with a space in it"
        )

    def write(self, module: str, content: bytes) -> list[Path]:
        """Replace a module's file, whole or not at all; where there is no content, remove it.

        Returns:
            Its path, if it changed.

        Raises:
            BaselineError: it cannot be written; what stood there before is still there.
        """
        path = self.path_of(module)
        self._known.pop(module, None)
        self._ours.clear()
        try:
            if not content:
                path.unlink()
            elif path.is_file() and path.read_bytes() == content:
                return []
            else:
                write_atomically(path, content)
        except OSError as error:
            raise BaselineError(
                f"{path}: cannot be written: {error.strerror}; it is as it was. Make {path.parent} a "
                f"folder that you may write to, then `pytest {shlex.quote(module)} --dlbench-accept`"
            ) from error
        return [path]


def _is_ours(path: Path) -> bool:
    """Return whether a file holds accepted cases."""
    try:
        return bool(read_cases(path))
    except BaselineError:
        return False  # somebody else's folder of that name, or nothing to judge by


def _may_hold(parent: Path, name: str) -> bool:
    hidden = name.startswith((".", "__")) or name in NOT_SEARCHED
    return not hidden and not (parent / name / "pyvenv.cfg").exists()
