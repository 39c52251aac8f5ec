"""Sentences made from the numbers of a study; every number in them comes from the records."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from dlbench.metrics import DIVERGED_AT, REGIMES
from dlbench.report.formatting import (
    common,
    counted,
    humanized,
    listed,
    number,
    sentence,
    setting,
    whole,
)
from dlbench.report.spreads import Spread, spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from dlbench.report.study import Factor, Study

MOST_LINES = 12
"""So many cases are told one by one; of more, the best and the failed."""

MOST_NAMED = 6
"""So many failed cases are named in a sentence."""

TUNED = ("learning_rate", "lr", "rate")
"""Of these an optimum is looked for."""

SEVERAL = 3
"""With so many levels or more, an optimum at an end may lie beyond it."""


# ---- a case


def outcome(study: Study, record: int) -> str:
    """Return what came of a case: who reached the target and when, or how it ended instead."""
    if study.counts_models:
        return _count(study, record)
    seeds = study.of(record)
    if seeds.empty:
        return "no numbers were recorded"
    counts = Counter(seeds["regime"])
    if set(counts) == {"diverged"}:
        return f"{_all(len(seeds))} diverged{_diverged_by(study, record)}"
    if study.target is None:
        return f"{final(study, record)}; {_regimes(counts)}"
    return _to_target(study, record)


def reached(study: Study, record: int) -> Spread:
    """Return the updates until the seeds reached the target, those that never did included."""
    return spread(study.of(record)["steps_to_target"])


def final_spread(study: Study, record: int, metric: str) -> Spread:
    """Return a metric's last values over a case's seeds."""
    return spread(study.of(record)[f"final_{metric}"], higher=study.higher(metric))


def final(study: Study, record: int) -> str:
    """Return the last value of the metric that the study is judged by."""
    metric = study.primary
    if metric is None or f"final_{metric}" not in study.seeds:
        return "no metric was recorded"
    return f"final {humanized(metric)} {final_spread(study, record, metric).text()}"


def regime_counts(seeds: pd.DataFrame) -> dict[str, int]:
    """Return how many seeds ended in each regime, the best first."""
    counts = Counter(seeds["regime"])
    order = [*reversed(REGIMES), *sorted(set(counts) - set(REGIMES))]
    return {regime: counts[regime] for regime in order if counts[regime]}


def names(metrics: list[str]) -> str:
    """Return metrics by their names in words, as a list in a sentence."""
    return listed([humanized(metric) for metric in metrics])


def _to_target(study: Study, record: int) -> str:
    assert study.target is not None  # noqa: S101 - asked by `outcome` only
    metric, value = study.target
    seeds = study.of(record)
    goal = f"{humanized(metric)} {setting(value)}"
    steps = seeds["steps_to_target"]
    there = steps[np.isfinite(steps)]
    if there.empty:
        regimes = _regimes(Counter(seeds["regime"]))
        end = float(study.case(record)["steps"])
        return (
            f"no seed reached {goal} in {number(end)} {study.update}s ({regimes}); "
            f"{final(study, record)}"
        )
    who = _all(len(seeds)) if len(there) == len(seeds) else f"{len(there)} of {len(seeds)} seeds"
    taken = spread(there)
    median = "a median of " if len(there) > 1 else ""
    text = f"{who} reached {goal} after {median}{taken.text(f'{study.update}s', whole)}"
    rest = Counter(seeds.loc[~np.isfinite(steps), "regime"])
    return f"{text}; the rest: {_regimes(rest)}" if rest else text


def _all(count: int) -> str:
    return "the one seed" if count == 1 else f"all {count} seeds"


def _regimes(counts: Counter[str]) -> str:
    order = [*reversed(REGIMES), *sorted(set(counts) - set(REGIMES))]
    total = sum(counts.values())
    if len(counts) == 1:
        return f"{total} {next(iter(counts))}"
    return listed([f"{counts[regime]} {regime}" for regime in order if counts[regime]])


def _diverged_by(study: Study, record: int) -> str:
    """Return by which update the last seed had diverged for good, as far as the points tell."""
    curves = study.curves
    losses = curves[(curves["record"] == record) & (curves["metric"] == study.loss_name)]
    if losses.empty:
        return ""
    table = losses.pivot_table(index="seed", columns="step", values="value", dropna=False)
    values = table.to_numpy()
    start = values[:, :1]
    with np.errstate(invalid="ignore"):
        bad = ~np.isfinite(values) | (values > start + (DIVERGED_AT - 1) * np.abs(start))
    for_good = np.logical_and.accumulate(bad[:, ::-1], axis=1)[:, ::-1]
    if not for_good[:, -1].all():
        return ""
    return f" by {study.update} {number(float(table.columns[int(for_good.argmax(axis=1).max())]))}"


# ---- a study


def question(study: Study) -> str:
    """Return what was trained and what was varied, from the records of a study."""
    if study.counts_models:
        models = "one model" if len(study.cases) == 1 else f"{len(study.cases)} models"
        return sentence(f"the parameters of {models}, counted exactly")
    cases = study.cases
    varied = [
        f"{counted(len(factor.levels), factor.title)} ({_span(factor)})" for factor in study.factors
    ]
    same = [common([name for name in cases["workload"] if name] or ["a loop of the user's own"])]
    if study.factor("optimizer") is None and cases["optimizer"].any():
        same.append(common(list(cases["optimizer"])))
    for name in ("learning_rate", "batch_size", "steps"):
        values = cases[name].dropna().unique()
        if len(values) == 1 and study.factor(name) is None:
            value = float(values[0])
            same.append(
                f"{number(value)} {study.update}s"
                if name == "steps"
                else f"{humanized(name)} {setting(value)}"
            )
    counts = cases["seeds"].unique()
    same.append(
        f"{counted(int(counts[0]), 'seed')} each"
        if len(counts) == 1
        else f"{min(counts)} to {max(counts)} seeds each"
    )
    if study.target:
        metric, value = study.target
        sign = "≥" if study.higher(metric) else "≤"
        same.append(f"target {humanized(metric)} {sign} {setting(value)}")
    told = ", ".join(same)
    return sentence(f"{listed(varied)}: {told}" if varied else told)


def findings(study: Study) -> list[str]:
    """Return what came out, a sentence a case; of many cases the best and the failed."""
    records = list(study.cases["record"])
    if len(study.factors) > 1 and not study.counts_models:
        return _by_first_factor(study)
    if len(records) <= MOST_LINES:
        return [_line(study, record) for record in records]
    if study.counts_models:
        ordered = study.totals.sort_values("unique")["record"].tolist()
        ends = {"smallest": ordered[:1], "largest": ordered[-1:]}
        return [
            sentence(f"{which}: {study.label(record)}, {outcome(study, record)}")
            for which, found in ends.items()
            for record in found
        ]
    best = best_case(study, records)
    lines = [f"Best of {len(records)}: {_line(study, best)}"] if best is not None else []
    return lines + _failed_lines(study, records)


def conclusion(studies: Sequence[Study]) -> str:
    """Return an analysis in one measured sentence: all that it counted, or its largest study."""
    if not studies:
        return "No numbers were recorded."
    if all(study.counts_models for study in studies):
        return _models(
            [int(count) for study in studies for count in study.totals.get("unique", [])]
        )
    largest = max(studies, key=lambda study: len(study.cases))
    return f"{largest.title}: {headline(largest)}" if len(studies) > 1 else headline(largest)


def headline(study: Study) -> str:
    """Return the study in one measured sentence."""
    records = list(study.cases["record"])
    if study.counts_models:
        return _models([int(count) for count in study.totals.get("unique", [])])
    if len(records) == 1:
        return sentence(outcome(study, records[0]))
    best = best_case(study, records)
    failed = [one for one in records if _all_failed(study, one)]
    if best is None or len(failed) == len(records):
        return sentence(f"in all {len(records)} cases every seed failed to train")
    text = f"best of {len(records)} {_at(study, best)}: {outcome(study, best)}"
    if study.target and not np.isfinite(study.seeds["steps_to_target"]).any():
        goal = f"{humanized(study.target[0])} {setting(study.target[1])}"
        text = (
            f"no seed of any of the {len(records)} cases reached {goal}; "
            f"best {_at(study, best)}: {final(study, best)}"
        )
    if failed:
        names = listed([_at(study, one) for one in failed[:SEVERAL]])
        rest = len(failed) - SEVERAL
        more = f" and in {counted(rest, 'more case')}" if rest > 0 else ""
        text += f"; {names}{more} no seed trained"
    return sentence(text)


def best_case(study: Study, records: list[int]) -> int | None:
    """Return the case that reached the target soonest, else the one with the best last value.

    Cases are told apart by three of four seeds first, so that one where many fail is not the best
    for those that did not.
    """
    metric = study.primary
    known = [one for one in records if not study.of(one).empty]
    if not known or metric is None or f"final_{metric}" not in study.seeds:
        return None
    if study.target:
        steps = {one: reached(study, one) for one in known}
        soonest = min(known, key=lambda one: (steps[one].high, steps[one].median))
        if math.isfinite(steps[soonest].median):
            return soonest
    sign = -1 if study.higher(metric) else 1
    return min(known, key=lambda one: sign * final_spread(study, one, metric).median)


def _by_first_factor(study: Study) -> list[str]:
    first = study.factors[0]
    lines = []
    for level in first.levels:
        records = study.cases.loc[study.cases[first.column] == level, "record"].tolist()
        best = best_case(study, records)
        if best is not None:
            which = f"best of {len(records)} was " if len(records) > 1 else ""
            told = f"{_level(first, level)}, {which}{_beside(study, best, records)}"
            lines.append(sentence(f"{told}: {outcome(study, best)}"))
    if len(lines) > MOST_LINES:
        best = best_case(study, study.cases["record"].tolist())
        lines = [f"Best of {len(study.cases)}: {_line(study, best)}"] if best is not None else []
    return lines + _failed_lines(study, study.cases["record"].tolist())


def _beside(study: Study, record: int, records: list[int]) -> str:
    """Return a case's levels beside the first factor's, and whether a tuned one ends its grid."""
    row = study.case(record)
    told = []
    for factor in study.factors[1:]:
        level = str(row[factor.column])
        edge = factor.name in TUNED and _at_end(study, factor, level, records)
        told.append(f"{factor.title} {level}{' (the end of its grid)' if edge else ''}")
    return listed(told)


def _at_end(study: Study, factor: Factor, level: str, records: list[int]) -> bool:
    if factor.numbers is None:
        return False
    cases = study.cases[study.cases["record"].isin(records)]
    tried = [one for one in factor.levels if one in set(cases[factor.column])]
    return len(tried) >= SEVERAL and level in {tried[0], tried[-1]}


def _failed_lines(study: Study, records: list[int]) -> list[str]:
    failed = [one for one in records if _all_failed(study, one)]
    if not failed:
        return []
    shown = [_at(study, one) for one in failed[:MOST_NAMED]]
    more = [f"and {len(failed) - MOST_NAMED} more"] if len(failed) > MOST_NAMED else []
    told = "; ".join(shown + more)
    return [sentence(f"no seed trained in {len(failed)} of {len(records)} cases: {told}")]


def _all_failed(study: Study, record: int) -> bool:
    regimes = study.of(record)["regime"]
    return bool(len(regimes)) and bool(regimes.isin(["diverged", "stalled"]).all())


def _line(study: Study, record: int) -> str:
    if study.counts_models and study.factors:
        return sentence(f"{study.label(record)}: {outcome(study, record)}")
    place = _at(study, record)
    return sentence(f"{place}, {outcome(study, record)}" if place else outcome(study, record))


def _at(study: Study, record: int) -> str:
    """Return where in the study a case stands: `at learning rate 0.1`, `with relu`."""
    if not study.factors:
        return "" if len(study.cases) == 1 else f"in {study.label(record)}"
    row = study.case(record)
    words = [str(row[one.column]) for one in study.factors if one.numbers is None]
    numbers = [f"{one.title} {row[one.column]}" for one in study.factors if one.numbers]
    told = [f"with {listed(words)}"] if words else []
    return " ".join([*told, f"at {listed(numbers)}"] if numbers else told)


def _level(factor: Factor, level: str) -> str:
    return f"with {level}" if factor.numbers is None else f"at {factor.title} {level}"


def _span(factor: Factor) -> str:
    if factor.numbers is None or len(factor.levels) <= SEVERAL:
        return (
            listed(factor.levels)
            if len(factor.levels) <= MOST_LINES
            else (f"{', '.join(factor.levels[:MOST_LINES])}, …")
        )
    return f"{factor.levels[0]} to {factor.levels[-1]}"


def _count(study: Study, record: int) -> str:
    found = study.totals[study.totals["record"] == record]
    if found.empty:
        return "no table was recorded"
    total = found.iloc[0]
    frozen = int(total["non_trainable"])
    rest = f", {number(frozen)} of them not trained" if frozen else ""
    who = f"{total['model']}: " if not study.factors else ""
    return (
        f"{who}{number(int(total['unique']))} parameters in "
        f"{counted(int(total['layers']), 'layer')}{rest}"
    )


def _models(counts: list[int]) -> str:
    if not counts:
        return "No table of parameters was recorded."
    low, high = min(counts), max(counts)
    span = number(low) if low == high else f"from {number(low)} to {number(high)}"
    return sentence(f"{counted(len(counts), 'model')} counted, {span} parameters")
