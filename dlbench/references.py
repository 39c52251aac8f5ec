"""References such as `FILE.py:NAME` and `package.module:NAME`, and what they lead to."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import sys
from difflib import get_close_matches
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING

from dlbench.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType


def resolve(spec: str) -> object:
    """Return the object that a reference leads to.

    A file is loaded once, under its own name where no other module has it; its folder can be
    imported from while it loads, as when Python runs it. A package is looked for where Python finds
    it, then in the current folder. `sys.path` is left as it was.

    ```python
    resolve("models.py:build")
    resolve("keras.applications:VGG16")
    ```

    Args:
        spec: a path that ends in `.py`, or a module's dotted name; a colon; a name in it, which may
            be dotted.

    Raises:
        NotFoundError: no colon, no such file, module or name, or a module that fails to load; its
            own error is then the cause.
    """
    place, _, name = spec.rpartition(":")
    if not place or not all(part.isidentifier() for part in name.split(".")):
        raise NotFoundError(f"expected FILE.py:NAME or package.module:NAME, got {spec!r}")
    found: object = _file(Path(place)) if place.endswith(".py") else _module(place)
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            near = get_close_matches(part, dir(found), n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise NotFoundError(f"{place} has no {name!r}{hint}") from error
    return found


def _file(path: Path) -> ModuleType:
    path = path.expanduser().resolve()
    if not path.is_file():
        raise NotFoundError(f"there is no file {path}")
    name = next(name for name in _names(path) if _owner(name) in {None, str(path)})
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # noqa: PT018, S101 - a path ending in .py
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _importable(path.parent, first=True):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise NotFoundError(f"{path} fails to load: {_said(error)}") from error
    return module


def _names(path: Path) -> tuple[str, str, str]:
    """Return names for a file's module: the one that records should show, and others if taken."""
    folder = hashlib.blake2b(str(path.parent).encode(), digest_size=4).hexdigest()
    return path.stem, path.name, f"{path.name} {folder}"


def _owner(name: str) -> str | None:
    """Return the file of the module that goes by this name, or would if imported; None for none."""
    if name in sys.modules:
        file = getattr(sys.modules[name], "__file__", None)
        return str(Path(file).resolve()) if file else "built in"
    spec = find_spec(name) if name.isidentifier() else None
    if spec is None:
        return None
    return str(Path(spec.origin).resolve()) if spec.origin else "a namespace"


def _module(name: str) -> ModuleType:
    try:
        with _importable(Path.cwd(), first=False):
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise NotFoundError(
                f"there is no module {error.name!r}, neither installed nor in {Path.cwd()}; "
                "a file is named by its path, such as ./models.py:NAME"
            ) from error
        raise NotFoundError(f"{name} fails to load: {_said(error)}") from error
    except (Exception, SystemExit) as error:
        raise NotFoundError(f"{name} fails to load: {_said(error)}") from error


@contextlib.contextmanager
def _importable(folder: Path, *, first: bool) -> Iterator[None]:
    """Inside the block modules are found in the folder; afterwards `sys.path` is as it was."""
    before = list(sys.path)
    sys.path.insert(0 if first else len(sys.path), str(folder))
    try:
        yield
    finally:
        sys.path[:] = before


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
