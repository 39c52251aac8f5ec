"""Optimizers, losses and metrics as templates: rebuilt fresh for each run, the caller's untouched."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np

from dlbench.errors import ExperimentError
from dlbench.plain import to_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from dlbench.plain import Plain


@dataclass(frozen=True, slots=True)
class Template:
    """A Keras object as its class and config (or a plain function), from which copies are made."""

    maker: Callable[..., Any]
    """A class with `from_config`, or, where `config` is None, the function itself."""
    config: Mapping[str, Any] | None
    name: str
    """What a record and a curve call it."""
    no_decay: str | None = None
    """An optimizer's pattern of variables without weight decay, which its config leaves out."""

    def build(self) -> Any:  # noqa: ANN401 - Keras has no types
        """Return a fresh object, or the function."""
        if self.config is None:
            return self.maker
        made = self.maker.from_config(copy.deepcopy(dict(self.config)))  # type: ignore[attr-defined]
        if self.no_decay is not None:
            made.exclude_from_weight_decay(var_names=[self.no_decay])
        return made

    def to_builtins(self) -> dict[str, Plain]:
        """Return the class and its config, as records keep them."""
        if self.config is None:
            return {"function": function_name(self.maker)}
        described: dict[str, Plain] = {"class": self.maker.__name__.lstrip("_")}
        described |= {
            key: function_name(value) if callable(value) else to_plain(value)
            for key, value in self.config.items()
            # Keras numbers its own names by what was made before: they say nothing.
            if value is not None and key != "name"
        }
        return described | ({"no_decay": self.no_decay} if self.no_decay else {})


def optimizer_template(optimizer: object, learning_rate: object = None) -> Template:
    """Return the template of an optimizer.

    Args:
        optimizer: a name ("adam"), a config as Keras serializes it, or an optimizer not yet used.
        learning_rate: a number of at least 0, or a `LearningRateSchedule` in place of the optimizer's own.

    Raises:
        ExperimentError: an unknown name, a used optimizer, or a rate that is no finite number.
    """
    import keras

    if isinstance(optimizer, Template):
        made = optimizer.build()
    elif isinstance(optimizer, keras.optimizers.Optimizer):
        made = optimizer
    else:
        made = _get("optimizer", optimizer, keras.optimizers.get, keras.optimizers)
    if made.built and int(made.iterations) > 0:
        raise ExperimentError(
            f"the optimizer {made.name!r} has already made {int(made.iterations)} updates; "
            "every run starts from a fresh one: hand over one that was not used"
        )
    config = dict(made.get_config())
    rate = config.get("learning_rate") if learning_rate is None else learning_rate
    config["learning_rate"] = _learning_rate(rate, getattr(made, "_learning_rate", None))
    if getattr(made, "_exclude_from_weight_decay", None):
        raise ExperimentError(
            "exclude_from_weight_decay(var_list=…) names variables of one model, and every run "
            "has its own: use exclude_from_weight_decay(var_names=…)"
        )
    pattern = getattr(made, "_exclude_from_weight_decay_pattern", None)
    return Template(type(made), config, made.name, pattern.pattern if pattern else None)


def _learning_rate(rate: Any, held: object) -> Any:  # noqa: ANN401 - number, schedule or its config
    import keras

    schedule = keras.optimizers.schedules.LearningRateSchedule
    if isinstance(rate, schedule):
        return keras.optimizers.schedules.serialize(rate)
    if isinstance(rate, dict):
        return rate
    if callable(rate) or callable(held) and not isinstance(held, (schedule, keras.Variable)):
        raise ExperimentError(
            "a learning rate given as a function cannot be written down in a record; "
            "use a number or a keras.optimizers.schedules.LearningRateSchedule"
        )
    try:
        number = float(rate)
    except (TypeError, ValueError):
        number = float("nan")
    if not 0 <= number < float("inf"):
        raise ExperimentError(f"learning_rate must be a finite number of at least 0, got {rate!r}")
    # Keras keeps rates in float32 and hands back 0.009999999776 for 0.01: take what was meant.
    meant = float(str(np.float32(number)))
    return meant if np.float32(number) == number else number


