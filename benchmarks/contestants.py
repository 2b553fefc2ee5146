"""Who does the same work: fastnn, a NumPy loop as good as it can be written by hand, and the oracle to check both.

The work: tanh in the hidden layers, linear outputs, mean squared error, plain gradient descent, rows in their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapes import Case

from fastnn import MLP, SGD, Trainer, reference

RATE = 1e-3
Array = NDArray[Any]


def data(case: Case, dtype: Any) -> tuple[Array, Array]:
    """Return inputs and targets."""
    rng = np.random.default_rng(0)
    n_in, n_out = case.layer_sizes[0], case.layer_sizes[-1]
    return rng.standard_normal((case.rows, n_in)).astype(dtype), rng.standard_normal((case.rows, n_out)).astype(dtype)


def model_of(case: Case, dtype: Any) -> MLP:
    """Return a network with its initial weights."""
    return MLP(case.layer_sizes, "tanh", dtype=dtype, random_state=0)


class Fastnn:
    """The library, with one call for all epochs."""

    def __init__(self, case: Case, dtype: Any) -> None:
        self.model = model_of(case, dtype)
        self._trainer = Trainer(self.model, "mse", SGD(RATE), batch_size=case.batch_size, shuffle=False)

    def train(self, X: Array, y: Array, epochs: int) -> None:
        """Train for some epochs."""
        self._trainer.run(X, y, epochs)

    def predict(self, X: Array) -> Array:
        """Return the outputs for rows, or for one."""
        return self.model.predict(X)

    def parameters(self) -> list[Array]:
        """Return ``[W1, b1, W2, …]``."""
        return self.model.parameters


class NumpyByHand:
    """Nothing is checked, and every array of a step has its place: about as fast as NumPy goes."""

    def __init__(self, case: Case, dtype: Any) -> None:
        parameters = model_of(case, dtype).parameters
        self._weights = [np.array(w) for w in parameters[::2]]
        self._biases = [np.array(b) for b in parameters[1::2]]
        self._weight_gradients = [np.empty_like(w) for w in self._weights]
        self._bias_gradients = [np.empty_like(b) for b in self._biases]
        self._batch_size = case.batch_size
        self._a = [np.empty((case.batch_size, n), dtype) for n in case.layer_sizes[1:]]
        self._delta = [np.empty_like(a) for a in self._a]

    def train(self, X: Array, y: Array, epochs: int) -> None:
        """Train for some epochs; all batches are full."""
        for _ in range(epochs):
            for start in range(0, len(X), self._batch_size):
                self._step(X[start : start + self._batch_size], y[start : start + self._batch_size])

    def _step(self, x: Array, y: Array) -> None:
        weights, biases, a, delta = self._weights, self._biases, self._a, self._delta
        last, inputs = len(weights) - 1, x
        for layer in range(last + 1):
            np.matmul(inputs, weights[layer], out=a[layer])
            a[layer] += biases[layer]
            if layer < last:
                np.tanh(a[layer], out=a[layer])
            inputs = a[layer]
        np.subtract(a[last], y, out=delta[last])
        delta[last] *= 2.0 / y.size
        for layer in range(last, -1, -1):
            np.matmul((a[layer - 1] if layer else x).T, delta[layer], out=self._weight_gradients[layer])
            delta[layer].sum(axis=0, out=self._bias_gradients[layer])
            if layer:
                np.matmul(delta[layer], weights[layer].T, out=delta[layer - 1])
                slope = a[layer - 1]
                slope *= slope  # 1 - tanh², in place of the tanh that is needed no more
                np.subtract(1.0, slope, out=slope)
                delta[layer - 1] *= slope
        for parameters, gradients in ((weights, self._weight_gradients), (biases, self._bias_gradients)):
            for parameter, gradient in zip(parameters, gradients, strict=True):
                gradient *= RATE
                parameter -= gradient

    def predict(self, X: Array) -> Array:
        """Return the outputs for rows, or for one."""
        a = X
        for w, b in zip(self._weights[:-1], self._biases[:-1], strict=True):
            a = a @ w
            a += b
            np.tanh(a, out=a)
        a = a @ self._weights[-1]
        a += self._biases[-1]
        return a

    def parameters(self) -> list[Array]:
        """Return ``[W1, b1, W2, …]``."""
        return [p for pair in zip(self._weights, self._biases, strict=True) for p in pair]


CONTESTANTS = {"fastnn": Fastnn, "NumPy by hand": NumpyByHand}


def trained_by_oracle(case: Case, dtype: Any, X: Array, y: Array, epochs: int) -> tuple[list[Array], Array]:
    """Return the oracle's parameters after some epochs, and its outputs for X."""
    parameters = [np.array(p) for p in model_of(case, dtype).parameters]
    weights, biases = parameters[::2], parameters[1::2]
    activations = ["tanh"] * (len(weights) - 1) + ["identity"]
    options: dict[str, Any] = {"optimizer": SGD(RATE), "epochs": epochs, "batch_size": case.batch_size, "shuffle": False}
    reference.train(weights, biases, activations, X, y, **options)
    return parameters, reference.forward(weights, biases, activations, X)[-1][1]


def check(contestant: Any, case: Case, dtype: Any) -> None:
    """Assert that a new contestant comes to the oracle's parameters and outputs after two steps; it is trained then."""
    X, y = (array[: 2 * case.batch_size] for array in data(case, dtype))
    epochs = 2 * case.batch_size // len(X)
    contestant.train(X, y, epochs)
    parameters, outputs = trained_by_oracle(case, dtype, X, y, epochs)
    assert_close(contestant.parameters(), parameters, dtype)
    assert_close([contestant.predict(X), contestant.predict(X[0])], [outputs, outputs[0]], dtype)


def assert_close(ours: Sequence[Array], theirs: Sequence[Array], dtype: Any) -> None:
    """Compare arrays, with a tolerance for roundings of sums over a thousand products."""
    tolerance = 1e-4 if np.dtype(dtype) == np.float32 else 1e-12
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
