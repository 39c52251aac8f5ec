"""The study of the gate in pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmarks.internals.judges import effects
from dlbench.gate.entry import TRAINING_LOSS
from dlbench.report.style import INK, canvas, plain_numbers, styled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmarks.internals.pools import Pool

DPI = 110
SHOWN = 128
"""Pairs drawn of each kind."""


def draw_pairs(pool: Pool, changes: Sequence[str], file: Path) -> None:
    """Draw how far one run's loss lies from the run it is held against, by what changed."""
    import seaborn as sns

    losses = pool.losses()
    rows = {"another seed, no change": losses[SHOWN : 2 * SHOWN] - losses[:SHOWN]}
    for change in changes:
        new = pool.losses(change)[:SHOWN]
        rows[f"same seed, {change}"] = new - losses[:SHOWN]
    label = "training loss over the run, against the other run's (%)"
    pairs = [(name, 100 * np.expm1(d)) for name, moved in rows.items() for d in moved]
    frame = pd.DataFrame(pairs, columns=["run", label])
    with styled():
        figure, axes = _panel(7.5, 2.5)
        sns.stripplot(
            frame, x=label, y="run", hue="run", size=3, alpha=0.6, jitter=0.3, ax=axes, legend=False
        )
        axes.axvline(1, linestyle="--", linewidth=1, color=INK)
        axes.annotate("margin, 1 %", (1, -0.5), (3, 2), textcoords="offset points", fontsize=8)
        axes.set_ylabel("")
        figure.savefig(file, dpi=DPI, facecolor="white")


def draw_rules(shares: Mapping[str, Mapping[str, float]], file: Path) -> None:
    """Draw which rule flags which change how often: a row a change, a column a rule."""
    import seaborn as sns

    frame = 100 * pd.DataFrame(shares).T
    with styled():
        figure, axes = _panel(8.0, 0.3 * len(frame) + 0.8)
        sns.heatmap(
            frame, annot=True, fmt=".0f", vmin=0, vmax=100, cmap="Blues", cbar=False, ax=axes
        )
        axes.xaxis.tick_top()
        axes.grid(visible=False)
        axes.tick_params(axis="both", length=0)
        figure.savefig(file, dpi=DPI, facecolor="white")


def draw_power(
    pools: Sequence[Pool],
    caught: Mapping[tuple[str, str | None, int], float],
    counts: Sequence[int],
    factor: float,
    file: Path,
) -> None:
    """Draw the share caught against the size of what a bug does to the loss.

    Args:
        pools: by setting.
        caught: the share by setting, change and seeds.
        counts: the numbers of seeds that are shown.
        factor: standard errors beyond the margin from which a bug counts as certain.
        file: where to.
    """
    import seaborn as sns

    rows = []
    for pool in pools:
        for (name, change, n), share in caught.items():
            if name == pool.name and n in counts and change is not None:
                effect = effects(pool, change)[TRAINING_LOSS]
                error = max(effect.deviation, 1e-9) / np.sqrt(n)
                rows.append(((effect.mean - effect.margin) / error, 100 * share, n, pool.name))
    label = "effect on the training loss beyond its margin, in standard errors"
    frame = pd.DataFrame(rows, columns=[label, "called worse (%)", "seeds", "case"])
    frame["seeds"] = frame["seeds"].astype(str)
    with styled():
        figure, axes = _panel(7.5, 3.0)
        sns.scatterplot(
            frame,
            x=label,
            y="called worse (%)",
            hue="seeds",
            style="case",
            s=36,
            alpha=0.8,
            ax=axes,
        )
        axes.set_xscale("symlog", linthresh=10, linscale=1.5)
        axes.set_xlim(-15, 1000)
        axes.set_xticks([-10, -5, 0, 5, 10, 100, 1000])
        plain_numbers(axes.xaxis)
        axes.axvline(factor, linestyle="--", linewidth=1, color=INK)
        axes.annotate(f"{factor:g}", (factor, 0), (4, 4), textcoords="offset points", fontsize=8)
        sns.move_legend(axes, "center left", bbox_to_anchor=(1.01, 0.5))
        figure.savefig(file, dpi=DPI, facecolor="white")


def _panel(width: float, height: float) -> tuple[Any, Any]:
    figure, axes = canvas(width=width, height=height)
    return figure, axes[0, 0]
