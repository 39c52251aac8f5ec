"""The check before every vectorized run: its first updates against `fit`'s, variable by variable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dlbench.engines.fit import first_updates
from dlbench.engines.tracing import NotVectorizable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from dlbench.experiment import Experiment

UPDATES = 3
"""Updates that are compared, beyond those that accumulation or averaging wait for."""
OF_UPDATE, OF_VALUE = 1e-2, 1e-5
"""What may differ, as a share of a variable's largest change and of its largest value."""


def updates_to_prove(experiment: Experiment) -> int:
    """Return how many updates have to agree: what accumulates or overwrites must have done so once."""
    config = experiment.optimizer.config or {}
    waits = [config.get("gradient_accumulation_steps"), config.get("ema_overwrite_frequency")]
    return UPDATES + max((int(wait) for wait in waits if wait), default=0)


def prove(
    lanes: Sequence[Any],
    names: Sequence[str],
    state: Sequence[Tensor],
    readings: Mapping[int, Mapping[str, np.ndarray]],
    updates: int,
) -> None:
    """Compare the first and the last run with `fit`'s.

    Args:
        lanes: the runs, with `experiment` and `seed`.
        names: of the state's parts.
        state: stacked, after `updates` updates.
        readings: the curves' values, by update and metric, shape `(runs,)`.
        updates: how many were made.

    Raises:
        NotVectorizable: a variable or a curve differs; the message names it.
    """
    for run in sorted({0, len(lanes) - 1}):
        lane = lanes[run]
        start, expected, curves = first_updates(lane.experiment, lane.seed, updates)
        for name, before, fit, part in zip(names, start, expected, state, strict=True):
            ours = part[run].detach().cpu().numpy()
            if not agree(ours, fit, before):
                raise NotVectorizable(
                    f"{name} differs from `fit`'s after {updates} updates by {_gap(ours, fit):.2g}"
                )
        for point, values in curves.items():
            for name, fit in values.items():
                ours = np.asarray(readings[point][name][run])
                if not agree(ours, np.asarray(fit), np.asarray(curves[0][name])):
                    raise NotVectorizable(
                        f"the curve {name!r} differs from `fit`'s after {point} updates: "
                        f"{ours:.6g}, not {fit:.6g}"
                    )


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
