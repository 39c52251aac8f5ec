"""Comparisons as a LaTeX table: mean ± standard deviation, a row a case and metric."""

from __future__ import annotations

import base64
import re
import struct
from typing import TYPE_CHECKING, Any

import pytest

from dlbench.cli.compare_latex import as_latex, escaped
from dlbench.cli.compare_view import View

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.gate.sides import Compared

    Against = Callable[..., Compared]

A, B = "bench/test_a.py::test_b[1]", "bench/test_a.py::test_b[2]"


def table(found: list[Compared], *metrics: str, only: bool = False) -> list[str]:
    """Return the rows between the rules."""
    text = as_latex(found, View.of(found, metrics, "case", only_failing=only))
    assert text.count("\\begin{tabular}") == text.count("\\end{tabular}") == 1
    columns = text.partition("\\begin{tabular}{")[2].partition("}")[0]
    rows = text.partition("\\midrule\n")[2].partition("\\bottomrule")[0].splitlines()
    head = text.partition("\\toprule\n")[2].partition("\\midrule")[0].splitlines()
    for row in [*head, *rows]:
        assert row.endswith(" \\\\")
        assert len(re.findall(r"(?<!\\)&", row)) == len(columns) - 1
    return rows


def test_a_row_a_case_and_metric(against: Against, made: Any) -> None:
    """The deviation has two digits that count, the mean as many decimals."""
    found = against(
        [made[0](A, 16, 0.0), made[0](B, 16, 0.0)], [made[0](A, 16, 0.05), made[0](B, 16, 0.0)]
    )
    rows = table([found])
    assert len(rows) == 4
    # 0.5, 0.51, …, 0.65: their mean is 0.575, their standard deviation 0.0476.
    assert rows[0] == (
        r"test\_a.py::test\_b{[}1{]} & training loss over the run & $0.575 \pm 0.048$ & "
        r"$0.625 \pm 0.048$ \\"
    )
    assert rows[1].startswith(r" & final val\_accuracy & $0.9 \pm 0$")


def test_what_is_chosen(against: Against, made: Any) -> None:
    """Metrics, and what fails; where nothing does, a table without rows."""
    found = against([made[0](A, 16, 0.0)], [made[0](A, 16, 0.05)])
    assert len(table([found], "training_loss")) == 1
    assert len(table([found], only=True)) == 2
    assert table([against([made[0](A, 16, 0.0)], [made[0](A, 16, 0.0)])], only=True) == []


def test_three_runs_are_three_columns(against: Against, made: Any) -> None:
    """A case that one of them lacks has a dash there."""
    first = [made[0](A, 16, 0.0), made[0](B, 16, 0.0)]
    two, three = against(first, [made[0](A, 16, 0.1)]), against(first, [made[0](B, 16, 0.2)])
    rows = table([two, three], "training_loss")
    assert [row.split(" & ")[2:] for row in rows] == [
        [r"$0.575 \pm 0.048$", r"$0.675 \pm 0.048$", r"-- \\"],
        [r"$0.575 \pm 0.048$", "--", r"$0.775 \pm 0.048$ \\"],
    ]


def test_runs_that_failed_are_left_out_and_counted(against: Against, made: Any) -> None:
    """A mean over what trained says over how many."""
    record = made[0](A, 4, 0.0)
    curve = struct.pack("<8f", 2.0, float("nan"), 2.0, 0.5, 2.0, 0.6, 2.0, 0.7)
    record["runs"]["curves"]["loss"] = base64.b64encode(curve).decode()
    (row,) = table([against([record], [record])], "training_loss")
    assert row.split(" & ")[2] == r"$0.60 \pm 0.10$ (3)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b%c&d#e$f{g}", r"a\_b\%c\&d\#e\$f\{g\}"),
        ("\\input{x}", r"\textbackslash{}input\{x\}"),
        (
            "a^b~c<d>|",
            r"a\textasciicircum{}b\textasciitilde{}c\textless{}d\textgreater{}\textbar{}",
        ),
        ("[x]\n", r"{[}x{]}\textbackslash{}n"),
    ],
)
def test_names_are_no_commands(text: str, expected: str) -> None:
    """LaTeX sets them as they are."""
    assert escaped(text) == expected
