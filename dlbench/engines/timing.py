"""The training step that pytest-benchmark times: the user's real one, as Keras runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from dlbench.backend import on_device, quiet_keras, seeded
from dlbench.engines.fit import compiled

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.experiment import Experiment


def training_step(experiment: Experiment, device: str | None = None) -> Callable[[], object]:
    """Return a call that makes one update by `train_on_batch` of one compiled Keras model.

    Every call trains on the same batch, the first of the first seed, already on the device.
    `train_on_batch` converts its logs to floats: the device is synchronized when it returns.

    Args:
        experiment: whose step it is.
        device: where it computes; by default where Keras chooses.
    """
    seed = experiment.seeds[0]
    with on_device(device), seeded(seed):
        model = compiled(experiment, with_metrics=True)
        batch = next(experiment.batches(seed))
        x = keras.tree.map_structure(keras.ops.convert_to_tensor, batch.x)
        y = keras.ops.convert_to_tensor(batch.y)

    def step() -> object:
        with on_device(device), quiet_keras():
            return model.train_on_batch(x, y, sample_weight=batch.weight)

    return step
