"""A run taken apart for the page: an analysis a module, a study a test, a factor for what varies.

Nothing here knows a benchmark by name: what is drawn and said follows from what varies in the
records of a test.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from dlbench.plain import dumps
from dlbench.report import frames
from dlbench.report.formatting import setting, test_name
from dlbench.report.study import Factor, Study

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from dlbench.history.record import Record
    from dlbench.history.run import Figure, Run

HYPERPARAMETERS = ("learning_rate", "batch_size")
"""Where two parameters vary together, these are the ones to draw."""

FULL = "full"
"""The batch size that is the whole training set."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """One benchmark module."""

    module: str
    theory: str
    discussion: str
    studies: tuple[Study, ...]
    figures: tuple[Figure, ...]
    """Those that its tests handed in."""

    def study_of(self, figure: Figure) -> Study | None:
        """Return the study with a figure's case, or with its test; None where there is none."""
        for study in self.studies:
            if (study.cases["case"] == figure["case"]).any():
                return study
        test = test_of(figure)
        return next((study for study in self.studies if study.test == test), None)

    @property
    def galleries(self) -> dict[str, list[Figure]]:
        """The figures of tests that left no records, by test."""
        found: dict[str, list[Figure]] = {}
        for figure in self.figures:
            if self.study_of(figure) is None:
                found.setdefault(test_of(figure), []).append(figure)
        return found

    @property
    def cases(self) -> pd.DataFrame:
        """The cases of all its studies."""
        every = [study.cases for study in self.studies]
        return pd.concat(every) if every else frames.case_frame([])


def test_of(figure: Figure) -> str:
    """Return the name of the test that handed a figure in."""
    return test_name(figure["case"]).split("[", 1)[0]


def analyses(run: Run) -> list[Analysis]:
    """Return the run's modules in their order, each with its studies."""
    modules = dict.fromkeys(run.modules)
    modules |= dict.fromkeys(record["module"] for record in run.records)
    modules |= dict.fromkeys(figure["module"] for figure in run.figures)
    return [
        Analysis(
            module=module,
            theory=run.modules[module]["theory"] if module in run.modules else "",
            discussion=run.modules[module]["discussion"] if module in run.modules else "",
            studies=tuple(studies([one for one in run.records if one["module"] == module])),
            figures=tuple(one for one in run.figures if one["module"] == module),
        )
        for module in modules
    ]


def studies(records: Sequence[Record]) -> list[Study]:
    """Return the studies that a module's records make up, in the order of their tests."""
    result = []
    for test in dict.fromkeys(record["test"] for record in records):
        of_test = [record for record in records if record["test"] == test]
        groups = _groups(of_test)
        for group in groups:
            where = _where(group, of_test) if len(groups) > 1 else ""
            result.append(_study(group, where))
    return result


def _groups(records: list[Record]) -> list[list[Record]]:
    """Split the records of a test into those that can share a figure.

    Different losses or curves never can. Different data or targets could; they are told apart where
    each still has something to compare.
    """
    groups = []
    for same_shape in _split(records, _shape):
        same_problem = _split(same_shape, _problem)
        comparable = all(len(group) > 1 for group in same_problem)
        groups += same_problem if comparable else [same_shape]
    return groups


