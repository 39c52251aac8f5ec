"""Accepting: merged under a lock, nothing lost and nothing touched that was not run."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from dlbench.errors import BaselineError
from dlbench.gate import lock
from dlbench.gate.accepting import Acceptance, accept, acceptable, numbered
from dlbench.gate.baseline import Baseline, read_cases
from dlbench.gate.drift import case_of, medians
from dlbench.gate.entry import Entry
from dlbench.gate.rules import Rules
from dlbench.gate.text import rounded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dlbench.history.record import Record

A, B = "benchmarks/test_a.py", "benchmarks/test_b.py"


def entry(
    name: str, loss: float = 0.5, *, module: str = A, seeds: int = 16, **changes: Any
) -> Entry:
    """Return what was measured of a case, with digits that a file does not keep."""
    numbers = [1 + 0.1 * math.sin(seed) for seed in range(seeds)]
    made = Entry(
        key=f"{module.rpartition('/')[2]}::{name}", module=module, kind="convergence",
        experiment={"id": name, "steps": 450}, seeds=tuple(range(seeds)),
        regimes=("converged",) * seeds, points=21, budget=450.0, floor=0.002,
        values={
            "training_loss": tuple(math.log(loss * number) for number in numbers),
            "val_accuracy": tuple(0.9 * number for number in numbers),
        },
        higher_is_better={"val_accuracy": True}, environment={"python": "3.11.9"},
        curves=tuple(f"{seed:08x}" for seed in range(seeds)),
    )  # fmt: skip
    return replace(made, **changes)


@pytest.fixture
def suite(tmp_path: Path) -> Baseline:
    """A suite of two modules that has no baseline yet."""
    for module in (A, B):
        (tmp_path / module).parent.mkdir(exist_ok=True)
        (tmp_path / module).write_text("")
    return Baseline(tmp_path)


def stored(suite: Baseline, module: str = A) -> dict[str, Entry]:
    """Return what a module's file holds now, by test."""
    return {key.partition("::")[2]: case.entry for key, case in suite.read(module).items()}


def summary(suite: Baseline, name: str) -> str:
    """Return a case's summary."""
    return suite.read(A)[f"test_a.py::{name}"].summary


def blocks(path: Path) -> dict[str, str]:
    """Return a file's cases as the texts that they are, by their first lines."""
    parts = path.read_text().split('\n    "')[1:]
    return {
        part.partition('": {')[0]: part.removesuffix("\n  }\n}\n").rstrip(",") for part in parts
    }


def whats(outcome: Acceptance) -> dict[str, str]:
    """Return what happened, by case."""
    return {change.case.partition("::")[2]: change.what for change in outcome.changes}


# ---- merging


def test_what_is_accepted_is_what_later_runs_are_compared_with(suite: Baseline) -> None:
    """The entries as they read back, with their error rate and their first medians."""
    outcome = accept(suite, [entry("a"), entry("b", module=B)])
    assert outcome.written == (suite.path_of(A), suite.path_of(B))
    assert whats(outcome) == {"a": "added", "b": "added"}
    taken = stored(suite)["a"]
    assert taken == rounded(
        replace(entry("a"), alpha=outcome.alpha, first=medians(rounded(entry("a"))))
    )
    assert suite.entries(A) == {"test_a.py::a": taken}


def test_accepting_the_same_again_changes_no_byte(suite: Baseline) -> None:
    """An accepted run is the same as itself; its summary keeps telling of the last real change."""
    accept(suite, [entry("a"), entry("b")])
    accept(suite, [entry("a", 0.505), entry("b")])
    assert "since the last accept: training_loss 1.0 % worse" in summary(suite, "a")
    before = suite.path_of(A).read_bytes()
    outcome = accept(suite, [entry("a", 0.505), entry("b")])
    assert whats(outcome) == {"a": "same", "b": "same"}
    assert outcome.written == ()
    assert suite.path_of(A).read_bytes() == before


def test_cases_not_run_stay_byte_for_byte(suite: Baseline) -> None:
    """Neighbours in the same file, and every other file."""
    accept(suite, [entry(name) for name in "abc"] + [entry("d", module=B)])
    before, other = blocks(suite.path_of(A)), suite.path_of(B).read_bytes()
    inode = suite.path_of(B).stat().st_ino
    accept(suite, [entry("b", 0.51)])
    after = blocks(suite.path_of(A))
    assert {key for key in before if before[key] != after[key]} == {"test_a.py::b"}
    assert before.keys() == after.keys()
    assert suite.path_of(B).read_bytes() == other
    assert suite.path_of(B).stat().st_ino == inode


