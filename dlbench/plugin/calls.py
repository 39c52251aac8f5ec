"""What a call of `convergence` describes: a workload, and an experiment for each learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from dlbench.errors import ExperimentError
from dlbench.plugin.options import QUICK_STEPS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import keras

    from dlbench.experiment import Experiment, Workload
    from dlbench.plugin.options import Settings

CARRIED = ("data", "loss", "metrics", "target")
"""What a workload carries, and a call gives beside a plain builder."""


class Fields(TypedDict, total=False):
    """What `convergence` and `convergence.sweep` take alike; see `Convergence`."""

    data: object
    loss: object
    metrics: Iterable[object] | None
    target: tuple[str, float] | None
    optimizer: object
    batch_size: int | str
    epochs: float | None
    steps: int | None
    seeds: int | Iterable[int] | None
    probes: Iterable[str]


def workload_of(model: Workload | Callable[[], keras.Model], fields: Mapping[str, Any]) -> Workload:
    """Return the workload that a call describes; what is given beside a workload takes its place."""
    from dlbench.experiment import Workload, check_builder

    given = {name: fields[name] for name in CARRIED if fields.get(name) is not None}
    if isinstance(model, Workload):
        if not given:
            return model
        carried = {name: getattr(model, name) for name in CARRIED}
        return Workload(name=model.name, model=model.model, **(carried | given))
    build = check_builder(model)
    if missing := [name for name in ("data", "loss") if name not in given]:
        raise ExperimentError(
            f"{' and '.join(missing)} must be given, unless the model is a Workload"
        )
    return Workload(name=getattr(build, "__name__", type(build).__name__), model=build, **given)


def experiments_of(
    workload: Workload, rates: Sequence[object], fields: Fields, settings: Settings
) -> list[Experiment]:
    """Return what is to be trained at each learning rate; little of it under --dlbench-quick."""
    from dlbench.experiment import Experiment

    hyperparameters: dict[str, Any] = {
        field: value for field, value in fields.items() if field not in CARRIED
    }
    if hyperparameters.get("seeds") is None:
        hyperparameters["seeds"] = settings.seeds
    first = Experiment(workload, learning_rate=rates[0], **hyperparameters)
    if settings.quick:
        few = first.seeds[: len(settings.seeds)]
        first = first.varied(steps=min(QUICK_STEPS, first.steps), seeds=few)
    return [first, *(first.varied(learning_rate=rate) for rate in rates[1:])]
