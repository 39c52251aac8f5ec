"""Only builtins and strict JSON cross the border."""

from __future__ import annotations

import enum
import json
import math
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbench.plain import digest, dumps, to_plain


class Color(enum.StrEnum):
    """An enumeration whose members are strings."""

    RED = "red"


class Size(enum.IntEnum):
    """An enumeration whose members are integers."""

    BIG = 9


def assert_builtins(value: object) -> None:
    """Every part of `value` is of a builtin type exactly, as execnet and strict JSON ask for."""
    assert type(value) in {type(None), bool, int, float, str, list, dict}
    if isinstance(value, float):
        assert math.isfinite(value)
    for part in value if isinstance(value, list) else ():
        assert_builtins(part)
    for key, part in value.items() if isinstance(value, dict) else ():
        assert type(key) is str
        assert_builtins(part)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.floats(width=32).map(np.float32),
    st.integers(-(2**62), 2**62).map(np.int64),
    st.booleans().map(np.bool_),
    st.text().map(np.str_),
    st.just(Color.RED),
    st.just(Size.BIG),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner),
        st.lists(inner).map(tuple),
        st.dictionaries(st.one_of(st.text(), st.text().map(np.str_), st.integers()), inner),
        st.sets(st.integers()),
        st.lists(st.floats()).map(np.array),
    ),
    max_leaves=20,
)


@given(value=VALUES)
def test_only_exact_builtins_come_out(value: object) -> None:
    """NumPy's scalars and strings, enumerations and tuples leave no trace of their types."""
    assert_builtins(to_plain(value))


@given(value=VALUES)
def test_json_is_strict_and_reads_back(value: object) -> None:
    """What is written is JSON without NaN, and is read back as it was; twice changes nothing."""

    def forbidden(word: str) -> None:
        raise AssertionError(word)

    plain = to_plain(value)
    assert json.loads(dumps(value), parse_constant=forbidden) == plain
    assert to_plain(plain) == plain


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([1.0, np.nan, np.inf]), [1.0, None, None]),
        (-math.inf, None),
        (torch.tensor([1.5, math.nan], requires_grad=True), [1.5, None]),
        (torch.tensor(2), 2),
        (pd.Series([1, 2], index=["a", "b"]), [1, 2]),
        (OrderedDict(b=1, a=(2,)), {"b": 1, "a": [2]}),
        ({3, 1, 2}, [1, 2, 3]),
        (range(3), [0, 1, 2]),
        ({1: {None: "x"}}, {"1": {"None": "x"}}),
        (np.bool_(True), True),
        (Color.RED, "red"),
        (Size.BIG, 9),
    ],
)
def test_conversions(value: object, expected: object) -> None:
    """Numbers, arrays, tensors, sets and mappings have the plain form one expects."""
    assert to_plain(value) == expected


@pytest.mark.parametrize(
    "value", [object(), b"bytes", 1j, Path("a"), np.array([1j]), lambda: 0, {"a": [object()]}]
)
def test_what_has_no_plain_form_is_refused(value: object) -> None:
    """Nothing is turned into a text that merely looks like it."""
    with pytest.raises(TypeError, match="no plain form"):
        to_plain(value)


def test_keys_keep_their_order_in_text_and_not_in_digests() -> None:
    """A text follows the order of keys; a digest stands for the content alone."""
    assert dumps({"b": 1, "a": 2}) == '{"b": 1, "a": 2}'
    assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    assert dumps({"ü": "€"}) == '{"ü": "€"}'
    assert dumps([1], indent=1) == "[\n 1\n]"


@given(value=VALUES)
def test_digests_are_16_digits(value: Any) -> None:
    """A digest is 16 hexadecimal digits, whatever is digested."""
    assert len(digest(value)) == 16
    assert set(digest(value)) <= set("0123456789abcdef")


def test_digests_tell_values_apart() -> None:
    """Other values have other digests; a digest stays what it is from version to version."""
    values: list[Any] = [None, 0, 0.5, "0", [], {}, [[]], {"a": 1}, {"a": 2}, {"b": 1}]
    assert len({digest(value) for value in values}) == len(values)
    assert digest({"optimizer": "sgd", "rate": 0.1}) == "a39fc75c7731e57f"
