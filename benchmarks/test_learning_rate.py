r"""# Learning rates: how far should one update go?

Gradient descent knows the slope and not the curve. From weights $\theta$ it goes against the gradient
of the loss, a distance that the *learning rate* $\eta$ sets:

$$\theta_{k+1} = \theta_k - \eta \nabla L(\theta_k)$$

## Where everything is known: a quadratic

Linear regression has a quadratic loss. Along each eigenvector of its Hessian $H$, with eigenvalue
$\lambda_i$, the distance $c_i$ to the minimum is multiplied by $1 - \eta \lambda_i$ in every update:

$$L_k - L^* = \frac{1}{2} \sum_i \lambda_i c_i^2 (1 - \eta \lambda_i)^{2k}$$

(Goh 2017, "Why momentum really works", Distill, "First steps: gradient descent"). Three regimes
follow, and one number divides them:

- $\eta \ll 1 / \lambda_{\max}$: every direction shrinks smoothly, and slowly. Ten times smaller means
  ten times longer.
- $1 / \lambda_{\max} < \eta < 2 / \lambda_{\max}$: the steepest direction overshoots at every update,
  and still shrinks.
- $\eta > 2 / \lambda_{\max}$: it grows without bound. The loss is as good as before in every other
  direction, and lost.

Keras' mean squared error over $n$ samples has $H = \frac{2}{n} X^T X$, with a column of ones in $X$
for the bias.

## Where it is not

A network's loss is no quadratic: its curvature changes on the way. Just above the limit the weights
may leap to a flatter place and train on (Lewkowycz et al. 2020, arXiv 2003.02218); with full batches
training even seeks the limit out, until $\lambda_{\max}$ hovers just above $2 / \eta$: the *edge of
stability* (Cohen et al. 2021, arXiv 2103.00065). Far above it the activations saturate or die, and
the output is one constant for all. So the regimes remain, their borders blur, and they have to be
measured: six rates, five decades, plain gradient descent without momentum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from dlbench import Workload, workloads
from dlbench.backend import seeded

if TYPE_CHECKING:
    from dlbench.plugin.fixtures import Convergence

# ---- a quadratic: every curve is known beforehand


@pytest.mark.parametrize("share_of_limit", [0.1, 0.6, 0.95, 1.05, 1.5])
def test_stability_limit(convergence: Convergence, share_of_limit: float) -> None:
    """Linear regression follows the formula at every point, and diverges above the limit only."""
    regression = workloads.diabetes(depth=0)
    inputs, labels = np.float64(regression.data.train.x), np.float64(regression.data.train.y)
    inputs = np.column_stack([inputs, np.ones(len(inputs))])
    curvature, directions = np.linalg.eigh(2 / len(inputs) * inputs.T @ inputs)
    rate = share_of_limit * 2 / curvature.max()
    runs = convergence(regression, learning_rate=rate, batch_size="full", steps=50)
    optimum, squares, *_ = np.linalg.lstsq(inputs, labels)
    shrinking = (1 - rate * curvature) ** (2 * runs.points[:, None])
    for seed, curve in zip(runs.seeds, runs.curves["loss"], strict=True):
        with seeded(seed):
            kernel, bias = regression.build().get_weights()
        away = directions.T @ (np.append(kernel, bias) - optimum)
        formula = squares / len(inputs) + shrinking @ (curvature * away**2) / 2
        np.testing.assert_allclose(curve, formula, rtol=1e-3)
    assert runs.diverged.all() if share_of_limit > 1 else not runs.diverged.any()


# ---- a network: six rates, five decades

EXPECTED = {
    # learning rate: the regimes that occur, and the share of the loss that is left at the end
    10.0: ({"diverged", "stalled"}, 1.0, np.inf),
    1.0: ({"diverged", "stalled", "slow"}, 0.4, 1.2),
    0.1: ({"converged"}, 0.0, 0.1),
    0.01: ({"slow"}, 0.5, 0.8),
    0.001: ({"slow", "stalled"}, 0.9, 0.98),
    0.0001: ({"slow", "stalled"}, 0.99, 1.0),
}


@pytest.mark.parametrize("learning_rate", EXPECTED)
def test_learning_rate(convergence: Convergence, workload: Workload, learning_rate: float) -> None:
    """Far too large fails, too large wavers, right converges, small crawls, tiny stands still."""
    runs = convergence(workload, learning_rate=learning_rate, epochs=10)
    regimes, least, most = EXPECTED[learning_rate]
    assert set(runs.regimes) <= regimes
    assert least <= (runs.final("loss") / runs.at("loss", 0)).median() <= most
    assert (runs.oscillation("loss").median() >= 0.2) == (learning_rate >= 1)


def test_small_rates_take_one_path(convergence: Convergence, workload: Workload) -> None:
    """A tenth of a small rate takes ten times the updates to come to the same place."""
    large = convergence(workload, learning_rate=0.01, steps=45, name="45 updates")
    small = convergence(workload, learning_rate=0.001, steps=450, name="450 updates")
    assert abs(large.final("loss") / small.final("loss") - 1).max() <= 0.01


def test_sensitivity(convergence: Convergence, workload: Workload) -> None:
    """Three times below the best rate costs updates; three times above it costs the training."""
    rates = [0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]
    by_rate = convergence.sweep(workload, learning_rate=rates, epochs=10)
    losses = [by_rate[rate].mean_log_loss().median() for rate in rates]
    best = losses.index(min(losses))
    assert 0 < best < len(rates) - 1, f"{rates[best]} is the edge of the grid: extend it"
    below, above = by_rate[rates[best - 1]], by_rate[rates[best + 1]]
    assert (below.regimes == "converged").mean() >= 0.9
    assert (above.regimes == "converged").mean() <= 0.1


# ---- a similar model, another task

OTHERS = {
    ("digits_cnn", 3.0): "fails",
    ("digits_cnn", 0.3): "converges",
    ("digits_cnn", 0.003): "crawls",
    ("diabetes", 1.0): "fails",
    ("diabetes", 0.03): "converges",
    ("diabetes", 0.0001): "crawls",
}


@pytest.mark.parametrize(("task", "learning_rate"), OTHERS)
def test_other_tasks(convergence: Convergence, task: str, learning_rate: float) -> None:
    """A convolutional network and a regression have the same regimes, at rates of their own."""
    runs = convergence(getattr(workloads, task)(), learning_rate=learning_rate, steps=150)
    converged = (runs.regimes == "converged").mean()
    if OTHERS[task, learning_rate] == "converges":
        assert converged >= 0.7
    else:
        assert converged == 0
        assert runs.failed.all() == (OTHERS[task, learning_rate] == "fails")


DISCUSSION = """
TODO
"""
