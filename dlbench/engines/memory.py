"""How much is computed at once: the runs and samples that fit into memory, and the threads for it."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHARE = 0.2
"""The share of the device's memory that a step of all runs may take."""
EVALUATION_BYTES = 2**28
"""What one chunk of an evaluation may take: 256 MiB."""


FALLBACK = 2**33
"""The memory that is assumed where the system does not tell: 8 GiB."""
SHARED_FROM = 2**28
"""Bytes computed in a step from which on threads share it: 256 MiB, some tens of milliseconds."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How much may be computed at a time."""

    runs: int
    """Runs in one program."""
    step_bytes: int
    """What one update of one run computes."""
    sample_bytes: int
    """What the evaluation of one sample by one run takes."""

    def samples(self, runs: int) -> int:
        """Return how many samples are evaluated at a time."""
        return max(1, EVALUATION_BYTES // (self.sample_bytes * runs))


class _Bytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the bytes of everything that is computed: no less than what lives at once."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Any = (),
        kwargs: Any = None,
    ) -> Any:
        """Run the operation and count what it returns."""
        result = func(*args, **(kwargs or {}))
        self.total += sum(
            leaf.numel() * leaf.element_size()
            for leaf in tree_leaves(result)
            if isinstance(leaf, torch.Tensor)
        )
        return result


def measured_budget(step: Callable[[], object], evaluate: Callable[[], object]) -> Budget:
    """Return what fits, from what one run takes.

    Args:
        step: one update of one run.
        evaluate: the evaluation of one sample by one run.
    """
    with _Bytes() as stepping:
        step()
    with _Bytes() as evaluating:
        evaluate()
    runs = int(SHARE * memory() / max(1, stepping.total))
    # A power of two: chunks of one size share one traced step.
    return Budget(
        runs=2 ** max(0, runs.bit_length() - 1),
        step_bytes=stepping.total,
        sample_bytes=max(1, evaluating.total),
    )


@contextlib.contextmanager
def threads_for(work: int) -> Iterator[None]:
    """Inside the block PyTorch computes on one thread, unless a step is large enough to be shared.

    Threads that share small operations wait for each other at each of them; where another process
    has one of the cores, that took up to 30 times as long as one thread (measured on 2 cores).

    Args:
        work: bytes that one step of all runs computes.
    """
    before = torch.get_num_threads()
    if work < SHARED_FROM:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def memory() -> int:
    """Return the bytes of memory of the device that Keras computes on."""
    import keras

    device = keras.ops.convert_to_tensor(0).device
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    if not hasattr(os, "sysconf"):  # Windows
        return FALLBACK
    return min(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), _container_limit())


def _container_limit() -> int:
    """Return the memory that the control group allows, where there is one that says so."""
    try:
        text = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        return sys.maxsize
    return int(text) if text.isdecimal() else sys.maxsize


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, on a CPU or on a GPU."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "out of memory" in text or "can't allocate memory" in text
    )
