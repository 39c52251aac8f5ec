"""Everything process-wide about Keras: its backend, its global state, its random numbers.

It knows most of Keras' private names (`docs/architecture.md` lists the rest). What it changes is
changed for the length of a `with` block, and `tests/test_backend.py` fails when Keras moves a name.
It imports nothing heavy: the plugin asks it for the backend in every pytest run of an environment.
"""

# ruff: noqa: SLF001 - Keras' private names are what this module is for

from __future__ import annotations

import contextlib
import copy
import hashlib
import os
import sys
import threading
import warnings
from collections import Counter
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from dlbench.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

OTHER_BACKENDS = ("tensorflow", "jax")
"""Backends whose presence leaves the choice to the user (openvino cannot train)."""

_SEED_GENERATOR = "global_seed_generator"
"""Keras' global attribute from which random operations without a seed of their own draw."""

_FRESH_STATE = ("object_name_uids", _SEED_GENERATOR, "uninitialized_variables")
"""Keras' global attributes that would make a run depend on what ran, or failed, before it."""


def choose_keras_backend(wanted: str | None = None) -> None:
    """Set `KERAS_BACKEND` where the answer is plain, and touch nothing otherwise.

    Keras reads the variable at its first import and falls back to TensorFlow. The answer is plain
    when the ini key `dlbench_keras_backend` gives it, or when PyTorch alone is installed.

    Args:
        wanted: the backend that the configuration names, if any.
    """
    if os.environ.get("KERAS_BACKEND") or "keras" in sys.modules:
        return  # an empty variable is none to Keras
    if wanted:
        os.environ["KERAS_BACKEND"] = wanted
    elif find_spec("torch") and not any(find_spec(name) for name in OTHER_BACKENDS):
        os.environ["KERAS_BACKEND"] = "torch"


def require_torch() -> None:
    """Keras runs on PyTorch after this call, or a `BackendError` says how to make it so.

    Raises:
        BackendError: Keras was already imported with another backend, or its backend is missing.
    """
    choose_keras_backend()
    remedy = (
        "Before anything imports keras, set the environment variable KERAS_BACKEND=torch "
        "or, in pytest's configuration, `dlbench_keras_backend = torch`."
    )
    try:
        import keras
    except (ImportError, ValueError) as error:  # ValueError: a backend that Keras does not know
        raise BackendError(f"keras could not be imported: {error}. {remedy}") from error
    if keras.backend.backend() != "torch":
        raise BackendError(
            f"dlbench trains Keras models on the PyTorch backend, "
            f"but Keras is loaded with {keras.backend.backend()!r}. {remedy}"
        )


@contextlib.contextmanager
def isolated_keras() -> Iterator[None]:
    """Inside the block Keras counts names from the start; nothing made in it is left behind.

    Layers are then called `dense`, `dense_1`, … whatever was built before, so that a variable's
    path means the same in every run. Settings (dtype policy, device, custom objects) are carried
    in.
    """
    from keras.src.backend.common import global_state

    outside = global_state.GLOBAL_STATE_TRACKER
    inside = threading.local()
    for name, value in vars(outside).items():
        if name not in _FRESH_STATE:
            setattr(inside, name, value)
    global_state.GLOBAL_STATE_TRACKER = inside
    try:
        with quiet_keras():
            yield
    finally:
        global_state.GLOBAL_STATE_TRACKER = outside


