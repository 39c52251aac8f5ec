"""Optimizers, losses and metrics become templates that rebuild what the caller meant."""

from __future__ import annotations

import functools
import inspect
import math
import pickle
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest
import torch
from keras import losses, metrics, optimizers
from keras.optimizers import schedules

from dlbench.backend import isolated_keras
from dlbench.errors import ExperimentError
from dlbench.keras_objects import (
    Template,
    accuracy_for,
    cross_entropy,
    function_name,
    loss_template,
    metric_templates,
    optimizer_template,
)
from dlbench.plain import dumps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

X = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Templates are made inside this block, as experiments make them."""
    with isolated_keras():
        yield


def classes(module: Any, base: type, without: set[str]) -> list[type]:
    """Return Keras' own classes of a kind that can be made without arguments."""
    found = {c for c in vars(module).values() if isinstance(c, type) and issubclass(c, base)}
    return sorted((c for c in found if c.__name__ not in without), key=lambda c: c.__name__)


def refused(function: Callable[..., Any], *args: Any) -> str:
    """Return the message with which the arguments are refused."""
    with pytest.raises(ExperimentError) as info:
        function(*args)
    return str(info.value)


def own_loss(y_true: Any, y_pred: Any) -> Any:
    """Return the loss of a user's own."""
    return keras.ops.mean(keras.ops.abs(y_true - y_pred), axis=-1)


