"""The report: a saved run as one page that people like to read and to send.

One way through: records become tidy frames (`frames`), grouped by what varies (`analysis`,
`study`); studies become figures (`figures`), sentences (`words`) and tables (`tables`), and these a
page (`summary`, `page`). What a run is held against is one section more (`comparison`). Nothing
flows back, and nothing knows a benchmark by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

    from dlbench.gate.sides import Compared
    from dlbench.history.run import Run

__all__ = ["Progress", "write_report"]

Progress: TypeAlias = Callable[[int, int, str], None]
"""Called with how many figures are drawn, of how many studies' worth, and what comes next."""


def write_report(
    run: Run,
    folder: Path,
    *,
    against: Compared | None = None,
    on_progress: Progress | None = None,
) -> Path:
    """Write a run's report: `folder/index.html`, and its figures in `folder/figures`.

    The page is self-contained and needs no network. Figures that an earlier report left in the
    folder are removed, and nothing else.

    Args:
        run: what was measured.
        folder: made if need be.
        against: the run as second side of a comparison (`dlbench.gate.sides.compared`); its verdicts
            stand on the page in place of those that were recorded.
        on_progress: called before each study with how many are done, how many there are, and its
            title.

    Returns:
        The path of the page.

    Raises:
        OSError: no space, or no permission; a page that stood there before is still there.
    """
    from dlbench.report.writing import write

    return write(run, folder, against, on_progress)
