"""The engine that trains all runs of an experiment in one program, and must give `fit`'s curves.

Prove, do not assume: its first updates are compared with `fit`'s, variable by variable, before the
rest of a run is believed. What cannot be traced, or does not agree, is left to `fit`, aloud.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import torch

from dlbench.backend import as_tensors, seeded
from dlbench.engines.draws import portable_draws
from dlbench.engines.evaluation import constant_loss
from dlbench.engines.fit import compiled
from dlbench.engines.program import Program, take, trace
from dlbench.engines.proof import prove, updates_to_prove
from dlbench.engines.state import array_digest, initial_digest, state_of
from dlbench.engines.tracing import NotVectorizable, python_state, schedule_of, traceable_keras
from dlbench.runs import Runs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from dlbench.data import Samples
    from dlbench.engines import OnProgress
    from dlbench.engines.program import State
    from dlbench.experiment import Experiment

EVALUATED = 2**18
"""Samples times runs that are evaluated at a time."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One run among those that are trained together."""

    experiment: Experiment
    seed: int


def train_vectorized(experiments: Sequence[Experiment], on_progress: OnProgress) -> list[Runs]:
    """Train all runs of experiments that differ in nothing but the learning rate.

    Args:
        experiments: one, or those of a sweep.
        on_progress: told of the updates of all runs.

    Raises:
        NotVectorizable: `fit` has to train them; the message says which part and why.
    """
    lanes = [Lane(experiment, seed) for experiment in experiments for seed in experiment.seeds]
    total = sum(lane.experiment.steps for lane in lanes)
    with seeded(lanes[0].seed):
        curves, starts = _train(lanes, lambda done: on_progress(done, total))
    runs, first = [], 0
    for experiment in experiments:
        rows = slice(first, first + len(experiment.seeds))
        first = rows.stop
        runs.append(
            Runs(
                experiment=experiment.to_builtins(),
                seeds=experiment.seeds,
                points=np.array(experiment.points, dtype=float),
                curves={name: values[rows] for name, values in curves.items()},
                constant_loss=constant_loss(experiment.workload),
                starts=tuple(starts[rows]),
                orders=tuple(array_digest([experiment.order(s, 0)]) for s in experiment.seeds),
            )
        )
    return runs


class _Chunk:
    """Runs that are trained in one program: their stacked state, and the programs that move it."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self.lanes = lanes
        self.experiment = lanes[0].experiment
        model = compiled(self.experiment)
        model.optimizer.build(model.trainable_variables)
        self.program = Program(self.experiment, model)
        self.state, self.starts = _stacked(lanes)
        data = self.experiment.workload.data
        self.train = _tensors(data.train)
        self.validation = None if data.validation is None else _tensors(data.validation)
        self.schedules = [schedule_of(lane.experiment.optimizer.build()) for lane in lanes]
        self.model = model
        self._steps: dict[int, Any] = {}

    def step(self, rows: Tensor, number: int) -> None:
        """Make one update of every run; the program for a batch size is traced when first needed.

        Args:
            rows: shape `(runs, batch)`.
            number: the updates made before.
        """
        rates = self._rates(number)
        size = rows.shape[1]
        if size not in self._steps:
            self._steps[size] = self._traced(rows, rates)
        self.state = self._steps[size](self.state, self.train, rows, rates)

    def _traced(self, rows: Tensor, rates: Tensor | None) -> Any:  # noqa: ANN401
        x, y, weight = take(self.train, rows[0])
        try:
            before = python_state(self.model)
            with portable_draws(), traceable_keras():
                self.program.find_unused([part[0] for part in self.state], x, y, weight)
                traced = trace(self.program, self.state, self.train, rows, rates)
        except NotVectorizable:
            raise
        except Exception as error:
            raise NotVectorizable(_reason(error)) from error
        if changed := [name for name, value in python_state(self.model).items() if before.get(name) != value]:
            raise NotVectorizable(
                f"`call` changes {changed[0]}, a Python value, which a traced step would not see"
            )
        return traced

    def _rates(self, number: int) -> Tensor | None:
        if not self.program.has_schedule:
            return None
        made: dict[int, Any] = {}
        for schedule in self.schedules:
            if id(schedule) not in made:
                made[id(schedule)] = keras.ops.convert_to_tensor(schedule(number))
        return torch.stack([made[id(schedule)] for schedule in self.schedules])

    def read(self, done: int) -> dict[str, np.ndarray]:
        """Return every curve's value for each run, shape `(runs,)` each.

        Args:
            done: the updates made; before the first there is no average of weights yet.
        """
        values = self._read(self.state)
        if self.model.optimizer.use_ema:
            averaged = self._read(self.program.averaged(self.state)) if done else values
            values |= {f"ema_{name}": value for name, value in averaged.items()}
        return values

    def _read(self, state: State) -> dict[str, np.ndarray]:
        values = self._measured(state, self.train)
        if self.validation is not None:
            measured = self._measured(state, self.validation)
            values |= {f"val_{name}": value for name, value in measured.items()}
        return values

    def _measured(self, state: State, data: Any) -> dict[str, np.ndarray]:  # noqa: ANN401
        runs, samples = len(self.lanes), len(data[1])
        chunk = max(1, EVALUATED // runs)
        measured = [part.expand(runs, *part.shape).clone() for part in self.program.metric_state()]
        loss: Any = 0.0
        dims = (0, 0, None, None, None)
        measure = torch.func.vmap(self.program.measure, in_dims=dims)
        with torch.no_grad(), portable_draws(), traceable_keras():
            for start in range(0, samples, chunk):
                part = take(data, slice(start, start + chunk))
                value, measured = measure(state, measured, *part)
                loss = loss + value * (len(part[1]) / samples)
            results = torch.func.vmap(self.program.results)(measured) if measured else []
        losses = loss.double().cpu().numpy()
        bad = ~np.isfinite(losses)
        named = zip(self.experiment.metrics, results, strict=True)
        values = {"loss": losses} | {t.name: r.double().cpu().numpy() for t, r in named}
        return {name: np.where(bad, math.nan, value) for name, value in values.items()}

    def finite(self) -> bool:
        """Return whether any run's weights are still finite."""
        flags = [
            torch.isfinite(part).reshape(len(self.lanes), -1).all(dim=1)
            for part in self.program.trained(self.state)
        ]
        return bool(torch.stack(flags).all(dim=0).any())


