"""Old files load for ever, and damage to a file is an error that names it, never a traceback."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlbench.errors import RecordError
from dlbench.history import load, read_history, read_run
from dlbench.history.head import read_head
from dlbench.history.packing import KNOWN, MOST_TEXT, _deflated, _inflated, dictionary_of
from dlbench.history.record import KEY
from dlbench.history.trend import trends

SAMPLES = sorted(Path(__file__).with_name("samples").glob("*.json"))
FLIPS = 340
"""Of each sample."""


def named(path: Path) -> str:
    """Return a sample's name."""
    return path.stem


@pytest.fixture(params=SAMPLES, ids=named)
def sample(request: pytest.FixtureRequest) -> Path:
    """Each sample: the first schema in both files, the others in pytest-benchmark's."""
    path: Path = request.param
    return path


def test_every_schema_has_a_sample() -> None:
    """One more schema means one more sample."""
    assert [path.stem for path in SAMPLES] == [
        "schema-1-pytest-benchmark", "schema-1-run", "schema-2-pytest-benchmark",
        "schema-3-pytest-benchmark",
    ]  # fmt: skip


def test_a_sample_says_the_same_in_every_schema(sample: Path) -> None:
    """A training that failed and a model that was counted, with every field."""
    trained, counted = read_run(sample).records
    assert (trained["kind"], trained["outcome"]) == ("convergence", "failed")
    assert trained["message"] == "AssertionError: assert 'slow' == 'converged'"
    assert (counted["kind"], counted["outcome"]) == ("parameters", "passed")
    assert trained == read_run(SAMPLES[0]).records[0] | {"metrics": trained["metrics"]}
    assert counted == read_run(SAMPLES[0]).records[1]
    head = read_head(sample)
    assert (head.commit, head.branch) == ("0123456789abcdef0123456789abcdef01234567", "main")
    assert (head.quick, head.complete, head.passed) == (True, True, False)


def test_a_sample_is_part_of_a_history(sample: Path) -> None:
    """Every schema gives the same rows."""
    frame, first = load(sample), load(SAMPLES[0])
    columns = ["metric", "seed", "regime", "start", "experiment", "torch", "device", "outcome"]
    assert frame[columns].astype(str).equals(first[columns].astype(str))
    assert frame["value"].to_numpy() == pytest.approx(
        first["value"].to_numpy(), rel=1e-8, nan_ok=True
    )
    assert len(frame) > 10


def test_the_figure_in_an_old_run_is_kept() -> None:
    """The first schema kept pictures inside."""
    (figure,) = read_run(SAMPLES[1]).figures
    assert figure["caption"] == "A picture"


def used(path: Path) -> bool:
    """Read a file in every way, and use what was read; return whether it was read as a whole run."""
    history = read_history([path])
    frame = load([path])
    if len(frame):
        for trend in trends(frame):
            assert len(trend.table) == 1
    assert len(history.runs) + len(history.skipped) == 1
    assert str(path) not in "".join(reason for _, reason in history.skipped)
    try:
        read_run(path)
    except RecordError as error:
        told = str(error)
    else:
        return True
    assert told.startswith(f"{path}: ")
    return False


def test_a_flipped_byte_is_never_a_traceback(sample: Path, tmp_path: Path) -> None:
    """340 times a byte of a real file becomes another one, or a few do: it is read, or it is refused."""
    content, chance = sample.read_bytes(), random.Random(0)  # noqa: S311 - nothing secret
    path = tmp_path / "flipped.json"
    read = 0
    for flip in range(FLIPS):
        damaged = bytearray(content)
        for _ in range(1 + flip % 3):
            damaged[chance.randrange(len(damaged))] = chance.choice(
                [chance.randrange(256), *b'"{}[],:0-1e\\\n']
            )
        path.write_bytes(damaged)
        read += used(path)
    assert 0 < read < FLIPS


def test_a_file_cut_off_anywhere_is_refused(sample: Path, tmp_path: Path) -> None:
    """Of every length that was tried, none is read as something shorter."""
    content = sample.read_bytes().rstrip()
    path = tmp_path / "cut.json"
    for length in range(0, len(content), max(1, len(content) // 60)):
        path.write_bytes(content[:length])
        assert not used(path)
        assert read_history([path]).runs == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to every value within a document."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, (dict, list)):
        inner = list(value.items() if isinstance(value, dict) else enumerate(value))
    return [path, *(place for key, part in inner for place in places(part, (*path, key)))]


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None
)
@given(data=st.data(), value=JSON)
def test_any_value_at_any_place_is_no_traceback(
    sample: Path, tmp_path: Path, data: st.DataObject, value: object
) -> None:
    """Whatever stands at any place of a document, in either form of JSON, it is read or refused."""
    document = json.loads(sample.read_bytes())
    place = data.draw(st.sampled_from(places(document)))
    if not place:
        document = value
    else:
        part = document
        for step in place[:-1]:
            part = part[step]
        part[place[-1]] = value
    path = tmp_path / "planted.json"
    path.write_text(json.dumps(document, indent=data.draw(st.sampled_from([None, 4]))))
    used(path)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None
)
@given(data=st.data(), value=JSON)
def test_any_value_within_a_packed_text_is_no_traceback(
    tmp_path: Path, data: st.DataObject, value: object
) -> None:
    """The same behind the packing, whose checksums a flipped byte does not pass."""
    document = json.loads(data.draw(st.sampled_from(SAMPLES[2:])).read_bytes())
    case = data.draw(st.sampled_from(document["benchmarks"]))
    (stored,) = case["extra_info"][KEY]["records"]
    field: Any = data.draw(st.sampled_from(["numbers", "packed"]))
    known = KNOWN if field == "numbers" else dictionary_of(document[KEY])
    if field == "numbers" and "numbers" in document[KEY]:
        stored = document[KEY]["numbers"]
        field = data.draw(st.sampled_from(sorted(stored)))
    inner = json.loads(_inflated(base64.b64decode(stored[field]), known, MOST_TEXT))
    place = data.draw(st.sampled_from(places(inner)))
    if not place:
        inner = value
    else:
        part = inner
        for step in place[:-1]:
            part = part[step]
        part[place[-1]] = value
    text = _deflated(json.dumps(inner).encode(), known)
    stored[field] = base64.b64encode(text).decode()
    path = tmp_path / "planted.json"
    path.write_text(json.dumps(document, indent=4))
    used(path)
