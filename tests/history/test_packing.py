"""Records are packed small, unpacked whole, and refused where a text is damaged or too large."""

from __future__ import annotations

import base64
import copy
import json
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dlbench.errors import RecordError
from dlbench.history import packing
from dlbench.history.packing import dictionary_of, digests_of, pack, unpack, unpacked_numbers
from dlbench.history.reading import parts_of
from dlbench.history.record import KEY, SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable

    Made = tuple[Callable[..., dict[str, Any]], Callable[..., dict[str, Any]]]


def curve(values: object) -> str:
    """Return a curve as `Runs` writes it."""
    return base64.b64encode(np.asarray(values, "<f4").tobytes()).decode()


def packed(made: Made, *records: dict[str, Any]) -> dict[str, Any]:
    """Return a packed document of records."""
    document = made[1](list(records))
    pack(document)
    return document


def test_what_is_packed_comes_back(made: Made) -> None:
    """Every field of every record, curves to the last bit, in the order of the document."""
    records = [made[0]("a.py::test_a", 16, shift) for shift in (0.0, 0.25)]
    records[1]["name"] = "second"
    records.append(made[0]("a.py::test_c", 3, 0.0, runs=None, metrics=None, timing=None))
    before = copy.deepcopy(records)
    assert list(parts_of(packed(made, *records)).records()) == records == before


def test_the_document_stays_json_of_the_next_schema(made: Made) -> None:
    """What is in sight is in sight; the rest is text; the environment stands once."""
    document = json.loads(
        json.dumps(packed(made, made[0]("a.py::test_a", 2, 0.0)), allow_nan=False)
    )
    ours = document["benchmarks"][0]["extra_info"][KEY]
    (stored,) = ours["records"]
    assert ours["schema"] == SCHEMA
    assert stored["outcome"] == "passed"
    assert stored["message"] is None
    (text,) = document[KEY]["numbers"].values()
    assert stored["numbers"] == 0
    assert unpacked_numbers(text)["environment"] == 0
    assert list(document)[-1] == KEY
    assert list(document[KEY])[-1] == "numbers"
    assert document[KEY]["environments"] == [made[0]("a.py::t", 1, 0.0)["environment"]]
    assert {name for name, value in stored.items() if isinstance(value, (list, dict))} == set()


def test_digests_stand_once(made: Made) -> None:
    """What two records share is kept once; what is no list of digests is kept as it is."""
    records = [made[0]("a.py::test_a", 3, 0.0, name=name) for name in "abc"]
    records[0]["runs"]["orders"] = ["x", "y z", ""]
    records[1]["runs"]["starts"] = records[1]["runs"]["orders"] = ["p", "q", "r"]
    records[2]["runs"]["orders"] = 7
    document = packed(made, *copy.deepcopy(records))
    assert document[KEY]["digests"] == [" ".join(records[0]["runs"]["starts"]), "p q r"]
    assert list(parts_of(document).records()) == records


def test_packing_leaves_the_records_alone(made: Made) -> None:
    """The records themselves, which a test may still show, are not touched, nor is the header."""
    document = made[1]([made[0]("a.py::test_a", 4, 0.0)])
    header, extra = document[KEY], document["benchmarks"][0]["extra_info"]
    before = copy.deepcopy((header, extra))
    pack(document)
    assert (header, extra) == before


def test_packing_twice_is_packing_once(made: Made) -> None:
    """A document that is packed already keeps its records readable."""
    document = packed(made, made[0]("a.py::test_a", 4, 0.0))
    once = document["benchmarks"][0]["extra_info"]
    pack({"benchmarks": document["benchmarks"], KEY: {}})
    assert document["benchmarks"][0]["extra_info"] is once


def test_metrics_keep_nine_digits(made: Made) -> None:
    """A float32 is exact, a float64 is within a part in a billion, and a missing number is None."""
    exact = [float(np.float32(1) / np.float32(3)), 1 / 3, None]
    record = made[0]("a.py::test_a", 3, 0.0)
    record["metrics"] = {"final_loss": exact}
    (back,) = parts_of(packed(made, record)).records()
    first, second, third = back["metrics"]["final_loss"]  # type: ignore[index]
    assert np.float32(first) == np.float32(exact[0])
    assert second == pytest.approx(1 / 3, rel=1e-9)
    assert third is None


@pytest.mark.parametrize(
    "values",
    [
        np.arange(11, dtype="<f4") / np.float32(10),
        [0.0, 0.1, np.nextafter(np.float32(0.1), np.float32(1))],
        [np.nan, np.inf, -np.inf],
        [-0.0, 0.0],
        [1e38, 1e-45],
        [],
    ],
    ids=str,
)
def test_curves_come_back_to_the_last_bit(made: Made, values: object) -> None:
    """Shares of ten samples, what is nearly one, and numbers that are none."""
    record = made[0]("a.py::test_a", 1, 0.0)
    record["runs"]["curves"] = {"val_accuracy": curve(values), "loss": curve([2.0, 1.0])}
    (back,) = parts_of(packed(made, record)).records()
    assert back["runs"]["curves"] == record["runs"]["curves"]  # type: ignore[index]


