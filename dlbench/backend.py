"""Everything process-wide about Keras: its backend, its global state, its random numbers.

This is the one module that knows Keras' private names. What it changes is changed for the length of
a `with` block, and `tests/test_backend.py` fails when Keras moves a name. It imports nothing heavy:
the plugin asks it for the backend in every pytest run of an environment.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import threading
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from dlbench.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Iterator

OTHER_BACKENDS = ("tensorflow", "jax")
"""Backends whose presence leaves the choice to the user (openvino cannot train)."""

_FRESH_STATE = ("object_name_uids", "global_seed_generator")
"""Keras' global attributes that would make a run depend on what ran before it."""


def choose_keras_backend(wanted: str | None = None) -> None:
    """Set `KERAS_BACKEND` where the answer is plain, and touch nothing otherwise.

    Keras reads the variable at its first import and falls back to TensorFlow. The answer is plain
    when the ini key `dlbench_keras_backend` gives it, or when PyTorch is the only backend installed.

    Args:
        wanted: the backend that the configuration names, if any.
    """
    if "KERAS_BACKEND" in os.environ or "keras" in sys.modules:
        return
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
    except ImportError as error:
        raise BackendError(f"keras could not be imported: {error}. {remedy}") from error
    if keras.backend.backend() != "torch":
        raise BackendError(
            f"dlbench trains Keras models on the PyTorch backend, "
            f"but Keras is loaded with {keras.backend.backend()!r}. {remedy}"
        )


@contextlib.contextmanager
def isolated_keras() -> Iterator[None]:
    """Inside the block Keras counts names from the start; nothing made in it is left behind.

    Layers are then called `dense`, `dense_1`, … whatever was built before, so that a variable's path
    means the same in every run. Settings (dtype policy, device, custom objects) are carried in.
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

    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng():
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - user code draws from it
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002


@contextlib.contextmanager
def _variable_streams(seed: int) -> Iterator[None]:
    """Give each variable's random initializer, unless seeded by the user, its own stream."""
    import keras
    from keras.src.backend.common.variables import Variable
    from keras.src.initializers.random_initializers import RandomInitializer

    original = Variable._initialize_with_initializer

    def initialize(variable: Any, initializer: Any) -> None:  # noqa: ANN401 - Keras has no types
        if isinstance(initializer, RandomInitializer) and initializer._init_seed is None:
            config = initializer.get_config() | {"seed": stream_seed(seed, variable.path)}
            initializer = type(initializer).from_config(config)

        def on_cpu(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            # A GPU's generator would give other weights than the CPU's for the same seed.
            with keras.device("cpu"):
                return initializer(*args, **kwargs)

        original(variable, on_cpu)

    Variable._initialize_with_initializer = initialize
    try:
        yield
    finally:
        Variable._initialize_with_initializer = original


def stream_seed(seed: int, path: str) -> int:
    """Return a seed below 2**31 for the variable at `path` of the run `seed` (BLAKE2b)."""
    digest = hashlib.blake2b(f"{seed}:{path}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little") >> 1
