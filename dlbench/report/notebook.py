"""A Jupyter notebook of an analysis: its theory, the code that trains and plots it, and its figures.

The code is the benchmark module's own, a test at a time, and `dlbench.notebook` plays it. Of a run's
records nothing becomes code, but names and numbers as literals.
"""

from __future__ import annotations

import base64
import builtins
import keyword
from dataclasses import dataclass, field
from inspect import cleandoc
from typing import TYPE_CHECKING, Any

from dlbench.history.run import decode_png
from dlbench.plain import digest
from dlbench.report.as_markdown import code, shown, study_parts, table_lines
from dlbench.report.formatting import counted, seconds
from dlbench.report.markdown import defused, title_and_rest
from dlbench.report.tables import rows_in_need

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dlbench.history.run import Figure, Session
    from dlbench.report.analysis import Analysis
    from dlbench.report.source import Source
    from dlbench.report.study import Study
    from dlbench.report.summary import AnalysisText, StudyText

LARGEST = 8 * 2**20
"""Bytes of pictures in a notebook, as base64. Those that come after are left to whoever executes it."""

GO_ON = """\
`curves` is a tidy frame with a row a case, metric, seed and point; `seeds` has a row a case and seed.
Change a test above and play it again, or draw what you want to see:"""

OWN_PLOT = """\
import seaborn as sns

curves = {name}.curves
sns.relplot(
    curves[curves["metric"] == {metric}], x="step", y="value", kind="line",{by}
    estimator="median", errorbar=("pi", 50), palette="colorblind", height=3,
)"""

TAKEN = {"play", "player", "display", "get_ipython", "exit", "quit", *dir(builtins)}
"""Names that no result has."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture as a notebook holds it."""

    png: str
    """The file, base64."""
    alt: str
    caption: str


@dataclass(frozen=True, slots=True)
class Section:
    """What a notebook shows of a test."""

    test: str
    """A function's name, or its class'."""
    title: str
    studies: list[tuple[Study, StudyText]] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)


def result(texts: Sequence[StudyText], standing: str = "") -> str:
    """Return what a played test shows of itself: its tables, and why a case did not pass."""
    parts = [shown(standing)] if standing else []
    for text in texts:
        parts += [f"**{shown(text['title'])}**"] if len(texts) > 1 else []
        parts.append("\n".join(table_lines(text["table"])))
    rows = [row for row in rows_in_need([text["table"] for text in texts]) if row["message"]]
    parts += [f"- {shown(row['case'])} {row['outcome']}: {shown(row['message'])}" for row in rows]
    return "\n\n".join(parts)


def bundles(shots: Iterable[Shot]) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
    """Yield pictures as what Jupyter displays, each with its metadata: the picture, its caption."""
    for shot in shots:
        if shot.png:
            image = {"image/png": shot.png, "text/plain": shot.alt}
            yield image, {"image/png": {"alt": shot.alt}}
        yield {"text/markdown": shown(shot.caption), "text/plain": shot.caption}, {}


def handed_in(figures: Iterable[Figure]) -> Iterator[Shot]:
    """Yield the pictures that tests handed in; one that is none is a sentence."""
    for figure in figures:
        caption = figure["caption"]
        try:
            yield Shot(base64.b64encode(decode_png(figure)).decode(), caption, caption)
        except ValueError as error:
            yield Shot("", "", str(error))


def bounded(shots: Iterable[Shot], room: int) -> tuple[list[Shot], int]:
    """Return the pictures that there is room for, and the room that is left."""
    kept, without = [], 0
    for shot in shots:
        if len(shot.png) > room:
            without += 1
            continue
        kept.append(shot)
        room -= len(shot.png)
    if without:
        told = f"No room was left here for {counted(without, 'figure')}: execute the cell above."
        kept.append(Shot("", "", told))
    return kept, room


