"""Random numbers by hash: uniform, independent of what else is drawn, the same in both engines."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
from scipy import stats

from dlbench.engines.draws import bits, portable_draws

COUNT = 200_000


def state(seed: int, drawn: int = 0) -> torch.Tensor:
    """Return a seed generator's state."""
    return torch.tensor([seed, drawn], dtype=torch.int32)


def test_bits_are_uniform() -> None:
    """Of 32-bit numbers every bit is set half of the time, and their bytes are evenly spread."""
    drawn = bits(state(3), COUNT).numpy()
    assert drawn.min() >= 0
    assert drawn.max() < 2**32
    for bit in range(32):
        assert stats.binomtest(int((drawn >> bit & 1).sum()), COUNT).pvalue > 1e-5
    for shift in (0, 8, 16, 24):
        counts = np.bincount(drawn >> shift & 0xFF, minlength=256)
        assert stats.chisquare(counts).pvalue > 1e-5


@pytest.mark.parametrize(("seed", "drawn"), [(3, 1), (4, 0), (-3, 0), (2**31 - 1, 7)])
def test_states_give_unrelated_numbers(seed: int, drawn: int) -> None:
    """A neighbouring seed, or the next draw of the same one, is uncorrelated with the first."""
    first = bits(state(3), COUNT).double().numpy()
    other = bits(state(seed, drawn), COUNT).double().numpy()
    assert stats.pearsonr(first, other).pvalue > 1e-5
    shifted = stats.pearsonr(first[1:], other[:-1])
    assert shifted.pvalue > 1e-5


def test_vmap_draws_what_each_state_draws_alone() -> None:
    """Drawn for many states at once, the numbers are those of each."""
    states = torch.stack([state(seed, seed % 3) for seed in range(6)])
    together = torch.func.vmap(lambda one: bits(one, 50))(states)
    for row, one in zip(together, states, strict=True):
        assert torch.equal(row, bits(one, 50))


def test_distributions() -> None:
    """Inside the block Keras' draws have the distributions they are named for."""
    with portable_draws():
        generator = keras.random.SeedGenerator(11)
        uniform = keras.random.uniform((COUNT,), -1, 3, seed=generator)
        normal = keras.random.normal((COUNT,), 2, 0.5, seed=generator)
        cut = keras.random.truncated_normal((COUNT,), 1, 2, seed=generator)
        whole = keras.random.randint((COUNT,), 3, 9, seed=generator)
        kept = keras.random.dropout(torch.ones(COUNT), 0.3, seed=generator)
    assert stats.kstest(uniform, stats.uniform(-1, 4).cdf).pvalue > 1e-5
    assert stats.kstest(normal, stats.norm(2, 0.5).cdf).pvalue > 1e-5
    assert stats.kstest(cut, stats.truncnorm(-2, 2, 1, 2).cdf).pvalue > 1e-5
    assert stats.chisquare(np.bincount(whole, minlength=9)[3:]).pvalue > 1e-5
    assert set(np.unique(kept).round(6)) == {0.0, np.float32(1 / 0.7).round(6)}
    assert stats.binomtest(int((kept == 0).sum()), COUNT, 0.3).pvalue > 1e-5


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_every_precision(dtype: str) -> None:
    """Draws are finite, of the type asked for, and within their bounds in every precision."""
    with portable_draws():
        generator = keras.random.SeedGenerator(2)
        uniform = keras.random.uniform((COUNT,), dtype=dtype, seed=generator)
        normal = keras.random.normal((COUNT,), dtype=dtype, seed=generator)
        cut = keras.random.truncated_normal((COUNT,), dtype=dtype, seed=generator)
    for drawn in (uniform, normal, cut):
        assert str(drawn.dtype) == f"torch.{dtype}"
        assert torch.isfinite(drawn).all()
    assert uniform.min() >= 0
    assert uniform.max() <= 1
    assert cut.abs().max() <= 2.01
    assert 0.99 < float(normal.double().std()) < 1.01


def test_dropout_follows_the_noise_shape() -> None:
    """An axis of size 1 in the noise shape is dropped as a whole."""
    with portable_draws():
        kept = keras.random.dropout(torch.ones(40, 5), 0.5, noise_shape=(None, 1), seed=1)
    assert ((kept == 0).all(dim=1) | (kept == 2).all(dim=1)).all()
    assert 0 < int((kept == 0).all(dim=1).sum()) < 40


def test_keras_draws_as_shipped_afterwards() -> None:
    """After the block Keras' own functions are back, even if it raised."""
    before = keras.random.uniform((4,), seed=5)
    with pytest.raises(KeyError), portable_draws():
        assert not torch.equal(keras.random.uniform((4,), seed=5), before)
        raise KeyError
    assert torch.equal(keras.random.uniform((4,), seed=5), before)
