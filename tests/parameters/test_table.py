"""The table: through plain builtins and back, as a frame, on paper and on a terminal."""

from __future__ import annotations

import json
import subprocess
import sys
from io import StringIO
from typing import Any

import keras
import pandas as pd
import pytest
from keras import layers
from rich.console import Console

from dlbench.errors import RecordError
from dlbench.parameters import ParameterTable, count_parameters


class Mystery(layers.Layer):  # type: ignore[misc]
    """A layer whose work is unknown."""

    def call(self, inputs: Any) -> Any:
        """Look at a value."""
        return inputs if float(keras.ops.sum(keras.ops.ones(()))) else 2 * inputs


@pytest.fixture(scope="module")
def table() -> ParameterTable:
    """Return a table with every kind of line."""
    shared = layers.Dense(3, name="twice")
    stack = [
        layers.Conv2D(64, 3, name="a_rather_long_name_for_a_convolution"),
        layers.BatchNormalization(name="bn"),
        layers.GlobalAveragePooling2D(name="pool"),
        Mystery(name="mystery"),
        layers.Dropout(0.5, name="dropout"),
        shared,
        layers.Dense(1000, name="[red]head", trainable=False),
    ]
    return count_parameters(
        keras.Sequential([keras.Input((32, 32, 3)), *stack], name="all"), "adam"
    )


def test_through_strict_json_and_back(table: ParameterTable) -> None:
    """Nothing is lost, unknown counts included."""
    text = json.dumps(table.to_builtins(), allow_nan=False)
    assert ParameterTable.from_builtins(json.loads(text)) == table
    assert '"macs": null' in text


def test_damaged_builtins_are_refused(table: ParameterTable) -> None:
    """A table of another shape is named as such."""
    plain = table.to_builtins()
    with pytest.raises(RecordError, match="rows"):
        ParameterTable.from_builtins({key: plain[key] for key in plain if key != "rows"})
    with pytest.raises(RecordError, match="surprise"):
        ParameterTable.from_builtins({**plain, "surprise": 1})


def test_totals_are_the_rows(table: ParameterTable) -> None:
    """Every total by name is the sum of its column, and there is none without a name."""
    frame = table.to_frame()
    assert frame["parameters"].sum() == table.unique
    assert frame[["trainable", "non_trainable", "bytes"]].sum().to_list() == [
        table.trainable,
        table.non_trainable,
        table.bytes,
    ]
    assert frame["macs"].sum() == table.macs
    assert frame["activations"].sum() == table.activations
    assert "total" not in table.totals()


def test_frame_has_a_row_a_layer(table: ParameterTable) -> None:
    """What is not known is missing in it, not zero."""
    frame = table.to_frame().set_index("name")
    assert list(frame.columns[:6]) == [
        "layer",
        "output_shape",
        "weights",
        "biases",
        "buffers",
        "parameters",
    ]
    assert frame.loc["bn", ["weights", "biases", "buffers"]].to_list() == [64, 64, 128]
    assert frame.loc["mystery", "macs"] is pd.NA
    assert frame.loc["[red]head", "trainable"] == 0


def test_on_paper(table: ParameterTable) -> None:
    """The text keeps to 100 columns, without colours, whole numbers and every total by name."""
    text = str(table)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    assert "\x1b" not in text
    assert any(line.split()[:1] == ["bn"] and "256 4 x 64" in line for line in lines)
    assert "[red]head" in text
    assert "more where a layer shows ?" in text
    for total in (
        "unique parameters",
        "optimizer variables",
        "multiply-accumulates",
        "activations",
    ):
        assert any(line.startswith(total) for line in lines)
    assert not any(line.lower().startswith("total") for line in lines)


@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_on_a_terminal(table: ParameterTable, width: int) -> None:
    """The table fits any width; wide, it has the classes; colours are for terminals alone."""
    plain, coloured = StringIO(), StringIO()
    Console(file=plain, width=width).print(table.rich_table())
    Console(file=coloured, width=width, force_terminal=True).print(table.rich_table())
    assert max(len(line) for line in plain.getvalue().splitlines()) <= width
    assert "\x1b[" in coloured.getvalue()
    assert "\x1b[" not in plain.getvalue()
    assert ("BatchNormalization" in plain.getvalue()) == (width == 200)


def test_importing_it_is_light() -> None:
    """Nothing heavy is imported until something is counted."""
    code = (
        "import sys, dlbench.parameters; "
        "sys.exit(bool({'torch', 'keras', 'pandas', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
