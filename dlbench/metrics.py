"""What a curve says in one number: loss over the run, steps-to-target, regime, oscillation.

Pure functions of NumPy arrays. A curve is one metric of one run or more, read at the evaluation
points: shape `(seeds, points)`, with `steps`, shape `(points,)`, the optimizer updates until then.
A point after a run diverged is NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.float64]

Regime = Literal["diverged", "stalled", "slow", "converged"]
REGIMES: tuple[Regime, ...] = get_args(Regime)
"""From worst to best. A run that diverged or stalled *failed*; the others *trained*."""

FAILED: frozenset[str] = frozenset({"diverged", "stalled"})

DIVERGED_AT = 1.5
"""A run whose training loss ends above this many times its start has diverged."""

FLOOR_SHARE = 1e-3
"""The floor under the loss in `mean_log_loss`, as a share of the median loss at point 0."""


def higher_is_better(metric: str) -> bool | None:
    """Return a metric's direction by its name, or None where the name does not tell.

    Names with `loss` or `error` are better when lower, names with `acc` when higher; `val_` and
    `ema_` in front change nothing.
    """
    name = metric.lower()
    if any(word in name for word in ("loss", "error", "mae", "mse", "rmse", "crossentropy")):
        return False
    if any(word in name for word in ("acc", "auc", "precision", "recall", "f1", "r2", "iou")):
        return True
    return None


def best(curves: Array, *, higher: bool) -> Array:
    """Return each run's best value over its points; NaN where no point is finite.

    Args:
        curves: shape `(seeds, points)`.
        higher: True where a higher value is better.
    """
    worst = -np.inf if higher else np.inf
    known = np.where(np.isfinite(curves), curves, worst)
    found = known.max(axis=1) if higher else known.min(axis=1)
    return np.where(np.isfinite(found), found, np.nan)


def steps_to(curves: Array, steps: Array, target: float, *, higher: bool) -> Array:
    """Return the updates after which each run first reaches `target`; `inf` where it never does.

    Between the last point before and the first point at the target, the curve is taken as a
    straight line, so that the answer does not jump from point to point. Only a finite value
    reaches a target.

    Args:
        curves: shape `(seeds, points)`.
        steps: shape `(points,)`, optimizer updates, rising.
        target: the value to reach, in the metric's unit.
        higher: True where a higher value is better.
    """
    sign = 1.0 if higher else -1.0
    signed, goal = sign * curves, sign * target
    reached = np.isfinite(signed) & (signed >= goal)
    result = np.full(len(curves), np.inf)
    for run in np.flatnonzero(reached.any(axis=1)):
        point = int(reached[run].argmax())
        before = signed[run, point - 1] if point else np.nan
        if np.isfinite(before):
            share = (goal - before) / (signed[run, point] - before)
            result[run] = steps[point - 1] + share * (steps[point] - steps[point - 1])
        else:
            result[run] = steps[point]
    return result


def mean_log_loss(losses: Array, floor: float | None = None) -> Array:
    """Return each run's training loss over the run: the mean of log loss over points 1 to the last.

    It is the log of the geometric mean loss, an area under the log learning curve, and the most
    sensitive single number: every point speaks, and a difference of 0.03 means 3 % more loss.
    A run with a non-finite point among them gets `inf`. Where there is but one point, it is taken.

    Args:
        losses: shape `(seeds, points)`, training losses above 0, in nats for a cross-entropy.
        floor: losses below it count as it, against log 0; by default a thousandth of the median
            loss at point 0.
    """
    if floor is None:
        floor = loss_floor(losses)
    trained = losses[:, 1:] if losses.shape[1] > 1 else losses
    known = np.isfinite(trained)
    logs = np.log(np.maximum(np.where(known, trained, 1.0), floor))
    return np.where(known.all(axis=1), logs.mean(axis=1), np.inf)


def loss_floor(losses: Array) -> float:
    """Return the floor for `mean_log_loss`: a thousandth of the runs' median loss at point 0."""
    start = losses[:, 0][np.isfinite(losses[:, 0])]
    return max(FLOOR_SHARE * float(np.median(start)) if start.size else 0.0, 1e-30)


def oscillation(curves: Array) -> Array:
    """Return the share of each curve's movement that goes up, 0 (never rises) to 1 (only rises).

    Formula: the sum of rises over the sum of rises and falls, between neighbouring points. A curve
    that does not move at all oscillates 0; one with a non-finite point, NaN.

    Args:
        curves: shape `(seeds, points)`, for which lower is better.
    """
    known: NDArray[np.bool_] = np.asarray(np.isfinite(curves).all(axis=1, keepdims=True))
    moves = np.diff(np.where(known, curves, 0.0), axis=1)
    total = np.abs(moves).sum(axis=1)
    rises = np.clip(moves, 0, None).sum(axis=1)
    return np.where(known[:, 0], rises / np.where(total == 0, 1.0, total), np.nan)


def regimes(
    losses: Array, constant: float | None, reached: NDArray[np.bool_] | None
) -> list[Regime]:
    """Return what became of each run, in one word.

    * diverged: a loss that is not finite, or at the end more than 1.5 times its start;
    * stalled: at the end no better than the best constant predictor (or, where that is not known,
      than the start);
    * slow: improving, but the target was not reached;
    * converged: the target was reached; without a target, every run that trained.

    Args:
        losses: shape `(seeds, points)`, training losses.
        constant: the training loss of the best constant predictor, if it is known.
        reached: shape `(seeds,)`, whether the run reached its target; None without a target.
    """
    start, end = losses[:, 0], losses[:, -1]
    result: list[Regime] = []
    for run, (first, last) in enumerate(zip(start, end, strict=True)):
        bar = first if constant is None else constant
        if not np.isfinite(losses[run]).all() or last > first + (DIVERGED_AT - 1) * abs(first):
            result.append("diverged")
        elif last >= bar:
            result.append("stalled")
        elif reached is None or reached[run]:
            result.append("converged")
        else:
            result.append("slow")
    return result
