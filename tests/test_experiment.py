"""Workloads and experiments are checked when made, cannot change, and have a stable id."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import math
import os
import pickle
import random
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from keras import layers

from dlbench.data import Data
from dlbench.engines.fit import train_by_fit
from dlbench.errors import DlbenchError, ExperimentError
from dlbench.experiment import POINTS, PROBES, Experiment, Workload, check_seeds, evaluation_points
from dlbench.plain import dumps

if TYPE_CHECKING:
    from collections.abc import Callable

X = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)
SPARSE = "sparse_categorical_crossentropy"


def build(units: int = 4, activation: str = "relu") -> keras.Model:
    """Return a small classifier."""
    return keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(units, activation=activation),
            layers.Dense(2, activation="softmax"),
        ]
    )


def work(**options: Any) -> Workload:
    """Return a workload that can be trained, but for what a test changes."""
    options = {"name": "work", "model": build, "data": (X, Y), "loss": SPARSE, **options}
    return Workload(**options)


def refused(function: Callable[..., object], *args: Any, **options: Any) -> str:
    """Return the message with which the arguments are refused."""
    with pytest.raises(ExperimentError) as info:
        function(*args, **options)
    return str(info.value)


# ---- workloads


def test_workload_keeps_what_it_is_given() -> None:
    """Name, builder, data, loss, metrics and target are there to read."""
    data = ((X, Y), (X, Y))
    workload = work(data=data, metrics=["accuracy", "mse"], target=("val_accuracy", 0.9))
    assert workload.name == "work"
    assert workload.model is build
    assert isinstance(workload.data, Data)
    assert workload.loss.name == SPARSE
    assert [metric.name for metric in workload.metrics] == ["accuracy", "mse"]
    assert workload.target == ("val_accuracy", 0.9)
    assert workload.curve_names() == (
        "loss", "accuracy", "mse", "val_loss", "val_accuracy", "val_mse"
    )  # fmt: skip
    assert work().curve_names() == ("loss",)


def test_workload_and_experiment_are_frozen() -> None:
    """Neither can be changed once it was checked."""
    workload = work()
    experiment = Experiment(workload)
    for thing, name in ((workload, "name"), (experiment, "steps")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(thing, name, None)


@pytest.mark.parametrize("name", ["", "  ", None, 3])
def test_workload_needs_a_name(name: object) -> None:
    """Records call a workload by its name."""
    assert refused(work, name=name) == f"a workload needs a name, got {name!r}"


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (keras.Sequential([]), "got a built Sequential: it would give every seed the same start"),
        (torch.nn.Linear(3, 2), "got a built Linear"),
        (None, "got NoneType"), ("build", "got str"),
        (layers.Dense.build, "without arguments, got one with missing a required"),
    ],
)  # fmt: skip
def test_model_must_be_a_builder(model: object, message: str) -> None:
    """A built model, or a function that cannot be called as it is, is refused with the remedy."""
    assert message in refused(work, model=model)


@pytest.mark.parametrize(
    "model", [build, functools.partial(build, 5), lambda units=3: build(units)]
)
def test_builders(model: Callable[[], keras.Model]) -> None:
    """A function, a partial, and a function whose arguments have defaults build."""
    assert isinstance(work(model=model).build(), keras.Model)


def test_build_makes_variables() -> None:
    """A model that is built at its first call is built on a sample of the data."""
    lazy = work(model=lambda: keras.Sequential([layers.Dense(2, activation="softmax")])).build()
    assert [variable.shape for variable in lazy.variables] == [(3, 2), (2,)]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (("val_accurcy", 0.9), "Did you mean 'val_accuracy'?"),
        (("zzz", 0.9), "the workload has loss, accuracy, val_loss, val_accuracy"),
        ((None, 1), "a metric and a finite value"),
        (("loss", math.nan), "a metric and a finite value"), (("loss", math.inf), "finite value"),
        (("loss", "low"), "finite value"), (("loss",), "finite value"), ("loss", "finite value"),
        (0.9, "finite value"),
    ],
)  # fmt: skip
def test_target_is_one_of_the_curves(target: object, message: str) -> None:
    """A typo in a target stops before any training, with the name that was meant."""
    data = ((X, Y), (X, Y))
    assert message in refused(work, data=data, metrics=["accuracy"], target=target)


def test_target_needs_a_validation_set_if_it_is_of_one() -> None:
    """Without a validation set no metric of it can be reached."""
    assert "target names the metric 'val_loss'" in refused(work, target=("val_loss", 1))
    assert work(target=["loss", np.float32(1)]).target == ("loss", 1.0)


def test_target_needs_a_direction() -> None:
    """A metric whose name does not tell whether higher is better is no target."""

    def score(y_true: Any, y_pred: Any) -> Any:
        return y_pred[:, 0] * keras.ops.cast(y_true, "float32")

    assert "better higher or lower" in refused(work, metrics=[score], target=("score", 1))
    assert work(metrics=[score]).curve_names() == ("loss", "score")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": (X, Y[:5])}, "train x has 10 samples and y has 5"),
        ({"data": (X * np.nan, Y)}, "NaN"),
        ({"data": torch.utils.data.DataLoader(X)}, "got DataLoader: hand over NumPy arrays"),  # type: ignore[arg-type]
        ({"loss": "categorical_crossentropi"}, "Did you mean 'categorical_crossentropy'"),
        ({"metrics": ["acuracy"]}, "Did you mean 'accuracy'"),
    ],
)
def test_parts_are_checked_at_once(options: dict[str, Any], message: str) -> None:
    """Data, loss and metrics are checked when the workload is made."""
    assert message in refused(work, **options)


def test_errors_are_what_a_caller_would_catch() -> None:
    """A wrong value is a ValueError, and one of dlbench's errors."""
    for error in (ValueError, DlbenchError):
        with pytest.raises(error):
            work(name="")


