"""Saved runs are read whole or refused by name, and written whole or not at all."""

from __future__ import annotations

import base64
import json
import math
import os
import zlib
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dlbench.errors import RecordError
from dlbench.history import reading
from dlbench.history import run as run_module
from dlbench.history.packing import KNOWN
from dlbench.history.record import KEY, SCHEMA, Record, Timing
from dlbench.history.run import (
    Figure,
    Gated,
    Module,
    Run,
    Session,
    decode_png,
    read_run,
    write_run,
)

HOSTILE = "../../etc/passwd\x1b[31m<script>alert(1)</script>\x00\udc80 = __import__('os')"
"""A text that would do harm if it were ever more than a text."""

TIMING: Timing = {
    "what": "train_on_batch", "rounds": 20, "seconds": 0.005, "iqr": 0.0001,
    "samples_per_second": 6400.0, "epoch_seconds": None,
}  # fmt: skip


def record(**changes: Any) -> Record:
    """Return a record of a case."""
    fields: dict[str, Any] = {
        "kind": "convergence", "case": "benchmarks/test_a.py::test_b[1]", "name": None,
        "module": "benchmarks/test_a.py", "test": "test_b", "params": {"batch_size": 1},
        "outcome": "passed", "message": None, "bounds": "enforced", "runs": {"seeds": [0]},
        "metrics": {"final_loss": [0.5, None]}, "parameters": None, "timing": {**TIMING},
        "environment": {"keras": "3.15.1"}, "duration": 1.5,
    }  # fmt: skip
    return fields | changes  # type: ignore[return-value]


def whole_run(**changes: Any) -> Run:
    """Return a run with everything in it."""
    fields: dict[str, Any] = {
        "records": [record(), record(name="second"), record(case="a.py::other", timing=None)],
        "session": {
            "started": "2026-01-01T00:00:00+00:00", "duration": 9.0, "command": "pytest",
            "seeds": 5, "quick": False, "counts": {"passed": 2}, "complete": True,
            "commit": {"id": "c0ffee", "branch": "main", "dirty": False},
        },
        "introduction": "# Why",
        "modules": {"benchmarks/test_a.py": {"theory": "# T", "discussion": "D"}},
        "figures": [{"case": "a.py::other", "module": "a.py", "caption": "c", "png": "iVBORw0K"}],
    }  # fmt: skip
    return Run(**(fields | changes))


def strict(text: bytes) -> Any:
    """Read JSON that holds no NaN and no Infinity."""

    def forbidden(word: str) -> None:
        raise AssertionError(word)

    return json.loads(text, parse_constant=forbidden)


# ---- round trip


def test_round_trip(tmp_path: Path) -> None:
    """A run is read as it was written."""
    write_run(whole_run(), tmp_path / "run.json")
    assert read_run(tmp_path / "run.json") == whole_run()


def test_an_empty_run(tmp_path: Path) -> None:
    """A run without records, session and texts is written and read too."""
    write_run(Run(records=[]), tmp_path / "run.json")
    assert read_run(tmp_path / "run.json") == Run(records=[])


def test_the_document_has_pytest_benchmarks_shape() -> None:
    """Records lie in `extra_info` under one key, one benchmark a case; the rest at the top."""
    document = whole_run().to_document()
    assert [b["fullname"] for b in document["benchmarks"]] == [record()["case"], "a.py::other"]
    first = document["benchmarks"][0]
    assert first["name"] == "test_b[1]"
    assert first["params"] == {"batch_size": 1}
    assert first["extra_info"] == {
        KEY: {"schema": SCHEMA, "records": [record(), record(name="second")]}
    }
    assert document["datetime"] == "2026-01-01T00:00:00+00:00"
    assert document["commit_info"]["id"] == "c0ffee"
    assert document[KEY]["schema"] == SCHEMA


def test_no_file_ever_holds_nan(tmp_path: Path) -> None:
    """Numbers that are not finite are written as null, wherever they stand."""
    broken = record(duration=math.nan, metrics={"final_loss": [math.inf, -math.inf, math.nan]})
    write_run(whole_run(records=[broken]), tmp_path / "run.json")
    content = strict((tmp_path / "run.json").read_bytes())
    (written,) = content["benchmarks"][0]["extra_info"][KEY]["records"]
    dictionary = zlib.decompress(base64.b64decode(content[KEY]["dictionary"]))
    inflate = zlib.decompressobj(zdict=dictionary)
    packed = strict(inflate.decompress(base64.b64decode(written["packed"])))
    inflate = zlib.decompressobj(zdict=KNOWN)
    (text,) = content[KEY]["numbers"].values()
    numbers = strict(inflate.decompress(base64.b64decode(text)))
    assert packed["duration"] is None
    assert numbers["metrics"] == {"final_loss": [None, None, None]}


def test_names_are_only_data(tmp_path: Path) -> None:
    """Paths, markup, control characters and half surrogates come back as the texts they are."""
    made = whole_run(
        records=[record(case=HOSTILE, name=HOSTILE, message=HOSTILE, params={HOSTILE: HOSTILE})],
        introduction=HOSTILE,
        figures=[],
        modules={HOSTILE: {"theory": HOSTILE, "discussion": HOSTILE}},
    )
    path = tmp_path / "run.json"
    write_run(made, path)
    path.read_text(encoding="utf-8")
    assert read_run(path) == made
    assert list(tmp_path.iterdir()) == [path]


