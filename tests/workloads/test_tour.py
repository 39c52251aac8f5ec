"""The room's front: every name is there, and looking in imports nothing heavy."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest

from dlbench import workloads

SHIPPED = ["digits_mlp", "digits_cnn", "diabetes", "spirals", "moons", "xor"]
FETCHED = ["mnist", "fashion_mnist", "cifar10"]


def test_looking_in_imports_nothing_heavy() -> None:
    """Importing the room, or listing its names, loads no NumPy, Keras or scikit-learn."""
    code = (
        "import sys, dlbench.workloads as room; assert 'xor' in dir(room); "
        "heavy = {'numpy', 'pandas', 'torch', 'keras', 'sklearn', 'scipy'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_name_is_there() -> None:
    """Each name of the room can be got, and is a function with a docstring."""
    assert workloads.__all__ == sorted(workloads.__all__)
    for name in workloads.__all__:
        found = getattr(workloads, name)
        assert inspect.isfunction(found)
        assert found.__name__ == name
        assert inspect.getdoc(found)


def test_unknown_name() -> None:
    """A name that is not there is an AttributeError, as of any module."""
    with pytest.raises(AttributeError, match="no attribute 'imagenet'"):
        workloads.imagenet  # noqa: B018


def test_table_lists_every_workload() -> None:
    """The tour's table has a row for each workload."""
    rows = re.findall(r"^\| `(\w+)`", workloads.__doc__ or "", re.MULTILINE)
    assert rows == SHIPPED + FETCHED
    assert {*rows, "mlp", "cnn", "load_workload"} == set(workloads.__all__)


@pytest.mark.parametrize("name", SHIPPED)
def test_table_tells_the_truth(name: str) -> None:
    """Sizes and target in the table are those of the workload."""
    workload = getattr(workloads, name)()
    row = next(line for line in (workloads.__doc__ or "").splitlines() if f"`{name}`" in line)
    assert workload.target is not None
    metric, value = workload.target
    assert f"| {metric} {value:g} " in row
    if name != "digits_cnn":  # "the same"
        sizes = [workload.data.train, workload.data.validation]
        assert " + ".join(f"{len(part):,}" for part in sizes if part) + " |" in re.sub(
            " +", " ", row
        )


@pytest.mark.parametrize("name", SHIPPED)
def test_workloads_can_be_pickled_and_take_any_activation(name: str) -> None:
    """Each crosses to another process, and varies by its activation."""
    import pickle

    make = getattr(workloads, name)
    workload = pickle.loads(pickle.dumps(make(activation="tanh")))  # noqa: S301 - our own bytes
    assert workload.name == name
    assert workload.data.digest == make().data.digest
