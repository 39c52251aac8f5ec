"""`convergence(…)`: trains, records, times; and refuses what cannot be trained before it begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Suite

UNTRAINED = """
    @pytest.fixture(autouse=True)
    def nothing_trains(monkeypatch):
        def train(*arguments, **more):
            raise SystemError("an update was made")
        monkeypatch.setattr("dlbench.engines.train_sweep", train)
"""
"""Put into a test file, this turns any training into an error of its own."""


def test_trains_asserts_and_records(suite: Suite) -> None:
    """One call trains every seed, returns its runs, and leaves one record and 20 timed rounds."""
    suite.write("""
        def test_one(convergence):
            runs = convergence(build, **LEARNS)
            assert runs.regime == "converged"
            assert list(runs.final("val_accuracy").index) == [0, 1]
            assert runs.steps_to("val_accuracy", 0.8).max() <= 5
    """)
    ran = suite.run()
    ran.result.assert_outcomes(passed=1)
    assert ran.record["kind"] == "convergence"
    assert ran.record["outcome"] == "passed"
    assert ran.record["metrics"]["regime"] == ["converged", "converged"]
    assert ran.record["timing"]["what"] == "train_on_batch"
    assert ran.record["timing"]["rounds"] == 20


def test_takes_a_workload_and_what_is_given_beside_it(suite: Suite) -> None:
    """A workload carries data, loss, metrics and target; an argument takes its part's place."""
    suite.write("""
        from dlbench import Workload

        W = Workload(name="carried", model=build, data=DATA, loss=LEARNS["loss"],
                     metrics=["accuracy"], target=("val_accuracy", 0.8))
        HOW = {"learning_rate": 5.0, "steps": 2, "seeds": 1}

        def test_carried(convergence):
            runs = convergence(W, **HOW)
            assert runs.experiment["workload"] == "carried"
            assert runs.target == ("val_accuracy", 0.8)

        def test_other(convergence):
            runs = convergence(W, loss="mse", metrics=[], target=("val_loss", 0.1),
                               data=((x, np.eye(2)[y]), (x, np.eye(2)[y])), **HOW)
            assert runs.target == ("val_loss", 0.1)
            assert list(runs.curves) == ["loss", "val_loss"]
            assert runs.experiment["data"]["train"] == 40
            assert W.target == ("val_accuracy", 0.8)
    """)
    suite.run("--benchmark-disable").result.assert_outcomes(passed=2)


def test_a_second_call_needs_a_name_before_it_trains(suite: Suite) -> None:
    """Two records of one test are told apart by name; one that cannot be is refused untrained."""
    suite.write("""
        def test_twice(convergence, monkeypatch):
            convergence.record(loop)
            built = []
            with pytest.raises(ValueError, match="second call needs name="):
                convergence(lambda: built.append(1), **LEARNS)
            with pytest.raises(ValueError, match="second call needs name="):
                convergence.record(built.append)
            assert not built
            convergence.record(loop, name="again")
            with pytest.raises(ValueError, match="already has a record named 'again'"):
                convergence.record(built.append, name="again")
            assert not built
    """)
    ran = suite.run()
    ran.result.assert_outcomes(passed=1)
    assert [record["name"] for record in ran.records] == [None, "again"]


def test_the_first_training_is_the_timed_one(suite: Suite) -> None:
    """pytest-benchmark times once a test: the first training, whatever was counted before it."""
    suite.write("""
        def test_both(parameters, convergence):
            parameters(build)
            convergence(build, name="first", **LEARNS)
            convergence(build, name="second", optimizer="adam", **LEARNS)
    """)
    ran = suite.run()
    ran.result.assert_outcomes(passed=1)
    timed = {record["name"]: record["timing"] is not None for record in ran.records}
    assert timed == {None: False, "first": True, "second": False}


def test_a_test_may_time_something_of_its_own_first(suite: Suite) -> None:
    """Where the test itself used `benchmark`, its training is recorded, untimed."""
    suite.write("""
        def test_own(benchmark, convergence):
            benchmark.pedantic(sum, args=([1, 2],))
            convergence(build, **LEARNS)
    """)
    ran = suite.run()
    ran.result.assert_outcomes(passed=1)
    assert ran.record["timing"] is None


def test_throughput_counts_the_samples_that_a_batch_has(suite: Suite) -> None:
    """A batch size above the training set trains on the whole set, and is timed as that."""
    suite.write("""
        def test_large(convergence):
            convergence(build, **LEARNS | {"batch_size": 1000, "steps": 1, "seeds": 1})
    """)
    timing = suite.run().record["timing"]
    assert timing["samples_per_second"] == pytest.approx(30 / timing["seconds"])
    assert timing["epoch_seconds"] == pytest.approx(timing["seconds"])