# ---- experiments


def test_defaults() -> None:
    """SGD at Keras' rate, batches of 32, ten epochs, seed 0."""
    experiment = Experiment(work())
    assert experiment.optimizer.to_builtins()["class"] == "SGD"
    assert experiment.optimizer.to_builtins()["learning_rate"] == 0.01
    assert experiment.batch_size == 32
    assert (experiment.updates_per_epoch, experiment.steps) == (1, 10)
    assert experiment.seeds == (0,)


@pytest.mark.parametrize(
    ("batch_size", "epochs", "updates", "steps"),
    [(3, 2, 4, 8), (5, 2, 2, 4), (1, 1, 10, 10), ("full", 3, 1, 3), (100, 3, 1, 3),
     (np.int64(4), 1.5, 3, 4), (5, 0.01, 2, 1), (10, 7, 1, 7)],
)  # fmt: skip
def test_updates(batch_size: Any, epochs: float, updates: int, steps: int) -> None:
    """An epoch has ceil(samples / batch) updates; parts of one are rounded, to one at least."""
    experiment = Experiment(work(), batch_size=batch_size, epochs=epochs)
    assert (experiment.updates_per_epoch, experiment.steps) == (updates, steps)
    assert Experiment(work(), steps=7).steps == 7


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "Full", None, math.nan, [4]])
def test_batch_size_must_be_a_whole_number(value: object) -> None:
    """A batch has a sample at least; the one word is "full"."""
    message = refused(Experiment, work(), batch_size=value)
    assert message == (
        f'batch_size, if not "full", must be a whole number of at least 1, got {value!r}'
    )


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, "3", True, [1]])
def test_epochs_must_be_a_number_above_0(value: object) -> None:
    """There is no training in no epoch."""
    assert refused(Experiment, work(), epochs=value).startswith("epochs must be a number above 0")


