"""The summary as JSON, for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlbench.plain import dumps

if TYPE_CHECKING:
    from dlbench.report.summary import Summary

SCHEMA = 1
"""Raised whenever a field goes or changes its meaning; new ones may come at any time."""


def as_json(summary: Summary) -> str:
    """Return a summary as strict JSON under its schema's number.

    A cell that sorts behind every number (a target never reached) has `null` to sort by: JSON has
    no word for infinity.
    """
    return dumps({"schema": SCHEMA, **summary}, indent=1) + "\n"
