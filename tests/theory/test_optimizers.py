"""Optimizers unrolled: against PyTorch's own, and against the recursions of the papers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from dlbench.theory import optimizers as theory

if TYPE_CHECKING:
    from collections.abc import Callable

RATE, UPDATES, TINY = 0.03, 25, 1e-40
"""TINY: an ε that is nowhere seen, since PyTorch adds it in another place than Keras."""


def gradients(seed: int) -> np.ndarray:
    """Return gradients of a few sizes, shape `(25, 4)`."""
    generator = np.random.default_rng(seed)
    return generator.normal(size=(UPDATES, 4)) * [0.01, 1, 1, 100] + [0, 0.5, 0, 0]


def by_torch(given: np.ndarray, make: Callable[[Any], torch.optim.Optimizer]) -> np.ndarray:
    """Return the weights after every update of one of PyTorch's optimizers, from ones."""
    weights = torch.ones(given.shape[1:], dtype=torch.float64, requires_grad=True)
    optimizer, after = make([weights]), []
    for gradient in given:
        weights.grad = torch.tensor(gradient)
        optimizer.step()
        after.append(weights.detach().numpy().copy())
    return np.stack(after)


TORCH: dict[str, tuple[Callable[[Any], torch.optim.Optimizer], Any, dict[str, Any]]] = {
    "sgd": (lambda p: torch.optim.SGD(p, RATE), theory.sgd_steps, {}),
    "momentum": (
        lambda p: torch.optim.SGD(p, RATE, momentum=0.7), theory.sgd_steps, {"momentum": 0.7},
    ),
    "nesterov": (
        lambda p: torch.optim.SGD(p, RATE, momentum=0.7, nesterov=True),
        theory.sgd_steps,
        {"momentum": 0.7, "nesterov": True},
    ),
    "adam": (
        lambda p: torch.optim.Adam(p, RATE, betas=(0.8, 0.95), eps=TINY),
        theory.adam_steps,
        {"beta_1": 0.8, "beta_2": 0.95, "epsilon": TINY},
    ),
    "amsgrad": (
        lambda p: torch.optim.Adam(p, RATE, betas=(0.8, 0.5), eps=TINY, amsgrad=True),
        theory.adam_steps,
        {"beta_1": 0.8, "beta_2": 0.5, "epsilon": TINY, "amsgrad": True},
    ),
    "rmsprop": (
        lambda p: torch.optim.RMSprop(p, RATE, alpha=0.8, eps=TINY),
        theory.rmsprop_steps,
        {"decay": 0.8, "epsilon": TINY},
    ),
    "rmsprop, centered, momentum": (
        lambda p: torch.optim.RMSprop(p, RATE, alpha=0.8, eps=TINY, momentum=0.6, centered=True),
        theory.rmsprop_steps,
        {"decay": 0.8, "epsilon": TINY, "momentum": 0.6, "centered": True},
    ),
}  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", TORCH)
def test_pytorch_takes_the_same_path(name: str, seed: int) -> None:
    """Where ε is too small to be seen, PyTorch's optimizer is at the same weights at every update."""
    make, steps, options = TORCH[name]
    given = gradients(seed)
    after = theory.weights_after(np.ones(4), steps(given, RATE, **options))
    np.testing.assert_allclose(after, by_torch(given, make), rtol=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_decoupled_decay_is_pytorchs(seed: int) -> None:
    """AdamW of PyTorch, of a decay that shows, is at the same weights at every update."""
    given = gradients(seed)
    steps = theory.adam_steps(given, RATE, epsilon=TINY)
    after = theory.weights_after(np.ones(4), steps, RATE, decay=0.5)
    expected = by_torch(given, lambda p: torch.optim.AdamW(p, RATE, eps=TINY, weight_decay=0.5))
    np.testing.assert_allclose(after, expected, rtol=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_lion(seed: int) -> None:
    """Algorithm 2 of the paper, line by line, takes the same steps."""
    given, mean, steps = gradients(seed), np.zeros(4), []
    for gradient in given:
        steps.append(-RATE * np.sign(0.6 * mean + 0.4 * gradient))
        mean = 0.9 * mean + 0.1 * gradient
    found = theory.lion_steps(given, RATE, beta_1=0.6, beta_2=0.9)
    np.testing.assert_array_equal(found, steps)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (theory.adam_steps, lambda g: -RATE * g / (np.abs(g) + 1e-7 / np.sqrt(1 - 0.999))),
        (theory.rmsprop_steps, lambda g: -RATE * g / np.sqrt(0.1 * g**2 + 1e-7)),
        (theory.lion_steps, lambda g: -RATE * np.sign(g)),
        (theory.sgd_steps, lambda g: -RATE * g),
    ],
)
def test_first_steps(steps: Any, expected: Any) -> None:
    """The first step has a closed form of the gradient alone, ε and all, from 1e-8 to 1e8."""
    gradient = np.array([[1e-8, -1e-7, 1e-5, -0.3, 1.0, -1e8]])
    np.testing.assert_allclose(steps(gradient, RATE)[0], expected(gradient[0]), rtol=1e-12)


