"""Probes are what they say: against exact Hessians, all gradients of single samples, and by hand."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest
import torch

from dlbench.backend import as_tensors, seeded, true_float64
from dlbench.engines import probes, train, train_sweep
from dlbench.engines.fit import as_fit_trains, compiled
from dlbench.engines.program import Program
from dlbench.engines.state import state_of
from dlbench.engines.tracing import traceable_keras
from dlbench.errors import EngineError, ExperimentError
from dlbench.experiment import PROBES, Experiment, Workload
from dlbench.theory import descent, minibatches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dlbench.engines import Engine
    from dlbench.runs import Runs

layers = keras.layers
SAMPLES = 12


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """Everything here is in true float64, and as the engines run it."""
    with ExitStack() as stack:
        for block in (true_float64(), as_fit_trains(), traceable_keras()):
            stack.enter_context(block)
        yield


def experiment(build: Callable[[], keras.Model], *, loss: Any = "mse", **how: Any) -> Experiment:
    """Return an experiment of three runs on few samples of 3 inputs."""
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(SAMPLES, 3)), generator.normal(size=(SAMPLES, 1))
    problem = Workload(name="few", model=build, data=(x, y), loss=loss, metrics=["mae"])
    return Experiment(problem, **{"learning_rate": 0.1, "steps": 1, "seeds": 3} | how)


def dense(activation: str | None = "tanh") -> keras.Model:
    """Return a net of 3 inputs, 4 units and an output."""
    hidden = layers.Dense(4, activation=activation, bias_initializer="random_normal")
    return keras.Sequential([keras.Input((3,)), hidden, layers.Dense(1)])


def linear() -> keras.Model:
    """Return a linear model with a bias."""
    return keras.Sequential([keras.Input((3,)), layers.Dense(1)])


def normalized() -> keras.Model:
    """Return a net with batch normalization."""
    middle = [layers.Dense(4), layers.BatchNormalization(), layers.Activation("tanh")]
    return keras.Sequential([keras.Input((3,)), *middle, layers.Dense(1)])


def wrapped() -> keras.Model:
    """Return a torch module in a Keras model."""
    module = torch.nn.Sequential(
        torch.nn.Linear(3, 4, dtype=torch.float64), torch.nn.Tanh(),
        torch.nn.Linear(4, 1, dtype=torch.float64),
    )  # fmt: skip
    return keras.Sequential([keras.Input((3,)), layers.TorchModuleWrapper(module)])


def models(of: Experiment) -> list[keras.Model]:
    """Return a model a seed, compiled, its optimizer built."""
    made = []
    for seed in of.seeds:
        with seeded(seed):
            model = compiled(of)
        model.optimizer.build(model.trainable_variables)
        made.append(model)
    return made


def data(of: Experiment) -> tuple[Any, Any, Any]:
    """Return the training set as the engines hand it to a program."""
    train = of.workload.data.train
    return as_tensors(train.x), as_tensors(train.y), as_tensors(train.weight)


def one(of: Experiment, names: list[str], model: keras.Model) -> dict[str, float]:
    """Return what probes say of one run."""
    state = state_of(model)
    found = probes.read(names, Program(of, model), state, state, state, probes.probed(data(of)))
    return {name: value.item() for name, value in found.items()}


def gradients(of: Experiment, model: keras.Model) -> np.ndarray:
    """Return the gradient of every sample by autograd, shape `(samples, parameters)`."""
    x, y, _ = data(of)
    weights = [variable.value for variable in model.trainable_variables]
    rows = []
    for at in range(SAMPLES):
        loss = ((model(x[at : at + 1], training=False) - y[at : at + 1]) ** 2).mean()
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights)]))
    return torch.stack(rows).numpy()


def quadratic(curvature: torch.Tensor) -> probes.Probed:
    """Return a run at the optimum of a quadratic loss of a diagonal Hessian."""
    weights = [torch.zeros_like(curvature)]

    def loss(w: list[torch.Tensor], _: slice | torch.Tensor) -> torch.Tensor:
        return (curvature * w[0] ** 2).sum() / 2

    return probes.Probed(weights, weights, weights, loss, SAMPLES, ["w"])


def test_gradients_of_a_layer_that_looks_at_its_inputs() -> None:
    """Where batches cannot be taken at once they are taken one by one."""
    looked = []
    values = torch.arange(6.0)

    def loss(w: list[torch.Tensor], rows: slice | torch.Tensor) -> torch.Tensor:
        batch = values[rows]
        looked.append(bool(batch.sum() > 0))
        return (batch.mean() * w[0]).sum()

    weights = [torch.ones(2)]
    run = probes.Probed(weights, weights, weights, loss, 6, ["w"])
    assert run.gradients(3, 2).tolist() == [[0.5, 0.5], [2.5, 2.5], [4.5, 4.5]]
    assert looked == [True] * 3


@pytest.mark.parametrize("build", [dense, linear, normalized, wrapped])
def test_sharpness(build: Callable[[], keras.Model]) -> None:
    """It is the largest eigenvalue of the Hessian, row by row from autograd, in every model."""
    of = experiment(build)
    for model in models(of):
        x, y, _ = data(of)
        weights = [variable.value for variable in model.trainable_variables]
        loss = ((model(x, training=False) - y) ** 2).mean()
        slopes = torch.autograd.grad(loss, weights, create_graph=True)
        rows = [
            torch.cat([part.flatten() for part in torch.autograd.grad(
                each, weights, retain_graph=True, materialize_grads=True, allow_unused=True)])
            for slope in slopes for each in slope.flatten()
        ]  # fmt: skip
        expected = torch.linalg.eigvalsh(torch.stack(rows))[-1].item()
        assert one(of, ["sharpness"], model)["sharpness"] == pytest.approx(expected, rel=1e-9)


def test_sharpness_of_least_squares() -> None:
    """Of a linear model it is the curvature by formula, whatever the weights."""
    of = experiment(linear)
    x, y = (np.asarray(part) for part in data(of)[:2])
    quadratic = descent.least_squares(np.column_stack([x, np.ones(SAMPLES)]), y[:, 0])
    for model in models(of):
        found = one(of, ["sharpness"], model)["sharpness"]
        assert found == pytest.approx(quadratic.curvature.max(), rel=1e-12)


def test_a_flat_direction_is_not_the_sharpest() -> None:
    """Where the largest eigenvalue by size is negative, the largest is still the positive one."""
    run = quadratic(torch.tensor([1.0, -5.0, 0.0], dtype=torch.float64))
    assert probes.sharpness(run)["sharpness"].item() == pytest.approx(1, rel=1e-12)


def test_sharpness_of_many_parameters() -> None:
    """Among 400 eigenvalues, thirty iterations find the largest to a thousandth."""
    eigenvalues = torch.linspace(0, 1, 400, dtype=torch.float64) ** 2 * 10
    assert probes.sharpness(quadratic(eigenvalues))["sharpness"].item() == pytest.approx(
        10, rel=1e-3
    )


@pytest.mark.parametrize("build", [dense, wrapped])
def test_noise_scale(build: Callable[[], keras.Model]) -> None:
    """From parts of single samples: signal and noise, corrected for how few samples there are."""
    of = experiment(build)
    for model in models(of):
        single = gradients(of, model)
        trace = np.trace(minibatches.covariance(single))
        found = one(of, ["noise_scale"], model)
        noise = trace * SAMPLES / (SAMPLES - 1)
        signal = np.sum(single.mean(axis=0) ** 2) - trace / (SAMPLES - 1)
        assert found["gradient_noise"] == pytest.approx(noise, rel=1e-10)
        assert found["gradient_signal"] == pytest.approx(signal, rel=1e-10)


def test_noise_of_larger_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """From parts of three samples, the estimate is that of batches of 3 and of 12."""
    monkeypatch.setattr(probes, "PARTS", 4)
    of = experiment(dense)
    model = models(of)[0]
    single = gradients(of, model)
    small = np.mean(np.sum(single.reshape(4, 3, -1).mean(axis=1) ** 2, axis=1))
    large = np.sum(single.mean(axis=0) ** 2)
    expected = minibatches.noise_estimate(small, large, small_size=3, large_size=SAMPLES)
    found = one(of, ["noise_scale"], model)
    assert found["gradient_signal"] == pytest.approx(float(expected.signal), rel=1e-10)
    assert found["gradient_noise"] == pytest.approx(float(expected.noise), rel=1e-10)


@pytest.mark.parametrize("build", [dense, normalized, wrapped])
def test_gradient_norms(build: Callable[[], keras.Model]) -> None:
    """The whole gradient's length is autograd's; those of the variables make it up."""
    of = experiment(build)
    model = models(of)[0]
    found = one(of, ["gradient_norms"], model)
    whole = found.pop("gradient_norm")
    assert whole == pytest.approx(np.linalg.norm(gradients(of, model).mean(axis=0)), rel=1e-12)
    assert whole > 0
    assert np.linalg.norm(list(found.values())) == pytest.approx(whole, rel=1e-12)
    assert list(found) == [f"gradient_norm {v.path}" for v in model.trainable_variables]


@pytest.mark.parametrize("dead", [0, 1, 3])
def test_dead_units(dead: int) -> None:
    """Units with a bias far below 0 are off for every sample, and counted; the output is a unit."""
    of = experiment(lambda: dense("relu"))
    model = models(of)[0]
    hidden, bias = model.layers[0], np.full(4, 10.0)
    bias[:dead] = -100
    hidden.bias.assign(bias)
    assert one(of, ["dead_units"], model)["dead_units"] == pytest.approx(dead / 5)


def test_distance() -> None:
    """Weights that have all doubled are a length of their start away."""
    of = experiment(dense)
    model = models(of)[0]
    start = state_of(model)
    for variable in model.trainable_variables:
        variable.assign(2 * variable.value)
    state = state_of(model)
    found = probes.read(["distance"], Program(of, model), state, state, start, data(of))
    assert found["distance"].item() == pytest.approx(1, rel=1e-12)


def test_update_ratio() -> None:
    """Weights that grew by a tenth in an update moved by a tenth of their length before it."""
    of = experiment(dense)
    model = models(of)[0]
    before = state_of(model)
    for variable in model.trainable_variables:
        variable.assign(1.1 * variable.value)
    state = state_of(model)
    found = probes.read(["update_ratio"], Program(of, model), state, before, state, data(of))
    assert found["update_ratio"].item() == pytest.approx(0.1, rel=1e-12)


@pytest.mark.parametrize("build", [dense, normalized, wrapped])
def test_all_runs_at_once(build: Callable[[], keras.Model]) -> None:
    """Under `vmap` each run's probes are what they are alone."""
    of = experiment(build)
    made, names = models(of), list(probes.PROBES)
    states = [torch.stack(parts) for parts in zip(*map(state_of, made), strict=True)]
    starts = [part * 1.5 if part.is_floating_point() else part for part in states]
    program, samples = Program(of, made[0]), probes.probed(data(of))

    def read(state: list[torch.Tensor], start: list[torch.Tensor]) -> dict[str, torch.Tensor]:
        return probes.read(names, program, state, start, start, samples)

    together = torch.func.vmap(read)(states, starts)
    for run in range(len(made)):
        alone = read([part[run] for part in states], [part[run] for part in starts])
        assert together.keys() == alone.keys()
        for name, value in alone.items():
            assert together[name][run].item() == pytest.approx(value.item(), rel=1e-8), name


