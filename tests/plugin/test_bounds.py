"""What a test asserts of its runs is in their records, and no test ends in another way for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dlbench.history.run import read_run

if TYPE_CHECKING:
    from tests.conftest import Folder, Suite

HEARS = ("-o", "enable_assertion_pass_hook=true")

LOOPS = """
    CURVES = {"loss": [1.0, 0.5], "val_accuracy": [0.1, 0.9]}
    HIGHEST = {"one": 0.75, 2: (0.5, 0.25)}

    def record(convergence, **more):
        return convergence.record(lambda seed: CURVES, seeds=2, target=("val_accuracy", 0.8), **more)
"""
"""Runs that end at a loss of 0.5, whatever the seed."""


def told(record: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return the bounds in a record, in short."""
    return [
        (one["summary"], one["metric"], one["comparison"], one["bound"], one["held"])
        for one in record.get("asserted", [])
    ]


def below(bound: float, *, held: bool = True) -> tuple[Any, ...]:
    """Return a bound on the final loss."""
    return "final", "loss", "<=", bound, held


def test_what_held_is_in_the_record(suite: Suite) -> None:
    """Names, a dict of the module's, a chain, a name for a Series, regimes: each with its number."""
    suite.write(
        LOOPS
        + """
    def test_a(convergence):
        runs, highest = record(convergence), 0.75
        assert runs.final("loss").median() <= highest
        assert 0.1 <= runs.oscillation("loss").median() + 1 or True
        assert 0 <= runs.oscillation("loss").median() <= HIGHEST[2][1]
        steps = runs.steps_to_target()
        assert steps is not None
        assert steps.median() <= 4000
        assert runs.regime == "converged"
        assert (
            runs.final("loss").quantile(0.1)
            <= HIGHEST["one"]
        )
    """
    )
    ran = suite.run(*HEARS)
    ran.result.assert_outcomes(passed=1)
    assert told(ran.record) == [
        below(0.75),
        ("oscillation", "loss", ">=", 0.0, True),
        ("oscillation", "loss", "<=", 0.25, True),
        ("steps_to", "val_accuracy", "<=", 4000.0, True),
        ("share", "converged", "==", 1.0, True),
        below(0.75),
    ]
    final, *_, quantile = ran.record["asserted"]
    assert (final["statistic"], final["measured"]) == ("median", 0.5)
    assert (quantile["statistic"], quantile["measured"]) == ("quantile 0.1", 0.5)


def test_each_record_has_the_bounds_on_its_own_runs(suite: Suite) -> None:
    """Two calls of a test, and the rates of a sweep, are told apart by which runs were asked."""
    suite.write(
        LOOPS
        + """
    def test_two(convergence):
        first, second = record(convergence), record(convergence, name="again")
        assert second.final("loss").median() <= 0.75
        assert first.final("loss").median() <= 0.5

    def test_sweep(convergence):
        how = {name: value for name, value in LEARNS.items() if name != "learning_rate"}
        by_rate = convergence.sweep(build, learning_rate=[1.0, 5.0], **how)
        best = 5.0
        assert by_rate[best].final("loss").median() <= 1
        assert min(by_rate) < best
    """
    )
    ran = suite.run(*HEARS)
    ran.result.assert_outcomes(passed=2)
    assert {record["name"]: told(record) for record in ran.records} == {
        None: [below(0.5)],
        "again": [below(0.75)],
        "learning_rate=1": [],
        "learning_rate=5": [below(1.0)],
    }


def test_a_helper_may_assert(suite: Suite) -> None:
    """What counts is where the assertion stands, not which function is the test; the last time counts."""
    suite.write(
        LOOPS
        + """
    def check(these, limit):
        assert these.final("loss").median() <= limit

    def test_a(convergence):
        runs = record(convergence)
        for limit in (0.5, 0.75, 0.5):
            check(runs, limit)
    """
    )
    ran = suite.run(*HEARS)
    assert told(ran.record) == [below(0.75), below(0.5)]


FAILS = """
    def test_a(convergence):
        runs = record(convergence)
        assert runs.final("loss").median() <= 0.75, "an explanation"
        assert runs.final("loss").median() <= 0.25
        assert runs.final("loss").median() <= 0.1
"""


@pytest.mark.parametrize(
    ("options", "known"),
    [
        (HEARS, [below(0.75), below(0.25, held=False)]),
        ((), [below(0.25, held=False)]),
    ],
    ids=["heard", "not heard"],
)
def test_a_failing_test_tells_how_far_it_came(
    suite: Suite, options: tuple[str, ...], known: list[Any]
) -> None:
    """The bound that failed is known by the traceback; those before it where pytest tells of them."""
    suite.write(LOOPS + FAILS)
    ran = suite.run(*options)
    ran.result.assert_outcomes(failed=1)
    assert told(ran.record) == known
    assert ran.record["asserted"][-1]["measured"] == 0.5


