"""Runs and samples are taken in portions that fit into memory."""

from __future__ import annotations

import pytest
import torch

from dlbench.engines import memory
from dlbench.engines.memory import (
    SHARED_FROM,
    Budget,
    is_out_of_memory,
    measured_budget,
    threads_for,
)


def test_counts_what_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that makes 1 MiB lets a fifth of 64 MiB hold 8 runs: a power of two at most 12.8."""
    monkeypatch.setattr(memory, "memory", lambda: 64 * 2**20)

    def step() -> object:
        return torch.zeros(2**18) + 0  # two tensors of 1 MiB

    def evaluate() -> object:
        return torch.zeros(256)

    assert measured_budget(step, evaluate) == Budget(runs=4, step_bytes=2**21, sample_bytes=1024)


def test_one_run_is_always_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where not even one run fits by the estimate, one is tried all the same."""
    monkeypatch.setattr(memory, "memory", lambda: 1)
    assert measured_budget(lambda: torch.zeros(99), lambda: torch.zeros(1)).runs == 1


def test_evaluates_in_portions() -> None:
    """The samples of all runs together stay within 256 MiB, and at least one is taken."""
    assert Budget(runs=1, step_bytes=1, sample_bytes=2**20).samples(16) == 16
    assert Budget(runs=1, step_bytes=1, sample_bytes=2**40).samples(16) == 1


def test_memory_is_the_machines() -> None:
    """The device's memory is read, in bytes: between 256 MiB and 64 TiB on any machine."""
    assert 2**28 < memory.memory() < 2**46


@pytest.mark.parametrize(
    ("error", "out"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried …"), True),
        (RuntimeError("shapes do not fit"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_knows_when_memory_ran_out(error: Exception, out: bool) -> None:
    """PyTorch's words for it are told from other errors."""
    assert is_out_of_memory(error) is out


def test_small_steps_are_not_shared() -> None:
    """A small step runs on one thread, a large one on those there are; after it all is as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with threads_for(SHARED_FROM):
            assert torch.get_num_threads() == 2
        with threads_for(SHARED_FROM - 1):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
