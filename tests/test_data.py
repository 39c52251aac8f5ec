"""Data are checked once: what cannot be trained on is refused, what can is kept as it is."""

from __future__ import annotations

import dataclasses
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_matrix

from dlbench.data import Data, Samples
from dlbench.errors import ExperimentError

if TYPE_CHECKING:
    from collections.abc import Callable

X = np.arange(12, dtype=np.float32).reshape(4, 3)
Y = np.array([0, 1, 1, 0])


def refused(data: object) -> str:
    """Return the message with which the data are refused."""
    with pytest.raises(ExperimentError) as info:
        Data.of(data)
    return str(info.value)


# ---- what may be handed over


@pytest.mark.parametrize(
    "data",
    [
        ((X, Y), (X, Y)), [[X, Y], [X, Y]], ([X, Y], (X, Y)),
        ((X.tolist(), Y.tolist()), (X.tolist(), Y.tolist())),
        ((torch.tensor(X, requires_grad=True), torch.tensor(Y)), (torch.tensor(X), Y)),
        ((pd.DataFrame(X), pd.Series(Y)), (pd.DataFrame(X), pd.Series(Y))),
        ((np.asfortranarray(X), Y), (X[:, ::-1][:, ::-1], Y)),
    ],
    ids=["tuples", "lists", "mixed", "numbers", "tensors", "pandas", "layouts"],
)  # fmt: skip
def test_training_and_validation(data: Any) -> None:
    """Arrays, tensors, frames and plain lists of numbers give the same samples."""
    found = Data.of(data)
    assert found.validation is not None
    for samples in (found.train, found.validation):
        assert len(samples) == 4
        assert np.array_equal(np.array(samples.x), X)
        assert np.array_equal(samples.y, Y)
        assert samples.weight is None


@pytest.mark.parametrize(
    "data",
    [(X, Y), [X, Y], (X.tolist(), Y.tolist()), (pd.DataFrame(X), pd.Series(Y)), ((X, Y), None)],
    ids=["arrays", "list", "numbers", "pandas", "none"],
)
def test_training_alone(data: object) -> None:
    """Without a validation set there is none."""
    found = Data.of(data)
    assert found.validation is None
    assert np.array_equal(np.array(found.train.x), X)


def test_plain_lists_are_samples_even_if_they_look_like_two_sets() -> None:
    """Two lists of two are an x of two samples and a y of two, not two sets of one x and one y."""
    found = Data.of(([[1, 2], [3, 4]], [[5], [6]]))
    assert found.validation is None
    assert np.array(found.train.x).tolist() == [[1, 2], [3, 4]]
    assert found.train.y.tolist() == [[5], [6]]


def test_data_are_returned_as_they_are() -> None:
    """What was checked is not checked again."""
    data = Data.of((X, Y))
    assert Data.of(data) is data


def test_dict_inputs_keep_their_names() -> None:
    """A model with several inputs gets an array for each name."""
    found = Data.of((({"a": X, "b": X[:, 0]}, Y), ({"a": X, "b": X[:, 0]}, Y)))
    assert isinstance(found.train.x, dict)
    assert list(found.train.x) == ["a", "b"]
    assert found.to_builtins()["x"] == {"a": [3], "b": []}


def test_weights_ride_along() -> None:
    """A third array weighs the samples, in either set."""
    found = Data.of(((X, Y, [1, 0, 2, 0.5]), (X, Y)))
    assert found.train.weight is not None
    assert found.train.weight.tolist() == [1, 0, 2, 0.5]
    assert found.to_builtins()["weighted"] is True


# ---- how arrays are kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("f2", "f4"), ("f4", "f4"), ("f8", "f8"), (">f4", "f4"), (">f8", "f8"),
        (np.longdouble, "f4"), ("u1", "u1"), ("i4", "i4"), (">i4", "i4"), ("i8", "i8"),
        ("u8", "i8"), ("?", "?"),
    ],
)  # fmt: skip
def test_types(given: str, kept: str) -> None:
    """Each number type becomes one that PyTorch computes with; float64 stays for exact work."""
    x = Data.of((X.astype(given), Y)).train.x
    assert isinstance(x, np.ndarray)
    if np.dtype(given) == np.longdouble == np.float64:
        kept = "f8"  # where the machine has no longer one
    assert x.dtype == np.dtype(kept)
    assert x.dtype.isnative
    assert np.array_equal(x, X.astype("?") if kept == "?" else X)
    torch.as_tensor(np.array(x))


