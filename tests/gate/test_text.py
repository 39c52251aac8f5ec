"""A baseline file's text: made for `git diff`, read back as it was, refused where it was touched."""

from __future__ import annotations

import json
import math
import re
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlbench.gate.entry import Entry
from dlbench.gate.text import (
    CONFLICT,
    SCHEMA,
    Accepted,
    NewerError,
    format_cases,
    parse_cases,
    rounded,
    within,
)

MODULE = "benchmarks/test_a.py"

EXPERIMENT: dict[str, Any] = {
    "id": "11c8854bb85a50fd",
    "workload": "digits_mlp",
    "data": {
        "train": 1437, "validation": 360, "x": [64], "y": [], "weighted": False,
        "digest": "19caaae327ddcf88",
    },
    "model": {
        "class": "Sequential",
        "builder": "dlbench.workloads.builders.build_mlp((64), 10, hidden=(32, 32), "
        "activation='relu', output='softmax')",
        "parameters": 3466,
        "architecture": "c65e8426abdb250b",
    },
    "loss": {"function": "sparse_categorical_crossentropy"},
    "metrics": {"accuracy": {"class": "SparseCategoricalAccuracy", "dtype": "float32"}},
    "target": {"metric": "val_accuracy", "value": 0.93},
    "optimizer": {
        "class": "Adam", "learning_rate": 0.001, "use_ema": False, "ema_momentum": 0.99,
        "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-07, "amsgrad": False,
    },
    "batch_size": 32,
    "updates_per_epoch": 45,
    "steps": 450,
    "points": [2 * i * i for i in range(21)],
}  # fmt: skip

ENVIRONMENT: dict[str, Any] = {"python": "3.11.9", "device": "cpu", "threads": 1, "keras": "3.15.1"}


def entry(key: str = "test_a.py::test_b[1]", seeds: int = 3, **changes: Any) -> Entry:
    """Return an accepted entry with everything in it, whose numbers have all of their digits."""
    numbers = [math.sin(seed + 1) for seed in range(seeds)]
    made = Entry(
        key=key,
        module=MODULE,
        kind="convergence",
        experiment=EXPERIMENT,
        seeds=tuple(range(seeds)),
        regimes=("converged",) * seeds,
        points=21,
        budget=450.0,
        floor=0.0023025850929940457,
        values={
            "training_loss": tuple(-1.2 + number for number in numbers),
            "val_loss": tuple(0.2 + number / 50 for number in numbers),
            "val_accuracy": tuple(0.95 + number / 50 for number in numbers),
            "steps_to_target": tuple(300 + 9 * number for number in numbers),
        },
        higher_is_better={"val_loss": False, "val_accuracy": True},
        starts=tuple(f"{seed + 17:08x}" for seed in range(seeds)),
        orders=tuple(f"{seed + 4711:08x}" for seed in range(seeds)),
        curves=tuple(f"{seed * 7919:08x}" for seed in range(seeds)),
        parameters={"parameters": 3466},
        environment=ENVIRONMENT,
        yardstick=tuple(1e-6 * abs(number) for number in numbers),
        repeats=True,
        alpha=1 / 30000,
        first={"training_loss": -1.2, "val_loss": 0.2},
    )
    return rounded(replace(made, **changes))


def written(*entries: Entry, summary: str = "3 seeds converged") -> str:
    """Return a file with these entries."""
    return format_cases({e.key: Accepted(e, summary) for e in entries}).decode()


def read(text: str) -> dict[str, Entry]:
    """Return a file's entries."""
    return {key: case.entry for key, case in parse_cases(text, MODULE).items()}


def mended(text: str) -> str:
    """Return a file whose checksums fit again after it was edited: another program's, say."""
    document = json.loads(text)
    from dlbench.gate import text as room

    for key, case in document["cases"].items():
        case.pop("checksum", None)
        case["checksum"] = room._checksum(key, case)
    return json.dumps(document)


# ---- the layout


def test_the_layout() -> None:
    """A case is a summary, then a line a field, and a line an item of experiment and values."""
    text = written(entry("test_a.py::test_b[1]"), entry("test_a.py::test_a", repeats=False))
    lines = text.splitlines()
    begins = [line for line in lines if line.startswith("    ") and line.endswith(": {")]
    assert [line for line in begins if line.startswith('    "')] == [
        '    "test_a.py::test_a": {',
        '    "test_a.py::test_b[1]": {',
    ]
    case = lines[lines.index('    "test_a.py::test_b[1]": {') : -2]
    assert case[1] == '      "summary": "3 seeds converged",'
    assert '        "batch_size": 32,' in case
    assert '        "training_loss": [-0.358529015, -0.290702573, -1.05887999],' in case
    assert '      "regimes": "converged",' in case
    assert '      "starts": "00000011 00000012 00000013",' in case
    assert '      "yardstick": [8.415e-07, 9.093e-07, 1.411e-07],' in case
    assert case[-2].startswith('      "checksum": "')
    assert json.loads(text)["schema"] == SCHEMA


