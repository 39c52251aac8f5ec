"""The result of a count: a line a layer, totals by name, and their ways onto paper."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from dlbench.errors import RecordError
from dlbench.plain import to_plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from rich.console import RenderableType

    from dlbench.plain import Plain


TOTALS = (
    "unique",
    "trainable",
    "non_trainable",
    "bytes",
    "optimizer",
    "random_state",
    "macs",
    "flops",
    "activations",
)


@dataclass(frozen=True, slots=True)
class ParameterRow:
    """One layer's parameters, and what it does to one sample."""

    name: str
    """Where the layer stands: `encoder/dense` is the layer `dense` of the model `encoder`."""
    layer: str
    """Its class."""
    output_shape: tuple[int | None, ...] | None
    """Of its first call; None for an axis that is open, None alone where it was not called."""
    weights: int
    """Elements that multiply: kernels, scales, embeddings."""
    biases: int
    """Elements that are added: biases, offsets."""
    buffers: int
    """Elements that no gradient changes: moving means and variances, buffers of torch modules."""
    formula: str
    """How one counts by hand, with the numbers in it; `counted` where no closed form is known."""
    trainable: int
    """Of all these, what the optimizer updates; a frozen layer has none."""
    shared: int
    """Of all these, what a row above holds too."""
    bytes: int
    macs: int | None
    """Multiply-accumulates for one sample; None where they are not known."""
    activations: int | None
    """Numbers put out for one sample; None where they are not known."""

    @property
    def parameters(self) -> int:
        """Weights, biases and buffers together."""
        return self.weights + self.biases + self.buffers

    @property
    def non_trainable(self) -> int:
        """What the optimizer leaves alone."""
        return self.parameters - self.trainable

    @property
    def flops(self) -> int | None:
        """Floating-point operations for one sample: two for each multiply-accumulate."""
        return None if self.macs is None else 2 * self.macs


@dataclass(frozen=True, slots=True)
class ParameterTable:
    """What `count_parameters` found. Each total has a name; none is just "the total"."""

    name: str
    """The model's."""
    rows: tuple[ParameterRow, ...]
    """A line a layer, in the model's order, a shared layer once."""
    unique: int
    """Parameters, each counted once however many layers share it."""
    trainable: int
    non_trainable: int
    bytes: int
    """Memory of the unique parameters, without gradients and without the optimizer."""
    random_state: int
    """Elements of seed generators (dropout's and the like); part of no other total."""
    optimizer: int | None = None
    """Elements of the optimizer's variables; part of no other total. None without an optimizer."""

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one sample; a lower bound unless `macs_complete`."""
        return sum(row.macs or 0 for row in self.rows)

    @property
    def flops(self) -> int:
        """Floating-point operations for one sample: two for each multiply-accumulate."""
        return 2 * self.macs

    @property
    def macs_complete(self) -> bool:
        """Whether the multiply-accumulates of every layer are known."""
        return all(row.macs is not None for row in self.rows)

    @property
    def activations(self) -> int:
        """Numbers that the layers put out for one sample; a lower bound if some are not known."""
        return sum(row.activations or 0 for row in self.rows)

    def totals(self) -> dict[str, int | None]:
        """Return every total by its name."""
        return {name: getattr(self, name) for name in TOTALS}

    def to_builtins(self) -> dict[str, Plain]:
        """Return the table in plain builtins, ready for strict JSON."""
        plain = to_plain(asdict(self))
        assert isinstance(plain, dict)  # noqa: S101 - a dataclass becomes a dict
        return plain

    @classmethod
    def from_builtins(cls, plain: Mapping[str, Any]) -> ParameterTable:
        """Return the table that `to_builtins` wrote.

        Raises:
            RecordError: something is missing from it, or unknown in it.
        """
        try:
            rows = tuple(
                ParameterRow(**{**row, "output_shape": _tuple(row["output_shape"])})
                for row in plain["rows"]
            )
            return cls(**{**plain, "rows": rows})
        except (KeyError, TypeError) as error:
            raise RecordError(
                f"not a table of parameters ({error}): expected what ParameterTable.to_builtins() "
                "writes"
            ) from error

    def to_frame(self) -> pd.DataFrame:
        """Return one row a layer; counts that are not known are `<NA>`."""
        import pandas as pd

        names = [field.name for field in fields(ParameterRow)]
        derived = ["parameters", "non_trainable", "flops"]
        columns = {name: [getattr(row, name) for row in self.rows] for name in names + derived}
        order = ["name", "layer", "output_shape", "weights", "biases", "buffers", "parameters"]
        order += [name for name in columns if name not in order]
        counted = dict.fromkeys(("macs", "flops", "activations"), "Int64")
        return pd.DataFrame(columns)[order].astype(counted)

    def rich_table(self) -> RenderableType:
        """Return the table for a terminal; print it with a `rich.console.Console`."""
        from dlbench.parameters.terminal import Drawing

        return Drawing(self)

    def __str__(self) -> str:
        """The table in 100 columns, without colours."""
        from io import StringIO

        from rich.console import Console

        console = Console(file=StringIO(), width=100, color_system=None, record=True)
        console.print(self.rich_table())
        return "\n".join(line.rstrip() for line in console.export_text().splitlines())


def _tuple(shape: list[int | None] | None) -> tuple[int | None, ...] | None:
    return None if shape is None else tuple(shape)
