"""What the fixtures hand out: `Convergence` trains and records, `Parameters` counts and records."""

from __future__ import annotations

import base64
import io
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

from dlbench.errors import ExperimentError, GateError
from dlbench.plugin.calls import experiments_of, workload_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import keras

    from dlbench.engines.loop import Train
    from dlbench.experiment import Experiment, Workload
    from dlbench.history.record import Timing
    from dlbench.parameters import ParameterTable
    from dlbench.plugin.calls import Fields
    from dlbench.plugin.case import Case
    from dlbench.runs import Runs

TIMED_ROUNDS = 20
WARMUP_ROUNDS = 3
FIGURE_DPI = 110
MAX_FIGURE_BYTES = 2 * 2**20

BELOW_ZERO = ("cosine_similarity",)
"""Keras' losses that are no distance from 0."""


class Convergence:
    """Trains, records and returns runs; see the `convergence` fixture."""

    def __init__(self, case: Case) -> None:
        self._case = case

    def __call__(  # noqa: PLR0913 - what Keras' compile and fit take
        self,
        model: Workload | Callable[[], keras.Model],
        *,
        data: object = None,
        loss: object = None,
        metrics: Iterable[object] | None = None,
        target: tuple[str, float] | None = None,
        optimizer: object = "sgd",
        learning_rate: object = None,
        batch_size: int | str = 32,
        epochs: float | None = None,
        steps: int | None = None,
        seeds: int | Iterable[int] | None = None,
        probes: Iterable[str] = (),
        name: str | None = None,
    ) -> Runs:
        """Train one model a seed, record the runs, and return them.

        Args:
            model: a `Workload`, or a function that builds a fresh Keras model.
            data: `((x, y), (x_val, y_val))` of arrays; a workload carries its own.
            loss: as in Keras' `compile`.
            metrics: as in Keras' `compile`.
            target: a metric and the value at which a run has converged: `("val_accuracy", 0.9)`.
            optimizer: as in Keras' `compile`; an object is a template and is never touched.
            learning_rate: a number or schedule in place of the optimizer's own.
            batch_size: samples an update, or "full".
            epochs: passes over the training set, 10 where `steps` is not given.
            steps: optimizer updates, in place of `epochs`.
            seeds: how many, or which; by default what `--dlbench-seeds` says.
            probes: what to read beside the metrics: "sharpness", "noise_scale", "gradient_norms",
                "update_ratio", "dead_units" or "distance"; `runs.curves["probe_sharpness"]`, …
            name: tells the records of one test apart; needed from the second call on.

        Raises:
            ExperimentError: anything that could not be trained as given, before the first update.
        """
        return self._train(
            [(name, learning_rate, {})], model, data=data, loss=loss, metrics=metrics, target=target,
            optimizer=optimizer, batch_size=batch_size, epochs=epochs, steps=steps, seeds=seeds,
            probes=probes,
        )[0]  # fmt: skip

    def sweep(
        self,
        model: Workload | Callable[[], keras.Model],
        *,
        learning_rate: Iterable[float],
        name: str | None = None,
        **fields: Unpack[Fields],
    ) -> dict[float, Runs]:
        """Train from several learning rates in one program; return the runs by rate.

        ```python
        by_rate = convergence.sweep(workload, learning_rate=[0.01, 0.1, 1.0], epochs=5)
        best = min(by_rate, key=lambda rate: by_rate[rate].mean_log_loss().median())
        ```

        Each rate has a record of its own, named after it; the first one is timed.

        Args:
            model: as for a call.
            learning_rate: different numbers.
            name: tells sweeps of one test apart.
            fields: as for a call.

        Raises:
            ExperimentError: no rates, a rate twice, or what a call refuses.
        """
        rates = [float(rate) for rate in learning_rate]
        if not rates or len(set(rates)) < len(rates):
            raise ExperimentError(f"a sweep takes one or more different rates, got {rates}")
        prefix = f"{name} " if name else ""
        calls = [(f"{prefix}learning_rate={r:.12g}", r, {"learning_rate": r}) for r in rates]
        return dict(zip(rates, self._train(calls, model, **fields), strict=True))

    def _train(
        self,
        calls: Sequence[tuple[str | None, object, dict[str, float]]],
        model: Workload | Callable[[], keras.Model],
        **fields: Unpack[Fields],
    ) -> list[Runs]:
        """Train and record, for each call its name, its learning rate, and what it varies."""
        from dlbench.backend import on_device, require_torch

        require_torch()
        from dlbench.engines import train_sweep

        case = self._case
        for name, _, _ in calls:
            case.claim(name)
        workload = workload_of(model, fields)
        rates = [rate for _, rate, _ in calls]
        with on_device(case.settings.device):  # a model is tried where it will be trained
            experiments = experiments_of(workload, rates, fields, case.settings)
        self._check_rules(workload)
        runs_in_all = sum(len(experiment.seeds) for experiment in experiments)
        start = time.perf_counter()
        with case.progress.of(case.item.name, f"updates over {runs_in_all} runs"):
            trained = train_sweep(
                experiments,
                case.progress.update,
                engine=case.settings.engine,
                compiling=case.settings.compiling,
                device=case.settings.device,
            )
        duration = (time.perf_counter() - start) / len(calls)
        for (name, _, varied), experiment, runs in zip(calls, experiments, trained, strict=True):
            timing = self._time(experiment)
            again = partial(self._again, experiment)
            case.add(
                "convergence", name, duration, runs=runs, timing=timing, varied=varied, again=again
            )
        return trained

    def _check_rules(self, workload: Workload) -> None:
        """Check what the test says of its gates against the curves that its runs will have.

        Raises:
            GateError: a gate or a curve that there is not, a direction that nobody knows, or a loss
                that may be 0 or less and is compared on a log scale.
        """
        from dlbench.plugin.marker import rules_of

        case = self._case
        if case.settings.gate == "off" or not case.enforces_bounds:
            return
        rules = rules_of(case.item)
        names = [name for name in workload.curve_names() if name.startswith("val_")]
        rules.check([*names, *(["steps_to_target"] if workload.target else [])])
        if workload.loss.name in BELOW_ZERO and rules.scale("training_loss") == "log":
            raise GateError(
                f"the loss {workload.loss.name} may be 0 or less, and has no logarithm to compare: "
                'mark the test @pytest.mark.convergence(scale="linear")'
            )

    def _again(self, experiment: Experiment, seeds: Sequence[int], *, perturbed: bool) -> Runs:
        """Train an experiment from other seeds, or from weights moved by rounding's size."""
        from dlbench.engines import train
        from dlbench.engines.rounding import perturbed as shaken

        case = self._case
        experiment = experiment.varied(seeds=seeds)
        what = "updates from perturbed weights" if perturbed else "updates from further seeds"
        with case.progress.of(case.item.name, what):
            return train(
                shaken(experiment) if perturbed else experiment,
                case.progress.update,
                engine=case.settings.engine,
                compiling=case.settings.compiling,
                device=case.settings.device,
            )

    def _time(self, experiment: Experiment) -> Timing | None:
        from dlbench.engines.timing import training_step

        case = self._case
        if not case.can_time:
            return None
        step = training_step(experiment, case.settings.device)
        case.time(step, rounds=TIMED_ROUNDS, warmup_rounds=WARMUP_ROUNDS)
        samples = min(experiment.batch_size, len(experiment.workload.data.train))
        return case.timing("train_on_batch", 1, samples, experiment.updates_per_epoch)

    def record(  # noqa: PLR0913 - what a loop cannot say of itself
        self,
        train: Train,
        *,
        seeds: int | Iterable[int] | None = None,
        directions: Mapping[str, str] | None = None,
        target: tuple[str, float] | None = None,
        workload: str | None = None,
        name: str | None = None,
    ) -> Runs:
        """Record a training loop of any framework: plain PyTorch, Lightning, JAX, TensorFlow.

        ```python
        def train(seed):
            torch.manual_seed(seed)
            ...
            return {"loss": losses, "val_accuracy": accuracies, "step": steps}

        runs = convergence.record(train, target=("val_accuracy", 0.9))
        ```

        Args:
            train: takes a seed and returns a value a point for each metric, all of one length; with
                "step", the updates made at each point (default: 0, 1, 2, …). Python's, NumPy's and
                PyTorch's generators are seeded before each call.
            seeds: how many, or which; by default what `--dlbench-seeds` says.
            directions: `{"bleu": "higher"}` for metrics whose name does not tell.
            target: a metric and the value at which a run has converged.
            workload: what the record calls it; by default the function's name.
            name: tells the records of one test apart; needed from the second call on.

        Raises:
            ExperimentError: curves that do not fit each other, or an unknown direction.
        """
        from dlbench.engines.loop import call_loop, describe_loop, runs_of_loop
        from dlbench.experiment import check_seeds

        case = self._case
        case.claim(name)
        if not callable(train):
            raise ExperimentError(f"train must be a function of a seed, got {type(train).__name__}")
        most = len(case.settings.seeds) if case.settings.quick else None
        chosen = check_seeds(case.settings.seeds if seeds is None else seeds)[:most]
        experiment = describe_loop(train, workload=workload, target=target)
        curves: dict[int, dict[str, list[float]]] = {}

        def next_seed() -> None:
            # pytest-benchmark's cProfile asks for one more at the end: the last seed again.
            seed = chosen[min(len(curves), len(chosen) - 1)]
            curves[seed] = call_loop(train, seed)

        def check() -> None:
            if len(curves) == 1:  # what is wrong with all of them shows in the first
                runs_of_loop(experiment, curves, directions)
            case.progress.update(len(curves), len(chosen))

        start = time.perf_counter()
        with case.progress.of(case.item.name, "seeds"):
            timed = case.time(next_seed, rounds=len(chosen), teardown=check)
            while len(curves) < len(chosen):
                next_seed()
                check()
        duration = time.perf_counter() - start
        runs = runs_of_loop(experiment, curves, directions)
        timing = case.timing("train(seed)", 0, 0, 0) if timed else None

        def again(seeds: Sequence[int], *, perturbed: bool) -> Runs:
            del perturbed  # nobody outside knows a loop's weights
            with case.progress.of(case.item.name, "further seeds"):
                further = {seed: call_loop(train, seed) for seed in seeds}
            return runs_of_loop(experiment, further, directions)

        case.add("loop", name, duration, runs=runs, timing=timing, again=again)
        return runs

    def figure(self, figure: Any, caption: str) -> None:
        """Put a picture into this test's section of the report.

        Args:
            figure: a matplotlib figure, or a seaborn grid; it is closed afterwards.
            caption: one or two sentences on what is seen, which also serve as its alternative text.

        Raises:
            ExperimentError: no figure, an empty caption, or more than 2 MB as PNG.
        """
        from matplotlib import pyplot as plt
        from matplotlib.figure import Figure as MatplotlibFigure

        drawn = getattr(figure, "figure", figure)
        if not isinstance(drawn, MatplotlibFigure):
            raise ExperimentError(f"expected a matplotlib figure, got {type(figure).__name__}")
        if not isinstance(caption, str) or not caption.strip():
            raise ExperimentError("a figure needs a caption: it is what a screen reader reads")
        content = io.BytesIO()
        drawn.savefig(content, format="png", dpi=FIGURE_DPI, bbox_inches="tight")
        plt.close(drawn)
        if content.tell() > MAX_FIGURE_BYTES:
            raise ExperimentError(
                f"the figure takes {content.tell() / 2**20:.1f} MB as PNG, at most 2 fit into a "
                "report: make it smaller, or rasterize less"
            )
        self._case.figures.append(
            {
                "case": self._case.item.nodeid,
                "module": self._case.module,
                "caption": caption.strip(),
                "png": base64.b64encode(content.getvalue()).decode("ascii"),
            }
        )


class Parameters:
    """Counts parameters and records the counts; see the `parameters` fixture."""

    def __init__(self, case: Case) -> None:
        self._case = case

    def __call__(
        self,
        model: keras.Model | Callable[[], keras.Model],
        *,
        optimizer: object = None,
        name: str | None = None,
    ) -> ParameterTable:
        """Count a model's parameters, record the table, and return it.

        Args:
            model: a built Keras model, or a function that builds one (no weights are allocated).
            optimizer: counts this optimizer's own variables too.
            name: tells the records of one test apart; needed from the second call on.
        """
        from dlbench.backend import require_torch

        require_torch()
        from dlbench.parameters import count_parameters

        case = self._case
        case.claim(name)
        tables: list[ParameterTable] = []

        def count() -> None:
            tables.append(count_parameters(model, optimizer=optimizer))

        start = time.perf_counter()
        trains = "convergence" in getattr(case.item, "fixturenames", [])
        if trains or not case.time(count, rounds=1):
            count()
        case.add("parameters", name, time.perf_counter() - start, parameters=tables[-1])
        return tables[-1]
