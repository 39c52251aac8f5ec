"""What could stop or spoil a run shows in the trial, before any training, and in words."""

from __future__ import annotations

import functools
import random
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest
import torch
from keras import layers

from dlbench.errors import ExperimentError
from dlbench.experiment import Experiment, Workload
from dlbench.trial import try_workload

if TYPE_CHECKING:
    from collections.abc import Callable

X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)
SPARSE = "sparse_categorical_crossentropy"


def sequential(*parts: Any) -> Callable[[], keras.Model]:
    """Return a builder of these layers, each made by its function."""
    return lambda: keras.Sequential([keras.Input((3,)), *(part() for part in parts)])


def dense(units: int = 2, activation: Any = "softmax") -> Any:
    """Return a function that makes a dense layer."""
    return lambda: layers.Dense(units, activation=activation)


def work(model: Any = None, **options: Any) -> Workload:
    """Return a workload that can be trained, but for what a test changes."""
    options = {"data": (X, Y), "loss": SPARSE, **options}
    return Workload(name="work", model=model or sequential(dense()), **options)


def refused(workload: Workload) -> str:
    """Return the message with which the trial refuses the workload."""
    with pytest.raises(ExperimentError) as info:
        try_workload(workload)
    return str(info.value)


def architecture(model: Callable[[], keras.Model], **options: Any) -> object:
    """Return the digest that a record keeps of the model."""
    return try_workload(work(model, **options))[0]["architecture"]


# ---- builders


def test_description_of_the_model() -> None:
    """A record says class, builder, parameters and architecture."""
    described, metrics = try_workload(work(sequential(dense(4, "relu"), dense())))
    assert described["class"] == "Sequential"
    assert described["parameters"] == 3 * 4 + 4 + 4 * 2 + 2
    assert str(described["builder"]).endswith("sequential.<locals>.<lambda>")
    assert len(str(described["architecture"])) == 16
    assert metrics == ()


@pytest.mark.parametrize("what", ["model", "layer", "dropout", "torch module", "buffers"])
def test_shared_parts_are_refused(what: str) -> None:
    """A model, layer, seed generator, torch module or buffer made outside carries a run over."""
    parts: dict[str, Any] = {
        "layer": layers.Dense(2, activation="softmax"),
        "dropout": layers.Dropout(0.5),
        "torch module": layers.TorchModuleWrapper(torch.nn.Linear(3, 3), output_shape=(None, 3)),
        "buffers": layers.TorchModuleWrapper(
            torch.nn.BatchNorm1d(3, affine=False), output_shape=(None, 3)
        ),
    }
    built = sequential(dense())()
    shared = parts.get(what)
    build = (lambda: built) if what == "model" else sequential(lambda: shared, dense())
    if what == "layer":
        build = sequential(lambda: shared)
    assert "returns models that share weights" in refused(work(build))


def test_torch_modules_outside_the_builder_are_refused_even_wrapped_inside() -> None:
    """A wrapper made inside does not help where the module is made outside."""
    module = torch.nn.Linear(3, 2)
    build = lambda: keras.Sequential([layers.TorchModuleWrapper(module), layers.Softmax()])  # noqa: E731
    assert "Make every layer and torch module inside it" in refused(work(build))


def test_torch_module_inside_the_builder_trains() -> None:
    """A module made inside is a fresh one for each run, and its parameters count and train."""
    from dlbench.engines.fit import train_by_fit

    def build() -> keras.Model:
        module = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
        return keras.Sequential([layers.TorchModuleWrapper(module), layers.Softmax()])

    experiment = Experiment(work(build), optimizer="adam", learning_rate=0.1, steps=30, seeds=2)
    assert experiment.model["parameters"] == 3 * 8 + 8 + 8 * 2 + 2
    runs = train_by_fit(experiment, lambda *_: None)
    assert len(set(runs.starts)) == 2
    assert runs.final("loss").max() < 0.1 < runs.at("loss", 0).min()


