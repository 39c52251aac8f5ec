"""The engine that defines what is right: one `keras.Model.fit` a run, from one seed."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import torch

from dlbench.backend import interruptible_logs, moving_averages, nan_in_losses, seeded
from dlbench.engines.draws import portable_draws
from dlbench.engines.evaluation import constant_loss, evaluate, runs_of
from dlbench.engines.probes import Prober
from dlbench.engines.program import Program
from dlbench.engines.state import initial_digest, state_of
from dlbench.engines.tracing import traceable_keras
from dlbench.errors import EngineError, ExperimentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dlbench.engines import OnProgress
    from dlbench.experiment import Experiment
    from dlbench.runs import Runs


def train_by_fit(experiment: Experiment, on_progress: OnProgress) -> Runs:
    """Train one model a seed and return the curves of all.

    Args:
        experiment: what to train.
        on_progress: told of every update.
    """
    total = experiment.steps * len(experiment.seeds)
    prober = _prober(experiment) if experiment.probes else None
    readings: list[dict[str, list[float]]] = []
    starts = []
    for number, seed in enumerate(experiment.seeds):

        def on_step(step: int, before: int = number * experiment.steps) -> None:
            on_progress(before + step, total)

        curves, start = _run(experiment, seed, on_step, prober)
        readings.append(curves)
        starts.append(start)
    by_name = {name: np.array([run[name] for run in readings]) for name in readings[0]}
    return runs_of(experiment, by_name, starts, constant_loss(experiment.workload), "fit")


def _prober(experiment: Experiment) -> Prober:
    """Return what reads the probes, by a model of its own.

    Raises:
        EngineError: the loss cannot be differentiated by `torch.func`, as probes do.
    """
    try:
        with seeded(experiment.seeds[0]), as_fit_trains(), traceable_keras():
            model = compiled(experiment)
            model.optimizer.build(model.trainable_variables)
            prober = Prober(experiment, Program(experiment, model), state_of(model))
            prober.check()
    except Exception as error:
        raise EngineError(
            f"probes of {experiment.workload.name!r} cannot be read: {error}; train it without"
        ) from error
    return prober


def _run(
    experiment: Experiment, seed: int, on_step: Callable[[int], None], prober: Prober | None
) -> tuple[dict[str, list[float]], str]:
    """Train one run; return its curves, a value a point, and the digest of its initial weights."""
    reader = _Reader(experiment, on_step, experiment.points, prober)
    with seeded(seed):
        model = compiled(experiment)
        start = initial_digest(model)
        _fit(experiment, seed, model, reader)
    if reader.step < experiment.steps:
        if not reader.diverged:
            raise ExperimentError(
                f"`fit` ended after {reader.step} of {experiment.steps} updates though nothing "
                "diverged: unset KERAS_MAX_EPOCHS and KERAS_MAX_STEPS_PER_EPOCH, and let the model "
                "not set `stop_training`"
            )
        on_step(experiment.steps)
    return reader.curves(), start


@dataclass(frozen=True, slots=True)
class FirstUpdates:
    """How a run begins, as `fit` trains it: what the vectorized engine has to agree with."""

    before: list[np.ndarray]
    """The run's state before the first update; see `dlbench.engines.state.state_of`."""
    after: list[np.ndarray] | None
    """The run's state after the last of these updates; None where `fit` stopped at a NaN before."""
    gradients: list[float]
    """By trained variable, the largest element of its gradients; 0 where it has none."""
    curves: dict[int, dict[str, float]]
    """The curves' values, before and after."""


def first_updates(experiment: Experiment, seed: int, updates: int) -> FirstUpdates:
    """Train a run's first updates.

    Args:
        experiment: what to train.
        seed: the run's.
        updates: after how many the run ends.
    """
    states: dict[int, list[np.ndarray]] = {}
    gradients: list[float] = []

    def on_step(step: int) -> None:
        if step in {0, updates}:
            states[step] = [tensor.cpu().numpy() for tensor in state_of(model)]
        # Of every update: noise is 0 now and then.
        found = [variable.value.grad for variable in model.trainable_variables]
        sizes = [0.0 if grad is None else float(grad.abs().max()) for grad in found]
        gradients[:] = [max(pair) for pair in zip(gradients or sizes, sizes, strict=True)]

    reader = _Reader(experiment, on_step, (0, updates))
    with seeded(seed):
        model = compiled(experiment)
        _fit(experiment, seed, model, reader)
    return FirstUpdates(states[0], states.get(updates), gradients, reader.readings)


@contextlib.contextmanager
def as_fit_trains() -> Iterator[None]:
    """Inside the block Keras draws and takes losses as both engines do: in pairs, and through NaN."""
    with portable_draws(), nan_in_losses():
        yield


