r"""
# Optimizers

Every optimizer here turns the gradient $g_k$ of a batch into a step of the weights; they differ in
what they remember. With rate $\eta$:

| optimizer | step | remembers |
|---|---|---|
| SGD | $-\eta g_k$ | nothing |
| momentum | $v_k = \beta v_{k-1} - \eta g_k$ | a decaying sum of past steps (Polyak 1964) |
| Nesterov | $\beta v_k - \eta g_k$ | the same, one step ahead (Sutskever et al. 2013, section 2) |
| Adagrad | $-\eta g_k / \sqrt{\sum_{j \le k} g_j^2}$ | all squared gradients (Duchi et al. 2011) |
| RMSprop | $-\eta g_k / \sqrt{s_k}$ | recent squared gradients $s_k$ (Hinton 2012, lecture 6e) |
| Adam, … | $-\eta \hat m_k / (\sqrt{\hat s_k} + \varepsilon)$ | recent gradients $m_k$, and their squares |
| Lion | $-\eta\,\mathrm{sign}(c_k)$ | recent gradients, of which the sign is taken |

(Adam: Kingma and Ba 2015, algorithm 1; Lion: Chen et al. 2023, algorithm 2.)

Momentum with $\beta = 0.9$ adds up ten steps, so its best rate is about a tenth of SGD's. Where a
step is divided by the size of recent gradients, the rate *is* the size of the step, in units of the
weights, and good rates lie near 0.01 whatever the loss is scaled by.

A comparison at one common rate therefore compares rates. Here each optimizer is swept around a rate
of its own and judged at that, and the sweep shows how its neighbours do, a factor of 3 away: an
optimum at the edge of a grid says nothing (Choi et al. 2019, "On empirical comparisons of
optimizers for deep learning", section 3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import pytest

if TYPE_CHECKING:
    from dlbench.experiment import Workload
    from dlbench.plugin.fixtures import Convergence

SGD = keras.optimizers.SGD

# Three rates, the middle one near the best of a grid of eight, and the bound on the median updates
# to the target. Beside it the worst median in 3,000 draws of 16 of 200 other seeds.
OPTIMIZERS: dict[str, tuple[Any, list[float], int]] = {
    "sgd": (SGD(), [0.1, 0.3, 1.0], 160),  # 144
    "momentum": (SGD(momentum=0.9), [0.01, 0.03, 0.1], 160),  # 138
    "nesterov": (SGD(momentum=0.9, nesterov=True), [0.02, 0.06, 0.2], 120),  # 90
    "adagrad": ("adagrad", [0.03, 0.1, 0.3], 150),  # 135
    "rmsprop": ("rmsprop", [0.003, 0.01, 0.03], 130),  # 112
    "adam": ("adam", [0.006, 0.02, 0.06], 110),  # 94
    "adamw": ("adamw", [0.006, 0.02, 0.06], 110),  # 91
    "nadam": ("nadam", [0.006, 0.02, 0.06], 80),  # 65
    "lion": ("lion", [0.001, 0.004, 0.01], 140),  # 115
}


# At the highest rates rounding alone moves the final validation loss by half: no gate for that.
GATES = ["training_loss", "val_accuracy", "steps_to_target", "failed", "parameters", "points"]


@pytest.mark.convergence(gates=GATES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizer(convergence: Convergence, workload: Workload, optimizer: str) -> None:
    """Each optimizer reaches the target soon at its rate, which is no worse than its neighbours."""
    template, rates, bound = OPTIMIZERS[optimizer]
    by_rate = convergence.sweep(
        workload, optimizer=template, learning_rate=rates, batch_size=32, epochs=6
    )
    runs = by_rate[rates[1]]
    assert not runs.failed.any()
    assert runs.final("val_accuracy").median() >= 0.93  # 0.933
    updates = runs.steps_to_target()
    assert updates is not None
    assert updates.median() <= bound
    best = min(other.mean_log_loss().median() for other in by_rate.values())
    assert runs.mean_log_loss().median() <= best + 0.35  # 0.30, momentum


DISCUSSION = """
SGD with nothing to remember is the slowest to the target. Momentum at a tenth of its rate does the
same in fewer updates; looking ahead (Nesterov) lets it take larger steps before it oscillates. The
optimizers that divide by the size of recent gradients agree on a rate near 0.01 and reach the target
soonest, at the price of a wider spread over seeds where their rate is a little too high: their steps
do not shrink as the gradients do.

What this does *not* show is which optimizer is best. On a small net and well-scaled data, a tuned SGD
is close; where the gradients of layers differ by orders of magnitude, it is not. The same file runs on
your own model:

    pytest benchmarks/test_optimizer.py --dlbench-workload=my_workload.py:workload
"""
