"""Networks: against autograd, linear programs and brute force."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from scipy.optimize import linprog, minimize

from dlbench.theory import networks

XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=float)
ANSWERS = np.array([0, 1, 1, 0])


def drawn(seed: int, *shape: int) -> torch.Tensor:
    """Return normal numbers that gradients can be taken by."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()


def test_composed() -> None:
    """Three layers applied in turn put out what the one map does."""
    generator = np.random.default_rng(0)
    widths = [4, 7, 2, 5]
    kernels = [generator.normal(size=shape) for shape in pairwise(widths)]
    biases = [generator.normal(size=units) for units in widths[1:]]
    x = generator.normal(size=(6, 4))
    signal = x
    for kernel, bias in zip(kernels, biases, strict=True):
        signal = signal @ kernel + bias
    kernel, bias = networks.composed(kernels, biases)
    np.testing.assert_allclose(x @ kernel + bias, signal, rtol=1e-12)
    assert np.linalg.matrix_rank(kernel) == 2


@pytest.mark.parametrize("loss", networks.XOR_FLOORS)
def test_xor_floors(loss: str) -> None:
    """A convex solver over all affine scores ends at the floor, from several starts."""

    def value(weights: np.ndarray) -> float:
        score = XOR @ weights[:2] + weights[2]
        if loss == "mean_squared_error":
            return float(np.mean((score - ANSWERS) ** 2))
        return float(np.mean(np.logaddexp(0, score) - ANSWERS * score))

    for seed in range(3):
        found = minimize(value, np.random.default_rng(seed).normal(size=3), tol=1e-12)
        assert found.fun == pytest.approx(networks.XOR_FLOORS[loss], abs=1e-9)


