"""The page as a browser reads it: parsed, not searched."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from dlbench.gate.sides import compared, side_of
from dlbench.report.analysis import analyses
from dlbench.report.comparison import held
from dlbench.report.page import page
from dlbench.report.summary import summarized

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.history.record import Record
    from dlbench.history.run import Run
    from dlbench.report.pictures import Picture

EMPTY = {"meta", "img", "br", "hr", "input", "mspace"}

TRAPS = [
    "<script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "'><img src=https://evil.example onerror=alert(1)>",
    "{{ 7 * 7 }}{% include 'page.css' %}",
    "[x](javascript:alert(1)) $\\text{<script>}$",
    "\x00\x1b[31m\u202e",
]


class Page(HTMLParser):
    """The elements of a page with their attributes, and whether they nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element, and open it unless it cannot hold anything."""
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the element that was opened last, and no other."""
        assert tag in EMPTY or self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep a text under the element that it stands in."""
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def all(self, *tags: str) -> list[dict[str, str]]:
        """Return the attributes of every element of these tags."""
        return [attributes for tag, attributes in self.elements if tag in tags]


def html_of(run: Run) -> str:
    """Return a run's page, with one picture an analysis."""
    found = analyses(run)
    summary = summarized(run, found)
    picture: Picture = {
        "source": "data:image/png;base64,",
        "width": 10,
        "alt": "It says",
        "caption": "a caption",
        "files": [("PNG", "figures/x.png")],
    }
    by_study = {
        study["anchor"]: [picture] for one in summary["analyses"] for study in one["studies"]
    }
    return page(summary, {"drawn": by_study, "handed_in": {}})


def check(html: str) -> Page:
    """Return a page that is well formed, self-contained and in order, whatever stands in it."""
    parsed = Page(html)
    assert len(parsed.all("h1")) == 1
    levels = [int(tag[1]) for tag, _ in parsed.elements if tag[0] == "h" and tag[1:].isdigit()]
    assert all(level <= before + 1 for before, level in pairwise(levels))
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    for _, attributes in parsed.elements:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            if name in attributes:
                assert attributes[name].startswith(
                    ("#", "data:image/", "figures/", "https://a.example")
                )
        if attributes.get("href", "").startswith("#"):
            assert attributes["href"][1:] in ids
        for labelled in attributes.get("aria-labelledby", "").split():
            assert labelled in ids
    assert all(image["alt"] for image in parsed.all("img"))
    assert all(head["scope"] for head in parsed.all("th"))
    tables = [table for table in parsed.all("table") if "class" in table]  # not a docstring's
    assert len(tables) == len(parsed.all("caption"))
    (script,) = parsed.texts["script"]
    allowed = hashlib.sha256(script.encode()).digest()
    assert f"'sha256-{base64.b64encode(allowed).decode()}'" in html
    assert len(parsed.all("script")) == len(parsed.all("style")) == 1
    assert not parsed.all("iframe", "object", "embed", "link", "base", "form")
    return parsed


def test_the_page_of_a_suite(suite: Run) -> None:
    """A page has its landmarks, a section an analysis, a figure and a table a study."""
    parsed = check(html_of(suite))
    for landmark in ("header", "nav", "main", "footer"):
        assert len(parsed.all(landmark)) == 1
    found = analyses(suite)
    studies = sum(len(one.studies) for one in found)
    assert len([one for one in parsed.all("section") if one.get("class") == "analysis"]) == 4
    assert len(parsed.all("figure")) == studies
    assert len([one for one in parsed.all("table") if one.get("class") == "cases"]) == studies
    assert parsed.all("html")[0]["lang"] == "en"
    assert "viewport" in [meta.get("name") for meta in parsed.all("meta")]
    text = "".join(text for texts in parsed.texts.values() for text in texts)
    assert "assert 'mixed' == 'converged'" in text
    assert "pytest benchmarks" in text


def test_what_needs_attention_leads_to_its_row(suite: Run) -> None:
    """The list of failures links to the rows that say more."""
    html = html_of(suite)
    parsed = check(html)
    rows = [body["id"] for body in parsed.all("tbody") if "id" in body]
    attention = html.split('class="attention"')[1].split("</ul>")[0]
    linked = [attributes["href"][1:] for attributes in Page(f"<ul{attention}</ul>").all("a")]
    assert linked
    assert set(linked) <= set(rows)


