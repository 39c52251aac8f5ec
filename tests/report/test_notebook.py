"""A notebook of an analysis: valid, harmless, and with the module's own code."""

from __future__ import annotations

import ast
import base64
import json
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from markdown_it import MarkdownIt

from dlbench.plain import dumps
from dlbench.report.analysis import analyses
from dlbench.report.notebook import (
    Shot,
    bounded,
    bundles,
    content_digest,
    handed_in,
    literal,
    notebook,
    result,
    sections,
)
from dlbench.report.source import taken_apart
from dlbench.report.summary import summarized

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.history.record import Record
    from dlbench.history.run import Run
    from dlbench.report.source import Source

MODULE = '''
"""# Rates

The loss is $\\\\ell$."""
import pytest
from somewhere import rate


@pytest.mark.parametrize("learning_rate", [1, 2])
def test_rate(convergence, learning_rate):
    assert convergence


class TestGroup:
    def test_other(self, convergence):
        pass


def test_silent():
    pass
'''

SHOT = Shot(base64.b64encode(b"\x89PNG").decode(), "what it says", "what it is")


class Page(HTMLParser):
    """The tags and attributes of a text, as a browser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: dict[str, list[str]] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a tag and its attributes."""
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, []).append(value or "")


def made(run: Run, source: Source | None, shots: list[Shot] | None = None) -> dict[str, Any]:
    """Return the first analysis of a run as a notebook, every section with the same pictures."""
    analysis, *_ = analyses(run)
    text, *_ = summarized(run, [analysis])["analyses"]
    found = sections(analysis, text, source)
    parts = [(section, list(shots or [])) for section in found]
    document = notebook(text, parts, source, run.session, threads=1)
    nbformat.validate(nbformat.from_dict(json.loads(dumps(document))))  # type: ignore[no-untyped-call]
    return document


def code_of(document: dict[str, Any]) -> list[str]:
    """Return the code cells' code."""
    return [cell["source"] for cell in document["cells"] if cell["cell_type"] == "code"]


def texts_of(document: dict[str, Any]) -> str:
    """Return the Markdown cells, one after the other."""
    cells = document["cells"]
    return "\n\n".join(cell["source"] for cell in cells if cell["cell_type"] == "markdown")


@pytest.fixture
def run(trained: Callable[..., Record], run_of: Callable[..., Run]) -> Run:
    """A run of the module above."""
    module = "benchmarks/test_rates.py"
    group = trained("test_other", {})
    group["case"] = f"{module}::TestGroup::test_other"
    records = [group, *(trained("test_rate", {"learning_rate": rate}) for rate in (1, 2))]
    records[1] |= {"outcome": "failed", "message": "assert 1 < 0"}
    theory = taken_apart(MODULE).theory
    figure = {"case": group["case"], "module": module, "caption": "mine", "png": "bm90IGEgcG5n"}
    texts = {module: {"theory": theory, "discussion": "All is **well**."}}
    return run_of(records, modules=texts, figures=[figure])


def test_it_has_theory_code_results_and_discussion(run: Run) -> None:
    """A reader finds the essay, then a test at a time, in the module's order."""
    source = taken_apart(MODULE)
    document = made(run, source, [SHOT])
    text = texts_of(document)
    assert text.startswith("# Rates\n\nThe loss is $\\ell$.")
    assert "has changed" not in text
    order = ["# Rates", "## Rate\n", "## Other\n", "## Further tests", "## Discussion", "## Go on"]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert "All is **well**." in text
    start, setup, *tests = code_of(document)
    assert start == (
        "from dlbench.notebook import player\n\n"
        'play = player("benchmarks/test_rates.py", "--dlbench-seeds=5", threads=1)'
    )
    assert setup == source.setup
    assert tests[:3] == [
        source.tests["test_rate"],
        "rate_played = play(test_rate)\nrate_played",  # the module has a `rate` of its own
        "rate_played.show()",
    ]
    assert tests[4:6] == ["group = play(TestGroup)\ngroup", "group.show()"]
    assert tests[6:8] == [source.tests["test_silent"], "play(test_silent)"]
    for code in code_of(document):
        ast.parse(code)


def test_the_run_s_results_are_the_outputs(run: Run) -> None:
    """Before anything is executed, cells show the tables and pictures of the run."""
    document = made(run, taken_apart(MODULE), [SHOT])
    by_code = {cell["source"]: cell for cell in document["cells"] if cell["cell_type"] == "code"}
    (table,) = by_code["rate_played = play(test_rate)\nrate_played"]["outputs"]
    shown = table["data"]["text/markdown"]
    assert shown.count("\n| ") == 2
    assert "failed: assert 1 \\< 0" in shown
    picture, caption = by_code["rate_played.show()"]["outputs"]
    assert picture["data"]["image/png"] == SHOT.png
    assert picture["metadata"] == {"image/png": {"alt": "what it says"}}
    assert caption["data"]["text/markdown"] == "what it is"


def test_without_the_module_there_is_no_code(run: Run) -> None:
    """It says so in a sentence, and has the pictures as attachments beside the words."""
    document = made(run, None, [SHOT])
    assert code_of(document) == []
    assert "was not found: there is no code" in texts_of(document)
    (cell,) = [cell for cell in document["cells"] if "## Rate\n" in cell["source"]]
    assert cell["attachments"] == {"0.png": {"image/png": SHOT.png}}
    assert "![what it says](attachment:0.png)" in cell["source"]
    assert "\n| " in cell["source"]