def test_builder_with_a_generator_of_its_own_is_refused() -> None:
    """Weights that differ between two calls from one seed are no function of the seed."""

    def build(rng: Any) -> keras.Model:
        model = sequential(dense())()
        model.set_weights([rng(size=weight.shape) for weight in model.get_weights()])
        return model

    own = np.random.default_rng(0)
    assert "a run must depend on its seed alone" in refused(work(lambda: build(own.normal)))
    try_workload(work(lambda: build(np.random.normal)))  # that one is seeded for each run
    try_workload(work(lambda: build(np.random.default_rng(3).normal)))


def test_builder_that_grows_is_refused() -> None:
    """A builder that returns another model at its second call is none."""
    calls: list[int] = []

    def build() -> keras.Model:
        calls.append(1)
        return sequential(*[dense(2, "relu")] * len(calls), dense())()

    assert "returned other weights when called again" in refused(work(build))


@pytest.mark.parametrize("made", [None, torch.nn.Linear(3, 2), 3, [1]])
def test_builder_must_return_a_keras_model(made: object) -> None:
    """Anything else is refused by its type."""
    message = refused(work(lambda: made))
    assert message.endswith(f"must return a keras.Model, got {type(made).__name__}")


def test_errors_of_the_builder_are_its_own() -> None:
    """What goes wrong in the user's function is not dressed up."""
    with pytest.raises(ZeroDivisionError):
        try_workload(work(lambda: 1 / 0))


def test_trial_leaves_the_generators_alone() -> None:
    """Nobody's random numbers depend on whether a trial was made."""
    states = []
    for trial in (False, True):
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002
        torch.manual_seed(1)
        if trial:
            noise = functools.partial(layers.Lambda, lambda x: x + torch.rand(x.shape))
            try_workload(work(sequential(lambda: layers.Dropout(0.5), noise, dense())))
        states.append((random.random(), np.random.random(), torch.rand(1).item()))  # noqa: NPY002, S311
    assert states[0] == states[1]


# ---- inputs and outputs


@pytest.mark.parametrize("built", [True, False])
def test_data_the_model_cannot_take(built: bool) -> None:
    """Samples of a wrong shape are named with their shape, built model or not."""
    build = (
        (lambda: keras.Sequential([keras.Input((4,)), layers.Dense(2)]))
        if built
        else (lambda: keras.Sequential([layers.Conv1D(2, 3)]))
    )
    message = refused(work(build))
    assert message.startswith("the model of 'work' cannot take samples of shape {'x': (3,)}: ")


def named_inputs(*names: str) -> Callable[[], keras.Model]:
    """Return a builder of a model with an input for each name."""

    def build() -> keras.Model:
        inputs = {name: keras.Input((3,), name=name) for name in names}
        together = layers.Concatenate()([layers.Dense(2)(value) for value in inputs.values()])
        return keras.Model(inputs, layers.Dense(2, activation="softmax")(together))

    return build


def test_dict_inputs() -> None:
    """Inputs go by their names; one that is missing or too many is refused."""
    build = named_inputs("a", "b")
    try_workload(work(build, data=({"a": X, "b": X}, Y)))
    for wrong in ({"a": X}, {"a": X, "b": X, "c": X}, {"a": X, "c": X}):
        assert "cannot take samples of shape {\"x['a']\": (3,)" in refused(
            work(build, data=(wrong, Y))
        )


def test_several_outputs_are_refused() -> None:
    """One output is supported; the sentence says what to do with more."""

    def build(*, names: bool) -> keras.Model:
        inputs = keras.Input((3,))
        outputs = [layers.Dense(2)(inputs), layers.Dense(2)(inputs)]
        return keras.Model(inputs, dict(zip("ab", outputs, strict=True)) if names else outputs)

    for names in (True, False):
        message = refused(work(functools.partial(build, names=names)))
        assert "several outputs" in message
        assert "convergence.record" in message


def test_output_must_have_a_row_a_sample() -> None:
    """A number for the whole batch is no prediction."""
    build = sequential(lambda: layers.Lambda(keras.ops.sum, output_shape=()))
    assert "one row a sample, got an output of shape () for" in refused(work(build))


# ---- labels


