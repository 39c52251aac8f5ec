"""A trial before any training: whatever about a workload could stop a run, or spoil it, shows here.

A model is built twice from the same seed, a few samples go through it, and the loss and the metrics
are taken of them. What comes of it is what a record says of the model.
"""

from __future__ import annotations

import math
import warnings
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np

from dlbench.backend import as_tensors, seeded, torch_modules, total_loss
from dlbench.errors import ExperimentError
from dlbench.keras_objects import Template, accuracy_for, cross_entropy, function_name
from dlbench.plain import digest, to_plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dlbench.data import Samples
    from dlbench.experiment import Workload
    from dlbench.plain import Plain

_UNSAID = {"module", "registered_name", "build_config"}
"""Parts of a Keras config that say where a class lives, not what it does."""


def try_workload(workload: Workload) -> tuple[dict[str, Plain], tuple[Template, ...]]:
    """Return a description of the model, and the metrics with "accuracy" settled by its output.

    Raises:
        ExperimentError: a builder that does not build afresh, data the model cannot take, several
            outputs, labels outside the classes, or a loss or a metric that cannot take the outputs.
    """
    import torch

    with seeded(0):
        model = workload.build()
    with seeded(0):
        _refuse_shared(workload, model, workload.build())
    with seeded(0), torch.no_grad():
        few, output = _few_through(workload, model)
        shape = tuple(output.shape)
        _check_labels(workload, shape)
        metrics = tuple(
            accuracy_for(few.y.shape, shape, metric.name)
            if metric.maker is accuracy_for
            else metric
            for metric in workload.metrics
        )
        _try_loss(workload, model, few, output)
        for metric in metrics:
            _try_metric(metric, few, output)
    described: dict[str, Plain] = {
        "class": type(model).__name__,
        "builder": function_name(workload.model),
        "parameters": sum(math.prod(variable.shape) for variable in model.weights),
        "architecture": _architecture(model),
    }
    return described, metrics


def forward(workload: Workload, model: Any, samples: Samples) -> Any:
    """Return what the model puts out for the samples, not in training.

    Raises:
        ExperimentError: the model cannot take them.
    """
    try:
        return model(samples.x, training=False)
    except Exception as error:
        shapes = {name: array.shape[1:] for name, array in samples.arrays().items() if name != "y"}
        raise ExperimentError(
            f"the model of {workload.name!r} cannot take samples of shape {shapes}: {error}"
        ) from error


def _refuse_shared(workload: Workload, model: Any, other: Any) -> None:
    import torch

    if _tensors(model) & _tensors(other):
        raise ExperimentError(
            f"the builder of {workload.name!r} returns models that share weights: a later run "
            "would start where an earlier one ended. Make every layer and torch module inside it"
        )
    ours, theirs = ([variable.value for variable in m.variables] for m in (model, other))
    if len(ours) != len(theirs) or not all(map(torch.equal, ours, theirs)):
        raise ExperimentError(
            f"the builder of {workload.name!r} returned other weights when called again from the "
            "same seed: a run must depend on its seed alone. Draw from Keras' initializers or from "
            "the global generators of Python, NumPy or PyTorch, which are seeded for each run, or "
            "give a generator of your own a fixed seed"
        )


def _tensors(model: Any) -> set[int]:
    held = {id(variable.value) for variable in model.variables}
    for module in torch_modules(model):
        held |= {id(tensor) for tensor in module.parameters(recurse=False)}
        held |= {id(tensor) for tensor in module.buffers(recurse=False)}
    return held


def _few_through(workload: Workload, model: Any) -> tuple[Samples, Any]:
    """Return a few samples and the model's output for them, shape `(few, …)`.

    They are not as many as the outputs or the labels of a sample, or else labels of a wrong shape
    would be broadcast in this trial, and fail, or not, in training.
    """
    train = workload.data.train
    taken = set(train.y.shape[1:])
    for _ in range(2):
        few = train.take(np.arange(min(set(range(2, 20)) - taken)) % len(train))
        output = forward(workload, model, few)
        if isinstance(output, (dict, list, tuple)):
            raise ExperimentError(
                f"the model of {workload.name!r} has several outputs; one is supported: "
                "join them into one array, or train it by convergence.record"
            )
        if output.ndim == 0 or len(output) != len(few):
            raise ExperimentError(
                f"the model of {workload.name!r} must put out one row a sample, got an output of "
                f"shape {tuple(output.shape)} for {len(few)} samples"
            )
        taken |= set(output.shape[1:])
    return few, output