class Leaky(losses.Loss):  # type: ignore[misc]
    """A loss whose config leaves out what it was made with."""

    def __init__(self, alpha: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.alpha = alpha

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss."""
        return self.alpha * own_loss(y_true, y_pred)


class Tight(Leaky):
    """The same with a whole config."""

    def get_config(self) -> dict[str, Any]:
        """Return every argument."""
        return {**super().get_config(), "alpha": self.alpha}


class Counting(metrics.Metric):  # type: ignore[misc]
    """A metric of the user's own, which Keras names by what was made before."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.seen = self.add_weight(name="seen", initializer="zeros")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count an update."""
        del y_true, y_pred, sample_weight
        self.seen.assign_add(1.0)

    def result(self) -> Any:
        """Return the count."""
        return self.seen


class Halving(schedules.LearningRateSchedule):  # type: ignore[misc]
    """A schedule of the user's own, not registered with Keras."""

    def __init__(self, start: float) -> None:
        self.start = start

    def __call__(self, step: Any) -> Any:
        """Return the rate."""
        return self.start * 0.5 ** keras.ops.cast(step, "float32")

    def get_config(self) -> dict[str, Any]:
        """Return every argument."""
        return {"start": self.start}


# ---- optimizers


@pytest.mark.parametrize(
    "kind",
    classes(
        optimizers, optimizers.Optimizer, {"Optimizer", "LossScaleOptimizer", "MultiOptimizer"}
    ),
)
def test_every_optimizer_is_rebuilt_with_its_settings(kind: Any) -> None:
    """A template of any of Keras' optimizers builds its equal, at the rate that was meant."""
    made = kind(learning_rate=0.01, clipnorm=2.0)
    template = optimizer_template(made)
    twin = template.build()
    assert type(twin) is type(made)
    assert twin is not made
    assert twin is not template.build()
    ours, theirs = twin.get_config(), made.get_config()
    assert {k: v for k, v in ours.items() if k != "name"} == {
        k: v for k, v in theirs.items() if k != "name"
    }
    record = template.to_builtins()
    assert record["class"] == kind.__name__
    assert record["learning_rate"] == 0.01
    dumps(record)


@pytest.mark.parametrize("name", ["sgd", "SGD", {"class_name": "SGD", "config": {}}])
def test_optimizer_by_name_or_config(name: object) -> None:
    """A name or a serialized config is looked up as Keras' `compile` does."""
    template = optimizer_template(name)
    assert type(template.build()) is type(optimizers.SGD())
    assert template.to_builtins()["learning_rate"] == 0.01


def test_optimizer_is_never_touched() -> None:
    """Neither making nor building a template builds, steps or changes the caller's optimizer."""
    made = optimizers.AdamW(0.1, weight_decay=0.2)
    before = made.get_config()
    optimizer_template(made, 0.5).build().build([keras.Variable(X)])
    assert made.get_config() == before
    assert not made.built


@pytest.mark.parametrize("rate", [0.1, 0.01, 1e-4, 3e-4, 0.3, 10, 0, 1e-30])
def test_rate_is_recorded_as_it_was_written(rate: float) -> None:
    """float32 holds 0.01 as 0.0099999998; the record says 0.01, given directly or in an object."""
    direct = optimizer_template("sgd", rate)
    for template in (
        direct,
        optimizer_template(direct),
        optimizer_template(optimizers.SGD(float(rate))),
    ):
        assert template.to_builtins()["learning_rate"] == rate
        assert np.float32(float(template.build().learning_rate)) == np.float32(rate)


def test_rate_beyond_float32_is_recorded_alike_however_it_comes() -> None:
    """A third is recorded as float32 has it, from a number and from an optimizer."""
    direct = optimizer_template("sgd", 1 / 3)
    recorded = {
        template.to_builtins()["learning_rate"]
        for template in (
            direct,
            optimizer_template(direct),
            optimizer_template(optimizers.SGD(1 / 3)),
        )
    }
    assert recorded == {0.33333334}


@pytest.mark.parametrize(
    "rate", [np.float32(0.1), np.float64(0.1), torch.tensor(0.1), np.array(0.1)]
)
def test_rate_may_be_any_scalar(rate: object) -> None:
    """A scalar of NumPy or PyTorch is a number like another."""
    assert optimizer_template("sgd", rate).to_builtins()["learning_rate"] == 0.1


@pytest.mark.parametrize(
    "rate", [math.nan, math.inf, -math.inf, -0.1, 1e39, "0.1", "fast", True, [0.1], (), object()]
)
def test_rate_that_is_no_finite_number(rate: object) -> None:
    """NaN, infinities, negative numbers, texts and lists are refused with what was got."""
    message = refused(optimizer_template, "sgd", rate)
    assert message.startswith("learning_rate must be a finite number of at least 0, got ")


@pytest.mark.parametrize("given", ["argument", "optimizer"])
def test_rate_as_a_function_is_refused(given: str) -> None:
    """A function cannot be written down in a record."""

    def rate() -> float:
        return 0.1

    arguments = ("sgd", rate) if given == "argument" else (optimizers.SGD(rate),)
    assert "cannot be written down in a record" in refused(optimizer_template, *arguments)


@pytest.mark.parametrize(
    "rate",
    [
        schedules.ExponentialDecay(0.1, 10, 0.9),
        schedules.serialize(schedules.ExponentialDecay(0.1, 10, 0.9)),
        Halving(0.4),
    ],
    ids=["object", "config", "own"],
)
@pytest.mark.parametrize("given", ["argument", "optimizer"])
def test_schedules(rate: Any, given: str) -> None:
    """A schedule, registered with Keras or not, is rebuilt and recorded with its settings."""
    if isinstance(rate, dict) and given == "optimizer":
        rate = schedules.deserialize(rate)
    made = ("sgd", rate) if given == "argument" else (optimizers.SGD(rate),)
    template = optimizer_template(*made)
    twin = template.build()
    assert isinstance(twin._learning_rate, schedules.LearningRateSchedule)
    start = 0.4 if isinstance(rate, Halving) else 0.1
    assert float(twin.learning_rate) == pytest.approx(start)
    record = template.to_builtins()["learning_rate"]
    assert isinstance(record, dict)
    assert record["class"] == ("Halving" if isinstance(rate, Halving) else "ExponentialDecay")
    dumps(record)


def test_schedules_with_other_settings_differ_in_the_record() -> None:
    """Two schedules of one class are told apart."""
    one, other = (optimizer_template("sgd", Halving(start)).to_builtins() for start in (0.1, 0.2))
    assert one != other


def test_loss_scaling_passes_the_rate_on() -> None:
    """A rate for an optimizer that scales the loss is that of the optimizer within."""
    made = optimizers.LossScaleOptimizer(optimizers.SGD(0.1, momentum=0.9))
    for rate, expected in ((None, 0.1), (0.5, 0.5), (Halving(0.3), 0.3)):
        twin = optimizer_template(made, rate).build()
        assert isinstance(twin, optimizers.LossScaleOptimizer)
        assert float(twin.inner_optimizer.learning_rate) == pytest.approx(expected)
        assert twin.inner_optimizer.momentum == 0.9
    assert float(made.inner_optimizer.learning_rate) == pytest.approx(0.1)


def test_optimizer_that_is_several() -> None:
    """An optimizer without a rate of its own is rebuilt as it is, and takes none."""
    within = optimizers.OptimizerMap(optimizers.SGD(0.1), {"encoder/.*": optimizers.Adam(0.2)})
    made = optimizers.MultiOptimizer(within)
    twin = optimizer_template(made).build()
    assert float(twin._optimizer_map.default_optimizer.learning_rate) == pytest.approx(0.1)
    assert "cannot be rebuilt" in refused(optimizer_template, made, 0.5)


def test_names_without_weight_decay_are_kept() -> None:
    """The config leaves them out; the template does not."""
    made = optimizers.AdamW(weight_decay=0.1)
    made.exclude_from_weight_decay(var_names=["bias", "gamma"])
    template = optimizer_template(made)
    assert template.no_decay == "bias|gamma"
    assert template.to_builtins()["no_decay"] == "bias|gamma"
    again = optimizer_template(template, 0.5)
    assert again.no_decay == "bias|gamma"
    twin = again.build()
    bias, kernel = keras.Variable(X, name="bias"), keras.Variable(X, name="kernel")
    assert not twin._use_weight_decay(bias)
    assert twin._use_weight_decay(kernel)


def test_names_without_weight_decay_within_loss_scaling() -> None:
    """They are those of the optimizer within."""
    inner = optimizers.AdamW(weight_decay=0.1)
    inner.exclude_from_weight_decay(var_names=["bias"])
    twin = optimizer_template(optimizers.LossScaleOptimizer(inner)).build()
    assert not twin.inner_optimizer._use_weight_decay(keras.Variable(X, name="bias"))


@pytest.mark.parametrize(
    ("joined", "kept"), [("b|a|c", "a|b|c"), ("bias", "bias"), ("x(b|a)", "x(b|a)")]
)
def test_names_without_weight_decay_are_in_order(joined: str, kept: str) -> None:
    """Keras joins a set, whose order differs between processes; a group's alternatives stay."""
    made = optimizers.AdamW(weight_decay=0.1)
    made.exclude_from_weight_decay(var_names=[joined])
    assert optimizer_template(made).no_decay == kept


def test_variables_without_weight_decay_are_refused() -> None:
    """Variables are those of one model, and every run has its own."""
    made = optimizers.AdamW(weight_decay=0.1)
    made.exclude_from_weight_decay(var_list=[keras.Variable(X)])
    assert "var_names" in refused(optimizer_template, made)


def test_used_optimizer_is_refused() -> None:
    """An optimizer that has made updates would carry them into every run; a built one may serve."""
    made = optimizers.Adam()
    variable = keras.Variable(X)
    made.build([variable])
    assert optimizer_template(made).build().iterations == 0
    made.apply([torch.ones(6, 3)])
    assert "has already made 1 updates" in refused(optimizer_template, made)


@pytest.mark.parametrize(
    ("optimizer", "hint"),
    [("adm", "Did you mean 'Adam'"), ("sgdd", "Did you mean 'SGD'"),
     (None, "unknown optimizer None"), (3, "unknown optimizer 3"),
     (torch.optim.SGD, "unknown optimizer"), ({}, "unknown optimizer"),
     ({"class_name": "Adm", "config": {}}, "unknown optimizer")],
)  # fmt: skip
def test_unknown_optimizer(optimizer: object, hint: str) -> None:
    """What Keras does not know is refused, a name with those that resemble it."""
    assert hint in refused(optimizer_template, optimizer)


def test_optimizer_with_a_config_that_leaves_something_out() -> None:
    """An argument that the config loses would silently be trained with its default."""

    class Boosted(optimizers.SGD):  # type: ignore[misc]
        def __init__(self, boost: float = 1.0, **options: Any) -> None:
            super().__init__(**options)
            self.boost = boost

    class Needy(optimizers.SGD):  # type: ignore[misc]
        def __init__(self, boost: float, **options: Any) -> None:
            super().__init__(**options)
            self.boost = boost

    assert optimizer_template(Boosted()).build().boost == 1
    assert "has boost=2.0, and 1.0 when rebuilt" in refused(optimizer_template, Boosted(2.0))
    assert "cannot be rebuilt from its config" in refused(optimizer_template, Needy(2.0))


# ---- losses


@pytest.mark.parametrize("kind", classes(losses, losses.Loss, {"Loss"}))
def test_every_loss_is_rebuilt_with_its_settings(kind: Any) -> None:
    """A template of any of Keras' losses builds its equal."""
    made = kind(reduction="sum")
    template = loss_template(made)
    twin = template.build()
    assert type(twin) is kind
    assert twin is not made
    assert twin.get_config() == made.get_config()
    dumps(template.to_builtins())


@pytest.mark.parametrize(
    "loss",
    ["mse", "mean_squared_error", "MeanSquaredError", losses.MeanSquaredError,
     losses.MeanSquaredError(), losses.mean_squared_error,
     {"class_name": "MeanSquaredError", "config": {}}],
)  # fmt: skip
def test_loss_in_any_form(loss: object) -> None:
    """A name, a class, an object, a function or a config: all that Keras' `compile` takes."""
    built = loss_template(loss).build()
    assert float(keras.ops.mean(built(X, 0 * X))) == pytest.approx((X**2).mean(), rel=1e-6)


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        (own_loss, "own_loss"),
        (functools.partial(losses.huber, delta=0.5), "huber"),
        (lambda a, b: 2 * own_loss(a, b), "<lambda>"),
        (Tight(3.0).call, "call"),
        (functools.partial(own_loss), "own_loss"),
    ],
    ids=["function", "partial", "lambda", "method", "bare partial"],
)
def test_loss_of_the_users_own(loss: Any, name: str) -> None:
    """A function is kept as it is, under its own name."""
    template = loss_template(loss)
    assert template.build() is loss
    assert template.name == name
    assert "function" in template.to_builtins()


