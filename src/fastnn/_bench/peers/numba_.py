"""Numba: the loops that a programmer would write, compiled."""

from __future__ import annotations

import importlib

import numpy as np

from fastnn import optimizers
from fastnn._bench.peers import _threads
from fastnn._bench.peers._contestant import Predictor, Trainer
from fastnn._bench.peers._flat import flattened, views
from fastnn._bench.works import RATE, Array, PredictionWork, TrainingWork, initial_parameters


def _limit(n_threads: int) -> None:
    importlib.import_module("scipy.linalg.cython_blas")  # Numba calls SciPy's BLAS, which must be loaded to be limited
    _threads.limit(n_threads)


class NumbaTrainer(Trainer):
    """A trainer that makes one compiled call for whole epochs."""

    name = "Numba"
    modules = ("numba", "scipy")
    multiplies_by_blas = True

    def __init__(self, work: TrainingWork, n_threads: int) -> None:
        from fastnn._bench.peers import _numba_loops

        _limit(n_threads)
        initial, case, dtype = initial_parameters(work), work.case, work.dtype
        vector = flattened(initial)
        gradient = np.empty_like(vector)
        moments = [np.zeros(vector.size if work.optimizer == "adam" else 0, dtype) for _ in range(2)]
        adam = optimizers.Adam(RATE)
        self._parameters = views(vector, initial)
        self._arguments = (
            case.batch_size,
            work.shuffled,
            _numba_loops.ACTIVATIONS[work.activation],
            _pairs(self._parameters),
            _pairs(views(gradient, initial)),
            tuple(tuple(np.empty((case.batch_size, n), dtype) for n in case.layer_sizes[1:]) for _ in range(3)),
            tuple(np.empty((case.batch_size, n), dtype) for n in (case.layer_sizes[0], case.layer_sizes[-1])),
            (vector, gradient, *moments),
            tuple(dtype.type(value) for value in (RATE, adam.beta_1, adam.beta_2, adam.epsilon)),
        )
        self._train, self._updates = _numba_loops.train, 0

    def prepare(self, X: Array, y: Array) -> None:
        """Keep the data."""
        self._data = X, y

    def train(self, epochs: int) -> None:
        """Train for whole epochs."""
        self._updates = self._train(self._data, epochs, *self._arguments, self._updates)

    def parameters(self) -> list[Array]:
        """Return ``[W1, b1, W2, …]``."""
        return self._parameters


class NumbaPredictor(Predictor):
    """A predictor that makes one compiled call for all layers."""

    name = "Numba"
    modules = ("numba", "scipy")
    multiplies_by_blas = True

    def __init__(self, work: PredictionWork, n_threads: int) -> None:
        from fastnn._bench.peers import _numba_loops

        _limit(n_threads)
        self._predict = _numba_loops.predict
        self._network = _pairs(initial_parameters(work))
        self._activation = _numba_loops.ACTIVATIONS[work.activation]

    def predict(self, X: Array) -> Array:
        """Return the outputs."""
        outputs: Array = self._predict(np.atleast_2d(X), *self._network, self._activation)
        return outputs


def _pairs(parameters: list[Array]) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Return weights and biases as two tuples."""
    return tuple(parameters[::2]), tuple(parameters[1::2])
