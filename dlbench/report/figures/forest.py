"""Forest plots: each case's effects against another run, with their intervals, a panel a gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedFormatter, FixedLocator

from dlbench.report.figures.drawing import Drawing
from dlbench.report.formatting import MINUS, counted, gate_title, sentence, shortened
from dlbench.report.style import BLUE, FAINT, ORANGE, QUIET, RED, WIDTH, canvas, legend

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes

MOST_PANELS = 4
"""Gates beside each other; what has no panel stands in the data."""

ROW, AROUND = 0.225, 1.25
"""Inches: a case's height, and what stands above and below."""

LONGEST = 42
"""Characters of a case's name."""

FARTHEST = 1000.0
"""Margins that an axis spans at most, to either side."""

MARKS = {
    "worse": (">", RED),
    "better": ("<", BLUE),
    "cannot tell": ("D", ORANGE),
    "same": ("o", QUIET),
}
"""By what is said of a gate; what cannot be told is hollow."""

_SAID = {"regressed": "worse", "improved": "better", "undecided": "cannot tell"}

ZOOMED = 3.0
"""Margins to either side up to which an axis is linear throughout."""


def forest(frame: pd.DataFrame, cases: Sequence[str], gates: Sequence[str], name: str) -> Drawing:
    """Return the effects of some cases, the first on top; draw it inside `styled()`.

    Each panel's axis is linear up to the margin and logarithmic beyond, so that a tenth of a margin
    and a hundred of them are seen in one.

    Args:
        frame: what `dlbench.report.comparison.effects` returns; all of it is the figure's data.
        cases: who is drawn.
        gates: in the order in which they are drawn; of many, those that moved.
        name: what the run is held against.
    """
    drawn = frame[frame["case"].isin(list(cases))]
    cases = [case for case in cases if case in set(drawn["case"])]
    chosen = _chosen(drawn, gates)
    height = AROUND + ROW * len(cases)
    figure, grid = canvas(1, len(chosen), width=WIDTH, height=height)
    for panel, gate in zip(grid[0], chosen, strict=True):
        _panel(panel, drawn[drawn["gate"] == gate], cases)
        panel.set_title(_wrapped(gate_title(gate)), fontsize=8.5)
        panel.set_yticks(range(len(cases)), [""] * len(cases))
    grid[0, 0].set_yticks(range(len(cases)), _labels(cases))
    said = set(map(_word, drawn["degree"]))
    handles = [
        Line2D(
            [], [], marker=mark, color=colour, linewidth=1.2, label=word,
            markerfacecolor=_face(word, colour),
        )
        for word, (mark, colour) in MARKS.items()
        if word in said
    ]  # fmt: skip
    legend(figure, [*handles, Patch(color=FAINT, linewidth=0, label="within the margin")])
    return Drawing("forest", figure, _caption(gates, chosen), _alt(drawn, name), frame)


def _chosen(drawn: pd.DataFrame, gates: Sequence[str]) -> list[str]:
    """Return the gates that have a panel: those that were decided first, in their own order."""
    moved = set(drawn.loc[drawn["degree"].isin(["regressed", "improved"]), "gate"])
    there = set(drawn["gate"])
    ranked = sorted((gate for gate in gates if gate in there), key=lambda gate: gate not in moved)
    return [gate for gate in gates if gate in ranked[:MOST_PANELS]]


