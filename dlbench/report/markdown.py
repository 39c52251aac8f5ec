"""Markdown to harmless HTML, formulas to MathML.

What a docstring says is not trusted: raw HTML is text, links lead to the web, a mail or this page
only, pictures are their descriptions, and a formula that does not parse is shown as it was written.
"""

from __future__ import annotations

import html
import re
from functools import cache
from inspect import cleandoc
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from latex2mathml.converter import convert_to_element
from markdown_it import MarkdownIt
from markupsafe import Markup
from mdit_py_plugins.dollarmath import dollarmath_plugin

if TYPE_CHECKING:
    from collections.abc import Sequence
    from xml.etree.ElementTree import Element

    from markdown_it.rules_core import StateCore
    from markdown_it.token import Token

LINKS = ("http://", "https://", "mailto:", "#")

JOINER = "\N{WORD JOINER}"
FORMULA = re.compile(r"(\$\$.+?\$\$|\$[^$\n]+\$)", re.DOTALL)
AUTOLINK = re.compile(r"<(https?://[^\s<>]+)>")
TRAP = re.compile(
    r"(<(?=[a-z/!?])"  # a tag
    r"|!(?=\[)"  # a picture
    r"|\](?=[(:])(?![(:]\s*<?(?:https?://|mailto:|\#)))",  # a link, or where one leads
    re.IGNORECASE,
)

MOST_FORMULA = 4000
"""A longer formula is shown as it was written: nobody reads it, and parsing it takes its time."""

MATH_TAGS = frozenset({
    "math", "mrow", "mi", "mn", "mo", "ms", "mtext", "mspace", "msup", "msub", "msubsup", "mfrac",
    "msqrt", "mroot", "munder", "mover", "munderover", "mtable", "mtr", "mtd", "mlabeledtr",
    "mstyle", "mpadded", "mphantom", "menclose", "mmultiscripts", "mprescripts", "none", "mfenced",
})  # fmt: skip
MATH_ATTRIBUTES = frozenset({
    "display", "displaystyle", "scriptlevel", "stretchy", "fence", "form", "separator", "accent",
    "accentunder", "movablelimits", "largeop", "symmetric", "minsize", "maxsize", "lspace",
    "rspace", "width", "height", "depth", "voffset", "linethickness", "mathvariant", "columnalign",
    "rowlines", "columnlines", "columnspacing", "rowspacing", "notation",
})  # fmt: skip
PLAIN_VALUE = re.compile(r"[\w .+%-]*")


def rendered(text: str, *, top: int = 3) -> Markup:
    """Return Markdown as HTML whose headings begin at level `top` and leave none out."""
    environment: dict[str, Any] = {"top": top}
    return Markup(_parser().render(cleandoc(text), environment))  # noqa: S704 - made safe


def defused(text: str) -> str:
    """Return Markdown for other renderers, which may trust it: no HTML, no picture, no trap of a link.

    What would begin one of these is pulled apart by a sign of no width, wherever it stands: readers
    of Markdown differ in what they take for code. In formulas a space does the same, unseen.
    """
    text = AUTOLINK.sub(r"\1", cleandoc(text))
    parts = FORMULA.split(text)  # every second one is a formula
    return "".join(
        TRAP.sub(rf"\1{' ' if place % 2 else JOINER}", part) for place, part in enumerate(parts)
    )


def title_and_rest(text: str) -> tuple[str, str]:
    """Return the words of the heading that Markdown begins with, and the text after it."""
    found = re.match(r"\s*#\s+(?P<title>[^\n]+?)\s*#*\s*(?:\n|$)", cleandoc(text))
    if found is None:
        return "", text
    return plain(found["title"]), cleandoc(text)[found.end() :]


def plain(text: str) -> str:
    """Return a line of Markdown without its marks."""
    tokens = _parser().parseInline(text)[0].children or []
    return "".join(token.content for token in tokens).strip() or text.strip()


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": 20}).enable("table")
    parser.use(
        dollarmath_plugin,
        allow_labels=False,
        allow_digits=False,
        double_inline=True,
        renderer=_formula,
    )
    # Links are judged below, where their words can be kept.
    parser.validateLink = _any_link  # type: ignore[method-assign,assignment]
    parser.core.ruler.push("harmless", _harmless)
    parser.core.ruler.push("headings", _headings)
    parser.core.ruler.push("table heads", _table_heads)
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", _table_close)
    return parser


def _any_link(_: str) -> bool:
    return True


def _harmless(state: StateCore) -> None:
    for token in state.tokens:
        if token.children:
            token.children = list(_without_traps(token.children))


def _without_traps(tokens: Sequence[Token]) -> list[Token]:
    kept, open_links = [], []
    for token in tokens:
        if token.type == "link_open":
            allowed = str(token.attrGet("href") or "").lower().startswith(LINKS)
            open_links.append(allowed)
            if not allowed:
                continue
            token.attrSet("rel", "noreferrer")
        elif token.type == "link_close":
            if not open_links.pop():
                continue
        elif token.type == "image":
            token.type, token.tag, token.children, token.attrs = "text", "", None, {}
        kept.append(token)
    return kept


def _headings(state: StateCore) -> None:
    """Move the headings to their place in the page's order, and leave no level out."""
    top = int(state.env.get("top", 1))
    levels = [int(token.tag[1]) for token in state.tokens if token.type == "heading_open"]
    if not levels:
        return
    highest, before = min(levels), top - 1
    for token in state.tokens:
        if token.type == "heading_open":
            before = min(int(token.tag[1]) - highest + top, before + 1, 6)
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{before}"


def _table_open(*_: object) -> str:
    return '<div class="scroll" role="group" aria-label="Table" tabindex="0">\n<table>\n'


def _table_close(*_: object) -> str:
    return "</table>\n</div>\n"


def _table_heads(state: StateCore) -> None:
    for token in state.tokens:
        if token.type == "th_open":
            token.attrSet("scope", "col")


def _formula(source: str, options: dict[str, Any]) -> str:
    """Return a formula as MathML, or as it was written where it cannot be read."""
    display = "block" if options["display_mode"] else "inline"
    as_written = f'<code class="formula">{html.escape(source)}</code>'
    if len(source) > MOST_FORMULA:
        return as_written
    try:
        return _safe_element(convert_to_element(source, display=display))
    except Exception:  # noqa: BLE001 - the converter raises whatever its parser trips over
        return as_written


def _safe_element(element: Element) -> str:
    """Return an element of MathML as text.

    The converter itself does not escape the words that stand within a formula.

    Raises:
        ValueError: an element that is not known to be harmless.
    """
    if element.tag not in MATH_TAGS:
        raise ValueError(f"<{element.tag}> is no MathML that is known to be harmless")
    attributes = "".join(
        f' {name}="{html.escape(value)}"'
        for name, value in element.attrib.items()
        if name in MATH_ATTRIBUTES and PLAIN_VALUE.fullmatch(value)
    )
    inside = html.escape(html.unescape(element.text or ""))
    for child, following in pairwise([*element, None]):
        assert child is not None  # noqa: S101 - only the last of them all is
        inside += _safe_element(child) + html.escape(html.unescape(child.tail or ""))
        if _is_function(child) and following is not None and following.tag != "mo":
            inside += '<mspace width="0.167em"></mspace>'  # log x, not logx
    return f"<{element.tag}{attributes}>{inside}</{element.tag}>"


def _is_function(element: Element) -> bool:
    return element.tag == "mi" and len(html.unescape(element.text or "")) > 1
