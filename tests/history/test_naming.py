"""A saved run is found by number, name, path, commit, branch, last and latest, or it is an error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dlbench.errors import NotFoundError, RecordError
from dlbench.history import naming
from dlbench.history.naming import STORAGE, Saved, find, matches, saved_runs, storage_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    Save = Callable[..., Path]

FIRST, SECOND = "abcd1234" + "0" * 32, "abcd9999" + "0" * 32


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def four(save: Save) -> list[Path]:
    """Four saved runs: two by name, two by commit; the last of them failed."""
    commit = {"id": FIRST, "branch": "main", "dirty": False}
    return [
        save(1, "nightly", started="2026-01-01T00:00:00+00:00", commit=commit),
        save(2, f"{FIRST}_20260102_030405", started="2026-01-02T00:00:00+00:00", commit=commit),
        save(7, f"{SECOND}_20260103_030405_uncommitted-changes",
             started="2026-01-03T00:00:00+00:00",
             commit={"id": SECOND, "branch": "topic/x", "dirty": True}),
        save(10, "release", started="2026-01-04T00:00:00+00:00", counts={"failed": 1},
             commit={"id": "beef" + "0" * 36, "branch": None, "dirty": False}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("1", 0), ("0001", 0), ("nightly", 0), ("0001_nightly", 0), ("run:nightly", 0),
        ("run:7", 2), ("0010", 3), ("release", 3), (f"{FIRST}_20260102_030405", 1),
        ("0002*", 1), ("Linux*/0002*", 1), ("*/*/0010_*.json", 3), ("file:*nightly*", 0),
        ("abcd9", 2), ("commit:ABCD9999", 2), ("topic/x", 2), ("branch:topic/x", 2),
        ("latest", 2), ("run:latest", 2), ("beef", 3),
    ],
)  # fmt: skip
def test_each_kind_of_name(four: list[Path], name: str, place: int) -> None:
    """Every kind of name means its run, with its prefix and without."""
    assert find(name).path.resolve() == four[place]


def test_a_path_means_its_file(four: list[Path], tmp_path: Path) -> None:
    """A path is taken as it is, absolute or from here, brackets in it included."""
    assert find(str(four[0])).path == four[0]
    odd = tmp_path / "odd[1].json"
    odd.write_bytes(four[0].read_bytes())
    assert find("odd[1].json").path == Path("odd[1].json")
    assert find("file:odd[1].json").number is None


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize("name", ["abcd", "commit:abcd", "*", "branch:main", "abcd1234"])
def test_more_than_one_is_an_error_that_lists_them(name: str) -> None:
    """An ambiguous name says how many runs it means, and their paths."""
    found = matches(name)
    assert len(found) > 1
    with pytest.raises(NotFoundError, match=f"means {len(found)} saved runs") as error:
        find(name)
    assert all(str(one.path) in str(error.value) for one in found)


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize(
    "name",
    ["3", "nightl", "run:abcd9", "commit:nightly", "branch:mai", "", "commit:", "branch:", "file:",
     "a\0b", "*[", "../../etc/passwd"],
)  # fmt: skip
def test_nothing_is_an_error_that_shows_what_there_is(name: str) -> None:
    """A name that means nothing says how many runs are saved, and the newest."""
    with pytest.raises(NotFoundError, match=r"4 are saved under .benchmarks.*'0010_release'"):
        find(name)


def test_an_empty_storage_says_how_to_save() -> None:
    """Without any saved run the remedy is named."""
    with pytest.raises(NotFoundError, match="pytest --benchmark-autosave"):
        find("7")


def test_a_number_in_two_machines_folders_is_two_runs(four: list[Path]) -> None:
    """pytest-benchmark counts in each machine's folder: the machine's name settles it."""
    other = STORAGE / "Linux-CPython-3.12-64bit" / "0001_other.json"
    other.parent.mkdir()
    other.write_bytes(four[0].read_bytes())
    assert [one.machine for one in matches("1")] == [four[0].parent.name, other.parent.name]
    assert find("Linux-CPython-3.12*/0001*").path == other


def test_a_name_wins_over_a_branch_until_the_prefix_says_otherwise(
    four: list[Path], save: Save
) -> None:
    """A run that was saved as a branch is called is found by the name of its file."""
    path = save(11, "topic", commit={"id": "1" * 40, "branch": "release", "dirty": False})
    assert find("release").path.resolve() == four[3]
    assert find("branch:release").path.resolve() == path


def test_numbers_names_and_paths_read_no_file(
    four: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only commits, branches and `latest` are looked for in the files."""

    def refuse(path: Path) -> None:
        raise AssertionError(path)

    monkeypatch.setattr(naming, "read_head", refuse)
    for name in ("7", "nightly", "0002*", str(four[0])):
        assert matches(name)
    with pytest.raises(AssertionError):
        matches("branch:main")