def test_loss_object_of_the_users_own() -> None:
    """A class with a whole config is rebuilt, unregistered; one that loses arguments is refused."""
    assert loss_template(Tight(3.0)).build().alpha == 3
    assert loss_template(Tight(3.0)).to_builtins()["alpha"] == 3
    assert loss_template(Leaky()).build().alpha == 1
    message = refused(loss_template, Leaky(3.0))
    assert message.startswith("the loss 'leaky' has alpha=3.0, and 1.0 when rebuilt")


def test_arguments_that_keras_forgets_are_kept() -> None:
    """Keras leaves the delta of Huber and the axis of a cross-entropy out of their configs."""
    huber = loss_template(losses.Huber(0.5))
    assert huber.to_builtins()["delta"] == 0.5
    assert float(huber.build()(X, 0 * X)) == pytest.approx(float(losses.Huber(0.5)(X, 0 * X)))
    assert float(huber.build()(X, 0 * X)) != pytest.approx(float(losses.Huber()(X, 0 * X)))
    sparse = loss_template(losses.SparseCategoricalCrossentropy(axis=1))
    assert sparse.build()._fn_kwargs["axis"] == 1


@pytest.mark.parametrize("kind", classes(losses, losses.Loss, {"Loss"}))
def test_no_argument_of_any_loss_is_lost(kind: Any) -> None:
    """Whatever number is changed in one of Keras' losses, its copies have it too."""
    for name, parameter in inspect.signature(kind).parameters.items():
        default = parameter.default
        if not isinstance(default, (bool, int, float)) or name == "axis":
            continue
        changed = not default if isinstance(default, bool) else default * 0.5 + 0.125
        made = kind(**{name: changed})
        twin = loss_template(made).build()
        held = vars(twin) | vars(twin).get("_fn_kwargs", {})
        assert held[name] == changed