def test_a_failure_is_told_as_it_would_be_anyhow(suite: Suite) -> None:
    """The text of a failing assertion is the same whether or not anybody hears of those that held."""
    suite.write(LOOPS + FAILS)
    heard, alone = (
        [line for line in suite.run(*options).result.outlines if line.startswith(("E ", ">"))]
        for options in (HEARS, ())
    )
    assert heard == alone
    assert heard[0].endswith('assert runs.final("loss").median() <= 0.25')


def test_a_bound_that_is_not_enforced_is_told(suite: Suite) -> None:
    """Under --dlbench-quick the test passes, and its record says what did not hold."""
    suite.write(LOOPS + FAILS)
    ran = suite.run(*HEARS, "--dlbench-quick")
    ran.result.assert_outcomes(passed=1)
    assert (ran.record["bounds"], ran.record["outcome"]) == ("off", "passed")
    assert told(ran.record) == [below(0.75), below(0.25, held=False)]


def test_without_the_key_a_test_that_passes_leaves_none(suite: Suite) -> None:
    """Pytest tells of assertions that hold only where it was asked to."""
    suite.write(LOOPS + FAILS.replace("0.25", "0.75").replace("0.1", "0.75"))
    ran = suite.run()
    ran.result.assert_outcomes(passed=1)
    assert "asserted" not in ran.record


def test_plain_assertions_tell_of_their_failure(folder: Folder) -> None:
    """Where pytest rewrites no assertion, or is without that part, tests run; a failure is told."""
    folder.write(LOOPS + FAILS)
    folder.write_conftest()
    for option in ("--assert=plain", "-pno:assertion"):
        done = folder.run_fresh(option, "-o", "dlbench_report=report")
        assert "1 failed" in done.stdout, done.stdout + done.stderr
        (record,) = read_run(folder.path / "report" / "run.json").records
        assert told(dict(record)) == [below(0.25, held=False)]


def test_what_cannot_be_read_disturbs_nothing(suite: Suite) -> None:
    """Whatever stands in an assertion, the test ends as it would have."""
    suite.write(
        LOOPS
        + """
    from numbers import Real

    class Odd:
        def __ge__(self, other):
            return True

        def __float__(self):
            raise SystemError("asked what it is")

    Real.register(Odd)

    def test_a(convergence):
        runs, odd, none = record(convergence), Odd(), {}
        assert runs.final("loss").median() <= odd
        assert none.get("x", 1) >= runs.final("loss").median()
        assert runs.final("loss").median() <= 0.75
        exec("assert runs.final('loss').median() <= 0.5")
    """
    )
    ran = suite.run(*HEARS)
    ran.result.assert_outcomes(passed=1)
    assert told(ran.record) == [below(0.75)]


def test_a_loop_of_assertions_does_not_fill_the_record(suite: Suite) -> None:
    """Of very many different bounds twenty are kept: the first ones, and the last, which may fail."""
    suite.write(
        LOOPS
        + """
    def test_a(convergence):
        runs = record(convergence)
        for limit in range(100, -1, -1):
            assert runs.final("loss").median() <= limit
    """
    )
    first = [below(float(limit)) for limit in range(100, 81, -1)]
    assert told(suite.run(*HEARS).record) == [*first, below(0.0, held=False)]


def test_a_test_that_trains_nothing_is_not_listened_to(suite: Suite) -> None:
    """Nobody asks pytest to explain the assertions of other tests, which would cost time."""
    suite.write("""
        class Explained:
            def __eq__(self, other):
                return True

            def __repr__(self):
                raise SystemError("an explanation was written")

        def test_a():
            assert Explained() == 1

        def test_b(request, convergence):
            assert request.config.pluginmanager.has_plugin("dlbench-bounds")

        def test_c(request):
            assert not request.config.pluginmanager.has_plugin("dlbench-bounds")
    """)
    suite.run(*HEARS).result.assert_outcomes(passed=3)


def test_bounds_travel_from_workers_and_through_reruns(suite: Suite) -> None:
    """Under xdist they arrive with the record; a rerun begins anew; the file has them too."""
    suite.write(
        LOOPS
        + """
    TIMES = []

    def test_a(convergence):
        TIMES.append(1)
        runs = record(convergence)
        limit = 1.5 / len(TIMES)
        assert runs.final("loss").median() <= limit
        assert len(TIMES) == 2

    def test_b(convergence, subtests):
        runs = record(convergence)
        with subtests.test("it is low"):
            assert runs.final("loss").median() <= 0.75
    """
    )
    suite.write_conftest()
    done = suite.run_fresh(*HEARS, "-n2", "--reruns=1", "-o", "dlbench_report=report")
    assert "2 passed" in done.stdout, done.stdout
    records = read_run(suite.path / "report" / "run.json").records
    assert [told(dict(record)) for record in records] == [[below(0.75)], [below(0.75)]]
