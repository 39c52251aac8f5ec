"""JSON is read fast, and as json reads it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbench.history.parsing import loads_exact, loads_fast

SCALARS = st.none() | st.booleans() | st.floats() | st.text() | st.integers(-(2**63), 2**64 - 1)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@given(VALUES)
def test_the_same_is_read(value: object) -> None:
    """Types and values are json's, to the last bit."""
    text = json.dumps(value).encode()
    assert repr(loads_fast(text)) == repr(loads_exact(text)) == repr(json.loads(text))


@pytest.mark.parametrize("number", [2**64 + 1, -(2**63) - 1])
def test_integers_beyond_64_bits_come_as_floats(number: int) -> None:
    """So orjson reads them; `loads_exact` keeps them."""
    text = str(number).encode()
    assert repr(loads_fast(text)) == repr(float(number))
    assert repr(loads_exact(text)) == repr(number)


@pytest.mark.parametrize("text", ['{"a": NaN}', r'"\ud800"', "[1e400, -Infinity]", "1" * 400])
def test_what_orjson_refuses_json_reads(text: str) -> None:
    """Files that others wrote are read as before."""
    assert repr(loads_fast(text.encode())) == repr(json.loads(text))


@pytest.mark.parametrize("loads", [loads_exact, loads_fast])
@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"{", ValueError),
        (b'"\xff"', ValueError),
        (b'"\xed\xa0\x80"', ValueError),
        ("\ufeff1".encode(), ValueError),
        ("1".encode("utf-16"), ValueError),
        (b"[" * 10**6, RecursionError),
    ],
)
def test_what_is_no_json_is_an_error(loads: object, text: bytes, error: type[Exception]) -> None:
    """Nothing but JSON in UTF-8 is believed."""
    with pytest.raises(error):
        loads(text)  # type: ignore[operator]
