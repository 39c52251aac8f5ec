"""What differs between two experiments or environments, in words: `optimizer.momentum 0.9 -> 0.6`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dlbench.plain import to_plain

if TYPE_CHECKING:
    from dlbench.plain import Plain

LONGEST = 60
"""Characters shown of a value."""

_UNREAD = {"data.digest": "data changed", "model.architecture": "model changed"}
"""Digests, and what is said where nothing readable beside them tells the change."""


def changes(old: Mapping[str, Plain], new: Mapping[str, Plain]) -> tuple[str, ...]:
    """Return the fields that differ, each as its dotted name with old -> new.

    The id is left out, as are a digest where a readable field beside it differs, the points where
    the steps differ, and, where a class changed, the options that only one of the classes has.
    """
    before, after = flat(old), flat(new)
    names = [
        name for name in {**before, **after} if name != "id" and before.get(name) != after.get(name)
    ]
    replaced = _replaced(before, after)
    words = []
    for name in names:
        group = name.rpartition(".")[0]
        if name in _UNREAD:
            if all(other == name or not other.startswith(f"{group}.") for other in names):
                words.append(_UNREAD[name])
        elif name == "points":
            if "steps" not in names:
                words.append("points changed")
        elif (
            (name in before and name in after) or _says_what(name) or not name.startswith(replaced)
        ):
            old_text, new_text = (shown(side.get(name)) for side in (before, after))
            told = f"{old_text} -> {new_text}" if old_text != new_text else "changed"
            words.append(f"{name} {told}")
    return tuple(words)


def _replaced(before: Mapping[str, Plain], after: Mapping[str, Plain]) -> tuple[str, ...]:
    """Return the groups, as `optimizer.`, that another class or function stands in for."""
    kinds = [
        {
            name.rpartition(".")[0] + ".": (name, value)
            for name, value in side.items()
            if _says_what(name)
        }
        for side in (before, after)
    ]
    return tuple(group for group, kind in kinds[0].items() if kinds[1].get(group, kind) != kind)


def _says_what(name: str) -> bool:
    return name.endswith((".class", ".function"))


def flat(fields: Mapping[str, Plain], prefix: str = "") -> dict[str, Plain]:
    """Return nested fields under dotted names; lists stay whole, an empty table is no field."""
    result: dict[str, Plain] = {}
    for name, value in fields.items():
        if isinstance(value, Mapping):
            result |= flat(value, f"{prefix}{name}.")
        else:
            result[prefix + name] = to_plain(value)  # a tuple and a list are the same
    return result


def shown(value: Plain) -> str:
    """Return a value as people read it, cut at `LONGEST`."""
    if value is None:
        return "none"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