@pytest.mark.parametrize("trap", TRAPS)
def test_hostile_texts_are_harmless(
    trained: Callable[..., Record], run_of: Callable[..., Run], trap: str
) -> None:
    """No id, parameter, message, docstring, caption, command or environment becomes markup."""
    records: list[Any] = [
        trained(
            f"test_{trap}", {trap: value, "trap": trap}, case=f"{trap}::{value}", module=trap,
            outcome="failed", message=trap, workload=trap, name=trap,
        )
        for value in (1, trap)
    ]  # fmt: skip
    records[0]["environment"] = {trap: trap}
    run = run_of(
        records,
        modules={trap: {"theory": f"# {trap}\n\n{trap}\n", "discussion": trap}},
        introduction=f"# {trap}\n\n{trap}",
        session={"command": trap, "counts": {"failed": 2, trap: 1}},
    )
    check(html_of(run))


@pytest.mark.parametrize("trap", TRAPS)
def test_hostile_names_of_what_it_is_held_against_are_harmless(
    trained: Callable[..., Record], run_of: Callable[..., Run], trap: str
) -> None:
    """Neither another run's name and commit, nor its cases, environment and fields become markup."""
    known = {"workload": trap, "case": f"a.py::{trap}", "seeds": 8}
    here = run_of([trained("test_a", {}, rate=0.01, environment={trap: trap}, **known)])
    there = run_of(
        [trained("test_a", {}, rate=0.012, **known), trained("test_b", {}, case=f"{trap}::b")],
        session={"commit": {"id": trap, "branch": trap}, "started": trap},
    )
    sides = side_of(there, trap, trap), side_of(here, "b", "b")
    run, against = held(here, compared(*sides, lambda _: True, 0.01))
    summary = summarized(run, analyses(run), against)
    assert summary["against"]
    assert summary["against"]["rows"]
    assert summary["against"]["environment"]
    assert summary["against"]["missing"]
    check(page(summary, {"drawn": {}, "handed_in": {}}))


def test_the_section_on_another_run(
    trained: Callable[..., Record], run_of: Callable[..., Run]
) -> None:
    """It has its place in the contents, each effect's case leads to its row, names are listed."""
    runs = [
        run_of([trained("test_a", {"x": x}, rate=rate, seeds=16) for x in cases])
        for rate, cases in ((0.01, (1, 2)), (0.012, (1, 3)))
    ]
    sides = side_of(runs[1], "0001 old", "old"), side_of(runs[0], "b", "b")
    run, against = held(runs[0], compared(*sides, lambda _: True, 0.01))
    html = page(summarized(run, analyses(run), against), {"drawn": {}, "handed_in": {}})
    parsed = check(html)
    assert parsed.texts["a"][2] == "Against 0001 old"
    section = html.partition('<section id="against"')[2].partition("</section>")[0]
    assert "1 case is worse, 1 is new and 1 is missing." in section
    (link,) = Page(section.partition("<tbody>")[2].partition("</tbody>")[0]).all("a")
    assert link["href"][1:] in [body.get("id") for body in parsed.all("tbody")]
    names = re.findall("<code>(.*?)</code>", section.partition("New: not there")[2])
    assert names == ["benchmarks/test_rates.py::test_a[2]", "benchmarks/test_rates.py::test_a[3]"]


@pytest.mark.parametrize("complete", [True, False])
def test_an_empty_run_is_a_page(run_of: Callable[..., Run], *, complete: bool) -> None:
    """A run without a single test gives a page that says so."""
    html = html_of(run_of([], session={"complete": complete}))
    check(html)
    assert "No benchmark was run." in html
    assert ("stopped before its end" in html) is not complete


@pytest.mark.parametrize(
    "changes", [{}, {"seeds": 1}, {"diverged": 5}, {"target": None}, {"points": 2}, {"steps": 1}]
)
def test_one_case_is_a_page(
    trained: Callable[..., Record], run_of: Callable[..., Run], changes: dict[str, Any]
) -> None:
    """One case, of one seed, all failed, without a target or with few points, is a page."""
    check(html_of(run_of([trained("test_a", {}, **changes)])))


def test_a_record_without_numbers_is_a_row(
    trained: Callable[..., Record], run_of: Callable[..., Run]
) -> None:
    """A test that broke before its first run still has its row and its message."""
    nothing = {"runs": None, "metrics": None, "timing": None}
    record = trained("test_a", {}, outcome="error", message="no data")
    html = html_of(run_of([record | nothing]))
    check(html)
    assert "no data" in html


def test_two_hundred_cases_are_a_page(
    trained: Callable[..., Record], run_of: Callable[..., Run]
) -> None:
    """Two hundred cases each have their row."""
    records = [trained("test_a", {"x": x, "y": y}) for x in range(20) for y in range(10)]
    parsed = check(html_of(run_of(records)))
    rows = [body for body in parsed.all("tbody") if body.get("id", "").startswith("case-")]
    assert len(rows) == 200