@pytest.mark.parametrize("labels", [Y - 1, Y + 1, Y * 0.5, Y * -1.0])
@pytest.mark.parametrize(
    "loss", [SPARSE, keras.losses.SparseCategoricalCrossentropy(from_logits=True)]
)
def test_labels_outside_the_classes(labels: np.ndarray, loss: Any) -> None:
    """Class numbers below 0, beyond the outputs, or between two are refused in either set."""
    message = refused(work(loss=loss, data=(X, labels)))
    assert message.startswith("train labels must be whole numbers from 0 to 1, as the model has 2")
    assert f"got {labels.min():g} to {labels.max():g}" in message
    message = refused(work(loss=loss, data=((X, Y), (X, labels))))
    assert message.startswith("validation labels must be")


@pytest.mark.parametrize("labels", [Y, Y.astype(float), Y.astype(bool), Y[:, None], Y.astype("u1")])
def test_labels_in_any_form(labels: np.ndarray) -> None:
    """Class numbers may be whole numbers of any type, or stand in a column."""
    try_workload(work(data=(X, labels), metrics=["accuracy"]))


def test_ignored_class_is_no_class() -> None:
    """Labels that the loss ignores may lie outside."""
    loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=-1)
    labels = np.where(np.arange(12) < 2, -1, Y)
    try_workload(work(loss=loss, data=(X, labels)))
    assert "train labels" in refused(work(loss=loss, data=(X, labels * 5)))


def test_classes_along_another_axis() -> None:
    """The classes are counted along the axis that the loss takes."""
    loss = keras.losses.SparseCategoricalCrossentropy(axis=1)
    build = sequential(
        dense(8, None), lambda: layers.Reshape((4, 2)), lambda: layers.Softmax(axis=1)
    )
    labels = np.arange(24).reshape(12, 2) % 4
    try_workload(work(build, loss=loss, data=(X, labels)))
    assert "from 0 to 3" in refused(work(build, loss=loss, data=(X, labels + 1)))


@pytest.mark.parametrize(
    "loss", ["binary_crossentropy", keras.losses.BinaryCrossentropy(from_logits=True)]
)
def test_labels_of_a_binary_cross_entropy(loss: Any) -> None:
    """Minus one for the other class would make the loss negative; shares are fine."""
    build = sequential(dense(1, "sigmoid"))
    for fine in (Y, Y * 0.9 + 0.05):
        try_workload(work(build, loss=loss, data=(X, fine[:, None])))
    message = refused(work(build, loss=loss, data=(X, (2 * Y - 1)[:, None])))
    assert message.startswith("train labels must be from 0 to 1, each the share of a class")
    assert "got -1 to 1" in message


def test_own_loss_may_have_any_labels() -> None:
    """What a loss of the user's own makes of labels is its own affair, whatever it is called."""

    def sparse_crossentropy(y_true: Any, y_pred: Any) -> Any:
        return keras.ops.mean((y_true - y_pred[:, 0]) ** 2)

    try_workload(work(loss=sparse_crossentropy, data=(X, Y * 100 - 50)))


# ---- loss and metrics


@pytest.mark.parametrize(
    ("loss", "outputs", "labels"),
    [
        ("categorical_crossentropy", 2, Y), ("mse", 2, Y), ("binary_crossentropy", 2, Y),
        ("mse", 2, X), ("mse", 3, X[:, :2]), ("categorical_crossentropy", 4, np.eye(3)[Y]),
    ],
)  # fmt: skip
def test_labels_that_do_not_fit_the_outputs(loss: str, outputs: int, labels: np.ndarray) -> None:
    """Shapes that Keras refuses are refused, though two samples and two outputs might pass."""
    message = refused(work(sequential(dense(outputs)), loss=loss, data=(X, labels)))
    assert (
        f"cannot take labels of shape {labels.shape[1:]} and outputs of shape ({outputs},)"
        in message
    )


@pytest.mark.parametrize(("labels", "outputs"), [(X, 1), (X[:, :1], 3)])
def test_labels_that_keras_would_broadcast(labels: np.ndarray, outputs: int) -> None:
    """Three labels against one output, or one against three, would train what nobody meant."""
    build = sequential(dense(outputs, None))
    for loss in ("mse", keras.losses.Huber()):
        assert "do not fit" in refused(work(build, loss=loss, data=(X, labels)))


