r"""
# Batch sizes

How many samples should one update see? Stochastic gradient descent replaces the gradient $G$ of the
loss over all $N$ training samples by $g_B$, that over a *batch* of $B$ of them. One pass over the
data, an *epoch*, then makes

$$\lceil N / B \rceil$$

updates: many rough ones from small batches, a single exact one from the full set.

## How rough

A batch that is drawn without replacement is right on average, and off by

$$E \lVert g_B - G \rVert^2 = \frac{\mathrm{tr}\, \Sigma}{B} \cdot \frac{N - B}{N - 1}$$

where $\Sigma$ is the covariance of the gradients of single samples (McCandlish et al. 2018, arXiv
1812.06162, section 2.2; the last factor is that of a finite population, Cochran 1977, *Sampling
techniques*, chapter 2). The noise falls as $1 / B$. It drowns the signal where $B$ is below the
*noise scale* $\mathrm{tr}\, \Sigma / \lVert G \rVert^2$: there, twice the batch saves nearly half
of the updates. Far above it, twice the batch saves none.

## Why a fixed learning rate compares learning rates

Noise limits the step. On a quadratic loss the best learning rate is

$$\eta(B) = \frac{\eta_{\max}}{1 + B_{\mathrm{noise}} / B}$$

(McCandlish et al. 2018, section 2.2): in proportion to small batches, constant for large ones. So
whoever compares batch sizes at one rate compares how well that rate suits each. Shallue et al. 2019
("Measuring the effects of data parallelism on neural network training", JMLR 20) trained 168,160
models to show that most of the quarrel over batch sizes comes from there. Tune each batch size for
itself, and do not count an optimum at the edge of its grid. Both comparisons stand below: at one
rate for all, and at the best rate of each.

## What a batch size costs and saves

Let batches of $B$ at their best rate take $S$ updates to a target, and so $E = SB$ samples. Then

$$\left( \frac{S}{S_{\min}} - 1 \right) \left( \frac{E}{E_{\min}} - 1 \right) = 1$$

(McCandlish et al. 2018, section 2.3), which is the same as $S = S_{\min} + E_{\min} / B$ and
$E = E_{\min} + S_{\min} B$. Small batches cost the fewest samples, large ones the fewest updates. Both
are twice their least at the *critical batch size*

$$B_{\mathrm{crit}} = \frac{E_{\min}}{S_{\min}}$$

It should be about the noise scale, averaged over the training. That is a prediction, since the one is
measured from trainings to a target and the other from gradients alone. The hyperbola holds for a
quadratic loss whose noise is the same everywhere. For a network it is a model, and is tested below.
"""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pandas as pd
import pytest
import seaborn as sns
import torch

from dlbench import Experiment, Workload, workloads
from dlbench.backend import seeded
from dlbench.engines import train_sweep
from dlbench.theory import tradeoff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dlbench.data import Samples
    from dlbench.plugin.fixtures import Convergence
    from dlbench.runs import Runs
    from dlbench.theory.tradeoff import TradeOff


SIZES = [1, 4, 32, 100, pytest.param("full", marks=pytest.mark.convergence(quick=False))]

# ---- one learning rate for all

FIXED: dict[int | str, tuple[float, float, float]] = {
    # batch size: the final loss is at most, the share of its movement that goes up is from, to
    1: (2.0, 0.2, 0.55),  # 100 other seeds, 3,000 draws of 16: at most 1.23, from 0.33 to 0.42
    4: (0.4, 0.05, 0.4),  # 0.23, 0.10 to 0.27
    32: (0.08, 0.0, 0.05),  # 0.063, 0 to 0.011
    100: (0.065, 0.0, 0.05),  # 0.053, 0 to 0.002
    "full": (0.065, 0.0, 0.05),  # 40 other seeds: 0.051, 0 to 0
}


@pytest.mark.parametrize("batch_size", SIZES)
def test_fixed_rate(convergence: Convergence, workload: Workload, batch_size: int | str) -> None:
    """At one rate and for equally many updates, larger batches end lower and get there smoothly."""
    runs = convergence(
        workload, learning_rate=0.1, batch_size=batch_size, steps=1000, seeds=seeds(batch_size)
    )
    samples = len(workload.data.train)
    size = samples if batch_size == "full" else int(batch_size)
    assert runs.experiment["updates_per_epoch"] == math.ceil(samples / size)
    highest, smoothest, roughest = FIXED[batch_size]
    assert runs.final("loss").median() <= highest
    assert smoothest <= runs.oscillation("loss").median() <= roughest
    converged = (runs.regimes == "converged").mean()
    # Of 1,000 other seeds none converges at 1, all but 7 at 4, all at 32 and 100.
    assert converged == 0 if batch_size == 1 else converged >= 0.85