def test_of_two_records_of_one_case_the_last_counts(suite: Baseline) -> None:
    """As after a rerun."""
    accept(suite, [entry("a", 0.9), entry("a", 0.5)])
    assert stored(suite)["a"].values == rounded(entry("a", 0.5)).values


def test_modules_of_one_name_do_not_clash(suite: Baseline) -> None:
    """Two folders, the same file and test names: two cases."""
    for folder in (None, suite.root / "kept"):
        baseline = Baseline(suite.root, folder)
        other = entry("a", 0.7, module="other/test_a.py")
        accept(baseline, [entry("a"), other])
        assert stored(baseline)["a"].values == rounded(entry("a")).values
        assert stored(baseline, "other/test_a.py")["a"].values == rounded(other).values


def test_entries_are_removed_only_from_files_collected_whole(suite: Baseline) -> None:
    """And there only where the case itself is not left."""
    names = ["a", "b", "c[1] name=x", "c[1] name=y", "d name=z", "e[a name=b]"]
    accept(suite, [*(entry(name) for name in names), entry("a", module=B)])
    accept(suite, [entry("a")])
    assert set(stored(suite)) == set(names)
    outcome = accept(
        suite,
        [entry("a")],
        whole={
            A: {
                "test_a.py::a",
                "test_a.py::c[1] name=x",
                "test_a.py::c[1]",
                "test_a.py::d",
                "test_a.py::e[a name=b]",
            }
        },
    )
    assert set(stored(suite)) == {"a", "c[1] name=x", "e[a name=b]"}
    assert whats(outcome) == dict.fromkeys(["b", "c[1] name=y", "d name=z"], "removed") | {
        "a": "same"
    }
    assert set(stored(suite, B)) == {"a"}


def test_a_module_that_is_gone_takes_its_file_along(suite: Baseline) -> None:
    """Told that nothing is left of it, as of the baseline's orphans."""
    accept(suite, [entry("a"), entry("b", module=B)])
    (suite.root / B).unlink()
    assert suite.orphans() == [B]
    outcome = accept(suite, [entry("a")], whole=dict.fromkeys(suite.orphans(), ()))
    assert not suite.path_of(B).exists()
    assert suite.path_of(B) in outcome.written
    assert outcome.tests == 3


def test_a_renamed_case_keeps_its_history(suite: Baseline) -> None:
    """Its drift counts from where it counted, under another name and in another module too."""
    accept(suite, [entry("a"), entry("b")])
    first = stored(suite)["a"].first
    moved = entry("new", 0.51, module=B, experiment=entry("a").experiment)
    outcome = accept(suite, [moved, entry("b")], whole={A: {"test_a.py::b"}})
    assert whats(outcome) == {"new": "renamed", "b": "same"}
    assert set(stored(suite)) == {"b"}
    assert stored(suite, B)["new"].first == first
    assert "was benchmarks/test_a.py::a" in str(outcome.changes[-1])


def test_a_renamed_case_that_is_refused_keeps_its_entry(suite: Baseline) -> None:
    """Else a rename would be the way to begin a new drift."""
    accept(suite, [entry("a"), entry("b")])
    moved = entry("new", 0.6, experiment=entry("a").experiment)
    outcome = accept(suite, [moved, entry("b")], whole={A: {"test_a.py::b", "test_a.py::new"}})
    assert set(stored(suite)) == {"a", "b"}
    assert "drifted further" in outcome.refused["benchmarks/test_a.py::new"]
    assert outcome.tests == 6


# ---- the error rate


def test_the_error_rate_is_divided_over_the_whole_baseline(suite: Baseline) -> None:
    """Counted over all files after the merge, and written into what is accepted now alone."""
    first = accept(suite, [entry("a"), entry("b")], false_alarm=0.06)
    assert first.tests == 6
    assert first.alpha == pytest.approx(0.01)
    second = accept(suite, [entry("c", module=B), entry("a", 0.501)], false_alarm=0.06)
    assert second.tests == 9
    assert second.alpha == pytest.approx(0.06 / 9)
    assert stored(suite)["a"].alpha == pytest.approx(0.06 / 9)
    assert stored(suite)["b"].alpha == pytest.approx(0.01)
    assert stored(suite, B)["c"].alpha == pytest.approx(0.06 / 9)
    third = accept(suite, [entry("c", module=B)], false_alarm=0.06, whole={A: {"test_a.py::b"}})
    assert third.tests == 6


