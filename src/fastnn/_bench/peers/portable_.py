"""The library's own portable backend, which replaces the kernels if they couldn't be compiled."""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING

import numpy as np

from fastnn._bench.peers import _threads
from fastnn._bench.peers._contestant import Predictor, Trainer
from fastnn._bench.works import RATE, Array, PredictionWork, TrainingWork, activations_of, initial_parameters, optimizer_of
from fastnn._engine.losses import native_loss
from fastnn._engine.optimizers import native_optimizer
from fastnn._engine.run_settings import RunSettings
from fastnn._engine.training_data import TrainingData
from fastnn._views import by_layer
from fastnn.losses import MSE

if TYPE_CHECKING:
    from fastnn._engine.portable import Network, Run


class PortableTrainer(Trainer):
    """The reference's formulas as Numba compiles them, called from loops in Python."""

    name = "fastnn portable"
    modules = ("numba", "scipy")
    multiplies_by_blas = True

    def __init__(self, work: TrainingWork, n_threads: int) -> None:
        importlib.import_module("scipy.linalg.cython_blas")  # which is limited where it is loaded
        _threads.limit(n_threads)
        from fastnn._engine.portable import Run

        self._run_of: type[Run] = Run
        self._network = _network(work)
        optimizer = native_optimizer(optimizer_of(work))
        self._settings = RunSettings(
            native_loss(MSE(), "identity"),
            optimizer,
            np.zeros((optimizer["moments"], self._network.storage.size), work.dtype),
            np.random.default_rng(0).bit_generator,
            batch_size=work.case.batch_size,
            shuffle=work.shuffled,
        )
        self._updates = 0

    def prepare(self, X: Array, y: Array) -> None:
        """Keep the data."""
        self._data = X, y

    def train(self, epochs: int) -> None:
        """Train for whole epochs."""
        data = TrainingData(*self._data, labels=False, sample_weight=None)
        run = self._run_of(self._network, data, self._settings, epochs, self._updates)
        run.set_rates(np.full(1, RATE))
        run.advance(math.inf, epochs)
        self._updates = run.updates

    def parameters(self) -> list[Array]:
        """Return ``[W1, b1, W2, …]``."""
        return _parameters(self._network)


class PortablePredictor(Predictor):
    """Predictions by the same formulas, layer by layer."""

    name = "fastnn portable"
    multiplies_by_blas = True

    def __init__(self, work: PredictionWork, n_threads: int) -> None:
        _threads.limit(n_threads)
        self._network = _network(work)

    def predict(self, X: Array) -> Array:
        """Return the outputs."""
        return self._network.predict(X)


def _network(work: TrainingWork | PredictionWork) -> Network:
    from fastnn._engine.portable import Network

    layer_sizes = work.case.layer_sizes if isinstance(work, TrainingWork) else work.layer_sizes
    activations = activations_of(work)
    network = Network(layer_sizes, tuple(activations), (0.0,) * len(activations), work.dtype)
    for view, initial in zip(_parameters(network), initial_parameters(work), strict=True):
        view[...] = initial
    return network


def _parameters(network: Network) -> list[Array]:
    return by_layer(network.parameters)