def _fit(experiment: Experiment, seed: int, model: keras.Model, reader: _Reader) -> None:
    with as_fit_trains(), interruptible_logs():
        try:
            model.fit(
                _generator(experiment, seed),
                steps_per_epoch=experiment.updates_per_epoch,
                epochs=math.ceil(experiment.steps / experiment.updates_per_epoch),
                shuffle=False,
                verbose=0,
                callbacks=[reader],
            )
        except Exception:
            # Losses and layers of the user's own may raise at NaN: a divergence like any other.
            if math.isfinite(evaluate(experiment, model)["loss"]):
                raise
            reader.diverged = True


def compiled(experiment: Experiment, *, with_metrics: bool = False) -> keras.Model:
    """Return a fresh model, compiled as the experiment says; call it inside a seeded block.

    Args:
        experiment: what is trained.
        with_metrics: compile the metrics too, as a user's own training does; they change no weight.
    """
    model = experiment.workload.build()
    compile_as(experiment, model, with_metrics=with_metrics)
    return model


def compile_as(experiment: Experiment, model: keras.Model, *, with_metrics: bool = False) -> None:
    """Give a model the experiment's loss and a fresh optimizer; the arguments are `compiled`'s."""
    model.compile(
        optimizer=experiment.optimizer.build(),
        loss=experiment.workload.loss.build(),
        metrics=[metric.build() for metric in experiment.metrics] if with_metrics else None,
        jit_compile=False,
    )


def _generator(experiment: Experiment, seed: int) -> Iterator[tuple[Any, ...]]:
    """Yield this seed's batches in the form `fit` takes; sample weights ride along."""
    for batch in experiment.batches(seed):
        parts = (batch.x, batch.y)
        yield parts if batch.weight is None else (*parts, batch.weight)


class _Reader(keras.callbacks.Callback):  # type: ignore[misc]
    """Reads the curves at the points, and ends the run at the last of them."""

    def __init__(
        self,
        experiment: Experiment,
        on_step: Callable[[int], None],
        points: tuple[int, ...],
        prober: Prober | None = None,
    ) -> None:
        super().__init__()
        self.experiment = experiment
        self.on_step = on_step
        self.points = points
        self.prober = prober
        self.before: list[torch.Tensor] = []
        """The run's state before the update that is being made, where a probe will ask for it."""
        self.step = 0
        self.diverged = False
        """Whether the weights are no longer finite: NaN stays NaN, the points to come are known."""
        self.readings: dict[int, dict[str, float]] = {}

    def on_train_begin(self, logs: object = None) -> None:
        """Read point 0, before any update."""
        del logs
        self._read()
        self.on_step(0)

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        """Keep the state before an update after which probes are read."""
        del batch, logs
        if self.prober and self.step + 1 in self.points:
            self.before = _stacked(self.model)

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        """Read where a point is due; stop at the last update, or once the weights are NaN."""
        del batch, logs
        self.step += 1
        if self.step in self.points:
            self._read()
        if self.step >= self.points[-1]:
            self.model.stop_training = True
        self.on_step(self.step)

    def _read(self) -> None:
        values = evaluate(self.experiment, self.model)
        optimizer = self.model.optimizer
        if optimizer.use_ema:
            averaged = values if self.step == 0 else self._with_averaged_weights()
            values |= {f"ema_{name}": value for name, value in averaged.items()}
        if self.prober:
            values |= self._probed(self.prober, values["loss"])
        self.readings[self.step] = values
        if math.isnan(values["loss"]) and not _finite(self.model):
            self.diverged = True
            self.model.stop_training = True

    def _probed(self, prober: Prober, loss: float) -> dict[str, float]:
        state = _stacked(self.model)
        if self.step == 0:
            prober.start(state)
        with traceable_keras():
            found = prober.read(state, self.before or state, np.array([loss]))
        return {name: float(value[0]) for name, value in found.items()}

    def _with_averaged_weights(self) -> dict[str, float]:
        """Return the curves' values for the optimizer's moving average of the weights."""
        variables = self.model.trainable_variables
        averages = moving_averages(self.model.optimizer)
        kept = [variable.value.detach().clone() for variable in variables]
        try:
            for variable, average in zip(variables, averages, strict=True):
                variable.assign(average)
            return evaluate(self.experiment, self.model)
        finally:
            for variable, value in zip(variables, kept, strict=True):
                variable.assign(value)

    def curves(self) -> dict[str, list[float]]:
        """Return a value a point; NaN at points after the run had diverged for good."""
        names = self.readings[0]
        missing = dict.fromkeys(names, math.nan)
        read = [self.readings.get(point, missing) for point in self.points]
        return {name: [values[name] for values in read] for name in names}


def _stacked(model: keras.Model) -> list[torch.Tensor]:
    """Return a copy of a run's state as that of one run among many."""
    return [part[None] for part in state_of(model)]


def _finite(model: keras.Model) -> bool:
    return all(bool(torch.isfinite(v.value).all()) for v in model.trainable_variables)
