"""What varies in a test's records, and which of them share a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlbench.report.analysis import analyses, studies

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.history.record import Record
    from dlbench.history.run import Run


def test_numbers_rise_and_words_keep_their_order(trained: Callable[..., Record]) -> None:
    """A factor of numbers is sorted, another stands as its cases came."""
    rates = [trained("test_rate", {"learning_rate": rate}) for rate in (10.0, 0.1, 1.0)]
    (study,) = studies(rates)
    assert study.factors[0].levels == ("0.1", "1", "10")
    assert study.factors[0].numbers == (0.1, 1.0, 10.0)
    assert list(study.cases["record"]) == [1, 2, 0]
    names = [trained("test_name", {"activation": name}) for name in ("tanh", "relu")]
    (study,) = studies(names)
    assert study.factors[0].levels == ("tanh", "relu")
    assert study.factors[0].numbers is None


def test_the_full_batch_is_a_number(trained: Callable[..., Record]) -> None:
    """A batch size of "full" is sorted by the number that the experiment had."""
    records = [
        trained("test_batch", {"batch_size": size}, batch_size=1000 if size == "full" else size)
        for size in ("full", 32, 1)
    ]
    factor = studies(records)[0].factors[0]
    assert factor.levels == ("1", "32", "full")
    assert factor.numbers == (1.0, 32.0, 1000.0)


def test_what_is_the_same_everywhere_is_no_factor(trained: Callable[..., Record]) -> None:
    """Only what varies between the cases is a factor; one case has none."""
    records = [trained("test_rate", {"rate": rate, "depth": 2}) for rate in (0.1, 1.0)]
    assert [factor.name for factor in studies(records)[0].factors] == ["rate"]
    assert studies(records[:1])[0].factors == ()


def test_a_bound_beside_a_parameter_is_no_factor(trained: Callable[..., Record]) -> None:
    """What follows from another parameter is kept beside the factors, wherever it stands."""
    records = [
        trained("test_batch", {"most": most, "batch_size": size}, batch_size=size)
        for most, size in ((4000, 1), (900, 4), (300, 32))
    ]
    (study,) = studies(records)
    assert [factor.name for factor in study.factors] == ["batch_size"]
    assert [factor.name for factor in study.following] == ["most"]


def test_several_calls_in_one_test_are_told_apart(trained: Callable[..., Record]) -> None:
    """Where parameters are the same, the experiments' rates tell, else the records' names."""
    by_rate = [
        trained("test_loop", {}, name=f"rate {rate}", learning_rate=rate) for rate in (0.1, 1.0)
    ]
    assert [factor.name for factor in studies(by_rate)[0].factors] == ["learning_rate"]
    by_name = [trained("test_loop", {}, name=name) for name in (None, "with momentum")]
    (study,) = studies(by_name)
    assert study.factors[0].levels == ("first", "with momentum")
    same = [trained("test_loop", {}) for _ in range(3)]
    assert studies(same)[0].factors[0].levels == ("1", "2", "3")


def test_workloads_with_cases_of_their_own_are_studies_of_their_own(suite: Run) -> None:
    """Records on other data are split where each still has something to compare."""
    records = [record for record in suite.records if record["test"] == "test_depth"]
    found = studies(records)
    assert [study.where for study in found] == ["moons", "spirals"]
    assert [len(study.cases) for study in found] == [6, 6]
    assert {factor.name for factor in found[0].factors} == {"activation", "depth"}


def test_workloads_of_one_case_each_share_a_study(trained: Callable[..., Record]) -> None:
    """With one case each, workloads of the same loss are compared with each other."""
    records = [trained("test_on", {"workload": name}, workload=name) for name in ("a", "b", "c")]
    assert [factor.name for factor in studies(records)[0].factors] == ["workload"]


def test_other_losses_never_share_a_study(trained: Callable[..., Record]) -> None:
    """Records whose losses have other units are told apart whatever else is the same."""
    one, other = (trained("test_on", {"workload": name}, workload=name) for name in ("a", "b"))
    other["runs"]["experiment"]["loss"] = {"class": "MeanSquaredError"}  # type: ignore[index, call-overload]
    assert [study.where for study in studies([one, other])] == ["a", "b"]


def test_every_record_is_in_exactly_one_study(suite: Run) -> None:
    """Nothing is dropped and nothing twice, in the modules' order."""
    found = analyses(suite)
    assert [analysis.module for analysis in found] == list(suite.modules)
    cases = [case for one in found for study in one.studies for case in study.cases["case"]]
    assert sorted(cases) == sorted(record["case"] for record in suite.records)


def test_a_module_without_records_still_has_its_section(run_of: Callable[..., Run]) -> None:
    """A module that left only its texts, or only a figure, is not forgotten."""
    figure = {"case": "b.py::t", "module": "b.py", "caption": "", "png": ""}
    run = run_of([], modules={"a.py": {"theory": "# A", "discussion": ""}}, figures=[figure])
    assert [analysis.module for analysis in analyses(run)] == ["a.py", "b.py"]


def test_levels_tell_numbers_apart(trained: Callable[..., Record]) -> None:
    """Numbers that differ have levels of their own; those that differ by rounding share one."""
    close = [trained("test_a", {"x": x}) for x in (0.100001, 0.100002)]
    assert studies(close)[0].factors[0].levels == ("0.100001", "0.100002")
    same = [trained("test_a", {"x": x, "y": y}) for x, y in ((0.1 + 0.2, 1), (0.3, 2), (0.6, 3))]
    (study,) = studies(same)
    levels = {factor.name: factor.levels for factor in (*study.factors, *study.following)}
    assert levels["x"] == ("0.3", "0.6")
