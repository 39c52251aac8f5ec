"""Probes say why a run trains as it does: sharpness, gradient noise, norms, dead units, distance.

Each is a pure function of one run's state, through the engine's own path, so that `vmap` reads all
runs at once and wrapped torch modules have their gradients. All take the loss as it is evaluated:
not in training mode, penalties included, on at most `SAMPLES` training samples. Both engines read
them by the same `Prober`, at the evaluation points, and keep them as curves.

| probe            | curves                                         | cost, in gradients of the samples |
| ---------------- | ---------------------------------------------- | --------------------------------- |
| `sharpness`      | `probe_sharpness`                              | 1 + 30                            |
| `noise_scale`    | `probe_gradient_signal`, `probe_gradient_noise` | 1, in 32 parts                   |
| `gradient_norms` | `probe_gradient_norm`, and one a variable      | 1                                 |
| `update_ratio`   | `probe_update_ratio`, of the last update       | 0                                 |
| `dead_units`     | `probe_dead_units`                             | 1                                 |
| `distance`       | `probe_distance`, relative to the start        | 0                                 |

Memory is bounded as an evaluation's is: what does not fit is taken in chunks, of runs and then of
samples. The least is one run, of which `sharpness` and `noise_scale` keep 32 vectors as long as its
weights.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dlbench.backend import as_tensors
from dlbench.engines.memory import EVALUATION_BYTES, measured_budget
from dlbench.engines.program import take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor

    from dlbench.engines.program import Program, State
    from dlbench.experiment import Experiment

    Values = dict[str, Tensor]

SAMPLES = 1024
"""Training samples that probes look at, at most: evenly spaced over the set."""

ITERATIONS = 30
"""Of Lanczos' method; the largest eigenvalue is then known to about one per mille."""

PARTS = 32
"""Into which the samples are divided to see the noise in their gradients."""

PASSES = 9
"""What a product with the Hessian takes, in evaluations: 8.6 times the bytes on a network of digits."""

PREFIX = "probe_"
"""Before the name of every curve that is read by a probe."""


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
    before: State
    """The same before the last update."""
    start: State
    """The same before the first update."""
    loss: Callable[[State, slice | Tensor], Tensor]
    """The loss of some of the samples, as a function of the weights."""
    samples: int
    names: list[str]
    """Of the weights."""
    chunk: int = SAMPLES
    """How many samples are taken at a time."""

    def slope(self, rows: slice | Tensor) -> Callable[[State], State]:
        """Return the gradient of the loss of some of the samples, as a function of the weights."""
        found: Callable[[State], State] = torch.func.grad(lambda weights: self.loss(weights, rows))
        return found

    def gradient(self, start: int = 0, stop: int | None = None) -> State:
        """Return the gradient of the loss of the samples from one number to another."""
        parts = [
            [share * part for part in self.slope(rows)(self.weights)]
            for rows, share in self._chunks(start, self.samples if stop is None else stop)
        ]
        return [torch.stack(part).sum(dim=0) for part in zip(*parts, strict=True)]

    def gradients(self, parts: int, size: int) -> Tensor:
        """Return the gradient of each of some parts of the samples, shape `(parts, parameters)`."""
        if parts * size <= self.chunk:
            rows = torch.arange(parts * size, device=self.weights[0].device).view(parts, size)
            at_once = torch.func.vmap(lambda part: flat(self.slope(part)(self.weights)))
            # A layer that looks at its inputs is trained by `fit`, and lets no batches be batched.
            with contextlib.suppress(RuntimeError):
                found: Tensor = at_once(rows)
                return found
        each = [flat(self.gradient(at * size, (at + 1) * size)) for at in range(parts)]
        return torch.stack(each)

    def hessian(self) -> Callable[[Tensor], Tensor]:
        """Return a function: the loss's Hessian times a direction, both of shape `(parameters,)`.

        The Hessian is symmetric, so it is a reverse pass through the gradient, which is computed
        once where all samples fit into memory.
        """
        chunks = self._chunks(0, self.samples)

        def backward(rows: slice) -> Callable[[State], tuple[State]]:
            passed: Callable[[State], tuple[State]] = torch.func.vjp(
                self.slope(rows), self.weights
            )[1]
            return passed

        kept = backward(chunks[0][0]) if len(chunks) == 1 else None

        def times(direction: Tensor) -> Tensor:
            sizes = [weight.numel() for weight in self.weights]
            pieces = zip(torch.split(direction, sizes), self.weights, strict=True)
            given = [piece.reshape(weight.shape) for piece, weight in pieces]
            parts = [share * flat((kept or backward(rows))(given)[0]) for rows, share in chunks]
            return torch.stack(parts).sum(dim=0)

        return times

    def _chunks(self, start: int, stop: int) -> list[tuple[slice, float]]:
        """Return the rows of each chunk, and its share of the samples."""
        starts = range(start, stop, self.chunk)
        ends = [min(at + self.chunk, stop) for at in starts]
        return [
            (slice(at, end), (end - at) / (stop - start))
            for at, end in zip(starts, ends, strict=True)
        ]