@contextlib.contextmanager
def quiet_keras() -> Iterator[None]:
    """Inside the block Keras' own conversions to NumPy do not warn.

    Keras 3.15 wraps tensors in objects whose `__array__` lacks NumPy 2's `copy` keyword. A user can
    mend nothing about it, and a suite that turns warnings into errors would stop at it.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "__array__ implementation doesn't accept a copy keyword", DeprecationWarning
        )
        yield


@contextlib.contextmanager
def true_float64() -> Iterator[None]:
    """Inside the block Keras computes in float64, where its torch backend otherwise says so only.

    Keras maps float64 to float32 wherever it works out a result's type: a Dense layer labelled
    float64 is off by 4e-7. Source: `keras/src/backend/common/dtypes.py`, `BIT64_TO_BIT32_DTYPE`.
    """
    import keras
    from keras.src.backend.common import dtypes

    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    narrowed = dtypes.BIT64_TO_BIT32_DTYPE.pop("float64")
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        yield
    finally:
        dtypes.BIT64_TO_BIT32_DTYPE["float64"] = narrowed
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)


@contextlib.contextmanager
def on_device(device: str | None) -> Iterator[None]:
    """Inside the block Keras computes on "cpu", "cuda" or "cuda:1"; None leaves it the choice."""
    import keras

    with keras.device(device) if device else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside the block every random number comes from `seed`; afterwards all is as it was.

    Keras' initializers draw each variable from a stream of its own, keyed by the seed and the
    variable's path: adding a layer leaves the initial weights of the others as they were.

    Args:
        seed: the run's seed, 0 to 2**32 - 1.
    """
    with seeded_generators(seed), isolated_keras(), _variable_streams(seed):
        yield


@contextlib.contextmanager
def seeded_generators(seed: int) -> Iterator[None]:
    """Inside the block Python's, NumPy's and PyTorch's generators start from `seed`.

    Args:
        seed: 0 to 2**32 - 1, as NumPy's legacy generator takes it.
    """
    import random

    import numpy as np
    import torch

    with kept_generators():
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - user code draws from it
        # What `torch.manual_seed` does, which notes the whole stack for each accelerator not there.
        torch.default_generator.manual_seed(seed)
        if (device := accelerator()) is not None:
            module = torch.get_device_module(device)
            getattr(module, "manual_seed_all", module.manual_seed)(seed)  # MPS is one device
        yield


@contextlib.contextmanager
def kept_generators() -> Iterator[None]:
    """After the block Python's, NumPy's and PyTorch's generators are as they were before it."""
    import random

    import numpy as np
    import torch

    device = accelerator()
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        # PyTorch warns of several devices unless they are named.
        with torch.random.fork_rng(
            range(torch.accelerator.device_count()),
            device_type=device.type if device else "cuda",
        ):
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002


def accelerator() -> torch.device | None:
    """Return the accelerator that is there; PyTorch 2.6 refuses to name one where there is none."""
    import torch

    there = torch.accelerator.is_available()
    return torch.accelerator.current_accelerator() if there else None


@contextlib.contextmanager
def kept_seed_generator() -> Iterator[None]:
    """After the block Keras' global seed generator is as it was before it, or is none again."""
    from keras.src.backend.common import global_state

    generator = global_state.get_global_attribute(_SEED_GENERATOR)
    state = None if generator is None else generator.state.value.detach().clone()
    try:
        yield
    finally:
        global_state.set_global_attribute(_SEED_GENERATOR, generator)
        if generator is not None:
            generator.state.assign(state)


@contextlib.contextmanager
def _variable_streams(seed: int) -> Iterator[None]:
    """Give each variable's random initializer, unless seeded by the user, its own stream."""
    import keras
    from keras.src.backend.common.variables import Variable
    from keras.src.initializers.random_initializers import RandomInitializer

    original = Variable._initialize_with_initializer
    seen: Counter[str] = Counter()

    def initialize(variable: Any, initializer: Any) -> None:
        path = variable.path
        # Layers of a subclassed model may share a name; that must not give them the same weights.
        stream = f"{path}#{seen[path]}" if path in seen else path
        seen[path] += 1
        if isinstance(initializer, RandomInitializer) and initializer._init_seed is None:
            initializer = copy.copy(initializer)  # not by its config, which may leave things out
            initializer.seed = stream_seed(seed, stream)

        def on_cpu(*args: Any, **kwargs: Any) -> Any:
            # A GPU's generator would give other weights than the CPU's for the same seed.
            with keras.device("cpu"):
                return initializer(*args, **kwargs)

        original(variable, on_cpu)

    Variable._initialize_with_initializer = initialize
    try:
        yield
    finally:
        Variable._initialize_with_initializer = original


