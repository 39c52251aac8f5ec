"""Optimizers, losses and metrics as templates: rebuilt for each run, the caller's untouched."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dlbench.errors import ExperimentError
from dlbench.plain import to_plain

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Mapping

    from dlbench.plain import Plain


_CROSS_ENTROPIES: Mapping[str, Literal["sparse", "categorical", "binary"]] = {
    "SparseCategoricalCrossentropy": "sparse",
    "sparse_categorical_crossentropy": "sparse",
    "CategoricalCrossentropy": "categorical",
    "categorical_crossentropy": "categorical",
    "CategoricalFocalCrossentropy": "categorical",
    "categorical_focal_crossentropy": "categorical",
    "BinaryCrossentropy": "binary",
    "binary_crossentropy": "binary",
    "BinaryFocalCrossentropy": "binary",
    "binary_focal_crossentropy": "binary",
}


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

    def build(self) -> Any:
        """Return a fresh object, or the function."""
        if self.config is None:
            return self.maker
        made = self.maker.from_config(copy.deepcopy(dict(self.config)))  # type: ignore[attr-defined]
        if self.no_decay is not None:
            getattr(made, "inner_optimizer", made).exclude_from_weight_decay(
                var_names=[self.no_decay]
            )
        return made

    def to_builtins(self) -> dict[str, Plain]:
        """Return the class and its config, as records keep them."""
        if self.config is None:
            return {"function": function_name(self.maker)}
        described: dict[str, Plain] = {"class": self.maker.__name__.lstrip("_")}
        described |= {
            key: _described(value)
            for key, value in self.config.items()
            # Keras numbers its own names by what was made before: they say nothing.
            if value is not None and key != "name"
        }
        return described | ({"no_decay": self.no_decay} if self.no_decay else {})


def _described(value: object) -> Plain:
    import keras

    if isinstance(value, keras.optimizers.schedules.LearningRateSchedule):
        return {"class": type(value).__name__, "config": to_plain(value.get_config())}
    if isinstance(value, dict):
        return {str(key): _described(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_described(item) for item in value]
    try:
        return function_name(value) if callable(value) else to_plain(value)
    except TypeError:
        return function_name(type(value))


def optimizer_template(optimizer: object, learning_rate: object = None) -> Template:
    """Return the template of an optimizer.

    Args:
        optimizer: a name ("adam"), a config as Keras serializes it, or an optimizer not yet used.
        learning_rate: a number of at least 0 or a `LearningRateSchedule`, in place of the
            optimizer's own.

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
    if isinstance(made, keras.optimizers.LossScaleOptimizer):  # the rate is that of the inner one
        inner = optimizer_template(made.inner_optimizer, learning_rate)
        config = made.get_config()
        config["inner_optimizer"] |= {"config": dict(inner.config or {})}
        return _rebuildable(
            "optimizer", made, Template(type(made), config, _unnumbered(made), inner.no_decay)
        )
    rate = _learning_rate(getattr(made, "_learning_rate", None), learning_rate)
    config = made.get_config()
    if "learning_rate" in config or learning_rate is not None:
        config["learning_rate"] = rate
    if getattr(made, "_exclude_from_weight_decay", None):
        raise ExperimentError(
            "exclude_from_weight_decay(var_list=…) names variables of one model, and every run "
            "has its own: use exclude_from_weight_decay(var_names=…)"
        )
    no_decay = _no_decay(getattr(made, "_exclude_from_weight_decay_pattern", None))
    return _rebuildable(
        "optimizer", made, Template(type(made), config, _unnumbered(made), no_decay)
    )


def _no_decay(pattern: re.Pattern[str] | None) -> str | None:
    """Return the pattern, names in order: Keras joins a set, another way in each process."""
    if pattern is None or "(" in pattern.pattern:  # a group may hold alternatives of its own
        return pattern.pattern if pattern else None
    return "|".join(sorted(pattern.pattern.split("|")))


def _rebuildable(kind: str, made: object, template: Template) -> Template:
    """Return the template if what it builds has every plain attribute of the caller's object.

    A class of the user's own whose `get_config` leaves an argument out would be trained with that
    argument's default, and nothing would say so.
    """
    try:
        twin = template.build()
    except Exception as error:
        raise ExperimentError(
            f"the {kind} {template.name!r} cannot be rebuilt from its config, as each run needs: "
            f"{error}. Its class needs a get_config that returns every argument of __init__"
        ) from error
    rebuilt = _settings(twin)
    for key, value in _settings(made).items():
        if rebuilt.get(key) != value:
            raise ExperimentError(
                f"the {kind} {template.name!r} has {key}={value!r}, and {rebuilt.get(key)!r} when "
                "rebuilt from its config, as for each run: its class needs a get_config that "
                "returns every argument of __init__"
            )
    return template


def _settings(made: Any) -> dict[str, object]:
    """Return an object's plain attributes, and what it hands on to a function."""
    attributes = vars(made) | getattr(made, "_fn_kwargs", {})
    return {
        key: value
        for key, value in attributes.items()
        if isinstance(value, (bool, int, float, str)) and key not in {"name", "_name", "built"}
    }


def _config(made: Any) -> dict[str, Any]:
    """Return a loss's or metric's config, with what Keras forgets in it.

    Keras 3.15 leaves out the delta of `Huber` and the axis of `SparseCategoricalCrossentropy`, and
    would rebuild both with the default.
    """
    arguments = inspect.signature(type(made)).parameters
    kept = getattr(made, "_fn_kwargs", {})
    forgotten = {key: value for key, value in kept.items() if key in arguments}
    return forgotten | dict(made.get_config())


