"""How fast the vectorized engine is: against Keras' fit, a plain PyTorch loop, bare products.

Collected only when named: `pytest benchmarks/internals/test_engines.py -s`. Every figure is a time
per update and run in one process on one thread: the others' the median of interleaved rounds, the
vectorized engine's the median over its updates. What it takes besides (building the models, tracing,
compiling, the proof, evaluations) stands beside it as start-up. `docs/performance.md` keeps the table
of a quiet machine.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest
import torch

from dlbench.data import Data
from dlbench.engines import train
from dlbench.experiment import Experiment, Workload
from dlbench.workloads import digits_cnn, digits_mlp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dlbench.engines.compilation import Compiling

SEEDS = 32
ROUNDS = 3
LOOP_STEPS = 150


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Let PyTorch compute on one thread, as each side of a ratio must."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@dataclass(frozen=True)
class Cost:
    """What a training costs."""

    start: float
    """Seconds for everything but the updates, evaluations included."""
    update: float
    """Seconds for one update of one run."""


def engine_cost(workload: Workload, batch_size: int, steps: int, compiling: Compiling) -> Cost:
    """Return what the vectorized engine costs: the median time between two updates, and the rest."""
    experiment = Experiment(
        workload, learning_rate=0.05, batch_size=batch_size, steps=steps, seeds=SEEDS
    )
    ticks: list[float] = []

    def tick(done: int, total: int) -> None:
        del done, total
        ticks.append(time.perf_counter())

    begin = time.perf_counter()
    train(experiment, tick, engine="vectorized", compiling=compiling)
    seconds = time.perf_counter() - begin
    update = float(np.median(np.diff(ticks)))
    return Cost(start=seconds - steps * update, update=update / SEEDS)


def per_call(call: Callable[[], object], times: int) -> float:
    """Return the seconds of one call, after three to warm up."""
    for _ in range(3):
        call()
    begin = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - begin) / times


def fit_update(workload: Workload, batch_size: int) -> float:
    """Return the seconds of an update in Keras' own `fit` of one model, nothing else asked of it."""
    model = workload.build()
    model.compile(optimizer=keras.optimizers.SGD(0.05), loss=workload.loss.build())
    data = workload.data.train.take(slice(0, batch_size))

    def batches() -> Iterator[tuple[Any, Any]]:
        while True:
            yield data.x, data.y

    def fit(steps: int) -> float:
        begin = time.perf_counter()
        model.fit(batches(), steps_per_epoch=steps, epochs=1, shuffle=False, verbose=0)
        return time.perf_counter() - begin

    fit(3)
    return (fit(LOOP_STEPS + 20) - fit(20)) / LOOP_STEPS