def test_a_file_is_strict_json_with_one_environment_for_all() -> None:
    """Nothing but JSON's own numbers is in it; an environment is said once, for all its cases."""
    values = {"training_loss": (math.nan, math.inf, -math.inf)}
    text = written(entry("a", values=values), entry("b"), entry("c", environment={"x": 1}))
    document = json.loads(text, parse_constant=pytest.fail)
    assert document.keys() == {"schema", "environments", "cases"}
    assert sorted(map(str, document["environments"].values())) == sorted(
        map(str, [ENVIRONMENT, {"x": 1}])
    )
    assert document["cases"]["a"]["values"] == {"training_loss": ["nan", "inf", "-inf"]}


def test_a_changed_metric_is_one_changed_line() -> None:
    """Beside it only the summary and the checksum differ, and nothing in another case."""
    old, other = entry(), entry("test_a.py::test_c")
    new = replace(old, values={**old.values, "val_loss": (0.3, 0.2, 0.1)})
    before = format_cases({"b": Accepted(old, "old"), "c": Accepted(other, "other")}).decode()
    after = format_cases({"b": Accepted(new, "new"), "c": Accepted(other, "other")}).decode()
    pairs = zip(before.splitlines(), after.splitlines(), strict=True)
    names = [re.match(r' *"(\w+)"', a)[1] for a, b in pairs if a != b]  # type: ignore[index]
    assert names == ["summary", "val_loss", "checksum"]


def test_what_says_nothing_is_left_out() -> None:
    """Parameter counts alone take a few lines."""
    counts = Entry("test_p.py::test_n", MODULE, "parameters", {}, parameters={"total": 4522})
    case = json.loads(written(counts))["cases"]["test_p.py::test_n"]
    assert case.keys() == {"summary", "kind", "parameters", "environment", "checksum"}
    assert read(written(counts)) == {"test_p.py::test_n": counts}


def test_the_size() -> None:
    """60 cases of 32 seeds and four metrics take less than 5 kB each, 300 kB in all."""
    cases = [entry(f"test_a.py::test_b[{number}]", seeds=32) for number in range(60)]
    assert len(written(*cases)) < 300_000


# ---- there and back


def test_round_trip() -> None:
    """Every field comes back, also where a run diverged and where seeds became different things."""
    values = {
        "training_loss": (math.inf, -1.25, 1e-12), "steps_to_target": (math.inf, 1e10, 1 / 3),
        "val_loss": (math.nan, 5e-324, 1.7976931348623157e308),
    }  # fmt: skip
    made = entry(values=values, regimes=("diverged", "slow", "converged"), first={"a": math.nan})
    assert read(written(made)) == {made.key: made}
    for name in (field.name for field in fields(Entry)):
        assert getattr(made, name) or name == "bounded", f"{name} was not put to the test"


def test_rounding_twice_is_rounding_once() -> None:
    """What is written is what was rounded: an accepted run compared with itself is the same."""
    made = entry(values={"training_loss": (0.1 + 0.2, math.pi * 1e-9, -math.e * 1e9)})
    assert rounded(made) == made
    assert made.values["training_loss"] == (0.3, 3.14159265e-09, -2718281830.0)


def test_float32_survives_nine_digits() -> None:
    """Two neighbouring float32 numbers stay two: nine digits tell any of them apart."""
    import numpy as np

    one = np.float32(0.947222)
    two = np.nextafter(one, np.float32(1))
    made = entry(values={"val_accuracy": (float(one), float(two), 0.5)})
    back = read(written(made))[made.key].values["val_accuracy"]
    assert [np.float32(value) for value in back[:2]] == [one, two]


NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
TEXT = st.text(max_size=12)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | TEXT
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    """Draw an entry of any numbers, names and seeds."""
    n = draw(st.integers(0, 4))
    by_seed = st.lists(NUMBERS, min_size=n, max_size=n).map(tuple)
    words = st.lists(st.from_regex(r"[0-9a-f]{8}", fullmatch=True), min_size=n, max_size=n)
    digests = words.map(tuple) | st.just(())
    regime = st.sampled_from(["diverged", "stalled", "slow", "converged"])
    return rounded(
        Entry(
            key=draw(TEXT),
            module=MODULE,
            kind=draw(st.sampled_from(["convergence", "loop", "parameters"])),
            experiment=draw(st.dictionaries(TEXT, PLAIN, max_size=3)),
            seeds=tuple(draw(st.lists(st.integers(0, 2**32), min_size=n, max_size=n))),
            regimes=tuple(draw(st.lists(regime, min_size=n, max_size=n))),
            points=draw(st.integers(0, 100)),
            budget=draw(st.floats(0, 1e12)),
            floor=draw(st.floats(0, 1e3)),
            values=draw(st.dictionaries(TEXT, by_seed, max_size=3)),
            higher_is_better=draw(st.dictionaries(TEXT, st.booleans(), max_size=2)),
            starts=draw(digests),
            curves=draw(digests),
            parameters=draw(st.dictionaries(TEXT, st.integers(0, 2**70), max_size=2)),
            environment=draw(st.dictionaries(TEXT, PLAIN, max_size=2)),
            yardstick=draw(by_seed | st.just(())),
            repeats=draw(st.none() | st.booleans()),
            alpha=draw(st.none() | st.floats(1e-9, 0.1)),
            first=draw(st.dictionaries(TEXT, NUMBERS, max_size=2)),
        )
    )


@settings(max_examples=60, deadline=None)
@given(made=st.lists(entries(), max_size=3), summary=TEXT.filter(bool))
def test_any_entry_round_trips(made: list[Entry], summary: str) -> None:
    """Any entries are read as they were written, and written again to the same bytes."""
    cases = {e.key: Accepted(e, summary) for e in made}
    text = format_cases(cases).decode()
    assert parse_cases(text, MODULE) == cases
    assert format_cases(parse_cases(text, MODULE)).decode() == text


def test_half_a_surrogate_pair_survives() -> None:
    """A text that has no UTF-8 is written by JSON's escape."""
    made = entry("test_a.py::test_b[\udc80]")
    assert read(written(made)) == {made.key: made}


def test_another_layout_is_read_too() -> None:
    """A formatter that ran over the file changed nothing that counts."""
    made = entry()
    document = json.loads(written(made))
    for text in (json.dumps(document), json.dumps(document, indent=4, sort_keys=True)):
        assert read(text) == {made.key: made}


# ---- refused


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_changed_byte_is_refused_or_changes_nothing(data: st.DataObject) -> None:
    """Whatever byte becomes whatever other: an error, or the same entries; never other ones."""
    made = {e.key: e for e in (entry("a", seeds=2), entry("b", seeds=2))}
    content = bytearray(written(*made.values()).encode())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] = data.draw(st.integers(0, 255))
    try:
        found = read(content.decode())
    except ValueError:
        return
    assert found == made


def test_every_truncated_text_is_refused() -> None:
    """Wherever it is cut off; the case that the cut is in is named."""
    text = written(entry("a"), entry("b")).rstrip()
    for length in [*range(0, len(text), 41), len(text) - 1]:
        with pytest.raises(ValueError, match=r"JSON|schema"):
            read(text[:length])
    with pytest.raises(ValueError, match=r'^in "b": this is no JSON'):
        read(text[:-200])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("-0.358529015", "-0.458529015"), ('"regimes": "converged"', '"regimes": "slow"'),
        ('"batch_size": 32', '"batch_size": 33'),
        ("3 seeds", "4 seeds"), ('"alpha": 3.', '"alpha": 4.'), ('"test_a.py::', '"test_b.py::'),
        ('"repeats": true', '"repeats": false'), ('"points": 21', '"later": 21'),
    ],
)  # fmt: skip
def test_an_edit_by_hand_is_refused(old: str, new: str) -> None:
    """A number, a word, a name changed by hand: the checksum of that case does not fit."""
    text = written(entry())
    assert text.count(old) == 1
    with pytest.raises(ValueError, match=r"^in .*does not fit its checksum: it was edited by hand"):
        read(text.replace(old, new))


def test_an_edited_environment_is_refused() -> None:
    """An environment stands under its digest."""
    with pytest.raises(ValueError, match=r"environment '.*' does not fit its digest"):
        read(written(entry()).replace("3.11.9", "3.12.0"))


