"""What the laws are tried on: drawn numbers, small networks, and one picture for all of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import seaborn as sns
import torch
from keras import layers

from dlbench.backend import seeded

if TYPE_CHECKING:
    from collections.abc import Callable

NORMAL = keras.initializers.RandomNormal(stddev=1.0)


def drawn(seed: int, *shape: int) -> Any:
    """Return normal numbers."""
    return np.random.default_rng(seed).normal(size=shape)


def net(inputs: int, *stack: Callable[[], Any]) -> Any:
    """Return a network of some layers, each from a function that makes it."""
    return keras.Sequential([keras.Input((inputs,)), *(make() for make in stack)])


def line(inputs: int) -> Any:
    """Return a linear model without a bias, always of the same first weights."""
    with seeded(0):
        return net(inputs, partial(layers.Dense, 1, use_bias=False))


def mlp(seed: int) -> Any:
    """Return a network of 3 inputs, 8 ReLU units and 2 outputs, none of whose biases is 0."""
    dense = partial(layers.Dense, bias_initializer=NORMAL)
    with seeded(seed):
        return net(3, partial(dense, 8, activation="relu"), partial(dense, 2))


def compiled(model: Any, optimizer: Any, loss: Any = "mse") -> Any:
    """Return the model, ready to train."""
    model.compile(optimizer=optimizer, loss=loss)
    return model


def put_out(layer: Any, x: Any) -> Any:
    """Return what a layer or a model makes of inputs."""
    with torch.no_grad():
        return keras.ops.convert_to_numpy(layer(x))


def flat(model: Any) -> Any:
    """Return all weights, one after the other."""
    return np.concatenate(model.get_weights(), axis=None)


def picture(frame: Any, formula: str, *, x: str, y: str, hue: str, col: str, **facets: Any) -> Any:
    """Return panels in which lines are what a formula predicts and dots what was measured."""
    how: dict[str, Any] = {"x": x, "hue": hue, "palette": "colorblind"}
    grid = sns.relplot(
        frame, y="predicted", col=col, kind="line", height=3, aspect=1.15, facet_kws=facets, **how
    )
    for name, axes in grid.axes_dict.items():
        part = frame[frame[col] == name]
        sns.scatterplot(part, y="measured", s=18, legend=False, ax=axes, **how)
    grid.figure.suptitle(formula, y=1.08)
    return grid.set(ylabel=y).set_titles("{col_name}")
