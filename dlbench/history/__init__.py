"""Saved runs: what a record holds, the only code that reads and writes them, and their trends.

`load(where)` returns saved runs as one tidy pandas frame; `find(name)` the one saved run that a name
means; `read_history(where)` the numbers of many without a frame; `trend(frame)` what changed, and
since when. `docs/history.md` is their guide.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlbench.history.loading import load as load
    from dlbench.history.loading import read_history as read_history
    from dlbench.history.naming import find as find
    from dlbench.history.naming import matches as matches
    from dlbench.history.run import read_run as read_run

_HOMES = {
    "find": "dlbench.history.naming",
    "load": "dlbench.history.loading",
    "matches": "dlbench.history.naming",
    "read_history": "dlbench.history.loading",
    "read_run": "dlbench.history.run",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Load a public name from its file at first use: a test run needs neither pandas nor these."""
    if name not in _HOMES:
        raise AttributeError(f"module 'dlbench.history' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
