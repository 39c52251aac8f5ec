"""`dlbench accept`: a saved run becomes the baseline; what must not, is refused in a sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dlbench import cli
from dlbench.gate.baseline import Baseline
from dlbench.gate.entry import entry_of
from dlbench.gate.judging import compare
from dlbench.gate.recorded import entry_in
from dlbench.gate.rules import Rules
from dlbench.gate.wording import sentence

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Suite

    Save = Callable[..., Path]

A, B = "bench/test_a.py::test_b[1]", "bench/test_a.py::test_b[2]"
GATE: dict[str, Any] = {"rules": {}, "yardstick": [1e-7] * 16}

LOOP = """
from pathlib import Path

import numpy as np


def train(seed):
    slower = Path(__file__).with_name("slower.txt")
    factor = float(slower.read_text()) if slower.exists() else 1.0
    noise = np.random.default_rng(seed).normal(scale=0.05, size=12)
    losses = 2.0 * np.exp(-0.3 * np.arange(12) + noise)
    losses[1:] *= 1 + (factor - 1) * (1 + 0.1 * noise[1:])
    return {"loss": losses}


def test_loop(convergence):
    convergence.record(train)
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a root folder with the tests' files, 80 columns wide."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("test_a", "test_c"):
        tmp_path.joinpath("bench").mkdir(exist_ok=True)
        tmp_path.joinpath(f"bench/{name}.py").touch()


@pytest.fixture
def record(made: Any) -> Callable[..., dict[str, Any]]:
    """A function that makes a record of a test that the gate saw."""

    def make(case: str = A, shift: float = 0.0, **changes: Any) -> dict[str, Any]:
        made_record: dict[str, Any] = made[0](case, 16, shift, **({"gate": GATE} | changes))
        return made_record

    return make


def accept(*arguments: str, code: int = 0) -> None:
    """Run the command in this process."""
    assert cli.main(["accept", *arguments]) == code


def stored() -> dict[str, Any]:
    """Return the accepted entries by case's key."""
    return dict(Baseline(Path()).entries("bench/test_a.py"))


def nothing_written() -> bool:
    """Return whether there is no file of accepted cases."""
    return not list(Path().rglob("baselines/*"))


def test_accepted_without_training(save: Save, record: Any, capsys: Any) -> None:
    """Old -> new as pytest prints it; the entry is that of the record, with its share of the rate."""
    save(1, records=[record(), record(B)])
    accept("1")
    out = capsys.readouterr().out
    assert out.startswith("accepted: 2 added; 6 tests share an error rate of 0.01, 1.7e-03 each\n")
    assert f"  added {A}: training_loss" in out
    assert out.endswith("wrote bench/baselines/test_a.json\n")
    entry = stored()["test_a.py::test_b[1]"]
    assert entry.seeds == tuple(range(16))
    assert entry.alpha == pytest.approx(0.01 / 6)
    assert entry.yardstick == (1e-7,) * 16

    save(2, records=[record(shift=0.01), record(B)])
    accept("2")
    out = capsys.readouterr().out
    assert out.startswith("accepted: 1 changed, 1 same;")
    assert f"changed {A}: training_loss 0.575 -> 0.585 (1.7 % worse)" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80


def test_only_some_cases(save: Save, record: Any) -> None:
    """`-k` chooses; what is not chosen stays as it is, a failed test among them."""
    save(1, records=[record(), record(B, outcome="failed", message="assert 1 < 0")])
    accept("1", "-k", "not b[2]")
    assert list(stored()) == ["test_a.py::test_b[1]"]


def test_what_it_costs_to_accept_a_run_that_nobody_shook(
    save: Save, record: Any, capsys: Any
) -> None:
    """Without a yardstick there is no verdict on rounding later, and that is said."""
    save(1, records=[record(gate={"rules": {}})])
    accept("1")
    assert "1 of 1 cases do not tell rounding from change" in capsys.readouterr().out


def test_the_rules_of_the_tests_marker_hold(save: Save, record: Any, capsys: Any) -> None:
    """The error rate is divided over the gates that the rules leave."""
    save(1, records=[record(gate={"rules": {"gates": ["training_loss"]}})])
    accept("1")
    assert "1 tests share an error rate" in capsys.readouterr().out