def test_a_module_that_changed_is_told(run: Run) -> None:
    """Another docstring than the run's, or a test that is gone, is said where it matters."""
    source = taken_apart(MODULE.replace("# Rates", "# Prices").replace("test_rate", "test_new"))
    text = texts_of(made(run, source))
    assert "docstring has changed since" not in text  # the title alone is no theory
    source = taken_apart(MODULE.replace("The loss", "A loss").replace("test_rate", "test_new"))
    text = texts_of(made(run, source))
    assert "docstring has changed since" in text
    assert "The module no longer has this test." in text


HOSTILE = (
    "<script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "![x](https://example.org/x.png)",
    '"); import os; os.abort() #',
    "'''\n%%bash\nrm -rf x",
    "\\'; boom()",
    "</style><img src=x onerror=alert(1)>",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_of_a_record_becomes_code_or_markup(
    trained: Callable[..., Record], run_of: Callable[..., Run], text: str
) -> None:
    """Whatever ids, parameters, captions, docstrings and commands say, code holds it as literals."""
    module = f"benchmarks/{text}.py"
    records = [trained("test_rate", {text: value}, message=text) for value in (1, 2)]
    for record in records:
        record["module"], record["case"] = module, f"{module}::test_rate[{text}]"
    texts = {module: {"theory": f"# {text}\n\n{text}", "discussion": text}}
    run = run_of(records, modules=texts, session={"command": text})
    document = made(run, taken_apart(MODULE), [Shot(SHOT.png, text, text)])
    calls = {
        ast.unparse(node.func)
        for code in code_of(document)
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call)
    }
    assert calls == {
        "player", "play", "pytest.mark.parametrize", "rate_played.show", "sns.relplot",
    }  # fmt: skip
    outputs = [output for cell in document["cells"] for output in cell.get("outputs", [])]
    shown = [output["data"].get("text/markdown", "") for output in outputs]
    assert not any("text/html" in output["data"] for output in outputs)
    for part in (
        texts_of(document),
        texts_of(made(run, None, [Shot(SHOT.png, text, text)])),
        *shown,
    ):
        page = Page(MarkdownIt("commonmark", {"html": True}).enable("table").render(part))
        assert not page.tags & {"script", "style", "iframe", "object"}
        assert page.attributes.keys() <= {"href", "src", "alt", "style"}  # a column's alignment
        assert all(url.startswith("https://") for url in page.attributes.get("href", []))
        assert all(url.startswith("attachment:") for url in page.attributes.get("src", []))


@pytest.mark.parametrize(
    "text", ["a", "it's", 'a "b"', "\n", "\\", "é", "", "'\"", "\x1b", "\ud800"]
)
def test_a_literal_is_the_text(text: str) -> None:
    """What is written as code is read back as the same text."""
    assert ast.literal_eval(literal(text)) == text


def test_pictures_are_bounded() -> None:
    """What has no room is left out, and that is said where the pictures are."""
    kept, room = bounded(
        [Shot("x" * 60, "", "a"), Shot("y" * 60, "", "b"), Shot("z" * 30, "", "c")], 100
    )
    assert [shot.caption for shot in kept[:2]] == ["a", "c"]
    assert room == 10
    assert kept[2].caption == "No room was left here for 1 figure: execute the cell above."


def test_a_broken_picture_is_a_sentence(run: Run) -> None:
    """A figure that is no PNG is told of, without a picture."""
    (shot,) = handed_in(run.figures)
    assert shot.png == ""
    ((data, metadata),) = bundles([shot])
    assert "is no PNG" in data["text/markdown"]
    assert metadata == {}


def test_a_digest_stands_for_what_a_reader_may_change(run: Run) -> None:
    """Saved by Jupyter it is the same, lines in a list; another word or output is another digest."""
    cells = made(run, taken_apart(MODULE), [SHOT])["cells"]
    before = content_digest(cells)
    saved = json.loads(dumps(cells))
    for cell in saved:
        cell["source"] = cell["source"].splitlines(keepends=True)
        cell["metadata"]["collapsed"] = True
        for output in cell.get("outputs", []):
            data = output["data"]
            data |= {
                kind: text.splitlines(keepends=True)
                for kind, text in data.items()
                if kind.startswith("text/")
            }
    assert content_digest(saved) == before
    saved[2]["source"] += ["# mine"]
    assert content_digest(saved) != before
    saved = json.loads(dumps(cells))
    saved[-1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "1"}]
    assert content_digest(saved) != before


def test_a_result_of_nothing_is_its_standing() -> None:
    """Tests that leave no numbers show how they ended."""
    assert result([], "All 3 tests passed.") == "All 3 tests passed."


def test_an_analysis_of_nothing(run_of: Callable[..., Run]) -> None:
    """A module that left a figure alone gives a notebook too."""
    figure = {"case": "a.py::test_b[1]", "module": "a.py", "caption": "mine", "png": ""}
    document = made(run_of([], figures=[figure]), None)
    assert "## B" in texts_of(document)
