"""Trends: every metric against updates, epochs and seconds, a median with its band a case."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from dlbench.report import words
from dlbench.report.figures.drawing import Drawing
from dlbench.report.formatting import humanized, sentence, setting, shortened
from dlbench.report.spreads import band_words, bands
from dlbench.report.style import INK, QUIET, WIDTH, Palette, canvas, line_label, plain_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes

    from dlbench.report.study import Factor, Study

MOST_FACETS = 12
"""With more, all cases share a panel."""

MOST_LEGEND = 12
"""Of more levels, the legend names some."""

PER_ROW = 3
DECADE = 10.0
FAR = 20.0
"""Runs whose lengths differ by more share a logarithmic axis: the short ones would be a dot."""

ROOM_ABOVE = 0.12

HEADROOM = 10.0
"""A run that diverged is drawn up to so many times its starting loss, and clipped there."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One set of axes to be drawn: which curves, of which metric, against what."""

    study: Study
    palette: Palette
    hue: Factor | None
    metric: str
    x: str
    bands: pd.DataFrame
    curves: pd.DataFrame
    limits: tuple[float, float, bool]
    """Lowest and highest value drawn, and whether the axis is logarithmic."""
    far: bool
    """Whether x is logarithmic."""
    title: str = ""
    epochs: float | None = None
    """Updates an epoch, where all cases share them: a second axis then counts epochs."""


def trends(study: Study, palette: Palette) -> Iterator[Drawing]:
    """Yield the trends of a study; none where nothing was trained."""
    if study.curves.empty:
        return
    hue, facet = _roles(study)
    by_metric = {name: _bands(study, name) for name in study.shown}
    if facet is None:
        yield _one(study, palette, hue, by_metric)
        return
    metrics = [name for name in (study.loss_name, study.primary) if name in by_metric]
    for metric in dict.fromkeys(metrics):
        yield _faceted(study, palette, hue, facet, str(metric), by_metric[str(metric)])


def _roles(study: Study) -> tuple[Factor | None, str | None]:
    """Return the factor told by colour, and the column told by panels."""
    if not study.factors:
        return None, None
    if len(study.factors) == 1:
        return study.factors[0], None
    # Panels by batch size: within one, updates and epochs are the same axis.
    panels = study.factor("batch_size") or min(study.factors, key=lambda one: len(one.levels))
    others = study.others(panels)
    hue = max(others, key=lambda one: len(one.levels))
    rest = [factor.column for factor in study.factors if factor is not hue]
    count = study.cases.drop_duplicates(rest).shape[0]
    return (hue, "facet") if count <= MOST_FACETS else (hue, None)


def _bands(study: Study, metric: str) -> pd.DataFrame:
    curves = study.curves[study.curves["metric"] == metric]
    return bands(curves, higher=study.higher(metric))


# ---- layouts


