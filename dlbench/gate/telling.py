"""What a terminal is told of many verdicts, and of an accept: lines, the same behind both doors."""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import TYPE_CHECKING

from dlbench.gate.verdict import LOUD, SEVERITY, SHOWN
from dlbench.gate.wording import clean, suite_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from dlbench.gate.accepting import Acceptance
    from dlbench.gate.drift import Change
    from dlbench.gate.suite import Suite
    from dlbench.gate.verdict import Verdict

QUIET = frozenset(SEVERITY) - LOUD
"""Degrees that are counted, and not listed case by case."""

MOST_ADDED = 12
"""Cases that an accept takes in and lists; of more it gives the number."""

MOST_NAMED = 3
"""Cases that a line names which is about many."""

WORST_FIRST = ("regressed", "incomparable", "missing", "undecided", "improved", "new")
"""The others, in the order in which they are listed."""


def loud(judged: Sequence[tuple[str, Verdict]]) -> list[tuple[str, Verdict]]:
    """Return the cases that a person should look at, the worst first."""
    listed = [(case, verdict) for case, verdict in judged if verdict.degree not in QUIET]
    return sorted(listed, key=lambda each: WORST_FIRST.index(each[1].degree))


def headline(
    verdicts: Iterable[Verdict], suite: Suite, *, against: str = "the baseline"
) -> list[str]:
    """Return how a suite stands, in sentences: the cases counted, then the suite as a whole.

    Args:
        verdicts: one a case.
        suite: what they say together.
        against: what they were compared with.
    """
    degrees = Counter(verdict.degree for verdict in verdicts)
    same = [f"{count} {degree}" for degree, count in degrees.most_common() if degree in QUIET]
    counts = Counter(SHOWN[degree] for degree in degrees.elements())
    words = [
        f"{count} {word}" + (f" ({', '.join(same)})" if word == "same" else "")
        for word, count in counts.most_common()
    ]
    plain = {", ".join(f"{count} {word}" for word, count in suite.counts.items()) or "no cases"}
    rest = [line for line in suite_lines(suite) if line not in plain]
    return [clean(f"against {against}: {', '.join(words) or 'no case'}"), *rest]


def accepted_lines(acceptance: Acceptance, false_alarm: float, root: Path) -> list[str]:
    """Return what an accept changed, old -> new, and what it refused; not wrapped.

    Args:
        acceptance: what it did.
        false_alarm: of the suite, which was divided over its tests.
        root: what the paths of written files are shown from.
    """
    counts = Counter(change.what for change in acceptance.changes)
    told = ", ".join(f"{count} {what}" for what, count in counts.most_common())
    rate = f"{false_alarm:g}, {acceptance.alpha:.1e} each"
    lines = [
        f"accepted: {told or 'nothing'}; {acceptance.tests} tests share an error rate of {rate}"
    ]
    lines += [f"  {change}" for change in _worth_telling(acceptance)]
    lines += [
        f"  {change.case}: the loop does not repeat: one seed gave other curves the second time, so "
        "its seeds do not pair, and small changes stay unseen"
        for change in acceptance.changes
        if change.new is not None and change.new.repeats is False
    ]
    lines += [f"  refused {case}: {why}" for case, why in acceptance.refused.items()]
    lines += _blind_lines(acceptance)
    return lines + [
        f"wrote {path.relative_to(root) if path.is_relative_to(root) else path}"
        for path in acceptance.written
    ]


def _blind_lines(acceptance: Acceptance) -> list[str]:
    """Return what cannot fail: a line for all cases of which the same is said."""
    cases: dict[str, list[str]] = {}
    for case, gates in acceptance.blind.items():
        cases.setdefault("; ".join(gates), []).append(case)
    return [
        f"  {told}: {', '.join(named[:MOST_NAMED])}"
        + (f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else "")
        for told, named in cases.items()
    ]


def _worth_telling(acceptance: Acceptance) -> list[Change]:
    """Return the changes that go into a commit message: of a first accept, the counts say it all."""
    added = [change for change in acceptance.changes if change.what == "added"]
    quiet = {"same"} if len(added) <= MOST_ADDED else {"same", "added"}
    return [change for change in acceptance.changes if change.what not in quiet]


def wrapped(lines: Iterable[str], width: int) -> list[str]:
    """Return lines cut to a width, what belongs to one indented further, nothing a terminal obeys."""
    found: list[str] = []
    for line in lines:
        indent = " " * (len(line) - len(line.lstrip()))
        found += textwrap.wrap(
            clean(line),
            width,
            initial_indent=indent,
            subsequent_indent=f"{indent}  ",
            break_on_hyphens=False,  # a path is to be copied
        )
    return found
