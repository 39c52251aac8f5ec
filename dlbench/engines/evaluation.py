"""Reading the curves: loss and metrics on whole data sets, with the weights held still."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import torch

from dlbench.backend import (
    as_tensors,
    isolated_keras,
    joined,
    kept_generators,
    kept_seed_generator,
    torch_modules,
    total_loss,
)
from dlbench.engines.state import array_digest
from dlbench.keras_objects import cross_entropy
from dlbench.runs import Runs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dlbench.data import Samples
    from dlbench.experiment import Experiment, Workload

CHUNK = 4096
"""Samples put through the model at a time, so that its activations take bounded memory."""


def evaluate(experiment: Experiment, model: keras.Model) -> dict[str, float]:
    """Return every curve's value for the model as it is; nothing about the model changes.

    The loss is what `fit` minimizes, of the whole set as one batch, penalties of regularizers
    included. Metrics are, as in Keras' `compile(metrics=…)`, not weighted by sample weights. Where
    the loss is not finite they say nothing (an accuracy of NaN outputs is that of class 0) and are
    NaN too.

    Args:
        experiment: its workload's data are measured, by fresh copies of its metrics.
        model: compiled with the experiment's loss.
    """
    data = experiment.workload.data
    with _undisturbed(model):
        values = _measure(experiment, model, data.train)
        if data.validation is not None:
            validation = _measure(experiment, model, data.validation)
            values |= {f"val_{name}": value for name, value in validation.items()}
    return values


def _measure(experiment: Experiment, model: keras.Model, samples: Samples) -> dict[str, float]:
    parts, penalties = [], []
    for start in range(0, len(samples), CHUNK):
        chunk = samples.take(slice(start, start + CHUNK))
        parts.append(model(as_tensors(chunk.x), training=False))
        penalties.append((len(chunk), _penalty(model)))
    outputs = joined(parts)
    # The model knows the penalties of its last call alone; those on activations differ by call.
    last = penalties[-1][1]
    drift = sum(size * (penalty - last) for size, penalty in penalties) / len(samples)
    # A loss may raise at NaN, and none makes a number of it.
    unknown = bool(torch.isnan(outputs).any())
    loss = math.nan if unknown else total_loss(model, samples, outputs) + drift
    metrics = {template.name: template.build() for template in experiment.metrics}
    if not math.isfinite(loss):
        return {"loss": math.nan} | dict.fromkeys(metrics, math.nan)
    for metric in metrics.values():
        metric.update_state(as_tensors(samples.y), outputs)
    return {"loss": loss} | {name: float(metric.result()) for name, metric in metrics.items()}


def _penalty(model: keras.Model) -> float:
    """Return what regularizers and `add_loss` ask for after the model's last call."""
    return sum(float(keras.ops.sum(loss)) for loss in model.losses)


@contextlib.contextmanager
def _undisturbed(model: keras.Model) -> Iterator[None]:
    """Put back what a forward pass may change: modes, variables, buffers, random numbers."""
    modules = list(torch_modules(model))
    modes = [module.training for module in modules]
    variables = [
        (variable, variable.value.detach().clone())
        for variable in (*model.variables, *model.metrics_variables)
    ]
    buffers = [
        (module, name, buffer, buffer.detach().clone())
        for module in modules
        for name, buffer in module.named_buffers(recurse=False)
    ]
    try:
        with torch.no_grad(), kept_generators(), kept_seed_generator():
            for module in modules:
                module.training = False
            yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
        with torch.no_grad():
            for variable, value in variables:
                variable.value.copy_(value)
            for module, name, buffer, value in buffers:
                setattr(module, name, buffer.copy_(value))


def runs_of(
    experiment: Experiment,
    curves: Mapping[str, np.ndarray],
    starts: Sequence[str],
    constant: float | None,
    engine: str,
) -> Runs:
    """Return an experiment's runs.

    Args:
        experiment: what was trained.
        curves: by metric, shape `(seeds, points)`.
        starts: by seed, the digest of the initial weights.
        constant: from `constant_loss`.
        engine: "fit" or "vectorized".
    """
    return Runs(
        experiment=experiment.to_builtins(),
        seeds=experiment.seeds,
        points=np.array(experiment.points, dtype=float),
        curves=curves,
        constant_loss=constant,
        starts=tuple(starts),
        orders=tuple(array_digest([experiment.order(seed, 0)]) for seed in experiment.seeds),
        engine=engine,
    )


def constant_loss(workload: Workload) -> float | None:
    """Return the training loss of the best predictor that ignores its inputs.

    For a cross-entropy it outputs each class's frequency (or its logit, where the loss takes
    logits), which is the optimum; for other losses the mean or the median label, whichever does
    better: the optimum of squared and of absolute error. Sample weights count, and the class that
    the loss ignores does not.

    Returns:
        None where no such constant gives a finite loss.
    """
    train = workload.data.train
    with isolated_keras(), torch.no_grad():
        predictor = keras.Sequential()
        predictor.compile(loss=workload.loss.build())
        try:
            losses = [
                total_loss(predictor, train, keras.ops.convert_to_tensor(outputs))
                for outputs in _constants(workload)
            ]
        except Exception:  # noqa: BLE001 - a loss of the user's own, for labels of a form of its own
            return None
    return min(filter(math.isfinite, losses), default=None)


def _constants(workload: Workload) -> list[np.ndarray]:
    """Return candidate outputs for the whole training set, each of shape `(n, …, outputs)`."""
    train, config = workload.data.train, workload.loss.config or {}
    kind = cross_entropy(workload.loss)
    shape = train.y.shape if train.y.ndim > 1 else (len(train), 1)
    labels = train.y.reshape(len(train), -1)
    weights = np.ones(len(train)) if train.weight is None else train.weight
    weights = np.broadcast_to(weights.reshape(len(train), -1), labels.shape).astype(np.float64)
    if kind is None:
        medians = [_median(*column) for column in zip(labels.T, weights.T, strict=True)]
        rows = [np.average(labels, axis=0, weights=weights), np.array(medians)]
    elif kind == "sparse":
        counted = labels != config.get("ignore_class")
        counts = np.bincount(labels[counted].astype(int), weights[counted])
        shape = (*(shape[:-1] if shape[-1] == 1 else shape), len(counts))
        outputs = _outputs(counts / counts.sum(), config, binary=False)
        return [np.broadcast_to(outputs, shape).astype(np.float32)]
    else:
        smoothing = config.get("label_smoothing", 0.0)
        uniform = 1 / 2 if kind == "binary" else 1 / shape[-1]
        frequencies = np.average(labels, axis=0, weights=weights)
        smoothed = (1 - smoothing) * frequencies + smoothing * uniform
        rows = [_outputs(smoothed, config, binary=kind == "binary")]
    return [np.broadcast_to(row, labels.shape).reshape(shape).astype(np.float32) for row in rows]


def _outputs(frequencies: np.ndarray, config: Mapping[str, Any], *, binary: bool) -> np.ndarray:
    """Return probabilities, or their logits where the loss takes those."""
    if not config.get("from_logits"):
        return frequencies
    with np.errstate(divide="ignore"):
        logits = np.log(frequencies)
        if binary:
            logits -= np.log1p(-frequencies)
    clipped: np.ndarray = np.clip(logits, -80, 80)  # a class that never occurs gets e^-80
    return clipped


def _median(values: np.ndarray, weights: np.ndarray) -> float:
    """Return the weighted median: half of the weight lies at or below it."""
    order = np.argsort(values)
    below = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(below, below[-1] / 2)])