def loop_update(module: torch.nn.Module, workload: Workload, batch_size: int) -> float:
    """Return the seconds of an update in a plain PyTorch loop of one model."""
    x = torch.tensor(np.asarray(workload.data.train.x, dtype=np.float32))
    if isinstance(module[0], torch.nn.Conv2d):  # type: ignore[index]
        x = x.reshape(-1, 1, 8, 8)
    y = torch.tensor(np.asarray(workload.data.train.y), dtype=torch.long)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05)

    def update() -> None:
        rows = torch.randint(len(x), (batch_size,))
        loss = torch.nn.functional.cross_entropy(module(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return per_call(update, LOOP_STEPS)


def products_update(batch_size: int) -> float:
    """Return the seconds that a dense net's matrix products alone take, for one update and run."""
    widths = [(64, 32), (32, 32), (32, 10)]
    weights = [torch.rand(SEEDS, *shape) for shape in widths]
    inputs = [torch.rand(SEEDS, batch_size, i) for i, _ in widths]
    gradients = [torch.rand(SEEDS, batch_size, o) for _, o in widths]

    def update() -> None:
        for x, w in zip(inputs, weights, strict=True):
            torch.bmm(x, w)
        for number in reversed(range(len(widths))):
            torch.bmm(inputs[number].transpose(1, 2), gradients[number])
            if number:
                torch.bmm(gradients[number], weights[number].transpose(1, 2))

    return per_call(update, LOOP_STEPS) / SEEDS


def dense_module() -> torch.nn.Module:
    """Return the digits' dense net as a torch module."""
    nn = torch.nn
    return nn.Sequential(
        nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10)
    )


def conv_module() -> torch.nn.Module:
    """Return the digits' convolutional net as a torch module."""
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


def report(title: str, rows: dict[str, float], costs: dict[str, Cost]) -> dict[str, float]:
    """Print the table; return how many times faster the compiled engine is than each row."""
    best = costs["compiled"].update
    print(f"\n{title}: microseconds per update and run, {SEEDS} seeds")
    for name, seconds in rows.items():
        print(f"  {name:<28}{seconds * 1e6:>10.1f}{seconds / best:>9.1f} x")
    for name, cost in costs.items():
        print(f"  {name:<28}{cost.update * 1e6:>10.1f}   start-up {cost.start:.1f} s")
    return {name: seconds / best for name, seconds in rows.items()}


def medians(measured: list[dict[str, float]]) -> dict[str, float]:
    """Return each row's median over the rounds."""
    return {name: statistics.median(row[name] for row in measured) for name in measured[0]}


@pytest.mark.parametrize("batch_size", [1, 4, 32, 100])
def test_dense(batch_size: int) -> None:
    """The compiled engine against fit, a plain loop and the products, on the dense net."""
    workload = digits_mlp()
    measured = [
        {
            "Keras fit": fit_update(workload, batch_size),
            "plain PyTorch loop": loop_update(dense_module(), workload, batch_size),
            "the products alone (bmm)": products_update(batch_size),
        }
        for _ in range(ROUNDS)
    ]
    costs = {
        "traced": engine_cost(workload, batch_size, 400, "never"),
        "compiled": engine_cost(workload, batch_size, 1200, "always"),
    }
    times = report(f"dense net, batch {batch_size}", medians(measured), costs)
    small = batch_size <= 4
    assert times["Keras fit"] >= (100 if small else 40)
    assert times["plain PyTorch loop"] >= (15 if small else 5)
    assert times["the products alone (bmm)"] >= (1 / 4 if small else 1 / 3)


def test_convolutions() -> None:
    """The compiled engine against fit and a plain loop, on the convolutional net at batch 32.

    On few samples: reading the curves goes on beside the updates, on the other core, and with all
    samples it takes most of this net's time. What both take together shows in the suite.
    """
    whole = digits_cnn()
    data = whole.data.train
    few = (data.take(rows) for rows in (slice(0, 64), slice(64, 96)))
    workload = replace(whole, data=Data.of([(part.x, part.y) for part in few]))
    measured = [
        {
            "Keras fit": fit_update(workload, 32),
            "plain PyTorch loop": loop_update(conv_module(), workload, 32),
        }
        for _ in range(ROUNDS)
    ]
    costs = {
        "traced": engine_cost(workload, 32, 60, "never"),
        "compiled": engine_cost(workload, 32, 150, "always"),
    }
    times = report("convolutional net, batch 32", medians(measured), costs)
    assert times["Keras fit"] >= 10
    assert times["plain PyTorch loop"] >= 2


def test_more_seeds_cost_little() -> None:
    """64 seeds of a case cost at most three times what 16 do, everything counted."""
    workload = digits_mlp()
    for batch_size, steps in ((1, 1437), (4, 720), (32, 450)):
        seconds = {}
        for seeds in (16, 64):
            experiment = Experiment(workload, batch_size=batch_size, steps=steps, seeds=seeds)
            begin = time.perf_counter()
            train(experiment, engine="vectorized")
            seconds[seeds] = time.perf_counter() - begin
        ratio = seconds[64] / seconds[16]
        print(f"\nbatch {batch_size}, {steps} updates: {seconds} s, {ratio:.2f} x")
        assert ratio <= 3
