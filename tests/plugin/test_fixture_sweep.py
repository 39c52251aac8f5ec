"""`convergence.sweep(…)`: several learning rates in one program, a record each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Suite

RATES = """
    HOW = {key: value for key, value in LEARNS.items() if key != "learning_rate"}
"""


def test_each_rate_has_its_runs_and_its_record(suite: Suite) -> None:
    """Runs come back by rate, as a call with that rate gives them; the first is timed."""
    suite.write(
        RATES
        + """
    def test_rates(convergence):
        by_rate = convergence.sweep(build, learning_rate=[5.0, 0, 1e-3], **HOW)
        assert list(by_rate) == [5.0, 0.0, 0.001]
        assert by_rate[5.0].regime == "converged"
        assert by_rate[0.0].regime == "stalled"
        alone = convergence(build, learning_rate=5.0, name="alone", **HOW)
        np.testing.assert_allclose(alone.curves["loss"], by_rate[5.0].curves["loss"], rtol=1e-4)
    """
    )
    ran = suite.run()
    ran.result.assert_outcomes(passed=1)
    *swept, alone = ran.records
    assert [record["name"] for record in swept] == [
        "learning_rate=5",
        "learning_rate=0",
        "learning_rate=0.001",
    ]
    assert [record["params"] for record in swept] == [
        {"learning_rate": rate} for rate in (5.0, 0.0, 0.001)
    ]
    assert [record["timing"] is not None for record in ran.records] == [True, False, False, False]
    assert alone["params"] == {}
    ran.result.stdout.fnmatch_lines(["  rate 5 *", "  rate 0 *", "  alone *"])


def test_sweeps_of_one_test_are_told_apart_by_name(suite: Suite) -> None:
    """A second sweep over the same rates needs a name, before it trains."""
    suite.write(
        RATES
        + """
    def test_twice(convergence):
        convergence.sweep(build, learning_rate=[1.0], **HOW)
        built = []
        with pytest.raises(ValueError, match="already has a record named 'learning_rate=1'"):
            convergence.sweep(built.append, learning_rate=[1.0], **HOW)
        assert not built
        convergence.sweep(build, learning_rate=[1.0], name="adam", optimizer="adam", **HOW)
    """
    )
    ran = suite.run("--benchmark-disable")
    ran.result.assert_outcomes(passed=1)
    names = [record["name"] for record in ran.records]
    assert names == ["learning_rate=1", "adam learning_rate=1"]


@pytest.mark.parametrize(
    ("rates", "more", "error", "words"),
    [
        ("[]", "", "ExperimentError", "one or more different rates, got []"),
        ("[1, 1.0]", "", "ExperimentError", "one or more different rates, got [1.0, 1.0]"),
        ("[0.1, float('nan')]", "", "ExperimentError", "learning_rate must be a finite number"),
        ("[0.1]", ", lerning_rate=3", "TypeError", "lerning_rate"),
        ("[0.1]", ", optimizer='sdg'", "ExperimentError", "unknown optimizer 'sdg'"),
    ],
    ids=str,
)
def test_what_cannot_be_swept_is_refused(
    suite: Suite, rates: str, more: str, error: str, words: str
) -> None:
    """No rate, a rate twice, or what a call refuses too: nothing is trained or recorded."""
    suite.write(
        RATES
        + f"""
    @pytest.fixture(autouse=True)
    def nothing_trains(monkeypatch):
        def train_sweep(*arguments, **more):
            raise SystemError("an update was made")
        monkeypatch.setattr("dlbench.engines.train_sweep", train_sweep)

    def test_wrong(convergence):
        convergence.sweep(build, learning_rate={rates}{more}, **HOW)
    """
    )
    ran = suite.run("--tb=short")
    ran.result.assert_outcomes(failed=1)
    assert error in ran.output
    assert words in ran.output
    assert "an update was made" not in ran.output
    assert ran.records == []


def test_rates_that_differ_little_have_names_that_differ(suite: Suite) -> None:
    """A name holds enough digits to tell any two rates apart that someone would type."""
    suite.write(
        RATES
        + """
    def test_close(convergence):
        convergence.sweep(build, learning_rate=[0.1, 0.10000001], **HOW)
    """
    )
    names = [record["name"] for record in suite.run("--benchmark-disable").records]
    assert names == ["learning_rate=0.1", "learning_rate=0.10000001"]
