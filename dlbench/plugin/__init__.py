"""pytest's door: options, fixtures and hooks, which hand over to the rooms behind it.

The plugin is loaded in every pytest run of an environment. Until a test uses one of its fixtures it
imports nothing heavy, seeds nothing and writes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dlbench.backend import choose_keras_backend
from dlbench.plugin import marker
from dlbench.plugin.bounds import listening, note_failed
from dlbench.plugin.case import Case, case_key
from dlbench.plugin.collection import (
    check_baseline,
    check_device,
    check_workload,
    header_lines,
    keep_few_cases,
)
from dlbench.plugin.fixtures import Convergence, Parameters
from dlbench.plugin.garbage import Garbage
from dlbench.plugin.gating import Gate
from dlbench.plugin.interrupts import Interrupts
from dlbench.plugin.options import Settings, add_options
from dlbench.plugin.progress import Progress
from dlbench.plugin.session import ATTRIBUTE, RunSession, session_key

if TYPE_CHECKING:
    from collections.abc import Generator

    from dlbench.experiment import Workload

PARTS = ("session", "gate", "collected", "interrupts", "garbage")
"""What each run registers as plugins of its own, `dlbench-session` and so on."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options and ini keys."""
    add_options(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Choose Keras' backend before any conftest or test file can import keras."""
    choose_keras_backend(early_config.getini("dlbench_keras_backend") or None)


def pytest_configure(config: pytest.Config) -> None:
    """Read the settings, where a wrong one stops, and begin to gather."""
    config.addinivalue_line("markers", marker.HELP)
    settings = Settings.from_config(config)
    gate = Gate(config, settings)
    session = RunSession(config, settings, gate)
    config.stash[session_key] = session
    parts = (session, gate, gate.collected, Interrupts(config), Garbage())
    for name, part in zip(PARTS, parts, strict=True):
        config.pluginmanager.register(part, f"dlbench-{name}")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Let go of what this run gathered."""
    if session_key in config.stash:
        for name in PARTS:
            config.pluginmanager.unregister(name=f"dlbench-{name}")
        del config.stash[session_key]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Check markers, workload and device; under --dlbench-quick keep few cases of each test."""
    session = config.stash[session_key]
    if not session.is_worker:  # pytest-xdist takes a usage error for a crash; the fixture tells it
        marker.check_markers(items)
        check_workload(session.settings, items)
        check_device(session.settings, items)
        if not config.option.collectonly:  # what it prints is for other programs, and is quick
            check_baseline(session.gate, items)
    if session.settings.quick:
        keep_few_cases(config, items)


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    """Say once, and only where dlbench is used, on what and from how many seeds is trained."""
    session = config.stash[session_key]
    return header_lines(config, session.settings, session.gate, items)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Hear of what a test asserts, from before pytest asks whether anybody does."""
    with listening(item):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a test's records travel on its report, with its outcome."""
    report = yield
    case = item.stash.get(case_key, None)
    if case is not None:
        note_failed(case, call)
        case.settle(report, call)
        if report.when != "setup":
            setattr(report, ATTRIBUTE, case.cargo())
    return report


@pytest.fixture
def convergence(request: pytest.FixtureRequest, benchmark: Any) -> Convergence:
    """Train a Keras model from several seeds; assert on the curves; record and time them.

    ```python
    def test_iris(convergence):
        runs = convergence(build, data=((x, y), (x_val, y_val)), metrics=["accuracy"],
                           loss="sparse_categorical_crossentropy", learning_rate=0.1, epochs=20)
        assert runs.regime == "converged"
        assert runs.final("val_accuracy").quantile(0.1) >= 0.90   # a pandas Series, by seed
        assert runs.steps_to("val_accuracy", 0.93).median() <= 400
    ```

    `build` is a function that returns a fresh model; a `dlbench.Workload` carries model, data, loss,
    metrics and target in one. `convergence.record(train)` takes a training loop of any framework,
    `convergence.figure(figure, caption)` puts a picture into the report. Function scope.
    """
    return Convergence(_case(request, benchmark))


@pytest.fixture
def parameters(request: pytest.FixtureRequest, benchmark: Any) -> Parameters:
    """Count a model's parameters exactly, by formula and by variable; record the counts.

    ```python
    def test_size(parameters):
        table = parameters(build)
        assert table.unique == 61_706
    ```

    `build` is a function that returns a Keras model (no weights are allocated), or a built model.
    Function scope.
    """
    return Parameters(_case(request, benchmark))


@pytest.fixture(scope="session")
def workload(pytestconfig: pytest.Config) -> Workload:
    """The workload that an analysis trains: the one that `--dlbench-workload` names, or the digits.

    Override it in your conftest.py to give your own suite another default. Session scope.
    """
    from dlbench.workloads import digits_mlp, load_workload

    named = pytestconfig.stash[session_key].settings.workload
    return load_workload(named) if named else digits_mlp()


def _case(request: pytest.FixtureRequest, benchmark: Any) -> Case:
    item = request.node
    case: Case | None = item.stash.get(case_key, None)
    if case is None or case.benchmark is not benchmark:  # a rerun begins anew
        if case is not None:
            case.forget()
        session = request.config.stash[session_key]
        if session.is_worker:  # where collection could not stop the session
            marker.check_markers([item])
            check_baseline(session.gate, [item])
        case = Case(item, session.settings, benchmark, Progress(request.config))
        item.stash[case_key] = case
    return case
