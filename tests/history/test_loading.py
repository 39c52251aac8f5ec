"""Many saved runs become one tidy frame; what cannot be read is named and costs no other."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import dlbench
from dlbench.errors import NotFoundError, RecordError
from dlbench.history import load, packing, read_history
from dlbench.history.frame import COLUMNS
from dlbench.history.record import KEY, SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable

    Save = Callable[..., Path]
    Made = tuple[Callable[..., dict[str, Any]], Callable[..., dict[str, Any]]]

CASE = "bench/test_a.py::test_b[1]"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)


def test_a_row_a_run_case_metric_and_seed(save: Save, made: Made) -> None:
    """Two runs of two cases of three seeds: every number is there once, with what belongs to it."""
    for number in (1, 2):
        records = [made[0](case, 3, number) for case in (CASE, "c.py::test_d")]
        save(number, "nightly", records=records, started=f"2026-01-0{number}T00:00:00+00:00")
    frame = load()
    assert list(frame.columns) == list(COLUMNS)
    metrics = ["mean_log_loss", "final_val_accuracy", "steps_to_target"]
    assert len(frame) == 2 * 2 * (len(metrics) * 3 + 1)
    assert not frame.duplicated(["run", "case", "metric", "seed"]).any()
    one = frame[(frame["number"] == 2) & (frame["case"] == CASE)].set_index(["metric", "seed"])
    assert one.loc[("mean_log_loss", 1), "value"] == 2.51
    first = one.loc[("mean_log_loss", 0)]
    expected = {
        "run": "0002_nightly", "branch": "main", "dirty": False, "complete": True, "quick": False,
        "kind": "convergence", "outcome": "passed", "bounds": "enforced", "regime": "converged",
        "start": f"{0:016x}", "experiment": "a1b2", "python": "3.11.7", "torch": "2.13.0",
        "device": "cpu", "machine": "Linux-CPython-3.11-64bit",
    }  # fmt: skip
    assert {name: first[name] for name in expected} == expected
    assert first["time"] == pd.Timestamp("2026-01-02", tz="UTC")
    assert Path(first["path"]).is_file()


def test_numbers_that_are_none(save: Save, made: Made) -> None:
    """A target that was never met is infinite; a metric that was not finite is NaN."""
    record = made[0](CASE, 2, 0.0)
    record["metrics"]["mean_log_loss"] = [0.5, None]
    save(1, records=[record])
    frame = load().set_index(["metric", "seed"])["value"]
    assert frame["steps_to_target", 1] == math.inf
    assert math.isnan(frame["mean_log_loss", 1])


def test_what_has_no_seed(save: Save, made: Made) -> None:
    """A step's time and a model's parameters have one value a record, and no seed."""
    counted = made[0]("p.py::test_p", 0, 0.0, kind="parameters", runs=None, metrics=None,
                      timing=None, parameters={"unique": 61706, "rows": []})  # fmt: skip
    save(1, records=[made[0](CASE, 2, 0.0), counted])
    frame = load()
    single = frame[frame["seed"].isna()].set_index("metric")["value"].to_dict()
    assert single == {"step_seconds": 0.002, "parameters": 61706.0}


def test_runs_stand_in_order_of_time(save: Save) -> None:
    """The oldest first, whatever the numbers say."""
    save(1, "late", started="2026-03-01T00:00:00+00:00")
    save(2, "early", started="2026-02-28T20:00:00-05:00")
    assert list(load()["run"].unique()) == ["0001_late", "0002_early"]
    save(3, "earliest", started="2026-02-28T23:00:00+00:00")
    assert list(load()["run"].unique()) == ["0003_earliest", "0001_late", "0002_early"]


def test_a_folder_with_broken_files_loads_the_rest(save: Save, made: Made) -> None:
    """Truncated, foreign, newer and damaged files are named with the reason."""
    good = save(1)
    text = good.read_text(encoding="utf-8")
    newer = json.loads(text)
    newer[KEY]["schema"] = SCHEMA + 1
    broken = {
        "0002_truncated": text[: len(text) // 2],
        "0003_empty": "",
        "0004_other": '{"name": "package.json"}',
        "0005_newer": json.dumps(newer),
        "0006_theirs": json.dumps(made[1]([]) | {"benchmarks": [{"fullname": "a"}]}),
        "0007_damaged": text.replace('test_b[1]": "', 'test_b[1]": "!'),
    }
    for name, content in broken.items():
        good.with_name(f"{name}.json").write_text(content, encoding="utf-8")
    history = read_history()
    assert [run.saved.path.name for run in history.runs] == [good.name]
    reasons = {path.stem: reason for path, reason in history.skipped}
    assert list(reasons) == list(broken)
    for name, words in {
        "0003_empty": "Expecting value", "0004_other": "no saved run", "0005_newer": "--upgrade",
        "0006_theirs": "no case of dlbench's", "0007_damaged": "damaged",
    }.items():  # fmt: skip
        assert words in reasons[name]
        assert name not in reasons[name]
    frame = load()
    assert list(frame["run"].unique()) == [good.stem]
    assert [Path(path).stem for path, _ in frame.attrs["skipped"]] == list(broken)


def test_only_cases_that_are_asked_for(save: Save, made: Made) -> None:
    """A run without the case is no error, and not among those passed over."""
    save(1, records=[made[0](CASE, 2, 0.0), made[0]("c.py::test_d", 2, 0.0)])
    save(2, records=[made[0]("c.py::test_d", 2, 0.0)])
    for cases in (lambda case: case == CASE, CASE, CASE[2:]):
        frame = load(cases=cases)
        assert list(frame["run"].unique()) == ["0001_x"]
        assert list(frame["case"].unique()) == [CASE]
        assert frame.attrs["skipped"] == []


def test_only_metrics_that_are_asked_for(save: Save, made: Made) -> None:
    """Others are left out where one of these is there; all of them stay categories."""
    bare = made[0]("c.py::test_d", 2, 0.0, metrics={"final_loss": [1.0, 2.0]}, timing=None)
    save(1, records=[made[0](CASE, 3, 0.5), bare])
    whole, some = load(), load(metrics=["mean_log_loss", "step_seconds"])
    kept = whole["metric"].isin(["mean_log_loss", "step_seconds"]) | (whole["case"] != CASE)
    assert list(some["metric"].cat.categories) == list(whole["metric"].cat.categories)
    pd.testing.assert_frame_equal(some, whole[kept].reset_index(drop=True), check_categorical=False)
    assert len(some) == 3 + 1 + 2


def test_what_where_can_be(save: Save, tmp_path: Path) -> None:
    """A storage folder, a file, names of runs, and paths."""
    paths = [save(number) for number in (1, 2, 3)]
    for where, count in (
        (None, 3), (".benchmarks", 3), (Path(".benchmarks"), 3), (f"file://{tmp_path}/.benchmarks", 3),
        (paths[0], 1), (str(paths[0]), 1), ("2", 1), (["2", "0003_x", "2"], 2), (paths[:2], 2),
        (paths[0].parent, 3),
    ):  # fmt: skip
        assert load(where)["path"].nunique() == count, where
    with pytest.raises(NotFoundError, match="nowhere"):
        load("nowhere")
    with pytest.raises(NotFoundError, match="77"):
        load(["2", "77"])
    with pytest.raises(RecordError, match="file://PATH"):
        load("elasticsearch+https://host/")


def test_nothing_saved_is_an_empty_frame() -> None:
    """Without any saved run every column is there, and no row."""
    frame = load()
    assert list(frame.columns) == list(COLUMNS)
    assert len(frame) == 0


def test_the_first_schema_reads_the_same(save: Save, made: Made) -> None:
    """A record in plain sight gives the same rows as a packed one."""
    records = [made[0](CASE, 3, 0.0), made[0]("c.py::test_d", 2, 0.0, name="second")]
    path = save(1, records=records)
    packed = load()
    path.write_text(json.dumps(made[1](records)), encoding="utf-8")
    plain = load()
    pd.testing.assert_frame_equal(
        packed.astype({"start": str}), plain.astype({"start": str}), check_categorical=False
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"metrics": {"a": [1.0], "b": [1.0, 2.0], "c": "x", "d": ["x", 1.0], "e": [[1.0], [2.0]]}},
        {"metrics": {"a": [10**400, 1]}},
        {"metrics": {}},
        {"runs": {"seeds": "ab", "starts": 5}},
        {"runs": {"seeds": [2**70, 1, 2], "starts": [1, 2, 3]}},
        {"runs": {"seeds": [1, 1, 1]}},
        {"timing": None, "parameters": {"unique": 10**400}},
        {"environment": {"python": {"a": 1}, "torch": 5}},
    ],
    ids=str,
)
def test_a_record_of_odd_shape_never_fails(save: Save, made: Made, changes: dict[str, Any]) -> None:
    """What does not fit is left out, in both schemas; the other record is there."""
    records = [made[0](CASE, 3, 0.0, **changes), made[0]("c.py::test_d", 2, 0.0)]
    path = save(1, records=records)
    assert "c.py::test_d" in set(load()["case"])
    path.write_text(json.dumps(made[1](records)), encoding="utf-8")
    assert "c.py::test_d" in set(load()["case"])


@pytest.mark.parametrize("depth", [900, 1000, 1015, 100_000])
@pytest.mark.parametrize("where", ['"kind":', '"outcome":', '"device": ', '"digests": [\n'])
def test_what_is_nested_without_end_costs_no_other_file(
    save: Save, made: Made, where: str, depth: int
) -> None:
    """A parser may take more levels than Python can print; a table shows what else there is."""
    save(1, records=[made[0](CASE, 3, 0.0)])
    path = save(2, records=[made[0](CASE, 3, 0.0)])
    deep = "[" * depth + "]" * depth
    text = path.read_text(encoding="utf-8")
    if where.endswith(":"):
        (packed,) = json.loads(text)[KEY]["numbers"].values()
        plain = packing._inflated(packing._bytes(packed), packing.KNOWN, packing.MOST_TEXT)
        changed = re.sub(f'{where}"[a-z]+"', where + deep, plain.decode()).encode()
        text = text.replace(packed, packing._base64(packing._deflated(changed, packing.KNOWN)))
    else:
        start = text.rindex(where) + len(where)
        text = text[:start] + re.sub('"[^"]*"', deep, text[start:], count=1)
    path.write_text(text, encoding="utf-8")
    frame = load()
    assert "0001_x" in set(frame["run"])
    assert len(set(frame["run"])) + len(frame.attrs["skipped"]) == 2


@pytest.mark.parametrize(
    ("given", "read"),
    [([5, 3, 4], [5, 3, 4]), ([1, 1, 1], [0, 1, 2]), ([2**63, 1, 2], [0, 1, 2]), ([-1, 0, 1], [0, 1, 2]),
     ([True, 2, 3], [0, 1, 2]), ([1, 2], [0, 1, 2])],
    ids=str,
)  # fmt: skip
def test_seeds_that_are_none(save: Save, made: Made, given: list[int], read: list[int]) -> None:
    """Seeds that are out of range, twice there or too few are numbered instead."""
    record = made[0](CASE, 3, 0.0)
    save(1, records=[record | {"runs": record["runs"] | {"seeds": given}}])
    assert read_history().runs[0].records[0].seeds == tuple(read)


def test_the_facade_leads_here() -> None:
    """`dlbench.history.load` needs no import of its own; other names are attribute errors."""
    assert dlbench.history.load is load
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        dlbench.history.nonsense  # noqa: B018