# ---- how rough a batch is


@pytest.mark.convergence(quick=False)
def test_gradient_noise(convergence: Convergence, workload: Workload) -> None:
    """The gradients of drawn batches are as far from that of the whole set as theory says."""
    samples, generator = workload.data.train.take(slice(0, 400)), np.random.default_rng(0)
    count, rows = len(samples), []
    for stage, updates in {"before training": 0, "after 300 updates": 300}.items():
        gradient = gradient_after(workload, updates)
        whole = gradient(samples)
        alone = [gradient(samples.take(slice(row, row + 1))) for row in range(count)]
        trace = mean_square(one - whole for one in alone)
        for size in (1, 4, 32, 100, count):
            draws = 500 if size < count else 1  # there is but one batch of all samples
            batches = [generator.choice(count, size, replace=False) for _ in range(draws)]
            drawn = mean_square(gradient(samples.take(batch)) - whole for batch in batches)
            theory = trace / size * (count - size) / (count - 1)
            # From 15 other seeds: 0.26 apart for single samples, 0.16 for 4, 0.06 for 32 and 100.
            assert drawn == pytest.approx(theory, rel=0.3, abs=1e-6 * trace)
            rows.append((stage, size, drawn, theory, mean_square([whole])))
    convergence.figure(
        draw_noise(rows[:4] + rows[5:-1]),
        "The noise in the gradient of a batch, from 500 drawn batches and from theory, and the "
        "signal: the squared length of the gradient of all samples. They cross at the noise scale.",
    )


# ---- the best learning rate for each, and what is then left of the difference

RATES = [0.006, 0.02, 0.06, 0.2, 0.6, 2.0]
BEST: dict[int | str, tuple[int, set[float], float]] = {
    # batch size: how many updates it is given, the rates that win, the updates to the target there
    1: (3000, {0.02, 0.06}, 3000),  # 96 other seeds, 3,000 draws of 8: at most 2,796; 0.06 won 431
    4: (900, {0.06, 0.2}, 880),  # 786; 0.2 won 1,034 times
    10: (450, {0.2}, 430),  # 366
    32: (250, {0.2, 0.6}, 210),  # 174; 0.6 won 487 times
    100: (160, {0.2, 0.6}, 130),  # 112; 0.2 won 6 times
    "full": (100, {0.6}, 95),  # 40 other seeds: 80
}
TUNED: dict[tuple[Workload, int | str], dict[float, Runs]] = {}
"""What each batch size was trained to, for the test that looks at all of them."""


@pytest.mark.parametrize("batch_size", [*SIZES[:2], 10, *SIZES[2:]])
def test_best_rate(convergence: Convergence, workload: Workload, batch_size: int | str) -> None:
    """The best rate rises with the batch size, and at its best rate each one reaches the target."""
    by_rate = convergence.sweep(workload, **tuning(batch_size))
    TUNED[workload, batch_size] = by_rate
    rates = list(by_rate)
    best = best_of(by_rate)
    assert rates[0] < best < rates[-1], f"the best rate {best} is an edge of the grid: extend it"
    _, winners, most = BEST[batch_size]
    assert best in winners
    assert cost(by_rate[best])[0] <= most


@pytest.mark.convergence(quick=False)
def test_critical_batch_size(convergence: Convergence, workload: Workload) -> None:
    """Updates and samples to the target lie on a hyperbola, which bends at the noise scale."""
    noisy = convergence(
        workload, learning_rate=0.2, batch_size=32, steps=150, seeds=8, probes=["noise_scale"]
    )
    scale = mean_noise_scale(noisy)
    samples = len(workload.data.train)
    sizes, updates, budgets = [], [], []
    for batch_size in BEST:
        # Trained here only where its own test was left out, or ran in another process.
        by_rate = TUNED.get((workload, batch_size)) or trained(workload, batch_size)
        steps = by_rate[best_of(by_rate)].steps_to_target()
        assert steps is not None, "a workload without a target cannot say when it is reached"
        sizes.append(samples if batch_size == "full" else int(batch_size))
        updates.append(steps.to_numpy())
        budgets.append(BEST[batch_size][0])
    medians = [np.median(steps) for steps in updates]
    fit = tradeoff.fit(sizes, updates, budgets)
    assert np.isfinite(fit.critical_batch_size), f"the target was reached too seldom: {medians}"
    spread = [one.critical_batch_size for one in tradeoff.resampled(sizes, updates, budgets)]
    low, high = np.quantile(spread, [0.025, 0.975])
    convergence.figure(
        draw_trade_off(sizes, medians, fit, scale, (low, high)),
        f"Updates and samples to the target at each batch size's best rate: dots are medians over "
        f"seeds, lines the fitted hyperbola. Critical batch size {fit.critical_batch_size:.0f} "
        f"({low:.0f} to {high:.0f} at 95 %, dotted), noise scale {scale:.0f} (dashed).",
    )
    assert np.isfinite(medians).all(), f"a batch size did not reach the target: {medians}"
    assert (np.diff(medians) < 0).all()  # 96 other seeds, 3,000 draws of 8: 99 % of them
    assert medians[-1] * sizes[-1] > 10 * medians[0] * sizes[0]  # 25
    misfit = np.abs(np.log(medians / fit.updates(sizes))).max()
    assert misfit <= np.log(1.6)  # at most 1.5; 1.15 in the middle
    assert 15 <= fit.critical_batch_size <= 65  # 20 to 48; 32 in the middle
    assert 0.4 <= scale / fit.critical_batch_size <= 2.5


