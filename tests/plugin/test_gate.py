"""The gate in pytest: accept, compare, fail, explain, whatever else the command line says."""

from __future__ import annotations

import json
import re
import textwrap
from typing import TYPE_CHECKING

import pytest

from tests.plugin.loops import HEAD, ONE, TWO, accepted, change, degree, words

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Folder, Suite

# ---- the way of a baseline


def test_record_accept_a_bug_red_accept(suite: Suite) -> None:
    """The whole way: accepted, the same, worse in words with a remedy, accepted anew, the same."""
    first = accepted(suite)
    first.result.stdout.fnmatch_lines(
        [
            "accepted: 1 added; 3 tests share an error rate of 0.01, 3.3e-03 each",
            "wrote baselines/*",
        ]
    )
    again = suite.run()
    again.result.assert_outcomes(passed=1)
    assert degree(again.record) == "identical"
    assert len(again.record["runs"]["seeds"]) == 16
    again.result.stdout.fnmatch_lines(["against the baseline: 1 same (1 identical)"])

    change(suite, 1.025)
    red = suite.run()
    red.result.assert_outcomes(failed=1)
    red.result.stdout.fnmatch_lines(
        [
            "*worse: training loss over the run +2.5 % (+* % at the suite's level, margin 1 %, *)*",
            "*meant it? --dlbench-accept    only trying? --dlbench-gate=off",
        ]
    )
    assert red.record["outcome"] == "failed"

    anew = suite.run("--dlbench-accept")
    anew.result.assert_outcomes(passed=1)
    assert re.search(r"changed test_tiny.py::test_loop: .* \(2\.5 % worse\)", words(anew))
    assert degree(suite.run().record) == "identical"

    change(suite, 1.05)
    refused = suite.run("--dlbench-accept")
    assert refused.result.ret == 1
    assert "drifted further than three margins since it was first accepted" in refused.output
    assert suite.run("--dlbench-accept=drift").result.ret == 0
    assert degree(suite.run().record) == "identical"


def test_a_keras_model_pairs_and_has_a_yardstick(suite: Suite) -> None:
    """Accept trains 32 seeds and once more from perturbed weights; a smaller rate is seen."""
    case = """
        def test_it(convergence):
            convergence(build, **LEARNS | {"seeds": None, "steps": 12, "learning_rate": RATE})
    """
    suite.write(case.replace("RATE", "0.5"))
    ran = suite.run("--dlbench-accept")
    ran.result.assert_outcomes(passed=1)
    yardstick = ran.record["gate"]["yardstick"]
    assert len(yardstick) == 32
    assert 0 < max(yardstick) < 1e-4
    again = suite.run()
    assert degree(again.record) == "identical"
    assert again.record["gate"]["verdict"]["link"] == "intact"
    suite.write(case.replace("RATE", "0.4"))
    worse = suite.run()
    worse.result.assert_outcomes(failed=1)
    worse.result.stdout.fnmatch_lines(
        ["*worse: *16 of 16 seeds paired*; differs: optimizer.learning_rate 0.5 -> 0.4*"]
    )


def test_runs_that_diverge_have_no_yardstick(suite: Suite) -> None:
    """Where a run diverges there is no difference to rounding; it is accepted without a warning."""
    suite.write("""
        def line():
            return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])

        def test_it(convergence):
            runs = convergence(line, data=(x, x[:, :1]), loss="mse", learning_rate=1e30, seeds=8)
            assert runs.diverged.all()
    """)
    ran = suite.run("--dlbench-accept", "-W", "error")
    ran.result.assert_outcomes(passed=1)
    assert ran.record["gate"]["yardstick"] == [None] * 8
    assert degree(suite.run("-W", "error").record) == "identical"


