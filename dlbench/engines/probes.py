"""Probes say why a run trains as it does: sharpness, gradient noise, norms, dead units, distance.

Each is a pure function of one run's state, through the engine's own path, so that `vmap` reads all
runs at once and wrapped torch modules have their gradients. All take the loss as it is evaluated:
not in training mode, penalties included, on at most `SAMPLES` training samples.

| probe            | curves                                  | cost, in gradients of those samples |
| ---------------- | --------------------------------------- | ----------------------------------- |
| `sharpness`      | `sharpness`                             | 2 x 30                              |
| `noise_scale`    | `gradient_signal`, `gradient_noise`     | 1, in 32 parts                      |
| `gradient_norms` | `gradient_norm`, and one a variable     | 1                                   |
| `dead_units`     | `dead_units`                            | 1                                   |
| `distance`       | `distance`, relative to the start       | 0                                   |
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dlbench.engines.program import take
from dlbench.errors import ExperimentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor

    from dlbench.engines.program import Program, State

    Values = dict[str, Tensor]

SAMPLES = 1024
"""Training samples that probes look at, at most: evenly spaced over the set."""

ITERATIONS = 30
"""Of Lanczos' method; the largest eigenvalue is then known to about one per mille."""

PARTS = 32
"""Into which the samples are divided to see the noise in their gradients."""


def probed(data: tuple[Any, Tensor, Any]) -> tuple[Any, Tensor, Any]:
    """Return the samples that probes look at, evenly spaced over a training set.

    Args:
        data: the training set's x, y and weights, one row a sample.
    """
    return take(data, slice(None, None, math.ceil(len(data[1]) / SAMPLES)))


@dataclass(frozen=True, slots=True)
class Probed:
    """A run as a probe sees it."""

    weights: State
    """What is trained."""
    start: State
    """The same before the first update."""
    loss: Callable[[State, slice], Tensor]
    """The loss of some of the samples, as a function of the weights."""
    samples: int
    names: list[str]
    """Of the weights."""

    def gradient(self, rows: slice = slice(None)) -> State:
        """Return the gradient of the loss of some of the samples, an array a weight."""
        slopes: State = torch.func.grad(lambda weights: self.loss(weights, rows))(self.weights)
        return slopes

    def curved(self, direction: Tensor) -> Tensor:
        """Return the product of the loss's Hessian with a direction, shape `(parameters,)`."""

        def along(weights: State) -> Tensor:
            slope: State = torch.func.grad(lambda inner: self.loss(inner, slice(None)))(weights)
            return torch.dot(flat(slope), direction)

        curved: State = torch.func.grad(along)(self.weights)
        return flat(curved)


def read(
    names: Iterable[str],
    program: Program,
    state: State,
    start: State,
    data: tuple[Any, Tensor, Any],
) -> Values:
    """Return what probes say of one run; `vmap` over `state` and `start` makes it all runs'.

    Args:
        names: of `PROBES`.
        program: whose loss it is.
        state: the run's state, each part without a dimension for runs.
        start: the run's state before its first update.
        data: x, y and weights of the samples, from `probed`.

    Raises:
        ExperimentError: there is no such probe.
    """
    trained = program.trained(state)
    rest, measured = state[len(trained) :], program.metric_state()

    def loss(weights: State, rows: slice) -> Tensor:
        value: Tensor = program.measure([*weights, *rest], measured, *take(data, rows))[0]
        return value

    run = Probed(trained, program.trained(start), loss, len(data[1]), program.names())
    found: Values = {}
    for name in check_probes(names):
        found |= PROBES[name](run)
    return found