def _panel(axes: Axes, rows: pd.DataFrame, cases: Sequence[str]) -> None:
    place = {case: at for at, case in enumerate(cases)}
    margin = float(rows["margin"].min())
    low, high = _limits(rows, margin)
    axes.axvline(0, color=QUIET, linewidth=0.8, zorder=1.5)
    rows = rows.assign(
        at=rows["case"].map(place), word=[_word(degree) for degree in rows["degree"]]
    )
    margins = rows.drop_duplicates("at").set_index("at")["margin"]
    margins = margins.reindex(range(len(cases)), fill_value=margin)
    axes.barh(
        margins.index, 2 * margins, left=-margins, height=1.0, color=FAINT, linewidth=0, zorder=1
    )
    for word, some in rows.groupby("word"):
        mark, colour = MARKS[str(word)]
        lows, middles, highs = (some[end].clip(low, high) for end in ("low", "effect", "high"))
        axes.hlines(some["at"], lows, highs, color=colour, linewidth=1.3, zorder=2.5)
        for end, edge, arrow in (("low", low, "<"), ("high", high, ">")):
            beyond = some[some[end].abs().gt(abs(edge)) & (some[end] * edge > 0)]  # it goes on
            if not beyond.empty:
                axes.plot(
                    [edge] * len(beyond), beyond["at"], arrow, color=colour, markersize=3.5,
                    clip_on=False,
                )  # fmt: skip
        axes.plot(
            middles, some["at"], mark, color=colour, markersize=5, markeredgewidth=1.1,
            markerfacecolor=_face(str(word), colour), clip_on=False, zorder=3,
        )  # fmt: skip
    wide = max(-low, high) > ZOOMED * margin
    if wide:
        axes.set_xscale("symlog", linthresh=margin, linscale=1.0)
    axes.set_xlim(low, high)
    ticks = _ticks(margin, low, high) if wide else [-margin, 0.0, margin]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(FixedLocator([]))
    axes.xaxis.set_major_formatter(FixedFormatter([_tick(tick) for tick in ticks]))
    axes.set_ylim(len(cases) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.set(xlabel=f"{rows['unit'].iloc[0]}, worse →", ylabel="")


def _limits(rows: pd.DataFrame, margin: float) -> tuple[float, float]:
    """Return the ends of a panel's axis: all that is drawn, two margins at least."""
    ends = rows[["effect", "low", "high"]].to_numpy(dtype=float)
    ends = np.clip(ends, -FARTHEST * margin, FARTHEST * margin)
    least = 1.6 * margin
    return float(min(1.15 * ends.min(), -least)), float(max(1.15 * ends.max(), least))


def _ticks(margin: float, low: float, high: float) -> list[float]:
    """Return zero, and on either side the margin and its tenfolds; its fivefold on a short axis."""
    short = max(-low, high) < 10 * margin
    steps = (1.0, 5.0) if short else tuple(10.0**power for power in range(4))
    sizes = [margin * step for step in steps]
    there = [-size for size in reversed(sizes)] + [0.0] + sizes
    return [tick for tick in there if low <= tick <= high]


def _tick(value: float) -> str:
    text = f"{abs(value):,.4g}" if abs(value) < 1000 else f"{abs(value):,.0f}"  # noqa: PLR2004
    return f"{MINUS}{text}" if value < 0 else text


def _word(degree: str) -> str:
    return _SAID.get(degree, "same")


def _face(word: str, colour: str) -> str:
    return "white" if word == "cannot tell" else colour


def _labels(cases: Sequence[str]) -> list[str]:
    """Return the cases' names without their files where that tells them apart."""
    bare = [case.rpartition("::")[2].removeprefix("test_") for case in cases]
    texts = bare if len(set(bare)) == len(bare) else [_with_file(case) for case in cases]
    return [shortened(text, LONGEST) for text in texts]


def _with_file(case: str) -> str:
    path, _, rest = case.partition("::")
    stem = path.rpartition("/")[2].removesuffix(".py").removeprefix("test_")
    return f"{stem}: {rest.removeprefix('test_')}"


def _wrapped(text: str) -> str:
    """Return a panel's title in at most two lines."""
    words = text.split()
    if len(text) <= 20 or len(words) < 2:  # noqa: PLR2004 - what a narrow panel has room for
        return text
    half = min(
        range(1, len(words)),
        key=lambda at: abs(len(" ".join(words[:at])) - len(" ".join(words[at:]))),
    )
    return f"{' '.join(words[:half])}\n{' '.join(words[half:])}"


def _caption(gates: Sequence[str], chosen: Sequence[str]) -> str:
    text = (
        "a mark is the mean effect over the seeds that both runs have, its line the interval at the "
        "level of the decision, right of zero worse; where it lies right of the grey band the case is "
        "worse beyond its margin. An axis is linear in the band and logarithmic beyond"
    )
    if hidden := [gate_title(gate) for gate in gates if gate not in chosen]:
        text += f"; without a panel: {', '.join(hidden)}"
    return sentence(text)


def _alt(drawn: pd.DataFrame, name: str) -> str:
    """Return what the plot says: who moved, and by how much at most."""
    parts = []
    for degree, word in (("regressed", "worse"), ("improved", "better")):
        moved = drawn[drawn["degree"] == degree]
        if moved.empty:
            continue
        most = moved.loc[moved["effect"].abs().idxmax()]
        count = counted(moved["case"].nunique(), "case")
        parts.append(
            f"{count} {word} beyond the margin, most of all {shortened(str(most['case']), 90)} in "
            f"{gate_title(str(most['gate']))} ({abs(most['effect']):.3g} {most['unit']} {word})"
        )
    if not parts:
        shares = drawn["effect"].abs() / drawn["margin"]
        most = drawn.loc[shares.idxmax()]
        parts.append(
            f"of {counted(drawn['case'].nunique(), 'case')} none moved beyond its margin for sure; the "
            f"largest effect is {abs(most['effect']):.2g} {most['unit']} in "
            f"{gate_title(str(most['gate']))} of {shortened(str(most['case']), 90)}"
        )
    return sentence(f"Effects against {shortened(name, 60)}: {'; '.join(parts)}")
