"""The record's schema: what is kept of one case, in builtins.

A record is one call of `convergence`, `convergence.record` or `parameters` in one test. Records
ride in pytest-benchmark's `extra_info` under one key, so that its files stay what they are for
every tool that reads them. `docs/records.md` describes each field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict

if TYPE_CHECKING:
    from dlbench.plain import Plain
    from dlbench.runs import Runs

SCHEMA = 3
"""Raised whenever a field changes its meaning; a reader for every older schema stays.

3 keeps what a history shows of every record at the end of a file; 2 packed it within each record
(`dlbench.history.packing`); 1 kept records in plain sight.
"""

KEY = "dlbench"
"""The one key in `extra_info`, and at the top of a document, under which everything lies."""

Kind = Literal["convergence", "loop", "parameters"]


class Timing(TypedDict):
    """What a training step (or, for a loop of the user's own, a whole training) takes."""

    what: Literal["train_on_batch", "train(seed)"]
    rounds: int
    seconds: float
    """The median round."""
    iqr: float
    """The interquartile range of the rounds, seconds."""
    samples_per_second: float | None
    epoch_seconds: float | None


class Asserted(TypedDict):
    """A bound that the test asserts: one number of the runs, compared with one of the test's."""

    summary: str
    """final, best, at, steps_to, mean_log_loss or oscillation, as the methods of `Runs`; or share,
    that of a regime."""
    metric: str
    """The curve; for a share, the regime, or "failed"."""
    at: float | None
    """The step of `at`, the value that `steps_to` counts to."""
    statistic: str
    """What is taken over the seeds: median, mean, min, max or "quantile 0.1"; for a share nothing."""
    comparison: str
    """<, <=, >, >= or ==, read from the measured to the bound."""
    bound: float
    measured: float | None
    held: bool


class Record(TypedDict):
    """One case; every value is a builtin, and no float is NaN or infinite."""

    kind: Kind
    case: str
    """The test's id, from the root folder on."""
    name: str | None
    """What tells apart several records of one test."""
    module: str
    test: str
    params: dict[str, Plain]
    """The test's parametrization."""
    outcome: str
    """passed, failed, error, skipped, xfailed, xpassed, or interrupted."""
    message: str | None
    """Why it failed, in its first line."""
    bounds: Literal["enforced", "off"]
    runs: dict[str, Plain] | None
    """`Runs.to_builtins()`."""
    metrics: dict[str, Plain] | None
    """By name, a value a seed: what `metrics_by_seed` returns."""
    parameters: dict[str, Plain] | None
    """`ParameterTable.to_builtins()`."""
    timing: Timing | None
    environment: dict[str, Plain]
    duration: float
    """Seconds spent training or counting, timing rounds left out."""
    gate: NotRequired[dict[str, Plain] | None]
    """`rules`, what the test's marker says; `verdict`, as `Verdict.to_builtins()`; after an accept,
    `yardstick` and `repeats`."""
    asserted: NotRequired[list[Asserted]]
    """The bounds that the test came to, as far as they could be read."""


def metrics_by_seed(runs: Runs) -> dict[str, Plain]:
    """Return the numbers people compare, a list by seed each; None where a number is not finite.

    `steps_to_target` is None for a run that never reached it; `regime` tells why.
    """
    from dlbench.plain import to_plain

    values: dict[str, Any] = {"regime": runs.regimes}
    values["mean_log_loss"] = runs.mean_log_loss()
    values["oscillation"] = runs.oscillation(runs.loss_name)
    for name in runs.curves:
        values[f"final_{name}"] = runs.final(name)
    steps = runs.steps_to_target()
    if steps is not None:
        values["steps_to_target"] = steps
    return {name: to_plain(list(series)) for name, series in values.items()}
