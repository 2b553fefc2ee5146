"""A network's arithmetic, for Numba's compiler; imported only if Numba is installed.

Constants have the type of the arrays: a literal would turn float32 arithmetic into float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

try:
    import numba
except ImportError as error:
    raise ImportError('these loops need Numba: pip install "fastnn-cpu[jit]"') from error

_Function = TypeVar("_Function", bound=Callable[..., Any])

# The number of multiplications up to which a loop is faster than a call of BLAS.
_SMALL = 2000

TANH, RELU, SIN = range(3)
ACTIVATIONS = {"tanh": TANH, "relu": RELU, "sin": SIN}


def _compiled(function: _Function) -> _Function:
    made: _Function = numba.njit(function, fastmath=True, error_model="numpy", cache=True)
    return made


@_compiled
def _multiply(a: Any, w: Any, out: Any) -> None:
    """Write a (n, n_in) @ w (n_in, n_out) to out (n, n_out)."""
    if a.shape[0] > 1 and a.shape[0] * w.size > _SMALL:
        np.dot(a, w, out)
        return
    for i in range(a.shape[0]):
        out[i, :] = a.dtype.type(0)
        for k in range(w.shape[0]):
            factor = a[i, k]
            for j in range(w.shape[1]):
                out[i, j] += factor * w[k, j]


@_compiled
def _activate(z: Any, a: Any, activation: int) -> None:
    one, two = z.dtype.type(1), z.dtype.type(2)
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            if activation == TANH:  # takes a third of the time of math.tanh
                a[i, j] = one - two / (math.exp(two * z[i, j]) + one)
            elif activation == RELU:
                a[i, j] = max(z[i, j], z.dtype.type(0))
            else:
                a[i, j] = math.sin(z[i, j])


@_compiled
def _times_derivative(delta: Any, z: Any, a: Any, activation: int) -> None:
    one = z.dtype.type(1)
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            if activation == TANH:
                delta[i, j] *= one - a[i, j] * a[i, j]
            elif activation == RELU:
                delta[i, j] *= one if a[i, j] > 0 else z.dtype.type(0)
            else:
                delta[i, j] *= math.cos(z[i, j])


@_compiled
def _layer(x: Any, w: Any, b: Any, z: Any) -> None:
    _multiply(x, w, z)
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            z[i, j] += b[j]


@_compiled
def _gradients(x: Any, delta: Any, weight_gradient: Any, bias_gradient: Any) -> None:
    _multiply(x.T, delta, weight_gradient)
    bias_gradient[:] = delta.dtype.type(0)
    for i in range(delta.shape[0]):
        for j in range(delta.shape[1]):
            bias_gradient[j] += delta[i, j]


@_compiled
def _descend(parameters: Any, gradient: Any, rate: Any) -> None:
    for i in range(parameters.size):
        parameters[i] -= rate * gradient[i]


@_compiled
def _adam(parameters: Any, gradient: Any, m: Any, v: Any, constants: Any, updates: int) -> None:
    rate, beta_1, beta_2, epsilon = constants
    one = parameters.dtype.type(1)
    correction = parameters.dtype.type(math.sqrt(1.0 - beta_2**updates))
    rate, epsilon = parameters.dtype.type(rate * correction / (1.0 - beta_1**updates)), epsilon * correction
    for i in range(parameters.size):
        m[i] = beta_1 * m[i] + (one - beta_1) * gradient[i]
        v[i] = beta_2 * v[i] + (one - beta_2) * gradient[i] * gradient[i]
        parameters[i] -= rate * m[i] / (math.sqrt(v[i]) + epsilon)


@_compiled
def _gradient(x: Any, y: Any, network: Any, gradients: Any, buffers: Any, activation: int) -> None:
    """Compute the gradient on a batch; the buffers are sums, activations and errors of all layers."""
    weights, biases = network
    weight_gradients, bias_gradients = gradients
    all_z, all_a, all_delta = buffers
    rows, last = len(x), len(weights) - 1
    inputs = x
    for layer in range(last):
        _layer(inputs, weights[layer], biases[layer], all_z[layer][:rows])
        _activate(all_z[layer][:rows], all_a[layer][:rows], activation)
        inputs = all_a[layer][:rows]
    outputs, delta = all_z[last][:rows], all_delta[last][:rows]
    _layer(inputs, weights[last], biases[last], outputs)
    scale = x.dtype.type(2.0 / outputs.size)
    for i in range(rows):
        for j in range(outputs.shape[1]):
            delta[i, j] = scale * (outputs[i, j] - y[i, j])
    for layer in range(last, 0, -1):
        below = layer - 1
        _gradients(all_a[below][:rows], all_delta[layer][:rows], weight_gradients[layer], bias_gradients[layer])
        _multiply(all_delta[layer][:rows], weights[layer].T, all_delta[below][:rows])
        _times_derivative(all_delta[below][:rows], all_z[below][:rows], all_a[below][:rows], activation)
    _gradients(x, all_delta[0][:rows], weight_gradients[0], bias_gradients[0])


@_compiled
def _gather(table: Any, rows: Any, out: Any) -> None:
    for i in range(rows.size):
        for j in range(table.shape[1]):
            out[i, j] = table[rows[i], j]


@_compiled
def train(
    data: Any,
    epochs: int,
    batch_size: int,
    shuffled: bool,
    activation: int,
    network: Any,
    gradients: Any,
    buffers: Any,
    batch: Any,
    vectors: Any,
    constants: Any,
    updates: int,
) -> int:
    """Train for whole epochs, and return the number of all updates so far.

    Parameters
    ----------
    data, batch : tuple of two arrays
        All inputs and targets, and arrays for one gathered batch of them.
    network, gradients : tuple
        Tuples of weights and of biases, which are views of the first two of `vectors`.
    buffers : tuple
        Tuples of sums, activations and errors, with one array (batch_size, width) per layer.
    vectors : tuple of four vectors
        Parameters, gradient, and Adam's two moments, which are empty for plain descent.
    constants : tuple of four numbers
        The learning rate, Adam's two decay rates, and its epsilon.
    """
    X, y = data
    parameters, gradient, m, v = vectors
    order = np.arange(len(X))
    for _ in range(epochs):
        if shuffled:
            order = np.random.permutation(len(X))  # noqa: NPY002 in compiled code this is Numba's generator
        for start in range(0, len(X), batch_size):
            rows = min(batch_size, len(X) - start)
            x_batch, y_batch = X[start : start + rows], y[start : start + rows]
            if shuffled:
                x_batch, y_batch = batch[0][:rows], batch[1][:rows]
                _gather(X, order[start : start + rows], x_batch)
                _gather(y, order[start : start + rows], y_batch)
            _gradient(x_batch, y_batch, network, gradients, buffers, activation)
            updates += 1
            if m.size:
                _adam(parameters, gradient, m, v, constants, updates)
            else:
                _descend(parameters, gradient, constants[0])
    return updates


@_compiled
def predict(X: Any, weights: Any, biases: Any, activation: int) -> Any:
    """Return the outputs (n, n_out)."""
    a = X
    for layer in range(len(weights)):
        z = np.empty((len(X), weights[layer].shape[1]), X.dtype)
        _layer(a, weights[layer], biases[layer], z)
        if layer < len(weights) - 1:
            _activate(z, z, activation)
        a = z
    return a
