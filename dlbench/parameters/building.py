"""Building a model without allocating its weights: on torch's `meta` device, which has shapes only.

VGG16 is counted so in a few megabytes instead of 550.
"""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING, Any
from unittest import mock

from dlbench.backend import isolated_keras, seeded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextlib.contextmanager
def without_allocating() -> Iterator[None]:
    """Inside the block, Keras' variables and tensors have a shape and no memory.

    Layers are named from the start (`dense`, `dense_1`, …), and Python's, NumPy's and PyTorch's
    random numbers go on afterwards as if the block had not been.
    """
    import keras
    import numpy as np
    import torch

    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]), isolated_keras(), keras.device("meta"):
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002


def build(builder: Callable[..., Any]) -> Any:
    """Return what `builder` returns, built without allocating its weights where that is possible.

    It is not where the builder needs values (it computes with weights, or adapts a layer to data),
    nor where it wraps a torch module, which may be the caller's own: then it is run once more and
    for real. The application models of Keras are asked for without their pretrained weights, which
    would be downloaded.

    Args:
        builder: a function without required arguments that makes everything its model consists of.
    """
    import keras

    shipped = getattr(builder, "__module__", "").startswith("keras.src.applications")
    options = {"weights": None} if shipped else {}
    wrapper = keras.layers.TorchModuleWrapper
    try:
        # Wrapping moves the module to the current device: to `meta`, its weights would be lost.
        with without_allocating(), mock.patch.object(wrapper, "__init__", _refuse):
            return builder(**options)
    except Exception:  # noqa: BLE001 - whatever failed: if it fails for real too, that is raised
        with seeded(0):
            return builder(**options)


def _refuse(*_args: object, **_kwargs: object) -> None:
    raise RuntimeError("a wrapped torch module is not built on the meta device")