def test_more_seeds_are_trained_where_they_decide(suite: Suite) -> None:
    """A slow-down too small for 16 seeds is looked at with all 32, and only then."""
    accepted(suite)
    change(suite, 1.0115)
    ran = suite.run()
    verdict = ran.record["gate"]["verdict"]
    assert verdict["look"] == "last"
    assert len(ran.record["runs"]["seeds"]) == 32
    assert len(ran.record["metrics"]["mean_log_loss"]) == 32


def test_a_loop_that_does_not_repeat_is_told_so(suite: Suite) -> None:
    """Accept calls it twice on one seed: where the curves differ, it says so, and what that costs."""
    suite.write(
        """
        def restless(seed):
            return {"loss": [2.0, 1.0 + np.random.default_rng().normal() / 100]}

        def test_loop(convergence):
            convergence.record(restless)
        """,
        head=HEAD,
    )
    ran = suite.run("--dlbench-accept")
    assert ran.record["gate"]["repeats"] is False
    assert "test_loop: the loop does not repeat" in words(ran)
    assert suite.run().record["gate"]["verdict"]["notes"]


# ---- what fails


@pytest.mark.parametrize(
    ("factor", "arguments", "passes"),
    [
        (1.05, ["--dlbench-gate=off"], True), (1.05, ["--dlbench-gate=lenient"], False),
        (1.05, ["--dlbench-gate=strict"], False), (0.9, [], True), (0.9, ["--dlbench-gate=strict"], False),
        (0.9, ["--dlbench-expect=equivalent"], False), (1.004, ["--dlbench-expect=equivalent"], True),
        (1.004, ["--dlbench-expect=identical"], False), (1.0, ["--dlbench-expect=identical"], True),
        (1.05, ["--dlbench-gate=off", "--dlbench-expect=identical"], True),
        (1.05, ["--dlbench-seeds=8"], False), (1.05, ["--dlbench-quick"], True),
    ],
)  # fmt: skip
def test_what_fails(suite: Suite, factor: float, arguments: list[str], passes: bool) -> None:
    """Worse fails in every mode but off, better in strict; an expectation fails on more than it."""
    accepted(suite)
    change(suite, factor)
    ran = suite.run(*arguments)
    ran.result.assert_outcomes(**{"passed" if passes else "failed": 1})
    assert ran.result.ret == (0 if passes else 1)


@pytest.mark.parametrize("ci", [False, True])
def test_a_new_case(suite: Suite, monkeypatch: pytest.MonkeyPatch, ci: bool) -> None:
    """A case that is not in the baseline is listed; where nobody looks, under CI, it fails."""
    accepted(suite)
    suite.write(ONE + ONE.replace("test_loop", "test_other"), head=HEAD)
    if ci:
        monkeypatch.setenv("CI", "true")
    ran = suite.run()
    ran.result.assert_outcomes(passed=1 if ci else 2, failed=int(ci))
    ran.result.stdout.fnmatch_lines(
        ["against the baseline: *1 new*", "  new * test_tiny.py::test_other"]
    )


def test_a_missing_case_fails_the_session(suite: Suite) -> None:
    """A test that is gone is told, and accept takes it out."""
    accepted(suite, TWO)
    suite.write(TWO.replace('"a", "b"', '"a"'), head=HEAD)
    ran = suite.run()
    ran.result.assert_outcomes(passed=1)
    assert ran.result.ret == 1
    ran.result.stdout.fnmatch_lines(
        ["*test_loop[[]b]: missing: *collected whole", "*--dlbench-accept"]
    )
    suite.run("--dlbench-accept").result.stdout.fnmatch_lines(["accepted: *1 removed*"])
    assert suite.run().result.ret == 0


