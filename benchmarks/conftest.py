"""What the suite needs from pytest: one thread, and `internals/` only when it is named."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

# Before anything imports PyTorch. The suite's networks are small: threads that share their operations
# wait for each other most of the time, and its timings would depend on what else the machine does.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Pass over dlbench's own studies, unless the command line names them."""
    if collection_path.name == "internals" and "internals" not in " ".join(config.args):
        return True
    return None
