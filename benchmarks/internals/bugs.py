"""Five small trainings, and what can happen to them: known bugs, and changes that are none.

Each is a real Keras experiment, made anew with one thing changed, from the same seeds. Nothing of
dlbench is switched off: the engine proves, records and digests each as any other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from dlbench import workloads
from dlbench.data import Data, Samples
from dlbench.engines.rounding import perturbed
from dlbench.experiment import Experiment, Workload, evaluation_points

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Model: TypeAlias = Any  # of Keras, which has no types
    Seeds: TypeAlias = Sequence[int]
    Make: TypeAlias = Callable[["Setting", Seeds], Experiment]

DRAW = 2026
"""The seed of what a change draws: which labels are wrong, how weights are moved."""


@dataclass(frozen=True)
class Setting:
    """A workload with the hyperparameters it is trained by."""

    name: str
    workload: Callable[[], Workload]
    optimizer: str
    learning_rate: float
    batch_size: int | str
    epochs: int

    def experiment(
        self,
        seeds: Seeds,
        workload: Workload | None = None,
        *,
        rate: float = 1.0,
        kind: type[Experiment] = Experiment,
    ) -> Experiment:
        """Return the experiment, with what is given in place of what is usual.

        Args:
            seeds: which.
            workload: in place of the setting's.
            rate: times the setting's learning rate.
            kind: a class whose order of data is another.
        """
        return kind(
            workload or self.workload(),
            optimizer=self.optimizer,
            learning_rate=self.learning_rate * rate,
            batch_size=self.batch_size,
            epochs=self.epochs,
            seeds=seeds,
        )


@dataclass(frozen=True)
class Change:
    """One thing that is changed about a training."""

    name: str
    make: Make
    bug: bool = True
    """Whether it is a bug; else a change that must not fail."""
    only: frozenset[str] = field(default_factory=frozenset)
    """The settings it makes sense for; empty for all."""
    engine: dict[str, Any] = field(default_factory=dict)
    """Arguments for `dlbench.engines.train`."""
    threads: int = 1

    def suits(self, setting: Setting) -> bool:
        """Return whether the change can be made to a setting."""
        return not self.only or setting.name in self.only


# ---- the trainings


def small_cnn() -> Model:
    """Return a convolutional network of 1,258 parameters that 512 runs train in half a minute."""
    import keras

    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(8, 3, strides=2, activation="relu"),
            keras.layers.Conv2D(16, 2, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def few_digits() -> Workload:
    """Return digits for the convolutional network: 700 pictures train, 180 validate."""
    data = workloads.digits_cnn().data
    assert data.validation is not None
    train, validation = data.train.take(slice(0, 700)), data.validation.take(slice(0, 180))
    return Workload(
        name="digits_small_cnn",
        model=small_cnn,
        data=((train.x, train.y), (validation.x, validation.y)),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        target=("val_accuracy", 0.88),
    )


SETTINGS = (
    Setting("digits MLP", workloads.digits_mlp, "sgd", 0.1, 32, 8),
    Setting("digits CNN", few_digits, "sgd", 0.2, 32, 10),
    Setting("spirals", workloads.spirals, "adam", 0.01, 32, 20),
    Setting("XOR", workloads.xor, "adam", 0.05, "full", 150),
    Setting("diabetes", workloads.diabetes, "sgd", 0.01, 32, 16),
)

CLASSES = frozenset({"digits MLP", "digits CNN", "spirals"})
"""Settings that classify more than XOR's four points."""
BATCHES = CLASSES | {"diabetes"}
"""Settings that are trained in batches."""


# ---- another workload


def with_model(workload: Workload, change: Callable[[Model], None]) -> Workload:
    """Return a workload whose fresh models are changed before they are trained."""

    def build() -> Model:
        model = workload.model()
        change(model)
        return model

    return _rebuilt(workload, build, workload.data)


def with_training_set(workload: Workload, change: Callable[[Samples], Samples]) -> Workload:
    """Return a workload with another training set; the validation set stays."""
    train = change(workload.data.train)
    validation = workload.data.validation
    kept = None if validation is None else (validation.x, validation.y)
    return _rebuilt(workload, workload.model, Data.of(((train.x, train.y), kept)))


def _rebuilt(workload: Workload, model: Callable[[], Model], data: Data) -> Workload:
    return Workload(
        name=workload.name,
        model=model,
        data=data,
        loss=workload.loss,
        metrics=workload.metrics,
        target=workload.target,
    )


def _model(change: Callable[[Model], None], setting: Setting, seeds: Seeds) -> Experiment:
    return setting.experiment(seeds, with_model(setting.workload(), change))


def _training_set(
    change: Callable[[Samples], Samples], setting: Setting, seeds: Seeds
) -> Experiment:
    return setting.experiment(seeds, with_training_set(setting.workload(), change))