def sections(analysis: Analysis, text: AnalysisText, source: Source | None) -> list[Section]:
    """Return an analysis by test, in the order of its module, or of the run where that is gone."""
    found: dict[str, Section] = {}

    def of(test: str, case: str, title: str) -> Section:
        name = source.holder(test, case) if source else test
        return found.setdefault(name, Section(name, title))

    for study, words in zip(analysis.studies, text["studies"], strict=True):
        case = str(study.cases["case"].iloc[0])
        of(study.test, case, words["title"]).studies.append((study, words))
    titles = iter(text["galleries"])
    for test, figures in analysis.galleries.items():
        of(test, figures[0]["case"], next(titles)["title"]).figures.extend(figures)
    for figure in analysis.figures:
        home = analysis.study_of(figure)
        if home is not None:
            of(home.test, str(home.cases["case"].iloc[0]), "").figures.append(figure)
    order = list(source.tests) if source else []
    return sorted(
        found.values(),
        key=lambda one: order.index(one.test) if one.test in order else len(order),
    )


def notebook(
    text: AnalysisText,
    shots: Sequence[tuple[Section, list[Shot]]],
    source: Source | None,
    session: Session | None,
    *,
    threads: int | None = None,
) -> dict[str, Any]:
    """Return an analysis as a notebook, format 4.5.

    Args:
        text: its words.
        shots: its sections, each with the pictures that there is room for.
        source: of its module; without it there is no code.
        session: of the run.
        threads: that PyTorch had in it.
    """
    cells = [_markdown(f"# {shown(text['title'])}", defused(text["theory"]))]
    cells.append(_markdown(*_origin(text, source, session)))
    names: dict[str, str] = {}
    if source:
        cells += [_code(_start(text["module"], session, threads)), _code(source.setup)]
        names = _names(source)
    for section, pictures in shots:
        cells += _section(section, pictures, source, names)
    if source:
        cells += _further(source, {section.test for section, _ in shots})
    if text["discussion"].strip():
        cells.append(_markdown("## Discussion", defused(text["discussion"])))
    if source:
        cells += _go_on([section for section, _ in shots], names)
    for place, cell in enumerate(cells):
        cell["id"] = f"{text['anchor']}-{place}"
    return {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "dlbench": {"digest": content_digest(cells)},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def content_digest(cells: Any) -> str:
    """Return a digest of what a reader may have changed: texts, code and outputs.

    Raises:
        TypeError: these are no cells.
        KeyError: the same.
    """
    return digest(
        [
            [
                cell["cell_type"],
                _joined(cell["source"]),
                [_joined(output.get("data")) for output in cell.get("outputs", [])],
            ]
            for cell in cells
        ]
    )


def _joined(value: Any) -> Any:
    """Return a text that Jupyter wrote as a list of lines in one, and so within a mapping."""
    if isinstance(value, list):
        return "".join(value)
    if isinstance(value, dict):
        return {name: _joined(item) for name, item in value.items()}
    return value


# ---- cells


def _markdown(*parts: str) -> dict[str, Any]:
    text = "\n\n".join(part.strip() for part in parts if part.strip())
    return {"cell_type": "markdown", "metadata": {}, "source": text}


def _code(source: str, outputs: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {},
        "outputs": list(outputs),
        "source": source,
    }


def _output(data: dict[str, str], metadata: dict[str, Any]) -> dict[str, Any]:
    return {"output_type": "display_data", "data": data, "metadata": metadata}


def _origin(text: AnalysisText, source: Source | None, session: Session | None) -> list[str]:
    module = code(text["module"])
    run = f"the run of {shown(session['started'].replace('T', ' '))}" if session else "a saved run"
    if source is None:
        return [f"What follows is from {run}. The file {module} was not found: there is no code."]
    told = (
        f"The code is that of {module}, what it shows is from {run}. Execute the cells to train "
        "again; change them to go on. Keep the notebook in a folder of the repository: the settings "
        "and modules beside that file apply."
    )
    if session:
        took, seeds = seconds(session["duration"]), counted(session["seeds"], "seed")
        told += f" All analyses together took {took}, from {seeds}: {code(session['command'])}."
    parts = [told]
    if cleandoc(title_and_rest(source.theory)[1]).strip() != cleandoc(text["theory"]).strip():
        parts.append("**The file's docstring has changed since; its code may have, too.**")
    return parts


def _start(module: str, session: Session | None, threads: int | None) -> str:
    given = [module]
    if session:
        given.append(f"--dlbench-seeds={session['seeds']}")
        given += ["--dlbench-quick"] if session["quick"] else []
    literals = [literal(text) for text in given]
    literals += [f"threads={threads}"] if threads else []
    return f"from dlbench.notebook import player\n\nplay = player({', '.join(literals)})"


def literal(text: str) -> str:
    """Return a text as Python writes it, in double quotes where that is the same."""
    return f'"{text}"' if repr(text) == f"'{text}'" and '"' not in text else repr(text)


def _names(source: Source) -> dict[str, str]:
    """Return by test what its result is called: nothing that the module itself names."""
    names: dict[str, str] = {}
    for test in source.tests:
        name = test.removeprefix("test_").removeprefix("Test").lower() or test
        while name in TAKEN | source.names | set(names.values()) or keyword.iskeyword(name):
            name += "_played"
        names[test] = name if name.isidentifier() else f"{test}_played"
    return names


def _section(
    section: Section, shots: list[Shot], source: Source | None, names: dict[str, str]
) -> list[dict[str, Any]]:
    texts = [words for _, words in section.studies]
    parts = [part for words in texts for part in study_parts(words, level=2)]
    parts = parts or [f"## {shown(section.title)}"]
    if source is None or section.test not in source.tests:
        tables = [result(texts)] if texts else []
        gone = ["The module no longer has this test."] if source else []
        return [_with_pictures([*parts, *gone, *tables], shots)]
    name = names[section.test]
    cells = [_markdown(*parts), _code(source.tests[section.test])]
    table = (
        [_output({"text/markdown": result(texts), "text/plain": result(texts)}, {})]
        if texts
        else []
    )
    cells.append(_code(f"{name} = play({section.test})\n{name}", table))
    cells.append(_code(f"{name}.show()", [_output(*bundle) for bundle in bundles(shots)]))
    return cells


def _with_pictures(parts: list[str], shots: list[Shot]) -> dict[str, Any]:
    attachments = {}
    for place, shot in enumerate(shots):
        if shot.png:
            attachments[f"{place}.png"] = {"image/png": shot.png}
            parts = [*parts, f"![{shown(shot.alt)}](attachment:{place}.png)"]
        parts = [*parts, shown(shot.caption)]
    return _markdown(*parts) | ({"attachments": attachments} if attachments else {})


def _further(source: Source, told: set[str]) -> list[dict[str, Any]]:
    tests = [test for test in source.tests if test not in told]
    if not tests:
        return []
    first = [] if told else ["What they show stands or falls as a whole."]
    return [
        _markdown("## Further tests", "They leave no numbers: each holds, or it does not.", *first),
        *(_code(source.tests[test]) for test in tests if source.tests[test]),
        _code(f"play({', '.join(tests)})"),
    ]


def _go_on(told: list[Section], names: dict[str, str]) -> list[dict[str, Any]]:
    """Return a plot of the reader's own to begin with, of the first test with curves."""
    for section in told:
        for study, _ in section.studies:
            metric, factors = study.primary, [factor.name for factor in study.factors[:2]]
            if metric is None or study.counts_models or section.test not in names:
                continue
            hows = zip(("hue", "col"), map(literal, factors), strict=False)
            by = "".join(f" {how}={name}," for how, name in hows)
            by += " col_wrap=4," if len(factors) > 1 else ""
            return [_markdown("## Go on from here", GO_ON), _code(OWN_PLOT.format(
                name=names[section.test], metric=literal(metric), by=by,
            ))]  # fmt: skip
    return []
