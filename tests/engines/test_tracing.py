"""Keras' private names that tracing uses exist, and are as they were after each block."""

from __future__ import annotations

import logging

import keras
import pytest
import torch
from keras.src import ops
from keras.src.backend.torch import nn

from dlbench.engines.tracing import (
    NotVectorizable,
    WrappedModules,
    make_pure,
    python_state,
    quiet_trace_log,
    rate_from_outside,
    schedule_of,
    traceable_keras,
)

PATCHED = [(ops, "cond"), (nn, "conv"), (nn, "_maybe_convert_to_channels_last")]


@pytest.mark.parametrize(("module", "name"), PATCHED)
def test_patches_are_in_force_only_inside(module: object, name: str) -> None:
    """Each name is replaced inside the block and back after it, even after an error."""
    before = getattr(module, name, None)
    assert before is not None, f"Keras moved {name}: see dlbench/engines/tracing.py"
    with pytest.raises(KeyError), traceable_keras():
        assert getattr(module, name) is not before
        raise KeyError
    assert getattr(module, name) is before


def test_condition_selects_variables_and_outputs() -> None:
    """Both branches run on copies; assignments and outputs are those of the branch that holds."""
    variable = keras.Variable([0.0, 0.0])

    def run(flag: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with keras.StatelessScope([(variable, torch.zeros(2))]) as scope:
            chosen = ops.cond(
                flag,
                lambda: (variable.assign(torch.ones(2)), torch.tensor(5.0))[1],
                lambda: (variable.assign(torch.full((2,), 7.0)), torch.tensor(6.0))[1],
            )
            return chosen, scope.get_current_value(variable)

    with traceable_keras():
        chosen, values = torch.func.vmap(run)(torch.tensor([True, False]))
    assert chosen.tolist() == [5.0, 6.0]
    assert values.tolist() == [[1.0, 1.0], [7.0, 7.0]]
    assert variable.value.tolist() == [0.0, 0.0]


def test_condition_outside_a_scope_takes_one_branch() -> None:
    """A schedule evaluated outside a step branches as ever."""
    with traceable_keras():
        assert ops.cond(torch.tensor(False), lambda: "yes", lambda: "no") == "no"


def test_condition_that_creates_a_variable_is_refused() -> None:
    """A variable that only one branch knows cannot be selected."""
    variable = keras.Variable(0.0)
    with traceable_keras(), keras.StatelessScope(), pytest.raises(NotVectorizable):
        ops.cond(torch.tensor(True), lambda: variable.assign(1.0), lambda: None)


@pytest.mark.parametrize("name", ["SGD", "Adam", "Nadam", "Lion", "AdamW", "Muon", "Ftrl"])
def test_pure_optimizers_leave_variables_alone(name: str) -> None:
    """After `make_pure` an update in a scope changes no variable in place."""
    optimizer = getattr(keras.optimizers, name)(0.1)
    variable = keras.Variable([[1.0, 2.0], [3.0, 4.0]])
    optimizer.build([variable])
    make_pure(optimizer)
    value, state = torch.ones(2, 2), [v.value for v in optimizer.variables]
    new, _ = optimizer.stateless_apply(state, [torch.ones(2, 2)], [value])
    assert not torch.equal(new[0], torch.ones(2, 2))
    assert torch.equal(value, torch.ones(2, 2))
    assert variable.value.tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_rate_comes_from_outside() -> None:
    """The rate held is the one an update takes, whatever the schedule says."""
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    optimizer = keras.optimizers.SGD(schedule)
    assert schedule_of(optimizer) is schedule
    assert schedule_of(keras.optimizers.SGD(0.1)) is None
    rate_from_outside(optimizer)(torch.tensor(0.25))
    assert float(optimizer.learning_rate) == 0.25


def test_wrapped_module_uses_the_values_handed_in() -> None:
    """In a scope a torch module computes with the scope's weights, and keeps its own buffers."""
    norm = torch.nn.BatchNorm1d(3)
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.TorchModuleWrapper(norm, output_shape=(None, 3)),
        ]
    )
    modules = WrappedModules(model)
    assert [name.rsplit("/", 1)[-1] for name in modules.names()] == [
        "running_mean",
        "running_var",
        "num_batches_tracked",
    ]
    modules.set([torch.zeros(3), torch.ones(3), torch.tensor(0)])
    weight, bias = model.trainable_variables
    with keras.StatelessScope([(weight, torch.zeros(3)), (bias, torch.full((3,), 2.0))]):
        outputs = model(torch.randn(8, 3), training=True)
    assert torch.equal(outputs, torch.full((8, 3), 2.0))
    mean, _, tracked = modules.get()
    assert tracked == 1
    assert not torch.equal(mean, torch.zeros(3))
    assert norm.num_batches_tracked == 0
    assert norm.running_mean is not None
    assert torch.equal(norm.running_mean, torch.zeros(3))


def test_python_state_names_layer_and_attribute() -> None:
    """A layer's plain values are listed by name, those of its parts too."""
    model = keras.Sequential([keras.layers.Dense(3, name="wide")])
    assert python_state(model)["wide.units"] == 3


def test_trace_log_is_quiet_inside() -> None:
    """PyTorch's trace log is off in the block and as before after it."""
    log = logging.getLogger("torch.__trace")
    states = [log.disabled]
    with quiet_trace_log():
        states.append(log.disabled)
    assert [*states, log.disabled] == [False, True, False]
