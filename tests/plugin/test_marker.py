"""The marker `convergence`: what it says is checked before anything trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Suite


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ("(quik=False)", "has no key 'quik'*did you mean 'quick'?"),
        ("(zzz=1)", "has no key 'zzz', only *quick*"),
        ("(quick=0)", "takes quick=True or quick=False, got 0"),
        ("(False)", "takes keywords only, got False"),
    ],
)
def test_a_typo_stops_the_session(suite: Suite, mark: str, message: str) -> None:
    """A wrong marker is a usage error that names the test; not even the others are run."""
    suite.write(f"""
        def test_first(convergence):
            raise AssertionError

        @pytest.mark.convergence{mark}
        def test_marked(convergence):
            raise AssertionError
    """)
    ran = suite.run()
    assert ran.result.ret == pytest.ExitCode.USAGE_ERROR
    ran.result.assert_outcomes()
    ran.result.stderr.fnmatch_lines([f"*test_marked: the marker convergence {message}*"])


def test_the_marker_is_known_to_pytest(suite: Suite) -> None:
    """`--strict-markers` takes it, and `--markers` explains it."""
    suite.write("""
        @pytest.mark.convergence(quick=False)
        def test_marked(parameters):
            pass
    """)
    suite.run("--strict-markers").result.assert_outcomes(passed=1)
    suite.run("--markers").result.stdout.fnmatch_lines(["@pytest.mark.convergence(*): *quick*"])
