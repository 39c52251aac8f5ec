"""What the fixtures hand out: `Convergence` and `Parameters`, and the `Case` both write into."""

from __future__ import annotations

import base64
import io
import time
from typing import TYPE_CHECKING, Any

import pytest

from dlbench.errors import ExperimentError
from dlbench.plain import Plain, to_plain
from dlbench.plugin.options import QUICK_STEPS, Settings
from dlbench.plugin.session import Cargo, first_line, outcome_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import keras

    from dlbench.engines.loop import Train
    from dlbench.experiment import Experiment, Workload
    from dlbench.history.record import Kind, Record, Timing
    from dlbench.history.run import Figure, Module
    from dlbench.parameters import ParameterTable
    from dlbench.plugin.progress import Progress
    from dlbench.runs import Runs

TIMED_ROUNDS = 20
WARMUP_ROUNDS = 3
FIGURE_DPI = 110
MAX_FIGURE_BYTES = 2 * 2**20

case_key = pytest.StashKey["Case"]()


class Case:
    """One test: its records and figures, and pytest-benchmark's fixture, which times once a test."""

    def __init__(self, item: pytest.Item, settings: Settings, benchmark: Any, progress: Progress):  # noqa: ANN401
        self.item = item
        self.settings = settings
        self.benchmark = benchmark
        self.progress = progress
        self.enforces_bounds = settings.enforces_bounds(getattr(item, "fixturenames", []))
        self.records: list[Record] = []
        self.figures: list[Figure] = []
        self.runs: list[tuple[str | None, Runs]] = []
        """What a failing test shows, by the name of the call."""
        self.unheld: str | None = None
        self.timed = False

    @property
    def module(self) -> str:
        """The path of the test's module, from the root folder on, with forward slashes."""
        return self.item.nodeid.split("::", 1)[0]

    def texts(self) -> Module:
        """Return the module's docstring and closing discussion."""
        module = getattr(self.item, "module", None)
        return {
            "theory": (getattr(module, "__doc__", None) or "").strip(),
            "discussion": str(getattr(module, "DISCUSSION", "")).strip(),
        }

    def claim(self, name: str | None) -> None:
        """Make sure that a new record can be told from this test's others, before any training.

        Raises:
            ExperimentError: a second record without a name, or with one that is taken.
        """
        if self.records and name is None:
            raise ExperimentError(
                "a test's second call needs name=…, so that its record can be told from the first"
            )
        if any(record["name"] == name for record in self.records):
            raise ExperimentError(f"this test already has a record named {name!r}; take another")

    def time(self, step: Callable[[], object], **rounds: int) -> bool:
        """Time `step` by pytest-benchmark; return whether it did.

        Its fixture can be used once a test: by the first call that trains, unless the test itself
        was before it.
        """
        if not self.can_time:
            return False
        self.timed = True
        try:
            self.benchmark.pedantic(step, iterations=1, **rounds)
        except BaseException:
            # pytest-benchmark marks errors alone: after Ctrl-C it would stumble over the lack of data.
            self.benchmark.has_error = True
            raise
        return True

    @property
    def can_time(self) -> bool:
        """Whether pytest-benchmark's fixture is on, and free."""
        return bool(getattr(self.benchmark, "enabled", False)) and self.benchmark.stats is None

    def timing(self, what: Any, updates: int, samples: int, per_epoch: int) -> Timing:  # noqa: ANN401
        """Return what pytest-benchmark measured.

        Args:
            what: "train_on_batch" or "train(seed)".
            updates: optimizer updates a round, 0 if not known.
            samples: samples an update.
            per_epoch: updates an epoch.
        """
        stats = self.benchmark.stats.stats
        seconds = float(stats.median)
        return {
            "what": what,
            "rounds": int(stats.rounds),
            "seconds": seconds,
            "iqr": float(stats.iqr),
            "samples_per_second": updates * samples / seconds if updates else None,
            "epoch_seconds": seconds / updates * per_epoch if updates else None,
        }

    def add(
        self,
        kind: Kind,
        name: str | None,
        duration: float,
        *,
        runs: Runs | None = None,
        parameters: ParameterTable | None = None,
        timing: Timing | None = None,
    ) -> None:
        """Keep a record, and let it ride in pytest-benchmark's file."""
        from dlbench.history.environment import environment
        from dlbench.history.record import KEY, SCHEMA, metrics_by_seed

        if runs is not None:
            self.runs.append((name, runs))
        record: Record = {
            "kind": kind,
            "case": self.item.nodeid,
            "name": name,
            "module": self.module,
            "test": getattr(self.item, "originalname", None) or self.item.name,
            "params": _params(self.item),
            "outcome": "interrupted",  # until the test's report says otherwise
            "message": None,
            "bounds": "enforced" if self.enforces_bounds else "off",
            "runs": runs.to_builtins() if runs is not None else None,
            "metrics": metrics_by_seed(runs) if runs is not None else None,
            "parameters": parameters.to_builtins() if parameters is not None else None,
            "timing": timing,
            "environment": environment(),
            "duration": duration,
        }
        self.records.append(record)
        extra = getattr(self.benchmark, "extra_info", None)
        if extra is not None:
            extra[KEY] = {"schema": SCHEMA, "records": self.records}

    def forget(self) -> None:
        """Take the records back out of pytest-benchmark's file: the test is run again."""
        from dlbench.history.record import KEY

        self.benchmark.extra_info.pop(KEY, None)

    def note(self, error: AssertionError) -> None:
        """Keep an assertion that did not hold while bounds are off."""
        self.unheld = next(iter(str(error).strip().splitlines()), "an assertion")

    def settle(self, report: pytest.TestReport) -> None:
        """Write what became of the test into its records, and the runs into a failure's text."""
        if not self.timed:
            # Else pytest-benchmark warns that its fixture was not used; it was, or could not be.
            self.benchmark.skipped = True
        if report.when == "call" or report.failed:
            for record in self.records:
                record["outcome"] = outcome_of(report)
                record["message"] = first_line(report) or self.unheld
        if report.failed and self.runs:
            tables = [f"{name}: {runs}" if name else str(runs) for name, runs in self.runs]
            report.sections.append(("dlbench: runs by seed", "\n".join(tables)))

    def cargo(self) -> Cargo:
        """Return what travels on the test's report."""
        return {
            "records": self.records,
            "figures": self.figures,
            "module": self.module,
            "texts": self.texts(),
            "position": self.item.session.items.index(self.item),
        }


