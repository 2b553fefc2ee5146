"""Training in shares: the steps of an estimator on some of its rows, which other processes may compute.

All functions here are pure: they depend on their arguments alone, and change none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._errors import DivergedError
from fastnn._model import MLP
from fastnn._native import moments_of, network_of, set_updates
from fastnn.sklearn import _by_hand, _fitted
from fastnn.sklearn._data import Rows, batch_size, native_rows, thread_count
from fastnn.sklearn._definitions import EstimatorTrainer

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Blueprint:
    """Everything about an estimator but the numbers that training changes.

    Attributes
    ----------
    kind : type
        The class of the estimator.
    parameters : dict
        The arguments of its constructor, except for the random state.
    fitted : dict
        Attributes that do not change during a fit, such as the classes.
    layer_sizes : tuple of int
    dtype : dtype
    """

    kind: type
    parameters: dict[str, Any]
    fitted: dict[str, Any]
    layer_sizes: tuple[int, ...]
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, estimator: Any) -> Blueprint:
        """Return the blueprint of an estimator whose network exists."""
        names = ("classes_", "_classes", "n_features_in_", "feature_names_in_", "n_outputs_", "n_layers_", "out_activation_")
        fitted = {name: vars(estimator)[name] for name in names if name in vars(estimator)}
        model = estimator.network_
        parameters = estimator.get_params(deep=False) | {"random_state": None}  # the seeds of the parts take its place
        return cls(type(estimator), parameters, fitted, model.layer_sizes, model.dtype)

    def estimator(self) -> Any:
        """Return a new estimator, without a network."""
        estimator = self.kind(**self.parameters)
        vars(estimator).update(self.fitted)
        return estimator

    def trainer(self, estimator: Any, state: State, rate: float, generator: np.random.Generator) -> EstimatorTrainer:
        """Return a trainer with a network of its own that continues from a state."""
        random_state = np.random.RandomState(generator.bit_generator)
        model = _by_hand.new_network(estimator, self.layer_sizes, self.dtype, random_state)
        wanted = estimator.learning_rate if callable(estimator.learning_rate) else rate
        loss, n_threads = estimator._output()[1], thread_count(estimator.n_jobs)
        trainer = EstimatorTrainer(model, loss, estimator, wanted, generator, n_threads)
        restore(model, state.parameters)
        for moment, values in zip(moments_of(trainer), state.moments, strict=False):  # a new state has none
            unpack(model, values, moment)
        set_updates(trainer, state.updates)
        return trainer

    def rows(self, estimator: Any, X: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
        """Return data of some rows after the checks: inputs, targets as numbers, and weights."""
        X, y = estimator._check_target(X, y, reset=False, incremental=True)
        return X, y, estimator._weight(y, sample_weight)


@dataclass(frozen=True)
class State:
    """The numbers that training changes, without padding, and the rows and losses of the steps since the last average.

    Attributes
    ----------
    parameters : ndarray, shape (n_parameters,)
    moments : ndarray, shape (n_moments, n_parameters), or (0, 0) before the first step
    updates : int
    n_rows : int
        The number of rows of these steps.
    losses : tuple of (epoch, loss, n_rows)
        For each part of the rows: the epoch, and the mean loss of its rows.
    """

    parameters: NDArray[Any]
    moments: NDArray[Any]
    updates: int = 0
    n_rows: int = 0
    losses: tuple[tuple[int, float, int], ...] = ()


@dataclass(frozen=True)
class Part:
    """The steps on a part of the rows: which they are, and in what order.

    Attributes
    ----------
    epoch, partition : int
    first, last : int
        The range of batches of the partition in this epoch; `last` is excluded.
    n_batches : int
        The number of all batches of the partition.
    rate : float
        The learning rate, unless the estimator has a schedule or an optimizer with a rate.
    seed : int
    """

    epoch: int
    partition: int
    first: int
    last: int
    n_batches: int
    rate: float
    seed: int


def initial(model: MLP) -> State:
    """Return the state before the first step."""
    return State(pack(model, network_of(model).storage), np.zeros((0, 0), model.dtype))


def pack(model: MLP, storage: NDArray[Any]) -> NDArray[Any]:
    """Return a copy of numbers in the layout of the network's storage, without padding, which depends on the machine."""
    return np.concatenate([view.ravel() for view in _views(model, storage)])


