"""Texts from files as a terminal and a table can show them: names are data, never commands."""

from __future__ import annotations


def shown(text: object, *, lines: bool = False) -> str:
    r"""Return a text whose unprintable characters stand in escapes: `\\x1b` for a terminal's own.

    Args:
        text: from a file, or a path.
        lines: whether line ends may stay.
    """
    told = str(text)
    if told.isprintable():
        return told
    return "".join(
        sign if sign.isprintable() or (lines and sign == "\n") else ascii(sign)[1:-1]
        for sign in told
    )


def in_markdown(text: object) -> str:
    """Return a text as a cell of a table in GitHub's Markdown, where it is no markup and no HTML."""
    plain = shown(text)
    return "".join(f"\\{sign}" if sign in r"\`*_[]<>|~$#!" else sign for sign in plain)
