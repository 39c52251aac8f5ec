r"""# Batch sizes: how many samples should one update see?

Stochastic gradient descent replaces the gradient $G$ of the loss over all $N$ training samples by
$g_B$, that over a *batch* of $B$ of them. One pass over the data, an *epoch*, then makes

$$\left\lceil \frac{N}{B} \right\rceil$$

updates: many rough ones from small batches, few exact ones from large batches.

## How rough

A batch drawn without replacement is right on average, and off by

$$E |g_B - G|^2 = \frac{\operatorname{tr} \Sigma}{B} \cdot \frac{N - B}{N - 1}$$

where $\Sigma$ is the covariance of the gradients of single samples (McCandlish et al. 2018, arXiv
1812.06162, section 2.2; the last factor is the finite population's, Cochran 1977, *Sampling
Techniques*, chapter 2). The noise falls as $1/B$, and the whole set has none. It drowns the signal
where $B$ is below the *noise scale* $\operatorname{tr} \Sigma / |G|^2$: there, twice the batch is
worth nearly twice the updates. Far above it, twice the batch is worth nothing.

## Why a fixed learning rate compares learning rates

Noise limits the step. On a quadratic loss the best learning rate is

$$\eta(B) = \frac{\eta_{\max}}{1 + B_{noise} / B}$$

(McCandlish et al. 2018, section 2.2), small for small batches. So whoever compares batch sizes at one
rate compares how well that rate suits each of them. Shallue et al. 2019 (JMLR 20, paper 112) trained
168,160 models to say so: each batch size has to be tuned for itself, an optimum at the edge of its
grid does not count, and then the updates to a target fall with $B$, first in proportion, later not at
all. Both comparisons stand below: at one rate, and at the best of a grid.
"""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING

import keras
import numpy as np
import pandas as pd
import pytest
import seaborn as sns
import torch

from dlbench import Experiment, Workload, workloads
from dlbench.backend import seeded

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.data import Samples
    from dlbench.plugin.fixtures import Convergence

SIZES = [1, 4, 32, 100, "full"]
RATES = [0.02, 0.06, 0.2, 0.6, 2.0]


# ---- one learning rate for all


@pytest.mark.parametrize("batch_size", SIZES)
def test_fixed_rate(convergence: Convergence, workload: Workload, batch_size: int | str) -> None:
    """At one rate and for equally many updates, a larger batch ends lower and runs smoother."""
    runs = convergence(workload, learning_rate=0.1, batch_size=batch_size, steps=1000)
    samples = len(workload.data.train)
    size = samples if batch_size == "full" else int(batch_size)
    assert runs.experiment["updates_per_epoch"] == math.ceil(samples / size)
    highest_loss = {1: 2.0, 4: 0.3, 32: 0.1, 100: 0.1, "full": 0.1}[batch_size]
    roughest, smoothest = {1: (0.2, 0.6), 4: (0.05, 0.4)}.get(batch_size, (0, 0.05))
    assert runs.final("loss").median() <= highest_loss
    assert roughest <= runs.oscillation("loss").median() <= smoothest
    assert (runs.regimes == "converged").mean() == (batch_size != 1)


# ---- how rough a batch is


def test_gradient_noise(convergence: Convergence, workload: Workload) -> None:
    """The gradients of drawn batches are as far from that of the whole set as theory says."""
    samples, generator = workload.data.train.take(slice(0, 400)), np.random.default_rng(0)
    count, rows = len(samples), []
    for stage, updates in {"before training": 0, "after 300 updates": 300}.items():
        gradient = gradient_after(workload, updates)
        whole = gradient(samples)
        alone = [gradient(samples.take(slice(row, row + 1))) for row in range(count)]
        trace = np.mean([square(one - whole) for one in alone])
        for size in (1, 4, 32, 100, count):
            drawn = [generator.choice(count, size, replace=False) for _ in range(100)]
            measured = np.mean([square(gradient(samples.take(some)) - whole) for some in drawn])
            expected = trace / size * (count - size) / (count - 1)
            rows.append((stage, size, measured, expected, square(whole)))
            assert measured == pytest.approx(expected, rel=0.3, abs=1e-6 * trace)
    columns = ["stage", "batch size", "100 drawn batches", "theory", "signal $|G|^2$"]
    noise = pd.DataFrame(rows, columns=columns).query("theory > 0")
    lines = noise.melt(columns[:2], var_name="from", value_name="squared length")
    grid = sns.relplot(
        lines, x="batch size", y="squared length", col="stage", hue="from", style="from",
        kind="line", markers=True, palette="colorblind", height=3, aspect=1.3,
    )  # fmt: skip
    grid.set(xscale="log", yscale="log")
    convergence.figure(
        grid,
        "The noise in a batch's gradient, drawn and by theory, and the signal in it: the gradient "
        "of all samples. They cross at the noise scale, beyond which larger batches buy little.",
    )


# ---- the best learning rate for each


@pytest.mark.parametrize("batch_size", SIZES)
def test_best_rate(convergence: Convergence, workload: Workload, batch_size: int | str) -> None:
    """The best rate rises with the batch size, and at its own best rate a larger batch wins."""
    by_rate = convergence.sweep(workload, learning_rate=RATES, batch_size=batch_size, steps=200)
    losses = {rate: runs.mean_log_loss().median() for rate, runs in by_rate.items()}
    best = min(losses, key=losses.__getitem__)
    assert RATES[0] < best < RATES[-1], f"{best} is the edge of the grid: the optimum may lie beyond"
    assert best in {1: [0.06], 4: [0.06, 0.2], 32: [0.2, 0.6], 100: [0.6], "full": [0.6]}[batch_size]
    assert losses[best] <= {1: 0.7, 4: 0.4, 32: -0.2, 100: -0.5, "full": -1}[batch_size]


# ---- a similar model, another task

OTHERS = {
    ("digits_cnn", 4): 1.4,
    ("digits_cnn", 100): 0.8,
    ("diabetes", 4): 0.5,
    ("diabetes", 32): 0.48,
    ("diabetes", "full"): 0.46,
}


@pytest.mark.parametrize(("task", "batch_size"), OTHERS)
def test_other_tasks(convergence: Convergence, task: str, batch_size: int | str) -> None:
    """A convolutional network and a regression say the same: after equal updates, larger is lower."""
    rate, steps = {"digits_cnn": (0.1, 150), "diabetes": (0.02, 250)}[task]
    network = getattr(workloads, task)()
    runs = convergence(network, learning_rate=rate, batch_size=batch_size, steps=steps)
    assert not runs.failed.any()
    assert runs.final("loss").median() <= OTHERS[task, batch_size]


# ---- what the tests above are made of


def gradient_after(workload: Workload, updates: int) -> Callable[[Samples], torch.Tensor]:
    """Return the gradient, as a function of the samples, at the weights after some updates."""
    experiment = Experiment(workload, learning_rate=0.1, batch_size=32, steps=updates or 1)
    loss = workload.loss.build()
    with seeded(0):
        model = workload.build()
        model.compile(optimizer=experiment.optimizer.build(), loss=loss)
        for batch in islice(experiment.batches(seed=0), updates):
            model.train_on_batch(batch.x, batch.y)
    weights = [variable.value for variable in model.trainable_variables]

    def gradient(samples: Samples) -> torch.Tensor:
        value = keras.ops.mean(loss(samples.y, model(samples.x)))
        return torch.cat([part.flatten() for part in torch.autograd.grad(value, weights)])

    return gradient


def square(vector: torch.Tensor) -> float:
    """Return a vector's squared length."""
    return float(vector.square().sum())


DISCUSSION = """
TODO
"""