def _params(item: pytest.Item) -> dict[str, Plain]:
    params = getattr(getattr(item, "callspec", None), "params", {})
    return {name: _plain_or_name(value) for name, value in params.items()}


def _plain_or_name(value: object) -> Plain:
    try:
        return to_plain(value)
    except TypeError:
        name = getattr(value, "name", None) or getattr(value, "__name__", None)
        return name if isinstance(name, str) else type(value).__name__


class Convergence:
    """Trains, records and returns runs; see the `convergence` fixture."""

    def __init__(self, case: Case) -> None:
        self._case = case

    def __call__(
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
            name: tells the records of one test apart; needed from the second call on.

        Raises:
            ExperimentError: anything that could not be trained as given, before the first update.
        """
        from dlbench.backend import require_torch

        require_torch()
        from dlbench.engines import train
        from dlbench.experiment import Experiment

        case = self._case
        case.claim(name)
        experiment = Experiment(
            _workload(model, data=data, loss=loss, metrics=metrics, target=target),
            optimizer=optimizer,
            learning_rate=learning_rate,
            batch_size=batch_size,
            epochs=epochs,
            steps=steps,
            seeds=case.settings.seeds if seeds is None else seeds,
        )
        if case.settings.quick:
            experiment = experiment.shortened(QUICK_STEPS)
        seeds_in_all = len(experiment.seeds)
        unit = f"updates over {seeds_in_all} seed{'s' if seeds_in_all > 1 else ''}"
        start = time.perf_counter()
        with case.progress.of(case.item.name, unit):
            runs = train(experiment, case.progress.update)
        duration = time.perf_counter() - start
        case.add("convergence", name, duration, runs=runs, timing=self._time(experiment))
        return runs

    def _time(self, experiment: Experiment) -> Timing | None:
        from dlbench.engines.timing import training_step

        case = self._case
        if not case.can_time:
            return None
        case.time(training_step(experiment), rounds=TIMED_ROUNDS, warmup_rounds=WARMUP_ROUNDS)
        samples = min(experiment.batch_size, len(experiment.workload.data.train))
        return case.timing("train_on_batch", 1, samples, experiment.updates_per_epoch)

    def record(
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
        chosen = check_seeds(case.settings.seeds if seeds is None else seeds)
        experiment = describe_loop(train, workload=workload, target=target)
        curves: dict[int, dict[str, list[float]]] = {}

        def next_seed() -> None:
            seed = chosen[min(len(curves), len(chosen) - 1)]  # cProfile asks for one more at the end
            curves[seed] = call_loop(train, seed)
            if len(curves) == 1:
                runs_of_loop(experiment, curves, directions)  # what is wrong shows before the others
            case.progress.update(len(curves), len(chosen))

        start = time.perf_counter()
        with case.progress.of(case.item.name, "seeds"):
            timed = case.time(next_seed, rounds=len(chosen))
            while len(curves) < len(chosen):
                next_seed()
        duration = time.perf_counter() - start
        runs = runs_of_loop(experiment, curves, directions)
        timing = case.timing("train(seed)", 0, 0, 0) if timed else None
        case.add("loop", name, duration, runs=runs, timing=timing)
        return runs

    def figure(self, figure: Any, caption: str) -> None:  # noqa: ANN401 - matplotlib, loaded late
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
        self._case.figures.append({
            "case": self._case.item.nodeid,
            "module": self._case.module,
            "caption": caption.strip(),
            "png": base64.b64encode(content.getvalue()).decode("ascii"),
        })


def _workload(
    model: Workload | Callable[[], keras.Model],
    *,
    data: object,
    loss: object,
    metrics: Iterable[object] | None,
    target: tuple[str, float] | None,
) -> Workload:
    """Return the workload that a call describes; what is given beside a workload takes its place."""
    from dlbench.experiment import Workload, check_builder

    if isinstance(model, Workload):
        if data is loss is metrics is target is None:
            return model
        return Workload(
            name=model.name,
            model=model.model,
            data=model.data if data is None else data,
            loss=model.loss if loss is None else loss,
            metrics=model.metrics if metrics is None else metrics,
            target=model.target if target is None else target,
        )
    build = check_builder(model)
    if data is None or loss is None:
        missing = " and ".join(n for n, v in (("data", data), ("loss", loss)) if v is None)
        raise ExperimentError(f"{missing} must be given, unless the model is a Workload")
    return Workload(
        name=getattr(build, "__name__", type(build).__name__),
        model=build,
        data=data,
        loss=loss,
        metrics=metrics or (),
        target=target,
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