def test_xor_accuracy() -> None:
    """Of all lines in a fine fan, the best has three of the four points on their right sides."""
    generator = np.random.default_rng(0)
    weights, offsets = generator.normal(size=(2, 5000)), generator.normal(size=5000)
    right = ((XOR @ weights + offsets > 0) == ANSWERS[:, None]).mean(axis=0)
    assert right.max() == networks.XOR_ACCURACY


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize(("units", "inputs"), [(1, 1), (5, 1), (4, 2), (6, 2), (5, 3), (3, 4)])
def test_linear_regions(units: int, inputs: int, biases: bool) -> None:
    """As many patterns of on and off are possible as a linear program finds among all 2^n."""
    generator = np.random.default_rng(units)
    kernel = generator.normal(size=(units, inputs))
    bias = generator.normal(size=units) if biases else np.zeros(units)
    possible = 0
    for signs in product([-1, 1], repeat=units):
        side = np.array(signs)
        # Is there an x with side (W x + b) >= 1? Scaled up, that is any open region of the fan;
        # with biases, t scales them: side (W x + b t) >= 1 with t > 0.
        columns = np.column_stack([kernel, bias]) if biases else kernel
        limits = [(None, None)] * inputs + ([(1e-9, None)] if biases else [])
        solved = linprog(
            np.zeros(columns.shape[1]), -side[:, None] * columns, -np.ones(units), bounds=limits
        )
        possible += solved.status == 0
    assert networks.linear_regions(units, inputs, biases=biases) == possible


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("width", [1, 5, 200])
def test_two_layer_linear(width: int, seed: int) -> None:
    """Descent by autograd on both layers passes through the two numbers of the recursion."""
    u, v = drawn(seed, width), drawn(seed + 100, width)
    outputs, curvatures = [], []
    sharpness = ((u @ u + v @ v) / width).item()
    rate = [0.5, 1.9, 3.5][seed] / sharpness
    for _ in range(31):
        output = u @ v / width**0.5
        outputs.append(output.item())
        curvatures.append(((u @ u + v @ v) / width).item())
        along = torch.autograd.grad(output**2 / 2, (u, v))
        u, v = (
            w.detach().sub(rate * g).requires_grad_() for w, g in zip((u, v), along, strict=True)
        )
    found = networks.two_layer_linear(outputs[0], sharpness, rate, width=width, updates=30)
    np.testing.assert_allclose(found.outputs, outputs, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(found.curvatures, curvatures, rtol=1e-10)


@pytest.mark.parametrize("share", [0.5, 1.9, 2.1, 3.0, 3.9, 4.1])
def test_three_phases_of_a_wide_net(share: float) -> None:
    """The loss falls from the start below 2/λ, rises first below 4/λ, and diverges above."""
    with np.errstate(over="ignore", invalid="ignore"):
        found = networks.two_layer_linear(1.0, 2.0, share / 2, width=1000, updates=3000)
    rises = bool(abs(found.outputs[1]) > abs(found.outputs[0]))
    ends = bool(abs(found.outputs[-1]) < 1e-6)
    assert rises == (share > 2)
    assert ends == (share < 4)
    if 2 < share < 4:
        assert found.curvatures[-1] < 2 / (share / 2) < found.curvatures[0]


def relu_net(seed: int) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Return the weights of a net of 3 inputs, 6 ReLU units and 2 outputs, and its loss."""
    weights = [drawn(seed, 3, 6), drawn(seed + 1, 6), drawn(seed + 2, 6, 2), drawn(seed + 3, 2)]
    x, y = drawn(seed + 4, 9, 3).detach(), drawn(seed + 5, 9, 2).detach()
    return weights, ((outputs(weights, x) - y) ** 4).mean()


def outputs(weights: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Return what the net puts out."""
    return torch.relu(x @ weights[0] + weights[1]) @ weights[2] + weights[3]


@pytest.mark.parametrize("seed", [0, 10, 20])
def test_rescaling_changes_nothing(seed: int) -> None:
    """With factors from 0.01 to 100 a ReLU net puts out the same."""
    weights, _ = relu_net(seed)
    plain = [weight.detach().numpy() for weight in weights]
    scaled = networks.rescaled(plain[0], plain[1], plain[2], np.geomspace(0.01, 100, 6))
    x = drawn(seed + 7, 20, 3).detach()
    after = outputs([*(torch.tensor(part) for part in scaled), weights[3]], x)
    np.testing.assert_allclose(after.detach(), outputs(weights, x).detach(), rtol=1e-10)
    assert not np.allclose(scaled[0], plain[0])


@pytest.mark.parametrize("seed", [0, 10, 20])
def test_relu_imbalance(seed: int) -> None:
    """Autograd's gradients of a loss of fourth degree balance for every unit."""
    weights, loss = relu_net(seed)
    parts = [weight.detach().numpy() for weight in weights]
    along = [one.numpy() for one in torch.autograd.grad(loss, weights)]
    apart = networks.relu_imbalance(
        networks.Parts(*parts[:2]), networks.Parts(*along[:2]), parts[2], along[2]
    )
    scale = np.abs(parts[2] * along[2]).sum()
    np.testing.assert_allclose(apart, 0, atol=1e-13 * scale)
    without_bias = networks.relu_imbalance(
        networks.Parts(parts[0], np.zeros(6)), networks.Parts(*along[:2]), parts[2], along[2]
    )
    assert np.abs(without_bias).max() > 1e-3 * scale  # the bias is part of the balance


@pytest.mark.parametrize("epsilon", [0.0, 1e-3, 0.5])
def test_batchnorm_product(epsilon: float) -> None:
    """Autograd through a normalization of any ε has this product; a bias before it no gradient."""
    kernel, bias, gamma = drawn(1, 4, 3), drawn(2, 3), drawn(3, 3)
    x, y = drawn(4, 8, 4).detach(), drawn(5, 8, 3).detach()
    signal = x @ kernel + bias
    variance = signal.var(dim=0, correction=0)
    normal = (signal - signal.mean(dim=0)) / (variance + epsilon).sqrt()
    loss = ((torch.tanh(gamma * normal) - y) ** 2).mean()
    along = torch.autograd.grad(loss, (kernel, bias, gamma))
    found = networks.batchnorm_product(
        gamma.detach().numpy(), along[2].numpy(), variance.detach().numpy(), epsilon
    )
    product_in = (kernel.detach() * along[0]).sum(dim=0)
    np.testing.assert_allclose(found, product_in, rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(along[1], 0, atol=1e-14)