def test_a_record_that_is_gone_is_missing(suite: Suite) -> None:
    """Where a test passed without one of its records, that record is missing."""
    both = """
        def test_loop(convergence):
            convergence.record(trained(1.0))
            convergence.record(trained(1.0), name="second")
    """
    accepted(suite, both)
    suite.write("\n".join(both.splitlines()[:-2]), head=HEAD)
    ran = suite.run()
    assert ran.result.ret == 1
    ran.result.stdout.fnmatch_lines(["*test_tiny.py::test_loop name=second: missing: *"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["-k", "a"],
        ["test_tiny.py::test_loop[a]"],
        ["--deselect", "test_tiny.py::test_loop[b]"],
        ["-x"],
    ],
)
def test_what_was_not_asked_for_is_not_missing(suite: Suite, arguments: list[str]) -> None:
    """A deselected test is no missing one, and accept leaves its entry as it is."""
    accepted(suite, TWO)
    before = suite.path.joinpath("baselines/test_tiny.json").read_bytes()
    assert suite.run(*arguments).result.ret == 0
    assert suite.run(*arguments, "--dlbench-accept").result.ret == 0
    assert suite.path.joinpath("baselines/test_tiny.json").read_bytes() == before


def test_x_and_lf_see_a_verdict_as_a_failure(suite: Suite) -> None:
    """`-x` stops at the first that is worse; `--lf` runs it again, alone, with the same verdict."""
    accepted(suite, TWO)
    change(suite, 1.05, "a")
    run = suite.pytester.runpytest_inprocess
    stopped = run("-x", "--benchmark-disable")
    stopped.assert_outcomes(failed=1)
    again = run("--lf", "--benchmark-disable")
    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines(["*worse: training loss over the run +5.*"])
    again.stdout.no_fnmatch_line("*missing*")


def test_an_xfail_is_not_gated(suite: Suite) -> None:
    """What a test records that is marked to fail is no promise: no verdict, not accepted."""
    accepted(suite, TWO)
    change(suite, 1.05, "a")
    suite.write(TWO.replace("@pytest", "@pytest.mark.xfail\n@pytest", 1), head=HEAD)
    ran = suite.run()
    ran.result.assert_outcomes(xpassed=2)
    assert all("verdict" not in (record.get("gate") or {}) for record in ran.records)
    refused = suite.run("--dlbench-accept")
    assert refused.result.ret == 1
    assert "nothing to accept" in refused.output


@pytest.mark.parametrize(
    ("mark", "gated"),
    [
        ('"1 > 2", reason="no"', True),
        ("0 > 1, reason='no'", True),
        ('"1 < 2", reason="yes"', False),
    ],
)
def test_an_xfail_whose_condition_does_not_hold_is_gated(
    suite: Suite, mark: str, gated: bool
) -> None:
    """The condition may be a text: what pytest makes of it decides, here too."""
    accepted(suite)
    change(suite, 1.05)
    suite.write(f"@pytest.mark.xfail({mark})" + ONE, head=HEAD)
    suite.run().result.assert_outcomes(failed=int(gated), xpassed=int(not gated))
    suite.run("--runxfail").result.assert_outcomes(failed=1)


def test_reruns_give_one_verdict(suite: Suite) -> None:
    """A rerun is judged anew, and counts once."""
    accepted(suite)
    change(suite, 1.05)
    ran = suite.run("--reruns", "1")
    ran.result.stdout.fnmatch_lines(["against the baseline: 1 worse", "*1 failed, 1 rerun*"])


def test_a_failed_subtest_is_not_accepted(suite: Suite) -> None:
    """A test passes whose subtest failed; its records are no baseline all the same."""
    suite.write(
        """
        def test_loop(convergence, subtests):
            convergence.record(trained(1.0))
            with subtests.test("bound"):
                assert False
        """,
        head=HEAD,
    )
    ran = suite.run("--dlbench-accept")
    assert "nothing to accept" in ran.output
    assert not suite.path.joinpath("baselines").exists()


