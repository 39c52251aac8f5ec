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
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest
import torch

from dlbench.backend import seeded

if TYPE_CHECKING:
    from dlbench import Workload
    from dlbench.plugin.fixtures import Convergence

SIZES = [1, 4, 32, 100, "full"]
RATES = [0.02, 0.06, 0.2, 0.6, 2.0]


# ---- one learning rate for all


@pytest.mark.parametrize("batch_size", SIZES)
def test_fixed_rate(convergence: Convergence, workload: Workload, batch_size: int | str) -> None:
    """At one rate and equally many updates, more samples an update end lower, and more smoothly."""
    runs = convergence(workload, learning_rate=0.1, batch_size=batch_size, steps=1500)
    samples = len(workload.data.train)
    size = samples if batch_size == "full" else int(batch_size)
    assert runs.experiment["updates_per_epoch"] == math.ceil(samples / size)
    print(
        batch_size,
        dict(runs.regimes.value_counts()),
        runs.final("loss").describe(),
        runs.oscillation().describe(),
        runs.steps_to_target().describe(),
    )


# ---- how rough a batch is


def test_gradient_noise(convergence: Convergence, workload: Workload) -> None:
    """The gradients of drawn batches are as far from the whole set's as theory says."""
    samples, draw = workload.data.train.take(slice(0, 400)), np.random.default_rng(0)
    count, rows = len(samples), []
    for stage, updates in (("at the start", 0), ("after training", 300)):
        gradient = gradient_of(workload, updates)
        whole = gradient(samples)
        ones = [gradient(samples.take(slice(i, i + 1))) for i in range(count)]
        trace = np.mean([square(one - whole) for one in ones])
        for size in (1, 4, 32, 100, count):
            batches = [draw.choice(count, size, replace=False) for _ in range(100)]
            noise = np.mean([square(gradient(samples.take(rows)) - whole) for rows in batches])
            expected = trace / size * (count - size) / (count - 1)
            print(stage, size, noise, expected, noise / max(expected, 1e-30), trace / square(whole))


# ---- the best learning rate for each


@pytest.mark.parametrize("batch_size", SIZES)
def test_best_rate(convergence: Convergence, workload: Workload, batch_size: int | str) -> None:
    """At its own best rate, which rises with it, a larger batch needs fewer updates."""
    by_rate = convergence.sweep(workload, learning_rate=RATES, batch_size=batch_size, steps=300)
    for r, runs in by_rate.items():
        print(
            batch_size,
            r,
            dict(runs.regimes.value_counts()),
            runs.mean_log_loss().describe()[["min", "50%", "max"]].tolist(),
            runs.steps_to_target().describe()[["min", "50%", "max"]].tolist(),
        )


def gradient_of(workload: Workload, updates: int) -> Any:
    with seeded(0):
        model = workload.build()
        model.compile(optimizer="sgd", loss=workload.loss.build())
    x, y = workload.data.train.x, workload.data.train.y
    loss = workload.loss.build()
    for i in range(updates):
        b = workload.data.train.take(np.random.default_rng(i).choice(len(y), 32))
        model.optimizer.learning_rate = 0.1
        model.train_on_batch(b.x, b.y)
    values = [variable.value for variable in model.trainable_variables]

    def gradient(batch: Any) -> torch.Tensor:
        total = keras.ops.mean(loss(batch.y, model(batch.x)))
        return torch.cat([part.flatten() for part in torch.autograd.grad(total, values)])

    return gradient


def square(vector: torch.Tensor) -> float:
    return float((vector**2).sum())
