"""Batch sizes: how many updates and samples the target takes, and how many samples go through."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns

from dlbench.report import words
from dlbench.report.figures import bounds, marks
from dlbench.report.figures.bounds import STEPS
from dlbench.report.figures.drawing import Drawing
from dlbench.report.formatting import humanized, number, sentence, setting
from dlbench.report.style import INK, ORANGE, WIDTH, Palette, canvas, plain_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes

    from dlbench.report.study import Bound, Factor, Study


def batch_sizes(study: Study, palette: Palette) -> Iterator[Drawing]:
    """Yield what a target costs by batch size, in updates and in samples, and the throughput.

    Shape after Shallue et al. 2019, "Measuring the effects of data parallelism", figure 1: perfect
    scaling halves the updates at twice the batch size, so that the samples stay the same.
    """
    factor = study.factor("batch_size")
    if factor is None or factor.numbers is None:
        return
    to_target = study.target is not None and np.isfinite(study.seeds[STEPS]).any()
    timed = study.cases["samples_per_second"].notna().any()
    panels = 2 * bool(to_target) + bool(timed)
    if not panels:
        return
    hue = next(iter(study.others(factor)), None)
    figure, grid = canvas(1, panels, width=WIDTH * (panels / 3 if panels > 1 else 0.45), height=3.5)
    places = iter(grid[0])
    steps = marks.points(study, STEPS, factor)
    data = steps.rename(columns={"number": "batch_size", "value": "steps_to_target"})
    asserted: list[Bound] = []
    if to_target:
        samples = steps.assign(value=steps["value"] * steps["number"])
        data["samples_to_target"] = samples["value"]
        for frame, what, times in (
            (steps, f"{study.update}s to target", None),
            (samples, "samples to target", "number"),
        ):
            axes = next(places)
            _scales(axes, frame["value"].to_numpy(), factor)
            marks.scatter(axes, study, frame, higher=False, hue=hue, palette=palette)
            asserted += marks.asserted(
                axes, study, frame, STEPS, hue=hue, palette=palette, times=times
            )
            if frame["value"].isna().any():
                marks.edge_room(axes, top=True)
                marks.at_edge(axes, frame, top=True, colour=ORANGE)
            _labels(axes, factor, what)
    if timed:
        speed = study.cases.set_index("record")["samples_per_second"]
        data["samples_per_second"] = speed.reindex(data["record"]).to_numpy()
        _throughput(next(places), study, factor)
    reached = steps["value"].notna()
    never = to_target and not reached.all()
    marks.legend(
        figure, palette, hue=hue, regimes=set(steps.loc[reached, "regime"]),
        lost=("never reached the target", ORANGE) if never else None,
    )  # fmt: skip
    caption = sentence(_caption(study, to_target=bool(to_target)) + bounds.explained(asserted))
    yield Drawing("by-batch_size", figure, caption, _alt(study, timed=bool(timed)), data)


def _throughput(axes: Axes, study: Study, factor: Factor) -> None:
    frame = study.cases.dropna(subset="samples_per_second")
    frame = frame.assign(number=[factor.number(level) for level in frame[factor.column]])
    sns.lineplot(
        frame, x="number", y="samples_per_second", estimator="median", errorbar=None,
        marker="o", color=INK, linewidth=1.2, ax=axes,
    )  # fmt: skip
    _scales(axes, frame["samples_per_second"].to_numpy(), factor)
    _labels(axes, factor, "samples per second")


def _scales(axes: Axes, values: np.ndarray, factor: Factor) -> None:
    marks.across(axes, np.array(factor.numbers), log=True)
    known = values[np.isfinite(values)]
    if known.size:
        axes.set_yscale("log")
        beside = max(float(known.max() / known.min()) ** 0.1, 1.2)
        axes.set_ylim(known.min() / beside, known.max() * beside)


def _labels(axes: Axes, factor: Factor, what: str) -> None:
    axes.set(xlabel="batch size (samples)", ylabel=what)
    plain_numbers(axes.yaxis)
    numbers = factor.numbers or ()
    axes.set_xticks(list(numbers), [number(one) for one in numbers])
    axes.minorticks_off()


def _caption(study: Study, *, to_target: bool) -> str:
    text = "a mark is a seed, the line joins the medians" if to_target else ""
    if to_target and study.target:
        metric, value = study.target
        text += f"; the target is {humanized(metric)} {setting(value)}"
        if not np.isfinite(study.seeds[STEPS]).all():
            text += "; crosses at the edge are seeds that never reached it"
    return text or "throughput of the timed training step"


def _alt(study: Study, *, timed: bool) -> str:
    speed = study.cases.dropna(subset="samples_per_second")
    text = words.headline(study)
    if timed and len(speed):
        fastest = speed.iloc[int(speed["samples_per_second"].argmax())]
        text += (
            f" Most samples go through at batch size {number(fastest['batch_size'])}: "
            f"{number(round(fastest['samples_per_second']))} a second."
        )
    return f"Cost of the target by batch size. {text}"
