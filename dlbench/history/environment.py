"""Where a run was made: the versions, device and settings that can change its numbers."""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from dlbench.backend import on_device

if TYPE_CHECKING:
    from pathlib import Path

    from dlbench.plain import Plain

PACKAGES = ("dlbench", "keras", "torch", "numpy", "pytest", "pytest-benchmark")


def environment(device: str | None = None) -> dict[str, Plain]:
    """Return Python, package versions, device, threads and determinism as builtins.

    A loop of another framework need not have loaded Keras: what only Keras could tell is None then.

    Args:
        device: what was asked for; by default where Keras chooses to compute.
    """
    import torch

    keras = sys.modules.get("keras")
    computed = None
    if keras:
        with on_device(device):  # Keras chooses itself, whatever PyTorch's default is
            computed = str(keras.ops.convert_to_tensor(0).device)
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "backend": keras.backend.backend() if keras else None,
        "device": computed,
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "precision": keras.config.floatx() if keras else None,
        **{name: _version(name) for name in PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def commit(folder: Path) -> dict[str, Plain]:
    """Return the commit that `folder` is at; empty where it is no git checkout.

    Returns:
        `id`, `branch` (None when detached) and `dirty`, as pytest-benchmark names them.
    """

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(  # noqa: S603 - fixed arguments
                ["git", "--no-optional-locks", "-C", str(folder), *arguments],  # noqa: S607 - the user's own git
                capture_output=True,
                text=True,
                errors="replace",
                check=True,
                timeout=10,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    revision = git("rev-parse", "HEAD")
    if revision is None:
        return {}
    branch = git("rev-parse", "--abbrev-ref", "HEAD")
    return {
        "id": revision,
        "branch": None if branch == "HEAD" else branch,
        "dirty": bool(git("status", "--porcelain", "--untracked-files=no")),
    }