def test_own_loss_may_pair_labels_and_outputs_as_it_likes() -> None:
    """A loss of the user's own may need a time and an event for one output."""

    def survival(y_true: Any, y_pred: Any) -> Any:
        return keras.ops.mean(y_true[:, 0] * y_pred[:, 0] - y_true[:, 1])

    try_workload(work(sequential(dense(1, None)), loss=survival, data=(X, X[:, :2])))


@pytest.mark.parametrize("labels", [X[:, 0], X[:, :1]])
def test_one_label_for_one_output(labels: np.ndarray) -> None:
    """A column of labels and a row of them are the same to a regression."""
    try_workload(work(sequential(dense(1, None)), loss="mse", data=(X, labels), metrics=["mae"]))


def test_loss_that_fails() -> None:
    """The error of a loss is shown with the shapes; a loss without a single number is one, too."""

    def broken(*_parts: Any) -> Any:
        raise RuntimeError("not today")

    message = refused(work(loss=broken))
    assert message.startswith("the loss 'broken' cannot take labels of shape () and outputs of")
    assert "not today" in message
    unreduced = keras.losses.SparseCategoricalCrossentropy(reduction=None)
    assert "cannot take" in refused(work(loss=unreduced))


def test_own_functions_get_tensors() -> None:
    """A loss or a metric of the user's own may use torch, as in training."""

    def squared(y_true: Any, y_pred: Any) -> Any:
        return torch.mean((y_true.float() - y_pred[:, 1]) ** 2)

    try_workload(work(loss=squared, metrics=[squared]))


@pytest.mark.parametrize("metric", ["mse", keras.metrics.F1Score(), keras.metrics.AUC()])
def test_metric_that_fails(metric: object) -> None:
    """A metric that cannot take the labels, or gives no number, is named with the shapes."""
    message = refused(work(metrics=[metric]))
    assert "gives no number for labels of shape () and outputs of shape (2,)" in message


def test_metric_must_give_one_number() -> None:
    """A metric with a value a class is no curve."""
    data = (X, np.eye(2, dtype=np.float32)[Y])
    build, loss = sequential(dense()), "categorical_crossentropy"
    message = refused(work(build, loss=loss, data=data, metrics=[keras.metrics.F1Score()]))
    assert message.startswith("the metric 'f1_score' gives no number")
    macro = keras.metrics.F1Score(average="macro")
    try_workload(work(build, loss=loss, data=data, metrics=[macro]))


def test_accuracy_is_settled_by_the_output() -> None:
    """The name accuracy becomes the accuracy that fits labels and outputs."""
    cases = [
        (sequential(dense()), SPARSE, Y, "SparseCategoricalAccuracy"),
        (sequential(dense(1, "sigmoid")), "binary_crossentropy", Y[:, None], "BinaryAccuracy"),
        (sequential(dense()), "categorical_crossentropy", np.eye(2)[Y], "CategoricalAccuracy"),
    ]
    for build, loss, labels, expected in cases:
        workload = work(build, loss=loss, data=(X, labels), metrics=["accuracy"])
        (metric,) = try_workload(workload)[1]
        assert metric.maker.__name__ == expected
        assert metric.name == "accuracy"


@pytest.mark.parametrize("samples", [1, 2, 3])
def test_few_samples_are_enough(samples: int) -> None:
    """The trial takes rows again where there are fewer than it needs."""
    try_workload(work(data=(X[:samples], Y[:samples]), metrics=["accuracy"]))


# ---- the architecture's digest


def test_architecture_depends_on_settings_that_change_training() -> None:
    """Models that train otherwise have other digests, though their weights have the same shapes."""

    def nested(activation: str) -> Any:
        return lambda: keras.Sequential([layers.Dense(3, activation=activation)])

    builders = [
        sequential(dense(3, "relu"), dense()),
        sequential(dense(3, "tanh"), dense()),
        sequential(dense(3, keras.ops.sin), dense()),
        sequential(nested("relu"), dense()),
        sequential(nested("tanh"), dense()),
        sequential(lambda: layers.Dropout(0.1), dense(3, "relu"), dense()),
        sequential(lambda: layers.Dropout(0.2), dense(3, "relu"), dense()),
        sequential(lambda: layers.Dense(3, "relu", kernel_regularizer="l2"), dense()),
        sequential(lambda: layers.Dense(3, "relu", kernel_initializer="he_normal"), dense()),
        sequential(lambda: layers.Dense(3, "relu", trainable=False), dense()),
        sequential(lambda: layers.LeakyReLU(0.1), dense()),
        sequential(lambda: layers.LeakyReLU(0.2), dense()),
    ]
    assert len({architecture(build) for build in builders}) == len(builders)