def loss_template(loss: object) -> Template:
    """Return the template of a loss: a name, a config, a `keras.losses.Loss` or a function.

    Raises:
        ExperimentError: an unknown name, or something that is no loss.
    """
    import keras

    if isinstance(loss, Template):
        return loss
    made = loss
    if not isinstance(loss, keras.losses.Loss) and not callable(loss):
        made = _get("loss", loss, keras.losses.get, keras.losses)
    if isinstance(made, keras.losses.Loss):
        return Template(type(made), made.get_config(), made.name)
    return Template(made, None, made.__name__)  # type: ignore[arg-type,attr-defined]


def metric_templates(metrics: Iterable[object]) -> tuple[Template, ...]:
    """Return the templates of metrics: names, configs, `keras.metrics.Metric` or functions.

    The names "accuracy" and "acc" stay open: which accuracy is meant depends on the model's output,
    as in Keras' own `compile`.

    Raises:
        ExperimentError: an unknown name, two metrics of one name, or one called `loss`.
    """
    templates = tuple(_metric_template(metric) for metric in metrics)
    names = [template.name for template in templates]
    for name in names:
        if name == "loss" or names.count(name) > 1:
            raise ExperimentError(
                f"two curves would be called {name!r}; give the metric another name: "
                f"metrics are {names}, and 'loss' is always there"
            )
    return templates


def _metric_template(metric: object) -> Template:
    import keras

    if isinstance(metric, Template):
        return metric
    if isinstance(metric, str) and metric in {"accuracy", "acc"}:
        return Template(accuracy_for, None, metric)
    made = metric
    if not isinstance(metric, keras.metrics.Metric) and not callable(metric):
        made = _get("metric", metric, keras.metrics.get, keras.metrics)
    if isinstance(made, keras.metrics.Metric):
        return Template(type(made), made.get_config(), _name(metric, made.name))
    # Positional: the wrapper stores the function in its config and so can be rebuilt from it.
    wrapped = keras.metrics.MeanMetricWrapper(made)
    config = {"fn": made, "name": wrapped.name, "dtype": None}
    return Template(_MeanOf, config, _name(metric, made.__name__))  # type: ignore[attr-defined]


class _MeanOf:
    """Builds Keras' mean of a function over samples: its own `from_config` refuses plain functions."""

    @staticmethod
    def from_config(config: Mapping[str, Any]) -> Any:  # noqa: ANN401
        import keras

        return keras.metrics.MeanMetricWrapper(config["fn"], name=config["name"])


def accuracy_for(labels: tuple[int, ...], outputs: tuple[int, ...], name: str) -> Template:
    """Return the accuracy that Keras' `compile` takes for labels and outputs of these shapes.

    Source: `keras/src/trainers/compile_utils.py`, `get_metric`.
    """
    import keras

    if outputs[-1] == 1:
        kind = keras.metrics.BinaryAccuracy
    elif len(labels) < len(outputs) or (labels[-1] == 1 and outputs[-1] > 1):
        kind = keras.metrics.SparseCategoricalAccuracy
    else:
        kind = keras.metrics.CategoricalAccuracy
    return Template(kind, kind(name=name).get_config(), name)


def _name(identifier: object, name: str) -> str:
    """Return the name as the user wrote it, as Keras' history does."""
    return identifier if isinstance(identifier, str) else name


def _get(kind: str, identifier: object, get: Callable[[Any], Any], module: object) -> Any:  # noqa: ANN401
    try:
        made = get(identifier)
    except (ValueError, TypeError) as error:
        made, cause = None, error
    else:
        cause = None
    if made is None or isinstance(made, type):
        near = get_close_matches(str(identifier), _names(module), n=3)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise ExperimentError(
            f"unknown {kind} {identifier!r}: expected a name that Keras knows, a config or an object."
            + hint
        ) from cause
    return made


def _names(module: object) -> list[str]:
    return [name for name in vars(module) if name.islower() and not name.startswith("_")]


def function_name(function: object) -> str:
    """Return where a function or class can be found: `module.name`, Keras' own by name alone."""
    module = getattr(function, "__module__", None) or "?"
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return str(name) if module.startswith("keras.") else f"{module}.{name}"
