"""Saved runs for a command: named or all, with a word on stderr for each file that is no run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from dlbench.cli.words import shown
from dlbench.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import pandas as pd

    from dlbench.history.loading import Cases
    from dlbench.history.naming import Saved

MOST_TOLD = 10
"""How many files that cannot be read are named."""


def load_runs(
    names: Sequence[str],
    storage: str | None,
    cases: Cases | None,
    metrics: Collection[str] = (),
) -> pd.DataFrame:
    """Return the frame of the runs that are named, or of all that a storage holds.

    Args:
        names: of saved runs; none means all.
        storage: what `--storage` says.
        cases: a part of the tests' ids, or a function that tells by an id whether it is asked for.
        metrics: others are left out of a record that has one of these; by default none is.

    Raises:
        NotFoundError: a name that means no run, or no case that is asked for.
        RecordError: a storage that is no folder.
    """
    from dlbench.history import load, matches
    from dlbench.history.naming import nothing_saved, saved_runs, storage_folder

    folder = storage_folder(storage)
    runs: list[Saved] = []
    for name in names:
        found = matches(name, folder)
        if not found:
            raise NotFoundError(f"no saved run is meant by {name!r}")
        runs += found
    if not (names or folder.is_dir()):
        raise NotFoundError(nothing_saved(folder))
    frame = load(runs if names else folder, cases=cases, metrics=metrics)
    skipped = frame.attrs["skipped"]
    if frame.empty and not (names or saved_runs(folder)):
        raise NotFoundError(nothing_saved(folder))
    for path, reason in skipped[:MOST_TOLD]:
        sys.stderr.write(f"dlbench: passed over {shown(path)}: {shown(reason)}\n")
    if len(skipped) > MOST_TOLD:
        sys.stderr.write(f"dlbench: passed over {len(skipped) - MOST_TOLD} more files\n")
    if frame.empty:
        raise NotFoundError("no saved run has a case that is asked for")
    return frame