def check_probes(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of probes.

    Raises:
        ExperimentError: there is no such probe.
    """
    chosen = tuple(names)
    if unknown := [name for name in chosen if name not in PROBES]:
        raise ExperimentError(
            f"there is no probe {unknown[0]!r}; probes are a list of {', '.join(PROBES)}"
        )
    return chosen


def sharpness(run: Probed) -> Values:
    """Return the Hessian's largest eigenvalue (not the largest by size: those may be negative).

    By Lanczos' method with full reorthogonalization (Golub and Van Loan 2013, "Matrix
    computations", section 10.1). Where an invariant subspace is found early it goes on in a new
    direction. Gradient descent at the rate η is at the edge of stability where this is 2/η.
    """
    size = sum(weight.numel() for weight in run.weights)
    steps = min(ITERATIONS, size)
    like = run.weights[0]
    # The same directions in every run and at every point: they are no part of what is random.
    normal = np.random.default_rng(0).normal(size=(steps + 1, size))
    drawn = torch.as_tensor(normal, dtype=like.dtype, device=like.device)
    basis = [drawn[0] / drawn[0].norm()]
    diagonal, beside = [], []
    tiny = 100 * torch.finfo(like.dtype).eps
    for step in range(steps):
        vector = run.curved(basis[-1])
        diagonal.append(vector @ basis[-1])
        length = vector.norm()
        left, fresh = orthogonal(vector, basis), orthogonal(drawn[step + 1], basis)
        ended = left.norm() <= tiny * length
        beside.append(torch.where(ended, torch.zeros_like(length), left.norm()))
        following = torch.where(ended, fresh, left)
        basis.append(following / following.norm())
    small = torch.diag(torch.stack(diagonal))
    off = torch.stack(beside)[: steps - 1]
    small = small + torch.diag(off, 1) + torch.diag(off, -1)
    return {"sharpness": torch.linalg.eigvalsh(small)[-1]}


def noise_scale(run: Probed) -> Values:
    """Return ‖G‖² and tr Σ, unbiased; their ratio is the gradient noise scale, in samples.

    From parts of B of the n samples: ‖G‖² ≈ (n ‖g_n‖² - B ‖g_B‖²) / (n - B) and tr Σ ≈ (‖g_B‖² -
    ‖g_n‖²) / (1/B - 1/n), for the population that the samples are drawn from. Average both over
    points or seeds before dividing; either may be negative. Source: McCandlish et al. 2018, arXiv
    1812.06162, appendix A.1. For losses that are a mean over samples, without penalties.
    """
    size = max(1, run.samples // PARTS)
    parts = run.samples // size
    if parts < 2:  # noqa: PLR2004
        unknown = torch.full_like(run.weights[0].sum(), math.nan)
        return {"gradient_signal": unknown, "gradient_noise": unknown}
    slopes = [flat(run.gradient(slice(at * size, (at + 1) * size))) for at in range(parts)]
    small = torch.stack([slope.square().sum() for slope in slopes]).mean()
    large = torch.stack(slopes).mean(dim=0).square().sum()
    count = parts * size
    return {
        "gradient_signal": (count * large - size * small) / (count - size),
        "gradient_noise": (small - large) / (1 / size - 1 / count),
    }


def gradient_norms(run: Probed) -> Values:
    """Return the length of the whole gradient, and of each variable's."""
    slopes = run.gradient()
    each = {
        f"gradient_norm {name}": slope.norm()
        for name, slope in zip(run.names, slopes, strict=False)
    }
    return {"gradient_norm": flat(slopes).norm(), **each}


def dead_units(run: Probed) -> Values:
    """Return the share of units whose kernel has a gradient of exactly 0, 0 to 1.

    A ReLU unit that is off for every sample has none. So has a unit nothing behind which is alive.
    A unit is a kernel's last axis; biases and scales are no units. Without penalties on weights.
    """
    dead = [(slope.flatten(0, -2) == 0).all(dim=0) for slope in run.gradient() if slope.ndim > 1]
    if not dead:
        return {"dead_units": torch.zeros_like(run.weights[0].sum())}
    return {"dead_units": torch.cat(dead).to(run.weights[0]).mean()}


def distance(run: Probed) -> Values:
    """Return ‖θ - θ_0‖ / ‖θ_0‖: how far the weights have gone, in lengths of their start."""
    start = flat(run.start)
    return {"distance": (flat(run.weights) - start).norm() / start.norm()}


PROBES: dict[str, Callable[[Probed], Values]] = {
    "sharpness": sharpness,
    "noise_scale": noise_scale,
    "gradient_norms": gradient_norms,
    "dead_units": dead_units,
    "distance": distance,
}


def flat(parts: State) -> Tensor:
    """Return arrays as one, shape `(parameters,)`."""
    return torch.cat([part.flatten() for part in parts])


def orthogonal(vector: Tensor, basis: list[Tensor]) -> Tensor:
    """Return what is left of a vector at right angles to an orthonormal basis; twice is enough."""
    rows = torch.stack(basis)
    for _ in range(2):
        vector = vector - rows.T @ (rows @ vector)
    return vector
