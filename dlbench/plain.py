"""Plain builtins and strict JSON: what records are made of, and the border they cross.

Records travel between processes and into files that other tools read. Only None, bool, int, float,
str, list and dict cross; a number that is not finite becomes None, since JSON has no word for it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TypeAlias

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"


def to_plain(value: object) -> Plain:  # noqa: PLR0911 - a case a kind
    """Return `value` in builtins; arrays, NumPy's scalars, tuples, sets and mappings are converted.

    Raises:
        TypeError: something that has no plain form, rather than a text that merely looks like one.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)  # NumPy's strings and enumerations are str, but no builtins
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [to_plain(item) for item in value]
    if isinstance(value, AbstractSet):
        return sorted((to_plain(item) for item in value), key=repr)
    if hasattr(value, "tolist"):  # NumPy's and PyTorch's scalars and arrays
        return to_plain(value.tolist())
    raise TypeError(f"{type(value).__name__} has no plain form: {value!r}")


def dumps(value: object, *, indent: int | None = None) -> str:
    """Return `value` as strict JSON: no NaN, no Infinity, keys in their order."""
    return json.dumps(to_plain(value), allow_nan=False, ensure_ascii=False, indent=indent)


def digest(value: object) -> str:
    """Return 16 hexadecimal digits that stand for `value`, whatever the order of its keys."""
    text = json.dumps(to_plain(value), allow_nan=False, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