def read(  # noqa: PLR0913, PLR0917 - a run's three states, and what they are read by
    names: Iterable[str],
    program: Program,
    state: State,
    before: State,
    start: State,
    data: tuple[Any, Tensor, Any],
    chunk: int = SAMPLES,
) -> Values:
    """Return what probes say of one run; `vmap` over the three states makes it all runs'.

    Args:
        names: of `PROBES`.
        program: whose loss it is.
        state: the run's state, each part without a dimension for runs.
        before: the run's state before its last update.
        start: the run's state before its first update.
        data: x, y and weights of the samples, from `probed`.
        chunk: how many samples are taken at a time.
    """
    trained = program.trained(state)
    rest, measured = state[len(trained) :], program.metric_state()

    def loss(weights: State, rows: slice | Tensor) -> Tensor:
        value: Tensor = program.measure([*weights, *rest], measured, *take(data, rows))[0]
        return value

    run = Probed(
        weights=trained,
        before=program.trained(before),
        start=program.trained(start),
        loss=loss,
        samples=len(data[1]),
        names=program.names(),
        chunk=chunk,
    )
    found: Values = {}
    for name in names:
        found |= PROBES[name](run)
    return found


class Prober:
    """Reads the probes of an experiment's runs: of all of them, or of one after the other."""

    def __init__(self, experiment: Experiment, program: Program, state: State) -> None:
        """Find out how much is read at a time.

        Args:
            experiment: whose probes and training set they are.
            program: made for the experiment.
            state: one run's.
        """
        train = experiment.workload.data.train
        self._names, self._program, self._start = experiment.probes, program, state
        self._data = probed((as_tensors(train.x), as_tensors(train.y), as_tensors(train.weight)))

        def evaluate() -> object:
            few = take(self._data, slice(0, 1))
            return program.measure(state, program.metric_state(), *few)

        with torch.no_grad():
            budget = measured_budget(lambda: None, evaluate)
        self._chunk = max(1, budget.samples(1) // PASSES)
        weights = sum(part.nbytes for part in program.trained(state))
        vectors = EVALUATION_BYTES // (max(ITERATIONS, PARTS) * weights)
        self._runs = max(1, min(self._chunk // len(self._data[1]), vectors))

    def check(self) -> None:
        """Read one sample, so that what cannot be read shows before anything is trained."""
        few = take(self._data, slice(0, 1))
        read(self._names, self._program, self._start, self._start, self._start, few)

    def start(self, state: State) -> None:
        """Take the runs' stacked state before their first update."""
        self._start = state

    def read(self, state: State, before: State, losses: np.ndarray) -> dict[str, np.ndarray]:
        """Return each probe's curve's value for each run, shape `(runs,)`; NaN where the loss is.

        Args:
            state: the runs' stacked state.
            before: the same before the last update.
            losses: of the runs, shape `(runs,)`.
        """
        chunk = min(self._chunk, len(self._data[1]))

        def of_one(state: State, before: State, start: State) -> Values:
            return read(self._names, self._program, state, before, start, self._data, chunk)

        of_all = torch.func.vmap(of_one, chunk_size=self._runs)
        found = of_all(state, before, self._start)
        return {
            f"{PREFIX}{name}": np.where(
                np.isfinite(losses), value.detach().cpu().double().numpy(), math.nan
            )
            for name, value in found.items()
        }


def sharpness(run: Probed) -> Values:
    """Return the Hessian's largest eigenvalue (not the largest by size: those may be negative).

    By Lanczos' method with full reorthogonalization (Golub and Van Loan 2013, "Matrix
    computations", section 10.1). Where an invariant subspace is found early it goes on in a new
    direction. Gradient descent at the rate η is at the edge of stability where this is 2/η.
    """
    size = sum(weight.numel() for weight in run.weights)
    steps, times = min(ITERATIONS, size), run.hessian()
    like = run.weights[0]
    # The same direction in every run and at every point: it is no part of what is random.
    normal = np.random.default_rng(0).normal(size=size)
    drawn = torch.as_tensor(normal, dtype=like.dtype, device=like.device)
    basis = [drawn / drawn.norm()]
    diagonal, beside = [], []
    tiny = 100 * torch.finfo(like.dtype).eps
    for step in range(steps):
        vector = times(basis[-1])
        diagonal.append(vector @ basis[-1])
        length = vector.norm()
        left, fresh = orthogonal(vector, basis), orthogonal(drawn.roll(step + 1), basis)
        ended = left.norm() <= tiny * length
        beside.append(torch.where(ended, torch.zeros_like(length), left.norm()))
        following = torch.where(ended, fresh, left)
        basis.append(following / following.norm())
    small = torch.diag(torch.stack(diagonal))
    off = torch.stack(beside)[: steps - 1]
    small = small + torch.diag(off, 1) + torch.diag(off, -1)
    # Of a run that diverged nothing is known, and the solver would raise for all.
    known = torch.isfinite(small).all()
    largest = torch.linalg.eigvalsh(torch.where(known, small, torch.zeros_like(small)))[-1]
    return {"sharpness": torch.where(known, largest, math.nan)}


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
    slopes = run.gradients(parts, size)
    small = slopes.square().sum(dim=1).mean()
    large = slopes.mean(dim=0).square().sum()
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


def update_ratio(run: Probed) -> Values:
    """Return ‖θ_k - θ_{k-1}‖ / ‖θ_{k-1}‖: the last update, in lengths of the weights; 0 at first."""
    before = flat(run.before)
    return {"update_ratio": (flat(run.weights) - before).norm() / before.norm()}


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
    "update_ratio": update_ratio,
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
