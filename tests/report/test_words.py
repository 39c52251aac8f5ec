"""Sentences, taken apart again against the records."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dlbench.report import words
from dlbench.report.analysis import analyses
from dlbench.report.formatting import number, setting, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dlbench.history.record import Record
    from dlbench.history.run import Run
    from dlbench.report.study import Study

NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?:e-?\d+)?")


def numbers_in(text: str) -> set[str]:
    """Return the numbers that a text says."""
    return {found.rstrip(",") for found in NUMBER.findall(text)}


def numbers_of(records: list[Record]) -> set[str]:
    """Return every number that sentences about these records may say, from the records alone."""
    values = {number(len(records)), *(str(count) for count in range(len(records) + 1))}
    for record in records:
        values |= {setting(value) for value in record["params"].values()}
        if record["parameters"]:
            values |= set(_counts(record["parameters"]))
        if record["runs"]:
            values |= set(_of_runs(record["runs"]))
        if record["metrics"]:
            values |= set(_of_metrics(record["metrics"]))
    return values


def _counts(table: Any) -> Iterator[str]:
    yield from (number(table[name]) for name in ("unique", "trainable", "non_trainable"))
    yield number(len(table["rows"]))


def _of_runs(runs: Any) -> Iterator[str]:
    experiment = runs["experiment"]
    yield setting(experiment["optimizer"]["learning_rate"])
    yield setting(experiment["batch_size"])
    yield setting(experiment["target"]["value"])
    yield from (str(count) for count in range(len(runs["seeds"]) + 1))
    yield from (number(point) for point in runs["points"])


def _of_metrics(metrics: Any) -> Iterator[str]:
    for name, by_seed in metrics.items():
        if name == "regime":
            continue
        values = np.array([np.nan if value is None else value for value in by_seed], dtype=float)
        finite = values[np.isfinite(values)]
        for some in (values, finite):
            if len(some) and np.isfinite(some).all():
                quantiles = np.quantile(some, [0, 0.25, 0.5, 0.75, 1])
                write = whole if name == "steps_to_target" else number
                yield from (write(float(quantile)) for quantile in quantiles)


def test_every_number_comes_from_the_records(suite: Run) -> None:
    """Question, findings and headline of every study say only numbers that the records hold."""
    said = 0
    for analysis in analyses(suite):
        for study in analysis.studies:
            cases = set(study.cases["case"])
            records = [record for record in suite.records if record["case"] in cases]
            allowed = numbers_of(records)
            for text in (words.question(study), *words.findings(study), words.headline(study)):
                assert numbers_in(text) <= allowed, text
                said += len(numbers_in(text))
    assert said > 100


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, r"all 5 seeds reached validation accuracy 0\.9 after a median of \d+ updates \(IQR"),
        ({"seeds": 1}, r"the one seed reached validation accuracy 0\.9 after \d+ updates$"),
        ({"diverged": 2}, r"3 of 5 seeds reached .* \(range .*\); the rest: 2 diverged"),
        ({"diverged": 5}, r"all 5 seeds diverged by update \d+$"),
        (
            {"rate": 1e-4},
            r"no seed reached .* in 400 updates \(5 slow\); final validation accuracy",
        ),
        ({"rate": 0.0}, r"no seed reached .* in 400 updates \(5 stalled\)"),
        ({"target": None}, r"final validation accuracy .*; 5 converged$"),
    ],
)
def test_outcome(
    trained: Callable[..., Record],
    study_of: Callable[..., Study],
    changes: dict[str, Any],
    text: str,
) -> None:
    """What came of a case is said by who reached the target, when, and how the rest ended."""
    changes = {"rate": 0.02} | changes
    assert re.search(text, words.outcome(study_of([trained("test_a", {}, **changes)]), 0))


def test_diverged_by_the_first_point_that_was_bad_for_good(
    trained: Callable[..., Record], study_of: Callable[..., Study]
) -> None:
    """The update named is the first from which every seed was beyond 1.5 times its start."""
    record = trained("test_a", {}, diverged=5)
    runs: Any = record["runs"]
    points = np.array(runs["points"])
    expected = points[np.exp(points / 10) > 1.5][0]
    assert f"by update {number(expected)}" in words.outcome(study_of([record]), 0)


def test_best_is_not_the_best_of_the_survivors(
    trained: Callable[..., Record], study_of: Callable[..., Study]
) -> None:
    """A faster case where two of five seeds diverged is not the best."""
    study = study_of(
        [
            trained("test_a", {"learning_rate": 1.0}, rate=0.1, diverged=2),
            trained("test_a", {"learning_rate": 0.1}, rate=0.02),
        ]
    )
    assert words.best_case(study, [0, 1]) == 1


def test_best_without_target_goes_by_the_metrics_direction(
    trained: Callable[..., Record], study_of: Callable[..., Study]
) -> None:
    """Without a target the highest final accuracy is the best."""
    records = [trained("test_a", {"x": x}, rate=x / 1000, target=None) for x in (1, 9, 3)]
    assert words.best_case(study_of(records), [0, 1, 2]) == 1


def test_an_optimum_at_the_end_of_a_grid_is_said(
    trained: Callable[..., Record], study_of: Callable[..., Study]
) -> None:
    """Where the best rate is the largest tried, the sentence warns of it."""
    study = study_of(
        [
            trained("test_a", {"batch_size": size, "learning_rate": rate}, rate=rate / 10)
            for size in (4, 32)
            for rate in (0.1, 0.2, 0.3)
        ]
    )
    lines = words.findings(study)
    assert len(lines) == 2
    assert all("learning rate 0.3 (the end of its grid)" in line for line in lines)


def test_many_cases_are_told_by_the_best_and_the_failed(
    trained: Callable[..., Record], study_of: Callable[..., Study]
) -> None:
    """Of twenty cases the best is told, and each that failed is named, up to six."""
    records = [trained("test_a", {"x": x}, diverged=5 if x < 12 else 0) for x in range(20)]
    best, failed = words.findings(study_of(records))
    assert best.startswith("Best of 20: At x ")
    assert failed.startswith("No seed trained in 12 of 20 cases: at x 0; ")
    assert failed.endswith("; and 6 more.")


def test_a_grid_of_many_levels_is_told_by_its_best(
    trained: Callable[..., Record], study_of: Callable[..., Study]
) -> None:
    """Of a grid whose first factor has too many levels for a sentence each, the best case is told."""
    records = [
        trained("test_a", {"x": x, "y": y}, rate=(x + 1) / 500) for x in range(20) for y in (1, 2)
    ]
    (best,) = words.findings(study_of(records))
    assert best.startswith("Best of 40: At x 19 and y 1, ")


def test_all_failed_is_the_headline(
    trained: Callable[..., Record], study_of: Callable[..., Study]
) -> None:
    """Where no seed of any case trained, no case is called the best."""
    records = [trained("test_a", {"x": x}, diverged=5) for x in range(3)]
    assert words.headline(study_of(records)) == "In all 3 cases every seed failed to train."


def test_counts_are_exact(counted: Callable[..., Record], study_of: Callable[..., Study]) -> None:
    """A model's parameters are said to the last one."""
    study = study_of([counted("LeNet", (400, 120, 84, 10)), counted("Small", (2, 1))])
    assert words.findings(study) == [
        "LeNet: 59,134 parameters in 3 layers.",
        "Small: 3 parameters in 1 layer.",
    ]
    assert words.headline(study) == "2 models counted, from 3 to 59,134 parameters."
