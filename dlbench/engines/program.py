"""One training step and one evaluation, as pure functions of the state of many runs.

The state of a run is a list of tensors: every variable of its model and of its optimizer, and the
buffers of its torch modules. Stacked, each has shape `(runs, …)`. `vmap` makes the step of one run
the step of all; tracing it once removes Keras' Python from every further step.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import keras
import torch

from dlbench.backend import loss_of, moving_averages
from dlbench.engines.graphs import traced
from dlbench.engines.state import variables_of
from dlbench.engines.tracing import (
    NotVectorizable,
    WrappedModules,
    make_pure,
    rate_from_outside,
    schedule_of,
)

if TYPE_CHECKING:
    from torch import Tensor

    from dlbench.experiment import Experiment

    State = list[Tensor]


class Program:
    """The step and the evaluation of one model and optimizer, for any number of runs.

    The model and the optimizer lend their code; their own values are only the first run's start.
    """

    def __init__(self, experiment: Experiment, model: keras.Model) -> None:
        self._model = model
        self._optimizer = model.optimizer
        self._trainable = list(model.trainable_variables)
        self._variables = variables_of(model)
        self._modules = WrappedModules(model)
        self._unused: list[bool] = []
        self.metrics = _built_metrics(experiment, model)
        make_pure(self._optimizer)
        self.metric_names = [template.name for template in experiment.metrics]
        self.has_averages = bool(self._optimizer.use_ema)
        self.has_schedule = schedule_of(self._optimizer) is not None
        self._hold_rate = rate_from_outside(self._optimizer) if self.has_schedule else None

    def names(self) -> list[str]:
        """Return what each part of a run's state is called, in the state's order."""
        return [variable.path for variable in self._variables] + self._modules.names()

    def trained(self, state: State) -> State:
        """Return the part of a state that is trained."""
        return state[: len(self._trainable)]

    def averaged(self, state: State) -> State:
        """Return the state with the optimizer's moving averages in place of the weights."""
        places = {id(variable): number for number, variable in enumerate(self._variables)}
        averages = [state[places[id(v)]] for v in moving_averages(self._optimizer)]
        return averages + state[len(self._trainable) :]

    # ---- the step of one run

    def step(self, state: State, x: Any, y: Tensor, weight: Any, rate: Any) -> State:
        """Return a run's state after one update.

        Args:
            state: the run's state before.
            x: the batch's inputs, shape `(batch, …)`, or a dict of them.
            y: the batch's labels.
            weight: the batch's sample weights, or None.
            rate: the learning rate where a schedule makes it, else None.
        """
        trained, rest = self.trained(state), state[len(self._trainable) :]

        def loss(trained: State) -> tuple[Tensor, State]:
            value, _, after = self._forward([*trained, *rest], x, y, weight, training=True)
            for variable, before, now in zip(self._trainable, trained, after, strict=False):
                if now is not before:
                    raise NotVectorizable(f"the variable {variable.path} is assigned in `call`")
            return self._optimizer.scale_loss(value), after[len(trained) :]

        grads, (_, after) = torch.func.grad_and_value(loss, has_aux=True)(trained)
        return self._update([*trained, *after], grads, rate)

    def _forward(
        self,
        state: State,
        x: Any,
        y: Tensor,
        weight: Any,
        *,
        training: bool,
    ) -> tuple[Tensor, Any, State]:
        """Return the loss, the outputs, and the state after the forward pass."""
        self._modules.set(state[len(self._variables) :])
        mapping = list(zip(self._variables, state, strict=False))
        with keras.StatelessScope(state_mapping=mapping, collect_losses=True) as scope:
            outputs = self._model(x, training=training)
            loss = loss_of(self._model, x, y, outputs, weight, training=training)
        after = [scope.get_current_value(variable) for variable in self._variables]
        return loss, outputs, after + self._modules.get()

    def _update(self, state: State, grads: State, rate: Any) -> State:
        # As `fit`, which skips a variable without a gradient; a zero would let it decay.
        given = [None if u else g for u, g in zip(self._unused, grads, strict=True)]
        if self._hold_rate is not None:
            self._hold_rate(rate)
        mapping = list(zip(self._variables, state, strict=False))
        with keras.StatelessScope(state_mapping=mapping) as scope, warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Gradients do not exist for variables")
            self._optimizer.apply(given)
        updated = [scope.get_current_value(variable) for variable in self._variables]
        return updated + state[len(self._variables) :]

    def find_unused(self, state: State, x: Any, y: Tensor, weight: Any) -> None:
        """Note the trainable variables that the loss does not depend on.

        Args:
            state: one run's state.
            x: a batch of inputs.
            y: its labels.
            weight: its sample weights, or None.

        Raises:
            NotVectorizable: nothing can be trained.
        """
        trained = [tensor.detach().clone().requires_grad_() for tensor in self.trained(state)]
        if not trained:
            raise NotVectorizable("the model has no trainable variable")
        rest = state[len(trained) :]
        loss, _, _ = self._forward([*trained, *rest], x, y, weight, training=True)
        grads = torch.autograd.grad(loss, trained, allow_unused=True)
        self._unused = [grad is None for grad in grads]

    # ---- evaluation of one run

    def metric_state(self) -> State:
        """Return the metrics' variables as they are before any sample."""
        return [value for metric in self.metrics for value in metric.stateless_reset_state()]

    def measure(self, state: State, measured: State, x: Any, y: Tensor, weight: Any) -> Any:
        """Return the loss of one run on a chunk of data, and its metrics' variables after it.

        Args:
            state: the run's state.
            measured: the metrics' variables before the chunk.
            x: inputs of the chunk.
            y: its labels.
            weight: its sample weights, or None: the loss is weighted, the metrics are not.
        """
        loss, outputs, _ = self._forward(state, x, y, weight, training=False)
        parts = zip(self.metrics, self._by_metric(measured), strict=True)
        new = [v for metric, old in parts for v in metric.stateless_update_state(old, y, outputs)]
        return loss, new

    def results(self, measured: State) -> State:
        """Return the metrics' values from their variables."""
        parts = zip(self.metrics, self._by_metric(measured), strict=True)
        return [metric.stateless_result(values) for metric, values in parts]

    def _by_metric(self, measured: State) -> list[State]:
        rest = iter(measured)
        return [[next(rest) for _ in metric.variables] for metric in self.metrics]