@pytest.mark.parametrize(
    ("loss", "hint"),
    [("mean_square_error", "'mean_squared_error'"), ("categorical_crossentropi", "Did you mean"),
     (None, "unknown loss None"), (3, "unknown loss 3"), (["mse"], "unknown loss"),
     ("zzz", "unknown loss 'zzz'")],
)  # fmt: skip
def test_unknown_loss(loss: object, hint: str) -> None:
    """What Keras does not know is refused, a name with those that resemble it."""
    assert hint in refused(loss_template, loss)


@pytest.mark.parametrize(
    ("loss", "kind"),
    [
        ("sparse_categorical_crossentropy", "sparse"),
        (losses.SparseCategoricalCrossentropy(from_logits=True), "sparse"),
        (losses.sparse_categorical_crossentropy, "sparse"),
        ("categorical_crossentropy", "categorical"),
        (losses.CategoricalCrossentropy(), "categorical"),
        (losses.CategoricalFocalCrossentropy(), "categorical"),
        ("binary_crossentropy", "binary"), (losses.BinaryCrossentropy(), "binary"),
        (losses.BinaryFocalCrossentropy(), "binary"),
        ("mse", None), (losses.Hinge(), None), (own_loss, None), (Tight(), None), ("poisson", None),
    ],
)  # fmt: skip
def test_cross_entropies_are_known_by_what_they_are(loss: object, kind: str | None) -> None:
    """The kind of a cross-entropy is that of Keras' class or function."""
    assert cross_entropy(loss_template(loss)) == kind