def _rate(factor: float, setting: Setting, seeds: Seeds) -> Experiment:
    return setting.experiment(seeds, rate=factor)


# ---- what is changed


def _halved(model: Model) -> None:
    for variable in model.trainable_variables:
        variable.assign(variable * 0.5)


def _twice_softmax(model: Model) -> None:
    import keras

    model.add(keras.layers.Activation("softmax"))


def _frozen_layer(model: Model) -> None:
    _first_with_weights(model).trainable = False


def _frozen_bias(model: Model) -> None:
    _first_with_weights(model).bias.trainable = False


def _first_with_weights(model: Model) -> Any:
    return next(layer for layer in model.layers if layer.weights)


def _half_dead(model: Model) -> None:
    """Set all weights to 0 for about half of the seeds: no gradient reaches a hidden layer."""
    if model.trainable_variables[0].numpy().sum() > 0:
        for variable in model.trainable_variables:
            variable.assign(variable * 0.0)


def _moved(model: Model) -> None:
    generator = np.random.default_rng(DRAW)
    for variable in model.trainable_variables:
        noise = generator.standard_normal(tuple(variable.shape)).astype("float32")
        variable.assign(variable * (1 + 1e-6 * noise))


def _wrong_labels(share: float, train: Samples) -> Samples:
    """Give a share of the samples the label of another class, or another patient's."""
    generator, labels = np.random.default_rng(DRAW), train.y.copy()
    rows = generator.choice(len(labels), round(share * len(labels)), replace=False)
    if labels.dtype.kind == "f":
        labels[rows] = labels[np.roll(rows, 1)]
    else:
        classes = int(labels.max()) + 1
        labels[rows] = (labels[rows] + generator.integers(1, classes, len(rows))) % classes
    return Samples(train.x, labels)


def _lost(train: Samples) -> Samples:
    return train.take(slice(0, round(0.9 * len(train))))


class Unshuffled(Experiment):
    """Every epoch sees the samples in the order in which they lie."""

    __slots__ = ()

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """Return the rows as they are, whatever the seed and the epoch."""
        del seed, epoch
        return np.arange(len(self.workload.data.train))


class LastBatchDropped(Experiment):
    """The partial batch at the end of an epoch is not trained on."""

    __slots__ = ()

    def __init__(self, *args: Any, epochs: int, **fields: Any) -> None:
        super().__init__(*args, epochs=epochs, **fields)
        updates = len(self.workload.data.train) // self.batch_size
        steps = epochs * updates
        object.__setattr__(self, "updates_per_epoch", updates)
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "points", evaluation_points(steps))

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """Return the usual permutation less its end."""
        return super().order(seed, epoch)[: self.updates_per_epoch * self.batch_size]


def _plain(setting: Setting, seeds: Seeds) -> Experiment:
    return setting.experiment(seeds)


def _unshuffled(setting: Setting, seeds: Seeds) -> Experiment:
    return setting.experiment(seeds, kind=Unshuffled)


def _last_dropped(setting: Setting, seeds: Seeds) -> Experiment:
    return setting.experiment(seeds, kind=LastBatchDropped)


def _perturbed(setting: Setting, seeds: Seeds) -> Experiment:
    return perturbed(setting.experiment(seeds))


NOTHING = Change("nothing", _plain, bug=False)
PERTURBED = Change("weights perturbed by 8 ulp", _perturbed, bug=False)
"""dlbench's own yardstick of rounding."""
MOVED = Change("weights perturbed by 1e-6", partial(_model, _moved), bug=False)

FROZEN_BIAS = Change("a frozen bias", partial(_model, _frozen_bias))
DROPPED_BATCH = Change("last partial batch dropped", _last_dropped, only=BATCHES)
STALLING = Change("half of the runs stalling", partial(_model, _half_dead))

BUGS = (
    Change("learning rate × 0.9", partial(_rate, 0.9)),
    Change("learning rate × 0.8", partial(_rate, 0.8)),
    Change("2 % wrong labels", partial(_training_set, partial(_wrong_labels, 0.02)), only=BATCHES),
    Change("5 % wrong labels", partial(_training_set, partial(_wrong_labels, 0.05)), only=BATCHES),
    Change("initial weights halved", partial(_model, _halved)),
    Change("10 % of the data lost", partial(_training_set, _lost), only=BATCHES),
    Change("softmax applied twice", partial(_model, _twice_softmax), only=CLASSES | {"XOR"}),
    Change("no shuffling", _unshuffled, only=BATCHES),
    Change("a frozen layer", partial(_model, _frozen_layer)),
    FROZEN_BIAS,
    DROPPED_BATCH,
    STALLING,
)

HARMLESS = (
    MOVED,
    PERTURBED,
    Change("two threads", _plain, bug=False, threads=2),
    Change("compiled", _plain, bug=False, engine={"compiling": "always"}),
)