def test_last_is_the_run_beside_the_report(four: list[Path], tmp_path: Path) -> None:
    """`last` is `report/run.json`, or what the caller says; where there is none, an error."""
    with pytest.raises(NotFoundError):
        find("last")
    Path("report").mkdir()
    Path("report/run.json").write_bytes(four[0].read_bytes())
    assert find("last").path == Path("report/run.json")
    assert find("run:last", last=four[3]).path == four[3]


@pytest.mark.parametrize("wrong", [{"complete": False}, {"counts": {"passed": 3, "failed": 1}},
                                   {"counts": {"error": 1}}, {"counts": {}}])  # fmt: skip
def test_latest_is_complete_and_passed(save: Save, wrong: dict[str, Any]) -> None:
    """A newer run that was interrupted, or in which a test failed, is passed over."""
    good = save(1)
    save(2, **wrong)
    assert find("latest").path.resolve() == good


def test_latest_over_machines_is_the_newest_in_time(save: Save) -> None:
    """A lower number on another machine may be newer."""
    save(9, started="2026-01-01T00:00:00+00:00")
    newer = save(1, started="2026-02-01T00:00:00+01:00")
    moved = STORAGE / "Darwin-CPython-3.11-64bit" / newer.name
    moved.parent.mkdir()
    newer.rename(moved)
    assert find("latest").path == moved


def test_latest_passes_over_what_cannot_be_read(save: Save) -> None:
    """A truncated newest file is no match, and no error."""
    good = save(1)
    save(2).write_text("{", encoding="utf-8")
    assert find("latest").path.resolve() == good


def test_what_a_file_name_tells() -> None:
    """Number, name and, of an autosaved run, its commit; a foreign name is a name."""
    one = Saved.of(Path(f"0012_{FIRST}_20260102_030405.json"))
    assert (one.number, one.commit, one.label) == (12, FIRST, "0012 abcd123400 20260102_030405")
    assert Saved.of(Path("0012_unversioned_20260102_030405.json")).commit is None
    other = Saved.of(Path("run.json"))
    assert (other.number, other.name, other.commit, other.label) == (None, "run", None, "run")
    assert Saved.of(Path("99999_a_b.json")).number == 99999


def test_only_json_files_are_saved_runs(four: list[Path], tmp_path: Path) -> None:
    """Other files, hidden ones (a write under way) and folders are none."""
    for name in ("notes.txt", ".0003_x.json.ab12", "sub.json"):
        (four[0].parent / name).mkdir() if name == "sub.json" else (
            four[0].parent / name
        ).write_text("x", encoding="utf-8")
    assert [one.path.resolve() for one in saved_runs()] == four
    assert saved_runs(tmp_path / "nowhere") == []


def test_a_storage_is_a_folder() -> None:
    """A plain path and file://PATH name a folder, as pytest-benchmark has it; others are refused."""
    assert storage_folder() == STORAGE
    assert storage_folder("a/b") == storage_folder("file://a/b") == Path("a/b")
    with pytest.raises(RecordError, match="file://PATH, got 'elasticsearch"):
        storage_folder("elasticsearch+https://host/")


def test_a_head_tells_the_session(four: list[Path], tmp_path: Path) -> None:
    """Time in UTC, commit, branch, whether it is dirty, complete and passed."""
    from dlbench.history.head import read_head

    head = read_head(four[2])
    assert (head.time, head.commit, head.branch) == (
        "2026-01-03T00:00:00+00:00", SECOND, "topic/x",
    )  # fmt: skip
    assert (head.dirty, head.complete, head.passed, head.quick) == (True, True, True, False)
    foreign = tmp_path / "foreign.json"
    document = {
        "benchmarks": [], "datetime": "2026-01-01T01:00:00+01:00",
        "commit_info": {"id": "unversioned", "branch": "(unknown)", "dirty": False},
    }  # fmt: skip
    foreign.write_text(json.dumps(document), encoding="utf-8")
    head = read_head(foreign)
    assert (head.time, head.commit, head.branch) == ("2026-01-01T00:00:00+00:00", None, None)
    assert not head.complete
    assert not head.passed


def test_a_link_that_leads_to_itself_costs_nothing(save: Save, tmp_path: Path) -> None:
    """In a storage, and as a machine's folder: what else lies there is found."""
    path = save(1)
    for place in (path.parent / "loop.json", path.parent.parent / "loop"):
        place.symlink_to(place.name)
    assert [one.path.name for one in saved_runs(path.parent.parent)] == [path.name]
