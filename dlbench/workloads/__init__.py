"""The shipped workloads: functions that return a `Workload`; none downloads anything unasked.

| function        | data: train + validate           | model          | target            | median |
| --------------- | -------------------------------- | -------------- | ----------------- | ------ |
| `digits_mlp`    | digits, 8x8: 1,437 + 360         | 64-32-32-10    | val_accuracy 0.93 | 230    |
| `digits_cnn`    | the same                         | 2 convolutions | val_accuracy 0.93 | 260    |
| `diabetes`      | patients, regression: 353 + 89   | 10-32-32-1     | val_loss 0.55     | 96     |
| `spirals`       | two spirals: 400 + 400           | 2-16-16-2      | val_accuracy 0.95 | 91     |
| `moons`         | two half circles: 400 + 400      | 2-16-16-2      | val_accuracy 0.95 | 125    |
| `xor`           | the exclusive or: 4              | 2-2-2          | accuracy 1        | 61     |
| `mnist`         | digits, 28x28: 60,000 + 10,000   | 784-128-128-10 | val_accuracy 0.97 |        |
| `fashion_mnist` | clothing, 28x28: 60,000 + 10,000 | 784-128-128-10 | val_accuracy 0.86 |        |
| `cifar10`       | photos, 32x32x3: 50,000 + 10,000 | 2 convolutions | val_accuracy 0.6  |        |

(median: optimizer updates until the median seed reaches the target, with the optimizer and batch
size that the function's docstring names.)

Begin with `digits_mlp`: real data, a second a seed, and a target that every seed reaches.
`digits_cnn` asks whether what holds for it holds for a similar model, `diabetes` whether it holds
for another task. `spirals` and `moons` need a nonlinearity; of `xor` some seeds train and others do
not. The last three are fetched by Keras when called, for those who have a network.

Every one takes `activation`; the perceptrons take `depth` and `width`, the convolutional networks
`filters`. `mlp` and `cnn` build models of the same kinds for data of your own:

```python
Workload(name="iris", model=mlp(4, 3, hidden=(16,)), data=((x, y), (x_val, y_val)),
         loss="sparse_categorical_crossentropy", metrics=["accuracy"])
```

`load_workload("FILE.py:NAME")` finds one in a file of yours.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlbench.workloads.builders import cnn, mlp
    from dlbench.workloads.downloaded import cifar10, fashion_mnist, mnist
    from dlbench.workloads.loading import load_workload
    from dlbench.workloads.real import diabetes, digits_cnn, digits_mlp
    from dlbench.workloads.synthetic import moons, spirals, xor

__all__ = [
    "cifar10",
    "cnn",
    "diabetes",
    "digits_cnn",
    "digits_mlp",
    "fashion_mnist",
    "load_workload",
    "mlp",
    "mnist",
    "moons",
    "spirals",
    "xor",
]

_HOMES = {
    "builders": ("cnn", "mlp"),
    "downloaded": ("cifar10", "fashion_mnist", "mnist"),
    "loading": ("load_workload",),
    "real": ("diabetes", "digits_cnn", "digits_mlp"),
    "synthetic": ("moons", "spirals", "xor"),
}


def __getattr__(name: str) -> object:
    """Import what is asked for when it is asked for: NumPy and pandas take their time."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the names, imported or not."""
    return sorted({*globals(), *__all__})