def test_shares_take_two_bytes() -> None:
    """An accuracy of k in n samples is kept as k; one that is off by a bit is not."""
    values = np.arange(11, dtype="<f4") / np.float32(10)
    assert packing._narrowed(values, [7, 10])[1] == 10
    off = np.nextafter(values, np.float32(2))
    assert packing._narrowed(off, [7, 10])[1] is None


@pytest.mark.parametrize("curves", [{"loss": "??"}, {"loss": 5}, {"loss": "QUI="}, [1], {}])
def test_curves_that_are_none_are_kept_as_they_are(made: Made, curves: object) -> None:
    """What `Runs` did not write is packed as the text or the list that it is."""
    record = made[0]("a.py::test_a", 1, 0.0)
    record["runs"]["curves"] = curves
    (back,) = parts_of(packed(made, record)).records()
    assert back["runs"]["curves"] == curves  # type: ignore[index]


def test_a_hundred_cases_of_sixteen_seeds_take_a_third_of_their_text(made: Made) -> None:
    """The text of the records shrinks, dictionary and environment included."""
    records = [made[0](f"a.py::test_a[{n}]", 16, n / 7) for n in range(100)]
    plain = len(json.dumps(made[1](records)))
    assert len(json.dumps(packed(made, *records))) < 0.5 * plain


def text(content: bytes, *, cut: int = 0) -> str:
    """Return a deflated text, from whose end something is missing."""
    deflated = packing._deflated(content, packing.KNOWN)
    return base64.b64encode(deflated[: len(deflated) - cut]).decode()


DAMAGE: dict[str, tuple[str, object, str]] = {
    "no text": ("packed", 5, "is int, expected str"),
    "no base64": ("packed", "é", "damaged"),
    "not deflated": ("packed", "QUJD", "damaged"),
    "cut off": ("numbers", text(b"{}" * 99, cut=9), "cut off"),
    "no JSON": ("numbers", text(b"{"), "damaged"),
    "no dict": ("numbers", text(b"[]"), "expected dict"),
    "no environment": ("numbers", text(b"{}"), "environment is not in its file"),
    "another one": ("numbers", text(b'{"environment": 7}'), "environment is not in its file"),
    "a negative one": ("numbers", text(b'{"environment": -1}'), "environment is not in its file"),
    "curves": ("curves", "abc\x00", "damaged"),
    "short curves": ("curves", base64.b85encode(zlib.compress(b"abcd")).decode(), "expected"),
    "no numbers": ("numbers", None, "is NoneType, expected str"),
    "no such digests": (
        "numbers",
        text(b'{"environment": 0, "starts": {"digests": 9}}'),
        "digests are not in its file",
    ),
    "no such line": ("numbers", 1, "numbers are not in its file"),
    "no line at all": ("numbers", -1, "numbers are not in its file"),
}


@pytest.mark.parametrize(("field", "value", "words"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_text_is_refused(made: Made, field: str, value: object, words: str) -> None:
    """Whatever is wrong with a packed record is a `RecordError` that says what."""
    document = packed(made, made[0]("a.py::test_a", 4, 0.0))
    if field == "numbers" and isinstance(value, str):
        document[KEY]["numbers"] = {"0 a.py::test_a": value}
    else:
        document["benchmarks"][0]["extra_info"][KEY]["records"][0][field] = value
    with pytest.raises(RecordError, match=words):
        list(parts_of(document).records())


def test_a_small_text_that_stands_for_gigabytes_is_refused(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unpacking stops at a limit, and does not fill the memory first."""
    document = packed(made, made[0]("a.py::test_a", 4, 0.0))
    bomb = base64.b64encode(zlib.compress(b" " * 3 * 2**20, 9)).decode()
    assert len(bomb) < 10_000
    monkeypatch.setattr(packing, "MOST_TEXT", 2**20)
    document[KEY]["numbers"] = {"0 a.py::test_a": bomb}
    with pytest.raises(RecordError, match="holds more than 1 MiB"):
        list(parts_of(document).records())


def test_what_is_not_packed_passes_through() -> None:
    """A record of the first schema is returned as it is, whatever it is."""
    for stored in ({"case": "a"}, None, [1], "x"):
        assert unpack(stored, {}, b"") == stored
    assert dictionary_of({}) == b""


def test_numbers_are_read_without_the_rest(made: Made) -> None:
    """Seeds, starts and metrics, the experiment's id and a step's time need no dictionary."""
    document = packed(made, made[0]("a.py::test_a", 2, 0.0))
    (text,) = document[KEY]["numbers"].values()
    numbers = unpacked_numbers(text)
    assert numbers["outcome"] == "passed"
    assert numbers["seeds"] == [0, 1]
    assert digests_of(numbers["starts"], document[KEY]) == [f"{0:016x}", f"{1:016x}"]
    assert numbers["metrics"]["mean_log_loss"] == [0.5, 0.51]
    assert (numbers["experiment"], numbers["step_seconds"]) == ("a1b2", 0.002)
