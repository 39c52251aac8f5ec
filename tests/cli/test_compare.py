"""`dlbench compare`: verdicts of the gate on saved runs, exit codes, and what bad input gets."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dlbench import cli
from dlbench.history import files, reading

if TYPE_CHECKING:
    from collections.abc import Callable

    Save = Callable[..., Path]

A, B, C = (f"bench/test_a.py::test_b[{name}]" for name in ("adam", "sgd-moons", "lion"))
SAMPLES = sorted(Path(__file__).parents[1].joinpath("history/samples").glob("*.json"))
HOSTILE = "a.py::test_x[<img src=x>|**b**`c`\x1b[31m\x07\x9b2J\u202e../../etc/passwd[red]]"
FORMATS = ["table", "markdown", "json", "csv", "latex"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, 80 columns wide."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def two(save: Save, made: Any) -> None:
    """Two runs of three cases: one is slower in the second, on another torch, one as it was."""
    newer = {"python": "3.11.7", "keras": "3.15.1", "torch": "2.14.0", "device": "cpu"}
    save(1, "old", records=[made[0](case, 16, 0.0) for case in (A, B, C)])
    save(2, "new", records=[
        made[0](A, 16, 0.05, environment=newer, timing=made[0](A, 5, 0)["timing"] | {"seconds": 0.003}),
        made[0](B, 16, 0.0, environment=newer), made[0](C, 16, -0.05, environment=newer),
    ])  # fmt: skip


def compare(*arguments: str, code: int) -> None:
    """Run the command in this process."""
    assert cli.main(["compare", *arguments]) == code


def verdicts(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Return each case's word from what was printed as JSON."""
    (found,) = json.loads(capsys.readouterr().out)["comparisons"]
    return {case["case"]: case["verdict"] for case in found["cases"]}


# ---- verdicts and exit codes


@pytest.mark.usefixtures("two")
def test_worse_better_same(capsys: pytest.CaptureFixture[str]) -> None:
    """The gate's words by case, worst first; 1 where one is worse."""
    compare("old", "new", "--format", "json", code=1)
    assert verdicts(capsys) == {A: "worse", C: "better", B: "same"}


@pytest.mark.usefixtures("two")
def test_swapped_sides_swap_better_and_worse(capsys: pytest.CaptureFixture[str]) -> None:
    """What is worse in one direction is better in the other."""
    compare("new", "old", "--format", "json", code=1)
    assert verdicts(capsys) == {C: "worse", A: "better", B: "same"}


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize("name", ["1", "old", "0001", "run:1"])
def test_a_run_against_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Identical everywhere, exit code 0."""
    compare("1", name, code=0)
    out = capsys.readouterr().out
    assert "against A: 3 same (3 identical)\n" in out
    assert out.count("same (identical)  ") == 3


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [([], 1), (["--only", "worse"], 1), (["--metric", "val_accuracy"], 1), (["--sort", "case"], 1),
     (["-k", "sgd or lion"], 0), (["-k", "sgd or lion", "--only", "worse"], 0)],
)  # fmt: skip
@pytest.mark.parametrize("form", FORMATS)
def test_what_is_shown_changes_no_exit_code(arguments: list[str], code: int, form: str) -> None:
    """In every format; only `-k` chooses what is compared."""
    compare("old", "new", "--format", form, *arguments, code=code)


@pytest.mark.parametrize(
    ("complete", "code"), [(True, 1), (False, 0)], ids=["complete", "interrupted"]
)
def test_a_case_that_is_missing(
    save: Save, made: Any, capsys: pytest.CaptureFixture[str], complete: bool, code: int
) -> None:
    """It fails where the second run was complete, and is told in either."""
    save(1, records=[made[0](A, 16, 0.0), made[0](B, 16, 0.0)])
    save(2, records=[made[0](A, 16, 0.0), made[0](C, 16, 0.0)], complete=complete)
    compare("1", "2", code=code)
    out = capsys.readouterr().out
    assert "missing                test_a.py::test_b[sgd-moons]\n  only in A" in out
    assert ("does not say that it was complete" in out) is not complete
    assert "new                    test_a.py::test_b[lion]\n  only in B\n" in out


@pytest.mark.parametrize(
    ("seeds", "code", "words"),
    [
        (8, 1, "8 of 8 seeds"), (5, 1, "takes 8 seeds on each side, got 5 and 16"),
        (3, 1, "3 of the baseline's 16 seeds were trained, at least 5 are needed"),
    ],
)  # fmt: skip
def test_fewer_seeds_on_one_side(
    save: Save, made: Any, capsys: pytest.CaptureFixture[str], *, seeds: int, code: int, words: str
) -> None:
    """What both have is compared, 5 at least: a slow-down is seen, too few are incomparable."""
    save(1, records=[made[0](A, 16, 0.0)])
    save(2, records=[made[0](A, seeds, 0.05)])
    compare("1", "2", "--format", "json", code=code)
    (found,) = json.loads(capsys.readouterr().out)["comparisons"]
    (case,) = found["cases"]
    if seeds == 8:
        assert case["seeds"] == 8
        assert case["verdict"] == "worse"
        assert {gate["of"] for gate in case["gates"] if gate["gate"] == "training_loss"} == {8}
    else:
        assert words in " ".join(case["remarks"])
        assert case["verdict"] == ("worse" if seeds == 5 else "incomparable")


def test_the_error_rate_is_divided_over_all_of_a(
    save: Save, made: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The level of a decision is that of the whole run, whatever `-k` chooses."""
    levels = []
    for count in (1, 10):
        records = [made[0](f"a.py::t[{place}]", 16, 0.0) for place in range(count)]
        slower = [made[0](f"a.py::t[{place}]", 16, 0.02) for place in range(count)]
        save(1, records=records)
        save(2, records=slower)
        for chosen in ([], ["-k", "[0]"]):
            compare("1", "2", "--format", "csv", "--metric", "training_loss", *chosen, code=1)
            levels.append(capsys.readouterr().out.splitlines()[1].split(",")[12])
    assert levels[0] == levels[1]
    assert levels[2] == levels[3]
    assert float(levels[2]) < float(levels[0])