def test_probed_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a set that is too large every third sample is taken, say, over its whole length."""
    monkeypatch.setattr(probes, "SAMPLES", 5)
    of = experiment(dense)
    x, y, weight = probes.probed(data(of))
    assert len(x) == len(y) == 4
    assert weight is None
    np.testing.assert_array_equal(x, data(of)[0][::3])


def test_every_probe_has_a_name() -> None:
    """What an experiment may ask for is what can be read."""
    assert tuple(probes.PROBES) == PROBES


@pytest.mark.parametrize("build", [dense, normalized, wrapped])
def test_in_chunks(build: Callable[[], keras.Model]) -> None:
    """Samples that do not fit into memory are taken five at a time, with the same values."""
    of = experiment(build)
    model = models(of)[0]
    state, program = state_of(model), Program(of, model)
    whole, parts = (
        probes.read(PROBES, program, state, state, state, data(of), chunk) for chunk in (99, 5)
    )
    for name, value in whole.items():
        assert parts[name].item() == pytest.approx(value.item(), rel=1e-9), name


def test_few_runs_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that do not fit into memory together are read one after the other."""
    of = experiment(dense, probes=PROBES)
    made = models(of)
    states = [torch.stack(parts) for parts in zip(*map(state_of, made), strict=True)]
    found = []
    for passes in (1, 10**9):
        monkeypatch.setattr(probes, "PASSES", passes)
        prober = probes.Prober(of, Program(of, made[0]), state_of(made[0]))
        prober.start(states)
        found.append(prober.read(states, states, np.zeros(3)))
    for name, values in found[0].items():
        np.testing.assert_allclose(found[1][name], values, rtol=1e-9, err_msg=name)


