"""Every number in the words of a page, taken apart again against the records of a real run.

Nothing of the report's own arithmetic or rounding is used here: what a number may be is found from
the saved record, and it agrees if it is that value to its last digit.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dlbench.history.run import read_run
from dlbench.report.analysis import analyses
from dlbench.report.summary import StudyText, Summary, summarized

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from dlbench.history.record import Record
    from dlbench.history.run import Run

NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")
QUARTERS = (0, 0.25, 0.5, 0.75, 1)
PLACES = {"test_width": "width {}", "test_rate": "learning rate {:.4g}", "test_trap": "with {}"}
"""How a case of each test is named in a sentence."""


@pytest.fixture(scope="module")
def run(small: Path) -> Run:
    """What was trained."""
    return read_run(small / "run.json")


@pytest.fixture(scope="module")
def summary(run: Run) -> Summary:
    """What the page says of it."""
    return summarized(run, analyses(run))


def said(text: str) -> list[str]:
    """Return the numbers that a text says."""
    return [found.rstrip(",") for found in NUMBER.findall(text)]


def agrees(text: str, value: float) -> bool:
    """Return whether a number as written is a value, rounded to the last digit written."""
    digits, _, exponent = text.replace(",", "").partition("e")
    unit = 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))
    return abs(float(text.replace(",", "")) - value) <= unit * (0.5 + 1e-6)


def facts_of(record: Record) -> Iterator[float]:
    """Return what a sentence about one case may say: settings, counts of seeds, its own results."""
    if record["parameters"]:
        table: Any = record["parameters"]
        yield from (table["unique"], table["non_trainable"], len(table["rows"]))
        for row in table["rows"]:
            yield from (row["trainable"], 100 * row["trainable"] / table["unique"])
        return
    runs: Any = record["runs"]
    metrics: Any = record["metrics"]
    experiment = runs["experiment"]
    yield from (experiment["batch_size"], experiment["steps"], experiment["target"]["value"])
    yield experiment["optimizer"]["learning_rate"]
    yield len(runs["seeds"])
    yield from Counter(metrics["regime"]).values()
    metric = experiment["target"]["metric"]
    for name in ("steps_to_target", f"final_{metric}"):
        values = [value for value in metrics[name] if value is not None]
        yield from np.quantile(values, QUARTERS) if values else ()
        yield len(values)
    if set(metrics["regime"]) == {"diverged"}:
        yield diverged_by(record)


def diverged_by(record: Record) -> float:
    """Return the first point from which on every seed's loss was 1.5 times its first or more."""
    from dlbench.runs import Runs

    runs = Runs.from_builtins(record["runs"])  # type: ignore[arg-type]
    loss = runs.curves["loss"]
    fine = (loss <= 1.5 * loss[:, :1]).any(axis=0)  # false where a loss is NaN
    return float(runs.points[np.flatnonzero(fine)[-1] + 1])


def made_up(text: str, records: Sequence[Record], more: Iterable[float] = ()) -> list[str]:
    """Return the numbers in a text that are not those of the cases that it names, or of all if none."""
    named = []
    for record in sorted(records, key=lambda one: -len(_place(one))):
        place = re.compile(rf"(?i){re.escape(_place(record))}(?!\d|\.\d|e)")
        if _place(record) and place.search(text):
            named.append(record)
            text = place.sub("", text)
    allowed = [len(records), *more, *(fact for one in named or records for fact in facts_of(one))]
    return [one for one in said(text) if not any(agrees(one, value) for value in allowed)]


def _place(record: Record) -> str:
    return PLACES.get(record["test"], "").format(*record["params"].values())


def of(study: StudyText, run: Run) -> list[Record]:
    """Return a study's records."""
    return [record for record in run.records if record["test"] == study["test"]]


def test_findings(run: Run, summary: Summary) -> None:
    """What came out of a case is said in that case's own numbers."""
    count = 0
    for analysis in summary["analyses"]:
        for study in analysis["studies"]:
            for text in study["findings"]:
                assert made_up(text, of(study, run)) == [], text
                count += len(said(text))
    assert count > 60


def test_questions(run: Run, summary: Summary) -> None:
    """What was asked is said in the levels of the grid and the settings of its experiments."""
    for analysis in summary["analyses"]:
        for study in analysis["studies"]:
            records = of(study, run)
            levels = [value for one in records for value in one["params"].values()]
            text = study["question"]
            for level in levels:
                text = text.replace(level, "") if isinstance(level, str) else text
            numbers = [level for level in levels if isinstance(level, (int, float))]
            facts = [*numbers, *(fact for one in records for fact in facts_of(one)), len(records)]
            told = said(text)
            assert [n for n in told if not any(agrees(n, fact) for fact in facts)] == [], text


def test_headlines(run: Run, summary: Summary) -> None:
    """The conclusion of an analysis is its largest study's best case, and how many tests passed."""
    for analysis in summary["analyses"]:
        tests = [record for record in run.records if record["module"] == analysis["module"]]
        passed = sum(record["outcome"] == "passed" for record in tests)
        text, _, counted = analysis["headline"].removesuffix(" passed.").rpartition(". ")
        assert counted == f"{passed} of {len(tests)} tests"
        largest = max((of(study, run) for study in analysis["studies"]), key=len)
        assert said(text)
        assert made_up(text, largest) == [], text


def test_standing(run: Run, summary: Summary) -> None:
    """How it stands is said in the session's counts and its duration."""
    session = run.session
    assert session is not None
    counts = [*session["counts"].values(), sum(session["counts"].values())]
    numbers = said(summary["standing"])
    assert len(numbers) >= 3
    for text in numbers:
        assert any(agrees(text, value) for value in [*counts, session["duration"]])


def test_alt_texts_and_captions(run: Run, summary: Summary, small: Path) -> None:
    """What a figure says to those who do not see it is true of the cases of its study."""
    page = (small / "index.html").read_text(encoding="utf-8")
    count = 0
    for analysis in summary["analyses"]:
        for study in analysis["studies"]:
            section = page.partition(f'<section id="{study["anchor"]}"')[2]
            section = section.partition("</section>")[0]
            alts = re.findall(r'<img [^>]*? alt="(.*?)" width', section)
            captions = re.findall("<figcaption>(.*?)<span", section)
            own = {figure["caption"] for figure in run.figures}
            for text in map(html.unescape, alts + captions):
                if text.strip().removesuffix(".") in own:
                    continue
                assert made_up(text, of(study, run)) == [], text
                count += len(said(text))
    assert count > 20


def test_a_number_of_another_case_is_found(run: Run, summary: Summary) -> None:
    """One case's results under another's name, and a number out of the air, do not pass."""
    (study,) = (
        study
        for analysis in summary["analyses"]
        for study in analysis["studies"]
        if study["test"] == "test_rate"
    )
    records = of(study, run)
    told = [text.partition(", ") for text in study["findings"]]
    own = [made_up("".join(parts), records) for parts in told]
    assert own == [[]] * len(records)
    swapped = [
        made_up(place + comma + other, records)
        for place, comma, result in told
        for _, _, other in told
        if other != result and "final" in other
    ]
    assert len(swapped) > 30
    assert all(swapped)
    assert made_up(f"{study['findings'][2]} The best was 0.7777.", records) == ["0.7777"]
