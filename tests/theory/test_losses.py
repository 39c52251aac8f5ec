"""Losses and metrics: against PyTorch's, scikit-learn's and autograd's."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch.nn import functional

from dlbench.theory import losses as theory

if TYPE_CHECKING:
    from collections.abc import Callable

GENERATOR = np.random.default_rng(0)
Y, P = GENERATOR.normal(size=(20, 3)), GENERATOR.normal(size=(20, 3)) * 2
COUNTS, RATES = GENERATOR.poisson(2, size=(20, 3)), GENERATOR.uniform(0.1, 4, size=(20, 3))
LABELS, CHANCES = GENERATOR.integers(2, size=(20, 3)), GENERATOR.uniform(0.01, 0.99, size=(20, 3))
LOGITS = GENERATOR.normal(size=(20, 4)) * 3
CLASSES = GENERATOR.integers(4, size=20)
SOFT, GUESS = (GENERATOR.dirichlet(np.ones(4), size=20) for _ in range(2))


def by_output(loss: Callable[..., torch.Tensor], y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return a loss of PyTorch's, averaged over the outputs."""
    values = loss(torch.tensor(p), torch.tensor(y, dtype=torch.float64), reduction="none")
    mean: np.ndarray = values.mean(dim=-1).numpy()
    return mean


def test_regression() -> None:
    """Squared, absolute and Huber's error are PyTorch's."""
    np.testing.assert_allclose(theory.squared_error(Y, P), by_output(functional.mse_loss, Y, P))
    np.testing.assert_allclose(theory.absolute_error(Y, P), by_output(functional.l1_loss, Y, P))
    huber = by_output(functools.partial(functional.huber_loss, delta=0.7), Y, P)
    np.testing.assert_allclose(theory.huber(Y, P, 0.7), huber)


def test_log_cosh() -> None:
    """It is ln cosh, and does not overflow where cosh does."""
    np.testing.assert_allclose(theory.log_cosh(Y, P), np.log(np.cosh(P - Y)).mean(axis=1))
    assert theory.log_cosh([[0.0]], [[1000.0]])[0] == pytest.approx(1000 - np.log(2))


def test_poisson() -> None:
    """PyTorch's, once its ε is Keras'."""
    expected = functional.poisson_nll_loss(
        torch.tensor(RATES), torch.tensor(COUNTS), log_input=False, eps=1e-7, reduction="none"
    )
    np.testing.assert_allclose(theory.poisson(COUNTS, RATES), expected.mean(dim=1))


def test_hinge() -> None:
    """By hand: within the margin it is linear, beyond it 0."""
    y, p = np.array([[1.0, -1.0, 1.0]]), np.array([[0.25, 0.5, 2.0]])
    np.testing.assert_allclose(theory.hinge(y, p), (0.75 + 1.5 + 0) / 3)
    np.testing.assert_allclose(theory.hinge(y, p, squared=True), (0.75**2 + 1.5**2) / 3)


def test_binary_crossentropy() -> None:
    """Of probabilities and of logits it is PyTorch's; without a focus the focal one is the same."""
    expected = by_output(functional.binary_cross_entropy, LABELS, CHANCES)
    logits = np.log(CHANCES / (1 - CHANCES))
    np.testing.assert_allclose(theory.binary_crossentropy(LABELS, CHANCES), expected)
    np.testing.assert_allclose(theory.binary_crossentropy_of_logits(LABELS, logits), expected)
    np.testing.assert_allclose(theory.focal_crossentropy(LABELS, CHANCES, 0.0), expected)
    right = np.where(LABELS == 1, CHANCES, 1 - CHANCES)
    focal = ((1 - right) ** 3 * -np.log(right)).mean(axis=1)
    np.testing.assert_allclose(theory.focal_crossentropy(LABELS, CHANCES, 3.0), focal)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_categorical_crossentropy(smoothing: float) -> None:
    """From probabilities and from logits, smoothed or not, it is PyTorch's."""
    expected = functional.cross_entropy(
        torch.tensor(LOGITS), torch.tensor(CLASSES), label_smoothing=smoothing, reduction="none"
    )
    chances = torch.softmax(torch.tensor(LOGITS), dim=1).numpy()
    found = theory.categorical_crossentropy(np.eye(4)[CLASSES], chances, smoothing)
    np.testing.assert_allclose(found, expected)
    if not smoothing:
        np.testing.assert_allclose(theory.crossentropy_of_logits(CLASSES, LOGITS), expected)


def test_a_guess_costs_the_log_of_the_classes() -> None:
    """Where all logits agree, the cross-entropy is ln(classes)."""
    assert theory.crossentropy_of_logits([3], [[7.0] * 10])[0] == pytest.approx(np.log(10))


def test_crossentropy_gradient() -> None:
    """It is autograd's, and sums to 0 over the classes."""
    logits = torch.tensor(LOGITS, requires_grad=True)
    loss = functional.cross_entropy(logits, torch.tensor(CLASSES))
    (gradient,) = torch.autograd.grad(loss, logits)
    found = theory.crossentropy_gradient(CLASSES, LOGITS)
    np.testing.assert_allclose(found, gradient, atol=1e-15)
    np.testing.assert_allclose(found.sum(axis=1), 0, atol=1e-16)


def test_divergence_and_distance() -> None:
    """Kullback and Leibler's divergence and the cosine are PyTorch's."""
    divergence = functional.kl_div(
        torch.tensor(GUESS).log(), torch.tensor(SOFT), reduction="none"
    ).sum(dim=1)
    np.testing.assert_allclose(theory.kl_divergence(SOFT, GUESS), divergence)
    cosine = functional.cosine_similarity(torch.tensor(Y), torch.tensor(P))
    np.testing.assert_allclose(theory.cosine_distance(Y, P), -cosine)


def test_weighted_mean() -> None:
    """Weights do not renormalize: all of weight 2 make a loss of twice the size."""
    assert theory.weighted_mean([1.0, 3.0]) == 2
    assert theory.weighted_mean([1.0, 3.0], [2.0, 2.0]) == 4
    assert theory.weighted_mean([1.0, 3.0], [1.0, 0.0]) == 0.5


@pytest.mark.parametrize("count", [1, 2, 3])
def test_top_accuracy(count: int) -> None:
    """The share is scikit-learn's."""
    expected = metrics.top_k_accuracy_score(CLASSES, LOGITS, k=count, labels=range(4))
    assert theory.top_accuracy(CLASSES, LOGITS, count) == pytest.approx(expected)


def test_precision_recall_and_area() -> None:
    """Both shares and the area, ties among the scores included, are scikit-learn's."""
    labels, chances = LABELS.ravel(), CHANCES.ravel().round(1)
    found = chances > 0.35
    np.testing.assert_allclose(
        theory.precision_recall(labels, chances, 0.35),
        [metrics.precision_score(labels, found), metrics.recall_score(labels, found)],
    )
    area = theory.area_under_curve(labels, chances)
    assert area == pytest.approx(metrics.roc_auc_score(labels, chances))


def test_explained_variance() -> None:
    """It is scikit-learn's R²: 1 for the truth, 0 for the mean."""
    assert theory.explained_variance(Y[:, 0], P[:, 0]) == pytest.approx(
        metrics.r2_score(Y[:, 0], P[:, 0])
    )
    assert theory.explained_variance(Y[:, 0], Y[:, 0]) == 1
