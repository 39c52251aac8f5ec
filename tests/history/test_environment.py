"""The environment says what can change a run's numbers; the commit, where the code stood."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import keras
import pytest
import torch

from dlbench.history import environment as module
from dlbench.history.environment import commit, environment
from dlbench.plain import dumps

if TYPE_CHECKING:
    from pathlib import Path


def git(folder: Path, *arguments: str) -> str:
    """Run git as a person who has set nothing up."""
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", "-C", str(folder), *who, *arguments],  # noqa: S607
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a checkout on the branch `main` with one commit."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "a").write_text("1", encoding="utf-8")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-q", "-m", "one")
    return tmp_path


def test_environment_is_builtins_that_survive_json() -> None:
    """Versions, device, threads and precision, as builtins."""
    found = environment()
    assert json.loads(dumps(found)) == found
    assert found["keras"] == keras.__version__
    assert found["torch"] == torch.__version__
    assert found["backend"] == "torch"
    assert found["threads"] == torch.get_num_threads()
    assert found["precision"] == "float32"
    assert found["pytest"] == pytest.__version__
    assert found["deterministic"] is False


def test_the_device_is_keras_own() -> None:
    """Where models are trained is Keras' choice, not PyTorch's default device."""
    assert environment()["device"] == str(keras.ops.zeros(()).device)
    with keras.device("meta"):
        assert torch.get_default_device().type == "cpu"
        assert environment()["device"] == "meta"
        assert environment("cpu")["device"] == "cpu"


def test_a_package_that_is_missing_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is not installed has no version, and is no error."""
    monkeypatch.setattr(module, "PACKAGES", ("no-such-package",))
    assert environment()["no-such-package"] is None


def test_commit_of_a_checkout(checkout: Path) -> None:
    """The id, the branch, and whether a tracked file was changed since."""
    head = git(checkout, "rev-parse", "HEAD")
    assert commit(checkout) == {"id": head, "branch": "main", "dirty": False}
    (checkout / "untracked").write_text("", encoding="utf-8")
    assert commit(checkout)["dirty"] is False
    (checkout / "a").write_text("2", encoding="utf-8")
    assert commit(checkout)["dirty"] is True
    git(checkout, "checkout", "-q", "--detach")
    assert commit(checkout) == {"id": head, "branch": None, "dirty": True}


def test_a_branch_whose_name_is_no_text(checkout: Path) -> None:
    """A name that is not UTF-8 does not stop a run."""
    git(checkout, "branch", "-m", os.fsdecode(b"caf\xe9"))
    assert str(commit(checkout)["branch"]).startswith("caf")


def test_asking_takes_no_lock(checkout: Path) -> None:
    """The checkout's index is not written to, whoever else works in it."""
    (checkout / "a").write_text("1", encoding="utf-8")  # git would refresh its index
    os.utime(checkout / "a", (0, 0))
    before = (checkout / ".git" / "index").read_bytes()
    assert commit(checkout)["dirty"] is False
    assert (checkout / ".git" / "index").read_bytes() == before


def test_no_checkout_no_commit(
    tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outside a checkout, before the first commit and without git it is empty."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit(tmp_path / "missing") == {}
    empty = tmp_path.parent / f"{tmp_path.name}-empty"
    empty.mkdir()
    assert commit(empty) == {}
    git(empty, "init", "-q")
    assert commit(empty) == {}
    monkeypatch.setenv("PATH", "")
    assert commit(checkout) == {}