@pytest.mark.parametrize("value", [0, -1, 2.0, "3", True])
def test_steps_must_be_a_whole_number(value: object) -> None:
    """There is no half update."""
    message = refused(Experiment, work(), steps=value)
    assert message.startswith("steps must be a whole number of at least 1")


def test_epochs_and_steps_together_are_refused() -> None:
    """One of the two says how long."""
    assert "not both" in refused(Experiment, work(), epochs=1, steps=3)


def test_experiment_is_on_a_workload() -> None:
    """A builder alone is no workload."""
    assert "expected a Workload, got function" in refused(Experiment, build)


def test_hyperparameters_are_checked_at_once() -> None:
    """Rate and optimizer are checked when the experiment is made; labels against the model, too."""
    assert "learning_rate must be" in refused(Experiment, work(), learning_rate=math.nan)
    assert "Did you mean 'Adam'" in refused(Experiment, work(), optimizer="adm")
    assert "train labels must be" in refused(Experiment, work(data=(X, Y + 1)))


@pytest.mark.parametrize(
    ("given", "expected"),
    [(1, (0,)), (3, (0, 1, 2)), (np.int64(2), (0, 1)), ([5, 3], (5, 3)), (range(2, 4), (2, 3)),
     (np.array([7]), (7,)), ((2**32 - 1,), (2**32 - 1,)), (iter([1]), (1,))],
)  # fmt: skip
def test_seeds(given: Any, expected: tuple[int, ...]) -> None:
    """A number stands for the first so many; others are taken as they are, in their order."""
    assert check_seeds(given) == expected
    assert all(type(seed) is int for seed in check_seeds(expected))


@pytest.mark.parametrize(
    "given", [0, -1, True, 1.5, "3", None, [], [1, 1], [-1], [2**32], [1.0], [True], ["1"]]
)
def test_seeds_that_are_none(given: object) -> None:
    """No seed, one twice, or one that NumPy's generator would not take, is refused."""
    assert "seed" in refused(check_seeds, given)
    refused(Experiment, work(), seeds=given)


@pytest.mark.parametrize("given", [["distance", "sharpness", "distance"], iter(PROBES[:2]), ()])
def test_probes(given: Any) -> None:
    """Each is named once, in the order given; varied experiments keep them."""
    names = tuple(given)
    experiment = Experiment(work(), probes=iter(names))
    assert experiment.probes == experiment.varied(steps=3).probes == tuple(dict.fromkeys(names))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["sharpness", "gradient_norm"], "no probe 'gradient_norm'; there are sharpness, noise_sc"),
        (["gradient_norm"], "Did you mean 'gradient_norms'?"),
        (["loss"], "update_ratio, dead_units, distance"),
        ([["sharpness"]], "no probe ['sharpness']"),
        ("sharpness", "names in a list, [\"sharpness\"], got 'sharpness'"),
        (None, "got None"),
        (7, "got 7"),
    ],
)
def test_probes_that_there_are_not(given: Any, message: str) -> None:
    """A name that nobody knows is refused when the experiment is made, with the closest one."""
    assert message in refused(Experiment, work(), probes=given)


def test_varied(monkeypatch: pytest.MonkeyPatch) -> None:
    """A varied experiment is the same in all but what was named, and nothing is built again."""
    long = Experiment(work(), optimizer=keras.optimizers.AdamW(1 / 3), steps=50, seeds=[4, 2])
    monkeypatch.setattr("dlbench.experiment.try_workload", None)
    short = long.varied(steps=5, seeds=[7])
    assert (short.steps, short.points, short.seeds) == (5, (0, 1, 2, 3, 4, 5), (7,))
    assert short.optimizer.to_builtins() == long.optimizer.to_builtins()
    assert (long.steps, long.seeds) == (50, (4, 2))
    assert long.varied(steps=50, seeds=3).id == long.id == long.varied().id
    slow = long.varied(learning_rate=0.5)
    assert slow.optimizer.to_builtins() == long.optimizer.to_builtins() | {"learning_rate": 0.5}
    assert dict(long.optimizer.config or {})["learning_rate"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    "given", [{"steps": 0}, {"seeds": []}, {"learning_rate": math.nan}, {"learning_rate": "fast"}]
)
def test_varied_out_of_range(given: dict[str, Any]) -> None:
    """What an experiment refuses when it is made, it refuses when it is varied."""
    with pytest.raises(ExperimentError):
        Experiment(work()).varied(**given)


