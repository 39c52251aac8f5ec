"""What is trained, and how: a workload, and an experiment on it. Frozen, and checked when made."""

from __future__ import annotations

import copy
import inspect
import math
import numbers
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np

from dlbench.backend import isolated_keras, require_torch
from dlbench.data import Data, Samples
from dlbench.errors import ExperimentError
from dlbench.keras_objects import Template, loss_template, metric_templates, optimizer_template
from dlbench.metrics import higher_is_better
from dlbench.plain import Plain, digest
from dlbench.trial import forward, try_workload

if TYPE_CHECKING:
    import keras

POINTS = 20
"""How many evaluation points an experiment has after point 0, at most."""

DEFAULT_EPOCHS = 10

PROBES = ("sharpness", "noise_scale", "gradient_norms", "update_ratio", "dead_units", "distance")
"""What can be read of a run beside its metrics; `dlbench.engines.probes` says what each is."""

_REAL = (int, float, np.integer, np.floating)


@dataclass(frozen=True, slots=True, init=False, eq=False)
class Workload:
    """What is trained: data, a function that builds the model, loss, metrics and target.

    ```python
    Workload(name="iris", model=build, data=((x, y), (x_val, y_val)),
             loss="sparse_categorical_crossentropy", metrics=["accuracy"],
             target=("val_accuracy", 0.95))
    ```
    """

    name: str
    model: Callable[[], keras.Model]
    """Builds a fresh, untrained model at each call."""
    data: Data
    loss: Template
    metrics: tuple[Template, ...]
    target: tuple[str, float] | None
    """A metric and the value at which a run counts as converged."""

    def __init__(  # noqa: PLR0913 - as many, by keyword, as an experiment has parts
        self,
        *,
        name: str,
        model: Callable[[], keras.Model],
        data: object,
        loss: object,
        metrics: Iterable[object] = (),
        target: tuple[str, float] | None = None,
    ) -> None:
        """Check and keep what is trained.

        Args:
            name: what records call it.
            model: builds a fresh Keras model; called once a run, inside that run's seed.
            data: `((x, y), (x_val, y_val))`, or `(x, y)` alone; see `Data.of`.
            loss: as in Keras' `compile`: a name, a config, a `Loss` or a function.
            metrics: as in Keras' `compile`.
            target: such as `("val_accuracy", 0.93)`.

        Raises:
            ExperimentError: anything that could not be trained as given.
        """
        require_torch()
        if not isinstance(name, str) or not name.strip():
            raise ExperimentError(f"a workload needs a name, got {name!r}")
        with isolated_keras():
            object.__setattr__(self, "name", name)
            object.__setattr__(self, "model", check_builder(model))
            object.__setattr__(self, "data", Data.of(data))
            object.__setattr__(self, "loss", loss_template(loss))
            object.__setattr__(self, "metrics", metric_templates(metrics))
            object.__setattr__(self, "target", _target(target, self.curve_names()))

    def curve_names(self) -> tuple[str, ...]:
        """Return the names of the curves that a run of this workload has."""
        names = ("loss", *(metric.name for metric in self.metrics))
        validation = tuple(f"val_{name}" for name in names) if self.data.validation else ()
        return names + validation

    def build(self) -> keras.Model:
        """Return a fresh model whose variables exist, built on the first sample where need be.

        Raises:
            ExperimentError: the builder returns no Keras model, or one that cannot take the data.
        """
        import keras

        model = self.model()
        if not isinstance(model, keras.Model):
            raise ExperimentError(
                f"the model builder of {self.name!r} must return a keras.Model, "
                f"got {type(model).__name__}"
            )
        if not model.built:
            # Layers that are built at their first call must be built inside the run's seed.
            forward(self, model, self.data.train.take(slice(0, 1)))
        return model