def test_configured_folder_and_rate(save: Save, record: Any, tmp_path: Path) -> None:
    """The baseline lies where pytest's configuration has it, or where the command says."""
    tmp_path.joinpath("pytest.ini").write_text(
        "[pytest]\ndlbench_baseline = kept\ndlbench_false_alarm = 0.03\n", encoding="utf-8"
    )
    save(1, records=[record()])
    accept("1")
    entries = Baseline(Path(), Path("kept")).entries("bench/test_a.py")
    assert entries["test_a.py::test_b[1]"].alpha == pytest.approx(0.01)
    accept("1", "--baseline", "other")
    assert Path("other/bench/test_a.json").is_file()


def test_drift_has_to_be_asked_for(save: Save, record: Any, capsys: Any) -> None:
    """Three margins for the worse are refused, and taken by name; nothing is written before that."""
    save(1, records=[record()])
    accept("1")
    save(2, records=[record(shift=0.1)])
    before = Path("bench/baselines/test_a.json").read_bytes()
    accept("2", code=2)
    told = capsys.readouterr().err
    assert "drifted further than three margins" in told
    assert "--drift takes it all the same" in told
    assert Path("bench/baselines/test_a.json").read_bytes() == before
    accept("2", "--drift")
    assert Path("bench/baselines/test_a.json").read_bytes() != before


@pytest.mark.parametrize("outcome", ["failed", "error"])
def test_what_the_gate_alone_failed_is_taken(save: Save, record: Any, outcome: str) -> None:
    """A run that went red for its verdict is what one wants to accept; its other calls come along.

    A verdict on what a fixture recorded after the test is an error of the test.
    """
    old, new = record(), record(shift=0.01)
    accepted = entry_in(old)
    verdict = compare(
        replace(accepted, alpha=0.01), entry_of(new, floor=accepted.floor), Rules(), look="last"
    )
    assert verdict.degree == "regressed"
    red = {
        "outcome": outcome,
        "message": "Failed: " + sentence(verdict).splitlines()[0],
        "gate": {"rules": {}, "verdict": verdict.to_builtins()},
    }
    other = record(name="second", **(red | {"gate": {"rules": {}}}))
    save(1, records=[{**new, **red}, other])
    accept("1")
    assert list(stored()) == ["test_a.py::test_b[1]", "test_a.py::test_b[1] name=second"]


def test_a_red_run_of_pytest_is_accepted(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, capsys: Any, stub_report: None
) -> None:
    """The whole way: a run without a baseline, accepted; a slower one, red; accepted; the same."""
    del stub_report
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.chdir(suite.path)
    suite.write(LOOP, head="")
    assert suite.run("--dlbench-report").result.ret == 0
    accept("last")
    suite.path.joinpath("slower.txt").write_text("1.025", encoding="utf-8")
    assert suite.run("--dlbench-report").result.ret == 1
    assert cli.main(["compare", "baseline", "last"]) == 1
    capsys.readouterr()
    accept("last")
    assert "changed test_tiny.py::test_loop: training_loss" in capsys.readouterr().out
    assert suite.run("--dlbench-report").record["gate"]["verdict"]["degree"] == "identical"
    assert cli.main(["compare", "baseline", "last"]) == 0


@pytest.mark.parametrize(
    ("changes", "session", "words"),
    [
        ({}, {"quick": True}, "a quick look is no baseline"),
        ({"outcome": "failed", "message": "assert 0"}, {}, "1 of its cases failed"),
        ({"outcome": "error", "message": "x"}, {}, "1 of its cases failed"),
        ({"outcome": "skipped"}, {}, "no case passed"),
        ({"outcome": "xfailed"}, {}, "no case passed"),
        ({"bounds": "off"}, {}, "bounds were off"),
        ({"gate": None}, {}, "it holds no rules of its test"),
        ({"runs": None}, {}, "it holds nothing that could be compared"),
        ({"gate": {"rules": {"gates": ["nonsense"]}}}, {}, "gates names 'nonsense'"),
    ],
)
def test_what_is_refused(
    save: Save, record: Any, capsys: Any, *, changes: Any, session: Any, words: str
) -> None:
    """A sentence that says why, exit code 2, nothing written."""
    save(1, records=[record(**changes)], **session)
    accept("1", code=2)
    assert words in capsys.readouterr().err
    assert nothing_written()


def test_numbers_that_no_baseline_keeps(record: Any, made: Any, capsys: Any) -> None:
    """A file that is no strict JSON may hold infinity: refused in a sentence, nothing written."""
    endless = record()
    endless["runs"]["points"] = [0.0, float("inf")]
    Path("endless.json").write_text(json.dumps(made[1]([endless])), encoding="utf-8")
    accept("endless.json", code=2)
    assert "endless.json: what it holds cannot be kept" in capsys.readouterr().err
    assert nothing_written()