def test_a_cases_own_rules_count(suite: Baseline) -> None:
    """A gate that its marker leaves out takes no share; parameter counts take none."""
    counts = Entry("test_b.py::n", B, "parameters", {}, parameters={"total": 5})
    rules = {case_of(entry("a")): Rules.of(gates=["training_loss"])}
    outcome = accept(suite, [entry("a"), counts], rules=rules)
    assert (outcome.tests, outcome.alpha) == (1, 0.01)
    assert stored(suite, B)["n"].alpha is None
    alone = Baseline(suite.root, suite.root / "kept")
    assert accept(alone, [counts]).tests == 0


# ---- refused


def test_nothing_to_accept_writes_nothing(suite: Baseline) -> None:
    """With every case failing there is an error, and no file and no folder."""
    before = sorted(suite.root.rglob("*"))
    with pytest.raises(BaselineError, match="nothing to accept: no case passed"):
        accept(suite, [])
    with pytest.raises(
        BaselineError, match=r"every case was refused, nothing was written: .*::a: "
    ):
        accept(suite, [entry("a", seeds=3)], whole={A: ()})
    assert sorted(suite.root.rglob("*")) == before


def test_a_case_with_too_few_seeds_is_refused_by_name(suite: Baseline) -> None:
    """The others are taken, and its own entry stays as it was."""
    accept(suite, [entry("a"), entry("b")])
    before = blocks(suite.path_of(A))["test_a.py::a"]
    outcome = accept(suite, [entry("a", 0.51, seeds=4), entry("b", 0.51), entry("c", seeds=4)])
    assert outcome.refused.keys() == {"benchmarks/test_a.py::a", "benchmarks/test_a.py::c"}
    assert "it needs 5 or more" in outcome.refused["benchmarks/test_a.py::a"]
    assert blocks(suite.path_of(A))["test_a.py::a"] == before
    assert set(stored(suite)) == {"a", "b"}
    assert outcome.tests == 6
    accept(suite, [entry("a", 0.51, seeds=4), entry("b", 0.51)], whole={A: {"test_a.py::b"}})
    assert blocks(suite.path_of(A))["test_a.py::a"] == before, "it was run, so it is not gone"


def test_gates_that_cannot_fail_are_named(suite: Baseline) -> None:
    """The case is taken for its other gates."""
    outcome = accept(suite, [entry("a", seeds=8), entry("b")], false_alarm=1e-4)
    assert outcome.blind == {
        "benchmarks/test_a.py::a": ("failed cannot fail with 8 seeds: it needs 10",)
    }


def test_bounds_that_were_off_are_refused(suite: Baseline) -> None:
    """Only what a test's own bounds held is a baseline."""
    outcome = accept(suite, [entry("a", bounded=False), entry("b")])
    assert outcome.refused == {"benchmarks/test_a.py::a": "its test's own bounds were off"}
    assert set(stored(suite)) == {"b"}


def test_too_much_drift_is_asked_about(suite: Baseline) -> None:
    """Small steps, each accepted, until three margins are passed; then only by name, once."""
    losses = [0.5 * 1.0099**step for step in range(5)]
    for loss in losses[:4]:
        assert accept(suite, [entry("a", loss), entry("b")]).refused == {}
    before = suite.path_of(A).read_bytes()
    outcome = accept(suite, [entry("a", losses[4]), entry("b")])
    why = outcome.refused["benchmarks/test_a.py::a"]
    assert "training_loss" in why
    assert "1.0 % worse, 4.0 % worse since the first accept" in why
    assert "--dlbench-accept=drift" in why
    assert suite.path_of(A).read_bytes() == before
    first = stored(suite)["b"].first
    assert accept(suite, [entry("a", losses[4]), entry("b", 0.501)], drift=True).refused == {}
    assert stored(suite)["a"].first == pytest.approx(medians(entry("a", losses[4])))
    assert stored(suite)["b"].first == first, "what had not drifted counts on"
    assert accept(suite, [entry("a", losses[4] * 1.0099)]).refused == {}