def test_a_constant_gradient() -> None:
    """Adam then moves by the same step at every update; momentum by 1 / (1 - β) in the end."""
    constant = np.full((300, 1), 0.2)
    np.testing.assert_allclose(theory.adam_steps(constant, RATE, epsilon=0.0), -RATE, rtol=1e-12)
    momentum = theory.sgd_steps(constant, RATE, momentum=0.9)
    np.testing.assert_allclose(momentum[-1], -RATE * 0.2 / (1 - 0.9), rtol=1e-12)


def test_rates_belong_to_their_updates() -> None:
    """A rate that changes scales the step of its own update, and stays with it in momentum."""
    given, rates = gradients(0), np.linspace(0.1, 0.001, UPDATES)
    velocity, steps, weights, after = np.zeros(4), [], np.ones(4), []
    for gradient, rate in zip(given, rates, strict=True):
        velocity = 0.7 * velocity - rate * gradient
        steps.append(velocity)
        weights = weights * (1 - rate * 0.5) + velocity
        after.append(weights)
    found = theory.sgd_steps(given, rates, momentum=0.7)
    np.testing.assert_allclose(found, steps, rtol=1e-12)
    decayed = theory.weights_after(np.ones(4), found, rates, decay=0.5)
    np.testing.assert_allclose(decayed, after, rtol=1e-11)


def test_moving_average_of_weights() -> None:
    """Begun at the first weights and updated one by one, it is the weighted sum."""
    weights = gradients(1)
    average, averages = weights[0], []
    for now in weights:
        average = 0.9 * average + 0.1 * now
        averages.append(average)
    np.testing.assert_allclose(theory.averaged_weights(weights, 0.9), averages, rtol=1e-12)


def test_accumulation_is_a_mean() -> None:
    """Seven batches by three make two updates, each of the mean of its three."""
    given = gradients(2)[:7]
    expected = [(given[0] + given[1] + given[2]) / 3, (given[3] + given[4] + given[5]) / 3]
    np.testing.assert_allclose(theory.accumulated(given, 3), expected, rtol=1e-14)


def test_clipping() -> None:
    """Nothing below the limit changes; above it, lengths become the limit, directions stay."""
    small, large = np.array([0.3, -0.4]), np.array([[3.0, 0.0], [0.0, -4.0]])
    each = theory.clipped_by_norm([small, large], 1.0)
    np.testing.assert_array_equal(each[0], small)
    np.testing.assert_allclose(each[1], large / 5)
    together = theory.clipped_by_global_norm([small, large], 1.0)
    length = np.sqrt(0.25 + 25)
    np.testing.assert_allclose(together[0], small / length)
    np.testing.assert_allclose(together[1], large / length)
    np.testing.assert_array_equal(theory.clipped_by_global_norm([small], 0.5)[0], small)
    np.testing.assert_array_equal(theory.clipped_by_norm([np.zeros(2)], 1.0)[0], np.zeros(2))
    np.testing.assert_array_equal(theory.clipped_by_value(large, 1.0), [[1, 0], [0, -1]])
