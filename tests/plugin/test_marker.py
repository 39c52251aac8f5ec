"""The marker `convergence`: what it says is checked before anything trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.plugin.loops import HEAD, ONE, accepted

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


@pytest.mark.parametrize(
    "mark",
    [
        'margin={"val_los": 0.1}',
        'gates=["training_loss", "val_lss"]',
        'higher_is_better={"val_lossi": False}',
        'scale={"val_los": "linear"}',
    ],
)
def test_a_misspelt_curve_of_an_accepted_test_stops_the_session(suite: Suite, mark: str) -> None:
    """What a test was accepted with is known at collection: not even the first test is run."""
    first = "def test_first(convergence):\n    convergence.record(trained(1.0))\n"
    accepted(suite, first + ONE)
    suite.write(f"{first}\n@pytest.mark.convergence({mark}){ONE}", head=HEAD)
    ran = suite.run()
    assert ran.result.ret == pytest.ExitCode.USAGE_ERROR
    assert not ran.records
    ran.result.stderr.fnmatch_lines(["*test_loop: the marker convergence names *'val_loss'?*"])
    suite.run("--dlbench-gate=off").result.assert_outcomes(passed=2)


def test_a_new_curve_is_not_taken_for_misspelt(suite: Suite) -> None:
    """A metric that comes with its marker is no typo, however like another; nor is a baseline's."""
    tests = """
        def train(seed):
            return trained(1.0)(seed) | {"val_top_3_accuracy": [0.5] * 12}

        def test_loop(convergence):
            convergence.record(train)
    """
    accepted(suite, tests)
    for curve in ("val_top_5_accuracy", "val_f1"):
        marked = (
            tests.replace("val_top_3_accuracy", curve)
            .replace(
                "def test_loop",
                f"@pytest.mark.convergence(higher_is_better={{'{curve}': True}})\n        def test_loop",
            )
            .replace("convergence.record(train)", "convergence.record(train, directions=D)")
        )
        given = f'\nD = {{"{curve}": "higher"}}\n'
        suite.write(marked, head=HEAD + given)
        ran = suite.run("--dlbench-gate=lenient")
        ran.result.assert_outcomes(passed=1)