@pytest.mark.parametrize("broken", [A, B])
def test_an_unreadable_file_stops_an_accept(suite: Baseline, broken: str) -> None:
    """The one to be written, or another whose tests must be counted: nothing is overwritten."""
    accept(suite, [entry("a"), entry("b", module=B)])
    path = suite.path_of(broken)
    path.write_text("<<<<<<< HEAD\n" + path.read_text())
    before = {module: suite.path_of(module).read_bytes() for module in (A, B)}
    with pytest.raises(BaselineError, match=rf"{path.name}: a merge left its marker"):
        accept(suite, [entry("a", 0.51)])
    assert {module: suite.path_of(module).read_bytes() for module in (A, B)} == before


def test_what_cannot_be_kept_stops_an_accept_before_anything_is_written(suite: Baseline) -> None:
    """In the second file: the first one is as it was too."""
    bad = entry("b", module=B, curves=("a b",) * 16)
    with pytest.raises(BaselineError, match=r"test_b\.json: not written"):
        accept(suite, [entry("a"), bad])
    assert not suite.exists([A, B])


def test_a_file_laid_out_anew_is_accepted_into(suite: Baseline) -> None:
    """Some other tool formatted it: the cases are the same, and so they stay."""
    accept(suite, [entry("a"), entry("b")])
    before = suite.read(A)
    document = json.loads(suite.path_of(A).read_bytes())
    suite.path_of(A).write_text(json.dumps(document, indent=4, sort_keys=True))
    assert accept(suite, [entry("b")]).written == (suite.path_of(A),)
    assert suite.read(A) == before
    assert '\n    "test_a.py::a": {\n      "summary": "16 seeds' in suite.path_of(A).read_text()


# ---- two at once

ACCEPTS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_accepting import A, B, accept, entry
from dlbench.gate.baseline import Baseline
{patch}
suite = Baseline(Path(sys.argv[2]))
print("ready", flush=True)
sys.stdin.readline()
for number in range(6):
    accept(suite, [entry(f"{{sys.argv[3]}}{{number}}", module=(A, B)[number % 2])])
"""


@pytest.fixture
def three(suite: Baseline, request: pytest.FixtureRequest) -> Iterator[list[subprocess.Popen[str]]]:
    """Three processes, each of which accepts six cases of its own, one after the other."""
    script = ACCEPTS.format(patch=getattr(request, "param", ""))
    folder = str(request.path.parent)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, folder, str(suite.root), name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for name in "xyz"
    ]  # fmt: skip
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    "three", ["", "sys.modules['fcntl'] = None"], indirect=True, ids=["kernel", "file"]
)
def test_accepts_at_once_lose_nothing(suite: Baseline, three: list[subprocess.Popen[str]]) -> None:
    """All 18 cases of three processes are there, in two sound files, and nothing else is."""
    for process in three:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in three:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in three:
        process.communicate(timeout=60)
        assert process.returncode == 0
    found = {*stored(suite), *stored(suite, B)}
    assert found == {f"{name}{number}" for name in "xyz" for number in range(6)}
    alphas = [e.alpha for module in (A, B) for e in stored(suite, module).values()]
    assert sorted(round(0.01 / alpha) for alpha in alphas if alpha) == list(range(3, 55, 3))
    names = [path.name for path in suite.root.rglob("*") if path.is_file()]
    assert sorted(names) == ["test_a.json", "test_a.py", "test_b.json", "test_b.py"]


def test_an_accept_that_cannot_have_the_lock_writes_nothing(suite: Baseline) -> None:
    """It waits, and then says what it waited for."""
    refused = pytest.raises(BaselineError, match="another accept is under way")
    with lock.locked(suite.root), refused:
        accept(suite, [entry("a")], patience=0.05)
    assert not suite.exists([A])


def test_what_was_accepted_meanwhile_is_kept(suite: Baseline) -> None:
    """Files are read again under the lock: what this process read before does not count."""
    accept(suite, [entry("a")])
    assert suite.entries(A).keys() == {"test_a.py::a"}
    accept(Baseline(suite.root), [entry("b")])
    accept(suite, [entry("c")])
    assert suite.entries(A).keys() == {"test_a.py::a", "test_a.py::b", "test_a.py::c"}


def test_a_kill_leaves_the_old_files(suite: Baseline, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt at the moment of writing: the file is the old one, and the lock is free."""
    accept(suite, [entry("a")])
    before = suite.path_of(A).read_bytes()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        accept(suite, [entry("a", 0.51)])
    monkeypatch.undo()
    assert suite.path_of(A).read_bytes() == before
    assert list(suite.path_of(A).parent.iterdir()) == [suite.path_of(A)]
    accept(suite, [entry("a", 0.51)], patience=0)