TEXT = st.text(st.characters(exclude_categories=()), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(case=TEXT, message=TEXT, params=st.dictionaries(TEXT, TEXT, max_size=3))
def test_any_text_round_trips(
    tmp_path: Path, case: str, message: str, params: dict[str, str]
) -> None:
    """Every string that Python knows, half surrogates included, is written and read."""
    made = whole_run(records=[record(case=case, message=message, params=params)])
    write_run(made, tmp_path / "run.json")
    assert read_run(tmp_path / "run.json") == made


def test_field_tables_are_the_typed_dicts() -> None:
    """What is checked when reading is what the types say, field by field."""
    assert run_module._RECORD.keys() == Record.__required_keys__ - {"gate", "asserted"}
    assert run_module._TIMING.keys() == Timing.__required_keys__
    for table, typed in (
        (run_module._SESSION, Session),
        (run_module._MODULE, Module),
        (run_module._FIGURE, Figure),
    ):
        assert table.keys() == get_type_hints(typed, {"Plain": object}).keys() - {"gate"}
    assert run_module._GATED.keys() == get_type_hints(Gated).keys()


# ---- foreign, old, new


def test_pytest_benchmarks_own_file_is_a_run_without_records(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real file of pytest-benchmark's, written without us, reads as a run with no records."""
    # These tests may run under pytest-xdist themselves, and pytest-benchmark is off beneath it.
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    pytester.makepyfile(
        """
        def test_it(benchmark):
            benchmark.extra_info["own"] = float("nan")
            benchmark.pedantic(lambda: None, rounds=2)
        """
    )
    result = pytester.runpytest_inprocess("--benchmark-json=saved.json", "-p", "no:dlbench", "-q")
    result.assert_outcomes(passed=1)
    saved = pytester.path / "saved.json"
    assert b"NaN" in saved.read_bytes()
    assert json.loads(saved.read_bytes())["benchmarks"][0]["extra_info"].keys() == {"own"}
    assert read_run(saved) == Run(records=[])


def test_foreign_cases_beside_ours_are_passed_over() -> None:
    """In a file with other people's benchmarks, ours are found."""
    document = whole_run().to_document()
    document["benchmarks"][:0] = [{"name": "theirs"}, {"extra_info": None}, {"extra_info": {}}, 5]
    assert Run.from_document(document).records == whole_run().records


def test_more_fields_do_no_harm() -> None:
    """A file with fields that a later version adds within a schema is read."""
    document = whole_run(records=[record(later=1)]).to_document()
    document[KEY]["later"] = 2
    assert Run.from_document(document).records == [record(later=1)]


def test_a_newer_schema_is_refused_with_the_remedy(tmp_path: Path) -> None:
    """At the top or in a case, a newer schema names itself, the file and the upgrade."""
    path = tmp_path / "run.json"
    for place in (KEY, "benchmarks"):
        document = whole_run().to_document()
        part = document[KEY] if place == KEY else document["benchmarks"][0]["extra_info"][KEY]
        part["schema"] = SCHEMA + 1
        path.write_text(json.dumps(document), encoding="utf-8")
        with pytest.raises(RecordError, match=r"schema 4; this one reads up to 3.*--upgrade") as e:
            read_run(path)
        assert str(e.value).count(str(path)) == 1


@pytest.mark.parametrize("schema", [None, "1", 1.0, 0, -1, []])
def test_no_schema_is_refused(schema: object) -> None:
    """A schema is a number from 1."""
    with pytest.raises(RecordError, match="no schema number"):
        Run.from_document({"benchmarks": [], KEY: {"schema": schema}})


# ---- broken


def test_every_truncated_file_is_refused(tmp_path: Path) -> None:
    """Wherever a file is cut off, it is named and not read as something shorter."""
    write_run(whole_run(), tmp_path / "run.json")
    content = (tmp_path / "run.json").read_bytes()
    path = tmp_path / "cut.json"
    for length in [*range(0, len(content) - 1, 37), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(RecordError, match=r"cut\.json: "):
            read_run(path)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\xff\xfe\xfd", b"null", b"[]", b"{}", b'{"benchmarks": 5}', b'{"benchmarks": {}}',
        b"\x00" * 50, b"PK\x03\x04", b"[" * 200_000, b'{"a":' * 100_000, b"9" * 10_000,
        b'{"benchmarks": [], "dlbench": 5}', b'{"benchmarks": [], "dlbench": [1]}',
    ],
)  # fmt: skip
def test_what_is_no_saved_run_is_refused(tmp_path: Path, content: bytes) -> None:
    """Empty, binary, deeply nested or other JSON is a `RecordError` that names the file."""
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=r"a\.json: "):
        read_run(path)


