"""What people read of a verdict: the sentence of a failure, a cell of a table, the suite's line.

Texts that come from records are data: whatever a terminal would obey is taken out of them here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dlbench.gate.entry import STEPS_TO_TARGET, TRAINING_LOSS
from dlbench.gate.rules import FAILED, PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dlbench.gate.comparisons import Comparison
    from dlbench.gate.rules import Unit
    from dlbench.gate.suite import Suite
    from dlbench.gate.verdict import Verdict

REMEDY = "meant it? --dlbench-accept    only trying? --dlbench-gate=off"

NAMES = {
    TRAINING_LOSS: "training loss over the run",
    STEPS_TO_TARGET: "steps to the target",
    FAILED: "failed runs",
}
"""Gates in words; a validation curve is called "final" and its name."""

SEEDS_NAMED = 8
"""Seeds that a sentence names, at most."""

_MARKUP = str.maketrans(
    {sign: f"\\{sign}" for sign in "\\`*_[]<>|~#&$"} | {"@": "@\N{WORD JOINER}"}
)
"""A backslash stops markup; GitHub takes `\\@name` for a mention all the same."""


def sentence(verdict: Verdict, *, expected: str = "") -> str:
    """Return what a case fails with: what, how much, how sure, what differs; then the remedy.

    Args:
        verdict: of any degree.
        expected: the degree that was expected at most, if one was.
    """
    parts = ["; ".join(_findings(verdict)) or _alone(verdict)]
    if expected:
        parts.append(f"expected {expected} at most")
        parts += [verdict.rounding.note] if verdict.rounding.note else []
    if verdict.newly_failed:
        parts.append(f"newly failed: {_seeds(verdict.newly_failed)}")
    counted = verdict.comparison(PARAMETERS)
    told = f"model.{PARAMETERS} " if counted is not None and counted.note else None
    differs = [text for text in verdict.differs if told is None or not text.startswith(told)]
    if differs:
        parts.append(f"differs: {', '.join(differs)}")
    if verdict.drift and verdict.link != "intact":
        parts.append(f"environment: {', '.join(verdict.drift)}")
    return f"{clean(f'{_head(verdict)}: ' + '; '.join(parts))}\n  {_remedy(verdict)}"


def cell(verdict: Verdict) -> str:
    """Return a verdict for a cell of a table: `worse +3.1 %`, `same (rounding)`."""
    found = _leading(verdict)
    if verdict.degree in {"regressed", "improved"} and found is not None:
        effect = amount(found, found.test.estimate) if found.test is not None and found.unit else ""
        return clean(f"{verdict.shown} {effect or found.note}")
    if verdict.degree in {"compatible", "undecided"}:
        sight = seen(verdict)
        return f"{verdict.shown} ({f'would see {sight}' if sight else 'too few pairs'})"
    beyond = ", beyond rounding" if verdict.rounding.beyond else ""
    word = verdict.degree if verdict.shown == "same" else ""
    return f"{verdict.shown} ({word}{beyond})" if word else verdict.shown


def seen(verdict: Verdict) -> str:
    """Return the smallest slow-down that a case would have shown, its blindest gate deciding."""
    gates = verdict.having(verdict.degree) or verdict.comparisons
    known = [(found.sees, found.unit) for found in gates if found.sees is not None]
    if not known:
        return ""
    sees, unit = max(known, key=lambda pair: pair[0])
    return _size(sees, unit)


def details(verdict: Verdict) -> tuple[str, ...]:
    """Return what there is to say beside the verdict, a line each."""
    lines = [f"{name_of(gate)} not compared: {why}" for gate, why in verdict.skipped.items()]
    if verdict.skipped and (sight := seen(verdict)):
        lines.append(f"with {verdict.seeds} seeds a slow-down above {sight} would have been seen")
    if verdict.rounding.beyond:
        lines.append("the training losses moved beyond rounding")
    elif verdict.rounding.note:
        lines.append(f"no verdict on rounding: {verdict.rounding.note}")
    if verdict.broken:
        lines.append(f"seeds do not pair: other {' and '.join(verdict.broken)}")
    if verdict.newly_failed:
        lines.append(f"newly failed: {_seeds(verdict.newly_failed)}")
    if verdict.differs:
        lines.append(f"differs: {', '.join(verdict.differs)}")
    if verdict.drift:
        lines.append(f"environment: {', '.join(verdict.drift)}")
    return tuple(clean(line) for line in [*lines, *verdict.notes])


def suite_lines(suite: Suite) -> tuple[str, ...]:
    """Return the lines on the suite as a whole: headline, counts, mean effect."""
    lines = []
    if suite.lost_pairing:
        why = f" ({', '.join(suite.why)})" if suite.why else ""
        lines.append(
            f"pairing was lost in {suite.lost} of {suite.compared} cases{why}: their seeds start "
            "from other weights or see other orders of data than in the baseline, so only large "
            "effects are seen; accept the old commit here into another file, compare against that"
        )
    lines.append(", ".join(f"{count} {word}" for word, count in suite.counts.items()) or "no cases")
    if suite.mean is not None:
        low, middle, high = (
            _signed(100 * math.expm1(end))
            for end in (suite.mean.low, suite.mean.estimate, suite.mean.high)
        )
        line = (
            f"{NAMES[TRAINING_LOSS]} {middle} % ({low} … {high} % at {100 * suite.mean.level:g} %), mean "
            f"over {suite.cases} cases"
        )
        worse = "worse as a whole, beyond the margin of 1 %: "
        lines.append(worse + line if suite.worse else line)
    return tuple(clean(line) for line in lines)


def name_of(gate: str) -> str:
    """Return a gate in words."""
    return NAMES.get(gate, f"final {gate}" if gate.startswith("val_") else gate)


def amount(found: Comparison, effect: float) -> str:
    """Return an effect as people see it move: `+3.1 %`, `-1.2 points` for an accuracy."""
    return f"{_signed(moved(found, effect))} {'points' if found.unit == 'points' else '%'}"


def interval(found: Comparison) -> str:
    """Return where an effect lies, as people see it move and without its unit: `+2.3 … +3.9`."""
    if found.test is None:
        return ""
    low, high = sorted(moved(found, end) for end in (found.test.low, found.test.high))
    return f"{_signed(low)} … {_signed(high)}"


def moved(found: Comparison, effect: float) -> float:
    """Return an effect in percent or points, with the sign in which the value itself moved."""
    signed = (-effect if found.higher_is_better else effect) + 0.0  # never -0
    return 100 * _ratio(signed) if found.unit == "log" else 100 * signed


def clean(text: str) -> str:
    """Return a text in one line, without what a terminal would obey."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def markdown(text: str) -> str:
    """Return a text that Markdown shows as it is, in a table too."""
    return clean(text).translate(_MARKUP)