def by_both(of: Experiment, **options: Any) -> tuple[Runs, Runs]:
    """Return the runs of both engines."""
    return train(of, engine="vectorized", **options), train(of, engine="fit")


@pytest.mark.parametrize("build", [dense, normalized, wrapped, lambda: dense("relu")])
def test_both_engines_read_the_same(build: Callable[[], keras.Model]) -> None:
    """At every point of every run the probes agree to 1e-8, in true float64."""
    of = experiment(build, steps=4, seeds=2, batch_size=5, optimizer="adam", probes=PROBES)
    ours, theirs = by_both(of)
    assert list(ours.curves) == list(theirs.curves)
    for name, values in theirs.curves.items():
        assert values.shape == (2, 5)
        assert np.isfinite(values).all(), name
        # Where nothing has moved yet, and where the gradient is 0, it is rounding.
        np.testing.assert_allclose(ours.curves[name], values, rtol=1e-8, atol=1e-13, err_msg=name)


def test_curves_are_those_of_probes() -> None:
    """At each point: 0 at first for what is relative to the start, and the formula's sharpness."""
    of = experiment(linear, steps=4, probes=["distance", "sharpness", "update_ratio"])
    x = np.asarray(data(of)[0])
    curvature = descent.least_squares(np.column_stack([x, np.ones(SAMPLES)]), x[:, 0]).curvature
    for runs in by_both(of):
        assert list(runs.curves)[-3:] == [f"probe_{name}" for name in of.probes]
        np.testing.assert_allclose(runs.curves["probe_sharpness"], curvature.max(), rtol=1e-10)
        for name in ("probe_distance", "probe_update_ratio"):
            assert (runs.curves[name][:, 0] == 0).all()
            assert (runs.curves[name][:, 1:] > 0).all()
        # One update from the start both are the same.
        np.testing.assert_array_equal(
            runs.curves["probe_distance"][:, 1], runs.curves["probe_update_ratio"][:, 1]
        )