# ---- a similar model, another task

OTHERS: dict[tuple[str, int | str], float] = {
    # the final loss is at most
    ("digits_cnn", 4): 2.15,  # 96 other seeds, 3,000 draws of 8: 2.04
    ("digits_cnn", 100): 1.55,  # 1.40
    ("diabetes", 4): 0.53,  # 100 other seeds, 3,000 draws of 16: 0.495
    ("diabetes", 32): 0.48,  # 0.462
    ("diabetes", "full"): 0.465,  # 40 other seeds: 0.449
}


@pytest.mark.convergence(quick=False)
@pytest.mark.parametrize(("task", "batch_size"), OTHERS)
def test_other_tasks(convergence: Convergence, task: str, batch_size: int | str) -> None:
    """A convolutional network and a regression agree: after equal updates, larger is lower."""
    rate, steps, count = {"digits_cnn": (0.1, 100, 8), "diabetes": (0.02, 250, None)}[task]
    network = getattr(workloads, task)()
    runs = convergence(network, learning_rate=rate, batch_size=batch_size, steps=steps, seeds=count)
    assert not runs.failed.any()
    assert runs.final("loss").median() <= OTHERS[task, batch_size]


# ---- what the tests above are made of


def tuning(batch_size: int | str) -> dict[str, Any]:
    """Return how the best rate of a batch size is looked for: so long that the target is reached."""
    full = batch_size == "full"
    return {
        "learning_rate": RATES[2:] if full else RATES,  # its best rate is high, and each is dear
        "batch_size": batch_size,
        "steps": BEST[batch_size][0],
        "seeds": seeds(batch_size) or 8,
    }


def trained(workload: Workload, batch_size: int | str) -> dict[float, Runs]:
    """Return the runs by rate that `test_best_rate` records."""
    how = tuning(batch_size)
    rates = how.pop("learning_rate")
    of = [Experiment(workload, learning_rate=rate, **how) for rate in rates]
    return dict(zip(rates, train_sweep(of), strict=True))


def best_of(by_rate: dict[float, Runs]) -> float:
    """Return the rate that costs the least."""
    return min(by_rate, key=lambda rate: cost(by_rate[rate]))


def cost(runs: Runs) -> tuple[float, float]:
    """Return by what rates are compared: updates to the target, then the loss over the run."""
    steps = runs.steps_to_target()
    return math.inf if steps is None else steps.median(), runs.mean_log_loss().median()


def seeds(batch_size: int | str) -> int | None:
    """Return 5 seeds for a full batch, which costs as much as all others together; else the usual."""
    return 5 if batch_size == "full" else None


def gradient_after(workload: Workload, updates: int) -> Callable[[Samples], torch.Tensor]:
    """Return the gradient, as a function of the samples, at the weights after some updates."""
    experiment = Experiment(workload, learning_rate=0.1, batch_size=32, steps=max(1, updates))
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


def mean_square(vectors: Iterable[torch.Tensor]) -> float:
    """Return the mean squared length of some vectors."""
    return float(np.mean([float(vector.square().sum()) for vector in vectors]))


def mean_noise_scale(runs: Runs) -> float:
    """Return the noise scale, in samples: over the seeds apart, then on average over the updates."""
    signal, noise = (
        runs.curves[f"probe_gradient_{name}"].mean(axis=0) for name in ("signal", "noise")
    )
    scale = noise / signal
    between = (scale[1:] + scale[:-1]) / 2
    return float(between @ np.diff(runs.points) / runs.points[-1])