# ---- within


def _head(verdict: Verdict) -> str:
    return f"same ({verdict.degree})" if verdict.shown == "same" else verdict.shown


def _leading(verdict: Verdict) -> Comparison | None:
    return next(iter(verdict.having(verdict.degree)), None)


def _findings(verdict: Verdict) -> list[str]:
    """Return the gates that decided, in words."""
    if verdict.reason:
        return [verdict.reason]
    if verdict.degree == "identical":
        return []
    gates = verdict.having(verdict.degree)
    measured = [found for found in gates if found.test is not None and found.unit is not None]
    # Nobody asks for the failed share where nothing is wrong.
    said = measured if verdict.shown == "same" else gates
    return [_finding(verdict, found) for found in said]


def _finding(verdict: Verdict, found: Comparison) -> str:
    if found.gate == FAILED:
        return f"{NAMES[FAILED]}: {found.note}"
    if found.test is None or found.unit is None:
        named = found.gate in found.note or not found.unit
        return found.note if named else f"{name_of(found.gate)}: {found.note}"
    unit = "points" if found.unit == "points" else "%"
    said = [
        f"{interval(found)} {unit} at the suite's level",
        f"margin {100 * (found.margin or 0):g} {unit}",
        f"{found.pairs} of {found.of} seeds {_paired(verdict)}",
    ]
    if found.degree in {"compatible", "undecided"} and found.sees is not None:
        said.append(f"would see {_size(found.sees, found.unit)}")
    return f"{name_of(found.gate)} {amount(found, found.test.estimate)} ({', '.join(said)})"


def _paired(verdict: Verdict) -> str:
    if verdict.link == "broken":
        return f"compared, not paired: other {' and '.join(verdict.broken)}"
    return "paired" if verdict.link == "intact" else "compared"


def _alone(verdict: Verdict) -> str:
    """Return what is said where no gate decided."""
    if verdict.degree == "missing":
        return "it is in the baseline, and was not run though its file was collected whole"
    if verdict.degree == "new":
        return "it is not in the baseline"
    if verdict.degree == "undecided":
        told = [f"{name_of(gate)}: {why}" for gate, why in verdict.skipped.items()]
        return "; ".join(["nothing could be compared", *told])
    if verdict.degree == "compatible" and (sight := seen(verdict)):
        return f"no regression found, a slow-down above {sight} would have been seen"
    return "the curves are equal bit for bit" if verdict.degree == "identical" else "no regression"


def _remedy(verdict: Verdict) -> str:
    if verdict.degree == "missing":
        return "removed on purpose? --dlbench-accept"
    if verdict.degree == "new":
        return "--dlbench-accept takes it into the baseline"
    return REMEDY


def _seeds(seeds: Iterable[int]) -> str:
    named = [str(seed) for seed in seeds]
    rest = len(named) - SEEDS_NAMED
    text = ", ".join(named[:SEEDS_NAMED]) + (f" and {rest} more" if rest > 0 else "")
    return f"{'seed' if len(named) == 1 else 'seeds'} {text}"


def _size(effect: float, unit: Unit | None) -> str:
    if unit == "log":
        return f"{_figure(100 * _ratio(effect))} %"
    return f"{_figure(100 * effect)} {'points' if unit == 'points' else '%'}"


def _ratio(effect: float) -> float:
    """Return exp(effect) - 1; of a log ratio that no float can hold the ratio of, infinity."""
    try:
        return math.expm1(effect)
    except OverflowError:
        return math.inf


def _figure(value: float) -> str:
    """Return a size with two digits that count, without more decimals than that."""
    size = abs(value)
    if size >= 10 or not math.isfinite(value):  # noqa: PLR2004
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 1 else f"{value:.2g}"


def _signed(value: float) -> str:
    text = _figure(value)
    return text if text.startswith("-") or value == 0 else f"+{text}"