def test_a_failed_assertion_is_not_judged(suite: Suite) -> None:
    """A bound that fails is the failure; accept refuses the case and writes nothing."""
    accepted(suite)
    before = suite.path.joinpath("baselines/test_tiny.json").read_bytes()
    suite.write(ONE + "    assert False, 'a bound'\n", head=HEAD)
    ran = suite.run()
    ran.result.assert_outcomes(failed=1)
    assert "verdict" not in (ran.record.get("gate") or {})
    refused = suite.run("--dlbench-accept")
    assert "nothing to accept" in refused.output
    assert suite.path.joinpath("baselines/test_tiny.json").read_bytes() == before


# ---- the marker


def test_a_margin_of_its_own(suite: Suite) -> None:
    """The marker's margin counts, and travels with the record."""
    marked = "@pytest.mark.convergence(margin=0.2)" + ONE
    accepted(suite, marked)
    change(suite, 1.05)
    ran = suite.run()
    ran.result.assert_outcomes(passed=1)
    assert ran.record["gate"]["rules"] == {"margin": 0.2}


def test_gates_of_its_own(suite: Suite) -> None:
    """A gate that the marker leaves out is not compared."""
    accepted(suite, '@pytest.mark.convergence(gates=["val_loss"], margin={"val_loss": 0.2})' + ONE)
    change(suite, 1.05)
    assert suite.run().result.ret == 0


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ('gates=["trainin_loss"]', "*Did you mean 'training_loss'*"), ("margin=-1", "*margin*-1*"),
        ('margin={"steps": 0.1}', "*margin names 'steps'*"), ('scale="lin"', "*linear*"),
        ('higher_is_better={"val_x": "yes"}', "*True or False*"),
    ],
)  # fmt: skip
def test_a_misspelt_gate_stops_the_session(suite: Suite, mark: str, message: str) -> None:
    """Before anything trains, as a usage error with the test's name."""
    suite.write(
        f"@pytest.mark.convergence({mark})\ndef test_it(convergence): raise OSError", head=HEAD
    )
    ran = suite.run()
    assert ran.result.ret == pytest.ExitCode.USAGE_ERROR
    ran.result.stderr.fnmatch_lines([f"*test_it: the marker convergence {message}"])


def test_a_loss_below_zero_needs_a_scale(suite: Suite) -> None:
    """A loss that may be 0 or less has no log: before it trains, the remedy is named."""
    case = """
        def test_it(convergence):
            convergence(build, **LEARNS | {"loss": "cosine_similarity", "metrics": [], "target": None,
                "seeds": 8, "data": (DATA[0][0], np.eye(2)[DATA[0][1]])})
    """
    suite.write(case)
    ran = suite.run()
    ran.result.assert_outcomes(failed=1)
    assert 'scale="linear"' in words(ran)
    suite.write("@pytest.mark.convergence(scale='linear')\n" + textwrap.dedent(case).lstrip())
    suite.run("--dlbench-accept").result.assert_outcomes(passed=1)
    assert degree(suite.run("--dlbench-seeds=8").record) == "identical"


# ---- bad input


def test_without_a_baseline_it_is_said_aloud(suite: Suite) -> None:
    """Nothing is gated, and everybody is told."""
    suite.write(ONE, head=HEAD)
    ran = suite.run()
    ran.result.assert_outcomes(passed=1)
    ran.result.stdout.fnmatch_lines(["dlbench: NO BASELINE: *--dlbench-accept makes one"])
    assert "verdict" not in ran.record["gate"]


def test_a_configured_baseline_must_be_there(suite: Suite) -> None:
    """`--dlbench-baseline` names a folder that only accept may make."""
    suite.write(ONE, head=HEAD)
    result = suite.pytester.runpytest_inprocess("--dlbench-baseline=elsewhere")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*no folder *elsewhere*--dlbench-accept makes it*"])
    assert suite.run("--dlbench-baseline=elsewhere", "--dlbench-gate=off").result.ret == 0
    assert suite.run("--dlbench-baseline=elsewhere", "--dlbench-quick").result.ret == 0
    assert suite.run("--dlbench-baseline=elsewhere", "--dlbench-accept").result.ret == 0
    assert suite.path.joinpath("elsewhere/test_tiny.json").is_file()
    assert degree(suite.run("--dlbench-baseline=elsewhere").record) == "identical"


