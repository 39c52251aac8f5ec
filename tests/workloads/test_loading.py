"""A workload of the user's own is found by `FILE.py:NAME`; anything else is refused in words."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from dlbench.errors import ExperimentError, NotFoundError
from dlbench.experiment import Workload
from dlbench.workloads import load_workload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEXT = """
import functools
import keras
import numpy as np
from dlbench.experiment import Workload

def build():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])

def make(size=4):
    x = np.ones((size, 2), np.float32)
    return Workload(name=f"mine of {size}", model=build, data=(x, x[:, :1]), loss="mse")

workload = make()
model = build()
number = 3

def needs(size):
    return make(size)

def nothing():
    return None

def breaks():
    return 1 / 0

maker = functools.partial(needs, 5)
"""


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Path]:
    """A file of the user's own."""
    path = tmp_path / "own_workloads.py"
    path.write_text(TEXT, encoding="utf-8")
    yield path
    sys.modules.pop("own_workloads", None)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("workload", "mine of 4"), ("make", "mine of 4"), ("maker", "mine of 5")],
)
def test_workload_or_a_function_that_returns_one(mine: Path, name: str, expected: str) -> None:
    """NAME is a workload, or a function that returns one, its arguments bound if it has any."""
    found = load_workload(f"{mine}:{name}")
    assert isinstance(found, Workload)
    assert found.name == expected


def test_shipped_one() -> None:
    """The shipped workloads are named by their package."""
    assert load_workload("dlbench.workloads:xor").name == "xor"
    assert load_workload("dlbench.workloads.synthetic:moons").name == "moons"


@pytest.mark.parametrize(
    ("name", "got"),
    [
        ("number", "3"),
        ("model", "Sequential"),
        ("build", "a function that returned Sequential"),
        ("nothing", "a function that returned NoneType"),
        ("needs", "function needs"),
        ("Workload", "Workload"),
    ],
)
def test_anything_else_is_refused(mine: Path, name: str, got: str) -> None:
    """The error says what was found, what is expected and how a model is wrapped."""
    with pytest.raises(ExperimentError, match=got) as info:
        load_workload(f"{mine}:{name}")
    assert "a function without arguments that returns one" in str(info.value)
    assert "Workload(name=" in str(info.value)


def test_errors_of_the_function_itself_are_shown(mine: Path) -> None:
    """What goes wrong in the user's function is not dressed up."""
    with pytest.raises(ZeroDivisionError):
        load_workload(f"{mine}:breaks")


def test_nothing_there(mine: Path) -> None:
    """A wrong name is answered with those that resemble it, shipped ones included."""
    with pytest.raises(NotFoundError, match="did you mean workload"):
        load_workload(f"{mine}:worklod")
    with pytest.raises(NotFoundError, match="did you mean digits_mlp"):
        load_workload("dlbench.workloads:digit_mlp")
