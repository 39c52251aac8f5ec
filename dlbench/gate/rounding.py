"""Whether a case moved further than rounding alone moves it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dlbench.gate.comparisons import failed
from dlbench.gate.entry import TRAINING_LOSS
from dlbench.gate.rules import LEAST_OTHERS
from dlbench.statistics import larger

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from dlbench.gate.comparisons import Pairing
    from dlbench.plain import Plain

SLACK = 10.0
"""Differences are divided by this before they are held against the yardstick, so that another
machine's rounding, which may be a few times as coarse, is still rounding."""

CHAOTIC = 1 / 3
"""A case is chaotic where rounding moves it by more than this share of what a fresh seed does."""


@dataclass(frozen=True, slots=True)
class Rounding:
    """Whether the training losses moved beyond rounding."""

    beyond: bool | None = None
    """None where it cannot be told."""
    note: str = ""
    """Why not."""
    p: float | None = None


def judge_rounding(pairing: Pairing, alpha: float, *, paired: bool) -> Rounding:
    """Hold a case's differences in training loss against its yardstick.

    Formula: a one-sided Mann-Whitney test of |d| / 10 over the pairs that trained against the
    yardstick of all baseline seeds, each |d| that the last accept saw between a seed and the same
    seed with its initial weights perturbed by some units in the last place. Rounding is a mixture
    (a few seeds cross a kink), so ranks are compared and no maximum.

    Args:
        pairing: both entries; the accepted one has a yardstick.
        alpha: the case's share of the suite's error rate.
        paired: whether every seed has the start and the order of data of its baseline.
    """
    yardstick, trained = finite(pairing.whole.yardstick), pairing.trained
    if note := _untold(pairing, yardstick, paired=paired):
        return Rounding(note=note)
    old, new = (np.array(side.values[TRAINING_LOSS])[trained] for side in pairing[:2])
    moved = np.where(pairing.same_curves[trained], 0.0, np.abs(new - old))
    if not np.isfinite(moved).all():
        return Rounding(note="a training loss is not finite")
    test = larger(moved / SLACK, yardstick, alpha=alpha)
    return Rounding(beyond=test.significant, p=test.p)


def _untold(pairing: Pairing, yardstick: NDArray[np.float64], *, paired: bool) -> str:
    """Return why it cannot be told whether a case moved beyond rounding."""
    entry = pairing.whole
    if not yardstick.size:
        return "no yardstick of rounding was accepted"
    if not paired:
        return "the seeds do not pair with the baseline's"
    if moved := _other_arithmetic(entry.environment, pairing.new.environment):
        return f"the yardstick was taken on another {moved}"
    if min(int(pairing.trained.sum()), yardstick.size) < LEAST_OTHERS:
        return f"it takes {LEAST_OTHERS} seeds that trained on both sides"
    seeds = finite(np.array(entry.values[TRAINING_LOSS])[~failed(entry)])
    return chaotic(yardstick, seeds, logged=entry.floor > 0)


def chaotic(yardstick: NDArray[np.float64], seeds: NDArray[np.float64], *, logged: bool) -> str:
    """Return why a case has no verdict on rounding, or nothing where it can have one.

    A case is chaotic where the rms of its yardstick exceeds a third of √2 times the standard
    deviation of its seeds: that is how far two fresh seeds lie apart.

    Args:
        yardstick: by seed, |d| under rounding alone.
        seeds: the training loss of every seed that trained, shape `(n,)`, n >= 2.
        logged: whether these are logs.
    """
    rms = math.sqrt(float(np.mean(np.square(yardstick))))
    fresh = math.sqrt(2) * float(np.std(seeds, ddof=1))
    if rms <= CHAOTIC * fresh:
        return ""
    texts = [f"{100 * math.expm1(x):.2g} %" if logged else f"{x:.2g}" for x in (rms, fresh)]
    return (
        f"training is chaotic: rounding alone moves the training loss by {texts[0]}, "
        f"a fresh seed by {texts[1]}"
    )


def finite(values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values that are finite, shape `(n,)`."""
    array: NDArray[np.float64] = np.array(values, dtype=float)
    kept: NDArray[np.float64] = array[np.isfinite(array)]
    return kept


def _other_arithmetic(old: Mapping[str, Plain], new: Mapping[str, Plain]) -> str:
    return " and ".join(name for name in ("device", "precision") if old.get(name) != new.get(name))