def draw_noise(rows: list[tuple[str, int, float, float, float]]) -> sns.FacetGrid:
    """Draw noise and signal against the batch size, a panel a stage of training."""
    kinds = ["noise, drawn", "noise, theory", "signal"]
    wide = pd.DataFrame(rows, columns=["stage", "batch size", *kinds])
    lines = wide.melt(["stage", "batch size"], var_name="of", value_name="squared length")
    grid = sns.relplot(
        lines, x="batch size", y="squared length", col="stage", hue="of", style="of", kind="line",
        markers=True, palette="colorblind", height=3, aspect=1.3,
    )  # fmt: skip
    return grid.set(xscale="log", yscale="log").set_titles("{col_name}")


def draw_trade_off(
    sizes: list[int],
    medians: list[Any],
    fit: TradeOff,
    scale: float,
    interval: tuple[float, float],
) -> sns.FacetGrid:
    """Draw updates and samples to the target against the batch size, fitted and measured."""
    kinds = {
        "updates": (fit.updates, np.array(medians)),
        "samples": (fit.samples, np.array(medians) * sizes),
    }
    along = np.geomspace(min(sizes), max(sizes), 100)
    frame = pd.concat(
        pd.DataFrame({"batch size": along, "to the target": curve(along), "of": kind})
        for kind, (curve, _) in kinds.items()
    )
    grid = sns.relplot(
        frame, x="batch size", y="to the target", col="of", kind="line", height=3, aspect=1.3,
        color="black", facet_kws={"sharey": False},
    )  # fmt: skip
    for kind, axes in grid.axes_dict.items():
        axes.scatter(sizes, kinds[kind][1], zorder=3)
        axes.axvspan(*interval, color="0.9", zorder=0)
        axes.axvline(fit.critical_batch_size, color="black", linestyle=":")
        axes.axvline(scale, color="tab:orange", linestyle="--")
        axes.set_ylabel(f"{kind} to the target")
    return grid.set(xscale="log", yscale="log").set_titles("")


DISCUSSION = """
**Per update, larger is better, up to a point.** At one rate, batches of one waver and never reach the
target in the updates they are given; batches of four reach it late; those of 32, 100 and all samples
can hardly be told apart. The picture of the noise says why: from about the noise scale on, the
gradient of a batch is mostly signal, and making it exacter changes nothing. The full set pays for
every update with a whole epoch and gets no more for it than a batch of 100.

**Per sample, smaller is better, down to a point.** Read the same curves against epochs and the order
turns round: where the full set has made one update, batches of four have made dozens or hundreds. The
smallest number of samples to the target belongs to a batch well below the noise scale, yet not to a
batch of one at a rate that is too large for it. A batch size pays in one currency for a gain in the
other (McCandlish et al. 2018, section 2.3).

**The fixed rate was not fair.** Tuned for itself, each batch size wants its own rate, and it rises
with the batch as theory has it: steeply while batches are small, little from the noise scale on. At the
rate that suits the full set, a batch of one does not train at all. At their best rates all of them reach
the target. Larger batches still need fewer updates, and now even the step from 100 to all samples pays,
since less noise allows a longer step. It pays little, though: many times the samples, to save a part of
the updates.

**The bend is where the gradients say.** Over three decades of batch sizes the updates to the target lie
near a curve of two numbers. Far below the critical batch size, twice the batch saves half of the updates
and costs hardly a sample; far above it, twice the batch costs twice the samples and saves next to
nothing. The noise scale, read from gradients along runs at one batch size and one rate, foretells that
size: the figure has both, and the interval that chance between seeds leaves. So useful batch sizes can be
told before they are tried. Do not expect it to be exact. The noise scale changes several-fold on the way
from the first weights to the target, and the average over the updates is one of several that could be
taken. Shallue et al. 2019 found the bend in every workload, at very different batch sizes.

**What it costs in seconds is another matter.** A small batch leaves a processor idle: an update on a
hundred samples takes hardly longer than one on a single sample, so the samples per second rise nearly
in proportion until the hardware is full. The batch that is fastest by the clock is therefore larger
than the one that needs the fewest samples. How large depends on the machine, as the noise does not.

**It carries over.** The convolutional network and the regression, with its few hundred samples, show
the same order after equal updates, and a smaller spread between batch sizes where the data are noisy
themselves. On the shipped regression, and on a model of your own:

    pytest benchmarks/test_batch_size.py --dlbench-workload=dlbench.workloads:diabetes
    pytest benchmarks/test_batch_size.py --dlbench-workload=my_workload.py:workload

The bounds are then shown, not enforced. One of them asks that the best rate lies inside the grid: for
the regression at a batch of one it does not, and a comparison would be worth nothing there before the
grid is extended.
"""