def test_one_failed_test_stops_the_others(save: Save, record: Any, capsys: Any) -> None:
    """Of a red run nothing is taken unless the red tests are left out by name."""
    save(1, records=[record(), record(B, outcome="failed", message="assert \x1b[2J")])
    accept("1", code=2)
    told = capsys.readouterr().err
    assert f"{B}: assert \\x1b[2J" in told
    assert 'leave these out: -k "not …"' in told
    assert nothing_written()


@pytest.mark.parametrize(
    ("module", "words"),
    [("../test_a.py", "leads out of"), ("bench/test_z.py", "there is no bench/test_z.py in")],
)
def test_modules_must_lie_in_the_root_folder(
    save: Save, record: Any, capsys: Any, tmp_path: Path, *, module: str, words: str
) -> None:
    """A file cannot make the command write outside of the folder."""
    tmp_path.parent.joinpath("test_a.py").touch()
    save(1, records=[record(f"{module}::test_b", module=module)])
    accept("1", code=2)
    assert words in capsys.readouterr().err
    assert not tmp_path.parent.joinpath("baselines").exists()
    assert nothing_written()


def test_another_root_folder(save: Save, record: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """`--root` names the folder that test ids start from."""
    path = save(1, records=[record()])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    accept(str(path), "--root", "..")
    assert tmp_path.joinpath("bench/baselines/test_a.json").is_file()


def test_no_such_run(capsys: Any) -> None:
    """A name that means nothing is bad input."""
    accept("7", code=2)
    assert "no saved run is meant by '7'" in capsys.readouterr().err


# ---- pruning


@pytest.fixture
def three(save: Save, record: Any, capsys: Any) -> None:
    """Three accepted cases in two modules."""
    save(1, records=[record(), record(B), record("bench/test_c.py::test_c")])
    accept("1")
    capsys.readouterr()


@pytest.mark.usefixtures("three")
def test_what_is_gone_stays_unless_asked(save: Save, record: Any, capsys: Any) -> None:
    """Without `--prune` nothing is removed; with it, what a module of the run no longer has."""
    save(2, records=[record()])
    accept("2")
    assert len(stored()) == 2
    accept("2", "--prune")
    assert f"removed {B}" in capsys.readouterr().out
    assert list(stored()) == ["test_a.py::test_b[1]"]
    assert Path("bench/baselines/test_c.json").is_file()


@pytest.mark.usefixtures("three")
def test_a_test_that_did_not_pass_keeps_its_entries(save: Save, record: Any) -> None:
    """Nobody knows what it would have recorded."""
    save(2, records=[record(), record(B, outcome="skipped")], counts={"passed": 1, "skipped": 1})
    accept("2", "--prune")
    assert len(stored()) == 2


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("session", "arguments", "words"),
    [
        ({"complete": False}, [], "the run was interrupted"),
        ({"command": "pytest bench -k 'b and 1'"}, [], "narrowed down: -k"),
        ({"command": "pytest bench/test_a.py::test_b"}, [], "narrowed down: bench/test_a.py::"),
        ({"command": "pytest --lf"}, [], "narrowed down: --lf"),
        ({"counts": {"passed": 1, "skipped": 2}}, [], "2 of its tests did not pass and recorded"),
        ({"counts": {"passed": 1, "deselected": 2}}, [], "2 of its tests were left out"),
        ({}, ["-k", "b"], "leave out -k"),
    ],
)
def test_a_run_that_cannot_tell_what_is_gone(
    save: Save, record: Any, capsys: Any, *, session: Any, arguments: list[str], words: str
) -> None:
    """Pruning is refused, and nothing at all is written."""
    before = Path("bench/baselines/test_a.json").read_bytes()
    save(2, records=[record(shift=0.005)], **session)
    accept("2", "--prune", *arguments, code=2)
    assert words in capsys.readouterr().err
    assert Path("bench/baselines/test_a.json").read_bytes() == before


def test_pruning_reaches_no_other_folder(save: Save, record: Any, capsys: Any) -> None:
    """A module outside is refused though its own case is not taken."""
    save(1, records=[record(), record("../test_a.py::test_x", module="../test_a.py",
                                      outcome="skipped")], counts={"passed": 1, "skipped": 1})  # fmt: skip
    accept("1", "--prune", code=2)
    assert "leads out of" in capsys.readouterr().err
    assert nothing_written()
