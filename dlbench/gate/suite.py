"""The outcome of all cases: what fails, the mean effect, and whether pairing was lost."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlbench.gate.entry import TRAINING_LOSS
from dlbench.gate.rules import LEAST_PAIRS, MARGINS
from dlbench.statistics import Interval, Test, mean_interval, shift

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dlbench.gate import Expect, Mode
    from dlbench.gate.comparisons import Degree
    from dlbench.gate.verdict import Verdict

_AUTO: frozenset[Degree] = frozenset({"regressed", "incomparable", "missing"})

FAILS: Mapping[Mode, frozenset[Degree]] = {
    "off": frozenset(),
    "lenient": frozenset({"regressed"}),
    "auto": _AUTO,
    "strict": _AUTO | {"new", "undecided", "improved"},
}
"""The degrees that fail a case, by mode.

| mode | fails on | for |
|---|---|---|
| off | nothing: nothing is compared | trying something |
| lenient | worse | a change of what is measured, not accepted yet |
| auto | and incomparable, missing | every day; a new case and one that cannot tell warn |
| auto where `CI` is true | and new, cannot tell | what nobody looks at must not pass unseen |
| strict | and better | a baseline kept true: in a gain that is not accepted, a loss can hide |
"""

FAILS_IN_CI: frozenset[Degree] = frozenset({"new", "undecided"})
"""What fails under mode "auto" besides, where `CI` is true."""

EXPECTED: Mapping[Expect, frozenset[Degree]] = {
    "identical": frozenset({"identical", "new"}),
    "rounding": frozenset({"identical", "rounding", "new"}),
    "equivalent": frozenset({"identical", "rounding", "equivalent", "new"}),
}
"""The degrees that pass where a change is expected to do no more than that.

Better fails like worse, and so does what cannot tell. Of a new case nothing can be expected; the
mode decides about it.
"""

SHARE = 0.1
"""Of the suite's error rate, what the test of the mean effect takes."""

LEVEL = 0.95
"""Of the interval around the mean effect."""


def fails(degree: Degree, mode: Mode, *, ci: bool = False, expect: Expect | None = None) -> bool:
    """Return whether a case of this degree fails.

    Args:
        degree: the case's.
        mode: `--dlbench-gate`.
        ci: whether the environment says `CI=true`.
        expect: `--dlbench-expect`.
    """
    if mode == "off":
        return False
    if expect is not None and degree not in EXPECTED[expect]:
        return True
    return degree in FAILS[mode] or (mode == "auto" and ci and degree in FAILS_IN_CI)


@dataclass(frozen=True, slots=True)
class Suite:
    """What all verdicts say together."""

    counts: Mapping[str, int]
    """Cases by the word that people read."""
    compared: int
    """Cases that were trained and are in the baseline."""
    mean: Interval | None = None
    """The mean effect on the training loss over cases, a log ratio; positive is worse."""
    cases: int = 0
    """Cases behind the mean."""
    test: Test | None = None
    """Of the mean beyond the margin; None where there are too few cases."""
    lost: int = 0
    """Cases that could not be told equivalent because their seeds no longer pair."""
    why: tuple[str, ...] = ()
    """What broke the pairing and what changed in the environment, the most frequent first."""

    @property
    def worse(self) -> bool:
        """Whether the suite as a whole trains worse, whatever each case says."""
        return self.test is not None and self.test.significant

    @property
    def lost_pairing(self) -> bool:
        """Whether the headline is that pairing was lost: so in more than half of the cases."""
        return 2 * self.lost > self.compared


def judge_suite(verdicts: Iterable[Verdict], *, alpha: float = 0.01) -> Suite:
    """Return what the verdicts say together.

    The mean effect is tested beyond the training loss's margin of 1 %, at a tenth of the suite's
    error rate: it sees a slow-down in all cases that none shows alone, even without pairing.
    Assumes that cases are independent; under no change each effect is as likely up as down.

    Args:
        verdicts: one a case.
        alpha: the suite's error rate, `dlbench_false_alarm`.
    """
    cases = list(verdicts)
    trained = [case for case in cases if case.seeds and case.degree != "new"]
    effects = [
        found.test.estimate
        for case in trained
        for found in case.comparisons
        if found.gate == TRAINING_LOSS and found.unit == "log" and found.test is not None
    ]
    lost = [
        case
        for case in trained
        if case.link == "broken" and case.degree in {"compatible", "undecided"}
    ]
    margin = math.log1p(MARGINS[TRAINING_LOSS])
    enough = len(effects) >= LEAST_PAIRS[TRAINING_LOSS]
    return Suite(
        counts=dict(Counter(case.shown for case in cases)),
        compared=len(trained),
        mean=mean_interval(effects, LEVEL) if len(effects) > 1 else None,
        cases=len(effects),
        test=shift(effects, margin=margin, alpha=SHARE * alpha) if enough else None,
        lost=len(lost),
        why=tuple(
            reason
            for reasons in ([case.broken for case in lost], [case.drift for case in lost])
            for reason, _ in Counter(word for words in reasons for word in words).most_common()
        ),
    )
