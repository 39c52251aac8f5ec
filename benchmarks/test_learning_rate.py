r"""
# Learning rates

How far should one update go? Gradient descent knows the slope and not the curve. From the weights
$\theta_k$ it goes against the gradient, as far as the *learning rate* $\eta$ says:

$$\theta_{k+1} = \theta_k - \eta \nabla L(\theta_k)$$

## Where everything is known

Linear regression has a quadratic loss. Along each eigenvector of its Hessian, of eigenvalue
$\lambda_i$, every update multiplies the distance $c_i$ to the minimum by $1 - \eta \lambda_i$. So the
whole curve is known before the training begins:

$$L_k - L^* = \frac{1}{2} \sum_i \lambda_i c_i^2 (1 - \eta \lambda_i)^{2k}$$

(Goh 2017, "Why momentum really works", *Distill*.) One number divides what can happen:

- $\eta$ far below $1 / \lambda_{\max}$: every direction shrinks smoothly, and slowly. A tenth of the
  rate takes ten times the updates.
- $\eta$ between $1 / \lambda_{\max}$ and $2 / \lambda_{\max}$: the steepest direction overshoots at
  every update, and shrinks all the same.
- $\eta$ above $2 / \lambda_{\max}$: that one direction grows without bound, and with it the loss.

Keras' mean squared error over $n$ samples has the Hessian $\frac{2}{n} X^T X$, where $X$ has a column
of ones for the bias. So the limit can be computed, and the first test below holds Keras to it.

## Where it is not

The loss of a network is no quadratic: its curvature changes on the way. Just above the limit the
weights may leap to a flatter place and train on (Lewkowycz et al. 2020, arXiv 2003.02218). With full
batches, training even seeks the limit out: $\lambda_{\max}$ rises until it hovers just above
$2 / \eta$, the *edge of stability* (Cohen et al. 2021, arXiv 2103.00065, section 3). Far above it
units saturate or die, and one constant is put out for every sample. The regimes remain, their borders
blur. They have to be measured: six rates, five decades, plain gradient descent without momentum.
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
    samples = np.asarray(regression.data.train.x, dtype=float)
    inputs = np.column_stack([samples, np.ones(len(samples))])
    curvature, directions = np.linalg.eigh(2 / len(inputs) * inputs.T @ inputs)
    rate = share_of_limit * 2 / curvature.max()
    runs = convergence(regression, learning_rate=rate, batch_size="full", steps=50)
    optimum, squares, *_ = np.linalg.lstsq(inputs, regression.data.train.y.astype(float))
    shrinking = (1 - rate * curvature) ** (2 * runs.points[:, None])
    for seed, curve in zip(runs.seeds, runs.curves["loss"], strict=True):
        with seeded(seed):
            kernel, bias = regression.build().get_weights()
        distance = directions.T @ (np.append(kernel, bias) - optimum)
        formula = squares / len(inputs) + shrinking @ (curvature * distance**2) / 2
        np.testing.assert_allclose(curve, formula, rtol=1e-3)  # single precision, 50 updates
    assert runs.diverged.all() if share_of_limit > 1 else not runs.diverged.any()


# ---- a network: six rates, five decades

EXPECTED = {
    # learning rate: the regimes that occur, and the share of the loss that is left at the end
    10.0: ({"diverged", "stalled"}, 1.0, np.inf),  # 100 other seeds, 3,000 draws of 16: from 5.98
    1.0: ({"diverged", "stalled", "slow"}, 0.3, 1.2),  # 0.67 to 0.98
    0.1: ({"converged"}, 0.0, 0.08),  # 0.051 to 0.064
    0.01: ({"slow"}, 0.55, 0.82),  # 0.62 to 0.74
    0.001: ({"slow", "stalled"}, 0.92, 0.98),  # 0.949 to 0.972
    0.0001: ({"slow", "stalled"}, 0.985, 1.0),  # 0.993 to 0.997
}


@pytest.mark.parametrize("learning_rate", EXPECTED)
def test_learning_rate(convergence: Convergence, workload: Workload, learning_rate: float) -> None:
    """Far too large fails, too large wavers, right converges, small crawls, tiny stands still."""
    runs = convergence(workload, learning_rate=learning_rate, epochs=10)
    regimes, least, most = EXPECTED[learning_rate]
    assert set(runs.regimes) <= regimes
    assert least <= (runs.final("loss") / runs.at("loss", 0)).median() <= most
    assert (runs.oscillation("loss").median() >= 0.2) == (learning_rate >= 1)  # 0.43, else 0.016


def test_small_rates_take_one_path(convergence: Convergence, workload: Workload) -> None:
    """A tenth of a small rate takes ten times the updates, to the same place."""
    large = convergence(workload, learning_rate=0.01, steps=45, name="45 updates at 0.01")
    small = convergence(workload, learning_rate=0.001, steps=450, name="450 updates at 0.001")
    apart = (large.final("loss") / small.final("loss") - 1).abs()  # seed by seed
    assert apart.max() <= 0.005  # 100 other seeds: 0.0008


def test_sensitivity(convergence: Convergence, workload: Workload) -> None:
    """A third of the best rate costs updates; three times the best rate costs the training."""
    rates = [0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]
    by_rate = convergence.sweep(workload, learning_rate=rates, epochs=10)
    losses = [by_rate[rate].mean_log_loss().median() for rate in rates]
    best = losses.index(min(losses))
    assert 0 < best < len(rates) - 1, (
        f"the best rate {rates[best]} is an edge of the grid: extend it"
    )
    assert (by_rate[rates[best - 1]].regimes == "converged").mean() >= 0.9  # 100 of 100 other seeds
    assert (by_rate[rates[best + 1]].regimes == "converged").mean() <= 0.1  # 0 of 100


# ---- a similar model, another task

OTHERS = {
    ("digits_cnn", 3.0): "fails",
    ("digits_cnn", 0.3): "converges",
    ("digits_cnn", 0.003): "crawls",
    ("diabetes", 1.0): "fails",
    ("diabetes", 0.03): "converges",
    ("diabetes", 0.001): "crawls",
}


@pytest.mark.convergence(quick=False)
@pytest.mark.parametrize(("task", "learning_rate"), OTHERS)
def test_other_tasks(convergence: Convergence, task: str, learning_rate: float) -> None:
    """A convolutional network and a regression have the same regimes, at rates of their own."""
    runs = convergence(getattr(workloads, task)(), learning_rate=learning_rate, steps=150)
    converged = (runs.regimes == "converged").mean()
    if OTHERS[task, learning_rate] == "converges":
        assert (
            converged >= 0.5
        )  # 100 other seeds: 0.90 of the convolutional network, 1 of the other
    else:
        assert converged == 0
        assert runs.failed.all() == (OTHERS[task, learning_rate] == "fails")


DISCUSSION = """
**The limit is exact where the loss is a quadratic.** Five per cent below $2 / \\lambda_{\\max}$ linear
regression converges from every seed, five per cent above it diverges from every seed, and at every
point in between the loss is what the formula says, to the precision of single floats. Nothing about
divergence is a matter of luck here: it is a matter of one eigenvalue.

