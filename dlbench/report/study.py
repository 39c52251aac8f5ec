"""A study: the cases of one test that can share a figure, and what varies between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from dlbench.metrics import higher_is_better
from dlbench.report.formatting import humanized, setting, shortened, test_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

MOST_METRICS = 6
"""Panels, where a run has curves of many metrics and none is a validation metric."""


@dataclass(frozen=True, slots=True)
class Factor:
    """Something that varies between the cases of a study."""

    name: str
    levels: tuple[str, ...]
    """Its values as texts, in their order: numbers rising, others as they came."""
    numbers: tuple[float, ...] | None
    """A number a level, or None if not all are numbers."""

    @property
    def column(self) -> str:
        """The column of a study's cases that holds its levels."""
        return f"factor {self.name}"

    @property
    def title(self) -> str:
        """Its name in words."""
        return shortened(humanized(self.name), 40)

    def number(self, level: str) -> float:
        """Return a level's number; only where the factor has numbers."""
        assert self.numbers is not None  # noqa: S101 - asked of numeric factors only
        return self.numbers[self.levels.index(level)]


@dataclass(frozen=True, slots=True)
class Bound:
    """What a test asserts of one number of a case's runs; the fields of `history.record.Asserted`."""

    summary: str
    metric: str
    at: float | None
    statistic: str
    comparison: str
    bound: float
    measured: float | None
    held: bool

    @property
    def quantity(self) -> tuple[str, str, float | None, str]:
        """What it is a bound on: two bounds on the same make a range."""
        return self.summary, self.metric, self.at, self.statistic

    @property
    def side(self) -> int:
        """Where the number is to lie: below the bound (-1), above it (1) or on it (0)."""
        return {"<": -1, ">": 1}.get(self.comparison[0], 0)


@dataclass(frozen=True, slots=True)
class ReferenceLine:
    """A value that a metric is held against, and what it is."""

    value: float
    words: str
    stroke: Literal["dashed", "dotted"]
    """How it is drawn, the same in every figure."""


@dataclass(frozen=True, slots=True)
class Study:
    """The cases of one test that share a problem, and what varies between them."""

    module: str
    test: str
    where: str
    """What tells it from the other studies of its test: a workload's name, say; may be empty."""
    factors: tuple[Factor, ...]
    """What tells its cases apart."""
    following: tuple[Factor, ...]
    """What varies too, but follows from the factors: a bound that was given with each, say."""
    cases: pd.DataFrame
    """A row a case, in the factors' order, with a column of levels a factor."""
    seeds: pd.DataFrame
    """A row a case and seed, with the same columns of levels."""
    seeds_of: Mapping[int, pd.DataFrame]
    """The same by record."""
    curves: pd.DataFrame
    """A row a case, metric, seed and point, with the same columns of levels."""
    layers: pd.DataFrame
    """A row a case and layer, where models were counted."""
    totals: pd.DataFrame
    """A row a counted model."""
    metrics: tuple[str, ...]
    """Its curves, in their order."""
    loss_name: str | None
    """The curve that is the training loss."""
    target: tuple[str, float] | None
    """The metric and value that a run is to reach, where all cases have the same."""
    declared: Mapping[str, bool]
    """Whether a metric is better higher, where that was said."""

    @property
    def title(self) -> str:
        """The test's name in words, with what tells the study apart."""
        words = humanized(self.test)
        words = words[0].upper() + words[1:]
        return f"{words}: {self.where}" if self.where else words

    @property
    def key(self) -> str:
        """A text that no other study of the run has."""
        return f"{self.module} {self.test} {self.where}"

    @property
    def counts_models(self) -> bool:
        """Whether its cases count parameters; otherwise they train."""
        return bool((self.cases["kind"] == "parameters").all())

    def factor(self, name: str) -> Factor | None:
        """Return the factor of that name, if it varies."""
        return next((factor for factor in self.factors if factor.name == name), None)

    def others(self, factor: Factor) -> tuple[Factor, ...]:
        """Return the factors beside one."""
        return tuple(one for one in self.factors if one is not factor)

    def label(self, record: int) -> str:
        """Return what tells a case from the others: its levels."""
        row = self.case(record)
        if not self.factors:
            return str(row["name"] or test_name(row["case"]))
        if len(self.factors) == 1:
            return str(row[self.factors[0].column])
        return ", ".join(
            str(row[factor.column])
            if factor.name == "name"
            else f"{factor.title} {row[factor.column]}"
            for factor in self.factors
        )

    # ---- metrics

    @property
    def constant_loss(self) -> float | None:
        """The loss of the best constant predictor, where all cases have the same."""
        known = self.cases["constant_loss"].dropna().unique()
        return float(known[0]) if len(known) == 1 else None

    def reference_lines(self, metric: str) -> tuple[ReferenceLine, ...]:
        """Return the values that a metric's curves are held against, with what each is."""
        lines = []
        if self.target and self.target[0] == metric:
            goal = self.target[1]
            lines.append(ReferenceLine(goal, f"target {setting(goal)}", "dashed"))
        if metric == self.loss_name and self.constant_loss is not None:
            floor = ReferenceLine(self.constant_loss, "best constant predictor", "dotted")
            lines.append(floor)
        return tuple(lines)

    @property
    def shown(self) -> list[str]:
        """The metrics worth a panel: the training loss and what the validation set says."""
        validation = [name for name in self.metrics if name.startswith("val")]
        loss = [name for name in self.metrics if name == self.loss_name]
        return loss + validation if validation else list(self.metrics[:MOST_METRICS])

    @property
    def primary(self) -> str | None:
        """The metric that the study is judged by: the target's, else validation, else the loss."""
        validation = [name for name in self.metrics if name.startswith("val")]
        scores = [name for name in validation if "loss" not in name]
        found = [self.target[0]] if self.target else scores or validation or [self.loss_name or ""]
        return found[0] if found[0] in self.metrics else next(iter(self.metrics), None)

    @property
    def update(self) -> str:
        """What a point of a curve counts: only of `convergence` it is known."""
        return "update" if (self.cases["kind"] == "convergence").all() else "step"

    def higher(self, metric: str) -> bool:
        """Return whether a metric is better higher; lower where nobody knows."""
        return bool(self.declared.get(metric, higher_is_better(metric)))

    def axis(self, metric: str) -> str:
        """Return a metric's name with its unit."""
        units = set(self.cases["loss_unit"]) - {""}
        return (
            f"{humanized(metric)} ({units.pop()})"
            if metric.endswith("loss") and units
            else (humanized(metric))
        )

    def case(self, record: int) -> pd.Series[Any]:
        """Return a case's row."""
        return self.cases[self.cases["record"] == record].iloc[0]

    def asserted(self, record: int) -> tuple[Bound, ...]:
        """Return the bounds that the test asserts of a case."""
        return tuple(self.case(record)["asserted"])

    def of(self, record: int) -> pd.DataFrame:
        """Return a case's seeds."""
        return self.seeds_of.get(record, self.seeds.iloc[:0])
