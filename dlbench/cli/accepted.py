"""Where the baseline lies and its error rate: pytest's configuration in a root folder."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dlbench.errors import BaselineError

if TYPE_CHECKING:
    from pathlib import Path

    from dlbench.gate.baseline import Baseline

FALSE_ALARM = 0.01
"""The share of runs of the whole suite that may go red without cause, where nothing says otherwise."""

FILES = (
    *("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini"),
    *("pyproject.toml", "tox.ini", "setup.cfg"),
)
"""In pytest's order: it reads the first that configures it."""


@dataclass(frozen=True, slots=True)
class Configured:
    """What the root folder's configuration says of the gate."""

    root: Path
    folder: Path | None
    """Where the baseline's files lie; None for `baselines/` beside each module."""
    false_alarm: float

    def baseline(self) -> Baseline:
        """Return the baseline there."""
        from dlbench.gate.baseline import Baseline

        return Baseline(self.root, self.folder)


def configured(root: Path, folder: Path | None = None) -> Configured:
    """Return what pytest's configuration in `root` says; a folder given here wins.

    Raises:
        BaselineError: a file that cannot be read, or an error rate that is none.
    """
    said = _settings(root)
    named = str(said.get("dlbench_baseline") or "")
    text = str(said.get("dlbench_false_alarm") or FALSE_ALARM)
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < 0.5:  # noqa: PLR2004 - a coin tells as much
        raise BaselineError(f"dlbench_false_alarm must lie between 0 and 0.5, got {text!r}")
    configured_folder = root / named if named else None
    return Configured(root, folder if folder is not None else configured_folder, rate)


def _settings(root: Path) -> dict[str, Any]:
    for name in FILES:
        path = root / name
        if not path.is_file():
            continue
        try:
            found = _table(path)
        except (OSError, ValueError) as error:
            raise BaselineError(f"{path}: cannot be read: {error}") from error
        if found is not None:
            return found
    return {}


def _table(path: Path) -> dict[str, Any] | None:
    """Return a file's settings of pytest, or None where it has none."""
    if path.suffix == ".toml":
        whole = tomllib.loads(path.read_text(encoding="utf-8"))
        if path.name == "pyproject.toml":
            tool = whole.get("tool", {}).get("pytest")
            return None if tool is None else dict(tool.get("ini_options", tool))
        return dict(whole.get("pytest", {}))
    from iniconfig import IniConfig, ParseError  # pytest's own reader

    section = "tool:pytest" if path.name == "setup.cfg" else "pytest"
    try:
        sections = IniConfig(str(path)).sections
    except ParseError as error:
        raise ValueError(str(error)) from error
    if section in sections:
        return dict(sections[section])
    return {} if path.name.endswith("pytest.ini") else None
