"""What people read: one sentence, the effect in its own unit, and nothing a terminal obeys."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dlbench.gate.comparisons import Comparison
from dlbench.gate.judging import compare
from dlbench.gate.rounding import Rounding
from dlbench.gate.rules import Rules
from dlbench.gate.suite import Suite
from dlbench.gate.verdict import Verdict, missing, unknown_case
from dlbench.gate.wording import cell, clean, details, interval, markdown, sentence, suite_lines
from dlbench.statistics import Interval, Test

if TYPE_CHECKING:
    from tests.gate.conftest import MakeEntry

LOSS = Comparison(
    "training_loss",
    "regressed",
    test=Test(0.0305, 0.0227, 0.0383, 0.99996, 1e-9, 16),
    unit="log",
    margin=0.01,
    pairs=16,
    of=16,
    deviation=0.01,
    sees=0.02,
)
ACCURACY = replace(
    LOSS,
    gate="val_accuracy",
    unit="points",
    higher_is_better=True,
    margin=0.005,
    test=Test(0.012, 0.008, 0.016, 0.99996, 1e-9, 16),
)
VERDICT = Verdict(
    "test_batch_size.py::test_batch_size[4]",
    "regressed",
    comparisons=(LOSS,),
    seeds=16,
    of=16,
    link="intact",
    differs=("optimizer.momentum 0.9 -> 0.6",),
)
REMEDY = "\n  meant it? --dlbench-accept    only trying? --dlbench-gate=off"


def test_a_failure_says_what_how_much_and_how_sure() -> None:
    """Effect, interval, margin, pairs, what differs; the remedy on a line of its own."""
    assert sentence(VERDICT) == (
        "worse: training loss over the run +3.1 % (+2.3 … +3.9 % at the suite's level, margin 1 %, "
        "16 of 16 seeds paired); differs: optimizer.momentum 0.9 -> 0.6" + REMEDY
    )


def test_a_metric_is_said_as_it_moved() -> None:
    """An accuracy that fell is worse with a minus, in points; its interval from low to high."""
    found = sentence(replace(VERDICT, comparisons=(ACCURACY,), differs=()))
    assert found == (
        "worse: final val_accuracy -1.2 points (-1.6 … -0.8 points at the suite's level, margin "
        "0.5 points, 16 of 16 seeds paired)" + REMEDY
    )
    assert cell(replace(VERDICT, comparisons=(ACCURACY,))) == "worse -1.2 points"


def test_what_else_a_failure_names() -> None:
    """Pairs that were lost and why, runs that newly failed, every gate that is worse."""
    failures = Comparison("failed", "regressed", note="8 of 16 failed, 0 of 32 in the baseline")
    found = sentence(
        replace(
            VERDICT,
            comparisons=(replace(LOSS, pairs=8), failures),
            link="broken",
            broken=("initial weights",),
            drift=("torch 2.13 -> 2.14",),
            newly_failed=tuple(range(3, 13)),
        )
    )
    assert "8 of 16 seeds compared, not paired: other initial weights" in found
    assert "; failed runs: 8 of 16 failed, 0 of 32 in the baseline; " in found
    assert "newly failed: seeds 3, 4, 5, 6, 7, 8, 9, 10 and 2 more" in found
    assert "environment: torch 2.13 -> 2.14" in found


def test_a_changed_count_is_said_once(make_entry: MakeEntry) -> None:
    """Exactly, and not again among the fields that differ."""
    model = {"class": "Sequential", "builder": "other()", "parameters": 4490, "architecture": "a2"}
    new = make_entry(
        parameters={"parameters": 4490}, experiment={**make_entry().experiment, "model": model}
    )
    found = sentence(compare(make_entry(alpha=1e-4), new, Rules(), look="last"))
    expected = "worse: parameters 4,522 → 4,490; differs: model.builder build() -> other()"
    assert found == expected + REMEDY


@pytest.mark.parametrize(
    ("fields", "start"),
    [
        ({"degree": "incomparable", "reason": "loss.function a -> b", "comparisons": ()},
         "incomparable: loss.function a -> b; differs"),
        ({"degree": "incomparable", "comparisons": (
            Comparison("points", "incomparable", note="evaluation points 21 → 11"),)},
         "incomparable: evaluation points 21 → 11; differs"),
        ({"degree": "undecided", "comparisons": (), "skipped": {"val_loss": "takes 5"}},
         "cannot tell: nothing could be compared; final val_loss: takes 5; differs"),
        ({"degree": "undecided", "comparisons": (
            Comparison("val_loss", "undecided", unit="log", note="3 of 16 pairs trained"),)},
         "cannot tell: final val_loss: 3 of 16 pairs trained; differs"),
        ({"degree": "undecided", "comparisons": (replace(LOSS, degree="undecided", sees=0.3),)},
         ("cannot tell: training loss over the run +3.1 % (+2.3 … +3.9 % at the suite's level, "
          "margin 1 %, 16 of 16 seeds paired, would see 35 %); differs")),
        ({"degree": "regressed", "comparisons": (
            Comparison("val_auc", "regressed", note="val_auc is not finite for seeds: 3"),)},
         "worse: val_auc is not finite for seeds: 3; differs"),
        ({"degree": "identical"}, "same (identical): the curves are equal bit for bit; differs"),
        ({"degree": "rounding"}, "same (rounding): no regression; differs"),
    ],
)  # fmt: skip
def test_how_each_degree_begins(fields: dict[str, object], start: str) -> None:
    """The word, then the gates that decided or why there are none."""
    assert sentence(replace(VERDICT, **fields)).startswith(start)  # type: ignore[arg-type]


def test_what_was_expected_is_said() -> None:
    """With why rounding could not be told, where it could not."""
    verdict = replace(VERDICT, rounding=Rounding(note="training is chaotic"))
    found = sentence(verdict, expected="rounding")
    assert "; expected rounding at most; training is chaotic; " in found
    assert "expected" not in sentence(verdict)


def test_cases_on_one_side_alone(make_entry: MakeEntry) -> None:
    """Each with its own remedy."""
    gone, new = sentence(missing(make_entry())), sentence(unknown_case(make_entry()))
    assert gone.startswith("missing: it is in the baseline, and was not run")
    assert gone.endswith("removed on purpose? --dlbench-accept")
    assert new == "new: it is not in the baseline\n  --dlbench-accept takes it into the baseline"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "worse +3.1 %"),
        ({"degree": "improved", "comparisons": (
            replace(LOSS, degree="improved", test=Test(-0.45, -1, 0, 0.9, 1, 16)),)}, "better -36 %"),
        ({"degree": "rounding"}, "same (rounding)"),
        ({"degree": "identical"}, "same (identical)"),
        ({"degree": "equivalent"}, "same (equivalent)"),
        ({"degree": "equivalent", "rounding": Rounding(True, "", 0.0)},
         "same (equivalent, beyond rounding)"),
        ({"degree": "compatible", "comparisons": (replace(LOSS, degree="compatible", sees=0.0305),)},
         "same (would see 3.1 %)"),
        ({"degree": "undecided", "comparisons": (replace(LOSS, degree="undecided", sees=0.293),)},
         "cannot tell (would see 34 %)"),
        ({"degree": "undecided", "comparisons": (
            replace(LOSS, degree="undecided", sees=0.1),
            replace(ACCURACY, degree="undecided", sees=0.5))}, "cannot tell (would see 50 points)"),
        ({"degree": "undecided", "comparisons": ()}, "cannot tell (too few pairs)"),
        ({"degree": "undecided", "comparisons": (
            replace(LOSS, degree="undecided", sees=1e6),)}, "cannot tell (would see inf %)"),
        ({"degree": "regressed", "comparisons": (
            Comparison("parameters", "regressed", note="parameters 4,522 → 4,490"),)},
         "worse parameters 4,522 → 4,490"),
        ({"degree": "regressed", "comparisons": (replace(LOSS, test=Test(12.0, 1, 2, 0.9, 0, 16)),)},
         "worse +16,275,379 %"),
        ({"degree": "missing"}, "missing"),
        ({"degree": "new"}, "new"),
        ({"degree": "incomparable"}, "incomparable"),
    ],
)  # fmt: skip
def test_cells(fields: dict[str, object], text: str) -> None:
    """A word, and in brackets the degree or what would have been seen."""
    assert cell(replace(VERDICT, **fields)) == text  # type: ignore[arg-type]


def test_details(make_entry: MakeEntry) -> None:
    """With few seeds: what did not run and why, and the smallest slow-down in sight."""
    new = make_entry(6, noise={"training_loss": 0.004, "val_loss": 0.001})
    found = details(compare(make_entry(6, alpha=1e-4), new, Rules(), look="last"))
    assert "final val_accuracy not compared: takes 8 seeds on each side, got 6 and 6" in found
    assert any(line.startswith("with 6 seeds a slow-down above ") for line in found)
    assert "no verdict on rounding: no yardstick of rounding was accepted" in found


def test_details_of_what_broke() -> None:
    """One line each for what moved, what does not pair, what failed and what differs."""
    found = details(
        replace(
            VERDICT,
            rounding=Rounding(True, "", 1e-9),
            broken=("order of data",),
            newly_failed=(7,),
            drift=("torch 1 -> 2",),
            notes=("a note",),
        )
    )
    assert found == (
        "the training losses moved beyond rounding",
        "seeds do not pair: other order of data",
        "newly failed: seed 7",
        "differs: optimizer.momentum 0.9 -> 0.6",
        "environment: torch 1 -> 2",
        "a note",
    )


def test_where_there_is_nothing_to_say() -> None:
    """No line is made up, and no gate is quoted where the curves are equal."""
    same = Verdict(
        "k", "identical", comparisons=(replace(LOSS, degree="identical"),), link="intact"
    )
    assert details(same) == ()
    assert sentence(same) == "same (identical): the curves are equal bit for bit" + REMEDY
    assert interval(replace(LOSS, test=None)) == ""


def test_texts_from_records_are_data() -> None:
    """Nothing that a terminal obeys, no second line, and nothing that Markdown reads as its own."""
    evil = "a\u001b[31m\nb\u202e|`<script>`\u0000"
    verdict = replace(VERDICT, degree="incomparable", reason=evil, differs=(evil,), notes=(evil,))
    told = [*sentence(verdict).split("\n")[:1], *details(verdict), cell(verdict)]
    assert all(text.isprintable() for text in told)
    assert len(sentence(verdict).split("\n")) == 2
    assert clean(evil) == "a [31m b |`<script>`"
    assert markdown("a|b <i> `c` [d](e) *f* _g_\n\\") == (
        r"a\|b \<i\> \`c\` \[d\](e) \*f\* \_g\_ " + "\\\\"
    )


def test_the_suite_in_its_lines() -> None:
    """Counts, and the mean effect with its interval; worse as a whole says so first."""
    suite = Suite({"same": 58, "worse": 1}, 59, mean=Interval(0.001, -0.005, 0.007, 0.95), cases=59)
    assert suite_lines(suite) == (
        "58 same, 1 worse",
        "training loss over the run +0.1 % (-0.5 … +0.7 % at 95 %), mean over 59 cases",
    )
    worse = replace(suite, test=Test(0.02, 0.015, 0.025, 0.998, 1e-9, 59))
    assert suite_lines(worse)[1].startswith("worse as a whole, beyond the margin of 1 %: training")
    assert suite_lines(Suite({}, 0)) == ("no cases",)


def test_lost_pairing_in_one_headline() -> None:
    """How many cases, why, and the remedy."""
    suite = Suite({"same": 9}, 9, lost=8, why=("initial weights", "torch 2.13 -> 2.14"))
    headline = suite_lines(suite)[0]
    assert headline.startswith("pairing was lost in 8 of 9 cases (initial weights, torch 2.13 ->")
    assert "accept the old commit here into another file" in headline
    assert len(suite_lines(replace(suite, lost=4))) == 1
