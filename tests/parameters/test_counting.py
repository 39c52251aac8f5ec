"""Counting whole models: by identity, by what the optimizer updates, and refusals."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch
from keras import layers

from dlbench.errors import NotAModelError, ParameterMismatchError, UnbuiltModelError
from dlbench.parameters import count_parameters

ARCHITECTURES = [
    ("VGG16", 138_357_544, 0),
    ("VGG19", 143_667_240, 0),
    ("ResNet50", 25_636_712, 53_120),
    ("MobileNetV2", 3_538_984, 34_112),
    ("DenseNet121", 8_062_504, 83_648),
    ("EfficientNetB0", 5_330_571, 42_023),
    ("InceptionV3", 23_851_784, 34_432),
    ("Xception", 22_910_480, 54_528),
    ("ConvNeXtTiny", 28_589_128, 0),
]


@pytest.mark.parametrize(("name", "unique", "non_trainable"), ARCHITECTURES)
def test_known_architectures(name: str, unique: int, non_trainable: int) -> None:
    """Keras' application models have the published number of parameters."""
    table = count_parameters(getattr(keras.applications, name))
    assert (table.unique, table.non_trainable) == (unique, non_trainable)
    assert table.trainable == unique - non_trainable
    assert table.unique == sum(row.parameters - row.shared for row in table.rows)
    assert table.bytes == 4 * unique
    assert table.macs_complete


