"""A workload of the user's own, named on the command line."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING

from dlbench.errors import ExperimentError
from dlbench.experiment import Workload
from dlbench.references import resolve

if TYPE_CHECKING:
    from collections.abc import Callable


def load_workload(spec: str) -> Workload:
    """Return the workload that `FILE.py:NAME` or `package.module:NAME` leads to.

    Args:
        spec: NAME is a `Workload`, or a function without arguments that returns one; the shipped
            ones are `dlbench.workloads:digits_cnn` and so on.

    Raises:
        NotFoundError: the reference leads to nothing.
        ExperimentError: it leads to something else.
    """
    found = resolve(spec)
    made = found
    if (inspect.isroutine(found) or isinstance(found, partial)) and _takes_nothing(found):
        made = found()
    if not isinstance(made, Workload):
        what = f"a function that returned {type(made).__name__}" if made is not found else made
        raise ExperimentError(
            f"{spec} must be a dlbench.Workload, or a function without arguments that returns one; "
            f"got {what!r}. A model is wrapped so: "
            "Workload(name=…, model=build, data=((x, y), (x_val, y_val)), loss=…)"
        )
    return made


def _takes_nothing(found: Callable[..., object]) -> bool:
    """Whether `found` can be called without arguments."""
    try:
        inspect.signature(found).bind()
    except (TypeError, ValueError):
        return False
    return True
