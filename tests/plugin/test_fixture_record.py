"""`convergence.record(train)`: a loop of any framework, one call a seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Suite


def test_calls_the_loop_once_a_seed_and_times_it(suite: Suite) -> None:
    """Every seed is trained once, in order, seeded; pytest-benchmark's rounds are those calls."""
    suite.write("""
        import random
        import torch

        calls = []

        def train(seed):
            calls.append((seed, random.random(), np.random.rand(), float(torch.rand(()))))
            return {"loss": [2.0, 1.0, 0.5], "val_accuracy": [0.1, 0.5, 0.9], "step": [0, 10, 30]}

        def test_loop(convergence):
            runs = convergence.record(train, seeds=[3, 7], target=("val_accuracy", 0.7),
                                      workload="mine")
            assert [call[0] for call in calls] == [3, 7]
            assert calls[0][1:] != calls[1][1:]
            assert runs.points.tolist() == [0, 10, 30]
            assert runs.steps_to_target().tolist() == pytest.approx([20, 20])
            assert runs.regime == "converged"
            again = convergence.record(train, seeds=[3], name="again")
            assert calls[2] == calls[0]
    """)
    ran = suite.run()
    ran.result.assert_outcomes(passed=1)
    first, again = ran.records
    assert first["kind"] == "loop"
    assert first["runs"]["experiment"]["workload"] == "mine"
    assert first["timing"]["what"] == "train(seed)"
    assert first["timing"]["rounds"] == 2
    assert first["timing"]["samples_per_second"] is None
    assert again["timing"] is None
    assert again["runs"]["experiment"]["workload"] == "train"


def test_seeds_come_from_the_command_line(suite: Suite) -> None:
    """Without `seeds=` the loop is called for the session's seeds."""
    suite.write("""
        def test_loop(convergence):
            convergence.record(loop)
    """)
    assert suite.run("--dlbench-seeds=5-7").record["runs"]["seeds"] == [5, 6, 7]


def test_the_loops_own_error_is_the_tests(suite: Suite) -> None:
    """What `train` raises fails the test as itself, and leaves no record."""
    suite.write("""
        def test_loop(convergence):
            def train(seed):
                if seed:
                    raise ZeroDivisionError("mine")
                return loop(seed)
            convergence.record(train, seeds=2)

        def test_skip(convergence):
            convergence.record(lambda seed: pytest.skip("no data"), seeds=2)
    """)
    ran = suite.run(f"--benchmark-json={suite.path / 'out.json'}")
    ran.result.assert_outcomes(failed=1, skipped=1)
    assert "ZeroDivisionError: mine" in ran.output
    assert ran.records == []


def test_a_run_that_diverged_may_end_early(suite: Suite) -> None:
    """A curve whose last value is not finite may be short: it is NaN from there on."""
    suite.write("""
        def train(seed):
            return {"loss": [1.0, float("inf")] if seed == 1 else [1.0, 0.8, 0.6, 0.4]}

        def test_loop(convergence):
            runs = convergence.record(train, seeds=3)
            assert runs.regimes.tolist() == ["converged", "diverged", "converged"]
            assert runs.final("loss").isna().tolist() == [False, True, False]
    """)
    suite.run("-W", "error").result.assert_outcomes(passed=1)


REFUSED = {
    "train is no function": ("'loop'", "", "must be a function of a seed, got str", 0),
    "no seed": ("loop", "seeds=0", "seeds must be a whole number", 0),
    "half a target": ("loop", "target=('acc',)", "a metric and a finite value", 0),
    "a target without a curve": ("loop", "target=('acc', 1)", "target names 'acc'", 1),
    "no such direction": ("loop", "directions={'loss': 'up'}", '"higher" or "lower"', 1),
    "a direction without a curve": ("loop", "directions={'los': 'lower'}", "'los'", 1),
    "an unknown direction": ("lambda seed: {'loss': [1], 'bleu': [1]}", "", "declare it", 1),
    "no loss": ("lambda seed: {'accuracy': [0.5]}", "", "return the training loss too", 1),
    "no curves": ("lambda seed: [1.0]", "", "must return a dict of curves", 1),
    "other lengths": ("lambda seed: {'loss': [1] * (seed + 1)}", "", "every seed must return", 3),
}


@pytest.mark.parametrize(("train", "more", "words", "calls"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_recorded_shows_at_once(
    suite: Suite, train: str, more: str, words: str, calls: int
) -> None:
    """A mistake in the arguments shows before the first seed, one in the curves right after it."""
    suite.write(f"""
        calls = []
        train = {train}

        def counted(seed):
            calls.append(seed)
            return train(seed)

        def test_loop(convergence):
            arguments = {{"seeds": 3}} | dict({more})
            try:
                convergence.record(counted if callable(train) else train, **arguments)
            finally:
                print("calls:", len(calls))
    """)
    ran = suite.run("--tb=short")
    ran.result.assert_outcomes(failed=1)
    assert "ExperimentError" in ran.output
    assert words in ran.output
    assert f"calls: {calls}\n" in ran.output
    assert ran.records == []


def test_directions_are_declared_for_names_that_do_not_tell(suite: Suite) -> None:
    """A declared direction decides what is best, and overrules a name."""
    suite.write("""
        def train(seed):
            return {"loss": [1.0, 0.5], "bleu": [30.0, 20.0], "acc_gap": [0.3, 0.4]}

        def test_loop(convergence):
            runs = convergence.record(train, seeds=1,
                                      directions={"bleu": "higher", "acc_gap": "lower"})
            assert runs.best("bleu").item() == 30.0
            assert runs.best("acc_gap").item() == 0.3
    """)
    suite.run().result.assert_outcomes(passed=1)


def test_a_profile_asks_for_one_call_more(suite: Suite) -> None:
    """`--benchmark-cprofile` runs the loop once more than there are seeds; the runs stay theirs."""
    suite.write("""
        def test_loop(convergence):
            assert convergence.record(loop, seeds=2).seeds == (0, 1)
    """)
    ran = suite.run("--benchmark-cprofile=ncalls")
    ran.result.assert_outcomes(passed=1)
    assert ran.record["timing"]["rounds"] == 2
