"""The check before every vectorized run: its first updates against `fit`'s, variable by variable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dlbench.engines.fit import first_updates
from dlbench.engines.tracing import NotVectorizable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from dlbench.engines.state import Lane
    from dlbench.experiment import Experiment

UPDATES = 3
"""Updates that are compared, beyond those that accumulation or averaging wait for."""
OF_UPDATE, OF_VALUE = 1e-2, 1e-5
"""What may differ, as a share of a variable's largest change and of its largest value."""
NOISE = 1e-5
"""A gradient this small against the largest is rounding, in float32 as in float64."""


def updates_to_prove(experiment: Experiment) -> int:
    """Return how many updates have to agree: what accumulates or overwrites must have done so once."""
    config = experiment.optimizer.config or {}
    waits = [config.get("gradient_accumulation_steps"), config.get("ema_overwrite_frequency")]
    return UPDATES + max((int(wait) for wait in waits if wait), default=0)


def prove(
    lanes: Sequence[Lane],
    names: Sequence[str],
    state: Sequence[Tensor],
    readings: Mapping[int, Mapping[str, np.ndarray]],
    updates: int,
) -> None:
    """Compare the first and the last run with `fit`'s.

    Args:
        lanes: the runs.
        names: of the state's parts, the trained variables first.
        state: stacked, after `updates` updates.
        readings: the curves' values, by update and metric, shape `(runs,)`.
        updates: how many were made.

    Raises:
        NotVectorizable: a variable or a curve differs; the message names it.
    """
    for run in sorted({0, len(lanes) - 1}):
        fit = first_updates(lanes[run].experiment, lanes[run].seed, updates)
        if fit.after is None:
            raise NotVectorizable(f"`fit` stops at a NaN within its first {updates} updates")
        noise = _noise(names, fit.gradients)
        for name, before, theirs, part in zip(names, fit.before, fit.after, state, strict=True):
            ours = part[run].detach().cpu().numpy()
            if not _is_of(name, noise) and not agree(ours, theirs, before):
                raise NotVectorizable(
                    f"{name} differs from `fit`'s after {updates} updates by {_gap(ours, theirs):.2g}"
                )
        for point, values in fit.curves.items():
            for name, value in values.items():
                ours, theirs = np.asarray(readings[point][name][run]), np.asarray(value)
                if not agree(ours, theirs, np.asarray(fit.curves[0][name])):
                    raise NotVectorizable(
                        f"the curve {name!r} differs from `fit`'s after {point} updates: "
                        f"{ours:.6g}, not {theirs:.6g}"
                    )


def _noise(names: Sequence[str], gradients: Sequence[float]) -> list[str]:
    """Return the names of the variables whose gradient is nothing but rounding.

    The gradient of a bias before a batch normalization is 0; what is computed is noise, which Adam
    scales up to any size, another one in each engine. That is judged by `fit`'s gradient, not ours:
    a gradient that the vectorized engine lost must not excuse itself.
    """
    limit = NOISE * max(gradients, default=0.0)
    return [name for name, size in zip(names, gradients, strict=False) if 0 < size < limit]


def _is_of(name: str, variables: Sequence[str]) -> bool:
    """Return whether a part of the state is one of the variables, or an optimizer's slot of one.

    A slot is called after its variable: `adam/dense_bias_velocity`.
    """
    slot = name.rpartition("/")[2]
    return any(name == v or slot.startswith(f"{v.replace('/', '_')}_") for v in variables)


def agree(ours: np.ndarray, theirs: np.ndarray, before: np.ndarray) -> bool:
    """Return whether two values of a variable are the same but for rounding.

    Args:
        ours: the vectorized engine's.
        theirs: `fit`'s, of the same shape.
        before: the value at the start: what counts is the error of the change.
    """
    if ours.dtype.kind != "f":
        return bool(np.array_equal(ours, theirs))
    if not np.array_equal(np.isfinite(ours), np.isfinite(theirs)):
        return False
    finite = np.isfinite(theirs)
    if not finite.any():
        return True
    change = np.abs(theirs[finite] - before[finite]).max(initial=0)
    allowed = OF_UPDATE * change + OF_VALUE * np.abs(theirs[finite]).max()
    return bool(np.abs(ours[finite] - theirs[finite]).max() <= allowed)


def _gap(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.nanmax(np.abs(ours.astype(float) - theirs.astype(float))))