def _one(
    study: Study, palette: Palette, hue: Factor | None, by_metric: dict[str, pd.DataFrame]
) -> Drawing:
    """Draw all cases together: panels by metric, and by axis where these differ."""
    axes_kinds, epochs = _x_axes(study.cases)
    if len(axes_kinds) == 1:
        columns = min(PER_ROW, len(by_metric))
        rows = -(-len(by_metric) // columns)
        places = [divmod(place, columns) for place in range(len(by_metric))]
        panels = dict(zip(places, ((name, axes_kinds[0]) for name in by_metric), strict=True))
    else:
        rows, columns = len(by_metric), len(axes_kinds)
        panels = {
            (row, column): (name, kind)
            for (row, name), (column, kind) in itertools.product(
                enumerate(by_metric), enumerate(axes_kinds)
            )
        }
    width = WIDTH if columns > 1 else WIDTH * 0.6
    figure, grid = canvas(rows, columns, width=width, height=2.9 * rows + 0.3)
    for place, (metric, kind) in panels.items():
        _draw(
            grid[place],
            Panel(
                study,
                palette,
                hue,
                metric,
                kind,
                by_metric[metric],
                study.curves[study.curves["metric"] == metric],
                _limits(study, metric, by_metric[metric]),
                _is_far(study.cases, by_metric[metric], kind),
                epochs=epochs,
            ),
        )
    for row, column in itertools.product(range(rows), range(columns)):
        grid[row, column].set_visible((row, column) in panels)
    _legend(figure, study, palette, hue)
    data = pd.concat(by_metric.values(), ignore_index=True)
    return Drawing("trends", figure, _caption(study), _alt(study, hue, list(by_metric)), data)


def _faceted(
    study: Study,
    palette: Palette,
    hue: Factor | None,
    facet: str,
    metric: str,
    frame: pd.DataFrame,
) -> Drawing:
    """Draw one metric, a panel a combination of the other factors."""
    rest = [factor for factor in study.factors if factor is not hue]
    combinations = study.cases.drop_duplicates([factor.column for factor in rest])
    groups = [
        study.cases[
            np.logical_and.reduce([study.cases[one.column] == row[one.column] for one in rest])
        ]
        for _, row in combinations.iterrows()
    ]
    columns = min(PER_ROW, len(groups))
    rows = -(-len(groups) // columns)
    width = WIDTH if columns > 1 else WIDTH * 0.6
    figure, grid = canvas(rows, columns, width=width, height=2.9 * rows + 0.3)
    curves = study.curves[study.curves["metric"] == metric]
    limits = _limits(study, metric, frame)
    for place, group in enumerate(groups):
        inside = set(group["record"])
        bands_inside = frame[frame["record"].isin(inside)]
        kinds, epochs = _x_axes(group)
        title = ", ".join(f"{one.title} {group.iloc[0][one.column]}" for one in rest)
        _draw(
            grid[divmod(place, columns)],
            Panel(
                study,
                palette,
                hue,
                metric,
                kinds[0],
                bands_inside,
                curves[curves["record"].isin(inside)],
                limits,
                _is_far(group, bands_inside, kinds[0]),
                title=shortened(title, 40),
                epochs=epochs,
            ),
        )
    for place in range(len(groups), rows * columns):
        grid[divmod(place, columns)].set_visible(False)
    _legend(figure, study, palette, hue)
    name = f"trends-{metric}"
    return Drawing(name, figure, _caption(study), _alt(study, hue, [metric]), frame)


def _x_axes(cases: pd.DataFrame) -> tuple[list[str], float | None]:
    """Return the axes worth a panel, and the updates an epoch if all cases share them."""
    updates = cases["updates_per_epoch"]
    if updates.isna().any():
        return ["step"], None
    if updates.nunique() == 1:
        return ["step"], float(updates.iloc[0])
    timed = ["seconds"] if cases["step_seconds"].notna().all() else []
    return ["step", "epoch", *timed], None


def _is_far(cases: pd.DataFrame, frame: pd.DataFrame, x: str) -> bool:
    ends = frame[frame["record"].isin(set(cases["record"]))].groupby("record")[x].max()
    return bool(ends.max() > FAR * ends.min() > 0)


def _limits(study: Study, metric: str, frame: pd.DataFrame) -> tuple[float, float, bool]:
    """Return what of a metric is worth drawing: what trained, and the beginning of what did not."""
    sound = frame[["median", "low", "high"]].to_numpy().ravel()
    sound = sound[np.isfinite(sound)]
    if sound.size == 0:
        return 0.0, 1.0, False
    if study.higher(metric):
        goal = study.target[1] if study.target and study.target[0] == metric else -np.inf
        return _with_room(float(sound.min()), float(max(sound.max(), goal)), log=False)
    values = study.curves[study.curves["metric"] == metric]
    starts = values.loc[values["step"] == values["step"].min(), "value"]
    start = float(np.nanmax(starts)) if starts.notna().any() else float(sound.max())
    bad = set(study.seeds.loc[study.seeds["regime"] == "diverged", "record"])
    trained = frame.loc[~frame["record"].isin(bad), "high"]
    trained = trained[np.isfinite(trained)]
    highest = max(start, float(trained.max()) if len(trained) else start)
    highest = max(highest, min(float(sound.max()), HEADROOM * abs(start)))
    lowest = float(sound.min())
    return _with_room(lowest, highest, log=lowest > 0 and highest > DECADE * lowest)


def _with_room(lowest: float, highest: float, *, log: bool) -> tuple[float, float, bool]:
    """Return limits with room below, and above for the words on a line near the top."""
    if log:
        spread = highest / lowest
        return lowest / spread**0.05, highest * spread**ROOM_ABOVE, True
    spread = highest - lowest or 1.0
    return lowest - 0.05 * spread, highest + ROOM_ABOVE * spread, False


# ---- a panel


def _draw(axes: Axes, panel: Panel) -> None:
    frame, hue, low, high = panel.bands, panel.hue, *panel.limits[:2]
    shown = frame.assign(median=frame["median"].where(np.isfinite(frame["median"])))
    colours: dict[Any, str] = {}
    options: dict[str, Any] = {"color": INK}
    if hue:
        colours = panel.palette.colour_map(hue)
        options = {
            "hue": hue.column,
            "palette": colours,
            "style": hue.column,
            "dashes": panel.palette.dash_map(hue),
        }
    sns.lineplot(
        shown, x=panel.x, y="median", units="record", estimator=None, legend=False, ax=axes,
        sort=False, **options,
    )  # fmt: skip
    for _, case in frame.groupby("record", sort=False):
        colour = colours.get(str(case[hue.column].iloc[0]), INK) if hue else INK
        known = case[np.isfinite(case["low"]) | np.isfinite(case["high"])]
        bottom = known["low"].clip(lower=low - abs(low))
        axes.fill_between(
            known[panel.x], bottom, known["high"].clip(upper=10 * abs(high)),
            color=colour, alpha=0.18, linewidth=0,
        )  # fmt: skip
    _crosses(axes, panel, colours)
    _finish(axes, panel)


def _crosses(axes: Axes, panel: Panel, colours: dict[Any, str]) -> None:
    """Mark each run that diverged where it was last seen, at the edge if it left the panel."""
    seeds = panel.study.seeds
    diverged = seeds.loc[seeds["regime"] == "diverged", ["record", "seed"]]
    found = panel.curves.merge(diverged, on=["record", "seed"])
    for (_, _), run in found.groupby(["record", "seed"]):
        seen = run[np.isfinite(run["value"])]
        if seen.empty:
            continue
        outside = seen[seen["value"] > panel.limits[1]]
        last = (outside if len(outside) else seen).iloc[0 if len(outside) else -1]
        colour = colours.get(str(last[panel.hue.column]), INK) if panel.hue else INK
        axes.plot(
            last[panel.x],
            min(float(last["value"]), panel.limits[1]),
            marker="X",
            markersize=7,
            markerfacecolor=colour,
            markeredgecolor="white",
            markeredgewidth=0.7,
            linestyle="none",
            clip_on=False,
            zorder=5,
        )


def _finish(axes: Axes, panel: Panel) -> None:
    low, high, log = panel.limits
    study, metric = panel.study, panel.metric
    if log:
        axes.set_yscale("log")
    axes.set_ylim(low, high)
    plain_numbers(axes.yaxis)
    unit = {"step": f"{study.update}s", "epoch": "epochs", "seconds": "seconds of training steps"}
    axes.set(xlabel=unit[panel.x], ylabel=study.axis(metric))
    axes.set_title(panel.title)
    ends = panel.bands[panel.x]
    if panel.far:
        axes.set_xscale("symlog", linthresh=float(ends[ends > 0].min()), linscale=0.4)
        axes.set_xlim(0, float(ends.max()) * 1.1)
    else:
        axes.set_xlim(0, float(ends.max()))
    plain_numbers(axes.xaxis)
    if study.target and study.target[0] == metric and low < study.target[1] < high:
        line_label(axes, study.target[1], f"target {setting(study.target[1])}")
    constant = study.cases["constant_loss"].dropna()
    if metric == study.loss_name and constant.nunique() == 1 and low < constant.iloc[0] < high:
        line_label(axes, float(constant.iloc[0]), "best constant predictor")
    if panel.epochs and panel.x == "step" and not panel.far:
        ratio = panel.epochs
        top = axes.secondary_xaxis("top", functions=(lambda x: x / ratio, lambda x: x * ratio))
        top.xaxis.set_major_locator(MaxNLocator(5))
        plain_numbers(top.xaxis)
        top.set_xlabel("epochs", fontsize=8, color=QUIET, labelpad=2)
        top.tick_params(labelsize=7.5, colors=QUIET, length=2.5, pad=1)
        top.spines["top"].set_visible(False)


def _legend(figure: Any, study: Study, palette: Palette, hue: Factor | None) -> None:
    handles = []
    if hue:
        levels = hue.levels
        if len(levels) > MOST_LEGEND:
            step = (len(levels) - 1) / (MOST_LEGEND - 1)
            levels = tuple(levels[round(place * step)] for place in range(MOST_LEGEND))
        dashes = palette.dash_map(hue)
        handles = [
            Line2D(
                [], [], color=palette.colour(hue, level), label=shortened(level), linewidth=2,
                linestyle=(0, dashes[level]) if dashes[level] else "-",
            )
            for level in levels
        ]  # fmt: skip
    if (study.seeds["regime"] == "diverged").any():
        handles.append(
            Line2D([], [], color=INK, marker="X", markersize=7, linestyle="none", label="diverged")
        )
    if handles:
        figure.legend(
            handles=handles,
            title=hue.title if hue else None,
            loc="outside upper left",
            ncols=min(len(handles), 7),
            alignment="left",
            columnspacing=1.4,
            handlelength=2.6,
        )


# ---- words


def _caption(study: Study) -> str:
    parts = ["median over the seeds", band_words(study.cases["seeds"])]
    text = "; ".join(filter(None, parts)) if study.cases["seeds"].max() > 1 else "one seed a case"
    if (study.seeds["regime"] == "diverged").any():
        text += "; a cross marks where a run that diverged was last seen, at the edge if it left"
    return sentence(text)


def _alt(study: Study, hue: Factor | None, metrics: list[str]) -> str:
    what = " and ".join(humanized(metric) for metric in metrics)
    by = f" by {hue.title}" if hue else ""
    return f"{sentence(f'{what} against {study.update}s{by}')} {words.headline(study)}"