def test_missing_large_and_endless_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file, a folder, a file too large and a pipe that never ends: each says what it is."""
    with pytest.raises(RecordError, match=r"none\.json: cannot be read: No such file"):
        read_run(tmp_path / "none.json")
    with pytest.raises(RecordError, match="not a file"):
        read_run(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RecordError, match="not a file"):
        read_run(tmp_path / "pipe")
    with pytest.raises(RecordError):
        read_run(Path("a\0b"))
    write_run(whole_run(), tmp_path / "run.json")
    monkeypatch.setattr(reading, "MAX_BYTES", (tmp_path / "run.json").stat().st_size - 1)
    with pytest.raises(RecordError, match="larger than") as e:
        read_run(tmp_path / "run.json")
    assert str(e.value).count("run.json") == 1


@pytest.mark.parametrize("name", sorted(record()))
def test_each_field_of_a_record_is_checked(name: str) -> None:
    """A field that is missing or of another type is named."""
    document = whole_run().to_document()
    written = document["benchmarks"][0]["extra_info"][KEY]["records"]
    written[1] = {key: value for key, value in record().items() if key != name}
    with pytest.raises(RecordError, match=f"lacks {name}"):
        Run.from_document(document)
    written[1] = record(**{name: ()})
    with pytest.raises(RecordError, match=f"the {name} of a record is tuple, expected"):
        Run.from_document(document)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
PLACES = [
    (), (KEY,), (KEY, "schema"), (KEY, "session"), (KEY, "session", "counts"), (KEY, "modules"),
    (KEY, "modules", "benchmarks/test_a.py"), (KEY, "figures"), (KEY, "figures", 0),
    (KEY, "figures", 0, "png"), (KEY, "introduction"), ("benchmarks",), ("benchmarks", 0),
    ("benchmarks", 0, "extra_info"), ("benchmarks", 0, "extra_info", KEY),
    ("benchmarks", 0, "extra_info", KEY, "schema"),
    ("benchmarks", 0, "extra_info", KEY, "records"),
    ("benchmarks", 0, "extra_info", KEY, "records", 0),
    ("benchmarks", 0, "extra_info", KEY, "records", 0, "case"),
    ("benchmarks", 0, "extra_info", KEY, "records", 0, "timing"),
    ("benchmarks", 0, "extra_info", KEY, "records", 0, "timing", "rounds"),
]  # fmt: skip


def planted(place: tuple[str | int, ...], value: object) -> object:
    """Return a whole run's document with something else at a place in it."""
    document: Any = whole_run().to_document()
    if not place:
        return value
    part = document
    for step in place[:-1]:
        part = part[step]
    part[place[-1]] = value
    return document


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(place=st.sampled_from(PLACES), value=JSON)
@example(place=PLACES[-5], value=5)
@example(place=(KEY, "modules"), value=[[1, 2]])
@example(place=(KEY, "figures"), value="ab")
@example(place=(KEY, "session"), value="ab")
def test_reading_never_fails_otherwise(
    tmp_path: Path, place: tuple[str | int, ...], value: object
) -> None:
    """Whatever stands at any place, a file is read into a run that can be used, or refused."""
    path = tmp_path / "run.json"
    path.write_text(json.dumps(planted(place, value)), encoding="utf-8")
    try:
        read = read_run(path)
    except RecordError:
        return
    assert Run.from_document(read.to_document()) == read


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(content=st.binary(max_size=40))
def test_reading_bytes_never_fails_otherwise(tmp_path: Path, content: bytes) -> None:
    """Any bytes are refused in the same way."""
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(RecordError):
        read_run(path)


# ---- figures


def test_figures_are_png_or_refused() -> None:
    """A figure's text is decoded where it is a PNG, and refused where it is anything else."""
    picture = b"\x89PNG\r\n\x1a\n" + bytes(range(256))

    def figure(png: str) -> Figure:
        return {"case": "c", "module": "m", "caption": "", "png": png}

    assert decode_png(figure(base64.b64encode(picture).decode())) == picture
    with pytest.raises(RecordError, match="no longer lies beside its run"):
        decode_png(figure(""))
    for text in ("????", "é", base64.b64encode(b"<svg onload=alert(1)>").decode()):
        with pytest.raises(RecordError, match="the figure of c is no"):
            decode_png(figure(text))


@pytest.mark.parametrize("gate", ["x", {}, {"false_alarm": "x", "missing": []}])
def test_a_damaged_session_of_the_gate(tmp_path: Path, gate: Any) -> None:
    """It is refused like any other field of the wrong type; without one a session is whole."""
    path = tmp_path / "run.json"
    whole = whole_run()
    assert whole.session is not None
    for told in ({"gate": {"false_alarm": 0.01, "missing": ["a.py::t"]}}, {}):
        write_run(whole_run(session=whole.session | told), path)
        assert read_run(path).session == whole.session | told
    write_run(whole_run(session=whole.session | {"gate": gate}), path)
    with pytest.raises(RecordError, match="session's gate"):
        read_run(path)


def test_a_path_may_be_text(tmp_path: Path) -> None:
    """A run is read from a `str` as from a `Path`."""
    write_run(whole_run(), tmp_path / "run.json")
    assert read_run(str(tmp_path / "run.json")) == read_run(tmp_path / "run.json")