def test_templates_are_left_untouched(suite: Suite) -> None:
    """Optimizer, loss and metric objects are rebuilt for each run; the caller's stay as they were."""
    suite.write("""
        def test_templates(convergence):
            optimizer = keras.optimizers.SGD(5.0)
            kept = optimizer.get_config()
            metric = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
            loss = keras.losses.SparseCategoricalCrossentropy()
            how = LEARNS | {"learning_rate": None, "optimizer": optimizer, "loss": loss,
                            "metrics": [metric]}
            first = convergence(build, **how)
            second = convergence(build, name="again", **how)
            assert not optimizer.built and int(optimizer.iterations) == 0
            assert optimizer.get_config() == kept
            assert float(metric.result()) == 0.0 and float(metric.count) == 0.0
            assert (first.curves["loss"] == second.curves["loss"]).all()
    """)
    suite.run("--benchmark-disable").result.assert_outcomes(passed=1)


REFUSED = [
    ({"data": None}, "ExperimentError", "data must be given, unless the model is a Workload"),
    ({"loss": None}, "ExperimentError", "loss must be given, unless the model is a Workload"),
    ({"metrics": ["acuracy"]}, "ExperimentError", "unknown metric 'acuracy'"),
    ({"loss": "sparse_crossentropy"}, "ExperimentError", "unknown loss 'sparse_crossentropy'"),
    ({"optimizer": "sdg"}, "ExperimentError", "unknown optimizer 'sdg'"),
    ({"target": ("val_acc", 0.9)}, "ExperimentError", "target names the metric 'val_acc'"),
    ({"learning_rate": float("nan")}, "ExperimentError", "learning_rate must be a finite number"),
    ({"batch_size": 0}, "ExperimentError", "must be a whole number of at least 1"),
    ({"epochs": 2}, "ExperimentError", "give epochs or steps, not both"),
    ({"seeds": [1, 1]}, "ExperimentError", "seeds must be one or more different numbers"),
    ({"lerning_rate": 0.1}, "TypeError", "lerning_rate"),
]


@pytest.mark.parametrize(("change", "error", "words"), REFUSED, ids=[str(r[0]) for r in REFUSED])
def test_a_mistake_stops_before_the_first_update(
    suite: Suite, change: dict[str, object], error: str, words: str
) -> None:
    """What cannot be trained as given is refused, by its name, before anything is trained."""
    nan = "nan = float('nan')\n"
    suite.write(
        nan
        + UNTRAINED.replace("\n    ", "\n")
        + f"def test_mistake(convergence):\n    convergence(build, **LEARNS | {change!r})\n"
    )
    ran = suite.run("--tb=short")
    ran.result.assert_outcomes(failed=1)
    assert error in ran.output
    assert words in ran.output
    assert "an update was made" not in ran.output
    assert ran.records == []


def test_a_built_model_is_refused_with_the_remedy(suite: Suite) -> None:
    """A model that exists already would give every seed the same start."""
    suite.write("""
        import torch

        @pytest.mark.parametrize("model", [build(), torch.nn.Linear(2, 2)])
        def test_built(convergence, model):
            convergence(model, **LEARNS)
    """)
    ran = suite.run("--tb=short")
    ran.result.assert_outcomes(failed=2)
    assert "got a built Sequential" in ran.output
    assert "got a built Linear" in ran.output
    assert "hand over `build`" in ran.output


def test_a_bound_that_fails_shows_the_seeds(suite: Suite) -> None:
    """A failing assertion shows which seed did what: in one line, and below it as a table."""
    suite.write("""
        def test_bound(convergence):
            runs = convergence(build, **LEARNS | {"learning_rate": 0.0})
            assert runs.regime in ("slow", "converged")
    """)
    ran = suite.run("--benchmark-disable")
    ran.result.assert_outcomes(failed=1)
    ran.result.stdout.fnmatch_lines(
        [
            "*assert 'stalled' in ('slow', 'converged')*",
            "*<Runs build, SGD, rate 0.0, batch 30, 5 updates; stalled: seeds 0,1>.regime*",
            "*dlbench: runs by seed*",
            "*regime*loss*val_accuracy*",
            "0 *stalled*",
            "1 *stalled*",
        ]
    )
    assert ran.record["outcome"] == "failed"
    assert ran.record["message"].startswith("AssertionError: assert 'stalled' in")


def test_in_classes_and_in_unittest(suite: Suite) -> None:
    """A method of a class is a test like any other; a TestCase gets the fixture through another."""
    suite.write("""
        import unittest

        class TestPlain:
            def test_method(self, convergence):
                assert convergence.record(loop).regime == "converged"

        class TestCase(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def take(self, convergence):
                self.convergence = convergence

            def test_method(self):
                self.assertEqual(self.convergence.record(loop).regime, "converged")

            def test_wrong(self):
                self.assertEqual(self.convergence.record(loop).regime, "stalled")
    """)
    ran = suite.run()
    ran.result.assert_outcomes(passed=2, failed=1)
    assert [(record["case"], record["outcome"]) for record in ran.records] == [
        ("test_tiny.py::TestPlain::test_method", "passed"),
        ("test_tiny.py::TestCase::test_method", "passed"),
        ("test_tiny.py::TestCase::test_wrong", "failed"),
    ]
