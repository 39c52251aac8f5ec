"""Fields that differ, in words: each once, and digests only where nothing readable tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dlbench.gate.changes import LONGEST, changes, flat, shown

if TYPE_CHECKING:
    from dlbench.plain import Plain

SGD: dict[str, Plain] = {"class": "SGD", "learning_rate": 0.1, "momentum": 0.9}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ({"optimizer": SGD}, {"optimizer": SGD | {"momentum": 0.6}}, ["optimizer.momentum 0.9 -> 0.6"]),
        ({"id": "1", "steps": 1437}, {"id": "2", "steps": 1293}, ["steps 1,437 -> 1,293"]),
        ({"data": {"train": 9, "digest": "a"}}, {"data": {"train": 9, "digest": "b"}}, ["data changed"]),
        ({"data": {"train": 9, "digest": "a"}}, {"data": {"train": 8, "digest": "b"}}, ["data.train 9 -> 8"]),
        ({"model": {"architecture": "a"}}, {"model": {"architecture": "b"}}, ["model changed"]),
        ({"points": [0, 1], "steps": 1}, {"points": [0, 2], "steps": 2}, ["steps 1 -> 2"]),
        ({"points": [0, 1, 4]}, {"points": [0, 2, 4]}, ["points changed"]),
        ({"x": [1, 2]}, {"x": (1, 2)}, []),
        ({"target": None}, {}, []),
        ({"target": None}, {"target": {"metric": "m", "value": 0.5}},
         ["target.metric none -> m", "target.value none -> 0.5"]),
        ({"optimizer": SGD}, {"optimizer": {"class": "Adam", "learning_rate": 0.01, "beta_1": 0.9}},
         ["optimizer.class SGD -> Adam", "optimizer.learning_rate 0.1 -> 0.01"]),
        ({"loss": {"class": "MeanSquaredError", "reduction": "sum"}}, {"loss": {"function": "mse"}},
         ["loss.class MeanSquaredError -> none", "loss.function none -> mse"]),
        ({"a": {"b": 0.12345678}}, {"a": {"b": 0.12345679}}, ["a.b changed"]),
        ({"flag": True}, {"flag": False}, ["flag True -> False"]),
        ({}, {}, []),
        (SGD, SGD, []),
    ],
)  # fmt: skip
def test_changes(old: dict[str, Plain], new: dict[str, Plain], words: list[str]) -> None:
    """A dotted name with old and new; no id; a digest speaks only where nothing else does."""
    assert changes(old, new) == tuple(words)


def test_every_difference_is_named_one_way_or_the_other() -> None:
    """Only an id can change without a word: another class is never hidden by its own options."""
    old: dict[str, Plain] = {"loss": {"class": "A", "x": 1}, "id": "1"}
    others: tuple[dict[str, Plain], ...] = (
        {"class": "B", "x": 1}, {"class": "A", "x": 2}, {"function": "f"}, {}, {"y": 1},
    )  # fmt: skip
    for new in others:
        assert changes(old, {"loss": new, "id": "1"})
    assert changes(old, old | {"id": "2"}) == ()


def test_values_as_people_read_them() -> None:
    """Whole numbers in groups, floats in six digits, long texts cut."""
    assert [shown(value) for value in (4522, 0.1, 1e-7, None, True)] == [
        "4,522", "0.1", "1e-07", "none", "True",
    ]  # fmt: skip
    assert len(shown("x" * 1000)) == LONGEST
    assert shown("x" * 1000).endswith("…")


def test_flat() -> None:
    """Tables within tables get dotted names, lists stay whole."""
    assert flat({"a": {"b": {"c": 1}, "d": [1, {"e": 2}]}, "f": {}}) == {
        "a.b.c": 1,
        "a.d": [1, {"e": 2}],
    }
