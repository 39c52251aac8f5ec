"""What the README shows is what is run: its files, its options, its commands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = ["test_iris.py", "test_plain_pytorch.py"]


def test_readme_shows_the_examples() -> None:
    """The README's Python blocks are the files in `examples/`, in order and to the letter."""
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert blocks == [(ROOT / "examples" / name).read_text(encoding="utf-8") for name in EXAMPLES]


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_in_an_empty_folder(tmp_path: Path, name: str) -> None:
    """A file of the README passes alone, with no configuration and no environment variable."""
    shutil.copy(ROOT / "examples" / name, tmp_path)
    environment = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    environment["KERAS_HOME"] = str(tmp_path / "no-keras-json")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "--rootdir=.", name],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert "converged" in done.stdout


def parser_options(config: pytest.Config) -> list[str]:
    """Return every long option that pytest knows, plugins' included."""
    arguments = [argument for group in config._parser._groups for argument in group.options]
    return [name for argument in arguments for name in argument.names()]


def test_readme_names_every_option_and_no_other(pytestconfig: pytest.Config) -> None:
    """The options in the README are the options that `pytest --help` lists."""
    options = {option for option in parser_options(pytestconfig) if "dlbench" in option}
    assert options
    assert set(re.findall(r"--dlbench-[a-z]+", README)) == options


def test_links_lead_somewhere() -> None:
    """Every relative link of the README and of `docs/` is a file of the repository."""
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