def test_arrays_are_copies_that_cannot_be_written() -> None:
    """The caller may go on writing into theirs; nobody may write into ours."""
    x, y = X.copy(), Y.copy()
    data = Data.of((x, y))
    x[0, 0], y[0] = 99, 1
    assert isinstance(data.train.x, np.ndarray)
    assert data.train.x[0, 0] == 0
    assert data.train.y[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        data.train.x[0, 0] = 1


def test_rows_lie_one_after_the_other() -> None:
    """Columns stored first would be rounded otherwise by PyTorch, at the same digest."""
    for x in (np.asfortranarray(X), X[::-1], X[:, ::2]):
        kept = Data.of((x, Y)).train.x
        assert isinstance(kept, np.ndarray)
        assert kept.flags.c_contiguous


def test_take_keeps_samples_together() -> None:
    """Rows are taken of inputs, labels and weights alike, in the order asked for."""
    samples = Data.of((({"a": X, "b": X[:, 0]}, Y, [1, 2, 3, 4]), None)).train
    few = samples.take(np.array([2, 0]))
    assert isinstance(few.x, dict)
    assert few.x["a"].tolist() == X[[2, 0]].tolist()
    assert few.x["b"].tolist() == [6, 0]
    assert few.y.tolist() == [1, 0]
    assert few.weight is not None
    assert few.weight.tolist() == [3, 1]
    assert len(samples.take(slice(1, 3))) == 2


def test_arrays_are_named_for_messages() -> None:
    """Each array has the name that a message calls it by."""
    samples = Samples({"a": X}, Y, Y)
    assert list(samples.arrays()) == ["x['a']", "y", "sample_weight"]
    assert list(Samples(X, Y).arrays()) == ["x", "y"]


def test_frozen_and_picklable() -> None:
    """Data cannot be changed, and cross to another process as they are."""
    data = Data.of(((X, Y), (X, Y)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.digest = ""  # type: ignore[misc]
    again = pickle.loads(pickle.dumps(data))  # noqa: S301 - our own bytes
    assert again.digest == data.digest
    assert np.array_equal(np.array(again.train.x), np.array(data.train.x))


# ---- the digest


def test_digest_depends_on_every_part() -> None:
    """Another value, order, type, shape, name, set or weight gives another digest."""
    other = X.copy()
    other[3, 2] += 1
    variants: list[Any] = [
        (X, Y), (other, Y), (X, 1 - Y), (X[::-1], Y[::-1]), (X.astype("f8"), Y),
        (X.astype("i4"), Y), (X.reshape(4, 1, 3), Y), (X[:3], Y[:3]), ({"x": X}, Y), ({"a": X}, Y),
        (X, Y, np.ones(4)), ((X, Y), (X, Y)), ((X, Y), (other, Y)),
    ]  # fmt: skip
    assert len({Data.of(data).digest for data in variants}) == len(variants)


@pytest.mark.parametrize(
    "same",
    [
        (X.tolist(), Y), (torch.tensor(X), torch.tensor(Y)), (np.asfortranarray(X), Y),
        (X.astype(">f4"), Y.astype(">i8")), (X.astype("f2"), Y),
    ],
    ids=["list", "tensor", "columns", "foreign", "half"],
)  # fmt: skip
def test_digest_does_not_depend_on_the_container(same: Any) -> None:
    """The same numbers in the same type have one digest, whatever held them."""
    x, y = same
    if isinstance(x, list):
        x = np.array(x, np.float32).tolist()
        assert Data.of((x, y)).digest == Data.of((X.astype("f8"), Y)).digest
    else:
        assert Data.of((x, y)).digest == Data.of((X, Y)).digest


def test_builtins() -> None:
    """A record keeps sizes, shapes and the digest."""
    data = Data.of(((X, Y), (X[:2], Y[:2])))
    assert data.to_builtins() == {
        "train": 4, "validation": 2, "x": [3], "y": [], "weighted": False, "digest": data.digest,
    }  # fmt: skip
    assert len(data.digest) == 16


# ---- what is refused


@pytest.mark.parametrize(
    ("data", "got"),
    [
        (iter([]), "generator|list_iterator"), (None, "NoneType"), ((), "tuple"), (X, "ndarray"),
        ({"x": X}, "dict"),
        (torch.utils.data.DataLoader([1]), "DataLoader"),  # type: ignore[arg-type]
        ((torch.utils.data.DataLoader([1]), None), "DataLoader"),  # type: ignore[arg-type]
        (((X, Y), torch.utils.data.DataLoader([1])), "DataLoader"),  # type: ignore[arg-type]
        ((iter([]), iter([])), "list_iterator"),
        ((csr_matrix(X), Y), "csr_matrix"),
        (([[1, 2], [3]], [0, 1]), "inhomogeneous"),
        (([torch.ones(3, requires_grad=True)] * 4, Y), "requires grad"),
        ((X, Y.astype(str)), "<U"), ((X.astype(complex), Y), "complex"), ((X, None), "NoneType"),
        ((1, 2), "int"),
        ((np.array(["2020-01-01"] * 4, "M8[D]"), Y), "datetime64"),
        (({"a": {"b": X}}, Y), "dict"),
    ],
)  # fmt: skip
def test_what_is_no_array_is_refused_with_what_to_hand_over(data: object, got: str) -> None:
    """The sentence says what was got and what to hand over instead."""
    with pytest.raises(ExperimentError, match=got) as info:
        Data.of(data)
    assert "draw a generator, Dataset or DataLoader once into arrays" in str(info.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39])
@pytest.mark.parametrize("part", ["x", "y", "sample_weight"])
def test_values_that_are_not_finite(bad: float, part: str) -> None:
    """NaN, infinities, and what becomes one in float32, are counted and refused anywhere."""
    arrays = {"x": X.astype(float), "y": Y.astype(float), "sample_weight": np.ones(4)}
    arrays[part].flat[1] = bad
    message = refused(tuple(arrays.values()))
    assert message.startswith(f"train {part} holds 1 values of {arrays[part].size} that are NaN")


def test_validation_is_checked_too() -> None:
    """A message says which set it is about."""
    assert refused(((X, Y), (X * np.nan, Y))).startswith("validation x holds 12 values")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((X, Y[:3]), "train x has 4 samples and y has 3"),
        (({"a": X, "b": X[:2]}, Y), r"train x\['b'\] has 2 samples and y has 4"),
        ((X, Y, [1, 2]), "train sample_weight has 2 samples and y has 4"),
        (([X, X], Y), "several inputs are a dict of arrays"),
        ((X[:0], Y[:0]), "train data is empty"),
        (((X, Y), (X[:0], Y[:0])), "validation data is empty"),
        (({}, Y), "empty dict"),
        (((X, Y),) * 3, "got 3 parts: a test set is not used"),
        (((X,), (X, Y)), r"must be \(x, y\) or \(x, y, sample_weight\), got 1 parts"),
        ((X, Y, Y, Y), "got 4 parts"),
        (((X, Y), (X[:, :2], Y)), r"train x has samples of shape \(3,\) and validation x of shape"),
        (((X, Y), (X, Y[:, None])), "both must be the same"),
        ((({"a": X}, Y), ({"b": X}, Y)), "other inputs"),
        ((({"a": X}, Y), (X, Y)), "other inputs"),
        ((X, Y, [1, -1, 1, 1]), "sample_weight must be at least 0"),
        ((X, Y, [0, 0, 0, 0]), "above 0 for some sample"),
    ],
)
def test_parts_that_do_not_fit(data: object, message: str) -> None:
    """Lengths, shapes, names and weights that do not fit are refused by name."""
    with pytest.raises(ExperimentError, match=message):
        Data.of(data)


FINITE = st.floats(-1e6, 1e6, width=32)


@given(
    x=arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 3)), elements=FINITE),
    rows=st.data(),
)
def test_any_finite_array_is_kept_and_taken(x: np.ndarray, rows: Any) -> None:
    """Whatever is finite is kept to the bit, and any rows can be taken of it."""
    data = Data.of((x, np.arange(len(x))))
    assert np.array_equal(np.array(data.train.x), x)
    picks = rows.draw(arrays(np.intp, st.integers(0, 6), elements=st.integers(0, len(x) - 1)))
    assert data.train.take(picks).y.tolist() == picks.tolist()


@pytest.mark.parametrize("make", [lambda: X, lambda: torch.tensor(X)])
def test_the_callers_object_is_left_alone(make: Callable[[], Any]) -> None:
    """Neither its type nor whether it can be written changes."""
    x = make()
    before = x.dtype
    Data.of((x, Y))
    x[0, 0] = x[0, 0]
    assert x.dtype == before