def unpack(model: MLP, values: NDArray[Any], storage: NDArray[Any]) -> None:
    """Write packed numbers into an array in the layout of the network's storage: the inverse of `pack`."""
    start = 0
    for view in _views(model, storage):
        view[...] = values[start : start + view.size].reshape(view.shape)
        start += view.size


def _views(model: MLP, storage: NDArray[Any]) -> list[NDArray[Any]]:
    kinds = network_of(model).views(storage).values()
    return [view for views in kinds for view in views if view is not None]  # kinds that a layer lacks are None


def restore(model: MLP, parameters: NDArray[Any]) -> None:
    """Set the parameters of a model to packed ones."""
    unpack(model, parameters, network_of(model).storage)


def train(blueprint: Blueprint, state: State, part: Part, X: Any, y: Any, sample_weight: Any) -> State:
    """Return the state after steps on a part of a partition, whose rows are X, y and sample_weight.

    Raises
    ------
    ValueError
        If the data are unsuitable, or the parameters become infinite.
    """
    estimator = blueprint.estimator()
    X, y, weight = blueprint.rows(estimator, X, y, sample_weight)
    n_rows = len(y)
    size = batch_size(estimator.batch_size, n_rows)
    seeds = np.random.SeedSequence((part.seed, part.epoch, part.partition, part.first))
    trainer = blueprint.trainer(estimator, state, part.rate, np.random.Generator(np.random.MT19937(seeds)))
    if part.first == 0 and part.last == part.n_batches:
        trainer.order = np.arange(n_rows)  # the loop shuffles it, and copies only batches
    else:
        places = _places(part, n_rows, bool(estimator.shuffle))[part.first * size : part.last * size]
        X, y, weight = X[places], y[places], None if weight is None else weight[places]
        trainer.take(shuffle=False)
    trainer.take(batch_size=size)
    rows = Rows(native_rows(X, blueprint.dtype), estimator._native_target(y), weight)
    inputs: Any = rows.X
    try:
        history = trainer.run(inputs, rows.target, 1, sample_weight=rows.weight)
    except DivergedError:
        raise ValueError(_fitted.NOT_FINITE) from None
    model = trainer.model
    _fitted.check_finite(model)
    moments = [pack(model, moment) for moment in moments_of(trainer)]
    return State(
        pack(model, network_of(model).storage),
        np.array(moments).reshape(len(moments), -1),
        trainer.updates,
        state.n_rows + len(y),
        (*state.losses, (part.epoch, float(history["loss"][-1]), len(y))),
    )


def _places(part: Part, n_rows: int, shuffle: bool) -> NDArray[np.int64]:
    """Return the order of the rows of a partition in an epoch, which is the same for all of its parts."""
    if not shuffle:
        return np.arange(n_rows)
    return np.random.default_rng((part.seed, part.epoch, part.partition)).permutation(n_rows)


def average(states: Sequence[State]) -> State:
    """Return the mean of states, weighted by their rows and summed in the order of the list.

    Moments are averaged like parameters. The number of updates is the largest.
    """
    n_rows = sum(state.n_rows for state in states)
    shares = [state.n_rows / n_rows for state in states]

    def mean(arrays: list[NDArray[Any]]) -> NDArray[Any]:
        total = shares[0] * arrays[0].astype(np.float64)
        for share, array in zip(shares[1:], arrays[1:], strict=True):
            total += share * array
        return total.astype(arrays[0].dtype)

    return State(
        mean([state.parameters for state in states]),
        mean([state.moments for state in states]),
        max(state.updates for state in states),
        n_rows,
        tuple(loss for state in states for loss in state.losses),
    )


def go_on(state: State) -> State:
    """Return a state with an empty account of rows and losses."""
    return replace(state, n_rows=0, losses=())
