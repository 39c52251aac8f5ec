"""The workloads in the plane: samples, classes, and that a line does not divide them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from dlbench.engines.fit import train_by_fit
from dlbench.experiment import Experiment, Workload
from dlbench.workloads import moons, spirals, xor
from dlbench.workloads.synthetic import MOON_NOISE, SPIRAL_NOISE

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.data import Samples

PLANAR = [spirals, moons]


def both(workload: Workload) -> list[Samples]:
    """Return the training and the validation samples."""
    assert workload.data.validation is not None
    return [workload.data.train, workload.data.validation]


def points(samples: Samples) -> np.ndarray:
    """Return the inputs, shape `(n, 2)`, as float64."""
    assert isinstance(samples.x, np.ndarray)
    return samples.x.astype(float)


@pytest.mark.parametrize("make", PLANAR)
def test_form(make: Callable[[], Workload]) -> None:
    """400 samples train and 400 others validate, half of each in either class."""
    train, validation = both(make())
    for samples in (train, validation):
        assert points(samples).shape == (400, 2)
        assert np.bincount(samples.y).tolist() == [200, 200]
    assert not {tuple(row) for row in points(train)} & {tuple(row) for row in points(validation)}


@pytest.mark.parametrize("make", PLANAR)
def test_samples_never_depend_on_a_seed(make: Callable[[], Workload]) -> None:
    """Whatever the global generator holds, the same samples come; and it is left alone."""
    np.random.seed(1)  # noqa: NPY002
    before = np.random.get_state()[1].tolist()  # type: ignore[index] # noqa: NPY002
    one = make()
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index] # noqa: NPY002
    np.random.seed(2)  # noqa: NPY002
    assert one.data.digest == make().data.digest


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (spirals, [[-0.03925, -0.75096], [-0.53064, 0.65829]]),
        (moons, [[-0.13548, 0.93139], [1.36435, -0.47554]]),
    ],
)
def test_samples_are_the_same_for_ever(
    make: Callable[[], Workload], expected: list[list[float]]
) -> None:
    """The first two points, as RandomState's frozen stream draws them."""
    assert points(both(make())[0])[:2] == pytest.approx(np.array(expected), abs=1e-4)


def test_spirals_are_spirals() -> None:
    """Turned back by its radius, each class lies on one ray, opposite to the other's."""
    for samples in both(spirals()):
        x = points(samples)
        radius = np.hypot(*x.T)
        outer = radius > 0.3  # near the centre noise turns an angle by too much
        angle = np.arctan2(x[:, 1], x[:, 0]) - 2 * np.pi * radius - np.pi * samples.y
        off = np.angle(np.exp(1j * angle))[outer]
        assert np.abs(off).max() < 5 * SPIRAL_NOISE * (2 * np.pi + 1 / 0.3)
        assert abs(off.mean()) < 0.05
        assert radius.max() < 1 + 5 * SPIRAL_NOISE


def test_moons_are_half_circles() -> None:
    """Each class lies around its half circle of radius 1, and the two reach into each other."""
    for samples in both(moons()):
        x = points(samples)
        for label, centre, upper in ((0, [0.0, 0.0], 1), (1, [1.0, 0.5], -1)):
            own = x[samples.y == label] - centre
            distance = np.hypot(*own.T) - 1
            assert np.abs(distance).max() < 5 * MOON_NOISE
            assert distance.std() == pytest.approx(MOON_NOISE, rel=0.2)
            assert (own[:, 1] * upper).min() > -5 * MOON_NOISE


@pytest.mark.parametrize(
    ("make", "loss", "accuracy"), [(spirals, 0.438, 0.725), (moons, 0.262, 0.860)]
)
def test_no_line_divides_them(make: Callable[[], Workload], loss: float, accuracy: float) -> None:
    """The optimum of logistic regression is what the docstrings say, short of the target."""
    train, validation = both(make())
    line = LogisticRegression(C=1e6, max_iter=1000).fit(points(train), train.y)
    chances = line.predict_proba(points(train))[np.arange(400), train.y]
    assert -np.log(chances).mean() == pytest.approx(loss, abs=1e-3)
    assert line.score(points(validation), validation.y) == pytest.approx(accuracy, abs=1e-3)


def test_xor_is_the_four_points() -> None:
    """Each pair of bits once, labelled by whether they differ; no validation set."""
    data = xor().data
    assert data.validation is None
    table = {
        (int(a), int(b)): int(y) for (a, b), y in zip(points(data.train), data.train.y, strict=True)
    }
    assert table == {(0, 0): 0, (0, 1): 1, (1, 0): 1, (1, 1): 0}


def test_xor_trains_from_some_seeds_only() -> None:
    """The smallest network converges from some seeds; from others it stays above ln(2) / 2."""
    experiment = Experiment(
        xor(), optimizer="adam", learning_rate=0.05, batch_size=4, steps=150, seeds=8
    )
    runs = train_by_fit(experiment, lambda *_: None)
    assert set(runs.regimes) == {"converged", "slow"}
    assert runs.final("loss")[runs.regimes == "slow"].min() > np.log(2) / 2 - 1e-3
    assert runs.final("accuracy")[runs.regimes == "converged"].min() == 1


@pytest.mark.parametrize("make", [spirals, moons, xor])
def test_family_by_activation_depth_and_width(make: Callable[..., Workload]) -> None:
    """The models vary as an analysis asks; the data do not."""
    one = make(activation="sigmoid", depth=3, width=5)
    assert [layer.units for layer in one.build().layers] == [5, 5, 5, 2]
    assert one.data.digest == make().data.digest
    assert one.name == make.__name__
    assert [layer.units for layer in make(depth=0).build().layers] == [2]


@pytest.mark.parametrize("make", PLANAR)
def test_reaches_its_target(make: Callable[[], Workload]) -> None:
    """At the setting of the docstring a seed that was not measured reaches the target."""
    experiment = Experiment(make(), optimizer="adam", learning_rate=0.01, epochs=30, seeds=[100])
    assert train_by_fit(experiment, lambda *_: None).regime == "converged"
