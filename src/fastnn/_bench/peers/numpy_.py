"""Hand-written NumPy without checks, in which every array of a step is allocated once; about as fast as NumPy gets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastnn._bench.peers import _threads
from fastnn._bench.peers._contestant import Predictor, Trainer
from fastnn._bench.peers._flat import flattened, views
from fastnn._bench.peers._numpy_update import Adam, Descent
from fastnn._bench.works import Array, PredictionWork, TrainingWork, initial_parameters


def _relu(z: Array, out: Array) -> Array:
    return np.maximum(z, 0.0, out=out)


# The derivatives overwrite the activation, which is not needed any more.


def _times_tanh_derivative(delta: Array, z: Array, a: Array) -> None:
    a *= a
    np.subtract(1.0, a, out=a)
    delta *= a


def _times_relu_derivative(delta: Array, z: Array, a: Array) -> None:
    delta *= a > 0


def _times_sin_derivative(delta: Array, z: Array, a: Array) -> None:
    np.cos(z, out=a)
    delta *= a


_Activation = tuple[Callable[..., Array], Callable[[Array, Array, Array], None]]
_ACTIVATIONS: dict[str, _Activation] = {
    "tanh": (np.tanh, _times_tanh_derivative),
    "relu": (_relu, _times_relu_derivative),
    "sin": (np.sin, _times_sin_derivative),
}


class _Buffers:
    """The arrays of a step on some number of rows: sums z, activations a, errors delta, and a gathered batch."""

    def __init__(self, work: TrainingWork, rows: int) -> None:
        n_in, *widths = work.case.layer_sizes
        self.a = [np.empty((rows, n), work.dtype) for n in widths]
        # Only the derivative of sin needs the sums; the others are computed in place.
        self.z = [np.empty_like(a) for a in self.a] if work.activation == "sin" else self.a
        self.delta = [np.empty_like(a) for a in self.a]
        self.x, self.y = np.empty((rows, n_in), work.dtype), np.empty((rows, widths[-1]), work.dtype)


class NumpyTrainer(Trainer):
    """A training loop written for one network."""

    name = "NumPy"
    multiplies_by_blas = True
    loops_in_python = True

    def __init__(self, work: TrainingWork, n_threads: int) -> None:
        _threads.limit(n_threads)
        initial = initial_parameters(work)
        vector = flattened(initial)
        gradient = np.empty_like(vector)
        self._parameters, gradients = views(vector, initial), views(gradient, initial)
        self._weights, self._biases = self._parameters[::2], self._parameters[1::2]
        self._weight_gradients, self._bias_gradients = gradients[::2], gradients[1::2]
        self._update = (Descent if work.optimizer == "sgd" else Adam)(vector, gradient)
        self._activate, self._times_derivative = _ACTIVATIONS[work.activation]
        self._batch_size = work.case.batch_size
        self._buffers = {n: _Buffers(work, n) for n in {self._batch_size, work.case.rows % self._batch_size}}
        self._rng = np.random.default_rng(0) if work.shuffled else None

    def prepare(self, X: Array, y: Array) -> None:
        """Keep the data."""
        self._X, self._y = X, y

    def train(self, epochs: int) -> None:
        """Train for whole epochs."""
        for _ in range(epochs):
            if self._rng is None:
                self._epoch()
            else:
                self._shuffled_epoch(self._rng.permutation(len(self._X)))

    def _epoch(self) -> None:
        for start in range(0, len(self._X), self._batch_size):
            x = self._X[start : start + self._batch_size]
            self._step(x, self._y[start : start + self._batch_size], self._buffers[len(x)])

    def _shuffled_epoch(self, order: Array) -> None:
        for start in range(0, len(order), self._batch_size):
            rows = order[start : start + self._batch_size]
            buffers = self._buffers[len(rows)]
            # With mode="raise", take would use one more buffer.
            self._X.take(rows, axis=0, out=buffers.x, mode="clip")
            self._y.take(rows, axis=0, out=buffers.y, mode="clip")
            self._step(buffers.x, buffers.y, buffers)

    def _step(self, x: Array, y: Array, buffers: _Buffers) -> None:
        weights, z, a, delta = self._weights, buffers.z, buffers.a, buffers.delta
        last, inputs = len(weights) - 1, x
        for layer in range(last):
            np.matmul(inputs, weights[layer], out=z[layer])
            z[layer] += self._biases[layer]
            inputs = self._activate(z[layer], out=a[layer])
        np.matmul(inputs, weights[last], out=a[last])
        a[last] += self._biases[last]
        np.subtract(a[last], y, out=delta[last])
        delta[last] *= 2.0 / y.size
        for layer in range(last, 0, -1):
            np.matmul(a[layer - 1].T, delta[layer], out=self._weight_gradients[layer])
            np.add.reduce(delta[layer], axis=0, out=self._bias_gradients[layer])
            np.matmul(delta[layer], weights[layer].T, out=delta[layer - 1])
            self._times_derivative(delta[layer - 1], z[layer - 1], a[layer - 1])
        np.matmul(x.T, delta[0], out=self._weight_gradients[0])
        np.add.reduce(delta[0], axis=0, out=self._bias_gradients[0])
        self._update()

    def parameters(self) -> list[Array]:
        """Return ``[W1, b1, W2, …]``."""
        return self._parameters


class NumpyPredictor(Predictor):
    """One matrix product per layer, and everything else in place."""

    name = "NumPy"
    multiplies_by_blas = True

    def __init__(self, work: PredictionWork, n_threads: int) -> None:
        _threads.limit(n_threads)
        parameters = initial_parameters(work)
        *self._hidden, self._output = zip(parameters[::2], parameters[1::2], strict=True)
        self._activate, _ = _ACTIVATIONS[work.activation]

    def predict(self, X: Array) -> Array:
        """Return the outputs."""
        a = X
        for w, b in self._hidden:
            a = a @ w
            a += b
            self._activate(a, out=a)
        w, b = self._output
        a = a @ w
        a += b
        return a