@dataclass(frozen=True, slots=True, init=False, eq=False)
class Experiment:
    """A workload with its hyperparameters and its seeds; one run trains one model from one seed."""

    workload: Workload
    optimizer: Template
    metrics: tuple[Template, ...]
    """The workload's, with "accuracy" settled by the model's output."""
    batch_size: int
    updates_per_epoch: int
    """ceil(samples / batch_size): the last, partial batch is an update too."""
    steps: int
    """Optimizer updates in all."""
    points: tuple[int, ...]
    """Updates at which the curves are read: 0 first, `steps` last, denser at the start."""
    seeds: tuple[int, ...]
    model: Mapping[str, Plain]
    """Class, builder, parameter count and architecture digest of the model."""
    probes: tuple[str, ...]
    """Of `PROBES`, what is read at the points too; they change no run, so they are not in the id."""

    def __init__(  # noqa: PLR0913 - as many, by keyword, as an experiment has parts
        self,
        workload: Workload,
        *,
        optimizer: object = "sgd",
        learning_rate: object = None,
        batch_size: int | str = 32,
        epochs: float | None = None,
        steps: int | None = None,
        seeds: int | Iterable[int] = 1,
        probes: Iterable[str] = (),
    ) -> None:
        """Check everything that could stop a run, so that a typo stops it before the first update.

        Args:
            workload: what is trained.
            optimizer: as in Keras' `compile`; an object is a template and is never touched.
            learning_rate: a number or schedule in place of the optimizer's own.
            batch_size: samples an update, or "full" for the whole training set.
            epochs: passes over the training set; 10 where `steps` is not given either.
            steps: optimizer updates, in place of `epochs`.
            seeds: how many (0, 1, …), or which.
            probes: names of `PROBES`.

        Raises:
            ExperimentError: a value out of range, data the model cannot take, labels outside its
                classes, a builder that does not build afresh, a probe that there is not.
        """
        if not isinstance(workload, Workload):
            raise ExperimentError(f"expected a Workload, got {type(workload).__name__}")
        samples = len(workload.data.train)
        size = samples if batch_size == "full" else _whole('batch_size, if not "full",', batch_size)
        updates = math.ceil(samples / size)
        total = _steps(epochs, steps, updates)
        chosen, measured = check_seeds(seeds), check_probes(probes)
        with isolated_keras():
            model, metrics = try_workload(workload)
            template = optimizer_template(optimizer, learning_rate)
        object.__setattr__(self, "workload", workload)
        object.__setattr__(self, "optimizer", template)
        object.__setattr__(self, "metrics", metrics)
        object.__setattr__(self, "batch_size", size)
        object.__setattr__(self, "updates_per_epoch", updates)
        object.__setattr__(self, "steps", total)
        object.__setattr__(self, "points", evaluation_points(total))
        object.__setattr__(self, "seeds", chosen)
        object.__setattr__(self, "probes", measured)
        object.__setattr__(self, "model", model)

    def varied(
        self,
        *,
        learning_rate: object = None,
        steps: int | None = None,
        seeds: int | Iterable[int] | None = None,
    ) -> Experiment:
        """Return the experiment with another learning rate, number of updates or choice of seeds.

        The workload is the same and was tried when this one was made; it is not tried again.

        Args:
            learning_rate: as when an experiment is made; None keeps the optimizer as it is.
            steps: optimizer updates; None keeps their number.
            seeds: how many, or which; None keeps them.

        Raises:
            ExperimentError: a value out of range.
        """
        other = copy.copy(self)
        if learning_rate is not None:
            with isolated_keras():
                template = optimizer_template(self.optimizer, learning_rate)
            object.__setattr__(other, "optimizer", template)
        if steps is not None:
            object.__setattr__(other, "steps", _whole("steps", steps))
            object.__setattr__(other, "points", evaluation_points(steps))
        if seeds is not None:
            object.__setattr__(other, "seeds", check_seeds(seeds))
        return other

    @property
    def id(self) -> str:
        """Sixteen hexadecimal digits that stand for all that is trained: not for seeds or probes."""
        return digest(self._fields())

    def to_builtins(self) -> dict[str, Plain]:
        """Return every field, and the id, as records keep them; the seeds stand with the runs."""
        return {"id": self.id, **self._fields()}

    def _fields(self) -> dict[str, Plain]:
        target = self.workload.target
        return {
            "workload": self.workload.name,
            "data": self.workload.data.to_builtins(),
            "model": dict(self.model),
            "loss": self.workload.loss.to_builtins(),
            "metrics": {metric.name: metric.to_builtins() for metric in self.metrics},
            "target": {"metric": target[0], "value": target[1]} if target else None,
            "optimizer": self.optimizer.to_builtins(),
            "batch_size": self.batch_size,
            "updates_per_epoch": self.updates_per_epoch,
            "steps": self.steps,
            "points": list(self.points),
        }

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """Return the order in which a run sees the training samples in an epoch.

        It depends on the seed and the epoch alone, not on the model or on what else runs.

        Args:
            seed: the run's seed.
            epoch: counted from 0.

        Returns:
            A permutation, shape `(samples,)`.
        """
        generator = np.random.default_rng([seed, epoch])
        return generator.permutation(len(self.workload.data.train))

    def batches(self, seed: int) -> Iterator[Samples]:
        """Yield a run's batches, one an update, in their order."""
        train = self.workload.data.train
        for epoch in range(math.ceil(self.steps / self.updates_per_epoch)):
            order = self.order(seed, epoch)
            for start in range(0, len(order), self.batch_size):
                yield train.take(order[start : start + self.batch_size])


