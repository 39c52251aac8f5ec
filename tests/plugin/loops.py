"""Loops that train in a blink, and what the tests of the gate do with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.conftest import Folder, Ran, Suite

HEAD = '''
"""Loops whose curves a file decides, so that a change can come between two runs."""

from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent


def slower(name="all"):
    """Return by how much a loop's losses are larger than they were."""
    path = HERE / f"{name}.txt"
    return float(path.read_text()) if path.exists() else 1.0


def trained(factor):
    def train(seed):
        noise = np.random.default_rng(seed).normal(scale=0.05, size=12)
        losses = 2.0 * np.exp(-0.3 * np.arange(12) + noise)
        losses[1:] *= factor * (1 + 0.002 * np.random.default_rng(seed + 999).normal())
        if factor == 1.0:
            losses[1:] /= 1 + 0.002 * np.random.default_rng(seed + 999).normal()
        return {"loss": losses, "val_loss": losses * 1.1}
    return train
'''

ONE = """
def test_loop(convergence):
    convergence.record(trained(slower()))
"""

TWO = """
@pytest.mark.parametrize("name", ["a", "b"])
def test_loop(convergence, name):
    convergence.record(trained(slower(name)))
"""


def accepted(suite: Suite, tests: str = ONE) -> Ran:
    """Write a test file and accept what it does."""
    suite.write(tests, head=HEAD)
    ran = suite.run("--dlbench-accept")
    assert ran.result.ret == 0, ran.output
    return ran


def change(suite: Folder, factor: float, name: str = "all") -> None:
    """Make the losses of a loop larger."""
    suite.path.joinpath(f"{name}.txt").write_text(str(factor))


def words(ran: Ran) -> str:
    """Return what was written, however its lines were wrapped."""
    return " ".join(ran.output.split())


def degree(record: dict[str, Any]) -> str:
    """Return the degree of the verdict on a record."""
    return str(record["gate"]["verdict"]["degree"])
