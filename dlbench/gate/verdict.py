"""One case's verdict: all its gates in one word, and everything there is to say beside it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from dlbench.errors import RecordError
from dlbench.gate.comparisons import Comparison, Degree
from dlbench.gate.rounding import Rounding
from dlbench.gate.rules import Unit
from dlbench.plain import to_plain
from dlbench.statistics import Test

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dlbench.gate.entry import Entry
    from dlbench.plain import Plain

Look = Literal["first", "last"]

SEVERITY: tuple[Degree, ...] = (
    "identical", "rounding", "equivalent", "compatible", "improved", "undecided", "regressed",
    "new", "missing", "incomparable",
)  # fmt: skip
"""From best to worst: a case has its worst gate's degree."""

SHOWN: Mapping[Degree, str] = {
    "regressed": "worse", "improved": "better", "identical": "same", "rounding": "same",
    "equivalent": "same", "compatible": "same", "undecided": "cannot tell",
    "missing": "missing", "new": "new", "incomparable": "incomparable",
}  # fmt: skip
"""The word that people read for each degree."""

LOUD: frozenset[Degree] = frozenset(
    {"regressed", "improved", "undecided", "new", "missing", "incomparable"}
)
"""The degrees that a person should look at; the others are counted."""

Link = Literal["intact", "broken", "unproven"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one case against its accepted entry."""

    key: str
    degree: Degree
    look: Look = "last"
    reason: str = ""
    """Why the case as a whole could not be compared."""
    comparisons: tuple[Comparison, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Gates that did not run, and why."""
    seeds: int = 0
    """Seeds that are on both sides."""
    of: int = 0
    """The baseline's seeds."""
    link: Link = "unproven"
    """Whether every seed has the start and the order of data that it has in the baseline."""
    broken: tuple[str, ...] = ()
    """What does not pair: "initial weights", "order of data"."""
    rounding: Rounding = field(default_factory=Rounding)
    differs: tuple[str, ...] = ()
    """Fields of the experiment, each with old -> new."""
    drift: tuple[str, ...] = ()
    """Fields of the environment, each with old -> new."""
    newly_failed: tuple[int, ...] = ()
    """Seeds that diverged or stalled here and trained in the baseline."""
    notes: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """The word that people read."""
        return SHOWN[self.degree]

    def having(self, degree: Degree) -> tuple[Comparison, ...]:
        """Return the gates with a degree."""
        return tuple(found for found in self.comparisons if found.degree == degree)

    def comparison(self, gate: str) -> Comparison | None:
        """Return what one gate said, or None where it did not run."""
        return next((found for found in self.comparisons if found.gate == gate), None)

    def to_builtins(self) -> dict[str, Plain]:
        """Return everything as builtins; a number that is not finite becomes None."""
        plain = to_plain(asdict(self))
        assert isinstance(plain, dict)  # noqa: S101 - a dataclass becomes a dict
        return plain

    @classmethod
    def from_builtins(cls, plain: Mapping[str, Any]) -> Verdict:
        """Return the verdict that `to_builtins` wrote.

        Raises:
            RecordError: a field is missing or unknown, or has a value that it cannot have.
        """
        try:
            return cls(**{name: _READERS[name](value) for name, value in plain.items()})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RecordError(f"no verdict: {type(error).__name__}: {error}") from error


def missing(accepted: Entry) -> Verdict:
    """Return the verdict on a case that is in the baseline and was not run."""
    return Verdict(accepted.key, "missing", of=len(accepted.seeds))


def unknown_case(new: Entry) -> Verdict:
    """Return the verdict on a case that is not in the baseline."""
    return Verdict(new.key, "new", seeds=len(new.seeds))


# ---- reading


def _comparison(plain: Mapping[str, Any]) -> Comparison:
    read = {name: _COMPARISON[name](value) for name, value in plain.items()}
    return Comparison(**read)


def _test(plain: Mapping[str, Any] | None) -> Test | None:
    if plain is None:
        return None
    return Test(
        estimate=_float(plain["estimate"], math.nan),
        # What was not finite is None by now: an interval without an end.
        low=_float(plain["low"], -math.inf),
        high=_float(plain["high"], math.inf),
        level=_float(plain["level"], math.nan),
        p=_float(plain["p"], math.nan),
        n=_whole(plain["n"]),
    )


def _rounding(plain: Mapping[str, Any]) -> Rounding:
    beyond, note, p = plain["beyond"], plain["note"], plain["p"]
    return Rounding(None if beyond is None else _truth(beyond), _text(note), _optional(p))


def _one_of(*choices: str) -> Any:
    def read(value: object) -> Any:
        if value not in choices:
            raise ValueError(f"{value!r} is none of {', '.join(choices)}")
        return value

    return read


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError(f"{value!r} is no whole number")
    return value


def _float(value: object, absent: float) -> float:
    if value is None:
        return absent
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def _optional(value: object) -> float | None:
    return None if value is None else _float(value, math.nan)


def _texts(value: list[Any]) -> tuple[str, ...]:
    return tuple(map(_text, value))


_COMPARISON: Mapping[str, Any] = {
    "gate": _text,
    "degree": _one_of(*get_args(Degree)),
    "note": _text,
    "test": _test,
    "unit": lambda value: None if value is None else _one_of(*get_args(Unit))(value),
    "higher_is_better": _truth,
    "margin": _optional,
    "pairs": _whole,
    "of": _whole,
    "deviation": _optional,
    "sees": _optional,
}

_READERS: Mapping[str, Any] = {
    "key": _text,
    "degree": _one_of(*get_args(Degree)),
    "look": _one_of(*get_args(Look)),
    "reason": _text,
    "comparisons": lambda value: tuple(map(_comparison, value)),
    "skipped": lambda value: {_text(gate): _text(why) for gate, why in value.items()},
    "seeds": _whole,
    "of": _whole,
    "link": _one_of(*get_args(Link)),
    "broken": _texts,
    "rounding": _rounding,
    "differs": _texts,
    "drift": _texts,
    "newly_failed": lambda value: tuple(map(_whole, value)),
    "notes": _texts,
}
"""What each field is read by; a field that is not here is unknown."""
