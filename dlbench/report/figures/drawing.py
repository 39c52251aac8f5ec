"""What a figure is: the picture, the words for those who cannot see it, and its data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Drawing:
    """A finished figure."""

    name: str
    """What it shows, in a word for its file's name."""
    figure: Figure
    caption: str
    """What the marks and bands are."""
    alt: str
    """What it says."""
    data: pd.DataFrame
    """What is drawn, for another tool."""
