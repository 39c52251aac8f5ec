"""Rounding: what rounding alone does passes, the smallest real change is beyond it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dlbench.gate.comparisons import pair
from dlbench.gate.rounding import chaotic, judge_rounding

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dlbench.gate.entry import Entry
    from tests.gate.conftest import MakeEntry

ALPHA = 0.01 / 60
"""A suite's 1 % over 60 cases."""


def rounding(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Return what rounding does to n seeds: little to most, a thousand times more to a few."""
    kinks = rng.random(n) < 0.1
    return np.abs(rng.standard_normal(n)) * np.where(kinks, 1e-4, 1e-7)


def moved(entry: Entry, by: NDArray[np.float64]) -> Entry:
    """Return an entry whose training losses moved."""
    losses = np.array(entry.values["training_loss"]) + by
    values = {**entry.values, "training_loss": tuple(losses.tolist())}
    return replace(entry, values=values, curves=tuple(map(str, losses)))


@pytest.fixture(scope="module")
def accepted(make_entry: MakeEntry) -> Entry:
    """Return an accepted entry with a yardstick."""
    return make_entry(32, yardstick=tuple(rounding(np.random.default_rng(0), 32).tolist()))


def test_rounding_is_rounding(accepted: Entry, make_entry: MakeEntry) -> None:
    """What the yardstick's own mixture does, up to ten times as coarse, is never beyond it."""
    rng = np.random.default_rng(1)
    for coarse in (1, 10):
        for _ in range(100):
            new = moved(make_entry(16), coarse * rounding(rng, 16))
            found = judge_rounding(pair(accepted, new), ALPHA, paired=True)
            assert found.beyond is False
            assert found.p is not None


def test_a_small_change_is_beyond_rounding(accepted: Entry, make_entry: MakeEntry) -> None:
    """A thousandth on every seed is ten times smaller than the margin, and is seen."""
    new = moved(make_entry(16), np.full(16, 1e-3))
    found = judge_rounding(pair(accepted, new), ALPHA, paired=True)
    assert found.beyond is True
    assert found.p is not None
    assert found.p < ALPHA


def test_equal_curves_did_not_move(accepted: Entry, make_entry: MakeEntry) -> None:
    """A file's nine digits are no movement."""
    new = make_entry(16)
    file = replace(moved(accepted, np.full(32, 1e-3)), curves=accepted.curves)
    assert judge_rounding(pair(file, new), ALPHA, paired=True).beyond is False


def test_a_chaotic_case_says_so(accepted: Entry, make_entry: MakeEntry) -> None:
    """Where rounding moves as far as a fresh seed, nothing can be told, and both are named."""
    found = judge_rounding(
        pair(replace(accepted, yardstick=(0.14,) * 32), make_entry(16)), ALPHA, paired=True
    )
    assert found.beyond is None
    assert "chaotic: rounding alone moves the training loss by 15 %" in found.note


@pytest.mark.parametrize(("share", "told"), [(0.33, False), (0.34, True)])
def test_chaos_begins_at_a_third_of_a_fresh_seed(share: float, told: bool) -> None:
    """The yardstick's rms is held against √2 times the seeds' standard deviation."""
    seeds = np.array([-1.0, 1.0] * 8)
    fresh = np.sqrt(2) * np.std(seeds, ddof=1)
    note = chaotic(np.full(16, share * fresh), seeds, logged=False)
    assert bool(note) is told
    assert ("by 0.5, a fresh seed by 1.5" in note) is told


@pytest.mark.parametrize(
    ("fields", "new_fields", "paired", "note"),
    [
        ({"yardstick": ()}, {}, True, "no yardstick"),
        ({"yardstick": (float("nan"),) * 32}, {}, True, "no yardstick"),
        ({}, {}, False, "do not pair"),
        ({}, {"environment": {"device": "cuda:0", "precision": "float32"}}, True, "another device"),
        ({}, {"environment": {"device": "cpu", "precision": "float16"}}, True, "another precision"),
        ({}, {"regimes": ("stalled",) * 9 + ("slow",) * 7}, True, "takes 8 seeds"),
        ({"yardstick": (1e-7,) * 7 + (float("inf"),) * 25}, {}, True, "takes 8 seeds"),
    ],
)
def test_why_it_cannot_be_told(  # noqa: PLR0917 - as many as it has parameters
    fields: dict[str, Any],
    new_fields: dict[str, Any],
    paired: bool,
    note: str,
    accepted: Entry,
    make_entry: MakeEntry,
) -> None:
    """Without a yardstick of this arithmetic, paired seeds or enough of them: no word, but why."""
    pairing = pair(replace(accepted, **fields), replace(make_entry(16), **new_fields))
    found = judge_rounding(pairing, ALPHA, paired=paired)
    assert found.beyond is None
    assert note in found.note


def test_a_loss_that_is_no_number(accepted: Entry, make_entry: MakeEntry) -> None:
    """It is not rounding."""
    new = moved(make_entry(16), np.array([np.nan] + [0.0] * 15))
    found = judge_rounding(pair(accepted, new), ALPHA, paired=True)
    assert (found.beyond, found.note) == (None, "a training loss is not finite")