# ---- points


@given(st.integers(1, 10**18), st.integers(1, 100))
@example(2**60 + 1, 20)
def test_points_rise_from_0_to_the_last_step(steps: int, count: int) -> None:
    """Points are distinct and rising, at most `count` after 0, and the last is the last update."""
    points = evaluation_points(steps, count)
    assert points[0] == 0
    assert points[-1] == steps
    assert all(low < high for low, high in itertools.pairwise(points))
    assert len(points) <= count + 1


@pytest.mark.parametrize(
    ("steps", "points"),
    [(1, (0, 1)), (2, (0, 1, 2)), (3, (0, 1, 2, 3)), (400, tuple(i * i for i in range(21)))],
)
def test_points_are_squares(steps: int, points: tuple[int, ...]) -> None:
    """They are `steps * (i / 20)**2`: half of them lie in the first quarter."""
    assert evaluation_points(steps) == points


@given(st.integers(POINTS**2, 10**9))
def test_points_are_many_and_at_the_same_shares(steps: int) -> None:
    """A run that is long enough has all 21 points, each within half an update of its share."""
    points = evaluation_points(steps)
    assert len(points) == POINTS + 1
    for number, point in enumerate(points):
        assert abs(point - steps * number**2 / POINTS**2) <= 0.5


# ---- order and batches


def test_order_depends_on_seed_and_epoch_alone() -> None:
    """Each epoch is a permutation; the same seed has the same one, whatever is trained."""
    experiment = Experiment(work(), seeds=2)
    other = Experiment(work(model=functools.partial(build, 7)), batch_size=3, optimizer="adam")
    orders = {}
    for seed in (0, 1):
        for epoch in (0, 1):
            np.random.seed(seed + epoch)  # noqa: NPY002
            order = experiment.order(seed, epoch)
            assert sorted(order) == list(range(10))
            assert np.array_equal(order, other.order(seed, epoch))
            orders[seed, epoch] = tuple(order)
    assert len(set(orders.values())) == 4


@pytest.mark.parametrize("weighted", [False, True])
def test_batches_are_the_epochs_in_order(weighted: bool) -> None:
    """Batches cut each epoch's order into pieces, the last one partial, weights beside them."""
    weights = np.arange(10) + 1.0
    experiment = Experiment(
        work(data=(X, Y, weights) if weighted else (X, Y)), batch_size=4, epochs=2
    )
    batches = list(experiment.batches(3))
    assert [len(batch) for batch in batches] == [4, 4, 2] * 2
    rows = np.concatenate([experiment.order(3, epoch) for epoch in (0, 1)])
    assert np.array_equal(np.concatenate([batch.x for batch in batches]), X[rows])
    assert np.array_equal(np.concatenate([batch.y for batch in batches]), Y[rows])
    for batch in batches:
        assert (batch.weight is not None) == weighted
    if weighted:
        found = np.concatenate([batch.weight for batch in batches if batch.weight is not None])
        assert np.array_equal(found, weights[rows])


def test_batches_cover_the_steps() -> None:
    """There are as many batches as updates, or more, to the end of the last epoch."""
    assert len(list(Experiment(work(), batch_size=4, steps=4).batches(0))) == 6


# ---- the id