@contextlib.contextmanager
def nan_in_losses() -> Iterator[None]:
    """Inside the block the binary cross-entropy of a NaN is NaN; PyTorch's own raises at one.

    A run that diverges is a result, and must not stop the runs beside it.
    """
    import torch
    from keras.src.backend.torch import nn

    original = nn.binary_crossentropy

    def tolerant(target: Any, output: Any, from_logits: bool = False) -> Any:  # noqa: FBT001, FBT002
        output = as_tensors(output)
        unknown = torch.isnan(output)
        values = original(target, torch.where(unknown, 0.5, output), from_logits)
        return torch.where(unknown, torch.nan, values)

    nn.binary_crossentropy = tolerant
    try:
        yield
    finally:
        nn.binary_crossentropy = original


@contextlib.contextmanager
def interruptible_logs() -> Iterator[None]:
    """Inside the block Ctrl-C ends a `fit`, whatever it is at.

    At each epoch's end Keras makes numbers of its logs under a bare `except`, which swallows an
    interrupt that comes just then. Source: `keras/src/utils/python_utils.py`, `pythonify_logs`.
    """
    from keras.src.utils import python_utils

    original = python_utils.pythonify_logs

    def pythonify(logs: Any) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, value in sorted((logs or {}).items()):
            if isinstance(value, dict):
                result.update(pythonify(value))
                continue
            try:
                result[name] = float(value)
            except (TypeError, ValueError, RuntimeError):
                result[name] = value
        return result

    python_utils.pythonify_logs = pythonify
    try:
        yield
    finally:
        python_utils.pythonify_logs = original


def stream_seed(seed: int, path: str) -> int:
    """Return a seed below 2**31 for the variable at `path` of the run `seed` (BLAKE2b)."""
    digest = hashlib.blake2b(f"{seed}:{path}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little") >> 1


def torch_modules(model: Any) -> Iterator[Any]:
    """Yield every `torch.nn.Module` within a Keras model, its own layers included, each once.

    PyTorch's own `model.modules()` does not look into the lists in which Keras keeps layers.
    """
    seen: set[int] = set()
    for layer in model._flatten_layers():
        for module in layer.modules():
            if id(module) not in seen:
                seen.add(id(module))
                yield module


def total_loss(model: Any, samples: Any, outputs: Any) -> float:
    """Return the loss that `fit` minimizes, for these samples as one batch, penalties included.

    Args:
        model: compiled.
        samples: with `x`, `y` and `weight`.
        outputs: what the model puts out for them.
    """
    import keras

    # Keras' own loss looks at no inputs: they are copied for one of the user's own alone.
    own = type(model).compute_loss is not keras.Model.compute_loss
    x = as_tensors(samples.x) if own else None
    y, weight = as_tensors(samples.y), as_tensors(samples.weight)
    return float(loss_of(model, x, y, outputs, weight, training=False))


def loss_of(  # noqa: PLR0913 - what Keras' loss takes
    model: Any,
    x: Any,
    y: Any,
    outputs: Any,
    weight: Any,
    *,
    training: bool,
) -> Any:
    """Return a compiled model's loss for a batch as a tensor, penalties of its last call included.

    By Keras' own detour: an overridden `compute_loss` need not take `training`.
    """
    return model._compute_loss(x=x, y=y, y_pred=outputs, sample_weight=weight, training=training)


def as_tensors(arrays: Any) -> Any:
    """Return arrays, a dict of them or None as tensors on Keras' device, as `fit` hands them on."""
    import keras

    return keras.tree.map_structure(keras.ops.convert_to_tensor, arrays, none_is_leaf=False)


def joined(parts: list[Any]) -> Any:
    """Return tensors put together along the samples, with the masks that Keras hung on them."""
    import torch
    from keras.src.backend import get_keras_mask, set_keras_mask

    if len(parts) == 1:
        return parts[0]
    whole = torch.cat(parts)
    masks = [get_keras_mask(part) for part in parts]
    if all(mask is not None for mask in masks):
        set_keras_mask(whole, torch.cat(masks))
    return whole


def moving_averages(optimizer: Any) -> list[Any]:
    """Return an optimizer's moving averages, one for each trainable variable of its model."""
    return list(optimizer._model_variables_moving_average)