@pytest.mark.parametrize("engine", ["vectorized", "fit"])
@pytest.mark.parametrize("build", [dense, wrapped])
def test_probes_change_no_run(build: Callable[[], keras.Model], engine: Engine) -> None:
    """With probes and without, every other curve is the same bit for bit, and so is the id."""
    plain, probing = (
        experiment(build, steps=4, seeds=2, batch_size=5, optimizer="adam", probes=names)
        for names in ((), PROBES)
    )
    assert plain.id == probing.id
    before, after = train(plain, engine=engine), train(probing, engine=engine)
    assert before.starts == after.starts
    for name, values in before.curves.items():
        np.testing.assert_array_equal(after.curves[name], values, err_msg=name)


@pytest.mark.parametrize("engine", ["vectorized", "fit"])
def test_a_run_that_diverges(engine: Engine) -> None:
    """Where a run has no loss any more its probes are NaN; the other runs' are what they are."""
    of = experiment(dense, steps=8, seeds=1, probes=PROBES)
    slow, fast = train_sweep(
        [of.varied(learning_rate=rate) for rate in (0.01, 3e38)], engine=engine
    )
    diverged = ~np.isfinite(fast.curves["loss"])
    assert diverged.any()
    for name in fast.curves:
        assert np.isnan(fast.curves[name][diverged]).all(), name
        assert np.isfinite(slow.curves[name]).all(), name


def test_a_sweep_shares_its_probes() -> None:
    """Experiments that ask for other probes are not trained together."""
    with pytest.raises(ExperimentError, match="differ in more"):
        train_sweep([experiment(dense), experiment(dense, probes=["distance"])])


def test_what_has_no_second_derivative() -> None:
    """A loss that `torch.func` cannot differentiate is refused by name, before training."""

    def leaves_torch(y: Any, p: Any) -> Any:
        return ((torch.as_tensor(p.detach().numpy()) - y) ** 2).mean(dim=-1) + 0 * p.mean(dim=-1)

    with pytest.raises(EngineError, match=r"probes of 'few' cannot be read: .*; train it without"):
        train(experiment(dense, loss=leaves_torch, probes=["sharpness"]))
