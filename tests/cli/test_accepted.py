"""Where the baseline lies and its error rate, as pytest itself would read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dlbench.cli.accepted import configured
from dlbench.errors import BaselineError

if TYPE_CHECKING:
    from pathlib import Path

INI = "[{}]\ndlbench_baseline = accepted\ndlbench_false_alarm = 0.02\n"
TOML = '[{}]\ndlbench_baseline = "accepted"\ndlbench_false_alarm = "0.02"\n'


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pytest.ini", INI.format("pytest")), ("tox.ini", INI.format("pytest")),
        ("setup.cfg", INI.format("tool:pytest")), ("pytest.toml", TOML.format("pytest")),
        ("pyproject.toml", TOML.format("tool.pytest.ini_options")),
        ("pyproject.toml", TOML.format("tool.pytest")),
    ],
)  # fmt: skip
def test_pytests_own_files(tmp_path: Path, name: str, text: str) -> None:
    """Each file that pytest reads says where the baseline lies; a folder given here wins."""
    tmp_path.joinpath(name).write_text(text, encoding="utf-8")
    found = configured(tmp_path)
    assert (found.folder, found.false_alarm) == (tmp_path / "accepted", 0.02)
    assert configured(tmp_path, tmp_path).folder == tmp_path


def test_the_first_file_that_configures_pytest_counts(tmp_path: Path) -> None:
    """As pytest has it: pytest.ini even where it is empty, others only with its section."""
    tmp_path.joinpath("setup.cfg").write_text(INI.format("tool:pytest"), encoding="utf-8")
    tmp_path.joinpath("pyproject.toml").write_text("[tool.ruff]\n", encoding="utf-8")
    assert configured(tmp_path).folder == tmp_path / "accepted"
    tmp_path.joinpath("pytest.ini").write_text("", encoding="utf-8")
    assert configured(tmp_path).folder is None


def test_without_a_file(tmp_path: Path) -> None:
    """Baselines lie beside their modules, and one run in 100 may go red without cause."""
    found = configured(tmp_path)
    assert (found.folder, found.false_alarm) == (None, 0.01)
    assert found.baseline().root == tmp_path


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("pytest.ini", "[pytest]\ndlbench_false_alarm = 0.7\n", "between 0 and 0.5, got '0.7'"),
        ("pytest.ini", "[pytest]\ndlbench_false_alarm = x\n", "between 0 and 0.5, got 'x'"),
        ("pytest.ini", "[pytest\n", "pytest.ini: cannot be read"),
        ("pyproject.toml", "[tool", "pyproject.toml: cannot be read"),
    ],
)
def test_what_is_no_configuration(tmp_path: Path, name: str, text: str, words: str) -> None:
    """A sentence that names the file or the key."""
    tmp_path.joinpath(name).write_text(text, encoding="utf-8")
    with pytest.raises(BaselineError, match=words):
        configured(tmp_path)
