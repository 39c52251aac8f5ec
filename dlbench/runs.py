"""Runs: what came of an experiment, as curves aligned by seed; in and out as plain builtins."""

from __future__ import annotations

import base64
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

from dlbench import metrics
from dlbench.errors import ExperimentError, RecordError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dlbench.plain import Plain

    Array: TypeAlias = NDArray[np.float64]
    Series: TypeAlias = "pd.Series[Any]"

MAX_CURVE_VALUES = 50_000_000
"""A curve longer than this (200 MB) is taken for a broken file, not for a record."""


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """All runs of one experiment, a row a seed.

    Every method that takes a metric takes one of `runs.curves`: "loss" is the training loss,
    "val_…" is measured on the validation set. What comes back by seed is a pandas Series, so that
    `.median()`, `.quantile(0.1)` and `.max()` read as they do anywhere.
    """

    experiment: Mapping[str, Plain]
    """Every field of the experiment and its id, or what is known of a loop of the user's own."""
    seeds: tuple[int, ...]
    points: Array
    """Shape `(points,)`: the optimizer updates made when the curves were read, 0 first."""
    curves: Mapping[str, Array]
    """Metric to values, shape `(seeds, points)`; NaN from where a run diverged."""
    constant_loss: float | None = None
    """The training loss of the best predictor that ignores its inputs, if it is known."""
    starts: tuple[str, ...] = ()
    """By seed, a digest of the initial weights: equal digests mean paired runs."""
    orders: tuple[str, ...] = ()
    """By seed, a digest of the first epoch's order of data."""
    higher_is_better: Mapping[str, bool] = field(default_factory=dict)
    """Directions that were declared; other metrics go by their name."""
    engine: str = "fit"
    """What trained them: "vectorized", "fit", or "loop" for a loop of the user's own."""
    engine_note: str | None = None
    """Why `fit` trained what the vectorized engine was asked for."""

    def __post_init__(self) -> None:
        """Check that every curve has a row a seed and a column a point.

        Raises:
            ExperimentError: shapes that do not fit, no curves, a seed twice, points that do not
                rise, or a target that names no curve.
        """
        shape = (len(self.seeds), len(self.points))
        if not self.curves or 0 in shape or not _rising(self.points):
            raise ExperimentError(
                f"runs need curves, seeds and rising points; got {len(self.curves)} curves, "
                f"{shape[0]} seeds, points {self.points}"
            )
        if len(set(self.seeds)) < len(self.seeds):
            raise ExperimentError(f"each seed must be there once, got {self.seeds}")
        for name, digests in (("starts", self.starts), ("orders", self.orders)):
            if digests and len(digests) != len(self.seeds):
                raise ExperimentError(f"{len(digests)} {name} for {len(self.seeds)} seeds")
        if self.target and self.target[0] not in self.curves:
            raise ExperimentError(
                f"the target names {self.target[0]!r}; these runs have {list(self.curves)}"
            )
        for name, values in self.curves.items():
            if values.shape != shape:
                raise ExperimentError(
                    f"the curve {name!r} has shape {values.shape}, expected {shape}: "
                    "a row a seed, a column a point"
                )

    # ---- one number a seed

    def final(self, metric: str) -> Series:
        """Return each run's value at the last point; NaN where it diverged."""
        return self._series(self._curve(metric)[:, -1], metric)

    def best(self, metric: str) -> Series:
        """Return each run's best value over its points."""
        curve = self._curve(metric)
        return self._series(metrics.best(curve, higher=self._higher(metric)), metric)

    def at(self, metric: str, step: float) -> Series:
        """Return each run's value after `step` updates, on a straight line between points.

        Raises:
            ExperimentError: `step` is no number, or lies outside the run.
        """
        _check_number("step", step)
        if not self.points[0] <= step <= self.points[-1]:
            raise ExperimentError(
                f"step {step} lies outside the run's {self.points[0]:g} to {self.points[-1]:g}"
            )
        curve = self._curve(metric)
        return self._series([np.interp(step, self.points, row) for row in curve], metric)

    def steps_to(self, metric: str, target: float) -> Series:
        """Return the updates until each run first reaches `target`; `inf` where it never does.

        On a straight line between the evaluation points; see `dlbench.metrics.steps_to`. Where runs
        may never get there, take `.median()`, or `.quantile(0.9, interpolation="higher")`: between
        two `inf` there is no straight line.

        Raises:
            ExperimentError: `target` is no number.
        """
        _check_number("target", target)
        curve, higher = self._curve(metric), self._higher(metric)
        return self._series(metrics.steps_to(curve, self.points, target, higher=higher), metric)

    def steps_to_target(self) -> Series | None:
        """Return `steps_to` for the workload's target, or None where it has none."""
        target = self.target
        return self.steps_to(*target) if target else None

    def mean_log_loss(self, floor: float | None = None) -> Series:
        """Return each run's training loss over the run; see `dlbench.metrics.mean_log_loss`."""
        values = metrics.mean_log_loss(self._curve(self.loss_name), floor)
        return self._series(values, "mean_log_loss")

    def oscillation(self, metric: str = "loss") -> Series:
        """Return the share of a curve's movement that goes the wrong way, 0 to 1."""
        curve = self._curve(metric)
        sign = -1.0 if self._higher(metric) else 1.0
        return self._series(metrics.oscillation(sign * curve), metric)

    def select(self, seeds: Sequence[int]) -> Runs:
        """Return the runs of some of the seeds, in the order given.

        Raises:
            ExperimentError: a seed that these runs do not have.
        """
        rows = {seed: row for row, seed in enumerate(self.seeds)}
        if missing := [seed for seed in seeds if seed not in rows]:
            raise ExperimentError(f"these runs have no seeds {missing}; they have {self.seeds}")
        chosen = [rows[seed] for seed in seeds]
        return replace(
            self,
            seeds=tuple(seeds),
            curves={name: values[chosen] for name, values in self.curves.items()},
            starts=tuple(self.starts[row] for row in chosen) if self.starts else (),
            orders=tuple(self.orders[row] for row in chosen) if self.orders else (),
        )

    def joined(self, other: Runs) -> Runs:
        """Return these runs and those of the same experiment from other seeds.

        Raises:
            ExperimentError: other points or curves, or a seed that both have.
        """
        if (
            not np.array_equal(self.points, other.points)
            or self.curves.keys() != other.curves.keys()
        ):
            raise ExperimentError(
                f"runs of {list(self.curves)} at {len(self.points)} points cannot be joined with "
                f"runs of {list(other.curves)} at {len(other.points)}"
            )
        return replace(
            self,
            seeds=self.seeds + other.seeds,
            curves={
                name: np.concatenate([values, other.curves[name]])
                for name, values in self.curves.items()
            },
            starts=self.starts + other.starts if self.starts and other.starts else (),
            orders=self.orders + other.orders if self.orders and other.orders else (),
            engine_note=self.engine_note or other.engine_note,
        )

    def same_as(self, other: Runs) -> bool:
        """Return whether both have the same curves, bit for bit; NaN where NaN."""
        return self.curves.keys() == other.curves.keys() and all(
            np.array_equal(values, other.curves[name], equal_nan=True)
            for name, values in self.curves.items()
        )

    # ---- what became of the runs

    @property
    def regimes(self) -> Series:
        """By seed: diverged, stalled, slow or converged; see `dlbench.metrics.regimes`."""
        steps = self.steps_to_target()
        reached = None if steps is None else np.isfinite(steps.to_numpy())
        losses = self._curve(self.loss_name)
        return self._series(metrics.regimes(losses, self.constant_loss, reached), "regime")

    @property
    def regime(self) -> str:
        """The regime that all seeds share, or "mixed"."""
        found = set(self.regimes)
        return str(found.pop()) if len(found) == 1 else "mixed"

    @property
    def diverged(self) -> Series:
        """By seed, whether the run diverged."""
        return self.regimes == "diverged"

    @property
    def failed(self) -> Series:
        """By seed, whether the run diverged or stalled."""
        return self.regimes.isin(metrics.FAILED)

    @property
    def target(self) -> tuple[str, float] | None:
        """The workload's target: a metric and its value."""
        target = self.experiment.get("target")
        if not isinstance(target, Mapping):
            return None
        return str(target["metric"]), float(target["value"])  # type: ignore[arg-type]

    @property
    def loss_name(self) -> str:
        """The curve that is the training loss: "loss", else the first that is better lower.

        Raises:
            ExperimentError: no curve is better lower.
        """
        lower = [name for name in self.curves if self.direction(name) is False]
        training = [name for name in lower if not name.startswith("val")]
        for name in ("loss", *training, *lower):
            if name in self.curves:
                return name
        raise ExperimentError(f"no training loss among the curves {list(self.curves)}")

    # ---- reading

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy frame, a row a reading: columns metric, seed, step, value."""
        shape = (len(self.seeds), len(self.points))
        frames = [
            pd.DataFrame(
                {
                    "metric": name,
                    "seed": np.repeat(self.seeds, shape[1]),
                    "step": np.tile(self.points, shape[0]),
                    "value": values.ravel(),
                }
            )
            for name, values in self.curves.items()
        ]
        return pd.concat(frames, ignore_index=True)

    def table(self) -> pd.DataFrame:
        """Return a row a seed: regime, the last value of every curve, steps-to-target."""
        columns: dict[str, Series] = {"regime": self.regimes}
        columns |= {name: self.final(name) for name in self.curves}
        steps = self.steps_to_target()
        if steps is not None:
            columns["steps_to_target"] = steps
        return pd.DataFrame(columns)

    def __str__(self) -> str:
        """Return the runs as a table, a line a seed."""
        table = self.table().to_string(float_format=lambda value: f"{value:.5g}")
        return f"{self._title()}\n{table}"

    def __repr__(self) -> str:
        """Return the runs in one short line: pytest shows it where a bound fails."""
        counts = Counter(self.regimes)
        seeds = {
            regime: ",".join(str(seed) for seed, found in self.regimes.items() if found == regime)
            for regime in counts
        }
        by_regime = "; ".join(f"{regime}: seeds {seeds[regime]}" for regime in counts)
        return f"<Runs {self._title()}; {by_regime}>"

    def _title(self) -> str:
        optimizer = self.experiment.get("optimizer")
        words = [str(self.experiment.get("workload", "?"))]
        if isinstance(optimizer, Mapping):
            words += [str(optimizer.get("class")), f"rate {optimizer.get('learning_rate')}"]
            words += [f"batch {self.experiment.get('batch_size')}"]
        return f"{', '.join(words)}, {self.points[-1]:g} updates"

    # ---- records

    def to_builtins(self) -> dict[str, Plain]:
        """Return everything as builtins, curves as base64 of little-endian float32."""
        return {
            "experiment": dict(self.experiment),
            "seeds": list(self.seeds),
            "points": [float(point) for point in self.points],
            "curves": {name: _encode(values) for name, values in self.curves.items()},
            "constant_loss": self.constant_loss,
            "starts": list(self.starts),
            "orders": list(self.orders),
            "higher_is_better": dict(self.higher_is_better),
            "engine": self.engine,
            "engine_note": self.engine_note,
        }

    @classmethod
    def from_builtins(cls, record: Mapping[str, Any]) -> Runs:
        """Return the runs that `to_builtins` wrote.

        Raises:
            RecordError: a field is missing, or does not fit the others.
        """
        try:
            seeds = tuple(int(seed) for seed in record["seeds"])
            points = np.array(record["points"], dtype=float)
            shape = (len(seeds), len(points))
            constant = record["constant_loss"]
            runs = cls(
                experiment=dict(record["experiment"]),
                seeds=seeds,
                points=points,
                curves={str(k): _decode(v, shape) for k, v in record["curves"].items()},
                constant_loss=None if constant is None else float(constant),
                starts=tuple(map(str, record["starts"])),
                orders=tuple(map(str, record["orders"])),
                higher_is_better={str(k): bool(v) for k, v in record["higher_is_better"].items()},
                engine=str(record["engine"]),
                engine_note=None if record["engine_note"] is None else str(record["engine_note"]),
            )
            runs.regimes  # noqa: B018 - what every reader asks first: runs that cannot tell are none
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise RecordError(f"these are no runs: {type(error).__name__}: {error}") from error
        return runs

    # ---- within

    def _series(self, values: Sequence[Any] | Array, name: str) -> Series:
        return pd.Series(list(values), index=pd.Index(self.seeds, name="seed"), name=name)

    def _curve(self, metric: str) -> Array:
        if metric not in self.curves:
            raise ExperimentError(f"no metric {metric!r}; these runs have {list(self.curves)}")
        return self.curves[metric]

    def direction(self, metric: str) -> bool | None:
        """Return whether a metric is better higher, or None where neither name nor caller tells."""
        declared = self.higher_is_better.get(metric)
        return metrics.higher_is_better(metric) if declared is None else declared

    def _higher(self, metric: str) -> bool:
        direction = self.direction(metric)
        if direction is None:
            raise ExperimentError(
                f"it is not known whether {metric!r} is better higher or lower: declare it, "
                f"directions={{{metric!r}: 'higher'}}"
            )
        return direction


def _check_number(name: str, value: object) -> None:
    """Refuse what is no number: NumPy would say less clearly that it cannot compare.

    Raises:
        ExperimentError: it says what it is instead.
    """
    known = not isinstance(value, bool) and isinstance(value, Real)
    if not known or value != value:  # noqa: PLR0124 - NaN
        raise ExperimentError(f"{name} must be a number, got {value!r}")


def _rising(points: Array) -> bool:
    """Return whether points are finite numbers in a row, each above the one before."""
    return points.ndim == 1 and bool(np.isfinite(points).all() and (np.diff(points) > 0).all())


def _encode(values: Array) -> str:
    with np.errstate(over="ignore"):  # a loss above 3.4e38 becomes infinite
        narrow = values.astype("<f4")
    return base64.b64encode(narrow.tobytes()).decode("ascii")


def _decode(text: object, shape: tuple[int, int]) -> Array:
    if not isinstance(text, str) or math.prod(shape) > MAX_CURVE_VALUES:
        raise RecordError("a curve must be base64 text of a sensible length")
    values = np.frombuffer(base64.b64decode(text, validate=True), dtype="<f4")
    return values.reshape(shape).astype(np.float64)