**A network keeps the regimes and loses the border.** The largest rate fails from the start: the loss
ends far above where it began, or the output is the same for every sample. One decade below, the same
network still moves, but its loss goes up nearly as often as down, and whether a run has failed by the
end depends on its seed: near the limit a single run proves nothing. One decade further down all seeds
reach the target. Below that the curves are smooth, and merely late.

**Small rates are one training at different speeds.** Ten times the updates at a tenth of the rate lead
to the same loss, seed by seed: both follow the same path, gradient flow, in steps that are short
against its bends. What looks like a worse optimum at a small rate is an unfinished training, and the
cure for it is patience.

**The sensitivity curve has a slope on one side and a cliff on the other.** The best rate stands close
to the edge. A third of it costs some updates; three times as much costs everything. If a rate cannot
be tuned, err on the small side; if it is tuned, look at more than one seed before believing in the
last factor of two. A warm-up or a decaying schedule exists to walk along this edge without falling.

**The regimes carry over, the rates do not.** The convolutional network and the regression fail,
converge and crawl as well, at rates up to ten times apart: the limit is set by the curvature, which
is the model's and the data's. Which momentum, Adam and others change about it is the matter of the
analysis of optimizers. On a model of your own:

    pytest benchmarks/test_learning_rate.py --dlbench-workload=my_workload.py:workload
"""
