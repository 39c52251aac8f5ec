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
of ones for the bias. So the limit can be computed, and the first test below holds Keras to it. With
momentum $\beta$ it is higher, with Nesterov's form of it lower:

$$\eta_{\text{momentum}} = \frac{2 (1 + \beta)}{\lambda_{\max}} \qquad
\eta_{\text{Nesterov}} = \frac{2 (1 + \beta)}{\lambda_{\max} (1 + 2 \beta)}$$

(Cohen et al. 2021, arXiv 2103.00065, equation 1.) Where no formula is at hand, a *range test* finds the
limit: train shortly from each of many rates, and take the largest that still trains (after Smith 2017,
arXiv 1506.01186, section 3.3). Here its answers can be checked, and are.

## Where it is not

The loss of a network is no quadratic: its curvature changes on the way. Just above the limit the
weights may leap to a flatter place and train on (Lewkowycz et al. 2020, arXiv 2003.02218). With full
batches, training even seeks the limit out: $\lambda_{\max}$ rises until it hovers just above
$2 / \eta$, the *edge of stability* (Cohen et al. 2021, arXiv 2103.00065, section 3). Far above it
units saturate or die, and one constant is put out for every sample. The regimes remain, their borders
blur.

So the sharpness before the first update, $\lambda_{\max}$ of the loss over the training set, predicts
what a rate will do only away from the limit:

| $\eta \lambda_{\max} / 2$ | prediction |
|---|---|
| below 0.5 | every run ends below where it began |
| 0.5 to 2 | none: the curvature of the place that is left says little about those that follow |
| above 2 | at least nine runs of ten fail: they diverge, or put out a constant |

The formula is of full batches. The noise of small ones lowers the limit (see the analysis of batch
sizes), so the prediction is made for batches of 32, whose noise is moderate, and from the median over
the seeds. All of it has to be measured: six rates, five decades, plain gradient descent without momentum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pandas as pd
import pytest
import seaborn as sns

from dlbench import Experiment, Workload, workloads
from dlbench.backend import seeded
from dlbench.engines import train, train_sweep
from dlbench.theory import descent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dlbench.plugin.fixtures import Convergence
    from dlbench.runs import Runs


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
    optimum, squares, *_ = np.linalg.lstsq(
        inputs, regression.data.train.y.astype(float), rcond=None
    )
    shrinking = (1 - rate * curvature) ** (2 * runs.points[:, None])
    for seed, curve in zip(runs.seeds, runs.curves["loss"], strict=True):
        with seeded(seed):
            kernel, bias = regression.build().get_weights()
        distance = directions.T @ (np.append(kernel, bias) - optimum)
        formula = squares / len(inputs) + shrinking @ (curvature * distance**2) / 2
        np.testing.assert_allclose(curve, formula, rtol=1e-3)  # single precision, 50 updates
    # 5 % above the limit 16 of 1,000 other seeds begin so near the bottom of the steepest direction
    # that 50 updates do not show; half above it all of them diverge.
    least = {1.05: 0.75, 1.5: 1}.get(share_of_limit)
    assert runs.diverged.mean() >= least if least else not runs.diverged.any()


FORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "momentum": {"momentum": 0.9},
    "Nesterov": {"momentum": 0.9, "nesterov": True},
}


@pytest.mark.convergence(quick=False)
def test_range_test(convergence: Convergence) -> None:
    """On linear regression a range test finds the formula's limit, to one step of its grid."""
    regression, rates = workloads.diabetes(depth=0), np.geomspace(0.1, 0.6, 37)
    curvature = sharpness(regression, (0,))[0]
    assert curvature == pytest.approx(largest_eigenvalue(regression), rel=1e-4)  # 3e-7 apart
    limits, frames = {}, []
    for form, options in FORMS.items():
        sgd = keras.optimizers.SGD(**options)
        tried = [
            Experiment(regression, optimizer=sgd, learning_rate=rate, batch_size="full", steps=100, seeds=1)
            for rate in rates.tolist()
        ]  # fmt: skip
        losses = np.stack([runs.curves["loss"] for runs in train_sweep(tried)])
        start, end = losses[0, :, 0], losses[:, :, -1]
        largest, failing = descent.range_test(rates, end, start)
        limits[form] = descent.stability_limit(curvature, **options)
        assert (largest < limits[form]).all()
        assert (limits[form] <= failing).all()
        left = np.median(end / start, axis=1)
        frames.append(pd.DataFrame({"learning rate": rates, "loss left": left, "form": form}))
    convergence.figure(
        draw_range_test(pd.concat(frames, ignore_index=True), limits),
        "The share of the loss that 100 full-batch updates leave of a linear regression, against the "
        "rate: dots are measured, dashed lines stand at the limit of the formula. Momentum is 0.9.",
    )


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
    # One of 1,000 other seeds converges at 1.0, and one is slow at 0.1.
    assert runs.regimes.isin(regimes).mean() >= (0.9 if learning_rate in {0.1, 1.0} else 1)
    assert least <= (runs.final("loss") / runs.at("loss", 0)).median() <= most
    assert (runs.oscillation("loss").median() >= 0.2) == (learning_rate >= 1)  # 0.43, else 0.016
    hold_to_prediction(runs, learning_rate * np.median(sharpness(workload, runs.seeds)) / 2)


