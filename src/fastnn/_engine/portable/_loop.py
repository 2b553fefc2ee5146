"""The steps of a piece as one compiled function, for networks, losses and optimizers that Numba can compile as a whole.

It calls the functions that steps in Python call. It takes the formulas of activations, loss and optimizer as addresses, so
that Numba compiles it only once. Runs with dropout, penalties, clipping, settings of single layers, schedules
of other settings than the learning rate, or other parameters than
weights and biases make their steps in Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn._engine.portable._compile import is_vectorized, runnable
from fastnn._engine.portable._layers import dense_gradients, input_gradients, pointers, sums
from fastnn._engine.portable._losses import MeanLoss
from fastnn._engine.portable._network import Network
from fastnn._engine.portable._optimizers import Optimizer
from fastnn._engine.portable._pieces import Piece
from fastnn._engine.portable._pointers import call, call_for_number
from fastnn._engine.portable._rows import Array
from fastnn._engine.portable._state import ROW, Account, State, can_count, count, take_snapshot
from fastnn.reference.activations import Activation, named

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

# In larger batches, the calls in Python hardly count. A unit counts as several if NumPy has vector instructions for its
# activation, because its value takes so much longer here.
_MAX_UNITS = 1 << 15
_UNITS_IF_VECTORIZED = 16


class Places(NamedTuple):
    """The layers' places in the vectors of parameters and of values, one number per layer."""

    sizes: NDArray[np.int64]  # one more than layers
    parameters: NDArray[np.int64]  # parameters in the layers before
    units: NDArray[np.int64]  # units in the layers before
    kinds: NDArray[np.int64]  # the index of the activation among those of the network; -1 for none
    takes_output: NDArray[np.bool_]  # whether the derivative of the activation takes its output


class Values(NamedTuple):
    """Vectors with room for all units, for as many rows as a batch has."""

    z: Array
    outputs: Array  # of layers with an activation
    grads: Array  # gradients with respect to outputs
    deltas: Array  # gradients with respect to z


class Batches(NamedTuple):
    """A piece in the form for the loop: rows, and one entry per batch in the last three."""

    x: Array
    y: Array
    shares: NDArray[np.float64]  # factors of the rows' terms in the loss, (n, 1)
    ends: NDArray[np.int64]  # batch i has the rows from ends[i] to ends[i + 1]
    weights: NDArray[np.float64]  # weights in the mean over the epoch
    coefficients: Array  # of the updates


class Loop:
    """The compiled function with the arrays of a run."""

    def __init__(self, functions: NDArray[np.int64], places: Places, values: Values, state: State, loss: MeanLoss) -> None:
        self._train = runnable(train)
        self._functions, self._places, self._values, self._state, self._loss = functions, places, values, state, loss

    @classmethod
    def of_run(
        cls,
        network: Network,
        loss: MeanLoss,
        optimizer: Optimizer,
        batch_size: int,
        state: State,
    ) -> Loop | None:
        """Return the loop of a run, or None if its steps must be made in Python, or take less time there."""
        if (
            network.embeddings
            or network.residual
            or network.n_members > 1
            or network.drops
            or not all(layer.has_only_sums for layer in network.layers)
        ):
            return None
        if (
            optimizer.orthogonalizes
            or optimizer.has_penalty
            or optimizer.clips
            or optimizer.blocks is not None
            or optimizer.scheduled
        ):
            return None
        activations = [
            None if layer.is_linear else named(activation)
            for layer, activation in zip(network.layers, network.activations, strict=True)
        ]
        if loss.from_logits:
            activations[-1] = None
        if batch_size * sum(map(_cost, activations, network.layer_sizes[1:])) > _MAX_UNITS:
            return None
        kinds = list({each.name: each for each in activations if each}.values()) or [named("identity")]
        functions = _functions(kinds, loss, optimizer, network.dtype)
        if functions is None:
            return None
        vectors = np.empty((4, batch_size * sum(network.layer_sizes[1:])), network.dtype)
        return cls(functions, _places(network.layer_sizes, activations, kinds), Values(*vectors), state, loss)

    def batches(self, piece: Piece, divisors: NDArray[np.float64], weights: Any, coefficients: Array) -> Batches | None:
        """Return a piece in the form for the loop, or None if its steps must be made in Python."""
        if piece.features is not None or piece.elements.shape[1] != 1:
            return None
        ends = np.array(piece.ends)
        shares = self._loss.shares(piece.y, piece.weight, piece.elements, np.repeat(divisors, np.diff(ends)))
        # A batch that has no mean stops the loop.
        weights = np.where((piece.magnitudes > 0.0) & self._loss.has_mean(divisors), weights, np.nan)
        y = np.require(piece.y, piece.x.dtype, ["C", "A", "W"])
        return Batches(piece.x, y, shares, ends, weights, coefficients)

    def train(self, batches: Batches, account: Account, first: int) -> int:
        """Make the steps from a batch on, and return the batch at which they ended.

        If it is not the end of the piece, a step in Python must decide whether the loss is finite. Nothing has changed.
        """
        parameter, factor = self._loss.parameter, self._loss.value_factor
        run = self._functions, self._places, self._values, self._state, account
        return int(self._train(*run, batches, first, parameter, factor))