def _built_metrics(experiment: Experiment, model: keras.Model) -> list[Any]:
    """Return the experiment's metrics, whose variables exist after a first sample."""
    samples = experiment.workload.data.train.take(slice(0, 2))
    outputs = model(samples.x, training=False)
    metrics = [template.build() for template in experiment.metrics]
    for metric in metrics:
        metric.update_state(samples.y, outputs)
        metric.reset_state()
    return metrics


def trace(
    program: Program,
    state: State,
    data: tuple[Any, Tensor, Any],
    rows: Tensor,
    rates: Tensor | None,
) -> torch.fx.GraphModule:
    """Return the step of all runs as a graph of PyTorch operations, without Keras in it.

    Args:
        program: whose step it is.
        state: stacked, each part of shape `(runs, …)`; read, not changed.
        data: the training set's x, y and weights, one row a sample.
        rows: shape `(runs, batch)`, each run's batch as rows of the data.
        rates: shape `(runs,)` where a schedule makes the rates, else None.

    Returns:
        A function of the same arguments, without `program`, that returns the new state.
    """

    def step(state: State, data: Any, rows: Tensor, rates: Tensor | None) -> State:
        x, y, weight = take(data, rows)
        dims = (0, 0, 0, None if weight is None else 0, None if rates is None else 0)
        stepped: State = torch.func.vmap(program.step, in_dims=dims)(state, x, y, weight, rates)
        return stepped

    return traced(step, state, data, rows, rates)


def take(data: tuple[Any, Tensor, Any], rows: Tensor | slice) -> tuple[Any, Tensor, Any]:
    """Return the rows of x (an array or a dict), y and weights (or None)."""

    def of(array: Tensor) -> Tensor:
        if isinstance(rows, slice):
            return array[rows]
        # Whole rows at a time: indexing looks at each number, 200 µs for 1,600 rows of 64 against 20.
        return array.index_select(0, rows.flatten()).view(*rows.shape, *array.shape[1:])

    taken: tuple[Any, Tensor, Any] = keras.tree.map_structure(of, data, none_is_leaf=False)
    return taken
