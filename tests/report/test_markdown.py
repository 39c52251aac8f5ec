"""Markdown that nobody vouches for, as HTML that does no harm."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from dlbench.report.markdown import defused, rendered, title_and_rest


class Tags(HTMLParser):
    """The tags and attributes of a text, as a browser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a tag and its attributes."""
        self.tags.append(tag)
        self.attributes += attrs


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "</style><script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[a](javascript:alert(1))",
        "[a](JaVaScRiPt:alert(1))",
        "[a](data:text/html,<script>)",
        "[a](//evil.example)",
        "[a](vbscript:x)",
        "<javascript:alert(1)>",
        "![a](https://evil.example/x.png)",
        '![a"onerror="alert(1)](x)',
        r"$\text{<script>alert(1)</script>}$",
        r"$\text{&lt;script&gt;}$",
        r"$\href{javascript:alert(1)}{x}$",
        r"$\style{background:url(https://evil.example)}{x}$",
        r"$\color{url(https://evil.example)}{x}$",
        r"$\class{a}{x}$",
        "```<script>\nx\n```",
        "| a |\n|---|\n| <script>x</script> |",
        "[a]: javascript:alert(1)\n\n[a]",
    ],
)
def test_traps_are_harmless(text: str) -> None:
    """No text makes a script, an event handler, a picture, or a link out of the allowed kinds."""
    found = Tags(rendered(text))
    assert not {"script", "style", "img", "iframe", "object"} & set(found.tags)
    for name, value in found.attributes:
        assert not name.startswith("on")
        assert name not in {"src", "srcset"}
        if name == "href":
            assert str(value).startswith(("http://", "https://", "mailto:", "#"))
        if name == "style":
            assert "url" not in str(value)


def test_links_to_the_web_stay_and_others_are_their_words() -> None:
    """A link to the web or to this page works; another is the text it had."""
    html = rendered("[web](https://a.example/b) [here](#made) [file](notes.md) ![picture](x.png)")
    assert '<a href="https://a.example/b" rel="noreferrer">web</a>' in html
    assert 'href="#made"' in html
    assert "notes.md" not in html
    assert "file picture" in html


def test_formulas_are_mathml() -> None:
    """Formulas in a line and on their own become MathML, with their letters."""
    html = rendered("of $\\theta_k$ and\n\n$$\\sum_i \\ln p_i$$\n")
    assert html.count("<math") == 2
    assert 'display="block"' in html
    assert "<mi>θ</mi>" in html
    assert '<mspace width="0.167em"></mspace>' in html  # between ln and p


@pytest.mark.parametrize("formula", [r"\frac{", r"\left( x", r"\begin{matrix}", "x" * 5000, "_{{"])
def test_a_broken_formula_is_shown_as_written(formula: str) -> None:
    """A formula that cannot be read stands as its source, and never stops the page."""
    html = rendered(f"before ${formula}$ after")
    assert "<math" not in html
    assert formula in html
    assert "after" in html


def test_money_is_no_formula() -> None:
    """Dollar signs before digits stay dollar signs."""
    assert "<math" not in rendered("it costs $5 and not $6")


@pytest.mark.parametrize("text", ["# a\n## b\n### c", "## a\n#### b\n# c", "#### a\n# b\n###### c"])
def test_headings_leave_no_level_out(text: str) -> None:
    """Headings begin at the level asked for, and each is at most one deeper than the last."""
    levels = [int(tag[1]) for tag in Tags(rendered(text, top=3)).tags if tag.startswith("h")]
    assert len(levels) == 3
    assert min(levels) == 3
    before = 2
    for level in levels:
        assert level <= before + 1
        before = level


def test_title_is_the_first_heading_without_marks() -> None:
    """The heading that a docstring begins with is its title; the rest is what follows."""
    title, rest = title_and_rest("\n    # The *batch* size $B$\n\n    Text.\n    ")
    assert title == "The batch size B"
    assert rest.strip() == "Text."
    assert title_and_rest("No heading.\n\n# Later") == ("", "No heading.\n\n# Later")


def test_tables_have_scopes() -> None:
    """A table's heads say what they are heads of."""
    assert rendered("| a | b |\n|---|---|\n| 1 | 2 |").count('scope="col"') == 2


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x\nonerror=alert(1)>",
        "a\n\n<style>p{}</style>",
        "[x](javascript:alert(1))",
        "[x]( javascript:alert(1))",
        "[x](<javascript:alert(1)>)",
        "[x](&#106;avascript:alert(1))",
        "[x](data:text/html,y)",
        "[x]: javascript:alert(1)\n\n[x]",
        "> [x]:\n> javascript:alert(1)\n\n[a][x]",
        "![x](https://example.org/x.png)",
        "![x][y]\n\n[y]: https://example.org/x.png",
        "$a <script> b$ and $[x](javascript:y)$",
        "`<script>` and ```<b>```",
        "<!-- <script> -->",
        "<https://onmouseover=alert(1)>",
    ],
)
def test_a_renderer_that_trusts_finds_nothing(text: str) -> None:
    """After `defused` a renderer that lets HTML pass makes no tag, no picture and no trap of it."""
    page = MarkdownIt("commonmark", {"html": True}).render(defused(text))
    tags = set(re.findall(r"<(/?\w+|!)", page))
    assert tags <= {"p", "/p", "code", "/code", "blockquote", "/blockquote", "a", "/a"}
    assert all(url.startswith("https://") for url in re.findall(r'href="([^"]*)', page))
    assert " on" not in "".join(re.findall("<[^>]*>", page))


@pytest.mark.parametrize(
    "text",
    [
        "# A title\n\n- *one*\n- `two`\n\n| a | b |\n|---|---|\n| 1 | 2 |",
        r"$\lVert a \rVert < 1$ and $$\frac{1}{2} [a](b)$$",
        "[a](https://example.org 'b'), [c](#here), [d](mailto:e@example.org) and 3 < 4 ! [x]",
        "```python\nx = [1](2)\n```",
    ],
)
def test_honest_markdown_is_left_as_it_is(text: str) -> None:
    """What a docstring is written in passes, but for signs that nobody sees."""
    assert defused(text).replace("\N{WORD JOINER}", "").replace("] (b)", "](b)") == text
