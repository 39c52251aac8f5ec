"""The suite: what fails under which mode, the mean over cases, and pairing that was lost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, get_args

import numpy as np
import pytest

from dlbench.gate import Expect, Mode
from dlbench.gate.comparisons import Comparison, Degree
from dlbench.gate.suite import EXPECTED, FAILS, fails, judge_suite
from dlbench.gate.verdict import Link, Verdict
from dlbench.statistics import Test

if TYPE_CHECKING:
    from collections.abc import Iterable

SAME = {"identical", "rounding", "equivalent", "compatible"}


def cases(
    effects: Iterable[float], degree: Degree = "compatible", link: Link = "intact"
) -> list[Verdict]:
    """Return a verdict a case, each with its effect on the training loss."""
    return [
        Verdict(
            f"test_a.py::test_{number}",
            degree,
            comparisons=(
                Comparison(
                    "training_loss",
                    degree,
                    test=Test(effect, effect - 0.1, effect + 0.1, 0.99, 0.5, 16),
                    unit="log",
                ),
            ),
            seeds=16,
            of=16,
            link=link,
            broken=("initial weights",) if link == "broken" else (),
            drift=("torch 2.13 -> 2.14",) if link == "broken" else (),
        )
        for number, effect in enumerate(effects)
    ]


def failing(mode: Mode, *, ci: bool = False, expect: Expect | None = None) -> set[str]:
    """Return the degrees that fail."""
    return {d for d in get_args(Degree) if fails(d, mode, ci=ci, expect=expect)}


def test_what_fails_by_mode() -> None:
    """Each mode fails on what the one before fails on, and more; worse fails in all but off."""
    assert failing("off") == failing("off", ci=True) == set()
    assert failing("lenient") == failing("lenient", ci=True) == {"regressed"}
    assert failing("auto") == {"regressed", "incomparable", "missing"}
    assert failing("auto", ci=True) == failing("auto") | {"new", "undecided"}
    assert failing("strict") == failing("auto", ci=True) | {"improved"}
    assert set(FAILS) == set(get_args(Mode))
    assert all(not degrees & SAME for degrees in FAILS.values())


@pytest.mark.parametrize("mode", ["lenient", "auto", "strict"])
def test_what_fails_beyond_what_was_expected(mode: Mode) -> None:
    """Anything more than expected, better and cannot tell included; the mode decides about new."""
    more = {"compatible", "improved", "undecided", "regressed", "missing", "incomparable"}
    new = failing(mode) & {"new"}
    assert failing(mode, expect="equivalent") == more | new
    assert failing(mode, expect="rounding") == more | {"equivalent"} | new
    assert failing(mode, expect="identical") == more | {"equivalent", "rounding"} | new
    assert failing("off", expect="identical") == set()
    assert set(EXPECTED) == set(get_args(Expect))


def test_a_suite_that_is_worse_as_a_whole() -> None:
    """2 % on every case fails, though each case alone is compatible; its interval is above 1 %."""
    rng = np.random.default_rng(0)
    suite = judge_suite(cases(0.02 + 0.005 * rng.standard_normal(20)))
    assert suite.worse
    assert suite.mean is not None
    assert suite.mean.level == 0.95
    assert suite.mean.low > math.log1p(0.01)
    assert (suite.compared, suite.cases, suite.counts) == (20, 20, {"same": 20})


def test_a_suite_that_is_not() -> None:
    """Within the margin, better, or noise about nothing."""
    rng = np.random.default_rng(1)
    for mean in (0.005, 0.0, -0.05):
        assert not judge_suite(cases(mean + 0.005 * rng.standard_normal(20))).worse
    assert not judge_suite(cases([0.0] * 20)).worse


def test_the_suite_takes_a_tenth_of_the_error_rate() -> None:
    """2,000 suites of 10 cases, true mean at the margin: an alarm in 2 % at a rate of 20 %."""
    rng = np.random.default_rng(2)
    draws = math.log1p(0.01) + 0.02 * rng.standard_normal((2000, 10))
    alarms = sum(judge_suite(cases(row), alpha=0.2).worse for row in draws)
    assert abs(alarms - 40) < 3 * math.sqrt(40)


def test_few_cases_make_no_suite() -> None:
    """Fewer than five are not tested, however far they lie; one has no interval."""
    assert judge_suite(cases([0.5, 0.5001, 0.5002, 0.5])).test is None
    assert judge_suite(cases([0.5])).mean is None
    empty = judge_suite([])
    assert (empty.worse, empty.lost_pairing, empty.compared) == (False, False, 0)


def test_what_is_no_part_of_the_mean() -> None:
    """New and missing cases, counts alone, and losses on a linear scale."""
    linear = Verdict(
        "a",
        "equivalent",
        comparisons=(
            Comparison(
                "training_loss", "equivalent", test=Test(9, 8, 10, 0.9, 1, 16), unit="linear"
            ),
        ),
        seeds=16,
    )
    others = [Verdict("b", "new", seeds=16), Verdict("c", "missing", of=16), linear]
    suite = judge_suite([*cases([0.0, 0.01]), *others])
    assert (suite.cases, suite.compared) == (2, 3)
    assert suite.counts == {"same": 3, "new": 1, "missing": 1}


@pytest.mark.parametrize(
    ("lost", "of", "headline"), [(5, 10, False), (6, 10, True), (0, 10, False)]
)
def test_lost_pairing_is_one_headline(lost: int, of: int, headline: bool) -> None:
    """From more than half of the cases on, with what broke and what changed."""
    effects = [0.0] * of
    unpaired = cases(effects[:lost], link="broken")
    suite = judge_suite([*unpaired, *cases(effects[lost:])])
    assert suite.lost_pairing is headline
    assert suite.lost == lost
    if lost:
        assert suite.why == ("initial weights", "torch 2.13 -> 2.14")


def test_cases_that_were_told_apart_all_the_same_lost_nothing() -> None:
    """A regression is one whether or not seeds pair, and so is what is equivalent."""
    assert not judge_suite(cases([0.0] * 10, "equivalent", "broken")).lost_pairing
    assert judge_suite(cases([0.0] * 10, "undecided", "broken")).lost_pairing