def test_the_rules_of_the_tests_marker_hold(
    save: Save, made: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """A margin that the marker states decides; A's record says it, or B's where A has none."""
    rules = {"rules": {"margin": {"training_loss": 0.5}}}
    for old, new in ((rules, {"rules": {}}), (None, rules)):
        save(1, records=[made[0](A, 16, 0.0, gate=old)])
        save(2, records=[made[0](A, 16, 0.05, gate=new)])
        compare("1", "2", "--format", "json", code=0)
        assert verdicts(capsys) == {A: "same"}


def test_a_metric_whose_direction_nobody_knows(
    save: Save, made: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The case cannot be compared, and the remedy is said; the others are."""
    odd = made[0](A, 16, 0.0)
    odd["runs"]["curves"]["val_quux"] = odd["runs"]["curves"]["loss"]
    save(1, records=[odd, made[0](B, 16, 0.0)])
    compare("1", "1", code=1)
    out = " ".join(capsys.readouterr().out.split())
    assert "incomparable test_a.py::test_b[adam] " in out
    assert "it is not known whether 'val_quux' is better higher or lower: declare it" in out
    assert "1 incomparable, 1 same (1 identical)" in out


def test_a_suite_that_is_worse_as_a_whole(
    save: Save, made: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """No case fails by itself, all together do."""
    wide = {"gate": {"rules": {"margin": 0.2}}}
    cases = [f"a.py::t[{place}]" for place in range(8)]
    save(1, records=[made[0](case, 16, 0.0, **wide) for case in cases])
    save(2, records=[made[0](c, 16, 0.02 + 0.001 * n, **wide) for n, c in enumerate(cases)])
    compare("1", "2", code=1)
    out = capsys.readouterr().out
    assert "against A: 8 same" in out
    assert "worse as a whole, beyond the margin of 1 %: training loss over the run +" in out


def test_three_runs(save: Save, made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Each against the first; one that is worse is enough for 1."""
    for number, shift in ((1, 0.0), (2, 0.0), (3, 0.05)):
        save(number, records=[made[0](A, 16, shift)])
    compare("1", "2", "3", code=1)
    out = capsys.readouterr().out
    assert out.count("A  0001 x") == 2
    assert out.index("against A: 1 same (1 identical)") < out.index("against A: 1 worse")
    compare("1", "2", "2", code=0)


# ---- the baseline


def test_the_baseline_stands_first(
    save: Save, made: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Against accepted files, with their own error rate; modules that were not run are told."""
    gate: dict[str, Any] = {"rules": {}}
    for module in ("test_a.py", "test_z.py"):
        tmp_path.joinpath("bench").mkdir(exist_ok=True)
        tmp_path.joinpath("bench", module).touch()
    save(1, records=[made[0](A, 16, 0.0, gate=gate), made[0](B, 16, 0.0, gate=gate),
                     made[0]("bench/test_z.py::t", 16, 0.0, gate=gate)])  # fmt: skip
    assert cli.main(["accept", "1"]) == 0
    save(2, records=[made[0](A, 16, 0.05, gate=gate)])
    capsys.readouterr()
    compare("baseline", "2", code=1)
    out = capsys.readouterr().out
    assert out.startswith("A  baseline  3 cases\n")
    assert "against A: 1 worse, 1 missing\n" in out
    assert "not compared: 1 case of modules that B did not run\n" in out
    compare("baseline", "1", code=0)
    assert "against A: 3 same (3 identical)\n" in capsys.readouterr().out


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["1", "baseline"], "baseline can only stand first"),
        (["baseline", "1", "--plot", "f"], "--plot needs curves"),
        (["baseline", "1"], "nothing was accepted under"),
        (["1", "7"], "no saved run is meant by '7'"),
        (["1", "branch:main"], "'branch:main' means 2 saved runs"),
        (["1", "2", "-k", "nothing"], "no case that both sides have matches -k 'nothing'"),
        (["1", "2", "-k", "("], "is no expression"),
        (
            ["1", "2", "--metric", "accuracy"],
            "no metric accuracy; there are failed, points, step_seconds,",
        ),
        (["1", "2", "--storage", "http://x"], "file://PATH"),
    ],
)
def test_bad_input(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A sentence on the error stream, exit code 2, nothing printed."""
    compare(*arguments, code=2)
    captured = capsys.readouterr()
    assert captured.err.startswith("dlbench: ")
    assert words in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "Expecting property name"), ("[1]", "no saved run"), ("", "Expecting value"),
        ('{"benchmarks": []}', "no case of dlbench's is in it"),
        ('{"benchmarks": [{"fullname": "a", "extra_info": {}}]}', "no case of dlbench's is in it"),
    ],
)  # fmt: skip
def test_a_foreign_or_broken_file(
    save: Save, content: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is named, with exit code 2."""
    save(1)
    Path("b.json").write_text(content, encoding="utf-8")
    compare("1", "b.json", code=2)
    told = capsys.readouterr().err
    assert "b.json" in told
    assert words in told


def test_damage_within_a_record(save: Save, made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """File and case are named."""
    save(1, records=[made[0](A, 16, 0.0)])
    broken = made[0](A, 16, 0.0)
    broken["runs"]["starts"] = ["x"]
    save(2, records=[broken])
    compare("1", "2", code=2)
    told = capsys.readouterr().err
    assert "0002_x.json: bench/test_a.py::test_b[adam] cannot be read: these are no runs" in told


def test_no_common_case(save: Save, made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Both sides' cases are named: they may have been run from other root folders."""
    save(1, records=[made[0](A, 16, 0.0)])
    save(2, records=[made[0]("test_a.py::test_b[adam]", 16, 0.0)])
    compare("1", "2", code=2)
    told = capsys.readouterr().err
    assert "no case is on both sides: 0001 x has bench/test_a.py" in told
    assert "0002 x has test_a.py::test_b[adam]. Were they run from one root folder?" in told


# ---- files


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
@pytest.mark.parametrize("form", FORMATS)
def test_files_of_every_schema(path: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Files that older versions saved are compared with themselves and with each other."""
    compare(str(path), str(SAMPLES[-1]), "--format", form, code=0)
    assert capsys.readouterr().out


@pytest.mark.usefixtures("two")
def test_no_other_file_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs by their numbers take two reads, however many lie beside them."""
    folder = next(Path(".benchmarks").iterdir())
    for number in range(3, 9):
        shutil.copy(folder / "0001_old.json", folder / f"000{number}_copy.json")
    asked: list[str] = []

    def noted(path: Path, most: int) -> bytes:
        asked.append(path.name)
        return files.read_bounded(path, most)

    monkeypatch.setattr(reading, "read_bounded", noted)
    compare("1", "2", code=1)
    assert sorted(asked) == ["0001_old.json", "0002_new.json"]


@pytest.mark.parametrize("form", FORMATS)
def test_names_are_harmless(
    save: Save, made: Any, capsys: pytest.CaptureFixture[str], form: str, tmp_path: Path
) -> None:
    """No escape, markup or path of a saved file is more than text, in any format."""
    for number, shift in ((1, 0.0), (2, 0.05)):
        record = made[0](HOSTILE, 16, shift, name="\x1b]0;x\x07", outcome="\x1b[2J")
        record["runs"]["experiment"]["optimizer"] = {"rate\x1b[1m": f"<b>{number}"}
        record["environment"]["torch"] = f"\x1b[5m{number}"
        save(number, records=[record], commit={"id": "\x1b[5m", "branch": "<b>", "dirty": False})
    compare("1", "2", "--format", form, "--plot", "figures", code=1)
    captured = capsys.readouterr()
    for text in (captured.out, captured.err):
        assert {sign for sign in text if not sign.isprintable()} <= {"\n"}
    if form == "markdown":
        assert "<img" not in captured.out.replace("\\<img", "")
        rows = [line for line in captured.out.splitlines() if line.startswith("|")]
        assert {line.replace("\\|", "").count("|") for line in rows} == {8}
    if form == "table":
        assert "[red]" in captured.out
    for path in Path("figures").rglob("*"):
        assert path.resolve().parent == tmp_path / "figures"
        assert path.name.isascii()


# ---- the process


def test_help_teaches_by_examples(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` shows what people ask, and what the exit codes are."""
    for command in ("compare", "accept"):
        with pytest.raises(SystemExit) as ended:
            cli.main([command, "--help"])
        assert ended.value.code == 0
        out = capsys.readouterr().out
        assert f"examples:\n  dlbench {command}" in out
        assert "exit codes: 0" in out


@pytest.mark.usefixtures("two")
def test_in_a_fresh_process_without_keras() -> None:
    """Runs are compared where nothing can train, without colour in a pipe; the code is the shell's."""
    code = (
        "import sys\nfrom dlbench.cli import main\ncode = main(['compare', '1', '2', '--plot', 'f'])\n"
        "print([name for name in ('torch', 'keras') if name in sys.modules])\nsys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout.endswith("[]\n")
    assert "\x1b" not in done.stdout
