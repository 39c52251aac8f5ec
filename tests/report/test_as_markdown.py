"""The summary as Markdown, read back by a renderer that trusts it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from markdown_it import MarkdownIt

from dlbench.report.analysis import analyses
from dlbench.report.as_markdown import MOST_CHARACTERS, as_markdown, code, shown
from dlbench.report.summary import summarized

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.history.record import Record
    from dlbench.history.run import Run

HOSTILE = (
    "<script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    "[here](javascript:alert(1))",
    "a | b",
    "a `b` ``c``",
    "**bold** _under_ ~~gone~~ # head",
    "two\nlines\r\n\n# three",
    "\x1b[31mred\x07",
    "</summary></details><b>",
    "$x$ &lt; &amp;",
    "\\| \\",
)


def html(text: str) -> str:
    """Return what a renderer makes of it that lets HTML pass."""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return str(parser.render(text))


def of(run: Run, **bounds: int) -> str:
    """Return a run as Markdown."""
    return as_markdown(summarized(run, analyses(run)), **bounds)


def test_a_reviewer_reads_how_it_stands_first(suite: Run) -> None:
    """The standing, the counts, the case in need with its reason, and a sentence an analysis."""
    summary = summarized(suite, analyses(suite))
    text = as_markdown(summary)
    lines = text.splitlines()
    assert lines[0] == "## ❌ Does it train?"
    assert lines[2] == f"**{summary['standing']}**"
    attention, rest = text.split("### What needs attention")[1].split("### Analyses")
    assert attention.count("\n| ") == 2
    assert "assert 'mixed' == 'converged'" in attention
    headlines = rest.split("<details>")[0]
    for analysis in summary["analyses"]:
        assert f"| {shown(analysis['title'])} | {shown(analysis['headline'])} |" in headlines


def test_theory_and_discussion_are_left_to_the_page(suite: Run) -> None:
    """A reviewer gets numbers; the essay is on the page."""
    text = of(suite)
    assert "ell = " not in text
    assert "Small rates are" not in text


def test_every_table_has_a_row_a_case(suite: Run) -> None:
    """Each study's table is there whole, each line with as many cells as its head."""
    summary = summarized(suite, analyses(suite))
    tables = [study["table"] for one in summary["analyses"] for study in one["studies"]]
    page = html(as_markdown(summary).replace("</summary>", "</summary>\n"))
    bodies = re.findall("<tbody>(.*?)</tbody>", page, re.DOTALL)
    rows = [body.count("<tr>") for body in bodies]
    assert rows[2:-1] == [len(table["rows"]) for table in tables]  # after attention and analyses
    for table, body in zip(tables, bodies[2:-1], strict=True):
        cells = [row.count("<td") for row in body.split("</tr>")[:-1]]
        assert set(cells) == {len(table["columns"])}


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_a_record_says_is_shown_as_it_is(
    trained: Callable[..., Record], run_of: Callable[..., Run], text: str
) -> None:
    """In ids, messages, parameters and commands: no tag, no link, no emphasis, no further line."""
    records = [
        trained("test_a", {text: value}, outcome="failed", message=text) for value in (text, "b")
    ]
    for record in records:
        record["module"] = f"benchmarks/{text}.py"
        record["test"] = f"test_{text}"
    modules = {records[0]["module"]: {"theory": f"# {text}", "discussion": text}}
    run = run_of(records, modules=modules, introduction=f"# {text}", session={"command": text})
    page = html(of(run))
    tags = set(re.findall(r"</?([a-zA-Z][a-zA-Z0-9]*)[^>]*>", page))
    assert tags <= {
        "h2", "h3", "h4", "p", "strong", "table", "thead", "tbody", "tr", "th", "td", "ul", "li",
        "details", "summary", "code",
    }  # fmt: skip
    assert not re.search(r"<[^>]*\b(href|src|on\w+)\s*=", page)
    assert page.count("<strong>") == 1
    assert page.count("<details>") == page.count("</details>") == 2
    assert page.count("<h2>") == 1
    assert "\x1b" not in page
    words = [word for word in re.findall(r"[a-z]+", text) if len(word) > 3]
    assert all(word in page for word in words)


