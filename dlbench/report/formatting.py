"""Numbers and values as text: every rule of the report in one place."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING

from dlbench.gate.wording import name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

UNKNOWN = "\N{EN DASH}"
"""What stands where there is no number."""

TO = "\N{EN DASH}"
"""What stands between the ends of a range."""

MINUS = "\N{MINUS SIGN}"

_HOUR, _MINUTE = 3600, 60
_MOST_DIGITS = 7
_FEW = 100_000
"""Above it a number that is not counted is written with an exponent."""


def number(value: float | None, digits: int = 3) -> str:
    """Return what was measured with three digits that count, whole numbers in full.

    >>> number(0.92537), number(0.24), number(227.2), number(138357544), number(0.99971)
    ('0.925', '0.240', '227', '138,357,544', '0.9997')
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if value == int(value) and (abs(value) < _FEW or isinstance(value, int)):
        return _signed(f"{int(value):,}")
    if abs(value) >= 10 ** (digits - 1):
        text = f"{value:,.0f}" if abs(value) < _FEW else f"{value:.{digits}g}"
        return _signed(text.replace("e+0", "e").replace("e+", "e"))
    text = f"{value:#.{digits}g}"
    if abs(float(text)) == 1 and digits < _MOST_DIGITS:
        return number(value, digits + 1)
    return _signed(text.replace("e-0", "e-"))


def whole(value: float | None) -> str:
    """Return a count that was measured, such as updates between two points, to the nearest one.

    >>> whole(227.2), whole(99.9), whole(float("inf"))
    ('227', '100', '\N{EN DASH}')
    """
    return number(round(value)) if value is not None and math.isfinite(value) else UNKNOWN


def setting(value: object) -> str:
    """Return a parameter's value as a short text: `0.001`, `32`, `full`, `relu`, `none`.

    >>> setting(10.0), setting(1e-05), setting(None), setting([1, 2])
    ('10', '1e-05', 'none', '[1, 2]')
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(value) if isinstance(value, int) else f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def seconds(value: float | None) -> str:
    """Return a time with the unit that suits it.

    >>> seconds(0.00131), seconds(2.5), seconds(123.4), seconds(7300)
    ('1.31 ms', '2.50 s', '2 min 3 s', '2 h 2 min')
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if value >= _HOUR:
        hours, rest = divmod(round(value / _MINUTE), 60)
        return f"{hours} h {rest} min"
    if round(value) >= 2 * _MINUTE:
        minutes, rest = divmod(round(value), _MINUTE)
        return f"{minutes} min {rest} s"
    for scale, unit in ((1.0, "s"), (1e3, "ms")):
        if value * scale >= 1:
            return f"{number(value * scale)} {unit}"
    return f"{number(value * 1e6)} \N{MICRO SIGN}s"


def size(count: int) -> str:
    """Return a number of bytes with the unit that suits it, in powers of a thousand.

    >>> size(16), size(246824)
    ('16 B', '247 kB')
    """
    text = compact(count)
    return f"{text}B" if " " in text else f"{text} B"


def compact(value: float) -> str:
    """Return a large count in a few letters, for axes and labels.

    >>> compact(61706), compact(138357544), compact(12)
    ('61.7 k', '138 M', '12')
    """
    for scale, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= scale:
            return f"{value / scale:.3g}{unit}"
    return number(value)


def test_name(case: str) -> str:
    """Return a test's name with its parameters, from its id: without file and class.

    >>> test_name("a/test_b.py::TestC::test_d[e::f/g]")
    'test_d[e::f/g]'
    """
    inner, bracket, parameters = case.partition("::")[2].partition("[")
    return inner.rpartition("::")[2] + bracket + parameters or case


def counted(count: int, noun: str) -> str:
    """Return a count with its noun in the right number.

    >>> counted(1, "seed"), counted(5, "seed"), counted(2, "analysis"), counted(3, "layers")
    ('1 seed', '5 seeds', '2 analyses', '3 layers')
    """
    if count == 1:
        return f"1 {noun}"
    plural = noun[:-2] + "es" if noun.endswith("is") else noun.removesuffix("s") + "s"
    return f"{count:,} {plural}"


def listed(items: Iterable[str]) -> str:
    """Return items as a list in a sentence.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    *first, last = items
    return f"{', '.join(first)} and {last}" if first else last


def humanized(name: str) -> str:
    """Return a name of code as words: a test's, a metric's or a parameter's.

    >>> humanized("val_accuracy"), humanized("loss"), humanized("test_best_rate")
    ('validation accuracy', 'training loss', 'best rate')
    """
    if name in {"loss", "accuracy"}:
        return f"training {name}"
    words = name.removeprefix("test_").replace("_", " ").strip()
    if name.startswith("val_"):
        words = f"validation {words.removeprefix('val ')}"
    return words or name


def gate_title(gate: str) -> str:
    """Return a gate in words.

    >>> gate_title("val_loss"), gate_title("training_loss")
    ('final validation loss', 'training loss over the run')
    """
    return f"final {humanized(gate)}" if gate.startswith("val_") else name_of(gate)


def sentence(text: str) -> str:
    """Return a text that begins with a capital and ends with a full stop."""
    text = text.strip()
    return text if not text else text[0].upper() + text[1:] + ("" if text[-1] in ".!?…" else ".")


def tied(text: str) -> str:
    """Return a text whose ranges do not break at the end of a line, nor part from their name."""
    text = text.replace("(IQR ", "(IQR\N{NO-BREAK SPACE}")
    return re.sub(rf"(?<=\d){TO}(?=\d)", f"{TO}\N{WORD JOINER}", text)


def shortened(text: str, length: int = 28) -> str:
    """Return a text of at most `length` characters in one line, its middle left out if need be."""
    text = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    if len(text) <= length:
        return text
    head = (length - 1) * 2 // 3
    return f"{text[:head]}…{text[len(text) - (length - 1 - head) :]}"


def common(values: Sequence[str]) -> str:
    """Return the one text that all share, or all of them as a list."""
    different = list(dict.fromkeys(values))
    return listed(different) if different else UNKNOWN


def _signed(text: str) -> str:
    return text.replace("-", MINUS, 1) if text.startswith("-") else text