def test_a_configured_baseline_must_hold_a_file(suite: Suite) -> None:
    """A folder without a file for any module would pass every case as new: a usage error."""
    accepted(suite)
    suite.path.joinpath("copied/elsewhere").mkdir(parents=True)
    suite.path.joinpath("baselines/test_tiny.json").rename(
        suite.path / "copied/elsewhere/test_tiny.json"
    )
    ran = suite.run("--dlbench-baseline=copied")
    assert ran.result.ret == pytest.ExitCode.USAGE_ERROR
    assert not ran.records
    assert "copied/test_tiny.json. --dlbench-accept makes it" in words(ran)
    suite.write(ONE, name="test_other.py", head=HEAD)
    suite.path.joinpath("copied/elsewhere/test_tiny.json").rename(
        suite.path / "copied/test_tiny.json"
    )
    assert suite.run("test_other.py", "--dlbench-baseline=copied").result.ret == 0


def test_a_baseline_outside_the_project(suite: Suite, tmp_path: Path) -> None:
    """The baseline of one checkout serves another: it may lie anywhere."""
    suite.write(ONE, head=HEAD)
    folder = f"--dlbench-baseline={tmp_path / 'base'}"
    ran = suite.run("--dlbench-accept", folder)
    assert ran.result.ret == 0
    assert "wrote /" in words(ran)
    assert tmp_path.joinpath("base/test_tiny.json").is_file()
    change(suite, 1.05)
    assert suite.run(folder).result.ret == 1


def test_accept_and_quick_exclude_each_other(suite: Suite) -> None:
    """A quick look is no baseline."""
    suite.write(ONE, head=HEAD)
    result = suite.pytester.runpytest_inprocess("--dlbench-quick", "--dlbench-accept")
    assert result.ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize("damage", ["truncated", "edited", "conflict"])
def test_a_damaged_baseline_stops_before_training(suite: Suite, damage: str) -> None:
    """It names the file and the remedy; accept does not overwrite it either."""
    accepted(suite)
    path = suite.path / "baselines/test_tiny.json"
    text = path.read_text(encoding="utf-8")
    broken = {
        "truncated": text[: len(text) // 2],
        "edited": re.sub(r'("training_loss": \[)[^,]*', r"\g<1>9.5", text),
        "conflict": text.replace('"cases"', '<<<<<<< HEAD\n"cases"'),
    }[damage]
    assert broken != text
    path.write_text(broken, encoding="utf-8")
    ran = suite.run()
    assert ran.result.ret == pytest.ExitCode.USAGE_ERROR
    assert "baselines/test_tiny.json" in ran.output
    assert not ran.records
    assert suite.run("--dlbench-accept").result.ret != 0
    assert path.read_text(encoding="utf-8") == broken
    assert suite.run("--dlbench-gate=off").result.ret == 0


def test_too_few_seeds_are_refused(suite: Suite) -> None:
    """A gate that could never fail is no gate: accept says how many seeds it needs."""
    suite.write(ONE, head=HEAD)
    ran = suite.run("--dlbench-accept", "--dlbench-seeds=3")
    assert ran.result.ret == 1
    assert re.search(r"with 3 seeds .*could never fail: it needs \d+", words(ran))
    assert not suite.path.joinpath("baselines").exists()


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ('"loss": losses - 1.9', "training_loss has values of 0 or less"),
        ('"loss": losses, "val_accuracy": losses * np.nan', "val_accuracy is not finite"),
    ],
)
def test_what_could_never_be_compared_is_refused(suite: Suite, values: str, why: str) -> None:
    """Accepted, it would fail every run from then on, and accepting again would not help."""
    suite.write(
        f"""
        def train(seed):
            losses = trained(1.0)(seed)["loss"]
            return {{{values}}}

        def test_loop(convergence):
            convergence.record(train)
        """,
        head=HEAD,
    )
    ran = suite.run("--dlbench-accept")
    assert ran.result.ret == 1
    assert why in words(ran)
    assert not suite.path.joinpath("baselines").exists()