def test_nobody_is_mentioned(trained: Callable[..., Record], run_of: Callable[..., Run]) -> None:
    """GitHub finds no `@name` outside code to send mail to."""
    record = trained("test_a", {"who": "@octocat"}, outcome="failed", message="ask @octo/team")
    text = re.sub("`[^`]*`", "", of(run_of([record], introduction="# by @octocat")))
    assert "octocat" in text
    assert not re.search(r"@\w", text)


@pytest.mark.parametrize("count", [1, 600])
@pytest.mark.parametrize("most", [8_000, MOST_CHARACTERS])
def test_it_fits_into_a_comment(
    trained: Callable[..., Record], run_of: Callable[..., Run], count: int, most: int
) -> None:
    """However many cases failed with whatever messages, and it says what was left out."""
    records = [
        trained("test_a", {"number": number}, outcome="failed", message="<no> " * 300)
        for number in range(count)
    ]
    text = of(run_of(records), most=most)
    assert len(text) <= most
    if count > 1:
        listed = text.split("### Analyses")[0].count("\n| benchmarks")
        assert 0 < listed < count
        assert f"And {count - listed} more cases: the page has them." in text
        assert "No room was left for the tables of 1 analysis" in text
    else:
        assert "the page has them" not in text


def test_many_analyses_fit_too(trained: Callable[..., Record], run_of: Callable[..., Run]) -> None:
    """A thousand modules are named as far as there is room."""
    records = [trained("test_a", {}, module=f"benchmarks/test_{n}.py") for n in range(1000)]
    text = of(run_of(records), most=20_000)
    assert len(text) <= 20_000
    assert re.search(r"And \d+ more analyses: the page has them\.", text)


def test_an_empty_run(run_of: Callable[..., Run]) -> None:
    """Without a case it says so, and has no table of cases."""
    text = of(run_of([]))
    assert "**No benchmark was run.**" in text
    assert "###" not in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a", "`a`"), ("a`b", "``a`b``"), ("`", "`` ` ``"), ("", ""), ("a\nb", "`a b`")],
)
def test_code(text: str, expected: str) -> None:
    """Code is fenced by more backticks than it holds."""
    assert code(text) == expected


def test_long_texts_lose_their_end() -> None:
    """A message of a megabyte is a line."""
    found: Any = shown("x" * 10**6)
    assert len(found) == 600
    assert found.endswith("…")


def test_what_a_run_was_held_against_is_folded(suite: Run) -> None:
    """What moved and what differs, as texts and within bounds; whatever its name."""
    summary = summarized(suite, analyses(suite))
    summary["against"] = {
        "name": "<b>main",
        "worse": True,
        "standing": [],
        "environment": ["torch 2.12 -> 2.13 <i>"],
        "experiment": [],
        "new": ["a.py::test_new"],
        "missing": [f"a.py::test_{number}" for number in range(5000)],
        "gates": ["training loss"],
        "rows": [
            {
                "anchor": "",
                "case": "a.py::test_a[x|y]",
                "verdict": "worse +3.1 %",
                "severity": 9,
                "note": "",
                "cells": [{"text": "+3.1 %", "sort": 3.1, "note": "+2.3 … +3.9"}],
            }
        ],
        "rest": "Not shown: 3 cases.",
        "curves": "",
    }
    text = as_markdown(summary)
    assert text.startswith("## ❌")
    part = text.split("<summary>Against &lt;b&gt;main: ")[1].split("</details>")[0]
    assert "| a.py::test\\_a\\[x\\|y\\] | worse +3.1 % | +3.1 % (+2.3 … +3.9) |" in part
    assert "| environment | torch 2.12 -\\> 2.13 \\<i\\> |" in part
    assert "| new | a.py::test\\_new |" in part
    assert "more lines: the page has them." in part
    assert "Not shown: 3 cases." in part
    assert len(part) < MOST_CHARACTERS / 6
    assert len(text) <= MOST_CHARACTERS