def test_architecture_of_wrapped_torch_modules() -> None:
    """A wrapped module is told by what it says of itself, not by its weights."""

    def build(module: Callable[[], torch.nn.Module]) -> keras.Model:
        return keras.Sequential([layers.TorchModuleWrapper(module()), layers.Dense(2)])

    def linear() -> torch.nn.Module:
        return torch.nn.Linear(3, 3)

    def narrow() -> torch.nn.Module:
        return torch.nn.Linear(3, 3, bias=False)

    found = [architecture(functools.partial(build, module)) for module in (linear, linear, narrow)]
    assert found[0] == found[1]
    assert found[2] not in found[:2]


def test_architecture_is_the_same_whatever_was_built_before() -> None:
    """Names that Keras counts up start anew for each model."""
    build = sequential(dense(3, "relu"), lambda: layers.Dropout(0.1), dense())
    before = architecture(build)
    for _ in range(3):
        build()
    assert architecture(build) == before


def test_architecture_of_models_within_models() -> None:
    """A layer of a nested model of the user's own counts, though that model has no config."""

    class Inner(keras.Model):  # type: ignore[misc]
        def __init__(self, activation: str) -> None:
            super().__init__()
            self.hidden = layers.Dense(3, activation=activation)

        def call(self, inputs: Any) -> Any:
            return self.hidden(inputs)

        def get_config(self) -> Any:
            raise NotImplementedError

    relu, tanh = (
        architecture(sequential(functools.partial(Inner, name), dense()))
        for name in ("relu", "tanh")
    )
    assert relu != tanh


def test_architecture_does_not_depend_on_where_code_stands() -> None:
    """A lambda moved to another line is the same model: its code says where it stands."""

    def build(cube: Any, double: Any) -> keras.Model:
        wrapped = layers.TimeDistributed(layers.Lambda(double))
        return sequential(
            dense(3, cube), lambda: layers.Reshape((3, 1)), lambda: wrapped, layers.Flatten, dense()
        )()

    above = functools.partial(build, lambda x: x**3, lambda x: 2 * x)
    below = functools.partial(build, lambda x: x**3, lambda x: 2 * x)
    assert architecture(above) == architecture(below)


def test_layers_that_cannot_be_written_down() -> None:
    """A layer without a config is described by its numbers; nothing stops the trial or warns."""

    class Secret(layers.Layer):  # type: ignore[misc]
        def __init__(self, scale: float) -> None:
            super().__init__()
            self.scale = scale

        def call(self, inputs: Any) -> Any:
            return inputs * self.scale

        def get_config(self) -> Any:
            raise NotImplementedError

    digests = {
        architecture(sequential(lambda: Secret(2.0), dense())),
        architecture(sequential(lambda: Secret(3.0), dense())),
        architecture(sequential(lambda: layers.Lambda(lambda x: 2 * x), dense())),
        architecture(sequential(dense(3, lambda x: x**3), dense())),
    }
    assert len(digests) == 4


def test_architecture_of_a_subclassed_model() -> None:
    """A model of the user's own class is described by its layers."""

    class Mine(keras.Model):  # type: ignore[misc]
        def __init__(self, activation: str) -> None:
            super().__init__()
            self.hidden = layers.Dense(3, activation=activation)
            self.last = layers.Dense(2, activation="softmax")

        def call(self, inputs: Any) -> Any:
            return self.last(self.hidden(inputs))

    relu, tanh = (try_workload(work(functools.partial(Mine, a)))[0] for a in ("relu", "tanh"))
    assert relu["architecture"] != tanh["architecture"]
    assert relu["class"] == "Mine"
    assert relu["parameters"] == 3 * 3 + 3 + 3 * 2 + 2
