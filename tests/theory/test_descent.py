"""Descent on a quadratic: formulas against descents made in the space of the weights themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import expit

from dlbench.theory.descent import (
    best_rate,
    contraction,
    convex_bound,
    least_squares,
    logistic_smoothness,
    path,
    range_test,
    stability_limit,
)

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "momentum": {"momentum": 0.8},
    "nesterov": {"momentum": 0.8, "nesterov": True},
}


def problem(seed: int, samples: int = 12, inputs: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs with a column of ones, and targets."""
    generator = np.random.default_rng(seed)
    x = np.column_stack([generator.normal(size=(samples, inputs)), np.ones(samples)])
    return x, generator.normal(size=samples)


def descend(
    problem: tuple[np.ndarray, np.ndarray],
    start: np.ndarray,
    rates: np.ndarray,
    *,
    momentum: float = 0.0,
    nesterov: bool = False,
) -> np.ndarray:
    """Return the losses of a descent by autograd, in the form that Keras documents."""
    inputs, targets = (torch.tensor(part) for part in problem)
    theta = torch.tensor(start)
    velocity, losses = torch.zeros_like(theta), []
    for rate in [*rates, 0.0]:
        theta = theta.detach().requires_grad_()
        loss = ((inputs @ theta - targets) ** 2).mean()
        (gradient,) = torch.autograd.grad(loss, theta)
        losses.append(loss.item())
        step = rate * gradient
        velocity = momentum * velocity - step
        theta = theta + (momentum * velocity - step if nesterov else velocity)
    return np.array(losses)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", KINDS)
def test_whole_curve(kind: str, seed: int) -> None:
    """Under a changing rate every loss of a descent by autograd is the formula's, to rounding."""
    x, y = problem(seed)
    quadratic = least_squares(x, y)
    generator = np.random.default_rng(seed)
    start = generator.normal(size=(x.shape[1],))
    rates: np.ndarray = generator.uniform(0, 2, size=20) / quadratic.curvature.max()
    states = path(quadratic.curvature, quadratic.coordinates(start), rates, **KINDS[kind])
    expected = descend((x, y), start, rates, **KINDS[kind])
    np.testing.assert_allclose(quadratic.losses(states), expected, rtol=1e-11)


def test_plain_descent_is_a_power() -> None:
    """Without momentum, a mode's distance after k updates is (1 - ηλ)^k times the first."""
    distances = path([0.5, 3.0], [2.0, -1.0], np.full(7, 0.4))
    np.testing.assert_allclose(distances[7], [2 * 0.8**7, -((1 - 1.2) ** 7)], rtol=1e-13)


@pytest.mark.parametrize("seed", range(3))
def test_hessian(seed: int) -> None:
    """Curvature and directions are those of the Hessian that autograd finds; the floor is a minimum."""
    x, y = problem(seed)
    quadratic = least_squares(x, y)
    inputs, targets = torch.tensor(x), torch.tensor(y)
    theta = torch.tensor(quadratic.optimum, requires_grad=True)
    loss = ((inputs @ theta - targets) ** 2).mean()
    (slope,) = torch.autograd.grad(loss, theta, create_graph=True)
    hessian = [torch.autograd.grad(one, theta, retain_graph=True)[0].numpy() for one in slope]
    rebuilt = quadratic.directions * quadratic.curvature @ quadratic.directions.T
    np.testing.assert_allclose(rebuilt, hessian, atol=1e-12)
    np.testing.assert_allclose(slope.detach(), 0, atol=1e-12)
    assert quadratic.floor == pytest.approx(loss.item(), rel=1e-12)


@pytest.mark.parametrize("sharpness", [0.01, 1.0, 40.0])
@pytest.mark.parametrize("momentum", [0.0, 0.3, 0.9, 0.99])
@pytest.mark.parametrize("nesterov", [False, True])
def test_stability_limit(sharpness: float, momentum: float, nesterov: bool) -> None:
    """One part in 10,000 below the limit a mode shrinks, as much above it grows."""
    limit = stability_limit(sharpness, momentum=momentum, nesterov=nesterov)
    rates = [limit * (1 - 1e-4), limit, limit * (1 + 1e-4)]
    below, at, above = (
        contraction([sharpness], rate, momentum=momentum, nesterov=nesterov) for rate in rates
    )
    assert below < 1 < above
    assert at == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_contraction_is_the_rate_in_the_long_run(kind: str) -> None:
    """Over 400 late updates the distance shrinks by the contraction at each, up to its turning."""
    curvature, start = np.array([0.2, 1.0, 2.5]), np.array([1.0, 1.0, 1.0])
    distances = path(curvature, start, np.full(1400, 0.4), **KINDS[kind])
    lengths = np.abs(distances).max(axis=1)
    # The highest of ten neighbours: oscillating modes pass through 0.
    late, later = lengths[1000:1010].max(), lengths[1390:1400].max()
    rate = contraction(curvature, 0.4, **KINDS[kind])
    assert (later / late) ** (1 / 390) == pytest.approx(rate, rel=2e-3)


