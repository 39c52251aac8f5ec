"""The laws can fail: one bug at a time is put into Keras, and the law that covers it goes red.

The laws are those of `benchmarks/test_laws*.py`, and the one of another essay that rests on a formula
alone, called as they stand there.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import pytest
import torch
from keras import ops
from keras.src import backend, losses
from keras.src.backend.torch import nn
from keras.src.backend.torch.optimizers import torch_adam, torch_lion, torch_rmsprop, torch_sgd
from keras.src.backend.torch.optimizers.torch_optimizer import TorchOptimizer
from keras.src.initializers import random_initializers
from keras.src.optimizers import base_optimizer
from keras.src.optimizers.base_optimizer import BaseOptimizer
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter

from dlbench.backend import true_float64
from dlbench.engines import train_sweep
from dlbench.experiment import Experiment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Patch = Callable[[pytest.MonkeyPatch], None]
    Case = tuple[str, Patch, str, dict[str, Any]]


def load_laws(path: Path) -> dict[str, Any]:
    """Return what a benchmark's module defines."""
    spec = spec_from_file_location(f"{path.stem}_under_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return vars(module)


FOLDER = Path(__file__).parents[2] / "benchmarks"
ESSAYS = [load_laws(path) for path in sorted(FOLDER.glob("test_laws*.py"))]
LAWS = {name: law for essay in ESSAYS for name, law in essay.items() if name.startswith("test_")}
LAWS["test_range_test"] = load_laws(FOLDER / "test_learning_rate.py")["test_range_test"]
TABLES = {
    name: essay[name]
    for essay in ESSAYS
    for name in ("SCHEDULES", "LOSSES", "METRICS")
    if name in essay
}


class Convergence:
    """What the laws need of the fixture: it trains, and throws pictures away."""

    def sweep(self, workload: Any, *, learning_rate: Any, **how: Any) -> dict[float, Any]:
        """Train two seeds from each rate, as the fixture does.

        A bug that one engine has alone is found before any law is, and left to `fit`.
        """
        how |= {"seeds": 2}
        of = [Experiment(workload, learning_rate=rate, **how) for rate in learning_rate]
        return dict(zip(learning_rate, train_sweep(of, engine="auto"), strict=True))

    def figure(self, figure: Any, caption: str) -> None:
        """Close the picture."""
        from matplotlib import pyplot as plt

        plt.close(figure.figure)


def follow(law: str, case: dict[str, Any]) -> None:
    """Call a law as pytest would."""
    function = LAWS[law]
    wanted = inspect.signature(function).parameters
    precision = {"precision": "float64"} if "precision" in wanted else {}
    fixture = {"convergence": Convergence()} if "convergence" in wanted else {}
    with true_float64():
        function(**precision, **fixture, **case)


# ---- ways to break things


def wrapped(owner: Any, name: str, change: Callable[..., Any]) -> Patch:
    """Return a patch: `change` is called with the original first, in its place."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        original = getattr(owner, name)

        @functools.wraps(original)  # Keras looks at what a layer's `call` takes
        def changed(*args: Any, **kwargs: Any) -> Any:
            return change(original, *args, **kwargs)

        monkeypatch.setattr(owner, name, changed)

    return patch


def option(owner: Any, **values: Any) -> Patch:
    """Return a patch: an optimizer's update runs as if it had other options."""

    def change(original: Any, self: Any, *args: Any) -> None:
        kept = {name: getattr(self, name) for name in values}
        try:
            for name, value in values.items():
                setattr(self, name, value(kept[name]) if callable(value) else value)
            original(self, *args)
        finally:
            for name, value in kept.items():
                setattr(self, name, value)

    return wrapped(owner, "_parallel_update_step", change)


def rate(factor: float) -> Patch:
    """Return a patch: SGD's rate is off by a factor."""
    return wrapped(
        torch_sgd.SGD,
        "_parallel_update_step",
        lambda original, self, grads, variables, eta: original(
            self, grads, variables, eta * factor
        ),
    )


def adam(*, inside: bool = False, corrected: bool = True) -> Patch:
    """Return a patch: Adam with ε inside the root, or without the correction of its averages."""

    def change(_: Any, self: Any, grads: Any, variables: Any, eta: Any) -> None:
        step = float(self.iterations) + 1
        for gradient, variable in zip(grads, variables, strict=True):
            index = self._get_variable_index(variable)
            mean, square = self._momentums[index].value, self._velocities[index].value
            mean.mul_(self.beta_1).add_(gradient, alpha=1 - self.beta_1)
            square.mul_(self.beta_2).add_(gradient**2, alpha=1 - self.beta_2)
            size = float(eta)
            if corrected:
                size *= (1 - self.beta_2**step) ** 0.5 / (1 - self.beta_1**step)
            root = (square + self.epsilon).sqrt() if inside else square.sqrt() + self.epsilon
            variable.value.sub_(size * mean / root)

    return wrapped(torch_adam.Adam, "_parallel_update_step", change)


def scaled_initializer(**values: Any) -> Patch:
    """Return a patch: an initializer draws as if it were another."""

    def change(original: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
        for name, value in values.items():
            setattr(self, name, value(getattr(self, name)) if callable(value) else value)
        return original(self, *args, **kwargs)

    return wrapped(random_initializers.VarianceScaling, "__call__", change)


def gathered(change: Callable[..., Any]) -> Patch:
    """Return a patch: gradients are changed before they are accumulated or applied."""

    def apply(original: Any, self: Any, grads: Any, variables: Any) -> None:
        original(self, change(self, grads), variables)

    return wrapped(BaseOptimizer, "_backend_apply_gradients", apply)


def twice(original: Any, *args: Any) -> None:
    """Do it two times."""
    original(*args)
    original(*args)


def never(*args: Any) -> None:
    """Do nothing."""


SUM = wrapped(losses.loss, "reduce_values", lambda _, values, *args: ops.sum(values))
LOW = wrapped(
    losses.loss, "reduce_values", lambda original, *args, **kw: 0.99 * original(*args, **kw)
)
SHIFTED_RELU = wrapped(nn, "relu", lambda original, x: original(x - 0.01))
LEAKY_RELU = wrapped(nn, "relu", lambda original, x: original(x) + 0.1 * (x - original(x)))
TANH = wrapped(
    keras.layers.Dense, "call", lambda original, self, x, **kw: ops.tanh(original(self, x))
)
NEXT_RATE = wrapped(
    BaseOptimizer,
    "_get_current_learning_rate",
    lambda _, self: self._learning_rate(self._iterations + 1),
)
HALF_RATE = wrapped(
    BaseOptimizer, "_get_current_learning_rate", lambda original, self: original(self) / 2
)
PER_SAMPLE = wrapped(
    losses.losses.LossFunctionWrapper,
    "call",
    lambda original, self, y, p: 1.01 * original(self, y, p),
)
MOMENTS = wrapped(
    nn,
    "moments",
    lambda original, x, *args, **kw: tuple(
        part * factor
        for part, factor in zip(original(x, *args, **kw), (1, len(x) / (len(x) - 1)), strict=True)
    ),
)
NO_EPSILON = wrapped(
    nn,
    "batch_normalization",
    lambda original, *args: original(*args[:-1], 0.0),
)


def softmax_bug(original: Any, target: Any, output: Any, **kw: Any) -> Any:
    """The first class counts one per cent more than it should."""
    return original(target, output, **kw) + 0.01 * output[:, 0]


def truncated(original: Any, shape: Any, mean: float, stddev: float, **kw: Any) -> Any:
    """The standard deviation before cutting is taken for that after it."""
    return original(shape, mean=mean, stddev=stddev * 0.87962566103423978, **kw)


def forgetful(law_metric: str) -> Patch:
    """Return a patch: a metric knows the last batch only."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        kind, make, definition = TABLES["METRICS"][law_metric]

        def forget() -> Any:
            metric = make()
            update = metric.update_state

            def only(*args: Any) -> None:
                metric.reset_state()
                update(*args)

            metric.update_state = only
            return metric

        monkeypatch.setitem(TABLES["METRICS"], law_metric, (kind, forget, definition))

    return patch


def paths(name: str) -> dict[str, Any]:
    """Return a case of `test_optimizer`."""
    return {"name": name}


SIZES = {"samples": 20, "inputs": 2}
CASES: list[Case] = [
    # the bug, how it is made, the law that goes red, and in which case
    ("momentum's sign", option(torch_sgd.SGD, momentum=lambda b: -b), "test_optimizer",
     paths("momentum")),
    ("momentum's sign, limit", option(torch_sgd.SGD, momentum=lambda b: -b),
     "test_divergence_begins_at_the_limit", {"kind": "momentum", "sharpness": 20.0}),
    ("momentum's sign, curve", option(torch_sgd.SGD, momentum=lambda b: -b), "test_momentum",
     {"condition": 40.0}),
    ("Nesterov forgotten", option(torch_sgd.SGD, nesterov=False), "test_optimizer",
     paths("nesterov")),
    ("rate 1 % up, path", rate(1.01), "test_optimizer", paths("sgd")),
    ("rate 1 % up, curve", rate(1.01), "test_least_squares", SIZES),
    ("rate 1 % up, limit", rate(1.01), "test_divergence_begins_at_the_limit",
     {"kind": "plain", "sharpness": 0.5}),
    ("rate 1 % up, contraction", rate(1.01), "test_contraction", {"condition": 5.0}),
    ("rate 1 % up, two layers", rate(1.01), "test_two_layer_linear_net", {"width": 16}),
    ("rate 1 % up, mean over batches", rate(1.01), "test_expected_loss_under_noise",
     {"samples": 3, "size": 2}),
    ("rate 1 % up, best rate", rate(1.01), "test_best_rate_of_a_batch", {"size": 1}),
    ("rate halved, range test", HALF_RATE, "test_range_test", {}),
    ("sum for mean, range test", SUM, "test_range_test", {}),
    ("rate halved, edge", HALF_RATE, "test_edge_of_stability", {}),
    ("rate 10 % up, floor", rate(1.1), "test_noise_floor", {}),
    ("sum for mean, convex", SUM, "test_logistic_regression_keeps_its_bound",
     {"seed": 0, "share": 1.0}),
    ("sum for mean, batches", SUM, "test_noise_of_a_batch", {"seed": 0, "size": 3}),
    ("sum for mean, noise scale", SUM, "test_noise_scale_estimate", {"seed": 0}),
    ("sum for mean, accumulation", SUM, "test_accumulation", {"count": 3, "limit": None}),
    ("ε inside the root", adam(inside=True), "test_optimizer", paths("adam, ε")),
    ("no bias correction", adam(corrected=False), "test_optimizer", paths("adam")),
    ("AMSGrad forgotten", option(torch_adam.Adam, amsgrad=False), "test_optimizer",
     paths("amsgrad")),
    ("RMSprop without ε", option(torch_rmsprop.RMSprop, epsilon=0.0), "test_optimizer",
     paths("rmsprop")),
    ("RMSprop not centered", option(torch_rmsprop.RMSprop, centered=False), "test_optimizer",
     paths("rmsprop, centered")),
    ("Lion's β of the other", option(torch_lion.Lion, beta_1=0.99), "test_optimizer",
     paths("lion")),
    ("decay twice", wrapped(TorchOptimizer, "_apply_weight_decay", twice), "test_optimizer",
     paths("adamw")),
    ("decay forgotten", wrapped(TorchOptimizer, "_apply_weight_decay", never), "test_optimizer",
     paths("sgd, decay")),
    *((f"{kind} forgotten",
       wrapped(BaseOptimizer, "_clip_gradients", lambda _, self, grads: grads), "test_clipping",
       {"kind": kind, "limit": 0.05}) for kind in ("clipvalue", "clipnorm", "global_clipnorm")),
    ("clipping each alone",
     wrapped(base_optimizer, "clip_by_global_norm",
             lambda original, grads, limit: [original([g], limit)[0] for g in grads]),
     "test_clipping", {"kind": "global_clipnorm", "limit": 0.05}),
    ("clipping before averaging", gathered(lambda self, grads: self._clip_gradients(grads)),
     "test_accumulation", {"count": 3, "limit": 0.1}),
    ("accumulated sum for mean",
     gathered(lambda self, grads: [g * (self.gradient_accumulation_steps or 1) for g in grads]),
     "test_accumulation", {"count": 2, "limit": None}),
    ("average never swapped in", wrapped(BaseOptimizer, "finalize_variable_values", never),
     "test_moving_average", {"momentum": 0.9}),
    ("average over the new weight",
     wrapped(BaseOptimizer, "_update_model_variables_moving_average", twice),
     "test_moving_average", {"momentum": 0.5}),
    *((f"one update early, {name}", NEXT_RATE, "test_schedule", {"name": name})
      for name in TABLES["SCHEDULES"]),
    ("Glorot for He", scaled_initializer(scale=1.0, mode="fan_avg"), "test_variance",
     {"scheme": "he", "form": "normal", "shape": (1000, 1000)}),
    ("fan-out for fan-in", scaled_initializer(mode="fan_out"), "test_variance",
     {"scheme": "lecun", "form": "uniform", "shape": (3000, 300)}),
    ("variance 1 % up", scaled_initializer(scale=lambda scale: 1.01 * scale), "test_variance",
     {"scheme": "glorot", "form": "uniform", "shape": (1000, 1000)}),
    ("cut off, not corrected",
     wrapped(random_initializers.random, "truncated_normal", truncated), "test_variance",
     {"scheme": "he", "form": "normal", "shape": (3, 3, 200, 500)}),
    ("Glorot for He, depth", scaled_initializer(scale=1.0, mode="fan_avg"),
     "test_signal_through_depth", {}),
    ("leaky ReLU", LEAKY_RELU, "test_silent_nets", {"width": 1, "depth": 3}),
    ("biases not drawn",
     wrapped(random_initializers.RandomNormal, "__call__",
             lambda original, *args, **kw: 0 * original(*args, **kw)),
     "test_linear_regions", {"units": 8, "inputs": 2, "biases": True}),
    ("biases not 0",
     wrapped(keras.initializers.Zeros, "__call__",
             lambda original, *args, **kw: original(*args, **kw) + 0.1),
     "test_linear_regions", {"units": 8, "inputs": 2, "biases": False}),
    ("an activation too many", TANH, "test_a_linear_stack_is_one_map", {"widths": (5,)}),
    ("an activation too many, xor", TANH, "test_exclusive_or", {"loss": "mean_squared_error", "depth": 2}),
    ("loss 1 % low", LOW, "test_exclusive_or", {"loss": "binary_crossentropy", "depth": 0}),
    ("shifted ReLU", SHIFTED_RELU, "test_relu_units_can_be_rescaled", {"seed": 0}),
    ("shifted ReLU, balance", SHIFTED_RELU, "test_gradient_identities",
     {"seed": 0, "optimizer": "sgd"}),
    ("unbiased variance", MOMENTS, "test_gradient_identities", {"seed": 0, "optimizer": "adam"}),
    ("ε of normalization forgotten", NO_EPSILON, "test_gradient_identities",
     {"seed": 0, "optimizer": "sgd"}),
    ("softmax off by one class",
     wrapped(nn, "sparse_categorical_crossentropy", softmax_bug), "test_gradient_identities",
     {"seed": 0, "optimizer": "sgd"}),
    ("softmax off by one class, gradient",
     wrapped(nn, "sparse_categorical_crossentropy", softmax_bug),
     "test_cross_entropy_gradient", {"seed": 0}),
    ("samples left out of full batches",
     wrapped(torch.utils.data.RandomSampler, "__iter__",
             lambda original, self: iter(list(original(self))[1:])),
     "test_full_batches_have_no_order", {"size": 24}),
    ("last batch dropped",
     lambda monkeypatch: monkeypatch.setattr(
         ArrayDataAdapter, "num_batches",
         property(lambda self: self._num_samples // self._batch_size)),
     "test_epochs", {"size": 3}),
    ("history as a mean over batches",
     wrapped(keras.metrics.Mean, "update_state",
             lambda original, self, values, sample_weight=None: original(self, values)),
     "test_epochs", {"size": 3}),
    *((f"1 % up, {name}", PER_SAMPLE, "test_loss", {"name": name, "samples": 17})
      for name in TABLES["LOSSES"]),
    ("sum for mean, loss", SUM, "test_loss", {"name": "huber", "samples": 17}),
    *((f"last batch only, {name}", forgetful(name), "test_metric", {"name": name, "size": 3})
      for name in TABLES["METRICS"]),
]  # fmt: skip


@pytest.fixture(autouse=True)
def undisturbed() -> Iterator[None]:
    """What Keras keeps process-wide is as before after each bug."""
    kept = backend.floatx()
    yield
    assert backend.floatx() == kept


@pytest.mark.parametrize(("patch", "law", "case"), [pytest.param(*c[1:], id=c[0]) for c in CASES])
def test_bug_is_caught(
    monkeypatch: pytest.MonkeyPatch, patch: Patch, law: str, case: dict[str, Any]
) -> None:
    """With the bug in Keras, the law fails; nothing else is raised."""
    patch(monkeypatch)
    with pytest.raises(AssertionError):
        follow(law, case)


@pytest.mark.parametrize(
    ("law", "case"),
    [
        pytest.param(law, case, id=f"{law}-{number}")
        for number, (law, case) in enumerate({repr(c[2:]): c[2:] for c in CASES}.values())
    ],
)
def test_no_law_is_red_without_a_bug(law: str, case: dict[str, Any]) -> None:
    """Every case by which a bug is caught holds in Keras as it is."""
    follow(law, case)


def test_every_law_catches_a_bug() -> None:
    """There is no law in the benchmarks without a bug that turns it red, and none in two of them."""
    assert set(LAWS) == {law for _, _, law, _ in CASES}
    assert len(LAWS) == 1 + sum(name.startswith("test_") for essay in ESSAYS for name in essay)


def test_the_table_of_laws_is_complete() -> None:
    """`docs/laws.md` has a row for each law, and none for another."""
    page = (FOLDER.parent / "docs" / "laws.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(test_\w+)` \|", page, re.MULTILINE)
    assert sorted(rows) == sorted(LAWS)