def test_cross_entropies_are_not_known_by_a_word_in_a_name() -> None:
    """A loss of the user's own that is called sparse is not Keras'; a subclass of Keras' is."""

    def sparse_crossentropy_penalty(a: Any, b: Any) -> Any:
        return own_loss(a, b)

    class Mine(losses.SparseCategoricalCrossentropy):  # type: ignore[misc]
        pass

    assert cross_entropy(loss_template(sparse_crossentropy_penalty)) is None
    assert cross_entropy(loss_template(Mine())) == "sparse"


# ---- metrics

_NEED_ARGUMENTS = {
    "Metric", "IoU", "BinaryIoU", "MeanIoU", "OneHotIoU", "OneHotMeanIoU", "MeanMetricWrapper",
    "SensitivityAtSpecificity", "SpecificityAtSensitivity", "PrecisionAtRecall",
    "RecallAtPrecision",
}  # fmt: skip


@pytest.mark.parametrize(
    "make",
    [
        *classes(metrics, metrics.Metric, _NEED_ARGUMENTS),
        functools.partial(metrics.MeanIoU, 3), functools.partial(metrics.IoU, 3, [0]),
        metrics.BinaryIoU,
        functools.partial(metrics.PrecisionAtRecall, 0.5),
        functools.partial(metrics.SensitivityAtSpecificity, 0.5),
        functools.partial(metrics.MeanMetricWrapper, losses.mean_squared_error),
    ],
)  # fmt: skip
def test_every_metric_is_rebuilt_with_its_settings(make: Callable[[], Any]) -> None:
    """A template of any of Keras' metrics builds its equal, and under another object each time."""
    made = make()
    (template,) = metric_templates([made])
    twin = template.build()
    assert type(twin) is type(made)
    assert twin is not made
    ours, theirs = twin.get_config(), made.get_config()
    assert {k: v for k, v in ours.items() if k != "name"} == {
        k: v for k, v in theirs.items() if k != "name"
    }
    dumps(template.to_builtins())


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        ("mse", "mse"), ("MeanSquaredError", "MeanSquaredError"), (own_loss, "own_loss"),
        (metrics.MeanSquaredError, "mean_squared_error"),
        (metrics.MeanSquaredError(name="mine"), "mine"),
        (losses.mean_squared_error, "mean_squared_error"),
        (functools.partial(own_loss), "own_loss"),
        ({"class_name": "MeanSquaredError", "config": {}}, "mean_squared_error"),
    ],
)  # fmt: skip
def test_metric_in_any_form(metric: object, name: str) -> None:
    """Each form gives a metric that computes, called as Keras' history calls it."""
    (template,) = metric_templates([metric])
    assert template.name == name
    built = template.build()
    built.update_state(X, 0 * X)
    expected = np.abs(X).mean() if "own" in name else (X**2).mean()
    assert float(built.result()) == pytest.approx(expected, rel=1e-6)


def test_copies_of_a_metric_count_for_themselves() -> None:
    """Every build starts from nothing, whatever the caller's object or an earlier copy has seen."""
    made = metrics.MeanSquaredError()
    made.update_state(X, 0 * X)
    (template,) = metric_templates([made])
    template.build().update_state(X, X)
    assert float(template.build().result()) == 0
    assert float(made.result()) > 0


def test_names_do_not_depend_on_what_was_made_before() -> None:
    """Keras numbers metrics without a name; the number says nothing and is left out."""
    names = {metric_templates([Counting()])[0].name for _ in range(3)}
    names |= {metric_templates([metrics.MeanIoU(2)])[0].name for _ in range(3)}
    assert names == {"counting", "mean_io_u"}
    assert metric_templates([Counting(name="top_5")])[0].name == "top_5"


