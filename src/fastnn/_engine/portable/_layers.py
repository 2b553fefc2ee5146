"""Layers of a network: forward on a batch of rows, and back to the gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnn import reference
from fastnn._engine.portable._compile import runnable
from fastnn._engine.portable._rows import Array
from fastnn.reference.activations import named
from fastnn.reference.dropout import factors
from fastnn.reference.rectifiers import prelu, prelu_grad, slopes_grad

LAYER_ACTIVATIONS = (*reference.ACTIVATIONS, "prelu")  # those of networks; "prelu" has parameters for each unit
INITIAL_SLOPE = 0.25


class Parameters(NamedTuple):
    """The parameters of one layer, or arrays like them: views of a vector."""

    weights: Array  # (n_in, n_out)
    biases: Array  # (n_out,)
    slopes: Array | None  # (n_out,)


class Batch(NamedTuple):
    """What a layer has computed on the way forward, for the way back; all (rows, n_out) but the inputs."""

    inputs: Array  # (rows, n_in)
    z: Array  # inputs @ weights + biases
    a: Array  # the activation of z
    dropout: Array | None  # what a was multiplied with on its way into the next layer

    @property
    def outputs(self) -> Array:
        """Return what the next layer takes."""
        return self.a if self.dropout is None else self.a * self.dropout


class Layer:
    """One layer: its parameters, and the formulas of its activation as the fallback runs them."""

    def __init__(self, activation: Any, dropout: float, parameters: Parameters) -> None:
        self.parameters, self.dropout = parameters, dropout
        self._is_identity = activation == "identity"
        self._sums, self._gradients = runnable(sums), runnable(parameter_gradients)
        self._times, self._factors = runnable(times), runnable(factors)
        if parameters.slopes is not None:
            self._value, self._derivative, self._slopes_grad = runnable(prelu), runnable(prelu_grad), runnable(slopes_grad)
            return
        formulas = named(activation)
        self._value, self._derivative = runnable(formulas.value), runnable(formulas.derivative)
        self._product = None if formulas.product is None else runnable(formulas.product)
        self._from_output = formulas.uses == "output"

    def forward(self, inputs: Array, keys: tuple[Any, Any] | None, *, logits: bool = False) -> Batch:
        """Compute the outputs for rows of inputs; as they are before the activation for `logits`.

        Units are dropped by the two keys of the layer, if they are given.
        """
        weights, biases, slopes = self.parameters
        z = self._sums(inputs, weights, biases)
        if self._is_identity or logits:
            a = z
        elif slopes is not None:
            a = _like(z, self._value(z, slopes))
        else:
            a = _like(z, self._value(z))
        if keys is None or self.dropout == 0.0:
            return Batch(inputs, z, a, None)
        return Batch(inputs, z, a, _like(z, self._factors(self.dropout, z.size, *keys)).reshape(z.shape))

    def backward(self, batch: Batch, grad_a: Array, slopes_gradient: Array | None) -> Array:
        """Return the gradient with respect to z from the gradient with respect to a, and fill that of the slopes."""
        slopes = self.parameters.slopes
        if slopes is not None:
            if slopes_gradient is not None:
                slopes_gradient[:] = self._slopes_grad(batch.z, grad_a)
            derivative = self._derivative(batch.z, slopes)
        elif self._is_identity:
            return grad_a
        elif self._product is not None:
            return _like(grad_a, self._product(batch.a, grad_a))
        else:
            derivative = self._derivative(batch.a if self._from_output else batch.z)
        result: Array = self._times(grad_a, derivative)
        return result

    def fill_gradients(self, batch: Batch, delta: Array, gradient: Parameters) -> None:
        """Fill the gradients with respect to weights and biases from that with respect to z."""
        self._gradients(batch.inputs, delta, gradient.weights, gradient.biases)

    def grad_inputs(self, delta: Array) -> Array:
        """Return the gradient with respect to the layer's inputs from that with respect to z."""
        result: Array = np.dot(delta, self.parameters.weights.T)
        return result


def forward(layers: Sequence[Layer], x: Array, keys: tuple[Array, Any] | None = None, *, logits: bool = False) -> list[Batch]:
    """Compute the outputs of all layers for rows x (rows, n_in).

    With the keys of a step, units are dropped: the low bits, one number per layer, and the high bits. With `logits` the last
    layer has no activation.
    """
    batches: list[Batch] = []
    for i, layer in enumerate(layers):
        inputs = batches[-1].outputs if batches else x
        of_layer = None if keys is None else (keys[0][i], keys[1])
        batches.append(layer.forward(inputs, of_layer, logits=logits and i == len(layers) - 1))
    return batches


def backward(layers: Sequence[Layer], batches: Sequence[Batch], delta: Array, gradient: Sequence[Parameters] | None) -> Array:
    """Fill the gradients of all layers, and return that with respect to the first layer's z.

    delta is the gradient with respect to the last layer's z.
    """
    for i in range(len(layers) - 1, -1, -1):
        if gradient is not None:
            layers[i].fill_gradients(batches[i], delta, gradient[i])
        if i > 0:
            grad_a, dropout = layers[i].grad_inputs(delta), batches[i - 1].dropout
            grad_a = grad_a if dropout is None else grad_a * dropout
            delta = layers[i - 1].backward(batches[i - 1], grad_a, None if gradient is None else gradient[i - 1].slopes)
    return delta


def sums(x: Array, weights: Array, biases: Array) -> Array:
    """Return x @ weights + biases."""
    z = np.dot(x, weights)
    z += biases
    return z


def parameter_gradients(x: Array, delta: Array, grad_weights: Array, grad_biases: Array) -> None:
    """Fill the gradients of a layer's weights and biases from its inputs x and the gradient with respect to its sums."""
    np.dot(x.T, delta, grad_weights)
    grad_biases[:] = np.sum(delta, axis=0)


def times(grad: Array, derivative: Array) -> Array:
    """Return the product of two arrays in the first one's type."""
    result = np.empty_like(grad)
    result[...] = grad * derivative
    return result


def _like(a: Array, values: Any) -> Array:
    """Return values in another array's type: formulas may compute in float64."""
    return np.asarray(values, a.dtype)