# ---- what may be accepted


def record(**changes: Any) -> Record:
    """Return a record that may be accepted."""
    fields: dict[str, Any] = {
        "kind": "convergence", "outcome": "passed", "message": None, "bounds": "enforced",
        "runs": {"seeds": [0]}, "parameters": None,
    }  # fmt: skip
    return cast("Record", fields | changes)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, None),
        ({"kind": "loop"}, None),
        ({"kind": "parameters", "runs": None, "parameters": {"total": 1}}, None),
        ({"outcome": "failed", "message": "assert 1 < 0"}, "did not pass but failed: assert 1 < 0"),
        ({"outcome": "xfailed"}, "did not pass but xfailed"),
        ({"outcome": "xpassed"}, "did not pass but xpassed"),
        ({"outcome": "interrupted"}, "did not pass but interrupted"),
        ({"bounds": "off"}, "bounds were off, as with --dlbench-quick"),
        ({"kind": "later"}, "unknown kind 'later'"),
        ({"runs": None}, "nothing that could be compared"),
        ({"kind": "parameters"}, "nothing that could be compared"),
    ],
)
def test_which_records_may_be_accepted(changes: dict[str, Any], why: str | None) -> None:
    """Those of tests that passed with their bounds on; each other says why not."""
    found = acceptable(record(**changes))
    assert (found is None) == (why is None)
    assert (why or "") in (found or "")


@pytest.mark.parametrize(
    ("key", "arguments", "expected"),
    [
        ("test_a.py::t", None, False), ("test_a.py::t2", None, False), ("test_a.py::t[0.1]", None, False),
        ("test_a.py::t[adam]", None, False), ("test_a.py::t[adam-0.1-4]", None, False),
        ("test_a.py::t[model0]", None, True), ("test_a.py::t[<lambda>]", None, True),
        ("test_a.py::t[<lambda>1]", None, True), ("test_a.py::t[func1-0.1]", None, True),
        ("test_a.py::t[0.1-model12] name=x", None, True), ("test_a.py::t[4] name=model0", None, False),
        ("test_a.py::t[resnet50]", ["model"], False), ("test_a.py::t[model50]", ["model"], True),
        ("test_a.py::t[resnet50]", None, True), ("test_a.py::t[5]", [], False),
        ("test_a.py::t[<lambda>]", ["rate"], True), ("test_a.py::t[a.b0]", ["a.b"], True),
        ("test_a.py::t[axb0]", ["a.b"], False),
    ],
)  # fmt: skip
def test_ids_that_pytest_numbered(key: str, arguments: list[str] | None, expected: bool) -> None:
    """`model0` says where in a list a value stands, not what it is; a number of one's own is none."""
    assert numbered(key, arguments) is expected


def test_pytest_does_number_them_so(pytester: pytest.Pytester) -> None:
    """Against pytest itself: objects, functions, lambdas and two of one name."""
    pytester.makepyfile(
        """
        import pytest

        def build(): ...
        one = build
        def build(): ...

        @pytest.mark.parametrize("model", [object(), object(), one, build, lambda: 0, "own", 5])
        def test_it(model): ...
        """
    )
    items, _ = pytester.inline_genitems()
    found = {item.name: numbered(f"t.py::{item.name}") for item in items}
    assert found == {
        "test_it[model0]": True, "test_it[model1]": True, "test_it[build0]": True,
        "test_it[build1]": True, "test_it[<lambda>]": True, "test_it[own]": False,
        "test_it[5]": False,
    }  # fmt: skip


def test_a_summary_is_there_for_every_case(suite: Baseline) -> None:
    """Whoever reads the file finds seeds and medians on the first line of a case."""
    accept(suite, [entry("a")])
    (case,) = read_cases(suite.path_of(A), A).values()
    assert case.summary.startswith("16 seeds converged: training_loss 0.5")