def test_id_depends_on_all_that_is_trained() -> None:
    """Another name, model, data, loss, metric, target, rate, batch or length has another id."""
    base: dict[str, Any] = {"learning_rate": 0.1, "batch_size": 5, "epochs": 2}
    validated = ((X, Y), (X, Y))
    experiments = [
        Experiment(work(), **base),
        Experiment(work(name="other"), **base),
        Experiment(work(model=functools.partial(build, 5)), **base),
        Experiment(work(model=functools.partial(build, activation="tanh")), **base),
        Experiment(work(data=(X, 1 - Y)), **base),
        Experiment(work(data=validated), **base),
        Experiment(work(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)), **base),
        Experiment(work(metrics=["accuracy"]), **base),
        Experiment(work(target=("loss", 0.1)), **base),
        Experiment(work(target=("loss", 0.2)), **base),
        Experiment(work(), **base | {"learning_rate": 0.2}),
        Experiment(work(), **base | {"batch_size": 4}),
        Experiment(work(), **base | {"epochs": 3}),
        Experiment(work(), optimizer="adam", **base),
        Experiment(work(), optimizer=keras.optimizers.SGD(momentum=0.9), **base),
    ]
    assert len({experiment.id for experiment in experiments}) == len(experiments)


def test_id_does_not_depend_on_seeds_or_on_how_things_are_written() -> None:
    """Seeds and probes leave it alone; a name, a class and an object that mean the same are the same."""
    ids = {
        Experiment(work(), learning_rate=0.01, **options).id
        for options in (
            {}, {"seeds": 3}, {"optimizer": "SGD"}, {"optimizer": keras.optimizers.SGD(0.5)},
            {"optimizer": keras.optimizers.SGD(0.5, name="mine")}, {"epochs": 10}, {"steps": 10},
            {"batch_size": np.int64(32)}, {"probes": PROBES},
        )
    }  # fmt: skip
    assert len(ids) == 1


_PROGRAM = """
import sys
import keras
import numpy as np
from keras import layers
from dlbench.experiment import Experiment, Workload
if sys.argv[1] == "late":
    [layers.Dense(2) for _ in range(3)], keras.metrics.MeanIoU(2), keras.optimizers.Adam()
    keras.Sequential([keras.Input((3,)), layers.Dense(2), layers.Dropout(0.1)])
    np.random.seed(5)
def build():
    return keras.Sequential([keras.Input((3,)), layers.Dense(4, "relu"), layers.Dropout(0.1),
                             layers.Dense(2, "softmax")])
x = np.linspace(-1, 1, 30, dtype=np.float32).reshape(10, 3)
optimizer = keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(0.1, 10))
optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
workload = Workload(name="work", model=build, data=(x, (x[:, 0] > 0).astype("i8")),
                    loss=keras.losses.SparseCategoricalCrossentropy(),
                    metrics=["accuracy", keras.metrics.MeanIoU(2, sparse_y_pred=False)])
print(Experiment(workload, optimizer=optimizer).id)
"""


