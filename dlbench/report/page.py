"""The page: a summary and its pictures through the templates, into one self-contained file."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import TYPE_CHECKING, TypedDict

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dlbench.report.formatting import sentence, tied
from dlbench.report.markdown import rendered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dlbench.report.pictures import Picture
    from dlbench.report.summary import Summary

TEMPLATES = "templates"

EFFECTS, CURVES = "against-effects", "against-curves"
"""The places of the pictures that hold a run against another."""

OUTCOME_SIGNS = {"passed": "✓", "xfailed": "✓", "skipped": "\N{EN DASH}"}
"""Every other outcome has a cross."""


class Pictures(TypedDict):
    """The pictures of a page, by the anchors of what they belong to."""

    drawn: Mapping[str, Sequence[Picture]]
    """From the records of a study, or from what a run is held against."""
    handed_in: Mapping[str, Sequence[Picture]]
    """By the tests, to a study's or a gallery's section."""


def page(summary: Summary, pictures: Pictures) -> str:
    """Return the report as HTML.

    The page asks for nothing from outside, and its own policy forbids it to: even a text that
    slipped through as markup could load nothing and run no script.
    """
    environment = _environment()
    script = _source("page.js")
    return environment.get_template("page.html").render(
        summary=summary,
        pictures=pictures,
        effects=EFFECTS,
        curves=CURVES,
        style=Markup(_source("page.css")),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("dlbench.report", TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["markdown"] = rendered
    environment.filters["sentence"] = sentence
    environment.filters["tied"] = tied
    environment.filters["sign"] = lambda outcome: OUTCOME_SIGNS.get(outcome, "✗")
    return environment


def _source(name: str) -> str:
    loader = _environment().loader
    assert loader is not None  # noqa: S101 - given above
    return loader.get_source(_environment(), name)[0].strip()
