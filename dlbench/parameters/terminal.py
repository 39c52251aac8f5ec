"""A table of parameters on a terminal, drawn by rich, which leaves colours out elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from dlbench.parameters.table import ParameterRow, ParameterTable

UNKNOWN = "?"
NUMBERS = ("weights", "biases", "buffers", "sum", "MACs")
NARROW_NAME, NARROW_FORMULA = 18, 12


@dataclass(frozen=True, slots=True)
class Drawing:
    """The layers of a table and, below them, its totals by name, as wide as the console allows."""

    table: ParameterTable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(f"{self.table.name}\n", style="bold")
        yield _layers(self.table, options.max_width)
        yield Text()
        yield _totals(self.table)


def _layers(table: ParameterTable, width: int) -> Table:
    """Return a line a layer; where the console is narrow, without the classes, and names cut."""
    cells = [_cells(row) for row in table.rows]
    natural = {
        name: max([len(name), *(len(row[name]) for row in cells)])
        for name in (
            "layer",
            "class",
            "output",
            "weights",
            "biases",
            "buffers",
            "sum",
            "formula",
            "MACs",
        )
    }
    if not any(row.buffers for row in table.rows):
        del natural["buffers"]
    excess = sum(natural.values()) + len(natural) - 1 - width
    if excess > 0:
        excess -= natural.pop("class") + 1
    for name, least in (("layer", NARROW_NAME), ("formula", NARROW_FORMULA)):
        cut = min(max(excess, 0), max(natural[name] - least, 0))
        natural[name] -= cut
        excess -= cut
    drawn = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    styles = {"class": "cyan", "sum": "bold", "formula": "green"}
    for name, size in natural.items():
        folds = name == "formula"
        drawn.add_column(
            name,
            width=size,
            no_wrap=not folds,
            overflow="fold" if folds else "ellipsis",
            justify="right" if name in NUMBERS else "left",
            style=styles.get(name, ""),
        )
    for row, cell in zip(table.rows, cells, strict=True):
        # What the optimizer leaves alone, because it is frozen or only kept, stands back.
        frozen = row.parameters > 0 and row.trainable == 0
        drawn.add_row(*(Text(cell[name]) for name in natural), style="dim" if frozen else "")
    return drawn


def _cells(row: ParameterRow) -> dict[str, str]:
    counts = {
        "weights": row.weights,
        "biases": row.biases,
        "buffers": row.buffers,
        "sum": row.parameters,
    }
    formula = "" if row.formula == "0" else row.formula
    if row.shared:
        formula += f", {'' if row.shared == row.parameters else f'{row.shared:,} '}shared"
    return {
        "layer": row.name,
        "class": row.layer,
        "output": _shape(row),
        **{name: f"{count:,}" if count else "-" for name, count in counts.items()},
        "formula": formula,
        "MACs": UNKNOWN if row.macs is None else _short(row.macs),
    }


def _totals(table: ParameterTable) -> Table:
    more = "" if table.macs_complete else f", and more where a layer shows {UNKNOWN}"
    lines = [
        ("unique parameters", table.unique, "each counted once, whoever shares it"),
        ("  trainable", table.trainable, "what the optimizer updates"),
        ("  non-trainable", table.non_trainable, "frozen, or moving statistics and buffers"),
        ("bytes", table.bytes, f"of the parameters: {_memory(table.bytes)}"),
        ("optimizer variables", table.optimizer, "beside the parameters, not among them"),
        ("random state", table.random_state or None, "seeds of random layers, no parameters"),
        ("multiply-accumulates", table.macs, f"for one sample{more}"),
        ("FLOPs", table.flops, "two for each multiply-accumulate"),
        ("activations", table.activations, "numbers that the layers put out for one sample"),
    ]
    drawn = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    drawn.add_column(no_wrap=True)
    drawn.add_column(no_wrap=True, justify="right", style="bold")
    drawn.add_column(style="dim")
    for name, count, meaning in lines:
        if count is not None:
            drawn.add_row(name, f"{count:,}", meaning)
    return drawn


def _shape(row: ParameterRow) -> str:
    """Return the output of one sample, such as `28x28x6`."""
    if row.output_shape is None:
        return "-"
    sizes = [UNKNOWN if size is None else str(size) for size in row.output_shape[1:]]
    return "x".join(sizes) or "1"


def _short(count: int) -> str:
    """Return a count to three digits: 1.85 G."""
    for power, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= power:
            return f"{count / power:#.3g} {unit}".replace(". ", " ")
    return str(count or "-")


def _memory(count: int) -> str:
    """Return bytes in the unit that suits them: 527.8 MiB."""
    for power, unit in ((30, "GiB"), (20, "MiB")):
        if count >= 2**power:
            return f"{count / 2**power:,.1f} {unit}"
    return f"{count / 2**10:.1f} KiB"
