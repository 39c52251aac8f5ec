"""What is process-wide about Keras is changed for a block, and Keras' private names are there."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import random
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from keras.src.backend import get_keras_mask, set_keras_mask
from keras.src.backend.common import dtypes, global_state
from keras.src.backend.torch.core import get_device
from keras.src.random.seed_generator import global_seed_generator

from dlbench import backend
from dlbench.backend import (
    choose_keras_backend,
    interruptible_logs,
    isolated_keras,
    joined,
    kept_generators,
    kept_seed_generator,
    moving_averages,
    nan_in_losses,
    quiet_keras,
    require_torch,
    seeded,
    stream_seed,
    torch_modules,
    true_float64,
)
from dlbench.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

layers = keras.layers

# ---- the backend


@pytest.mark.parametrize(
    ("environment", "imported", "installed", "wanted", "expected"),
    [
        (None, False, {"torch"}, None, "torch"),
        ("", False, {"torch"}, None, "torch"),
        ("jax", False, {"torch"}, None, "jax"),
        ("jax", False, {"torch"}, "torch", "jax"),
        (None, True, {"torch"}, None, None),
        (None, True, {"torch"}, "torch", None),
        (None, False, {"torch", "tensorflow"}, None, None),
        (None, False, {"torch", "jax"}, None, None),
        (None, False, {"torch", "jax"}, "torch", "torch"),
        (None, False, {"torch", "openvino"}, None, "torch"),
        (None, False, {"jax"}, None, None),
        (None, False, set(), None, None),
    ],
)
def test_the_choice_of_a_backend(
    monkeypatch: pytest.MonkeyPatch,
    *,
    environment: str | None,
    imported: bool,
    installed: set[str],
    wanted: str | None,
    expected: str | None,
) -> None:
    """A backend is set where nothing has chosen one and PyTorch or the ini key is the answer."""
    monkeypatch.setenv("KERAS_BACKEND", "remembered, to be put back")
    if environment is None:
        monkeypatch.delenv("KERAS_BACKEND")
    else:
        monkeypatch.setenv("KERAS_BACKEND", environment)
    if not imported:
        monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setattr(backend, "find_spec", lambda name: name if name in installed else None)
    choose_keras_backend(wanted)
    assert os.environ.get("KERAS_BACKEND") == expected


def fresh(code: str, home: Path, **environment: str) -> str:
    """Run code in a fresh process without a chosen backend; return what it printed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KERAS_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=kept | {"KERAS_HOME": str(home), "OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


REQUIRE = """
from dlbench.errors import BackendError
from dlbench.backend import require_torch
try:
    require_torch()
    import keras
    print("loaded", keras.backend.backend())
except BackendError as error:
    print(error)
"""


def test_a_keras_json_for_another_backend_does_not_matter(tmp_path: Path) -> None:
    """With PyTorch alone installed, Keras runs on it whatever its settings file asks for."""
    settings_file = tmp_path / "keras.json"
    settings_file.write_text(json.dumps({"backend": "jax"}), encoding="utf-8")
    assert fresh(REQUIRE, tmp_path) == "loaded torch\n"


@pytest.mark.parametrize("chosen", ["jax", "no-such-backend"])
def test_a_backend_that_is_missing_is_named_with_the_remedy(tmp_path: Path, chosen: str) -> None:
    """A backend that is not installed, or that Keras does not know, is a `BackendError`."""
    printed = fresh(REQUIRE, tmp_path, KERAS_BACKEND=chosen)
    assert printed.startswith("keras could not be imported: ")
    assert "KERAS_BACKEND=torch" in printed
    assert "dlbench_keras_backend = torch" in printed


def test_keras_on_another_backend_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where Keras is loaded with another backend already, the error says with which."""
    loaded = SimpleNamespace(backend=SimpleNamespace(backend=lambda: "tensorflow"))
    monkeypatch.setitem(sys.modules, "keras", loaded)
    with pytest.raises(BackendError, match=r"loaded with 'tensorflow'.*KERAS_BACKEND=torch"):
        require_torch()


def test_torch_is_what_these_tests_run_on() -> None:
    """Where all is well, nothing is said."""
    require_torch()
    assert keras.backend.backend() == "torch"


# ---- Keras' private names


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("keras.src.backend.common.global_state", "GLOBAL_STATE_TRACKER"),
        ("keras.src.backend.common.global_state", "get_global_attribute"),
        ("keras.src.backend.common.global_state", "set_global_attribute"),
        ("keras.src.backend.common.variables", "Variable._initialize_with_initializer"),
        ("keras.src.backend.common.dtypes", "BIT64_TO_BIT32_DTYPE"),
        ("keras.src.initializers.random_initializers", "RandomInitializer"),
        ("keras.src.backend.torch.nn", "binary_crossentropy"),
        ("keras.src.backend", "get_keras_mask"),
        ("keras.src.backend", "set_keras_mask"),
        ("keras", "Model._flatten_layers"),
        ("keras", "Model._compute_loss"),
    ],
)
def test_private_names_are_there(module: str, name: str) -> None:
    """Each name of Keras' that `dlbench.backend` reaches for is where it looks for it."""
    found = importlib.import_module(module)
    for part in name.split("."):
        assert hasattr(found, part), f"Keras {keras.__version__} moved {module}.{name}"
        found = getattr(found, part)


def test_private_signatures_are_as_used() -> None:
    """The private functions that are called or replaced take the arguments that they get."""
    moved = f"Keras {keras.__version__} changed the arguments of"
    variable = importlib.import_module("keras.src.backend.common.variables").Variable
    nn = importlib.import_module("keras.src.backend.torch.nn")
    for function, expected in (
        (variable._initialize_with_initializer, ["self", "initializer"]),
        (nn.binary_crossentropy, ["target", "output", "from_logits"]),
        (keras.Model._compute_loss, ["self", "x", "y", "y_pred", "sample_weight", "training"]),
    ):
        found = list(inspect.signature(function).parameters)
        assert found == expected, f"{moved} {function.__qualname__}"


def test_random_initializers_keep_their_seed_where_it_is_sought() -> None:
    """`_init_seed` is what the user gave and `seed` what is drawn from, in every initializer."""
    base = importlib.import_module("keras.src.initializers.random_initializers").RandomInitializer
    kinds: set[Any] = {
        kind for kind in vars(keras.initializers).values()
        if inspect.isclass(kind) and issubclass(kind, base)
    }  # fmt: skip
    assert len(kinds) >= 10
    for kind in kinds:
        name = f"Keras {keras.__version__}, {kind.__name__}"
        assert kind()._init_seed is None, f"{name}: _init_seed moved"
        made = kind(seed=3)
        assert made._init_seed == made.seed == 3, f"{name}: _init_seed moved"
        other = kind()
        other.seed = 3
        same = torch.equal(made((4, 4)), other((4, 4)))
        assert same, f"{name} does not draw from its attribute `seed`"


def test_global_attributes_are_called_as_thought() -> None:
    """Names, the seed generator and what awaits initialization are Keras' global attributes."""
    tracker = vars(global_state.GLOBAL_STATE_TRACKER)
    layers.Dense(1)
    keras.random.normal((1,))
    with keras.StatelessScope():
        keras.Variable(lambda *_, **__: torch.zeros(1), shape=(1,))
    for name in backend._FRESH_STATE:
        assert name in tracker, f"Keras {keras.__version__} renamed its global {name!r}"


def test_moving_averages_are_found() -> None:
    """An optimizer that averages has an average for each trainable variable."""
    model = keras.Sequential([keras.Input((2,)), layers.Dense(3)])
    optimizer = keras.optimizers.SGD(use_ema=True)
    optimizer.build(model.trainable_variables)
    shapes = [average.shape for average in moving_averages(optimizer)]
    assert shapes == [variable.shape for variable in model.trainable_variables]


def test_torch_modules_are_found_in_lists_and_layers() -> None:
    """Modules within a Sequential, a list and a nested model come, each once."""
    shared = torch.nn.Linear(2, 2)

    class Nested(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.own = shared
            self.blocks = [layers.TorchModuleWrapper(torch.nn.Sequential(torch.nn.ReLU(), shared))]

        def call(self, x: Any) -> Any:
            return self.blocks[0](self.own(x))

    model = keras.Sequential([keras.Input((2,)), Nested(), layers.Dense(1)])
    found = list(torch_modules(model))
    assert len({id(module) for module in found}) == len(found)
    names = [type(module).__name__ for module in found]
    assert names.count("Linear") == names.count("ReLU") == names.count("Nested") == 1
    assert names.count("TorchModuleWrapper") == 2
    assert all(any(layer is module for module in found) for layer in model.layers)


def test_joined_tensors_keep_their_masks() -> None:
    """Parts and their masks are put together; without masks there is none."""
    parts = [torch.ones(2, 3), torch.zeros(1, 3)]
    assert torch.equal(joined(parts), torch.cat(parts))
    assert get_keras_mask(joined(parts)) is None
    for part in parts:
        set_keras_mask(part, part > 0)
    assert torch.equal(get_keras_mask(joined(parts)), torch.cat(parts) > 0)
    assert joined(parts[:1]) is parts[0]


# ---- Keras' global state


def names_given() -> dict[str, int]:
    """Return how often Keras has given each name."""
    return dict(global_state.get_global_attribute("object_name_uids", {}))


def test_names_count_from_the_start_and_then_go_on() -> None:
    """Inside, the first layer is `dense`, each time; outside, the count goes on where it was."""
    layers.Dense(1)
    before = names_given()
    for _ in range(2):
        with isolated_keras():
            assert [layers.Dense(1).name, layers.Dense(1).name] == ["dense", "dense_1"]
    assert names_given() == before
    assert layers.Dense(1).name not in {"dense", "dense_1"}


def test_settings_are_carried_in_and_not_out() -> None:
    """A dtype policy and a device hold inside; what the block sets ends with it."""
    policy = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        with keras.device("meta"), isolated_keras():
            assert layers.Dense(1).compute_dtype == "bfloat16"
            assert get_device() == "meta"
            keras.config.set_dtype_policy("float64")
        assert layers.Dense(1).compute_dtype == "bfloat16"
    finally:
        keras.config.set_dtype_policy(policy)


def test_a_builder_that_clears_keras_clears_its_own_block_alone() -> None:
    """`clear_session` is common in builders; it must not clear what was there before."""
    layers.Dense(1)
    before = names_given()
    tracker = global_state.GLOBAL_STATE_TRACKER
    with isolated_keras():
        layers.Dense(1)
        keras.backend.clear_session(free_memory=False)
        assert layers.Dense(1).name == "dense"
    assert global_state.GLOBAL_STATE_TRACKER is tracker
    assert names_given() == before


def test_what_a_failed_build_leaves_unmade_is_left_inside() -> None:
    """Variables that a broken block never made do not haunt the models after it, nor the block."""

    def broken(*_: Any, **__: Any) -> Any:
        raise LookupError

    def haunt() -> None:
        with isolated_keras(), keras.StatelessScope():
            keras.Variable(broken, shape=(1,))

    global_state.set_global_attribute("uninitialized_variables", [])
    with pytest.raises(LookupError):
        haunt()
    assert global_state.get_global_attribute("uninitialized_variables") == []
    global_state.set_global_attribute("uninitialized_variables", [object()])
    try:
        with isolated_keras(), keras.StatelessScope():
            pass
        assert len(global_state.get_global_attribute("uninitialized_variables")) == 1
    finally:
        global_state.set_global_attribute("uninitialized_variables", [])


def test_warnings_of_the_users_own_still_come() -> None:
    """Quiet is what nobody can mend, and no other warning."""
    with quiet_keras():
        np.array(keras.Variable(1.0))
        with pytest.warns(DeprecationWarning, match="mine"):
            importlib.import_module("warnings").warn("mine", DeprecationWarning, stacklevel=1)


# ---- generators


def draws() -> list[float]:
    """Return a number from each generator."""
    return [
        random.random(),  # noqa: S311
        float(np.random.random()),  # noqa: NPY002
        float(torch.rand(())),
        float(keras.random.uniform(())),
        float(keras.random.uniform((), seed=keras.random.SeedGenerator())),
    ]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_draw_comes_from_the_seed(seed: int) -> None:
    """Inside, all generators draw from the seed alone, whatever was drawn before."""
    with seeded(seed):
        first = draws()
    draws()
    with seeded(seed):
        assert draws() == first
    with seeded((seed + 1) % 2**32):
        assert not set(draws()) & set(first)


@pytest.mark.parametrize("block", [lambda: seeded(3), kept_generators])
def test_generators_are_as_they_were(block: Callable[[], Any]) -> None:
    """After the block, raised through or not, each generator goes on where it was."""
    keras.utils.set_random_seed(5)
    global_seed_generator()
    with kept_generators(), kept_seed_generator():
        expected = draws()
    with block(), kept_seed_generator():
        assert len(draws()) == 5
    with pytest.raises(KeyboardInterrupt), block(), kept_seed_generator():
        raise KeyboardInterrupt(draws())
    assert draws() == expected


def test_blocks_nest() -> None:
    """A seeded block within another leaves the outer one's draws as they were."""
    with seeded(1):
        alone = [draws(), draws()]
    with seeded(1):
        nested = [draws()]
        with seeded(2):
            draws()
        nested.append(draws())
    assert nested == alone


def test_the_global_seed_generator_is_none_again_where_it_was_none() -> None:
    """A block that first makes Keras' global generator leaves none, so that it is made anew."""
    with isolated_keras():
        random.seed(1)
        expected = float(keras.random.uniform(()))
    with isolated_keras():
        random.seed(1)
        with kept_generators(), kept_seed_generator():
            keras.random.uniform(())
        assert global_state.get_global_attribute("global_seed_generator") is None
        assert float(keras.random.uniform(())) == expected


# ---- initial weights


def weights(build: Callable[[], Any], seed: int = 0) -> dict[str, np.ndarray]:
    """Return the initial weights of a model by the last parts of their paths."""
    with seeded(seed):
        model = build()
        if not model.built:
            model(keras.ops.ones((1, 4)))
    return {
        "/".join(variable.path.split("/")[-2:]): variable.value.detach().cpu().numpy()
        for variable in model.weights
    }


def plain() -> keras.Model:
    """Return three layers of other kinds."""
    return keras.Sequential([
        keras.Input((4, 4)), layers.Conv1D(4, 2), layers.LSTM(4), layers.Dense(4)
    ])  # fmt: skip


def test_layers_in_front_leave_the_others_as_they_were() -> None:
    """A layer of another kind, added or taken away, does not move the other layers' weights."""

    def longer() -> keras.Model:
        return keras.Sequential([
            keras.Input((4, 4)), layers.EinsumDense("abc,cd->abd", (None, 4)), layers.Dropout(0.5),
            layers.Conv1D(4, 2), layers.BatchNormalization(), layers.LSTM(4), layers.Dense(4),
            layers.PReLU("random_normal"),
        ])  # fmt: skip

    one, other = weights(plain), weights(longer)
    assert len(one) == 7
    assert one.keys() < other.keys()
    assert all(np.array_equal(one[path], other[path]) for path in one)


def test_weights_depend_on_the_seed_and_the_path() -> None:
    """Each random variable has weights of its own, other ones from another seed."""
    one, other = weights(plain), weights(plain, seed=1)
    kernels = [path for path in one if "kernel" in path]
    assert len(kernels) == 4
    for path in kernels:
        assert not np.array_equal(one[path], other[path])
    values = np.concatenate([one[path].ravel() for path in kernels if "recurrent" not in path])
    assert len(np.unique(values)) == len(values)


def test_layers_that_share_a_name_do_not_share_weights() -> None:
    """In a subclassed model two layers may have one name; their weights differ all the same."""

    class Twins(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.one = layers.Dense(4, name="twin")
            self.two = layers.Dense(4, name="twin")

        def call(self, x: Any) -> Any:
            return self.two(self.one(x))

    def build() -> keras.Model:
        model = Twins()
        model(keras.ops.ones((1, 4)))
        return model

    with seeded(0):
        first = build()
    with seeded(0):
        again = build()
    one, two = (layer.kernel.value for layer in (first.one, first.two))
    assert first.one.kernel.path == first.two.kernel.path
    assert not torch.equal(one, two)
    assert torch.equal(one, again.one.kernel.value)
    assert torch.equal(two, again.two.kernel.value)


def test_seeds_of_the_users_own_are_respected() -> None:
    """An initializer that the user seeded gives its own values, from every seed of a run."""

    def build() -> keras.Model:
        initializer = keras.initializers.GlorotUniform(seed=7)
        return keras.Sequential(
            [keras.Input((4,)), layers.Dense(4, kernel_initializer=initializer)]
        )

    expected = keras.initializers.GlorotUniform(seed=7)((4, 4)).numpy()
    for seed in (0, 1):
        assert np.array_equal(weights(build, seed)["dense/kernel"], expected)


def test_initializers_of_the_users_own_are_copied_whole() -> None:
    """A random initializer whose config leaves things out keeps them, and is not changed."""

    class Shifted(keras.initializers.RandomNormal):  # type: ignore[misc]
        def __init__(self, shift: float) -> None:
            super().__init__(stddev=0.1)
            self.shift = shift

        def __call__(self, shape: Any, dtype: Any = None) -> Any:
            return super().__call__(shape, dtype) + self.shift

    shared = Shifted(100.0)
    seed_before = shared.seed

    def build() -> keras.Model:
        return keras.Sequential([keras.Input((4,)), layers.Dense(4, kernel_initializer=shared)])

    one = weights(build)["dense/kernel"]
    assert 99 < one.min() < one.max() < 101
    assert np.array_equal(one, weights(build)["dense/kernel"])
    assert not np.array_equal(one, weights(build, 1)["dense/kernel"])
    assert shared.seed == seed_before


def test_functions_and_torch_modules_draw_from_the_seed_too() -> None:
    """Initializers without a seed, and torch modules, draw from the seeded generators."""

    def drawn(shape: Any, dtype: Any = None) -> Any:
        return keras.random.normal(shape, dtype=dtype)

    def build() -> keras.Model:
        return keras.Sequential([
            keras.Input((4,)), layers.Dense(4, kernel_initializer=drawn),
            layers.TorchModuleWrapper(torch.nn.Linear(4, 4)),
        ])  # fmt: skip

    one, same, other = weights(build), weights(build), weights(build, seed=1)
    assert len(one) == 4
    assert all(np.array_equal(one[path], same[path]) for path in one)
    different = [path for path in one if not np.array_equal(one[path], other[path])]
    assert len(different) == 3  # a bias of zeros is what it is


def test_weights_are_drawn_on_the_cpu_whatever_the_device() -> None:
    """On another device the initializer draws on the CPU; the variable is where it should be."""
    devices: list[str] = []

    class Noted(keras.initializers.RandomNormal):  # type: ignore[misc]
        def __call__(self, shape: Any, dtype: Any = None) -> Any:
            devices.append(get_device())
            values = super().__call__(shape, dtype)
            devices.append(values.device.type)
            return values

    with keras.device("meta"), seeded(0):
        layer = layers.Dense(4, kernel_initializer=Noted())
        layer.build((None, 4))
        assert get_device() == "meta"
    assert devices == ["cpu", "cpu"]
    assert layer.kernel.value.device.type == "meta"


def test_the_patch_ends_with_the_block() -> None:
    """Outside, Keras' initializers are its own again, also after an error."""
    variable = importlib.import_module("keras.src.backend.common.variables").Variable
    before = variable._initialize_with_initializer
    with pytest.raises(LookupError) as caught, seeded(0):
        raise LookupError(variable._initialize_with_initializer)
    assert caught.value.args[0] is not before
    assert variable._initialize_with_initializer is before


def test_streams_stay_what_they_are() -> None:
    """The seed of a stream is BLAKE2b's of seed and path: baselines hang on it."""
    assert stream_seed(0, "sequential/dense/kernel") == 902838022
    found = {stream_seed(seed, f"dense_{i}/kernel") for seed in range(50) for i in range(50)}
    assert len(found) == 2500
    assert 0 <= min(found) < max(found) < 2**31


# ---- losses and float64


@pytest.mark.parametrize("from_logits", [False, True])
def test_binary_cross_entropy_of_a_nan_is_nan(from_logits: bool) -> None:
    """Values and gradients keep their bits beside a NaN, which stays one instead of raising."""
    outputs = torch.tensor([0.0, 0.2, 0.9, 1.0], requires_grad=True)
    target = torch.tensor([0.0, 1.0, 1.0, 0.0])
    plain_values = keras.ops.binary_crossentropy(target, outputs, from_logits)
    plain_values.sum().backward()
    assert outputs.grad is not None
    expected = outputs.grad.clone()
    broken = torch.tensor([*outputs.tolist(), float("nan")], requires_grad=True)
    with nan_in_losses():
        values = keras.ops.binary_crossentropy(torch.cat([target, target[:1]]), broken, from_logits)
        values[:4].sum().backward()
    assert torch.equal(values[:4], plain_values)
    assert values[4].isnan()
    assert broken.grad is not None
    assert torch.equal(broken.grad[:4], expected)


def test_pytorchs_own_still_raises_outside() -> None:
    """Outside the block nothing is changed: here is what it is for."""
    nan = torch.full((1,), float("nan"))
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        keras.ops.binary_crossentropy(torch.ones(1), nan)


def test_true_float64_is_pytorchs() -> None:
    """Inside, a Dense layer agrees with PyTorch to float64's rounding; outside, to float32's."""
    x = torch.rand(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def error() -> float:
        layer = layers.Dense(3, dtype="float64")
        outputs = layer(x)
        kernel = layer.kernel.value.detach().double()
        return float((outputs.detach() - x @ kernel).abs().max())

    table, policy = dict(dtypes.BIT64_TO_BIT32_DTYPE), keras.config.dtype_policy().name
    with true_float64():
        assert error() < 1e-15
        assert keras.ops.mean(x).dtype == torch.float64
        assert layers.Dense(1).variable_dtype == "float64"
    with pytest.raises(LookupError), true_float64():
        raise LookupError
    assert table == dtypes.BIT64_TO_BIT32_DTYPE
    assert keras.config.floatx() == "float32"
    assert keras.config.dtype_policy().name == policy
    assert error() > 1e-9


def test_an_interrupt_between_epochs_is_not_swallowed() -> None:
    """Keras makes numbers of its logs under a bare `except`; inside the block Ctrl-C gets through."""
    from keras.src.callbacks.callback_list import python_utils

    class Interrupting:
        def __float__(self) -> float:
            raise KeyboardInterrupt

    with interruptible_logs():
        with pytest.raises(KeyboardInterrupt):
            python_utils.pythonify_logs({"loss": Interrupting()})
        logs = {"loss": torch.tensor(0.5), "more": {"a": np.float32(1)}, "text": "x"}
        assert python_utils.pythonify_logs(logs) == {"loss": 0.5, "a": 1.0, "text": "x"}
        assert python_utils.pythonify_logs(None) == {}
    assert python_utils.pythonify_logs.__module__.startswith("keras")


def test_an_accelerator_of_one_device_is_seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apple's has `manual_seed` alone; others seed all their devices."""
    seeds: list[int] = []
    monkeypatch.setattr("torch.accelerator.is_available", lambda: True)
    monkeypatch.setattr("torch.accelerator.current_accelerator", lambda: torch.device("mps"))
    monkeypatch.setattr("torch.accelerator.device_count", lambda: 0)
    monkeypatch.setattr("torch.mps.manual_seed", seeds.append)
    with backend.seeded_generators(7):
        assert seeds == [7]


def test_where_no_accelerator_is_none_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch 2.6 refuses to name one."""

    def refuse() -> None:
        raise RuntimeError("Cannot access accelerator device when none is available.")

    monkeypatch.setattr("torch.accelerator.is_available", lambda: False)
    monkeypatch.setattr("torch.accelerator.current_accelerator", refuse)
    assert backend.accelerator() is None
