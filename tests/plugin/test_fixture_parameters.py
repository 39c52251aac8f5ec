"""`parameters(model)`: exact counts, recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import Suite


def test_counts_and_records(suite: Suite) -> None:
    """A builder or a built model is counted; the table is returned and recorded."""
    suite.write("""
        @pytest.mark.parametrize("model", [build, build()], ids=["builder", "built"])
        def test_size(parameters, model):
            table = parameters(model, optimizer="adam")
            assert table.unique == 2 * 2 + 2
            assert table.optimizer == 2 * 6 + 2
    """)
    ran = suite.run("-W", "error")
    ran.result.assert_outcomes(passed=2)
    for record in ran.records:
        assert record["kind"] == "parameters"
        assert record["parameters"]["unique"] == 6
        assert record["runs"] is None
        assert record["metrics"] is None
    ran.result.stdout.fnmatch_lines(["parameters: 2 models counted, 2 as expected"])


def test_a_wrong_expectation_fails(suite: Suite) -> None:
    """Counts are bounds like any other, and the closing line tells how many held."""
    suite.write("""
        def test_right(parameters):
            assert parameters(build).unique == 6

        def test_wrong(parameters):
            assert parameters(build).unique == 7
    """)
    ran = suite.run()
    ran.result.assert_outcomes(passed=1, failed=1)
    assert [record["outcome"] for record in ran.records] == ["passed", "failed"]
    ran.result.stdout.fnmatch_lines(["parameters: 2 models counted, 1 as expected"])


def test_a_second_count_needs_a_name(suite: Suite) -> None:
    """Records of one test are told apart by name, whichever fixture made them."""
    suite.write("""
        def test_twice(parameters, convergence):
            parameters(build)
            with pytest.raises(ValueError, match="second call needs name="):
                parameters(build)
            with pytest.raises(ValueError, match="second call needs name="):
                convergence.record(loop)
            parameters(build, name="again")
            convergence.record(loop, name="trained")
    """)
    ran = suite.run()
    ran.result.assert_outcomes(passed=1)
    assert [record["name"] for record in ran.records] == [None, "again", "trained"]


def test_what_is_no_model_is_refused(suite: Suite) -> None:
    """Something that is neither a model nor a builder fails the test in words."""
    suite.write("""
        def test_no_model(parameters):
            with pytest.raises(TypeError, match="expected a keras.Model or a function"):
                parameters(3)
    """)
    ran = suite.run()
    ran.result.assert_outcomes(passed=1)
    assert ran.records == []
