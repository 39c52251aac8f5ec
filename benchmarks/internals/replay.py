"""How often a sound run fails the suite's bounds: every test, replayed on resampled seeds.

A pytest plugin. First train the suite from many seeds that it does not use, then replay:

    pytest benchmarks -p benchmarks.internals.replay --dlbench-seeds=1000-1999 --dlbench-report=wide
    pytest benchmarks -p benchmarks.internals.replay --replay=wide/run.json --dlbench-report=replayed

The first trains from all of these seeds where a test asks for few, too. In the second nothing is trained:
each test's body runs again and again, and each call of `convergence` returns 16 of the saved seeds, or as
many as the test asks for, drawn anew without replacement. The closing table gives the share of the replays
in which an assertion failed, with the upper end of its 95 % interval (Clopper and Pearson).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from matplotlib import pyplot as plt
from scipy import stats

from dlbench.history.run import read_run
from dlbench.runs import Runs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dlbench.plugin.fixtures import Convergence

results_key = pytest.StashKey[dict[str, Counter[str]]]()
few_key = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare what is replayed, and how often."""
    group = parser.getgroup("replay")
    group.addoption(
        "--replay", type=Path, help="the run.json of many seeds; without it they are trained"
    )
    group.addoption("--replays", type=int, default=3000, help="how often (default 3000)")
    group.addoption("--replay-seeds", type=int, default=16, help="seeds a replay (default 16)")


class Replayed:
    """Stands in for `convergence`: returns some of the saved runs."""

    def __init__(self, saved: dict[str | None, Runs], count: int) -> None:
        self._saved = saved
        self._count = count
        self._seeds: Iterable[int] = ()

    def draw(self, generator: np.random.Generator) -> None:
        """Choose the seeds of the next replay."""
        known = next(iter(self._saved.values())).seeds
        self._seeds = generator.choice(known, self._count, replace=False).tolist()

    def __call__(
        self, *_: Any, name: str | None = None, seeds: int | None = None, **__: Any
    ) -> Runs:
        """Return the chosen seeds of the call's record; the first of them where a call asks for few."""
        return self._saved[name].select(list(self._seeds)[:seeds])

    record = __call__

    def sweep(
        self,
        *_: Any,
        learning_rate: Iterable[float],
        name: str | None = None,
        seeds: int | None = None,
        **__: Any,
    ) -> dict[float, Runs]:
        """Return the chosen seeds of each rate's record."""
        prefix = f"{name} " if name else ""
        return {
            rate: self(name=f"{prefix}learning_rate={rate:g}", seeds=seeds)
            for rate in learning_rate
        }

    def figure(self, figure: Any, _: str) -> None:
        """Keep nothing."""
        plt.close(getattr(figure, "figure", figure))


class Widened:
    """Stands in for `convergence`: trains from all seeds, where a test asks for few, too."""

    def __init__(self, convergence: Convergence) -> None:
        self._convergence = convergence
        self.figure = convergence.figure

    def __call__(self, *args: Any, **options: Any) -> Runs:
        """Train without regard to `seeds`."""
        return self._convergence(*args, **options | {"seeds": None})

    def sweep(self, *args: Any, **options: Any) -> dict[float, Runs]:
        """Train without regard to `seeds`."""
        return self._convergence.sweep(*args, **options | {"seeds": None})

    def record(self, *args: Any, **options: Any) -> Runs:
        """Train without regard to `seeds`."""
        return self._convergence.record(*args, **options | {"seeds": None})


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests whose runs were saved from enough seeds."""
    if config.getoption("--replay") is None:
        return
    saved: dict[str, dict[str | None, Runs]] = {}
    for record in read_run(config.getoption("--replay")).records:
        if record["runs"] is not None:
            runs = Runs.from_builtins(record["runs"])
            saved.setdefault(record["case"], {})[record["name"]] = runs
    count = config.getoption("--replay-seeds")
    fewest = {case: min(len(runs.seeds) for runs in of.values()) for case, of in saved.items()}
    config.stash[results_key] = {}
    config.stash[few_key] = [
        item.nodeid for item in items if fewest.get(item.nodeid, 2 * count) < 2 * count
    ]
    items[:] = [item for item in items if fewest.get(item.nodeid, 0) >= 2 * count]
    for item in items:
        item.stash[replayed_key] = Replayed(saved[item.nodeid], count)


replayed_key = pytest.StashKey[Replayed]()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run the test's body many times, and count what fails."""
    if replayed_key not in pyfuncitem.stash:
        if "convergence" in pyfuncitem.funcargs:
            fixture: Any = pyfuncitem.funcargs["convergence"]
            pyfuncitem.funcargs["convergence"] = Widened(fixture)
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}  # noqa: SLF001
    arguments["convergence"] = replayed = pyfuncitem.stash[replayed_key]
    generator = np.random.default_rng(0)
    outcomes: Counter[str] = Counter()
    for _ in range(pyfuncitem.config.getoption("--replays")):
        replayed.draw(generator)
        try:
            pyfuncitem.obj(**arguments)
            outcomes["held"] += 1
        except AssertionError as error:
            outcomes[str(error).splitlines()[0]] += 1
    pyfuncitem.config.stash[results_key][pyfuncitem.nodeid] = outcomes
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the table: a line a test, and what failed under it."""
    if results_key not in terminalreporter.config.stash:
        return
    terminalreporter.section("replays")
    for case, outcomes in terminalreporter.config.stash[results_key].items():
        failed = outcomes.total() - outcomes["held"]
        upper = stats.binomtest(failed, outcomes.total()).proportion_ci().high
        terminalreporter.write_line(f"{failed:>6} of {outcomes.total()}  <= {upper:.4f}  {case}")
        for message, count in outcomes.most_common():
            if message != "held":
                terminalreporter.write_line(f"{count:>15} x {message}")
    for case in terminalreporter.config.stash[few_key]:
        terminalreporter.write_line(f"too few seeds to draw from: {case}")