@pytest.mark.parametrize(
    "given",
    [["mse", "mse"], [metrics.Mean(name="loss")], ["accuracy", metrics.AUC(name="accuracy")],
     [Counting(), Counting()]],
)  # fmt: skip
def test_two_curves_of_one_name(given: list[Any]) -> None:
    """Two metrics of one name, or one called loss, would be one curve."""
    assert "give the metric another name" in refused(metric_templates, given)


@pytest.mark.parametrize("given", ["accuracy", None, 3, {"a": "mse"}])
def test_metrics_are_a_list(given: object) -> None:
    """A lone name is no list of its letters."""
    assert refused(metric_templates, given).startswith("metrics must be a list")


@pytest.mark.parametrize(
    ("metric", "hint"),
    [("acuracy", "Did you mean 'accuracy'"), (None, "unknown metric None"), (3, "unknown metric 3"),
     ("zzz", "unknown metric 'zzz'")],
)  # fmt: skip
def test_unknown_metric(metric: object, hint: str) -> None:
    """What Keras does not know is refused, a name with those that resemble it."""
    assert hint in refused(metric_templates, [metric])


@pytest.mark.parametrize(
    ("labels", "outputs", "kind"),
    [
        ((6,), (6, 1), metrics.BinaryAccuracy), ((6, 1), (6, 1), metrics.BinaryAccuracy),
        ((6,), (6, 3), metrics.SparseCategoricalAccuracy),
        ((6, 1), (6, 3), metrics.SparseCategoricalAccuracy),
        ((6, 5), (6, 5, 3), metrics.SparseCategoricalAccuracy),
        ((6, 3), (6, 3), metrics.CategoricalAccuracy),
        ((6, 5, 3), (6, 5, 3), metrics.CategoricalAccuracy),
    ],
)  # fmt: skip
def test_accuracy_is_the_one_that_keras_takes(
    labels: tuple[int, ...], outputs: tuple[int, ...], kind: type
) -> None:
    """Shapes decide which accuracy "accuracy" means, as in a model that Keras compiles."""
    template = accuracy_for(labels, outputs, "acc")
    assert template.maker is kind
    assert template.name == "acc"
    model = keras.Sequential([keras.Input(outputs[1:]), keras.layers.Activation("linear")])
    model.compile(metrics=["acc"], loss="mse")
    y, y_pred = np.zeros(labels, np.float32), np.zeros(outputs, np.float32)
    model.compute_metrics(None, y, keras.ops.convert_to_tensor(y_pred), None)
    assert type(model._compile_metrics.metrics[0]) is kind


# ---- names and records


def test_function_names() -> None:
    """A function is found by its module and name, Keras' own by the name alone."""
    assert function_name(own_loss) == f"{__name__}.own_loss"
    assert function_name(Tight) == f"{__name__}.Tight"
    assert function_name(Tight()) == f"{__name__}.Tight"
    assert function_name(losses.huber) == "huber"
    assert function_name(keras.activations.relu) == "relu"
    assert function_name(math.sin) == "math.sin"
    assert function_name(lambda: None).endswith("<lambda>")


def test_name_of_a_partial_is_a_call() -> None:
    """A partial shows its arguments, and nothing that differs from process to process."""
    bound: Any = functools.partial(
        dict, 3, "a", alpha=(0.5, None), how=keras.activations.relu, it=X
    )
    assert function_name(bound) == (
        "builtins.dict(3, 'a', alpha=(0.5, None), how=relu, it=numpy.ndarray)"
    )


def test_templates_can_be_pickled() -> None:
    """A template crosses to another process and builds there."""
    for template in (
        optimizer_template("adam", 0.1),
        optimizer_template(optimizers.SGD(Halving(0.1))),
        loss_template("mse"),
        loss_template(losses.Huber(0.5)),
        loss_template(own_loss),
        *metric_templates(["accuracy", "mse", own_loss, metrics.AUC()]),
    ):
        again = pickle.loads(pickle.dumps(template))  # noqa: S301 - our own bytes
        assert isinstance(again, Template)
        assert again.to_builtins() == template.to_builtins()