def _check_labels(workload: Workload, output: tuple[int, ...]) -> None:
    """Labels of a cross-entropy are class numbers, each with an output, or shares of classes."""
    kind = cross_entropy(workload.loss)
    config = workload.loss.config or {}
    for role in ("train", "validation"):
        samples = getattr(workload.data, role)
        if kind is None or samples is None:
            continue
        labels = samples.y.astype(float)
        if kind == "sparse":
            if config.get("ignore_class") is not None:
                labels = labels[labels != config["ignore_class"]]
            classes = output[config.get("axis", -1)]
            wrong = (labels < 0) | (labels >= classes) | (labels != np.round(labels))
            expected = f"whole numbers from 0 to {classes - 1}, as the model has {classes} outputs"
        else:
            wrong = (labels < 0) | (labels > 1)
            expected = f"from 0 to 1, each the share of a class, for {workload.loss.name}"
        if wrong.any():
            raise ExperimentError(
                f"{role} labels must be {expected}; got {labels.min():g} to {labels.max():g}. "
                "Renumber the labels, or change the loss or the model"
            )


def _try_loss(workload: Workload, model: Any, few: Samples, output: Any) -> None:
    loss = workload.loss
    labels, outputs = few.y.shape[1:], tuple(output.shape)[1:]
    shapes = f"labels of shape {labels} and outputs of shape {outputs}"
    try:
        model.compile(loss=loss.build())
        total_loss(model, few, output)
    except Exception as error:
        raise ExperimentError(f"the loss {loss.name!r} cannot take {shapes}: {error}") from error
    # Keras' regressions broadcast three labels against one output, and say nothing.
    if labels != outputs and len(labels) == len(outputs) and _pairs_labels_with_outputs(loss):
        raise ExperimentError(
            f"{shapes} do not fit: the loss {loss.name!r} would compare one with all of the other. "
            "Give the model an output for each label"
        )


def _pairs_labels_with_outputs(loss: Template) -> bool:
    """Whether each label has an output of its own: of Keras' losses, all but those of classes."""
    keras_own = loss.maker.__module__.startswith("keras.")
    classes = cross_entropy(loss) == "sparse" or "Generalized" in loss.maker.__name__
    return keras_own and not classes


def _try_metric(metric: Template, few: Samples, output: Any) -> None:
    made = metric.build()
    try:
        made.update_state(as_tensors(few.y), output)
        float(made.result())
    except Exception as error:
        raise ExperimentError(
            f"the metric {metric.name!r} gives no number for labels of shape {few.y.shape[1:]} and "
            f"outputs of shape {tuple(output.shape)[1:]}: {error}"
        ) from error


def _architecture(model: Any) -> str:
    """Return a digest of every variable's name and form, and of every layer's settings."""
    variables = [[v.path, list(v.shape), v.dtype, v.trainable] for v in model.variables]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras warns of lambdas where it saves them
        return digest([variables, [_layer(layer) for layer in _layers(model)]])


def _layers(model: Any) -> Iterator[Any]:
    for layer in getattr(model, "layers", ()):
        yield layer
        yield from _layers(layer)


def _layer(layer: Any) -> list[Plain]:
    import torch

    module = getattr(layer, "module", None)
    if isinstance(module, torch.nn.Module):  # its config would hold the weights
        return [type(layer).__name__, repr(module)]
    attributes = {key: value for key, value in vars(layer).items() if not key.startswith("_")}
    functions = {k: v for k, v in attributes.items() if isinstance(v, FunctionType)}
    try:
        config = layer.get_config()
    except Exception:  # noqa: BLE001 - a layer of the user's own need not have one
        config = {k: v for k, v in attributes.items() if isinstance(v, (bool, int, float, str))}
    # By name: a config holds a lambda's code, and with it the line where it stands.
    return [type(layer).__name__, _settings(config | functions)]


def _settings(value: Any) -> Plain:
    """Return a Keras config without what is not set and what differs between processes."""
    if isinstance(value, dict):
        if value.get("class_name") in {"__lambda__", "__bytes__"}:  # code, and where it stands
            return str(value["class_name"])
        return {
            str(key): _settings(item)
            for key, item in value.items()
            if item is not None and item is not False and key not in _UNSAID
        }
    if isinstance(value, (list, tuple)):
        return [_settings(item) for item in value]
    try:
        return function_name(value) if callable(value) else to_plain(value)
    except TypeError:
        return type(value).__name__