# ---- in CI


def test_the_summary_is_markdown(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--dlbench-summary` writes it to a file, and GitHub's own summary gets it, too."""
    accepted(suite, TWO)
    change(suite, 1.05, "a")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(suite.path / "step.md"))
    suite.run("--dlbench-summary=out/verdicts.md")
    text = suite.path.joinpath("out/verdicts.md").read_text(encoding="utf-8")
    assert text.startswith("### ❌ Training against the baseline: 1 worse, 1 same")
    assert "| test\\_tiny.py::test\\_loop\\[a\\] | worse +5" in text
    assert suite.path.joinpath("step.md").read_text(encoding="utf-8") == text


def test_the_summary_is_red_where_the_run_is(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """A case that fails because nobody looks, new under CI, has no green tick on top."""
    accepted(suite)
    suite.write(ONE + ONE.replace("test_loop", "test_other"), head=HEAD)
    monkeypatch.setenv("CI", "true")
    assert suite.run("--dlbench-summary=out.md").result.ret == 1
    assert suite.path.joinpath("out.md").read_text(encoding="utf-8").startswith("### ❌")
    monkeypatch.delenv("CI")
    assert suite.run("--dlbench-summary=out.md").result.ret == 0
    assert suite.path.joinpath("out.md").read_text(encoding="utf-8").startswith("### ✅")


def test_a_path_behind_accept_is_told(suite: Suite) -> None:
    """`--dlbench-accept tests` would take the path for a value: it says where to put the option."""
    result = suite.pytester.runpytest_inprocess("--dlbench-accept", "tests")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*got 'tests'; put it behind the test paths"])


def test_two_workers_give_the_same_verdicts(folder: Folder) -> None:
    """Under pytest-xdist the workers judge, and the controller alone accepts, once."""
    folder.write(TWO, head=HEAD)
    folder.write_conftest()
    done = folder.run_fresh("-n", "2", "--dlbench-accept")
    assert "accepted: 2 added" in done.stdout, done.stdout + done.stderr
    change(folder, 1.05, "a")
    done = folder.run_fresh("-n", "2")
    assert "against the baseline: 1 worse, 1 same (1 identical)" in done.stdout
    assert "1 failed, 1 passed" in done.stdout
    folder.write(TWO.replace('"a", "b"', '"b"'), head=HEAD)
    done = folder.run_fresh("-n", "2")
    assert "test_loop[a]: missing" in done.stdout
    assert done.returncode == 1


def test_records_with_verdicts_are_saved(suite: Suite, stub_report: None) -> None:
    """`run.json` keeps the rules and the verdicts, in strict JSON."""
    del stub_report
    accepted(suite)
    suite.run("--dlbench-report=out")
    from dlbench.history.run import read_run

    (record,) = read_run(suite.path / "out/run.json").records
    assert degree(record) == "identical"  # type: ignore[arg-type]
    json.dumps(record, allow_nan=False)


def test_the_order_of_tests_does_not_matter(
    suite: Suite, make_reversed: Callable[[], None]
) -> None:
    """Backwards, the verdicts are the same."""
    accepted(suite, TWO)
    change(suite, 1.05, "a")
    make_reversed()
    ran = suite.run()
    assert {record["case"][-2]: degree(record) for record in ran.records} == {
        "a": "regressed",
        "b": "identical",
    }


@pytest.fixture
def make_reversed(suite: Suite) -> Callable[[], None]:
    """Turn the order of the tests around from now on."""

    def make() -> None:
        suite.write_conftest("def pytest_collection_modifyitems(items): items.reverse()")

    return make
