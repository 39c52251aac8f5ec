"""Engines train an experiment, all seeds at once or seed by seed, and return its `Runs`.

`fit` defines what is right: one `keras.Model.fit` a run. `vectorized` trains all runs in one program
and must give the same curves; it is the default, and what it cannot do is left to `fit`, aloud.
`loop` runs a training loop of the user's own. An engine holds no state between experiments.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from dlbench.backend import on_device
from dlbench.errors import EngineError, ExperimentError
from dlbench.plain import digest

if TYPE_CHECKING:
    from dlbench.engines.compilation import Compiling
    from dlbench.experiment import Experiment
    from dlbench.runs import Runs

OnProgress: TypeAlias = Callable[[int, int], None]
"""Called with the updates done and the updates to do, over all seeds of an experiment."""

Engine = Literal["auto", "vectorized", "fit"]
ENGINES: tuple[Engine, ...] = get_args(Engine)


def ignore_progress(done: int, total: int) -> None:
    """Tell nobody."""


def train(
    experiment: Experiment,
    on_progress: OnProgress = ignore_progress,
    *,
    engine: Engine = "auto",
    compiling: Compiling = "auto",
    device: str | None = None,
) -> Runs:
    """Train every run of an experiment and return them; divergence is a result, not an error.

    Args:
        experiment: what to train.
        on_progress: told of the updates.
        engine: "auto" is vectorized where that agrees with `fit`, else `fit`.
        compiling: whether the vectorized engine compiles its step: "auto" where that repays its cost.
        device: "cpu", "cuda" or "cuda:1"; by default the one that Keras chooses.

    Raises:
        EngineError: the engine is "vectorized", and the experiment cannot be.
    """
    return train_sweep(
        [experiment], on_progress, engine=engine, compiling=compiling, device=device
    )[0]


def train_sweep(
    experiments: Sequence[Experiment],
    on_progress: OnProgress = ignore_progress,
    *,
    engine: Engine = "auto",
    compiling: Compiling = "auto",
    device: str | None = None,
) -> list[Runs]:
    """Train experiments that differ in nothing but the learning rate, in one program.

    Args:
        experiments: one or more.
        on_progress: told of the updates of all of them.
        engine: as for `train`.
        compiling: as for `train`.
        device: as for `train`.

    Raises:
        EngineError: the engine is "vectorized", and the experiments cannot be.
        ExperimentError: an unknown engine, or experiments that differ in more.
    """
    if len({_without_rate(experiment) for experiment in experiments}) != 1:
        raise ExperimentError(
            "a sweep takes one or more experiments that differ in nothing but the learning rate; "
            f"got {len(experiments)} that differ in more"
        )
    if engine not in ENGINES:
        raise ExperimentError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    with on_device(device):
        if engine == "fit":
            return _fit(experiments, on_progress)
        from dlbench.engines.tracing import NotVectorizable
        from dlbench.engines.vectorized import train_vectorized

        try:
            return train_vectorized(experiments, on_progress, compiling=compiling)
        except NotVectorizable as reason:
            if engine == "vectorized":
                raise EngineError(
                    f"{experiments[0].workload.name!r} cannot be trained by the vectorized engine: "
                    f"{reason}. --dlbench-engine=auto leaves it to `fit`"
                ) from reason
            note = str(reason)
        runs = _fit(experiments, on_progress)
    return [dataclasses.replace(run, engine_note=note) for run in runs]


def _without_rate(experiment: Experiment) -> str:
    """Return a digest of all that the runs of a sweep share."""
    fields = experiment.to_builtins()
    optimizer = {k: v for k, v in dict(fields["optimizer"]).items() if k != "learning_rate"}  # type: ignore[arg-type]
    shared = {k: v for k, v in fields.items() if k not in {"id", "optimizer"}}
    return digest([shared, optimizer, experiment.seeds, experiment.probes])


def _fit(experiments: Sequence[Experiment], on_progress: OnProgress) -> list[Runs]:
    from dlbench.engines.fit import train_by_fit

    trained: list[Runs] = []

    def tell(done: int, total: int) -> None:
        on_progress(len(trained) * total + done, len(experiments) * total)

    for experiment in experiments:
        trained.append(train_by_fit(experiment, tell))  # noqa: PERF401 - `tell` counts them
    return trained