def evaluation_points(steps: int, count: int = POINTS) -> tuple[int, ...]:
    """Return the updates at which curves are read: `steps * (i / count)**2`, rounded, distinct.

    The squares put half of the points into the first quarter of the run, where most happens, and
    stand at the same shares of any run, so that runs of other lengths can be matched.
    """
    # In whole numbers, so that the last is `steps` however many they are.
    square = count * count
    return tuple(sorted({(2 * steps * i * i + square) // (2 * square) for i in range(count + 1)}))


def check_seeds(seeds: object) -> tuple[int, ...]:
    """Return the seeds: 0 to n - 1 for a number n, or those given.

    Raises:
        ExperimentError: none, a repeated one, or one outside 0 to 2**32 - 1.
    """
    if isinstance(seeds, (int, np.integer)):
        return tuple(range(_whole("seeds", seeds)))
    if isinstance(seeds, str) or not isinstance(seeds, Iterable):
        raise ExperimentError(f"seeds must be a number or a sequence of them, got {seeds!r}")
    chosen = tuple(_whole("a seed", seed, at_least=0) for seed in seeds)
    if not chosen or len(set(chosen)) < len(chosen) or max(chosen) >= 2**32:
        raise ExperimentError(
            f"seeds must be one or more different numbers from 0 to 2**32 - 1, got {chosen}"
        )
    return chosen


def check_probes(probes: object) -> tuple[str, ...]:
    """Return the names of probes, each once.

    Raises:
        ExperimentError: there is no such probe.
    """
    if isinstance(probes, str) or not isinstance(probes, Iterable):
        raise ExperimentError(f'probes must be names in a list, ["sharpness"], got {probes!r}')
    for name in (chosen := tuple(probes)):
        if name not in PROBES:
            known = ", ".join(PROBES)
            raise ExperimentError(f"no probe {name!r}; there are {known}{_hint(name, PROBES)}")
    return tuple(dict.fromkeys(chosen))


def _hint(name: object, names: Iterable[str]) -> str:
    near = get_close_matches(str(name), names, n=1)
    return f". Did you mean {near[0]!r}?" if near else ""


def _whole(name: str, value: object, *, at_least: int = 1) -> int:
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= at_least:
        return int(value)
    raise ExperimentError(f"{name} must be a whole number of at least {at_least}, got {value!r}")


def _steps(epochs: object, steps: object, updates_per_epoch: int) -> int:
    if epochs is not None and steps is not None:
        raise ExperimentError(f"give epochs or steps, not both: got {epochs} and {steps}")
    if steps is not None:
        return _whole("steps", steps)
    if epochs is None:
        epochs = DEFAULT_EPOCHS
    if isinstance(epochs, bool) or not isinstance(epochs, _REAL) or not 0 < epochs < math.inf:
        raise ExperimentError(f"epochs must be a number above 0, got {epochs!r}")
    return max(1, round(float(epochs) * updates_per_epoch))


def check_builder(model: object) -> Callable[[], Any]:
    """Return `model` if it can build one model after another.

    Raises:
        ExperimentError: it is a model already, no function, or one that takes arguments.
    """
    import keras
    import torch

    if isinstance(model, (keras.Model, torch.nn.Module)):
        raise ExperimentError(
            f"model must be a function that builds one, got a built {type(model).__name__}: "
            "it would give every seed the same start. Wrap what makes it in a function, "
            "`def build(): return keras.Sequential([…])`, and hand over `build`"
        )
    if not callable(model):
        raise ExperimentError(
            f"model must be a function that builds a Keras model, got {type(model).__name__}"
        )
    try:
        inspect.signature(model).bind()
    except TypeError as error:
        raise ExperimentError(
            f"model must be a function without arguments, got one with {error}; "
            "functools.partial gives a function its arguments"
        ) from error
    except ValueError:
        pass  # written in C: nobody knows its arguments
    return model


def check_target(target: object) -> tuple[str, float]:
    """Return a target's metric and value.

    Raises:
        ExperimentError: it is no metric and finite value.
    """
    if (
        not isinstance(target, (tuple, list))
        or len(target) != 2  # noqa: PLR2004
        or not isinstance(target[0], str)
        or not isinstance(target[1], numbers.Real)
        or not math.isfinite(target[1])
    ):
        raise ExperimentError(
            f'target must be a metric and a finite value, such as ("val_accuracy", 0.9), '
            f"got {target!r}"
        )
    return target[0], float(target[1])


def _target(target: object, curves: tuple[str, ...]) -> tuple[str, float] | None:
    if target is None:
        return None
    metric, value = check_target(target)
    if metric not in curves:
        raise ExperimentError(
            f"target names the metric {metric!r}; the workload has {', '.join(curves)}"
            f"{_hint(metric, curves)}"
        )
    if higher_is_better(metric) is None:
        raise ExperimentError(
            f"it is not known whether {metric!r} is better higher or lower; name it with "
            "'loss' or 'error' for lower, with 'acc' for higher"
        )
    return metric, value
