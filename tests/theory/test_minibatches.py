"""Batches: every expectation against the mean over all batches that can be drawn."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from dlbench.theory import minibatches as theory

SAMPLES = 5


def gradients(seed: int) -> np.ndarray:
    """Return the gradients of five samples, shape `(5, 3)`."""
    return np.random.default_rng(seed).normal(size=(SAMPLES, 3)) + 0.5


def hessian(seed: int) -> np.ndarray:
    """Return a positive definite matrix, shape `(3, 3)`."""
    root = np.random.default_rng(seed + 50).normal(size=(3, 3))
    matrix: np.ndarray = root @ root.T + np.eye(3)
    return matrix


def all_batches(size: int, *, replacement: bool) -> list[tuple[int, ...]]:
    """Return every batch that can be drawn, each as likely as any other."""
    if replacement:
        return list(product(range(SAMPLES), repeat=size))
    return list(combinations(range(SAMPLES), size))


@pytest.mark.parametrize(("samples", "size"), [(10, 1), (10, 3), (10, 5), (10, 10), (10, 11)])
def test_updates_per_epoch(samples: int, size: int) -> None:
    """As many as slices of that size are needed to hold all samples."""
    assert theory.updates_per_epoch(samples, size) == len(range(0, samples, size))


@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize("size", range(1, SAMPLES + 1))
def test_batch_variance(size: int, replacement: bool) -> None:
    """The mean over all batches, and 0 for the batch of all samples drawn once."""
    g = gradients(size)
    drawn = [g[list(batch)].mean(axis=0) for batch in all_batches(size, replacement=replacement)]
    expected = np.mean(np.sum((np.array(drawn) - g.mean(axis=0)) ** 2, axis=1))
    found = theory.batch_variance(g, size, replacement=replacement)
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_noise_scale() -> None:
    """A batch of that many samples has as much noise as signal."""
    g = gradients(0)
    scale = theory.noise_scale(g)
    noise = theory.batch_variance(g, 1, replacement=True) / scale
    assert noise == pytest.approx(np.sum(g.mean(axis=0) ** 2))


@pytest.mark.parametrize(("small", "large"), [(1, 2), (1, 4), (2, 3)])
def test_noise_estimate_is_unbiased(small: int, large: int) -> None:
    """Averaged over all batches, both numbers are the true ones; their ratio is not."""
    g = gradients(3)
    squares = {
        size: np.array(
            [
                np.sum(g[list(batch)].mean(axis=0) ** 2)
                for batch in all_batches(size, replacement=True)
            ]
        )
        for size in (small, large)
    }
    pairs = np.meshgrid(squares[small], squares[large])
    found = theory.noise_estimate(*pairs, small_size=small, large_size=large)
    signal = np.sum(g.mean(axis=0) ** 2)
    assert found.signal.mean() == pytest.approx(signal, rel=1e-12)
    assert found.noise.mean() == pytest.approx(np.trace(theory.covariance(g)), rel=1e-12)
    biased = np.mean(found.noise / found.signal)
    assert biased != pytest.approx(theory.noise_scale(g), rel=0.05)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_expected_gain(size: int) -> None:
    """The mean fall of a quadratic loss over all batches, at several rates."""
    g, curved = gradients(1), hessian(1)
    for rate in (0.01, 0.1, 1.0):
        steps = [
            -rate * g[list(batch)].mean(axis=0) for batch in all_batches(size, replacement=True)
        ]
        change = [step @ g.mean(axis=0) + step @ curved @ step / 2 for step in steps]
        found = theory.expected_gain(g, curved, rate, size)
        assert found == pytest.approx(-np.mean(change), rel=1e-11)


@pytest.mark.parametrize("size", [1, 4, 64])
def test_best_rate(size: int) -> None:
    """A search over rates ends there, and the gain there is η ‖G‖² / 2."""
    g, curved = gradients(2), hessian(2)
    found = minimize_scalar(lambda rate: -theory.expected_gain(g, curved, rate, size))
    best = theory.best_rate(g, curved, size)
    assert best == pytest.approx(found.x, rel=1e-6)
    signal = np.sum(g.mean(axis=0) ** 2)
    assert theory.expected_gain(g, curved, best, size) == pytest.approx(best * signal / 2)


def test_expected_excess() -> None:
    """Over all sequences of three batches of two: the mean excess loss after each update.

    Two modes of curvature 1 and 3; the noise of a sample's gradient is the same everywhere.
    """
    curvature, start, rate = np.array([1.0, 3.0]), np.array([0.7, -0.4]), 0.3
    noise = np.random.default_rng(0).normal(size=(3, 2))
    noise -= noise.mean(axis=0)
    batches = [noise[list(batch)].mean(axis=0) for batch in product(range(3), repeat=2)]
    excess = []
    for drawn in product(batches, repeat=3):
        distance, losses = start, [np.sum(curvature * start**2) / 2]
        for off in drawn:
            distance = distance - rate * (curvature * distance + off)
            losses.append(np.sum(curvature * distance**2) / 2)
        excess.append(losses)
    found = theory.expected_excess(
        curvature, start, np.mean(noise**2, axis=0), rate=rate, batch_size=2, updates=np.arange(4)
    )
    np.testing.assert_allclose(found, np.mean(excess, axis=0), rtol=1e-12)


def test_noise_floor_is_where_it_ends() -> None:
    """After 10,000 updates the expected excess is the floor; the start is forgotten."""
    curvature, noise = [0.1, 1.0], [2.0, 0.5]
    ends = theory.expected_excess(
        curvature, [5.0, -5.0], noise, rate=0.3, batch_size=4, updates=[10_000]
    )
    assert ends[0] == pytest.approx(theory.noise_floor(curvature, noise, 0.3, 4), rel=1e-12)