def test_small_rates_take_one_path(convergence: Convergence, workload: Workload) -> None:
    """A tenth of a small rate takes ten times the updates, to the same place."""
    large = convergence(workload, learning_rate=0.01, steps=45, name="45 updates at 0.01")
    small = convergence(workload, learning_rate=0.001, steps=450, name="450 updates at 0.001")
    apart = (large.final("loss") / small.final("loss") - 1).abs()  # seed by seed
    assert apart.max() <= 0.005  # 100 other seeds: 0.0008


def test_sensitivity(convergence: Convergence, workload: Workload) -> None:
    """A third of the best rate costs updates; three times the best rate costs the training."""
    rates = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0]
    by_rate = convergence.sweep(workload, learning_rate=rates, epochs=10)
    curvature = sharpness(workload, by_rate[rates[0]].seeds)
    shares = {rate: rate * float(np.median(curvature)) / 2 for rate in rates}
    stated = ", ".join(f"{share:.2g} at {rate:g}" for rate, share in shares.items())
    convergence.figure(
        draw_prediction(by_rate, curvature),
        "The share of the loss that ten epochs leave, against the rate in units of the limit: a mark a "
        "run. What is predicted from the sharpness before the first update stands above. In the median "
        f"over seeds the units are {stated}.",
    )
    losses = [by_rate[rate].mean_log_loss().median() for rate in rates]
    best = losses.index(min(losses))
    assert 0 < best < len(rates) - 1, (
        f"the best rate {rates[best]} is an edge of the grid: extend it"
    )
    assert (by_rate[rates[best - 1]].regimes == "converged").mean() >= 0.9  # 100 of 100 other seeds
    assert (by_rate[rates[best + 1]].regimes == "converged").mean() <= 0.1  # 0 of 100
    for rate in rates:
        hold_to_prediction(by_rate[rate], shares[rate])
    ends = [by_rate[rate].final("loss").median() for rate in rates]
    limit = 2 / np.median(curvature)
    largest, failing = descent.range_test(rates, ends, by_rate[rates[0]].constant_loss or np.inf)
    # A step of the grid to either side. 96 other seeds, 3,000 draws of 16: 0.74 to 1.28, from 0.3 up.
    assert 0.3 * largest < limit < failing / 0.3


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
    model = getattr(workloads, task)()
    seeds = 8 if task == "digits_cnn" else None  # a convolution takes its time
    runs = convergence(model, learning_rate=learning_rate, steps=150, seeds=seeds)
    converged = (runs.regimes == "converged").mean()
    if OTHERS[task, learning_rate] == "converges":
        # Of the convolutional network 174 of 200 other seeds, of the other all of 1,000.
        assert converged >= 0.35
    else:
        assert converged == 0
        assert runs.failed.all() == (OTHERS[task, learning_rate] == "fails")
    if task == "diabetes":  # second derivatives of a convolution take longer than its training
        hold_to_prediction(runs, learning_rate * np.median(sharpness(model, runs.seeds)) / 2)


# ---- what the tests above are made of


BLUE, ORANGE, GREEN, RED = sns.color_palette("colorblind", 4)
COLORS = {"converged": GREEN, "slow": BLUE, "stalled": ORANGE, "diverged": RED}
MARKS = {"converged": "o", "slow": "s", "stalled": "v", "diverged": "X"}


KNOWN: dict[tuple[Workload, int], float] = {}
"""The sharpness of each seed's start, which hangs on nothing else."""


