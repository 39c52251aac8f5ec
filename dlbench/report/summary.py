"""A run as one dict of texts: what every form of the report says, whatever it looks like.

Pictures are left out: whoever renders the dict draws them from the same studies.
"""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypedDict

from dlbench.gate.wording import clean
from dlbench.plain import digest
from dlbench.report import words
from dlbench.report.comparison import THEN, AgainstText, beside, described, recorded, standing
from dlbench.report.formatting import counted, humanized, listed, seconds, sentence, setting
from dlbench.report.frames import unreadable
from dlbench.report.markdown import title_and_rest
from dlbench.report.tables import Row, Table, rows_in_need, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dlbench.history.run import Run, Session
    from dlbench.report.analysis import Analysis
    from dlbench.report.comparison import Against
    from dlbench.report.study import Study

OUTCOMES = ("passed", "failed", "error", "interrupted", "xpassed", "xfailed", "skipped")
BAD = ("failed", "error", "interrupted", "xpassed")
TITLE = "Training benchmarks"


class Need(TypedDict):
    """Something a person should look at."""

    anchor: str
    case: str
    outcome: str
    message: str


class Remark(TypedDict):
    """Something a reader must know before trusting the page."""

    text: str
    loud: bool


class StudyText(TypedDict):
    """One study."""

    anchor: str
    title: str
    test: str
    question: str
    findings: list[str]
    table: Table


class GalleryText(TypedDict):
    """The figures of a test that left no records."""

    anchor: str
    title: str


class AnalysisText(TypedDict):
    """One analysis."""

    anchor: str
    title: str
    module: str
    theory: str
    discussion: str
    studies: list[StudyText]
    galleries: list[GalleryText]
    headline: str


class Summary(TypedDict):
    """The whole report."""

    title: str
    introduction: str
    standing: str
    held: bool
    remarks: list[Remark]
    counts: dict[str, int]
    attention: list[Need]
    against: AgainstText | None
    """None where nothing was compared."""
    analyses: list[AnalysisText]
    facts: dict[str, str]
    command: str


def summarized(run: Run, analyses: Sequence[Analysis], against: Against | None = None) -> Summary:
    """Return what the report of a run says.

    Args:
        run: whose records have the verdicts that are shown.
        analyses: of the run.
        against: what it is held against; by default the baseline that it was gated against.
    """
    against = against or recorded(run)
    title, introduction = title_and_rest(run.introduction)
    texts = [_analysis(one) for one in analyses]
    counts = _counts(run)
    return {
        "title": title or TITLE,
        "introduction": introduction,
        "standing": _standing(counts, run.session),
        "held": not any(counts.get(outcome) for outcome in BAD) and bool(counts.get("passed")),
        "remarks": _remarks(run, counts, against),
        "counts": counts,
        "attention": _attention(texts),
        "against": described(against) if against else None,
        "analyses": texts,
        "facts": _facts(run),
        "command": run.session["command"] if run.session else "pytest benchmarks",
    }


def anchor_of(kind: str, key: str) -> str:
    """Return an id for a part of the page, harmless whatever its name."""
    return f"{kind}-{digest(key)[:8]}"


# ---- how it stands


def _counts(run: Run) -> dict[str, int]:
    """Return the tests by outcome; without a session those that left a record."""
    if run.session:
        found = Counter(run.session["counts"])
    else:
        found = Counter({record["case"]: record["outcome"] for record in run.records}.values())
    names = [*OUTCOMES, *sorted(set(found) - set(OUTCOMES))]
    return {name: found[name] for name in names if found[name]}


def _standing(counts: Mapping[str, int], session: Session | None) -> str:
    total = sum(counts.values())
    took = f", in {seconds(session['duration'])}" if session else ""
    if not total:
        return "No benchmark was run."
    if counts.get("passed") == total:
        who = {1: "The one test", 2: "Both tests"}.get(total, f"All {counted(total, 'test')}")
        return f"{who} passed{took}."
    told = [f"{counts.get('passed', 0)} of {counted(total, 'test')} passed"]
    told += [f"{count} {_ended(name)}" for name, count in counts.items() if name != "passed"]
    return f"{listed(told)}{took}."


def _ended(outcome: str) -> str:
    words_for = {
        "error": "stopped with an error",
        "xfailed": "failed as expected",
        "xpassed": "passed against expectation",
        "interrupted": "was interrupted",
        "skipped": "skipped",
    }
    return words_for.get(outcome, outcome)


def _remarks(run: Run, counts: Mapping[str, int], against: Against | None) -> list[Remark]:
    loud = [
        *_interrupted(run.session),
        *_bounds_off(run),
        *_without_record(run, counts),
        *_unreadable(run),
    ]
    remarks: list[Remark] = [{"text": text, "loud": True} for text in loud]
    return remarks + (_stands(against) if run.records else [])