def _cost(activation: Activation | None, units: int) -> int:
    return units * (_UNITS_IF_VECTORIZED if activation and is_vectorized(activation.value) else 1)


def _functions(
    kinds: Sequence[Activation], loss: MeanLoss, optimizer: Optimizer, dtype: DTypeLike
) -> NDArray[np.int64] | None:
    """Return the addresses of the functions of a run, or None if only Python can call some of them.

    They are those of the loss, of the update, and two for each kind of activation: for its value, and for the gradient.
    """
    addresses = [loss.pointer(dtype), optimizer.pointer(dtype)]
    for activation in kinds:
        addresses.extend(pointers(activation, dtype))
    return None if None in addresses else np.array(addresses)


def _places(layer_sizes: Sequence[int], activations: Sequence[Activation | None], kinds: Sequence[Activation]) -> Places:
    sizes, names = np.array(layer_sizes), [each.name for each in kinds]
    return Places(
        sizes,
        np.append(0, np.cumsum((sizes[:-1] + 1) * sizes[1:])),
        np.append(0, np.cumsum(sizes[1:])),
        np.array([names.index(each.name) if each else -1 for each in activations]),
        np.array([each is not None and each.uses == "output" for each in activations]),
    )


# ---- Functions of arrays, which Numba compiles ----


def train(
    functions: NDArray[np.int64],
    places: Places,
    values: Values,
    state: State,
    account: Account,
    batches: Batches,
    first: int,
    parameter: Any,
    value_factor: float,
) -> int:
    """Make steps from a batch on, and return the batch at which they ended: the first that cannot be counted."""
    last, ends = len(places.kinds) - 1, batches.ends
    for batch in range(first, len(batches.weights)):
        rows = slice(ends[batch], ends[batch + 1])
        x, y, shares = batches.x[rows], batches.y[rows], batches.shares[rows]
        forward(functions, places, values, state.parameters, x)
        p, grad = outputs_of(places, values, last, len(x)), units_of(places, values.grads, last, len(x))
        loss = value_factor * call_for_number(functions[0], (y, p, parameter, shares, grad))
        if not can_count(account, loss, batches.weights[batch]):
            return batch
        if account.counts[ROW] == 0:
            take_snapshot(state, account)
        backward(functions, places, values, state, x)
        vectors = state.parameters, state.gradient, state.m, state.v, batches.coefficients[batch]
        call(functions[1], vectors)
        count(account, len(x), loss, batches.weights[batch])
    return len(batches.weights)


def forward(functions: NDArray[np.int64], places: Places, values: Values, parameters: Array, x: Array) -> None:
    """Compute the outputs of all layers for rows x."""
    for layer in range(len(places.kinds)):
        z = units_of(places, values.z, layer, len(x))
        sums(x, weights_of(places, parameters, layer), biases_of(places, parameters, layer), z)
        x = outputs_of(places, values, layer, len(x))
        if places.kinds[layer] >= 0:
            call(functions[2 + 2 * places.kinds[layer]], (z, x))


def backward(functions: NDArray[np.int64], places: Places, values: Values, state: State, x: Array) -> None:
    """Compute the gradient of all parameters, from the gradient with respect to the outputs of the last layer."""
    for layer in range(len(places.kinds) - 1, -1, -1):
        delta = units_of(places, values.grads, layer, len(x))
        if places.kinds[layer] >= 0:
            at = units_of(places, values.outputs if places.takes_output[layer] else values.z, layer, len(x))
            grad, delta = delta, units_of(places, values.deltas, layer, len(x))
            call(functions[3 + 2 * places.kinds[layer]], (at, grad, delta))
        inputs = x if layer == 0 else outputs_of(places, values, layer - 1, len(x))
        weights, biases = weights_of(places, state.gradient, layer), biases_of(places, state.gradient, layer)
        dense_gradients(inputs, delta, weights, biases)
        if layer > 0:
            below = units_of(places, values.grads, layer - 1, len(x))
            input_gradients(delta, weights_of(places, state.parameters, layer), below)


def weights_of(places: Places, vector: Array, layer: int) -> Array:
    """Return the weights of a layer (n_in, n_out) in a vector like the parameters."""
    start, n_in, n_out = places.parameters[layer], places.sizes[layer], places.sizes[layer + 1]
    return vector[start : start + n_in * n_out].reshape(n_in, n_out)


def biases_of(places: Places, vector: Array, layer: int) -> Array:
    """Return the biases of a layer (n_out,) in such a vector. They are behind its weights."""
    end = places.parameters[layer + 1]
    return vector[end - places.sizes[layer + 1] : end]


def units_of(places: Places, vector: Array, layer: int, n_rows: int) -> Array:
    """Return the values of a layer (rows, n_out) in a vector of those of all layers."""
    start, n_out = n_rows * places.units[layer], places.sizes[layer + 1]
    return vector[start : start + n_rows * n_out].reshape(n_rows, n_out)


def outputs_of(places: Places, values: Values, layer: int, n_rows: int) -> Array:
    """Return the outputs of a layer (rows, n_out)."""
    return units_of(places, values.z if places.kinds[layer] < 0 else values.outputs, layer, n_rows)