@pytest.mark.parametrize("momentum", [0.5, 0.9])
def test_momentum_that_oscillates_shrinks_by_its_root(momentum: float) -> None:
    """Where all modes oscillate, the contraction is √β whatever the curvature."""
    rate = contraction([0.5, 1.0, 2.0], 1.0, momentum=momentum)
    assert rate == pytest.approx(momentum**0.5, rel=1e-12)


def test_flat_directions_do_not_slow() -> None:
    """An eigenvalue of 0 is no part of the loss, hence none of its contraction."""
    assert contraction([0.0, 1.0], 0.5) == pytest.approx(0.5)
    x, y = problem(0)
    twice = least_squares(np.column_stack([x, x[:, 0]]), y)  # rounding makes a 0 of about 1e-16
    assert contraction(twice.curvature, 0.1 / twice.curvature.max()) < 1 - 1e-6


def test_best_rate() -> None:
    """A search over all rates finds the best one, with the contraction (κ - 1) / (κ + 1)."""
    curvature = [0.3, 1.0, 6.0]
    found = minimize_scalar(
        lambda rate: contraction(curvature, rate), bounds=(0, 1), method="bounded"
    )
    assert best_rate(curvature) == pytest.approx(found.x, abs=1e-5)
    assert contraction(curvature, best_rate(curvature)) == pytest.approx((20 - 1) / (20 + 1))


@pytest.mark.parametrize("seed", range(3))
def test_logistic_smoothness(seed: int) -> None:
    """No weights give the logistic loss a larger curvature, and weights of 0 give it this one."""
    x, _ = problem(seed)
    generator = np.random.default_rng(seed)

    def sharpness(weights: Any) -> float:
        chances = expit(x @ weights)
        hessian = (x.T * (chances * (1 - chances))) @ x / len(x)
        return float(np.linalg.eigvalsh(hessian)[-1])

    bound = logistic_smoothness(x)
    assert sharpness(np.zeros(x.shape[1])) == pytest.approx(bound, rel=1e-12)
    assert all(sharpness(generator.normal(size=x.shape[1])) < bound for _ in range(50))


@pytest.mark.parametrize("updates", [1, 5, 50])
def test_convex_bound(updates: int) -> None:
    """No start on a function |x| that is rounded at 0 ends above the bound, and one near half of it.

    The function has curvature 1 within ±d and slope d beyond; the best bound there is
    R² / (4k + 2) (Drori and Teboulle 2014, theorem 1), which a suitable d reaches.
    """
    shares = []
    for width in np.geomspace(1e-3, 1, 200):
        x = 1.0
        for _ in range(updates):
            x -= float(np.clip(x, -width, width))
        loss = x**2 / 2 if abs(x) <= width else width * abs(x) - width**2 / 2
        shares.append(loss / float(convex_bound(1.0, 1.0, updates)))
    assert max(shares) <= 1
    assert max(shares) == pytest.approx(2 * updates / (4 * updates + 2), rel=0.01)


RATES = [0.1, 0.3, 1.0, 3.0]


@pytest.mark.parametrize(
    ("losses", "between"),
    [
        ([0.5, 0.2, 4.0, np.nan], (0.3, 1.0)),
        ([0.5, 0.2, 0.1, 0.3], (3.0, np.inf)),
        ([1.0, 1.2, np.nan, np.inf], (0.0, 0.1)),
        ([2.0, 1.5, 1.2, 9.0], (0.0, 0.1)),
        ([1.1, 0.2, 1.0, 0.9], (0.3, 1.0)),
    ],
    ids=["a limit", "above the grid", "below the grid", "none trains", "slow ones are no limit"],
)
def test_range_test(losses: list[float], between: tuple[float, float]) -> None:
    """The limit lies between the last rate that trains and the next, going up from the best."""
    largest, failing = range_test(RATES, losses, 1.0)
    assert (float(largest), float(failing)) == between


def test_range_test_by_run() -> None:
    """Each run has a limit and a ceiling of its own."""
    losses = np.transpose([[0.5, 0.2, 4.0, 9.0], [0.5, 0.2, 4.0, 9.0]])
    largest, failing = range_test(RATES, losses, [1.0, 5.0])
    assert largest.tolist() == [0.3, 1.0]
    assert failing.tolist() == [1.0, 3.0]


@pytest.mark.parametrize("curvature", [0.7, 2.0, 31.0])
def test_range_test_of_a_quadratic(curvature: float) -> None:
    """On a simulated quadratic it brackets 2 / λ by one step of its grid."""
    rates = np.geomspace(0.01, 10, 60)
    ends = [path([curvature], [1.0], [rate] * 60)[-1, 0] ** 2 for rate in rates]
    largest, failing = range_test(rates, ends, 1.0)
    assert largest < 2 / curvature <= failing
    assert failing / largest == pytest.approx(rates[1] / rates[0])
