"""Training and validation data: arrays, checked once, so that no run starts on broken ones."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from dlbench.errors import ExperimentError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dlbench.plain import Plain

    Array: TypeAlias = NDArray[Any]
    Inputs: TypeAlias = Array | dict[str, Array]

HAND_OVER = (
    "hand over NumPy arrays (or a dict of them for several inputs): draw a generator, Dataset or "
    "DataLoader once into arrays with np.concatenate, since every seed must see the same samples"
)


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Inputs, labels and, where given, sample weights: one row a sample."""

    x: Inputs
    """Shape `(n, …)`, or a dict of such arrays for a model with several named inputs."""
    y: Array
    """Shape `(n, …)`."""
    weight: Array | None = None
    """Shape `(n,)`, each sample's weight in the loss."""

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.y)

    def take(self, rows: NDArray[np.intp] | slice) -> Samples:
        """Return the samples at `rows`, in that order."""
        x = {k: v[rows] for k, v in self.x.items()} if isinstance(self.x, dict) else self.x[rows]
        return Samples(x, self.y[rows], None if self.weight is None else self.weight[rows])

    def arrays(self) -> dict[str, Array]:
        """Return every array under a name for messages and hashes."""
        named = (
            {f"x[{name!r}]": array for name, array in self.x.items()}
            if isinstance(self.x, dict)
            else {"x": self.x}
        )
        named["y"] = self.y
        return named if self.weight is None else named | {"sample_weight": self.weight}


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """A training set and, where there is one, a validation set."""

    train: Samples
    validation: Samples | None
    digest: str
    """16 hexadecimal digits over every array's name, shape, type and bytes."""

    @classmethod
    def of(cls, data: object) -> Data:
        """Return checked data from what a user hands over.

        Args:
            data: `(train, validation)`, each `(x, y)` or `(x, y, sample_weight)`; or one such tuple
                of arrays for training alone. A `Data` is returned as it is.

        Raises:
            ExperimentError: not arrays, unequal lengths, no samples, or values that are not finite.
        """
        if isinstance(data, Data):
            return data
        if not isinstance(data, (tuple, list)) or not data:
            raise ExperimentError(
                f"data must be ((x, y), (x_val, y_val)), got {type(data).__name__}: {HAND_OVER}"
            )
        if isinstance(data[0], tuple) or all(_is_set(part) for part in data):
            if len(data) != 2:  # noqa: PLR2004
                raise ExperimentError(
                    f"data must be ((x, y), (x_val, y_val)), got {len(data)} parts: "
                    "a test set is not used, join it to one of the two or leave it out"
                )
            train = _samples("train", data[0])
            validation = None if data[1] is None else _samples("validation", data[1])
            _same_form(train, validation)
        else:
            train, validation = _samples("train", data), None
        return cls(train, validation, _digest(train, validation))

    def to_builtins(self) -> dict[str, Plain]:
        """Return what a record keeps of the data: sizes, shapes and the digest."""
        x = self.train.x
        shape: Plain = (
            {name: list(array.shape[1:]) for name, array in x.items()}
            if isinstance(x, dict)
            else list(x.shape[1:])
        )
        return {
            "train": len(self.train),
            "validation": len(self.validation) if self.validation else 0,
            "x": shape,
            "y": list(self.train.y.shape[1:]),
            "weighted": self.train.weight is not None,
            "digest": self.digest,
        }


def _is_set(part: object) -> bool:
    """Tell `(x, y)` from `x`: a list of numbers, or of lists of them, is an array."""
    return isinstance(part, tuple) or (
        isinstance(part, list) and any(hasattr(v, "shape") or isinstance(v, dict) for v in part)
    )


def _samples(role: str, part: Any) -> Samples:
    if not isinstance(part, (tuple, list)) or len(part) not in {2, 3}:
        got = f"{len(part)} parts" if isinstance(part, (tuple, list)) else type(part).__name__
        raise ExperimentError(
            f"{role} data must be (x, y) or (x, y, sample_weight), got {got}: {HAND_OVER}"
        )
    x: Inputs
    if isinstance(part[0], dict):
        x = {str(name): _array(f"{role} x[{name!r}]", value) for name, value in part[0].items()}
        if not x:
            raise ExperimentError(f"{role} x is an empty dict; it needs an array for each input")
    else:
        x = _array(f"{role} x", part[0])
    weight = _array(f"{role} sample_weight", part[2]) if len(part) > 2 else None  # noqa: PLR2004
    samples = Samples(x, _array(f"{role} y", part[1]), weight)
    for name, array in samples.arrays().items():
        if len(array) != len(samples):
            raise ExperimentError(
                f"{role} {name} has {len(array)} samples and y has {len(samples)}; "
                "both need one row a sample, and several inputs are a dict of arrays"
            )
    if not len(samples):
        raise ExperimentError(f"{role} data is empty; it needs at least one sample")
    if weight is not None and (weight.min() < 0 or not weight.any()):
        raise ExperimentError(
            f"{role} sample_weight must be at least 0, and above 0 for some sample; "
            f"got {weight.min()} to {weight.max()}"
        )
    return samples


def _array(name: str, value: Any) -> Array:
    try:
        if hasattr(value, "detach"):  # a torch tensor, wherever it lies
            value = value.detach().cpu().numpy()
        # A copy, since the caller may go on writing into theirs, and rows one after the other,
        # since PyTorch rounds otherwise when columns are.
        array = np.array(value, order="C")
    except (ValueError, TypeError, RuntimeError) as error:
        raise ExperimentError(f"{name} is not one array ({error}): {HAND_OVER}") from error
    if array.dtype.kind not in "biuf" or array.ndim == 0:
        plain = array.dtype != object and array.ndim > 0
        kind = f"an array of {array.dtype}" if plain else type(value).__name__
        raise ExperimentError(f"{name} must be numbers, one row a sample, got {kind}: {HAND_OVER}")
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            single = array.astype(np.float32)
        bad = array.size - int(np.isfinite(single).sum())
        if bad:
            raise ExperimentError(
                f"{name} holds {bad} values of {array.size} that are NaN, infinite or beyond "
                "float32; training would diverge from them: impute or drop those samples"
            )
        if array.dtype.itemsize != np.dtype(np.float64).itemsize:
            array = single
    if array.dtype == np.uint64:  # PyTorch computes nothing with it
        array = array.astype(np.int64)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    array.setflags(write=False)
    return array


def _same_form(train: Samples, validation: Samples | None) -> None:
    if validation is None:
        return
    ours, theirs = train.arrays(), validation.arrays()
    for name in ours.keys() & theirs.keys():
        if ours[name].shape[1:] != theirs[name].shape[1:]:
            raise ExperimentError(
                f"train {name} has samples of shape {ours[name].shape[1:]} and validation {name} "
                f"of shape {theirs[name].shape[1:]}; both must be the same"
            )
    if isinstance(train.x, dict) != isinstance(validation.x, dict) or (
        isinstance(train.x, dict) and train.x.keys() != dict(validation.x).keys()
    ):
        raise ExperimentError(
            f"train and validation have other inputs: {sorted(ours)} and {sorted(theirs)}"
        )


def _digest(*parts: Samples | None) -> str:
    state = hashlib.blake2b(digest_size=8)
    for part in parts:
        for name, array in part.arrays().items() if part else ():
            state.update(f"{name}{array.shape}{array.dtype.str}".encode())
            state.update(np.ascontiguousarray(array).data)
    return state.hexdigest()
