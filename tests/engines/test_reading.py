"""Curves are read beside the training: rightly, with few states waiting, errors told."""

from __future__ import annotations

import threading
from typing import Any, cast

import numpy as np
import pytest
import torch

from dlbench.engines.memory import Budget
from dlbench.engines.reading import AHEAD, Reader

RUNS = 3
X, Y = torch.arange(10.0), torch.arange(10.0) % 2


class Line:
    """A program whose model is w x, whose loss is its mean, whose metric adds up the labels."""

    has_averages = False
    metric_names = ("labels",)

    def metric_state(self) -> list[torch.Tensor]:
        """Return a sum and a count."""
        return [torch.zeros(()), torch.zeros(())]

    def measure(self, state: Any, measured: Any, x: Any, y: Any, weight: Any) -> Any:
        """Return the mean output, and the sum and count with this chunk."""
        del weight
        return (state[0] * x).mean(), [measured[0] + y.sum(), measured[1] + y.numel()]

    def results(self, measured: Any) -> list[torch.Tensor]:
        """Return the mean label."""
        return [measured[0] / measured[1]]

    def averaged(self, state: Any) -> Any:
        """Return a state of its own."""
        return [part + 1 for part in state]


def reader(program: Any = None, samples: int = 4) -> Reader:
    """Return a reader of one data set, some samples at a time."""
    budget = Budget(runs=RUNS, step_bytes=1, sample_bytes=2**28 // (samples * RUNS))
    return Reader(program or cast("Any", Line()), {"": (X, Y, None)}, budget)


def state(*weights: float) -> list[torch.Tensor]:
    """Return a stacked state of one weight a run."""
    return [torch.tensor(weights)]


@pytest.mark.parametrize("samples", [3, 4, 100])
def test_chunks_add_up(samples: int) -> None:
    """Whatever is taken at a time, the loss is the mean over all samples, and so is the metric."""
    with reader(samples=samples) as reading:
        values = reading.start(state(1.0, 2.0, -1.0), 0).result()
    np.testing.assert_allclose(values["loss"], [4.5, 9.0, -4.5])
    np.testing.assert_allclose(values["labels"], [0.5, 0.5, 0.5])


def test_nothing_is_known_where_the_loss_is_not_finite() -> None:
    """A run whose loss is infinite or NaN has no metric either; the other runs keep theirs."""
    with reader() as reading:
        values = reading.start(state(np.inf, np.nan, 1.0), 0).result()
    assert np.isnan(values["loss"][:2]).all()
    assert np.isnan(values["labels"][:2]).all()
    assert values["labels"][2] == pytest.approx(0.5)


def test_averages_are_read_too() -> None:
    """With averaged weights each curve has a second one; before the first update they are one."""
    program = Line()
    program.has_averages = True
    with reader(program) as reading:
        first, later = (reading.start(state(1.0, 1.0, 1.0), step).result() for step in (0, 5))
    assert first["ema_loss"][0] == pytest.approx(4.5)
    assert later["ema_loss"][0] == pytest.approx(9.0)
    assert later["loss"][0] == pytest.approx(4.5)


def test_the_training_goes_on_meanwhile() -> None:
    """Few states wait: the next reading is begun only when the oldest of them has been read."""
    free, begun = threading.Event(), []

    class Held(Reader):
        def _read(self, states: Any) -> Any:
            begun.append(threading.current_thread())
            assert free.wait(60)
            return super()._read(states)

    budget = Budget(runs=RUNS, step_bytes=1, sample_bytes=1)
    with Held(Line(), {"": (X, Y, None)}, budget) as reading:  # type: ignore[arg-type]
        readings = [reading.start(state(1.0, 1.0, 1.0), step) for step in range(AHEAD)]
        assert not any(one.done() for one in readings)
        threading.Timer(0.01, free.set).start()
        readings.append(reading.start(state(1.0, 1.0, 1.0), AHEAD))
        assert readings[0].done()
        assert all(one.result()["loss"][0] == pytest.approx(4.5) for one in readings)
    assert threading.main_thread() not in begun


def test_an_error_reaches_the_training() -> None:
    """What is raised in the other thread is raised where the reading is asked for."""

    class Failing(Reader):
        def _read(self, states: Any) -> Any:
            raise MemoryError("out of memory")

    budget = Budget(runs=RUNS, step_bytes=1, sample_bytes=1)
    with (
        pytest.raises(MemoryError),
        Failing(Line(), {"": (X, Y, None)}, budget) as reading,  # type: ignore[arg-type]
    ):
        for step in range(AHEAD + 1):
            reading.start(state(1.0, 1.0, 1.0), step)


def test_no_thread_is_left() -> None:
    """After an error in the block, as after Ctrl-C, the reader's thread has ended."""
    with pytest.raises(KeyboardInterrupt), reader() as reading:
        reading.start(state(1.0, 1.0, 1.0), 0)
        raise KeyboardInterrupt
    assert not [one for one in threading.enumerate() if one.name.startswith("dlbench-reading")]
