"""The workloads that Keras downloads: read from small local files, or refused in a sentence.

No test reaches for the network: it is cut.
"""

from __future__ import annotations

import gzip
import socket
import struct
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest

from dlbench.engines.fit import train_by_fit
from dlbench.errors import DlbenchError, DownloadError
from dlbench.experiment import Experiment, Workload
from dlbench.workloads import cifar10, digits_mlp, fashion_mnist, mnist, xor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ALL: list[Callable[..., Workload]] = [mnist, fashion_mnist, cifar10]


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing outside this machine is found."""

    def not_found(*_args: Any, **_options: Any) -> Any:
        raise socket.gaierror(socket.EAI_AGAIN, "no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", not_found)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keras' cache, empty."""
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))
    folder = tmp_path / "datasets"
    folder.mkdir()
    return folder


def pixels(count: int, *shape: int) -> np.ndarray:
    """Return images whose values run from 0 to 255."""
    return np.resize(np.arange(256, dtype=np.uint8), (count, *shape))


def place_mnist(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write 20 and 10 samples where Keras looks for MNIST; their checksum is let pass."""
    monkeypatch.setattr("keras.src.utils.file_utils.validate_file", lambda *_, **__: True)
    y = np.arange(20, dtype=np.uint8) % 10
    np.savez(
        cache / "mnist.npz",
        x_train=pixels(20, 28, 28),
        y_train=y,
        x_test=pixels(10, 28, 28),
        y_test=y[:10],
    )


def place_fashion_mnist(cache: Path) -> None:
    """Write 20 and 10 samples as the four archives of Fashion-MNIST."""
    folder = cache / "fashion-mnist"
    folder.mkdir()
    for part, count in (("train", 20), ("t10k", 10)):
        labels = struct.pack(">II", 2049, count) + bytes(i % 10 for i in range(count))
        images = struct.pack(">IIII", 2051, count, 28, 28) + pixels(count, 28, 28).tobytes()
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))


def check(workload: Workload, name: str, sizes: tuple[int, int], shape: tuple[int, ...]) -> None:
    """Hold what every image workload has in common."""
    train, validation = workload.data.train, workload.data.validation
    assert validation is not None
    assert (len(train), len(validation)) == sizes
    for samples in (train, validation):
        assert isinstance(samples.x, np.ndarray)
        assert samples.x.shape[1:] == shape
        assert samples.x.dtype == np.float32
        assert samples.y.ndim == 1
        assert samples.y.dtype == np.int64
        assert samples.y[:10].tolist() == list(range(10))
    assert workload.name == name


def test_mnist_is_read_from_keras_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras' own loader reads the file; pixels come out from 0 to 1, with a channel."""
    place_mnist(cache, monkeypatch)
    workload = mnist()
    check(workload, "mnist", (20, 10), (28, 28, 1))
    assert isinstance(workload.data.train.x, np.ndarray)
    assert (workload.data.train.x[0] * 255).ravel() == pytest.approx(pixels(1, 28, 28).ravel())
    assert workload.data.train.x.max() == 1


def test_fashion_mnist_is_read_from_keras_cache(cache: Path) -> None:
    """Keras' own loader reads the four archives."""
    place_fashion_mnist(cache)
    check(fashion_mnist(), "fashion_mnist", (20, 10), (28, 28, 1))


def test_cifar10_is_read_by_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Keras' loader returns is taken in colour, and labels lose their second dimension."""
    labels = np.arange(20, dtype=np.uint8)[:, None] % 10
    data = (pixels(20, 32, 32, 3), labels), (pixels(10, 32, 32, 3), labels[:10])
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", lambda: data)
    check(cifar10(), "cifar10", (20, 10), (32, 32, 3))


@pytest.mark.parametrize(
    ("make", "shape", "parameters"),
    [
        (mnist, (28, 28), 784 * 128 + 128 + 128 * 128 + 128 + 128 * 10 + 10),
        (fashion_mnist, (28, 28), 784 * 128 + 128 + 128 * 128 + 128 + 128 * 10 + 10),
        (cifar10, (32, 32, 3), 27 * 32 + 32 + 9 * 32 * 64 + 64 + 64 * 64 * 10 + 10),
    ],
)
def test_models_train_on_the_data(
    make: Callable[..., Workload],
    shape: tuple[int, ...],
    parameters: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The models take the images, have the parameters of their names, and learn twenty by heart."""
    y = np.arange(20, dtype=np.uint8) % 10
    x = np.random.default_rng(0).integers(0, 256, (20, *shape), dtype=np.uint8)
    labels = y[:, None] if make is cifar10 else y
    data = ((x, labels), (x[:10], labels[:10]))
    monkeypatch.setattr(getattr(keras.datasets, make.__name__), "load_data", lambda: data)
    experiment = Experiment(make(), optimizer="adam", batch_size=20, steps=30)
    assert experiment.model["parameters"] == parameters
    runs = train_by_fit(experiment, lambda *_: None)
    assert runs.final("accuracy").min() > 0.8


def test_family(monkeypatch: pytest.MonkeyPatch) -> None:
    """The models vary as an analysis asks."""
    data = ((pixels(4, 28, 28), np.arange(4)),) * 2
    for make in (mnist, fashion_mnist):
        monkeypatch.setattr(getattr(keras.datasets, make.__name__), "load_data", lambda: data)
        layers = make(activation="tanh", depth=1, width=7).build().layers
        assert [layer.units for layer in layers[1:]] == [7, 10]
        assert layers[1].activation is keras.activations.tanh


@pytest.mark.parametrize("make", ALL)
def test_without_network_and_data(
    make: Callable[..., Workload], cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sentence says what is missing, why, what to take instead, and how to place the data."""
    with pytest.raises(DownloadError) as info:
        make()
    message = str(info.value)
    assert message.startswith(f"{make.__name__} is not on this machine")
    assert "no network in this test" in message
    assert "dlbench.workloads:digits_mlp" in message
    assert f"keras.datasets.{make.__name__}.load_data()" in message
    assert "KERAS_HOME" in message
    assert info.value.__cause__ is not None
    assert list(cache.glob("**/*.npz")) == []
    capsys.readouterr()  # Keras says what it tries to download


def test_error_is_what_a_caller_would_catch() -> None:
    """A failed download is an OSError, and one of dlbench's errors."""
    assert issubclass(DownloadError, OSError)
    assert issubclass(DownloadError, DlbenchError)


def test_broken_file_is_refused_too(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that cannot be read is no traceback out of a zip library."""
    monkeypatch.setattr("keras.src.utils.file_utils.validate_file", lambda *_, **__: True)
    (cache / "mnist.npz").write_bytes(b"not an archive")
    with pytest.raises(DownloadError, match=r"mnist"):
        mnist()
    capsys.readouterr()


def test_the_other_workloads_ask_for_nothing() -> None:
    """Without a network the workloads that ship with their data are there."""
    assert {make().name for make in (digits_mlp, xor)} == {"digits_mlp", "xor"}
