"""The first weights: expectations by enumeration of all signs, and by quadrature."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import integrate, stats

from dlbench.theory import initializers as theory


@pytest.mark.parametrize("shape", [(5, 3), (2, 5, 3), (3, 2, 4, 6)])
def test_fans(shape: tuple[int, ...]) -> None:
    """Counted weight by weight: those that enter one output channel, and leave one input channel."""
    kernel = np.arange(np.prod(shape)).reshape(shape)
    assert theory.fans(shape) == (kernel[..., 0].size, kernel[..., 0, :].size)


def test_variances() -> None:
    """By hand, for a dense kernel of 30 by 10 and a convolution of 3 by 3."""
    assert theory.variance("glorot", (30, 10)) == pytest.approx(2 / 40)
    assert theory.variance("he", (30, 10)) == pytest.approx(2 / 30)
    assert theory.variance("lecun", (30, 10)) == pytest.approx(1 / 30)
    assert theory.variance("glorot", (3, 3, 4, 8)) == pytest.approx(2 / (36 + 72))
    assert theory.variance("he", (3, 3, 4, 8)) == pytest.approx(2 / 36)


def test_uniform_limit() -> None:
    """A uniform number on the interval has the variance, by SciPy's own."""
    limit = theory.uniform_limit(0.7)
    assert stats.uniform(-limit, 2 * limit).var() == pytest.approx(0.7)


def signed(seed: int, units: int, layers: int) -> list[list[np.ndarray]]:
    """Return every sign pattern of square kernels whose weights have fixed, unequal sizes."""
    sizes = np.random.default_rng(seed).uniform(0.5, 1.5, size=(layers, units, units))
    return [
        list(np.array(signs).reshape(sizes.shape) * sizes)
        for signs in product([-1, 1], repeat=sizes.size)
    ]


def passed(x: np.ndarray, kernels: list[np.ndarray]) -> np.ndarray:
    """Return a signal after some ReLU layers without biases."""
    for kernel in kernels:
        x = np.maximum(x @ kernel, 0)
    return x


@pytest.mark.parametrize("depth", [1, 2])
def test_relu_gain(depth: int) -> None:
    """The mean over all signs of weights of one size is the gain, at width 2."""
    x = np.array([0.8, -1.3])
    kernels = [[np.sign(kernel) * 0.7 for kernel in draw] for draw in signed(0, 2, depth)]
    mean = np.mean([np.sum(passed(x, draw) ** 2) for draw in kernels])
    assert theory.relu_gain(2, 0.49, depth) == pytest.approx(mean / np.sum(x**2), rel=1e-12)


def test_gain_of_the_schemes() -> None:
    """He's variance keeps the signal at any depth; Glorot's halves it at each square layer."""
    shape = (40, 40)
    assert theory.relu_gain(40, theory.variance("he", shape), 7) == pytest.approx(1)
    assert theory.relu_gain(40, theory.variance("glorot", shape), 7) == pytest.approx(2.0**-7)


def test_relu_spread() -> None:
    """One layer's from the moments of a rectified Gaussian by quadrature; layers multiply."""
    second, fourth = (
        integrate.quad(lambda z, n=n: z**n * stats.norm.pdf(z), 0, np.inf)[0] for n in (2, 4)
    )
    units = 6
    one = (units * fourth + units * (units - 1) * second**2) / (units * second) ** 2
    assert theory.relu_spread(units) == pytest.approx(one - 1)
    assert theory.relu_spread(units, 3) == pytest.approx(one**3 - 1)


@pytest.mark.parametrize("cosine", [-0.9, -0.3, 0.0, 0.5, 0.95])
def test_relu_correlation(cosine: float) -> None:
    """The integral over two correlated Gaussians: their radius aside, over the angle alone."""
    shift = np.arccos(cosine)

    def both(angle: float) -> float:
        return float(max(np.cos(angle), 0) * max(np.cos(angle - shift), 0))

    mean = integrate.quad(both, -np.pi, np.pi, points=[-np.pi / 2, np.pi / 2])[0]
    own = integrate.quad(lambda angle: max(np.cos(angle), 0) ** 2, -np.pi, np.pi)[0]
    assert theory.relu_correlation(cosine) == pytest.approx(mean / own, abs=1e-7)


def test_correlation_at_its_ends() -> None:
    """Opposite signals share no unit; the same signal stays the same; right angles leave 1/π."""
    np.testing.assert_allclose(theory.relu_correlation([-1, 0, 1]), [0, 1 / np.pi, 1], atol=1e-15)


@pytest.mark.parametrize(("units", "depth"), [(2, 1), (2, 2), (3, 1)])
def test_silent_share(units: int, depth: int) -> None:
    """Of all sign patterns, exactly this share lets nothing through."""
    x = np.random.default_rng(5).normal(size=units)
    silent = [not passed(x, draw).any() for draw in signed(1, units, depth)]
    assert theory.silent_share(units, depth) == pytest.approx(np.mean(silent), rel=1e-12)
