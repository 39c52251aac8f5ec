"""Gates that could never fail: refused where seeds are too few, named where runs fail by design."""

from __future__ import annotations

import math
from typing import Any

import pytest

from dlbench.gate.blind import MOST_SEEDS, blind_gates, seeds_needed, too_few_seeds
from dlbench.gate.entry import Entry
from dlbench.gate.judging import SHARES
from dlbench.gate.rules import FAILED, Rules
from dlbench.statistics import excess_share, shift

ALPHA = 0.01 / (60 * 4)
"""A suite's 1 %, divided over 60 cases of 4 tests."""


def entry(seeds: int, bad: int = 0, **changes: Any) -> Entry:
    """Return an entry, some of whose seeds diverged."""
    fields: dict[str, Any] = {
        "key": "test_a.py::test_b", "module": "test_a.py", "kind": "convergence",
        "experiment": {"id": "1"}, "seeds": tuple(range(seeds)),
        "regimes": ("diverged",) * bad + ("slow",) * (seeds - bad),
        "values": dict.fromkeys(
            ("training_loss", "val_loss", "val_accuracy", "steps_to_target"), (0.5,) * seeds
        ),
    }  # fmt: skip
    return Entry(**fields | changes)


def test_fewer_than_five_seeds_are_refused() -> None:
    """None of a case's gates could fail: the message names them and the number they need."""
    for seeds in (1, 4):
        why = too_few_seeds(entry(seeds), Rules(), ALPHA)
        assert why.startswith(f"with {seeds} seeds training_loss, val_loss, val_accuracy, ")
        assert "it needs 5 or more, --dlbench-seeds=5 or seeds=5" in why
    for seeds in (5, 8, 16, 32):
        assert too_few_seeds(entry(seeds), Rules(), ALPHA) == ""


def test_runs_that_fail_by_design_are_not_refused() -> None:
    """No number of seeds would help a case whose every run diverges: it is accepted, and told of."""
    assert too_few_seeds(entry(16, 16), Rules(), ALPHA) == ""
    (told,) = blind_gates(entry(16, 16), Rules(), ALPHA)
    assert told.startswith("training_loss, val_loss, val_accuracy, steps_to_target, failed cannot")
    assert told.endswith("cannot fail with 16 seeds, 16 of which failed")
    assert blind_gates(entry(16, 12), Rules(), ALPHA)[:2] == (
        "training_loss, val_loss cannot fail with 16 seeds, 12 of which failed: they need 20",
        "val_accuracy, steps_to_target cannot fail with 16 seeds, 12 of which failed: they need 32",
    )


def test_counts_alone_need_no_seeds() -> None:
    """Parameters are compared exactly."""
    counts = Entry("a", "test_a.py", "parameters", {}, parameters={"total": 5})
    assert too_few_seeds(counts, Rules(), ALPHA) == ""
    assert blind_gates(counts, Rules(), ALPHA) == ()
    exact = Rules.of(gates=["parameters", "points"])
    assert too_few_seeds(entry(1), exact, ALPHA) == ""


def test_a_gate_that_was_asked_for_by_name_must_be_able_to_fail() -> None:
    """With 8 seeds Fisher's test cannot reach the rate of 240 tests: refused where it is named."""
    assert too_few_seeds(entry(8), Rules.of(gates="training_loss"), ALPHA) == ""
    why = too_few_seeds(entry(8), Rules.of(gates=["training_loss", "failed"]), ALPHA)
    assert why == (
        "with 8 seeds failed could never fail: it needs 9 or more, --dlbench-seeds=9 or seeds=9 "
        "in the call"
    )
    assert too_few_seeds(entry(9), Rules.of(gates=["training_loss", "failed"]), ALPHA) == ""
    assert "needs 8" in too_few_seeds(entry(7), Rules.of(gates=["val_accuracy"]), ALPHA)
    assert blind_gates(entry(8), Rules(), ALPHA) == ("failed cannot fail with 8 seeds: it needs 9",)


@pytest.mark.parametrize("bad", [0, 1, 8, 12, 15])
def test_the_number_that_is_named_suffices(bad: int) -> None:
    """With so many seeds and the same share of failures, all of them failing is an alarm."""
    needed = seeds_needed(FAILED, 16, bad, ALPHA)
    share = round(bad / 16 * needed)
    assert excess_share(needed, needed, share, needed).p < ALPHA * SHARES["last"]
    fewer = needed // 2
    assert excess_share(fewer, fewer, round(bad / 16 * fewer), fewer).p > ALPHA * SHARES["last"]


def test_half_of_the_runs_failing_takes_more_seeds() -> None:
    """With 8 of 16 failed before, 16 of 16 are no alarm at a suite's rate, and 32 of 32 are."""
    (told,) = blind_gates(entry(16, 8), Rules(), ALPHA)
    assert told.startswith("failed cannot fail with 16 seeds, 8 of which failed: it needs 2")
    assert blind_gates(entry(32, 16), Rules(), ALPHA) == ()
    assert seeds_needed(FAILED, 16, 15, 1e-200) == MOST_SEEDS + 1


def test_pairs_that_trained_are_what_a_loss_needs() -> None:
    """With 12 of 16 failed 4 pairs are left, and 20 seeds would leave 5."""
    assert seeds_needed("training_loss", 16, 12, ALPHA) == 20
    assert seeds_needed("val_accuracy", 16, 12, ALPHA) == 32
    assert seeds_needed("training_loss", 16, 0, ALPHA) <= 16


def test_five_pairs_can_reach_any_rate() -> None:
    """So that no t test need be refused: a large enough shift is significant."""
    spread = [0.0, 0.001, -0.001, 0.0005, -0.0005]
    far = [math.log(2) + value for value in spread]
    assert shift(far, margin=0.01, alpha=1e-9).significant
