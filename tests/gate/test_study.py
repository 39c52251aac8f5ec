"""Real Keras runs through every gate: each can fail, and each can pass."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from dlbench.engines import train
from dlbench.engines.rounding import perturbed
from dlbench.experiment import Experiment, Workload
from dlbench.gate.entry import STEPS_TO_TARGET, TRAINING_LOSS, Entry, entry_of
from dlbench.gate.judging import compare
from dlbench.gate.rules import FAILED, PARAMETERS, POINTS, VAL_LOSS, Rules
from dlbench.workloads.builders import build_mlp

if TYPE_CHECKING:
    import keras

    from dlbench.history.record import Record
    from dlbench.runs import Runs

SEEDS = 16
ALPHA = 0.01 / (60 * 4)
"""Of each test, in a suite of 60 cases of 4 tests each."""

TESTED = (TRAINING_LOSS, VAL_LOSS, "val_accuracy", STEPS_TO_TARGET, FAILED)
"""The gates that take a share of the error rate."""

GATES = (*TESTED, PARAMETERS, POINTS)

points = np.random.default_rng(0).normal(size=(200, 2)).astype("float32")
inside = (np.square(points).sum(axis=1) < 1.4).astype("int64")
DATA = ((points[:100], inside[:100]), (points[100:], inside[100:]))
"""A disc to be told from what lies around it."""
NEAR = ((np.nextafter(points[:100], np.float32(9)), inside[:100]), DATA[1])
"""The same, the inputs a unit in the last place off: another machine's rounding."""


def build(units: int = 8) -> keras.Model:
    """Return a fresh 2-8-2 perceptron."""
    return build_mlp((2,), 2, hidden=(units,), activation="relu", output="softmax")


def build_narrow() -> keras.Model:
    """Return one with a unit less."""
    return build(7)


def build_dead() -> keras.Model:
    """Return one that no gradient reaches: all its weights are 0."""
    model = build()
    model.set_weights([0 * weight for weight in model.get_weights()])
    return model


def build_frozen() -> keras.Model:
    """Return one whose hidden biases do not train."""
    model = build()
    model.layers[0].bias.trainable = False
    return model


def experiment(
    model: Any = build, *, data: Any = DATA, rate: float = 0.5, steps: int = 60
) -> Experiment:
    """Return what is trained."""
    workload = Workload(
        name="disc",
        model=model,
        data=data,
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        target=("val_accuracy", 0.8),
    )
    return Experiment(workload, learning_rate=rate, batch_size=20, steps=steps, seeds=SEEDS)


def entry(runs: Runs, floor: float | None = None) -> Entry:
    """Return the entry of the record that the plugin would keep."""
    record = {
        "kind": "convergence",
        "case": "benchmarks/test_disc.py::test_disc",
        "name": None,
        "module": "benchmarks/test_disc.py",
        "bounds": "enforced",
        "runs": runs.to_builtins(),
        "parameters": None,
        "environment": {"device": "cpu", "precision": "float32"},
    }
    return entry_of(cast("Record", record), floor=floor)


@pytest.fixture(scope="module")
def accepted() -> Entry:
    """Return the entry that an accept keeps, with its yardstick of rounding."""
    clean = entry(train(experiment()))
    shaken = entry(train(perturbed(experiment())), floor=clean.floor)
    moved = np.subtract(shaken.values[TRAINING_LOSS], clean.values[TRAINING_LOSS])
    return replace(clean, alpha=ALPHA, yardstick=tuple(np.abs(moved).tolist()))


@pytest.fixture(scope="module")
def slow(accepted: Entry) -> Entry:
    """Return what a twentieth of the learning rate leaves."""
    return entry(train(experiment(rate=0.025)), floor=accepted.floor)


@pytest.fixture(scope="module")
def broken(accepted: Entry, slow: Entry) -> dict[str, Entry]:
    """Return, by gate, runs with a bug that this gate is there for."""

    def of(bug: Experiment) -> Entry:
        return entry(train(bug), floor=accepted.floor)

    return {
        **dict.fromkeys(TESTED, slow),
        FAILED: of(experiment(build_dead)),
        PARAMETERS: of(experiment(build_narrow)),
        POINTS: of(experiment(steps=5)),
    }


@pytest.fixture(scope="module")
def sound(accepted: Entry) -> Entry:
    """Return sound runs that differ from the accepted ones by rounding."""
    return entry(train(experiment(data=NEAR)), floor=accepted.floor)


@pytest.mark.parametrize("gate", GATES)
def test_each_gate_can_fail(accepted: Entry, broken: dict[str, Entry], gate: str) -> None:
    """A bug in real runs makes this gate fail with no other beside it."""
    verdict = compare(accepted, broken[gate], Rules.of(gates=gate), look="last")
    assert verdict.degree == ("incomparable" if gate == POINTS else "regressed")
    assert {found.gate for found in verdict.comparisons} == {gate}


@pytest.mark.parametrize("gate", GATES)
def test_each_gate_can_pass(accepted: Entry, sound: Entry, gate: str) -> None:
    """Sound runs, none of whose curves is the accepted one, make this gate say the same."""
    verdict = compare(accepted, sound, Rules.of(gates=gate), look="last")
    assert verdict.shown == "same"
    assert {found.gate for found in verdict.comparisons} == {gate}
    assert not set(sound.curves) & set(accepted.curves)


def test_each_gate_can_praise(accepted: Entry, slow: Entry) -> None:
    """Against slow runs, the sound ones are better by every gate that has a direction."""
    before = replace(slow, alpha=ALPHA)
    for gate in TESTED[:-1]:
        assert compare(before, accepted, Rules.of(gates=gate), look="last").degree == "improved"


def test_one_more_training_is_identical(accepted: Entry) -> None:
    """The same training again has the same curves, bit for bit, and passes as identical."""
    again = entry(train(experiment()), floor=accepted.floor)
    verdict = compare(accepted, again, Rules.of(), look="last")
    assert (verdict.degree, verdict.link) == ("identical", "intact")


def test_rounding_is_told_from_a_change(accepted: Entry, sound: Entry) -> None:
    """Paired runs that differ by the last place of their inputs pass as rounding."""
    verdict = compare(accepted, sound, Rules.of(), look="last")
    assert (verdict.degree, verdict.link) == ("rounding", "intact")


def test_a_frozen_bias_is_beyond_rounding(accepted: Entry) -> None:
    """Biases that no longer train leave paired runs that differ by more than rounding."""
    frozen = entry(train(experiment(build_frozen)), floor=accepted.floor)
    verdict = compare(accepted, frozen, Rules.of(), look="last")
    assert verdict.link == "intact"
    assert verdict.rounding.beyond
    assert verdict.degree not in {"identical", "rounding"}
