"""What a saved file says of itself as a whole: when, of which commit, whether all of it passed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from dlbench.history.ending import read_ending

if TYPE_CHECKING:
    from pathlib import Path

    from dlbench.history.ending import Ending

UNKNOWN = frozenset({"unversioned", "unknown", "(unknown)", "(detached head)"})
"""What pytest-benchmark writes where it knows no commit or branch."""

RED = frozenset({"failed", "error", "interrupted"})


class Head(NamedTuple):
    """A saved file's own account; nothing of its cases."""

    time: str
    """ISO 8601 in UTC, so that texts compare as times do; empty where it is not known."""
    commit: str | None
    branch: str | None
    dirty: bool
    committed: str
    """When the commit was made, as `time`."""
    complete: bool
    """False where the session was interrupted or stopped early, or where nothing tells."""
    quick: bool
    counts: dict[str, int]
    """Tests by outcome."""

    @property
    def passed(self) -> bool:
        """Whether tests ran and none of them went red."""
        return bool(self.counts) and not RED & {name for name, n in self.counts.items() if n}


def read_head(path: Path) -> Head:
    """Return a saved file's head, without parsing its cases.

    Raises:
        RecordError: the file cannot be read.
    """
    return head_of(read_ending(path))


def head_of(ending: Ending) -> Head:
    """Return the head of a file whose end is read already."""
    head, header = ending.head, ending.header
    session = _dict(header.get("session"))
    theirs, ours = _dict(head.get("commit_info")), _dict(session.get("commit"))
    counts = _dict(session.get("counts"))
    return Head(
        time=_utc(session.get("started")) or _utc(head.get("datetime")),
        commit=_known(ours.get("id")) or _known(theirs.get("id")),
        branch=_known(ours.get("branch")) or _known(theirs.get("branch")),
        dirty=(ours.get("dirty") or theirs.get("dirty")) is True,
        committed=_utc(theirs.get("time")),
        complete=session.get("complete") is True,
        quick=session.get("quick") is True,
        counts={name: n for name, n in counts.items() if type(n) is int and n > 0},
    )


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _known(value: object) -> str | None:
    return value if isinstance(value, str) and value not in UNKNOWN else None


def _utc(value: object) -> str:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        if moment is None:
            return ""
        if moment.tzinfo is not UTC:  # as most are, and two calls cost as much as the reading
            moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment.isoformat(timespec="seconds")
    except (ValueError, OverflowError):
        return ""
