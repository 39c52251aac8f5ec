"""The workloads on scikit-learn's data: the data's form, the split, and that they train."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits

from dlbench.engines.fit import train_by_fit
from dlbench.experiment import Experiment, Workload
from dlbench.workloads import diabetes, digits_cnn, digits_mlp

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.data import Samples


def parts(workload: Workload) -> tuple[Samples, Samples]:
    """Return the training and the validation samples."""
    assert workload.data.validation is not None
    return workload.data.train, workload.data.validation


def rows(*parts: Samples) -> np.ndarray:
    """Return all inputs and labels, a row a sample, sorted."""
    joined = [np.column_stack([p.x.reshape(len(p), -1), p.y]) for p in parts]  # type: ignore[union-attr]
    together = np.concatenate(joined)
    return together[np.lexsort(together.T)]


@pytest.mark.parametrize(
    ("make", "train", "validation", "shape", "parameters"),
    [
        (digits_mlp, 1437, 360, (64,), 64 * 32 + 32 + 32 * 32 + 32 + 32 * 10 + 10),
        (digits_cnn, 1437, 360, (8, 8, 1), 9 * 8 + 8 + 9 * 8 * 16 + 16 + 64 * 10 + 10),
        (diabetes, 353, 89, (10,), 10 * 32 + 32 + 32 * 32 + 32 + 32 + 1),
    ],
)
def test_form(
    make: Callable[[], Workload],
    train: int,
    validation: int,
    shape: tuple[int, ...],
    parameters: int,
) -> None:
    """Data and models have the sizes that the tour names."""
    workload = make()
    ours, theirs = parts(workload)
    assert (len(ours), len(theirs)) == (train, validation)
    assert ours.x.shape[1:] == shape  # type: ignore[union-attr]
    assert ours.x.dtype == np.float32  # type: ignore[union-attr]
    assert workload.name == make.__name__
    assert Experiment(workload).model["parameters"] == parameters


@pytest.mark.parametrize("make", [digits_mlp, digits_cnn])
def test_digits_are_all_of_scikit_learns(make: Callable[[], Workload]) -> None:
    """Both parts together are the whole set, each sample with its label, pixels from 0 to 1."""
    pixels, labels = load_digits(return_X_y=True)
    expected = np.column_stack([pixels / 16, labels])
    found = rows(*parts(make()))
    assert np.array_equal(found, expected[np.lexsort(expected.T)])


def test_both_digits_workloads_have_the_same_samples() -> None:
    """The two models can be compared: same data, same split, same target."""
    perceptron, convolutional = digits_mlp(), digits_cnn()
    for ours, theirs in zip(parts(perceptron), parts(convolutional), strict=True):
        assert np.array_equal(np.array(ours.x), np.array(theirs.x).reshape(-1, 64))
        assert np.array_equal(ours.y, theirs.y)
    assert perceptron.target == convolutional.target


def test_diabetes_is_standardized_by_the_training_part() -> None:
    """Mean 0 and standard deviation 1 hold of the training part; validation takes its scale."""
    train, validation = parts(diabetes())
    for values in (train.x, train.y):
        assert np.abs(values.mean(axis=0)).max() < 1e-6  # type: ignore[union-attr]
        assert np.abs(values.std(axis=0) - 1).max() < 1e-5  # type: ignore[union-attr]
    raw = load_diabetes().target
    y = np.concatenate([train.y, validation.y])
    scale, shift = np.polyfit(np.sort(y), np.sort(raw), 1)
    assert np.allclose(np.sort(y) * scale + shift, np.sort(raw), atol=1e-3)
    assert abs(validation.y.mean()) > 1e-3


def test_data_never_depend_on_a_seed() -> None:
    """Whatever the global generators hold, the same samples come; and they are left alone."""
    digests = set()
    for seed in (0, 1):
        np.random.seed(seed)  # noqa: NPY002
        before = np.random.get_state()[1].tolist()  # type: ignore[index] # noqa: NPY002
        digests.add((digits_mlp().data.digest, diabetes().data.digest))
        assert np.random.get_state()[1].tolist() == before  # type: ignore[index] # noqa: NPY002
    assert len(digests) == 1


def test_split_is_the_same_for_ever() -> None:
    """The first labels of both parts, as RandomState's frozen stream splits them."""
    train, validation = parts(digits_mlp())
    assert train.y[:10].tolist() == [2, 8, 2, 6, 6, 7, 1, 9, 8, 5]
    assert len(np.unique(validation.y)) == 10
    assert digits_mlp().data.digest == "19caaae327ddcf88"


def test_family_by_activation_depth_and_width() -> None:
    """The models vary as an analysis asks; the data do not."""
    one = digits_mlp(activation="tanh", depth=3, width=8)
    assert [layer.units for layer in one.build().layers] == [8, 8, 8, 10]
    assert one.data.digest == digits_mlp().data.digest
    assert Experiment(one).id != Experiment(digits_mlp()).id
    assert len(digits_cnn(filters=(4,)).build().layers) == 4
    assert [layer.units for layer in diabetes(depth=0).build().layers] == [1]


@pytest.mark.parametrize(
    ("make", "rate", "epochs"), [(digits_mlp, 0.1, 12), (digits_cnn, 0.1, 12), (diabetes, 0.01, 20)]
)
def test_reaches_its_target(make: Callable[[], Workload], rate: float, epochs: int) -> None:
    """At the setting of the docstring a seed that was not measured reaches the target."""
    workload = make()
    experiment = Experiment(workload, learning_rate=rate, epochs=epochs, seeds=[100])
    runs = train_by_fit(experiment, lambda *_: None)
    assert runs.regime == "converged"
