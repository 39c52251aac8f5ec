"""Texts from files are shown, and do nothing."""

from __future__ import annotations

from dlbench.cli.words import in_markdown, shown


def test_a_terminals_escapes_are_letters() -> None:
    """Control characters, direction marks and half surrogates stand in escapes; letters as they are."""
    assert shown("a\x1b[31mü\x07\u202e\udc80\n") == "a\\x1b[31mü\\x07\\u202e\\udc80\\n"
    assert shown("a\n\tb", lines=True) == "a\n\\tb"


def test_markdown_is_plain_text() -> None:
    """A cell can neither end itself nor hold HTML, links or emphasis."""
    assert in_markdown("a|b<i>*c*`d`[e](f)") == "a\\|b\\<i\\>\\*c\\*\\`d\\`\\[e\\](f)"
    assert in_markdown("a\nb") == "a\\\\nb"
