"""Rules: what a test may say of its gates, and what is refused before anything trains."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dlbench.errors import DlbenchError, GateError
from dlbench.gate import rules as room
from dlbench.gate.rules import FIXED, Rules, least_pairs

if TYPE_CHECKING:
    from tests.gate.conftest import MakeEntry

NAMES = ("training_loss", "val_loss", "val_accuracy", "steps_to_target")


def test_the_rules_by_default() -> None:
    """Without a word of the test's own all gates are compared, each by its own margin."""
    rules = Rules.of()
    assert all(rules.compares(gate) for gate in (*FIXED, "val_accuracy"))
    assert rules.margin("training_loss", "log") == 0.01
    assert rules.margin("val_loss", "log") == 0.02
    assert rules.margin("val_accuracy", "points") == 0.005
    assert rules.margin("val_perplexity", "log") == 0.02
    assert rules.margin("steps_to_target", "log") == 0.05
    assert rules.scale("training_loss") == "log"
    assert [least_pairs(gate) for gate in ("training_loss", "val_loss", "val_auc")] == [5, 5, 8]


def test_what_a_test_says_holds() -> None:
    """One value is for every gate, a dict for the gates that it names."""
    rules = Rules.of(
        gates=["val_loss", "val_score", "val_loss"],
        margin={"val_loss": np.float32(0.5)},
        higher_is_better={"val_score": True},
        scale="linear",
    )
    assert rules.gates == ("val_loss", "val_score")
    assert not rules.compares("training_loss")
    assert rules.margin("val_loss", "log") == 0.5
    assert rules.margin("val_score", "linear") == 0.02
    assert rules.direction("val_score", {"val_score": False}) is True
    assert rules.scale("val_loss") == rules.scale("training_loss") == "linear"
    assert Rules.of(gates="failed").gates == ("failed",)
    assert Rules.of(margin=0.2).margin("val_accuracy", "points") == 0.2
    assert Rules.of(scale={"val_score": "linear"}).scale("training_loss") == "log"
    assert Rules.of(scale="log") == Rules(scales={"*": "log"})


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"gates": ["trainin_loss"]}, r"gates names 'trainin_loss'.*Did you mean 'training_loss'"),
        ({"gates": "step_to_target"}, "Did you mean 'steps_to_target'"),
        ({"gates": ["vall_loss"]}, "Did you mean 'val_loss'"),
        ({"gates": ["loss"]}, "expected one of training_loss"),
        ({"gates": [3]}, "gates names 3"),
        ({"gates": []}, "at least one gate"),
        ({"gates": {}}, "at least one gate"),
        ({"gates": {"val_loss": 1}}, "at least one gate"),
        ({"gates": 3}, "must be names"),
        ({"margin": 0}, "above 0 and below 1, 0.05 for 5 %"),
        ({"margin": -0.1}, "got -0.1"),
        ({"margin": 5}, "got 5"),
        ({"margin": math.nan}, "got nan"),
        ({"margin": math.inf}, "got inf"),
        ({"margin": True}, "got True"),
        ({"margin": "1 %"}, "got '1 %'"),
        ({"margin": {"val_loss": 0}}, r"margin\['val_loss'\] must be"),
        ({"margin": {"validation_loss": 0.1}}, "margin names 'validation_loss'"),
        ({"margin": {"failed": 0.1}}, "margin names 'failed'"),
        ({"margin": {"points": 0.1}}, "margin names 'points'"),
        ({"margin": {"*": 0.1}}, r"margin names '\*'"),
        ({"higher_is_better": True}, "must be a dict"),
        ({"higher_is_better": {"val_score": "yes"}}, "must be True or False, got 'yes'"),
        ({"higher_is_better": {"score": True}}, "higher_is_better names 'score'"),
        ({"higher_is_better": {"training_loss": False}}, "names 'training_loss'"),
        ({"scale": "lin"}, "Did you mean 'linear'"),
        ({"scale": 1}, "got 1"),
        ({"scale": {"steps_to_target": "linear"}}, "scale names 'steps_to_target'"),
        ({"scale": {"val_loss": "logs"}}, r"scale\['val_loss'\].*Did you mean 'log'"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(said: dict[str, Any], message: str) -> None:
    """A misspelt gate, or a value out of range, is an error that names the closest or the range."""
    with pytest.raises(GateError, match=message) as caught:
        Rules.of(**said)
    assert isinstance(caught.value, DlbenchError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"gates": ["val_acuracy"]}, r"names 'val_acuracy'.*Did you mean 'val_accuracy'"),
        ({"margin": {"val_auc": 0.1}}, "margin names 'val_auc'"),
        ({"higher_is_better": {"val_auc": True}}, "higher_is_better names 'val_auc'"),
        ({"scale": {"val_auc": "linear"}}, "scale names 'val_auc'"),
    ],
)
def test_a_curve_that_there_is_not(said: dict[str, Any], message: str) -> None:
    """Whether a validation curve exists is known with the case's names alone."""
    rules = Rules.of(**said)
    with pytest.raises(GateError, match=message):
        rules.check(NAMES)
    rules.check([*NAMES, "val_auc", "val_acuracy"], {"val_acuracy": True})


def test_steps_without_a_target() -> None:
    """Steps to a target cannot be asked for where there is no target."""
    rules = Rules.of(gates=["steps_to_target"])
    rules.check(NAMES)
    with pytest.raises(GateError, match="'steps_to_target', which this case does not have"):
        rules.check(["val_loss"])


def test_an_unknown_direction() -> None:
    """A curve whose direction nobody tells stops the session, unless it is not compared."""
    with pytest.raises(GateError, match=r"higher_is_better={'val_score': True}"):
        Rules.of().check(["val_score"])
    Rules.of().check(["val_score"], {"val_score": False})
    Rules.of(higher_is_better={"val_score": True}).check(["val_score"])
    Rules.of(gates=["training_loss"]).check(["val_score"])


def test_names_that_are_no_gates_are_passed_over() -> None:
    """A workload's own list of curves, training curves included, can be checked."""
    Rules.of(gates=["val_loss"]).check(["loss", "accuracy", "val_loss", "val_accuracy"])


def test_the_tests_that_share_the_error_rate(make_entry: MakeEntry) -> None:
    """Each value and the failed share take a part; below 8 seeds the losses alone; exact ones none."""
    assert room.tests_of(make_entry(8), Rules()) == (*NAMES, "failed")
    assert room.tests_of(make_entry(7), Rules()) == ("training_loss", "val_loss")
    assert room.tests_of(make_entry(8), Rules.of(gates=["val_loss", "points"])) == ("val_loss",)
    assert room.tests_of(make_entry(0, values={}), Rules()) == ()
