"""Reading the curves: loss and metrics on whole data sets, with the weights held still."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dlbench.data import Samples
    from dlbench.experiment import Experiment, Workload

CHUNK = 4096
"""Samples put through the model at a time, so that memory does not grow with the data set."""


def evaluate(experiment: Experiment, model: keras.Model) -> dict[str, float]:
    """Return every curve's value for the model as it is; nothing about the model changes.

    The loss is what `fit` minimizes, penalties of regularizers included. Where it is not finite, the
    metrics say nothing (an accuracy of NaN outputs is that of class 0) and are NaN too.

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
    metrics = {template.name: template.build() for template in experiment.metrics}
    loss, weight = 0.0, 0.0
    for start in range(0, len(samples), CHUNK):
        chunk = samples.take(slice(start, start + CHUNK))
        outputs = model(chunk.x, training=False)
        value = model.compute_loss(
            x=chunk.x, y=chunk.y, y_pred=outputs, sample_weight=chunk.weight, training=False
        )
        share = _share(experiment.workload, chunk)
        loss, weight = loss + share * float(value), weight + share
        for metric in metrics.values():
            metric.update_state(chunk.y, outputs, sample_weight=chunk.weight)
    mean = loss / weight if weight else math.nan
    if not math.isfinite(mean):
        return {"loss": math.nan} | dict.fromkeys(metrics, math.nan)
    return {"loss": mean} | {name: float(metric.result()) for name, metric in metrics.items()}


def _share(workload: Workload, chunk: Samples) -> float:
    """Return the weight with which a chunk's loss enters the loss of the whole set."""
    reduction = (workload.loss.config or {}).get("reduction", "sum_over_batch_size")
    if reduction == "mean_with_sample_weight" and chunk.weight is not None:
        return float(chunk.weight.sum())
    return float(len(chunk))


@contextlib.contextmanager
def _undisturbed(model: keras.Model) -> Iterator[None]:
    """Put back what a forward pass may change: modes, buffers, seed generators, random numbers."""
    modes = {module: module.training for module in model.modules()}
    kept = [(tensor, tensor.detach().clone()) for tensor in _state(model)]
    numpy_state = np.random.get_state()  # noqa: NPY002
    model.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng():
            yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        for module, mode in modes.items():
            module.training = mode
        with torch.no_grad():
            for tensor, value in kept:
                tensor.copy_(value)


def _state(model: keras.Model) -> Iterator[Any]:
    """Yield every tensor that is not trained: variables, seed states, torch buffers."""
    for variable in model.non_trainable_variables:
        yield variable.value
    yield from model.buffers()


def constant_loss(workload: Workload) -> float | None:
    """Return the training loss of the best predictor that ignores its inputs.

    For a cross-entropy it outputs each class's frequency (or its log, where the loss takes logits),
    which is the optimum; for other losses the mean or the median label, whichever does better: the
    optimum of squared and of absolute error. Sample weights are left out.

    Returns:
        None where no such constant gives a finite loss.
    """
    y = workload.data.train.y
    loss = workload.loss.build()
    losses = [_loss_of_constant(loss, y, constant) for constant in _constants(workload, y)]
    finite = [value for value in losses if math.isfinite(value)]
    return min(finite) if finite else None


def _constants(workload: Workload, y: np.ndarray) -> list[np.ndarray]:
    """Return candidate outputs for one sample, each of shape `(outputs,)`."""
    described = str(workload.loss.to_builtins()).lower()
    if "crossentropy" not in described:
        rows = y.reshape(len(y), -1).astype(np.float64)
        return [rows.mean(axis=0), np.median(rows, axis=0)]
    if "sparse" in described:
        frequencies = np.bincount(y.astype(int).ravel()) / y.size
    else:
        frequencies = y.reshape(len(y), -1).astype(np.float64).mean(axis=0)
    if not (workload.loss.config or {}).get("from_logits"):
        return [frequencies]
    with np.errstate(divide="ignore"):
        logits = np.log(frequencies)
        if "binary" in described:
            logits -= np.log(1 - frequencies)
    return [np.clip(logits, -80, 80)]


def _loss_of_constant(loss: Any, y: np.ndarray, constant: np.ndarray) -> float:  # noqa: ANN401
    outputs = np.tile(constant.astype(np.float32), (len(y), 1))
    try:
        values = loss(keras.ops.convert_to_tensor(y), keras.ops.convert_to_tensor(outputs))
    except (ValueError, TypeError, RuntimeError):
        return math.nan  # labels in a form of their own, for a loss of the user's own
    return float(keras.ops.mean(values))