def _learning_rate(held: Any, given: Any) -> Any:
    import keras

    rate = held if given is None else given
    schedules = keras.optimizers.schedules
    if isinstance(rate, dict):
        rate = _get("learning rate schedule", rate, schedules.deserialize, schedules)
    if isinstance(rate, schedules.LearningRateSchedule):
        return rate
    if callable(rate) and not isinstance(rate, keras.Variable):
        raise ExperimentError(
            "a learning rate given as a function cannot be written down in a record; "
            "use a number or a keras.optimizers.schedules.LearningRateSchedule"
        )
    try:
        number = float("nan") if isinstance(rate, (bool, str)) else float(rate)
    except (TypeError, ValueError):
        number = float("nan")
    if not 0 <= number <= float(np.finfo(np.float32).max):
        raise ExperimentError(f"learning_rate must be a finite number of at least 0, got {rate!r}")
    # Keras keeps rates in float32 and hands back 0.009999999776 for 0.01: take the shortest
    # number with that float32, whether it comes from the caller or from an optimizer.
    return float(str(np.float32(number)))


def loss_template(loss: object) -> Template:
    """Return the template of a loss: a name, a config, a `keras.losses.Loss` or a function.

    Raises:
        ExperimentError: an unknown name, or something that is no loss.
    """
    import keras

    if isinstance(loss, Template):
        return loss
    made = _get("loss", loss, keras.losses.get, keras.losses)
    if isinstance(made, keras.losses.Loss):
        return _rebuildable("loss", made, Template(type(made), _config(made), _unnumbered(made)))
    return Template(made, None, _short_name(made))


def cross_entropy(loss: Template) -> Literal["sparse", "categorical", "binary"] | None:
    """Return which of Keras' cross-entropies a loss is, or None for another loss.

    The kind says what its labels are: class numbers, a share for each class, or one for each
    output.
    """
    import keras

    for name, kind in _CROSS_ENTROPIES.items():
        known = getattr(keras.losses, name)
        if loss.maker is known or (
            isinstance(known, type)
            and isinstance(loss.maker, type)
            and issubclass(loss.maker, known)
        ):
            return kind
    return None


def metric_templates(metrics: Iterable[object]) -> tuple[Template, ...]:
    """Return the templates of metrics: names, configs, `keras.metrics.Metric` or functions.

    The names "accuracy" and "acc" stay open: which accuracy is meant depends on the model's output,
    as in Keras' own `compile`.

    Raises:
        ExperimentError: an unknown name, two metrics of one name, or one called `loss`.
    """
    if isinstance(metrics, (str, dict)) or not isinstance(metrics, Iterable):
        raise ExperimentError(f'metrics must be a list, such as ["accuracy"], got {metrics!r}')
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
    made = _get("metric", metric, keras.metrics.get, keras.metrics)
    if isinstance(made, keras.metrics.Metric):
        name = metric if isinstance(metric, str) else _unnumbered(made)
        return _rebuildable("metric", made, Template(type(made), _config(made), name))
    name = metric if isinstance(metric, str) else _short_name(made)
    return Template(_MeanOf, {"fn": made, "name": name}, name)


class _MeanOf:
    """Builds Keras' mean of a function, whose own `from_config` refuses plain functions."""

    @staticmethod
    def from_config(config: Mapping[str, Any]) -> Any:
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


def _unnumbered(made: Any) -> str:
    """Return an object's name, without the number that Keras gives it by what was made before."""
    name, _, number = made.name.rpartition("_")
    automatic = number.isdigit() and name.replace("_", "") == type(made).__name__.lower()
    return str(name if automatic else made.name)


def _short_name(function: Any) -> str:
    """Return a function's own name, that of the function within a partial, or an object's class."""
    if isinstance(function, partial):
        return _short_name(function.func)
    return str(getattr(function, "__name__", type(function).__name__))


def _get(kind: str, identifier: object, get: Callable[[Any], Any], module: object) -> Any:
    made, cause = None, None
    try:
        made = get(identifier)
    except (ValueError, TypeError, KeyError) as error:
        cause = error
    if made is None:
        names = {name.lower(): name for name in vars(module) if not name.startswith("_")}
        names |= {"accuracy": "accuracy"} if kind == "metric" else {}  # its kind follows the labels
        near = get_close_matches(str(identifier).lower(), names, n=3)
        hint = f" Did you mean {' or '.join(repr(names[name]) for name in near)}?" if near else ""
        raise ExperimentError(
            f"unknown {kind} {identifier!r}: expected a name that Keras knows, a config or an "
            f"object.{hint}"
        ) from cause
    return made


def function_name(function: object) -> str:
    """Return where a function or class can be found: `module.name`, Keras' own by name alone.

    A `functools.partial` is shown as a call, with those of its arguments that are plain.
    """
    if isinstance(function, partial):
        arguments = [_shown(value) for value in function.args]
        arguments += [f"{key}={_shown(value)}" for key, value in function.keywords.items()]
        return f"{function_name(function.func)}({', '.join(arguments)})"
    module = getattr(function, "__module__", None) or "?"
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return str(name) if module.startswith("keras.") else f"{module}.{name}"


def _shown(value: object) -> str:
    """Return a value as a record shows it: nothing in it may change from process to process."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return repr(value)
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(_shown, value))})"
    return function_name(value if callable(value) else type(value))
