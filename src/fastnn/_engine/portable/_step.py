"""One batch through a network: forward, loss, and back to the gradients.

Parameters, and gradients like them, are one vector; so are the outputs, slopes and deltas of all layers for a batch. The
functions below tell where in them a layer's arrays stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn._engine.portable._activations import times_slope, value_and_slope
from fastnn._engine.portable._compile import put, shared
from fastnn._engine.portable._dropout import drop
from fastnn._engine.portable._losses import LEAST_WEIGHT, Loss, gradients, values


class Layers(NamedTuple):
    """Arrays with one element a layer, of `sizes` one more."""

    sizes: NDArray[np.int64]
    activations: NDArray[np.int64]
    dropout: NDArray[np.float64]
    weights: NDArray[np.int64]  # where they begin in the vector of parameters
    biases: NDArray[np.int64]
    units: NDArray[np.int64]  # units in the layers before


class Buffers(NamedTuple):
    """Vectors with room for all units of all layers, for as many rows as a batch may have."""

    outputs: NDArray[Any]  # of the last layer, logits where the loss contains the activation
    slopes: NDArray[Any]
    deltas: NDArray[Any]  # derivatives of the loss by each layer's sums z


@shared
def weights_of(vector: Any, layers: Layers, layer: int) -> Any:
    """Return a layer's weights (n_in, n_out)."""
    start, n_in, n_out = layers.weights[layer], layers.sizes[layer], layers.sizes[layer + 1]
    return vector[start : start + n_in * n_out].reshape(n_in, n_out)


@shared
def biases_of(vector: Any, layers: Layers, layer: int) -> Any:
    """Return a layer's biases (n_out,)."""
    start = layers.biases[layer]
    return vector[start : start + layers.sizes[layer + 1]]


@shared
def units_of(vector: Any, layers: Layers, layer: int, rows: int) -> Any:
    """Return a layer's part of a buffer, a vector of rows * n_out."""
    start = rows * layers.units[layer]
    return vector[start : start + rows * layers.sizes[layer + 1]]


@shared
def inputs_of(x: Any, buffers: Buffers, layers: Layers, layer: int) -> Any:
    """Return what a layer gets (rows, n_in)."""
    return x if layer == 0 else units_of(buffers.outputs, layers, layer - 1, len(x)).reshape(len(x), -1)


@shared
def sums(layers: Layers, parameters: Any, x: Any, buffers: Buffers, layer: int) -> Any:
    """Make a layer's outputs inputs @ weights + biases, and return them."""
    out = units_of(buffers.outputs, layers, layer, len(x))
    z = out.reshape(len(x), -1)
    np.dot(inputs_of(x, buffers, layers, layer), weights_of(parameters, layers, layer), z)
    z += biases_of(parameters, layers, layer)
    return out


@shared
def forward(layers: Layers, parameters: Any, x: Any, buffers: Buffers, logits: bool, low_keys: Any, high_key: Any) -> None:
    """Find the outputs and slopes of all layers, the last one's sums where logits are wanted.

    Without low_keys, one a layer, nothing is dropped.
    """
    last = len(layers.activations) - 1
    for layer in range(last + 1):
        z, slope = sums(layers, parameters, x, buffers, layer), units_of(buffers.slopes, layers, layer, len(x))
        if layer < last or not logits:
            value_and_slope(layers.activations[layer], z, slope, layers.sizes[layer + 1])
        if len(low_keys) and layers.dropout[layer] > 0.0:
            drop(layers.dropout[layer], low_keys[layer], high_key, z, slope)


def forward_with(
    custom: Sequence[Any],
    layers: Layers,
    parameters: Any,
    x: Any,
    buffers: Buffers,
    logits: bool,
    low_keys: Any,
    high_key: Any,
) -> None:
    """Do the same where layers have activations of the user's own, which only Python can call."""
    last = len(layers.activations) - 1
    for layer in range(last + 1):
        z, slope = sums(layers, parameters, x, buffers, layer), units_of(buffers.slopes, layers, layer, len(x))
        if custom[layer] is not None:
            z[...], slope[...] = custom[layer].value(z), custom[layer].slope(z)
        elif layer < last or not logits:
            value_and_slope(layers.activations[layer], z, slope, layers.sizes[layer + 1])
        if len(low_keys) and layers.dropout[layer] > 0.0:
            drop(layers.dropout[layer], low_keys[layer], high_key, z, slope)


@shared
def find_loss(layers: Layers, loss: Loss, buffers: Buffers, y: Any, sample_weight: Any, total_weight: float) -> float:
    """Return the loss of outputs that stand in the buffers; the last layer's deltas become its derivative.

    It is the share of these rows in a mean over rows that weigh total_weight; y is a vector.
    """
    last, n, rows = len(layers.activations) - 1, layers.sizes[-1], len(sample_weight)
    a, delta = units_of(buffers.outputs, layers, last, rows), units_of(buffers.deltas, layers, last, rows)
    terms = np.empty(a.size)
    values(loss.kind, loss.parameter, a, y, n, terms)
    gradients(loss.kind, loss.parameter, a, y, n, delta)
    none = total_weight == 0.0 or (not loss.signed_mean and total_weight < LEAST_WEIGHT)
    factor = 0.0 if none else loss.factor / (total_weight * (1 if loss.per_row else n))
    shares = np.repeat(factor * sample_weight, n)
    # Rows of weight 0 don't count even where the loss is not finite.
    put(delta, np.where(shares == 0.0, 0.0, shares * delta))
    put(terms, np.where(shares == 0.0, 0.0, shares * terms))
    if not loss.from_logits:
        times_slope(layers.activations[last], delta, a, units_of(buffers.slopes, layers, last, rows), n)
    return loss.value_factor * np.sum(terms)  # type: ignore[no-any-return]


@shared
def backward(layers: Layers, parameters: Any, x: Any, buffers: Buffers, gradient: Any) -> None:
    """Find the deltas of all layers from the last one's, and the gradient, a vector like the parameters."""
    rows = len(x)
    for layer in range(len(layers.activations) - 1, -1, -1):
        delta = units_of(buffers.deltas, layers, layer, rows).reshape(rows, -1)
        np.dot(inputs_of(x, buffers, layers, layer).T, delta, weights_of(gradient, layers, layer))
        put(biases_of(gradient, layers, layer), np.sum(delta, axis=0))
        if layer > 0:
            below = units_of(buffers.deltas, layers, layer - 1, rows)
            np.dot(delta, weights_of(parameters, layers, layer).T, below.reshape(rows, -1))
            below *= units_of(buffers.slopes, layers, layer - 1, rows)


@shared
def find_input_gradient(layers: Layers, parameters: Any, buffers: Buffers, out: Any) -> None:
    """Make out (rows, n_in) the loss's derivative by the inputs, once the deltas stand."""
    delta = units_of(buffers.deltas, layers, 0, len(out)).reshape(len(out), -1)
    np.dot(delta, weights_of(parameters, layers, 0).T, out)