def test_id_is_the_same_in_every_process() -> None:
    """Neither Python's hashing nor what Keras has made before changes the id."""
    ids = [
        subprocess.run(
            [sys.executable, "-c", _PROGRAM, when],
            env=os.environ | {"KERAS_BACKEND": "torch", "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for when, seed in (("early", "1"), ("late", "2"))
    ]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 16


def test_builtins_hold_every_field() -> None:
    """What a record keeps is strict JSON, and names what an experiment was made with."""
    workload = work(data=((X, Y), (X, Y)), metrics=["accuracy"], target=("val_accuracy", 0.9))
    experiment = Experiment(workload, learning_rate=0.1, batch_size=4, epochs=2)
    record = json.loads(dumps(experiment.to_builtins()))
    assert record["id"] == experiment.id
    assert record["workload"] == "work"
    assert record["data"]["train"] == 10
    assert record["model"]["builder"] == f"{__name__}.build"
    assert record["model"]["parameters"] == 3 * 4 + 4 + 4 * 2 + 2
    assert record["loss"] == {"function": SPARSE}
    assert record["metrics"]["accuracy"]["class"] == "SparseCategoricalAccuracy"
    assert record["target"] == {"metric": "val_accuracy", "value": 0.9}
    assert record["optimizer"]["learning_rate"] == 0.1
    assert (record["batch_size"], record["updates_per_epoch"], record["steps"]) == (4, 3, 6)
    assert record["points"] == [0, 1, 2, 3, 4, 5, 6]
    assert "seeds" not in record


def test_experiment_can_be_pickled() -> None:
    """An experiment crosses to another process as it is."""
    workload = work(metrics=["accuracy", SPARSE], model=functools.partial(build, 5))
    experiment = Experiment(workload, optimizer=keras.optimizers.AdamW(0.1), seeds=3)
    again = pickle.loads(pickle.dumps(experiment))  # noqa: S301 - our own bytes
    assert again.id == experiment.id
    assert again.seeds == experiment.seeds
    assert np.array_equal(again.order(1, 2), experiment.order(1, 2))
    assert again.workload.build().count_params() == experiment.workload.build().count_params()


def test_making_one_leaves_the_callers_generators_and_objects_alone() -> None:
    """Random numbers go on as if no experiment was made; the caller's optimizer is not built."""
    optimizer = keras.optimizers.Adam()
    drawn = []
    for make in (False, True):
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002
        torch.manual_seed(1)
        if make:
            Experiment(work(), optimizer=optimizer)
        drawn.append((random.random(), np.random.random(), torch.rand(1).item()))  # noqa: NPY002, S311
    assert drawn[0] == drawn[1]
    assert not optimizer.built


# ---- what is supported is trained


def test_dict_inputs_are_trained_on_by_name() -> None:
    """Of a sum's sign, each input tells half: only a model that sees both by name gets it right."""
    x = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    y = (x.sum(axis=1) > 0).astype(int)

    def both() -> keras.Model:
        inputs = {name: keras.Input((1,), name=name) for name in ("right", "left")}
        together = layers.Concatenate()([inputs["left"], inputs["right"]])
        return keras.Model(inputs, layers.Dense(2, activation="softmax")(together))

    columns = {"left": x[:, :1], "right": x[:, 1:]}
    workload = Workload(
        name="sum", model=both, data=((columns, y), (columns, y)), loss=SPARSE, metrics=["accuracy"]
    )
    runs = train_by_fit(
        Experiment(workload, optimizer="adam", learning_rate=0.1, epochs=10), lambda *_: None
    )
    assert runs.final("accuracy").min() > 0.95
    assert runs.final("val_accuracy").min() > 0.95


def test_sample_weights_are_trained_on() -> None:
    """Samples without weight do not count: wrong labels weighted away leave the right ones."""
    x = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    right = (x[:, 0] > 0).astype(int)
    wrong = np.arange(200) % 2 == 0
    given, weights = np.where(wrong, 1 - right, right), np.where(wrong, 0.0, 1.0)
    results = {}
    for name, train in (("weighted", (x, given, weights)), ("unweighted", (x, given))):
        workload = work(data=(train, (x, right)), metrics=["accuracy"])
        experiment = Experiment(workload, optimizer="adam", learning_rate=0.1, epochs=10)
        results[name] = train_by_fit(experiment, lambda *_: None).final("val_accuracy").min()
    assert results["weighted"] > 0.9
    assert results["unweighted"] < 0.8


@pytest.mark.parametrize("convert", [torch.tensor, np.float64, lambda values: values.tolist()])
def test_any_container_trains_to_the_same_curves(convert: Callable[[Any], Any]) -> None:
    """Tensors, float64 arrays and lists are trained on as the float32 array is, to the bit."""
    first, second = (
        train_by_fit(Experiment(work(data=(x, Y)), steps=5, seeds=[1]), lambda *_: None)
        for x in (X, convert(X))
    )
    assert np.array_equal(first.curves["loss"], second.curves["loss"])