def test_a_lost_environment_is_refused() -> None:
    """A merge that drops an environment is found by the case that refers to it."""
    text = re.sub(r'"environments": \{[^}]*\}\n  \}', '"environments": {}', written(entry("a")))
    with pytest.raises(ValueError, match=r'in "a": its environment .* is not in the file'):
        read(text)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"seeds":', '"points": 1, "seeds":', r'in "a": "points" is there twice'),
        ('"id":', '"workload": "x", "id":', r'in "a": "workload" is there twice'),
        ('"b": {', '"a": {', '"a" is there twice'),
        ('"schema": 1', '"schema": 1, "schema": 1', '"schema" is there twice'),
        ('"python":', '"keras": "1", "python":', '"keras" is there twice'),
    ],
)
def test_a_key_twice_is_refused(old: str, new: str, message: str) -> None:
    """JSON's own reader would take the last one silently; here the case and the key are named."""
    with pytest.raises(ValueError, match=message):
        read(written(entry("a"), entry("b")).replace(old, new, 1))


@pytest.mark.parametrize("schema", [SCHEMA + 1, 10**9])
def test_a_newer_schema_is_refused_with_its_remedy(schema: int) -> None:
    """It is another error than the others: the file is sound, dlbench is old."""
    text = written(entry()).replace(f'"schema": {SCHEMA}', f'"schema": {schema}')
    with pytest.raises(NewerError, match=r"schema \d+; this one reads up to 1.*--upgrade"):
        read(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "[]", "{}", "5", '{"schema": 0}', '{"schema": true}', '{"schema": "1"}',
        '{"schema": 1}', '{"schema": 1, "environments": {}}', '{"schema": 1, "cases": {}}',
        '{"schema": 1, "environments": [], "cases": {}}', "[" * 100_000, '{"a":' * 100_000,
        '{"schema": 1, "environments": {}, "cases": {"a": 5}}', '{"schema": NaN}', "9" * 10_000,
        '{"schema": 1, "environments": {}, "cases": {}, "more": 1}', "\x00" * 50,
        '{"schema": 1, "environments": {"a": 5}, "cases": {}}',
        '{"schema": 1, "environments": {}, "cases": {"a": {}}}',
    ],
)  # fmt: skip
def test_other_json_is_refused(text: str) -> None:
    """What was never a baseline is a `ValueError` and nothing else."""
    with pytest.raises(ValueError, match=r"."):
        read(text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", "other"), ("kind", None), ("kind", []), ("experiment", []), ("summary", 5),
        ("summary", ""), ("environment", None), ("environment", []), ("environment", "none"),
        ("points", "21"), ("points", 2.5), ("points", True), ("budget", "many"), ("budget", None),
        ("seeds", [0, 1]), ("seeds", [0, 1, "2"]), ("seeds", 3), ("seeds", {}), ("regimes", 5),
        ("regimes", "slow slow"), ("values", []), ("values", {"a": 5}), ("values", {"a": [1]}),
        ("values", {"a": [1, 2, "3"]}), ("values", {"a": [1, 2, True]}), ("values", {"a": [1, 2, {}]}),
        ("higher_is_better", {"a": 1}), ("starts", "1 2"), ("curves", ["1", "2", "3"]),
        ("yardstick", [1]), ("yardstick", 1), ("repeats", 1), ("alpha", "a"), ("alpha", 10**400),
        ("first", {"a": None}), ("parameters", {"a": 1.5}), ("later", 1),
    ],
)  # fmt: skip
def test_each_field_is_checked(name: str, value: object) -> None:
    """Even where the checksum fits, a field of another type or length is refused by its case."""
    document = json.loads(written(entry("a")))
    document["cases"]["a"][name] = value
    with pytest.raises(ValueError, match=r'^in "a": '):
        read(mended(json.dumps(document)))
    assert read(mended(written(entry("a")))) == {"a": entry("a")}


def test_conflict_markers_are_told_from_content() -> None:
    """A marker begins a line, and no line of JSON begins so; the case around it is found."""
    text = written(entry("<<<<<<< test"), entry("a"), summary="=======")
    assert CONFLICT.search(text) is None
    for marker in ("<<<<<<< HEAD", "=======", ">>>>>>> other", "||||||| base", "=======\r"):
        broken = text.replace('      "points": 21', f'{marker}\n      "points": 21')
        found = CONFLICT.search(broken)
        assert found is not None
        assert found[1] == marker[:7]
        assert within(broken, found.start()) == 'in "<<<<<<< test": '