def _train(
    lanes: Sequence[Lane], on_progress: Any  # noqa: ANN401
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Train the runs and return their curves, shape `(runs, points)`, and the starts' digests."""
    chunk = _Chunk(lanes)
    experiment = chunk.experiment
    readings: dict[int, dict[str, np.ndarray]] = {}
    proved = min(updates_to_prove(experiment), experiment.steps)
    try:
        readings[0] = chunk.read(0)
    except Exception as error:
        raise NotVectorizable(_reason(error)) from error
    for number, rows in enumerate(_rows(lanes)):
        chunk.step(rows, number)
        done = number + 1
        if done in experiment.points or done == proved:
            readings[done] = chunk.read(done)
        if done == proved:
            prove(lanes, chunk.program.names(), chunk.state, readings, proved)
        on_progress(done * len(lanes))
        if done in experiment.points and not chunk.finite():
            break
        if done == experiment.steps:
            break
    missing = dict.fromkeys(readings[0], np.full(len(lanes), math.nan))
    read = [readings.get(point, missing) for point in experiment.points]
    names = readings[0]
    return {name: np.stack([values[name] for values in read], axis=1) for name in names}, chunk.starts


def _rows(lanes: Sequence[Lane]) -> Iterator[Tensor]:
    """Yield each update's batches as rows of the training set, shape `(runs, batch)`."""
    experiment = lanes[0].experiment
    seeds = sorted({lane.seed for lane in lanes})
    places = torch.tensor([seeds.index(lane.seed) for lane in lanes])
    for epoch in range(math.ceil(experiment.steps / experiment.updates_per_epoch)):
        orders = np.stack([experiment.order(seed, epoch) for seed in seeds])
        order = torch.from_numpy(orders)[places]
        yield from order.split(experiment.batch_size, dim=1)


def _stacked(lanes: Sequence[Lane]) -> tuple[State, list[str]]:
    """Return the runs' initial states, stacked, and each one's digest."""
    by_seed: dict[int, tuple[Any, str]] = {}
    states = []
    for lane in lanes:
        with seeded(lane.seed):
            model = compiled(lane.experiment)
            model.optimizer.build(model.trainable_variables)
            by_seed[lane.seed] = (None, initial_digest(model))
            states.append(state_of(model))
    shapes = {tuple(part.shape for part in state) for state in states}
    if len(shapes) > 1:
        raise NotVectorizable("the builder makes models of other shapes from other seeds")
    return [torch.stack(parts) for parts in zip(*states, strict=True)], [
        by_seed[lane.seed][1] for lane in lanes
    ]


def _tensors(samples: Samples) -> tuple[Any, Tensor, Any]:
    return as_tensors(samples.x), as_tensors(samples.y), as_tensors(samples.weight)


def _reason(error: Exception) -> str:
    """Return an error in one line; Keras names the layer in it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:2])[:300]}"