def lenet5() -> Any:
    """Return LeNet-5 as it is taught: 61,706 parameters."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(6, 5, padding="same", activation="tanh"),
            layers.AveragePooling2D(2),
            layers.Conv2D(16, 5, activation="tanh"),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(120, activation="tanh"),
            layers.Dense(84, activation="tanh"),
            layers.Dense(10, activation="softmax"),
        ],
        name="lenet5",
    )


def test_a_model_and_its_builder_give_the_same_table() -> None:
    """It does not matter to the counts whether weights were allocated."""
    built, unallocated = count_parameters(lenet5(), "adam"), count_parameters(lenet5, "adam")
    assert built.totals() == unallocated.totals()
    assert built.totals() == {
        "unique": 61_706,
        "trainable": 61_706,
        "non_trainable": 0,
        "bytes": 4 * 61_706,
        "optimizer": 2 * 61_706 + 2,
        "random_state": 0,
        "macs": 28 * 28 * 25 * 6 + 10 * 10 * 150 * 16 + 400 * 120 + 120 * 84 + 84 * 10,
        "flops": 2 * unallocated.macs,
        "activations": 4704 + 1176 + 1600 + 400 + 400 + 120 + 84 + 10,
    }
    assert [row.name for row in unallocated.rows][:3] == ["conv2d", "average_pooling2d", "conv2d_1"]


def test_a_shared_layer_counts_once_and_works_twice() -> None:
    """A siamese network has one set of weights and uses it for both inputs."""
    left, right, shared = keras.Input((8,)), keras.Input((8,)), layers.Dense(4)
    model = keras.Model([left, right], layers.Subtract()([shared(left), shared(right)]))
    table = count_parameters(model)
    assert table.unique == model.count_params() == 36
    assert (table.rows[0].macs, table.rows[0].activations) == (2 * 32, 2 * 4)


class Tied(layers.Layer):  # type: ignore[misc]
    """An output layer that reads the table of an embedding."""

    def __init__(self, embedding: Any) -> None:
        super().__init__()
        self.table = embedding.embeddings

    def call(self, inputs: Any) -> Any:
        """Score every word."""
        return keras.ops.matmul(inputs, keras.ops.transpose(self.table))


def test_a_tied_variable_counts_once() -> None:
    """Both layers show it, the second as shared, and the total has it once."""
    words, embedding = keras.Input((5,), dtype="int32"), layers.Embedding(20, 4)
    vectors = embedding(words)
    model = keras.Model(words, Tied(embedding)(vectors))
    table = count_parameters(model)
    assert table.unique == model.count_params() == 80
    assert [(row.parameters, row.shared) for row in table.rows] == [(80, 0), (80, 80)]
    assert table.rows[1].formula == "counted"
    assert table.macs == 5 * 4 * 20


def test_two_wrappers_of_one_module_count_once() -> None:
    """Keras makes two variables of one torch parameter; in memory there is one."""
    module = torch.nn.Linear(4, 4)
    wrap = keras.layers.TorchModuleWrapper
    model = keras.Sequential([keras.Input((4,)), wrap(module), wrap(module)])
    table = count_parameters(model)
    assert (table.unique, table.trainable, model.count_params()) == (20, 20, 40)
    assert table.macs == 2 * 16


def test_wrapped_modules_have_their_buffers() -> None:
    """Keras leaves out the running statistics of a wrapped batch normalisation."""
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3),
        torch.nn.BatchNorm2d(4),
        torch.nn.Flatten(),
        torch.nn.LazyLinear(2),
    )
    module(torch.zeros(1, 3, 6, 6))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    wrapper = keras.layers.TorchModuleWrapper(module)
    model = keras.Sequential([keras.Input((3, 6, 6)), wrapper])
    module.train()
    table = count_parameters(model)
    (row,) = table.rows
    assert (row.weights, row.biases, row.buffers) == (108 + 4 + 128, 4 + 4 + 2, 4 + 4 + 1)
    assert table.unique == model.count_params() + 9
    assert table.trainable == model.count_params()
    assert table.bytes == 4 * (model.count_params() + 8) + 8  # num_batches_tracked is an int64
    assert table.macs == 16 * 27 * 4 + 64 * 2
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert module.training


def test_frozen_layers_are_not_trainable() -> None:
    """Trainable is what the optimizer updates: freezing moves a count, and keeps its kind."""
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3), layers.BatchNormalization(), layers.Dense(2)]
    )
    model.layers[0].trainable = False
    model.layers[1].trainable = False
    table = count_parameters(model, "adam")
    assert (table.trainable, table.non_trainable) == (8, 15 + 12)
    assert (table.rows[1].weights, table.rows[1].biases, table.rows[1].buffers) == (3, 3, 6)
    assert table.optimizer == 2 * 8 + 2
    model.trainable = False
    assert count_parameters(model).trainable == 0


def test_nested_models_are_opened() -> None:
    """A model inside a model gives a line for each of its layers, named after both."""
    encoder = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="hidden")], name="encoder")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(2, name="head")(encoder(inputs)))
    table = count_parameters(keras.Sequential([keras.Input((4,)), model], name="outer"))
    assert [row.name.split("/", 1)[1] for row in table.rows] == ["encoder/hidden", "head"]
    assert table.unique == 15 + 8
    assert table.macs == 12 + 6


class Residual(keras.Model):  # type: ignore[misc]
    """A subclassed model: calls one layer twice, has a weight of its own and a list of layers."""

    def __init__(self) -> None:
        super().__init__(name="residual")
        self.blocks = [layers.Dense(8, use_bias=False), layers.LayerNormalization()]
        self.gain = self.add_weight(shape=(8,), name="gain")

    def call(self, inputs: Any) -> Any:
        """Apply the blocks twice, and mix the features between."""
        once = self.blocks[1](self.blocks[0](inputs))
        mixed = keras.ops.matmul(once, keras.ops.outer(self.gain, self.gain))
        return self.blocks[0](mixed) + inputs


def test_subclassed_models() -> None:
    """The line of the model itself has its own weights and what it multiplies between layers."""
    model = Residual()
    model(np.zeros((3, 8), "float32"))
    table = count_parameters(model)
    assert [row.layer for row in table.rows] == ["Residual", "Dense", "LayerNormalization"]
    assert table.unique == model.count_params() == 8 + 64 + 16
    assert table.rows[0].parameters == 8
    assert table.rows[0].macs == 64
    assert table.rows[1].macs == 2 * 64
    assert table.macs_complete


def test_random_state_is_named_apart() -> None:
    """Keras counts the seeds of dropout among the variables; they are no parameters."""
    model = keras.Sequential([keras.Input((4,)), layers.Dropout(0.5), layers.Dense(1)])
    table = count_parameters(model)
    assert (table.unique, table.random_state) == (5, 2)
    assert sum(np.prod(one.shape) for one in model.variables) == table.unique + table.random_state


# Keras 3.15 quantizes in a way that NumPy 2 deprecates.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_adapted_layers_are_counted_by_their_variables() -> None:
    """LoRA's matrices and quantized weights have no closed form, and are not lost."""
    model = keras.Sequential([keras.Input((8,)), layers.Dense(6), layers.Dense(4)])
    model.layers[0].enable_lora(2)
    model.layers[1].quantize("int8")
    table = count_parameters(model)
    assert [row.formula for row in table.rows] == ["counted", "counted"]
    assert table.unique == model.count_params()
    assert table.trainable == 8 * 2 + 2 * 6 + 6 + 4
    assert table.rows[1].bytes == 6 * 4 + 4 * (4 + 4)  # int8 weights, float32 biases and scales


