"""A study's table."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import numpy as np

from dlbench.report.formatting import number, whole
from dlbench.report.tables import table

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.history.record import Record
    from dlbench.report.study import Study


def test_a_row_a_case_with_its_numbers(
    trained: Callable[..., Record],
    by_seed: Callable[..., Any],
    study_of: Callable[..., Study],
) -> None:
    """A row has level, outcome, regimes, final metrics, updates to the target and step time."""
    record = trained("test_a", {"x": 1}, diverged=1, outcome="failed", message="too slow")
    found = table(study_of([record, trained("test_a", {"x": 2})]))
    titles = [column["title"] for column in found["columns"]]
    assert titles[:3] == ["x", "outcome", "regime"]
    assert titles[-2:] == ["updates to target", "time a step"]
    texts = {
        title: cell["text"] for title, cell in zip(titles, found["rows"][0]["cells"], strict=True)
    }
    assert texts["regime"] == "4\N{NO-BREAK SPACE}converged, 1\N{NO-BREAK SPACE}diverged"
    finals = np.sort(by_seed(record, "final_val_accuracy"))  # the one that diverged is NaN: last
    assert texts["final validation accuracy"] == number(float(finals[1]))
    steps = by_seed(record, "steps_to_target")[1:]
    assert texts["updates to target"] == f"{whole(float(np.median(steps)))} (4 of 5)"
    assert found["rows"][0]["message"] == "too slow"


def test_never_sorts_last(trained: Callable[..., Record], study_of: Callable[..., Study]) -> None:
    """A case that never reached the target sorts behind every one that did."""
    found = table(study_of([trained("test_a", {"x": x}, rate=x) for x in (1e-4, 0.02)]))
    column = [one["title"] for one in found["columns"]].index("updates to target")
    never, reached = (row["cells"][column] for row in found["rows"])
    assert never["text"] == "never"
    assert float(never["sort"]) > float(reached["sort"])


def test_the_command_survives_a_shell(
    trained: Callable[..., Record], study_of: Callable[..., Study]
) -> None:
    """What runs a case again is one argument for a shell, whatever the case's id."""
    case = "a b.py::test_x[$(rm -rf ~)-'\"-`x`]"
    found = table(study_of([trained("test_x", {}, case=case)]))
    assert shlex.split(found["rows"][0]["command"]) == ["pytest", case]


def test_seeds_stand_behind_a_case(
    trained: Callable[..., Record], study_of: Callable[..., Study]
) -> None:
    """Each row carries its seeds, a line each, with regime and target."""
    inner = table(study_of([trained("test_a", {}, diverged=2)]))["rows"][0]["inner"]
    assert inner is not None
    assert inner["columns"][1::3] == ["regime", "final validation accuracy"]
    assert inner["columns"][-1] == "updates to target"
    assert [line[0] for line in inner["rows"]] == ["0", "1", "2", "3", "4"]
    assert [line[1] for line in inner["rows"]] == ["diverged"] * 2 + ["converged"] * 3
    assert [line[-1] for line in inner["rows"][:2]] == ["never", "never"]


def test_a_row_tells_what_was_asserted(
    trained: Callable[..., Record], study_of: Callable[..., Study]
) -> None:
    """A line a number, with its bounds and what was measured; one that did not hold says so."""
    keys = ("summary", "metric", "at", "statistic", "comparison", "bound", "measured", "held")
    found: list[tuple[Any, ...]] = [
        ("final", "loss", None, "median", "<=", 0.4, 0.2103, True),
        ("oscillation", "loss", None, "median", ">=", 0.05, 0.191, True),
        ("oscillation", "loss", None, "median", "<=", 0.1, 0.191, False),
        ("steps_to", "val_accuracy", 0.93, "min", "<=", 4000.0, None, False),
        ("share", "failed", None, "", "==", 0.0, 0.0, True),
        ("mean_log_loss", "loss", None, "median", "<", -1.25, -1.82, True),
        ("at", "val_loss", 1000, "max", "<", 2, 1.5, True),
    ]
    asserted = [dict(zip(keys, one, strict=True)) for one in found]
    row, other = table(
        study_of([trained("test_a", {"x": 1}, asserted=asserted), trained("test_a", {"x": 2})])
    )["rows"]
    assert row["asserted"] == [
        "median of final training loss ≤ 0.4; measured 0.210",
        "median of oscillation of training loss ≥ 0.05 and ≤ 0.1; measured 0.191: it did not hold",
        "min of updates to validation accuracy 0.93 ≤ 4,000; measured never: it did not hold",
        "share of seeds that failed = 0; measured 0",
        "median of training loss over the run (mean log) < \N{MINUS SIGN}1.25; measured \N{MINUS SIGN}1.82",
        "max of validation loss after 1,000 updates < 2; measured 1.50",
    ]
    assert other["asserted"] == []


def test_layers_stand_behind_a_model(
    counted: Callable[..., Record], study_of: Callable[..., Study]
) -> None:
    """A model's row has exact totals, and behind it its layers; of very many the largest."""
    study = study_of([counted("LeNet", (400, 120, 84, 10)), counted("Deep", (64, *[8] * 90, 2))])
    lenet, deep = table(study)["rows"]
    assert [cell["text"] for cell in lenet["cells"]][2:5] == ["3", "59,134", "59,134"]
    assert lenet["inner"]["rows"][0][2] == "(400 + 1) x 120"  # type: ignore[index]
    assert len(deep["inner"]["rows"]) == 60  # type: ignore[index]
    assert "60 largest of 91" in deep["inner"]["caption"]  # type: ignore[index]


def test_anchors_are_unique_and_harmless(
    trained: Callable[..., Record], study_of: Callable[..., Study]
) -> None:
    """Rows of one id, or of a hostile one, have anchors of their own in plain letters."""
    records = [trained("test_a", {}, case='"><script>') for _ in range(3)]
    anchors = [row["anchor"] for row in table(study_of(records))["rows"]]
    assert len(set(anchors)) == 3
    assert all(anchor.replace("-", "").isalnum() for anchor in anchors)