def sharpness(workload: Workload, seeds: tuple[int, ...]) -> Any:
    """Return the Hessian's largest eigenvalue before the first update, of each seed's run.

    Of the loss on the training set, or on 1,024 samples of a larger one.
    """
    if new := [seed for seed in seeds if (workload, seed) not in KNOWN]:
        start = Experiment(workload, learning_rate=1e-3, steps=1, seeds=new, probes=["sharpness"])
        found = train(start).curves["probe_sharpness"][:, 0]
        KNOWN.update({(workload, seed): one for seed, one in zip(new, found, strict=True)})
    return np.array([KNOWN[workload, seed] for seed in seeds])


def largest_eigenvalue(regression: Workload) -> float:
    """Return that of the Hessian of linear regression, from its inputs alone."""
    samples = np.asarray(regression.data.train.x, dtype=float)
    inputs = np.column_stack([samples, np.ones(len(samples))])
    return float(descent.least_squares(inputs, np.zeros(len(samples))).curvature[-1])


def hold_to_prediction(runs: Runs, share: float) -> None:
    """Hold runs to what ηλ/2 of the median run predicts; from 0.5 to 2 it predicts nothing.

    96 other seeds at each rate of either task: without exception.
    """
    if share < 0.5:
        assert (runs.final("loss") < runs.at("loss", 0)).all()
    elif share > 2:
        assert runs.failed.mean() >= 0.9


def draw_range_test(frame: pd.DataFrame, limits: Mapping[str, float]) -> sns.FacetGrid:
    """Draw the loss that is left against the rate, a panel a form, and each one's limit."""
    grid = sns.relplot(
        frame.assign(**{"loss left": frame["loss left"].fillna(np.inf).clip(upper=1000)}),
        x="learning rate", y="loss left", col="form", height=2.6, aspect=1.1, color=BLUE,
    )  # fmt: skip
    for form, axes in grid.axes_dict.items():
        axes.axvline(limits[form], color=ORANGE, linestyle="--")
        axes.axhline(1, color="black", linewidth=0.8)
    grid.set(yscale="log", xlim=(0, None), ylabel="loss left (at most 1,000)")
    return grid.set_titles("{col_name}")


def draw_prediction(by_rate: Mapping[float, Runs], curvature: Any) -> sns.FacetGrid:
    """Draw what is left of each run's loss against ηλ/2, in zones of what that predicts."""
    rows = [
        (rate * sharp / 2, left, regime)
        for rate, runs in by_rate.items()
        for sharp, left, regime in zip(
            curvature, runs.final("loss") / runs.at("loss", 0), runs.regimes, strict=True
        )
    ]
    frame = pd.DataFrame(rows, columns=["share", "loss left", "regime"])
    known = frame["loss left"].where(np.isfinite(frame["loss left"]))
    frame["loss left"] = known.fillna(3 * known.max())  # of some no number is left
    grid = sns.relplot(
        frame, x="share", y="loss left", hue="regime", style="regime", palette=COLORS, markers=MARKS,
        hue_order=list(MARKS), alpha=0.7, height=3.2, aspect=1.9,
    )  # fmt: skip
    grid.ax.set(xscale="log", yscale="log", xlabel=r"$\eta\,\lambda_{\max}\,/\,2$ at the start")
    low, high = grid.ax.get_xlim()
    low, high = min(low, 0.1), max(high, 10)  # all three zones, wherever the marks are
    for start, end, shade, words in (
        (low, 0.5, "0.93", "ends lower"),
        (0.5, 2, "1", "open"),
        (2, high, "0.85", "fails"),
    ):
        grid.ax.axvspan(start, end, color=shade, zorder=0)
        grid.ax.text(
            np.sqrt(start * end), 1.02, words, ha="center", va="bottom",
            transform=grid.ax.get_xaxis_transform(),
        )  # fmt: skip
    grid.ax.axvline(1, color="black", linestyle=":")
    grid.ax.set_xlim(low, high)
    return grid


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

**A range test finds the limit, and one number foretells it.** On linear regression the range test
and the formula agree to a step of the grid, 5 %, without momentum and with it in both forms: heavy-ball
momentum of 0.9 bears nearly twice the rate, Nesterov's two thirds of it. On a network the sharpness
before the first update, a single number per seed, sorts the rates before anything is trained. From a
hundredth of the limit to a third of it every loss ends lower, three times above it nearly every run
fails. At the rate next to the limit seeds go separate ways, and the formula does not say which: it is
of a full batch and a quadratic loss, the runs are of batches of 32 on a loss that is neither. A range
test over the same rates agrees with it, as far as a grid of such wide steps can tell.

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
