"""fastnn, called from Python.

The number of threads is that of `fastnn.set_num_threads`, set by the caller of a contest: `n_threads=` would force that
many on every call, while users let fastnn decide how many pay; and passing it takes longer than predicting a row.
"""

from __future__ import annotations

import fastnn
from fastnn._bench.peers._contestant import Predictor, Trainer
from fastnn._bench.works import Array, PredictionWork, TrainingWork, model_of, optimizer_of


class FastnnTrainer(Trainer):
    """A trainer that makes one call for all epochs."""

    name = "fastnn"

    def __init__(self, work: TrainingWork, n_threads: int) -> None:
        self._model = model_of(work.case.layer_sizes, work.dtype, work.activation)
        self._trainer = fastnn.Trainer(
            self._model,
            "mse",
            optimizer_of(work),
            batch_size=work.case.batch_size,
            shuffle=work.shuffled,
            random_state=0,
        )

    def prepare(self, X: Array, y: Array) -> None:
        """Keep the data."""
        self._data = X, y

    def train(self, epochs: int) -> None:
        """Train for whole epochs."""
        self._trainer.run(*self._data, epochs)

    def parameters(self) -> list[Array]:
        """Return ``[W1, b1, W2, …]``."""
        return self._model.parameters


class FastnnPredictor(Predictor):
    """`predict`, called in a loop."""

    name = "fastnn"

    def __init__(self, work: PredictionWork, n_threads: int) -> None:
        self._model = model_of(work.layer_sizes, work.dtype, work.activation)

    def predict(self, X: Array) -> Array:
        """Return the outputs."""
        return self._model.predict(X)
