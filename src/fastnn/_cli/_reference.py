"""The networks of the demonstration, trained in plain NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import Trainer, reference
from fastnn.optimizers import Optimizer

if TYPE_CHECKING:
    from numpy.typing import NDArray


class ReferenceNetwork:
    """A copy of a trainer that has not run yet, trained by `fastnn.reference`.

    Parameters
    ----------
    trainer : Trainer
        The trainer to copy.
    seed : int
        The seed of its random state.
    """

    def __init__(self, trainer: Trainer, seed: int) -> None:
        self._trainer = trainer
        self._seed = seed
        self._activations = trainer.model.activations
        self._weights = [np.array(w) for w in trainer.model.weights]
        self._biases = [np.array(b) for b in trainer.model.biases]

    def run(self, X: NDArray[Any], y: NDArray[Any], epochs: int) -> list[float]:
        """Train; return the loss of every epoch."""
        optimizer = self._trainer.optimizer
        assert isinstance(optimizer, Optimizer)
        return reference.train(
            self._weights,
            self._biases,
            self._activations,
            X,
            y,
            loss=self._trainer.loss,
            optimizer=optimizer,
            epochs=epochs,
            batch_size=self._trainer.batch_size,
            rng=np.random.default_rng(self._seed),
            dropout=self._trainer.model.dropout,
        )

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        """Return the network's outputs."""
        return reference.forward(self._weights, self._biases, self._activations, X)[-1][1]