OPTIMIZERS: list[Any] = [
    "sgd",
    "rmsprop",
    "adam",
    "adamw",
    "adadelta",
    "adagrad",
    "adamax",
    "adafactor",
    "ftrl",
    "lion",
    "nadam",
    "muon",
    keras.optimizers.Lamb(),
    keras.optimizers.ScheduleFreeAdamW(),
    keras.optimizers.SGD(momentum=0.9, nesterov=True),
    keras.optimizers.RMSprop(momentum=0.9, centered=True),
    keras.optimizers.Adam(amsgrad=True, use_ema=True, ema_momentum=0.9),
    keras.optimizers.Adam(gradient_accumulation_steps=4),
    keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, 100)),
    keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda one: getattr(one, "name", one))
def test_optimizer_variables(optimizer: Any) -> None:
    """They are those of an optimizer that is really built, which itself stays as it was."""
    model = lenet5()
    counted = count_parameters(model, optimizer).optimizer
    real = keras.optimizers.get(optimizer)
    if not isinstance(optimizer, str):
        assert not optimizer.built
    real.build(model.trainable_variables)
    assert counted == sum(np.prod(variable.shape) for variable in real.variables)


def test_the_optimizer_of_a_compiled_model() -> None:
    """Without an optimizer, it is the model's own: SGD has its step and its rate."""

    def compiled() -> Any:
        model = lenet5()
        model.compile("sgd", "mse")
        return model

    assert count_parameters(compiled()).optimizer == 2
    assert count_parameters(compiled).optimizer == 2
    assert count_parameters(lenet5).optimizer is None


def test_a_variable_too_many_is_a_mismatch() -> None:
    """A closed form that does not explain the variables stops the count, and says both."""
    model = lenet5()
    extra = model.layers[-1]
    extra._tracker.unlock()
    extra.add_weight(shape=(3,), name="extra")
    with pytest.raises(ParameterMismatchError, match=r"holds 843 weights.*\(84 \+ 1\) x 10"):
        count_parameters(model)


def test_an_unbuilt_model_is_refused() -> None:
    """A model that does not know its input shape has no weights to count."""
    with pytest.raises(UnbuiltModelError, match=r"is not built.*keras\.Input"):
        count_parameters(keras.Sequential([layers.Dense(2)]))
    with pytest.raises(UnbuiltModelError, match="is not built"):
        count_parameters(lambda: keras.Sequential([layers.Dense(2)]))


@pytest.mark.filterwarnings("ignore:`build.*` was called on layer")
def test_an_unbuilt_layer_is_refused() -> None:
    """A layer that the model never called would silently count as nothing."""
    model = Residual()
    model.blocks.append(layers.Dense(99, name="unused"))
    model(np.zeros((3, 8), "float32"))
    with pytest.raises(UnbuiltModelError, match=r"'unused'.*no weights yet"):
        count_parameters(model)


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (None, "got NoneType"),
        ("VGG16", "got str"),
        (layers.Dense(2), "layer.*keras.Sequential"),
        (torch.nn.Linear(2, 2), "TorchModuleWrapper"),
        (lambda: None, "got NoneType.*return model"),
        (lambda: 3, "got int"),
    ],
)
def test_other_things_are_refused(thing: Any, message: str) -> None:
    """What is no model is named, with what was expected."""
    with pytest.raises(NotAModelError, match=message):
        count_parameters(thing)
