"""Numbers and values as text."""

from __future__ import annotations

import doctest
import math

import pytest

from dlbench.report import formatting


def test_examples_in_the_docstrings_hold() -> None:
    """Every example in the module's docstrings gives what it says."""
    found = doctest.testmod(formatting)
    assert found.attempted >= 9
    assert found.failed == 0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "–"),
        (0.0, "0"),
        (-0.5, "−0.500"),  # noqa: RUF001 - a minus sign
        (0.9999, "0.9999"),
        (1.0, "1"),
        (12345.6, "12,346"),
        (1.5e7, "1.5e7"),
        (15_000_000, "15,000,000"),
        (1.234e-6, "1.23e-6"),
    ],
)
def test_number(value: float | None, text: str) -> None:
    """A number keeps three digits that count, and one that is not known is a dash."""
    assert formatting.number(value) == text


@pytest.mark.parametrize("value", [0.99951, 0.999996, 1.0004])
def test_number_is_one_only_where_it_is(value: float) -> None:
    """An accuracy of almost 1 is not written as 1."""
    assert float(formatting.number(value)) != 1


@pytest.mark.parametrize("value", [0.1, 10.0, 1e-4, 3e-7, 100, "full", "relu", True])
def test_setting_tells_values_apart(value: object) -> None:
    """A parameter's text is the value again when read as Python reads it."""
    text = formatting.setting(value)
    assert text == str(value).lower() or float(text) == value


def test_shortened_keeps_both_ends() -> None:
    """A long name keeps its beginning and end, within the length."""
    text = formatting.shortened("a" * 30 + "z" * 30, 20)
    assert len(text) == 20
    assert (text[0], text[-1]) == ("a", "z")


@pytest.mark.parametrize("text", ["", "done", "Done.", "really?"])
def test_sentence_ends_once(text: str) -> None:
    """A sentence has one mark at its end, and none where it is empty."""
    assert formatting.sentence(text).rstrip(".?") == text.rstrip(".?").capitalize()


def test_ranges_stay_in_one_line() -> None:
    """A range breaks neither at its dash nor after its name."""
    text = formatting.tied(f"after 35 updates (IQR 27{formatting.TO}44)")
    assert text.split(" ") == ["after", "35", "updates", text.rsplit(" ", 1)[1]]
    assert f"27{formatting.TO}\N{WORD JOINER}44" in text
