"""What the suite needs from pytest: `internals/` is collected only when it is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Pass over dlbench's own studies, unless the command line names them."""
    if collection_path.name == "internals" and "internals" not in " ".join(config.args):
        return True
    return None
