"""What Keras needs so that one step can be traced for many runs at once.

Private names of Keras are used here, in force only inside a `with` block or on the one model and
optimizer handed over. `tests/engines/test_tracing.py` fails when Keras moves one of them.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any

import keras
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from dlbench.engines.convolution import by_products
from dlbench.engines.state import named_buffers, wrappers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import Tensor


class NotVectorizable(Exception):  # noqa: N818 - a finding, not an error: `fit` takes over
    """Why an experiment cannot be trained by the vectorized engine, in one line."""


@contextlib.contextmanager
def traceable_keras() -> Iterator[None]:
    """Inside the block conditions, convolutions and attention work on many runs at once."""
    from keras.src import ops
    from keras.src.backend.torch import nn

    ours: list[tuple[Any, str, Any]] = [
        (ops, "cond", _both_branches),
        (nn, "conv", by_products(nn.conv)),
        # It clones in a memory format that vmap lacks; the layout changes speed, not values.
        (nn, "_maybe_convert_to_channels_last", lambda tensor: tensor),
    ]
    theirs = [getattr(module, name) for module, name, _ in ours]
    for module, name, value in ours:
        setattr(module, name, value)
    try:
        # PyTorch's fused attention has no batching rule; its plain form is products and a softmax.
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        for (module, name, _), value in zip(ours, theirs, strict=True):
            setattr(module, name, value)


@contextlib.contextmanager
def quiet_trace_log() -> Iterator[None]:
    """Inside the block PyTorch's log of traces, meant for a file, reaches no handler.

    pytest attaches its own to every logger that does not propagate, and would show hundreds of lines
    beside a failing test.
    """
    log = logging.getLogger("torch.__trace")
    disabled, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = disabled


def _both_branches(
    pred: Any,
    true_fn: Callable[[], Any],
    false_fn: Callable[[], Any],
) -> Any:
    """Run both branches on copies of the variables' values, and select by `pred`.

    A branch that is not taken leaves no trace, as long as it only computes and assigns variables.
    """
    from keras.src.backend.common.stateless_scope import get_stateless_scope

    scope = get_stateless_scope()
    if scope is None or isinstance(pred, bool):
        return true_fn() if pred else false_fn()
    pred = keras.ops.convert_to_tensor(pred)
    before = dict(scope.state_mapping)
    taken = true_fn()
    after_true, scope.state_mapping = scope.state_mapping, dict(before)
    other = false_fn()
    after_false = scope.state_mapping
    scope.state_mapping = {
        key: _select(pred, after_true.get(key), after_false.get(key))
        for key in after_true.keys() | after_false.keys()
    }
    if taken is None or other is None:
        return None
    return keras.tree.map_structure(lambda a, b: _select(pred, a, b), taken, other)


def _select(pred: Tensor, a: Any, b: Any) -> Any:
    if a is b:
        return a
    if a is None or b is None:
        raise NotVectorizable("a condition assigns a variable in one of its branches only")
    return torch.where(pred, a, b)


def make_pure(optimizer: keras.optimizers.Optimizer) -> None:
    """Let an optimizer update variables one by one, without PyTorch's in-place operations.

    Keras' torch classes mix in `torch._foreach_*`, which has no batching rule. Past the mixin stands
    the method of the optimizer's own class, which defines the same update.
    """
    from keras.src.backend.torch.optimizers.torch_optimizer import TorchOptimizer
    from keras.src.backend.torch.optimizers.torch_parallel_optimizer import TorchParallelOptimizer

    mixins: list[tuple[type, tuple[str, ...]]] = [
        (
            TorchParallelOptimizer,
            (
                "_backend_update_step",
                "_backend_reset_gradient_accumulators",
                "_backend_increment_gradient_accumulators",
            ),
        ),
        (TorchOptimizer, ("_apply_weight_decay",)),
    ]
    for mixin, names in mixins:
        if isinstance(optimizer, mixin):
            for name in names:
                object.__setattr__(optimizer, name, getattr(super(mixin, optimizer), name))


def rate_from_outside(optimizer: keras.optimizers.Optimizer) -> Callable[[Tensor | None], None]:
    """Let a schedule's rate be handed in, since a schedule branches on the iteration.

    Returns:
        A function that sets the rate for the step being traced.
    """
    held: list[Tensor | None] = [None]
    object.__setattr__(optimizer, "_get_current_learning_rate", lambda: held[0])

    def hold(rate: Tensor | None) -> None:
        held[0] = rate

    return hold


def schedule_of(optimizer: keras.optimizers.Optimizer) -> Callable[[Any], Any] | None:
    """Return the optimizer's learning-rate schedule, or None where its rate is a number."""
    rate = optimizer._learning_rate  # noqa: SLF001
    is_schedule = isinstance(rate, keras.optimizers.schedules.LearningRateSchedule)
    return rate if is_schedule else None


class WrappedModules:
    """The torch modules inside a Keras model, run with values handed in instead of their own.

    `TorchModuleWrapper` calls its module as it is: the module would read its own parameters, whatever
    values Keras' scope holds, and nothing would train. Buffers are state that Keras does not see.
    """

    def __init__(self, model: keras.Model) -> None:
        self._wrappers = wrappers(model)
        self._keys = [(number, name) for number, name, _ in named_buffers(model)]
        self._values: dict[tuple[int, str], Tensor] = {}
        for number, wrapper in enumerate(self._wrappers):
            object.__setattr__(wrapper, "call", self._functional(number, wrapper))

    def names(self) -> list[str]:
        """Return what the buffers are called, in the order of `named_buffers`."""
        return [f"{self._wrappers[number].name}/{name}" for number, name in self._keys]

    def set(self, values: list[Tensor]) -> None:
        """Hand in values for the buffers, in the order of `named_buffers`."""
        # Modules write into their buffers: into copies here, which `get` returns.
        self._values = {key: value.clone() for key, value in zip(self._keys, values, strict=True)}

    def get(self) -> list[Tensor]:
        """Return the buffers' values as the last call left them."""
        return list(self._values.values())

    def _functional(self, number: int, wrapper: Any) -> Callable[..., Any]:
        variables = {id(variable._value): variable for variable in wrapper.variables}  # noqa: SLF001
        parameters = {
            name: variables[id(parameter)] for name, parameter in wrapper.module.named_parameters()
        }

        def call(*args: Any, training: bool | None = None, **kwargs: Any) -> Any:
            wrapper.module.train(training is not False)
            values = {name: variable.value for name, variable in parameters.items()}
            values |= {name: value for (n, name), value in self._values.items() if n == number}
            return torch.func.functional_call(wrapper.module, values, args, kwargs)

        return call


def python_state(model: keras.Model, metrics: Iterable[keras.Metric] = ()) -> dict[str, Any]:
    """Return the plain Python values that a model's layers and metrics hold, by owner and attribute.

    A counter kept in one of them would become a constant in what is traced.
    """
    return {
        f"{owner.name}.{name}": value
        for owner in (*model._flatten_layers(), *metrics)  # noqa: SLF001
        for name, value in vars(owner).items()
        if isinstance(value, (bool, int, float, str)) and name != "training"
    }
