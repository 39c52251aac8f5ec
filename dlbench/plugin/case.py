"""One test under way: its records and figures, and the one timing it may take."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from dlbench.errors import ExperimentError
from dlbench.plain import Plain, to_plain
from dlbench.plugin.marker import rules_of
from dlbench.plugin.session import Cargo, first_line, outcome_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dlbench.history.record import Asserted, Kind, Record, Timing
    from dlbench.history.run import Figure, Module
    from dlbench.parameters import ParameterTable
    from dlbench.plugin.options import Settings
    from dlbench.plugin.progress import Progress
    from dlbench.runs import Runs

    class Again(Protocol):
        """Trains a record's experiment from these seeds."""

        def __call__(self, seeds: Sequence[int], *, perturbed: bool) -> Runs:
            """Return the runs; perturbed ones start from weights moved by rounding's size."""
            ...


case_key = pytest.StashKey["Case"]()

MOST_BOUNDS = 20
"""Kept of one record: a loop may assert thousands."""


class Case:
    """One test: its records and figures, and pytest-benchmark's fixture, which times once a test."""

    def __init__(
        self, item: pytest.Item, settings: Settings, benchmark: Any, progress: Progress
    ) -> None:
        self.item = item
        self.settings = settings
        self.benchmark = benchmark
        self.progress = progress
        self.enforces_bounds = settings.enforces_bounds(getattr(item, "fixturenames", []))
        self.records: list[Record] = []
        self.figures: list[Figure] = []
        self.runs: list[tuple[str | None, Runs]] = []
        """What a failing test shows, by the name of the call."""
        self.unheld: str | None = None
        self._again: dict[str | None, Again] = {}
        self.timed = self.failed = False

    @property
    def module(self) -> str:
        """The path of the test's module, from the root folder on, with forward slashes."""
        return self.item.nodeid.split("::", 1)[0]

    def texts(self) -> Module:
        """Return the module's docstring and closing discussion."""
        module = getattr(self.item, "module", None)
        return {
            "theory": (getattr(module, "__doc__", None) or "").strip(),
            "discussion": str(getattr(module, "DISCUSSION", "")).strip(),
        }

    def claim(self, name: str | None) -> None:
        """Make sure that a new record can be told from this test's others, before any training.

        Raises:
            ExperimentError: a second record without a name, or with one that is taken.
        """
        if self.records and name is None:
            raise ExperimentError(
                "a test's second call needs name=…, so that its record can be told from the first"
            )
        if any(record["name"] == name for record in self.records):
            raise ExperimentError(f"this test already has a record named {name!r}; take another")

    def time(
        self,
        step: Callable[[], object],
        *,
        rounds: int,
        warmup_rounds: int = 0,
        teardown: Callable[[], object] | None = None,
    ) -> bool:
        """Time `step` by pytest-benchmark; return whether it did.

        Its fixture can be used once a test: by the first call that trains, unless the test itself
        was before it.

        Args:
            step: what is timed.
            rounds: how often.
            warmup_rounds: how often before that, untimed.
            teardown: called after each of them, untimed.
        """
        if not self.can_time:
            return False
        self.timed = True
        try:
            self.benchmark.pedantic(
                step, rounds=rounds, warmup_rounds=warmup_rounds, teardown=teardown
            )
        except BaseException:
            # pytest-benchmark marks errors alone: after Ctrl-C it would stumble over the lack of data.
            self.benchmark.has_error = True
            raise
        return True

    @property
    def can_time(self) -> bool:
        """Whether pytest-benchmark's fixture is on, and free."""
        return bool(getattr(self.benchmark, "enabled", False)) and self.benchmark.stats is None

    def timing(self, what: Any, updates: int, samples: int, per_epoch: int) -> Timing:
        """Return what pytest-benchmark measured.

        Args:
            what: "train_on_batch" or "train(seed)".
            updates: optimizer updates a round, 0 if not known.
            samples: samples an update.
            per_epoch: updates an epoch.
        """
        stats = self.benchmark.stats.stats
        seconds = float(stats.median)
        return {
            "what": what,
            "rounds": int(stats.rounds),
            "seconds": seconds,
            "iqr": float(stats.iqr),
            "samples_per_second": updates * samples / seconds if updates else None,
            "epoch_seconds": seconds / updates * per_epoch if updates else None,
        }

    def add(  # noqa: PLR0913 - the parts of a record
        self,
        kind: Kind,
        name: str | None,
        duration: float,
        *,
        runs: Runs | None = None,
        parameters: ParameterTable | None = None,
        timing: Timing | None = None,
        varied: Mapping[str, Plain] | None = None,
        again: Again | None = None,
    ) -> None:
        """Keep a record, and let it ride in pytest-benchmark's file.

        Should the gate ask for it, `again` trains the same from other seeds.
        """
        from dlbench.history.environment import environment
        from dlbench.history.record import KEY, SCHEMA, metrics_by_seed

        if runs is not None:
            self.runs.append((name, runs))
        if again is not None:
            self._again[name] = again
        # A loop of the user's own computes where it will; a count computes nowhere.
        device = None if kind == "loop" else self.settings.device
        record: Record = {
            "kind": kind,
            "case": self.item.nodeid,
            "name": name,
            "module": self.module,
            "test": getattr(self.item, "originalname", None) or self.item.name,
            "params": _params(self.item) | dict(varied or {}),
            "outcome": "interrupted",  # until the test's report says otherwise
            "message": None,
            "bounds": "enforced" if self.enforces_bounds else "off",
            "runs": runs.to_builtins() if runs is not None else None,
            "metrics": metrics_by_seed(runs) if runs is not None else None,
            "parameters": parameters.to_builtins() if parameters is not None else None,
            "timing": timing,
            "environment": environment(device),
            "duration": duration,
        }
        self.records.append(record)
        extra = getattr(self.benchmark, "extra_info", None)
        if extra is not None:
            extra[KEY] = {"schema": SCHEMA, "records": self.records}

    def keep_bound(self, runs: Runs, bound: Asserted) -> None:
        """Keep what the test asserts of some of its runs in their record; of the same, the last."""
        name = next(name for name, known in self.runs if known is runs)
        record = next(record for record in self.records if record["name"] == name)
        kept = [one for one in record.get("asserted", []) if not _same(one, bound)]
        record["asserted"] = [*kept[: MOST_BOUNDS - 1], bound]  # the last one may be what failed

    def train_further(self, record: Record, seeds: Sequence[int]) -> None:
        """Train a record's experiment from more seeds, and put the runs into the record."""
        from dlbench.history.record import metrics_by_seed

        name = record["name"]
        runs = dict(self.runs)[name].joined(self._again[name](seeds, perturbed=False))
        self.runs = [(each, runs if each == name else old) for each, old in self.runs]
        record["runs"], record["metrics"] = runs.to_builtins(), metrics_by_seed(runs)

    def measure_rounding(self, record: Record) -> None:
        """Put into a record how far rounding alone moves its training loss, by seed.

        A loop of the user's own cannot be perturbed from outside: whether it repeats is noted.
        """
        from dlbench.gate.entry import over_the_run
        from dlbench.metrics import loss_floor

        name, gate = record["name"], record.get("gate")
        if gate is None or name not in self._again:
            return
        runs = dict(self.runs)[name]
        if record["kind"] == "loop":
            gate["repeats"] = runs.select(runs.seeds[:1]).same_as(
                self._again[name](runs.seeds[:1], perturbed=False)
            )
            return
        losses = runs.curves[runs.loss_name]
        shaken = self._again[name](runs.seeds, perturbed=True).curves[runs.loss_name]
        floor = (
            0.0 if rules_of(self.item).scale("training_loss") == "linear" else loss_floor(losses)
        )
        over_runs = [over_the_run(each, floor) for each in (losses, shaken)]
        # Where a run diverged, its loss is infinite, and no difference is known.
        moved = [
            abs(new - old) if math.isfinite(old) and math.isfinite(new) else math.nan
            for old, new in zip(*over_runs, strict=True)
        ]
        gate["yardstick"] = to_plain([float(f"{value:.4g}") for value in moved])

    def forget(self) -> None:
        """Take the records back out of pytest-benchmark's file: the test is run again."""
        from dlbench.history.record import KEY

        self.benchmark.extra_info.pop(KEY, None)

    def settle(self, report: pytest.TestReport, call: pytest.CallInfo[None]) -> None:
        """Write what became of the test into its records, and the runs into a failure's text."""
        error = call.excinfo.value if call.excinfo else None
        bound = report.when == "call" and report.failed and isinstance(error, AssertionError)
        if bound and not self.enforces_bounds:
            self.unheld = next(iter(str(error).strip().splitlines()), "an assertion")
            report.outcome, report.longrepr = "passed", None
        if not self.timed:
            # Else pytest-benchmark warns that its fixture was not used; it was, or could not be.
            self.benchmark.skipped = True
        if report.failed or (report.when == "call" and not self.failed):
            self.failed = report.failed  # by a subtest it may be, before the test itself passes
            for record in self.records:
                record["outcome"] = outcome_of(report)
                record["message"] = first_line(report) or self.unheld
        if report.failed and self.runs:
            tables = [f"{name}: {runs}" if name else str(runs) for name, runs in self.runs]
            report.sections.append(("dlbench: runs by seed", "\n".join(tables)))

    def cargo(self) -> Cargo:
        """Return what travels on the test's report."""
        return {
            "records": self.records,
            "figures": self.figures,
            "module": self.module,
            "texts": self.texts(),
            "position": self.item.session.items.index(self.item),
        }


def _same(one: Asserted, other: Asserted) -> bool:
    """Return whether two bounds are the same, whatever was measured."""
    outcome: dict[str, Any] = {"measured": None, "held": None}
    return one | outcome == other | outcome


def _params(item: pytest.Item) -> dict[str, Plain]:
    params = getattr(getattr(item, "callspec", None), "params", {})
    return {name: _plain_or_name(value) for name, value in params.items()}


def _plain_or_name(value: object) -> Plain:
    try:
        return to_plain(value)
    except TypeError:
        name = getattr(value, "name", None) or getattr(value, "__name__", None)
        return name if isinstance(name, str) else type(value).__name__