def _split(records: list[Record], key: Callable[[Record], Hashable]) -> list[list[Record]]:
    groups: dict[Hashable, list[Record]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return list(groups.values())


def _shape(record: Record) -> Hashable:
    runs = frames.runs_of(record)
    if runs is None:
        return record["kind"]
    return record["kind"], dumps(runs.experiment.get("loss")), tuple(runs.curves)


def _problem(record: Record) -> Hashable:
    runs = frames.runs_of(record)
    if runs is None:
        return None
    data = runs.experiment.get("data")
    problem = data.get("digest") if isinstance(data, dict) else runs.experiment.get("workload")
    return dumps([problem, runs.experiment.get("target")])


def _where(group: list[Record], of_test: list[Record]) -> str:
    """Return what is the same in a group and differs in the test: parameters, else workloads."""
    names = [
        name
        for name in _names(of_test)
        if len(_values(group, name)) == 1 and len(_values(of_test, name)) > 1
    ]
    if names:
        return ", ".join(setting(group[0]["params"].get(name)) for name in names)
    cases = frames.case_frame(group)
    return " and ".join(dict.fromkeys(cases["workload"])) or str(group[0]["kind"])


def _study(records: list[Record], where: str) -> Study:
    cases = frames.case_frame(records)
    varied = _factors(records, cases)
    for factor, levels in varied:
        cases[factor.column] = pd.Categorical(levels, categories=factor.levels, ordered=True)
    factors = _telling_apart([factor for factor, _ in varied], cases)
    columns = [factor.column for factor in factors]
    by_record = cases.set_index("record")[columns]
    seeds, curves = frames.seed_frame(records), frames.curve_frame(records)
    seeds = seeds.join(by_record, on="record") if len(seeds) else seeds
    return Study(
        module=records[0]["module"],
        test=records[0]["test"],
        where=where,
        factors=tuple(factors),
        following=tuple(factor for factor, _ in varied if factor not in factors),
        cases=cases.sort_values(columns, kind="stable", ignore_index=True) if columns else cases,
        seeds=seeds,
        seeds_of={int(of["record"].iloc[0]): of for _, of in seeds.groupby("record")},
        curves=curves.join(by_record, on="record") if len(curves) else curves,
        layers=frames.layer_frame(records),
        totals=frames.total_frame(records),
        metrics=tuple(dict.fromkeys(curves["metric"])),
        loss_name=next(iter(cases["loss_name"].dropna()), None),
        target=_target(cases),
        declared=_declared(records),
    )


def _target(cases: pd.DataFrame) -> tuple[str, float] | None:
    known = cases[["target_metric", "target"]].dropna().drop_duplicates()
    if len(known) != 1:
        return None
    return str(known["target_metric"].iloc[0]), float(known["target"].iloc[0])


def _declared(records: list[Record]) -> dict[str, bool]:
    declared: dict[str, bool] = {}
    for record in records:
        runs = frames.runs_of(record)
        declared |= runs.higher_is_better if runs else {}
    return declared


def _factors(records: list[Record], cases: pd.DataFrame) -> list[tuple[Factor, list[str]]]:
    """Return what varies, each with its level in every record.

    It is the test's parameters. Where they do not tell all records apart (several calls in one
    test), the experiment's learning rate, batch size and optimizer do, then the records' names.
    """
    found: dict[str, list[object]] = {
        name: [record["params"].get(name) for record in records]
        for name in _names(records)
        if len(_values(records, name)) > 1
    }
    further: dict[str, list[object]] = {
        name: cases[name].tolist() for name in ("learning_rate", "batch_size", "optimizer")
    }
    further["name"] = [record["name"] or "first" for record in records]
    further["repetition"] = _repetitions([record["case"] for record in records])
    for name, values in further.items():
        if _distinct(found, len(records)):
            break
        if name not in found and len({dumps(value) for value in values}) > 1:
            found[name] = values
    return [_factor(name, values, cases) for name, values in found.items()]


def _telling_apart(factors: list[Factor], cases: pd.DataFrame) -> list[Factor]:
    """Return the fewest factors that tell the cases apart, the first named before the last.

    A test is often given its bounds beside what it varies: they vary too, but are no factor.
    """
    kept = list(factors)
    weak = [factor for factor in factors if factor.name not in HYPERPARAMETERS]
    strong = [factor for factor in factors if factor.name in HYPERPARAMETERS]
    for factor in (*reversed(weak), *reversed(strong)):
        rest = [one for one in kept if one is not factor]
        columns = [one.column for one in rest]
        if columns and not cases.duplicated(columns).any():
            kept = rest
    return kept


def _factor(name: str, values: list[object], cases: pd.DataFrame) -> tuple[Factor, list[str]]:
    texts = [setting(value) for value in values]
    numbers = [
        _number(cases["batch_size"].iloc[row] if name == "batch_size" and value == FULL else value)
        for row, value in enumerate(values)
    ]
    if len(set(texts)) < len({f"{number:.10g}" for number in numbers if number is not None}):
        texts = [str(value) for value in values]  # they differ beyond what a short text keeps
    by_level = dict(zip(texts, numbers, strict=True))
    known = {level: number for level, number in by_level.items() if number is not None}
    if len(known) < len(by_level):
        return Factor(name, tuple(by_level), None), texts
    levels = tuple(sorted(known, key=lambda level: (known[level], level == FULL)))
    return Factor(name, levels, tuple(known[level] for level in levels)), texts


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def _names(records: Iterable[Record]) -> list[str]:
    return list(dict.fromkeys(name for record in records for name in record["params"]))


def _values(records: Iterable[Record], name: str) -> set[str]:
    return {dumps(record["params"].get(name)) for record in records}


def _distinct(found: dict[str, list[object]], count: int) -> bool:
    rows = {tuple(dumps(values[row]) for values in found.values()) for row in range(count)}
    return len(rows) == count


def _repetitions(cases: list[str]) -> list[object]:
    seen: dict[str, int] = {}
    result: list[object] = []
    for case in cases:
        seen[case] = seen.get(case, 0) + 1
        result.append(seen[case])
    return result
