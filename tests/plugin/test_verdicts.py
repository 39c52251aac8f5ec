"""What people read of the gate: who is listed, and the Markdown of an accept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.plugin.loops import HEAD, ONE, TWO, accepted, change, words

if TYPE_CHECKING:
    from tests.conftest import Suite


@pytest.mark.parametrize(("body", "told"), [("", "xpassed"), ("    assert False\n", "xfailed")])
def test_an_xfail_is_listed(suite: Suite, body: str, told: str) -> None:
    """A case that is not judged is named, so that nobody takes silence for a verdict."""
    accepted(suite, TWO)
    suite.write("@pytest.mark.xfail" + TWO + body, head=HEAD)
    ran = suite.run("--dlbench-summary=out.md")
    assert ran.result.ret == 0
    line = (
        f"not judged, marked xfail: test_tiny.py::test_loop[a] ({told}), test_tiny.py::test_loop[b]"
    )
    assert line in words(ran)
    text = suite.path.joinpath("out.md").read_text(encoding="utf-8")
    assert f"not judged, marked xfail: test\\_tiny.py::test\\_loop\\[a\\] ({told})" in text


def test_the_summary_of_an_accept_is_green(suite: Suite) -> None:
    """What was worse is accepted now: the Markdown says what changed, and shows no failure."""
    suite.write(TWO, head=HEAD)
    suite.run("--dlbench-accept", "--dlbench-summary=out.md")
    text = suite.path.joinpath("out.md").read_text(encoding="utf-8")
    assert text.startswith("### ✅ Training accepted: 2 added; ")
    assert "❌" not in text
    change(suite, 1.025, "a")
    assert suite.run("--dlbench-accept", "--dlbench-summary=out.md").result.ret == 0
    text = suite.path.joinpath("out.md").read_text(encoding="utf-8")
    assert text.startswith("### ✅ Training accepted: 1 changed, 1 same; ")
    assert "changed test\\_tiny.py::test\\_loop\\[a\\]: training\\_loss" in text
    assert "❌" not in text


def test_the_summary_of_a_refused_accept_is_red(suite: Suite) -> None:
    """With the reason in it."""
    accepted(suite, ONE)
    change(suite, 1.2)
    assert suite.run("--dlbench-accept", "--dlbench-summary=out.md").result.ret == 1
    text = suite.path.joinpath("out.md").read_text(encoding="utf-8")
    assert text.startswith("### ❌ Training: nothing was accepted")
    assert "drifted further than three margins" in text