def _stands(against: Against | None) -> list[Remark]:
    """Return how the run stands against what it is held against, or how to make a baseline."""
    if against is None:
        text = (
            "What held are the assertions in the tests. No baseline was compared with, so the page "
            "does not say whether training became better or worse: pytest --dlbench-accept makes one."
        )
        return [{"text": text, "loud": False}]
    lines = beside(against)
    lost = [line for line in lines if line.startswith("pairing was lost")]
    worse = [line for line in lines if against.suite.worse and line not in lost]
    remarks: list[Remark] = [{"text": sentence(line), "loud": True} for line in lost + worse]
    text = sentence(f"against {clean(against.name)}: {standing(against)}")
    return [*remarks, {"text": text, "loud": False}]


def _interrupted(session: Session | None) -> list[str]:
    if session is None or session["complete"]:
        return []
    return ["The run was stopped before its end: this page shows what had come by then."]


def _bounds_off(run: Run) -> list[str]:
    off = {record["case"] for record in run.records if record["bounds"] == "off"}
    if not off:
        return []
    quick = run.session is not None and run.session["quick"]
    cases = len({record["case"] for record in run.records})
    where = "" if len(off) == cases else f" in {len(off)} of {cases} cases"
    start = "This was a quick look: bounds" if quick else "Bounds"
    return [f"{start} were off{where}. A pass there says that training ran, not that it went well."]


def _without_record(run: Run, counts: Mapping[str, int]) -> list[str]:
    recorded = {record["case"] for record in run.records if record["outcome"] in BAD}
    lost = sum(counts.get(outcome, 0) for outcome in BAD) - len(recorded)
    if lost <= 0:
        return []
    what = counted(lost, "further test")
    return [f"{what} did not pass and left no numbers; pytest's own output says more."]


def _unreadable(run: Run) -> list[str]:
    found = {record["case"]: reason for record in run.records if (reason := unreadable(record))}
    if not found:
        return []
    case, reason = next(iter(found.items()))
    what = counted(len(found), "record")
    return [f"{what} could not be read, and so not drawn; the first, of {case}: {reason}."]


def _attention(analyses: Sequence[AnalysisText]) -> list[Need]:
    rows = rows_in_need([study["table"] for one in analyses for study in one["studies"]])
    return [
        {
            "anchor": row["anchor"],
            "case": row["case"],
            "outcome": _needs(row),
            "message": row["message"],
        }
        for row in rows
    ]


def _needs(row: Row) -> str:
    """Return what became of a case, and its verdict where that is not what ended it."""
    ended = _ended(row["outcome"]) if row["outcome"] in BAD else ""
    by_itself = row["message"] and not row["message"].startswith(THEN)
    verdict = "" if by_itself else row["verdict"]
    is_open = verdict.startswith("cannot tell")
    told = [ended, f"the gate {verdict}" if is_open else f"is {verdict}" if verdict else ""]
    return " and ".join(part for part in told if part)


# ---- analyses


def _analysis(analysis: Analysis) -> AnalysisText:
    title, theory = title_and_rest(analysis.theory)
    title = title or humanized(PurePosixPath(analysis.module).stem).capitalize()
    return {
        "anchor": anchor_of("analysis", analysis.module),
        "title": title,
        "module": analysis.module,
        "theory": theory,
        "discussion": analysis.discussion,
        "studies": [_study(study, title) for study in analysis.studies],
        "galleries": [
            {
                "anchor": anchor_of("gallery", f"{analysis.module} {test}"),
                "title": humanized(test).capitalize(),
            }
            for test in analysis.galleries
        ],
        "headline": _headline(analysis),
    }


def _study(study: Study, analysis_title: str) -> StudyText:
    same = study.title.lower() == analysis_title.lower()
    return {
        "anchor": anchor_of("study", study.key),
        "title": "Results" if same else study.title,
        "test": study.test,
        "question": words.question(study),
        "findings": words.findings(study),
        "table": table(study),
    }


def _headline(analysis: Analysis) -> str:
    """Return an analysis in one measured sentence, and how many of its tests passed."""
    if not analysis.studies:
        return words.conclusion(())
    outcomes = Counter(analysis.cases.drop_duplicates("case")["outcome"])
    tests = counted(sum(outcomes.values()), "test")
    return f"{words.conclusion(analysis.studies)} {outcomes['passed']} of {tests} passed."


# ---- facts


def _facts(run: Run) -> dict[str, str]:
    """Return what is known of how and where the run was made, in words."""
    facts: dict[str, str] = {}
    session = run.session
    if session:
        commit = session["commit"]
        facts["started"] = session["started"].replace("T", " ")
        facts["duration"] = seconds(session["duration"])
        facts["seeds"] = str(session["seeds"])
        if commit.get("id"):
            branch = f" on {commit['branch']}" if commit.get("branch") else ""
            dirty = ", with uncommitted changes" if commit.get("dirty") else ""
            facts["commit"] = f"{str(commit['id'])[:12]}{branch}{dirty}"
    trained = sum(record["duration"] for record in run.records)
    if trained:
        facts["of it training and counting"] = seconds(trained)
    engines = {str((record["runs"] or {}).get("engine") or "") for record in run.records} - {""}
    if engines:
        facts["trained by"] = listed(sorted(engines))
    names = dict.fromkeys(name for record in run.records for name in record["environment"])
    for name in names:
        values = [record["environment"].get(name) for record in run.records]
        facts[name] = listed(dict.fromkeys(setting(value) for value in values))
    return facts
