"""Predictions, losses and gradients of prepared rows, block by block: Python checks for signals between the blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._native import evaluated_network, loss_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn._engine import core as _core
    from fastnn._engine.training_data import TrainingData
    from fastnn._trainer import Trainer

# The most elements of predictions, and multiplications, between two checks for signals.
_ELEMENTS_AT_ONCE = 1 << 20
_PRODUCTS_AT_ONCE = 1 << 28


class Evaluation:
    """The predictions of a trainer's model for some rows, with the averaged parameters if there are any, and their loss.

    Parameters
    ----------
    trainer : Trainer
        The trainer, whose model is evaluated.
    data : TrainingData
        The rows.
    has_loss : bool, default False
        Whether the loss is computed too, in the same pass.

    Attributes
    ----------
    loss : float
        The loss of the last pass over all rows, with the bits of `MLP.loss`.
    """

    def __init__(self, trainer: Trainer, data: TrainingData, *, has_loss: bool = False) -> None:
        self.trainer, self.data, self.loss = trainer, data, 0.0
        self._has_loss, self._n_rows = has_loss, len(data.y)

    def outputs(self) -> NDArray[Any]:
        """Return the predictions for all rows."""
        outputs = np.empty((self._n_rows, self.trainer.model.layer_sizes[-1]), self.trainer.model.dtype)
        for _ in self.blocks(outputs):
            pass
        return outputs

    def new_loss(self) -> float:
        """Return the loss with the current parameters, without predictions."""
        total = 0.0
        for rows in self._blocks():
            total = self._evaluate(rows, total, None)
        return self.loss

    def blocks(self, outputs: NDArray[Any] | None = None) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Yield blocks of rows and their predictions, which are valid until the next block unless `outputs` has all rows."""
        network, total, buffer = evaluated_network(self.trainer), 0.0, outputs
        for rows in self._blocks():
            if buffer is None:
                buffer = np.empty((rows.stop, network.layer_sizes[-1]), network.dtype)  # the first block is the largest
            p = buffer[: rows.stop - rows.start] if outputs is None else outputs[rows]
            if self._has_loss:
                total = self._evaluate(rows, total, p)
            else:
                network.predict(self.data.rows(rows.start, rows.stop).x, p, self.trainer.n_threads)
            yield rows, p

    def _evaluate(self, rows: slice, total: float, out: NDArray[Any] | None) -> float:
        trainer = self.trainer
        arguments = loss_of(trainer), self.data, rows.start, rows.stop, total, out, trainer.n_threads
        self.loss, total = evaluated_network(trainer).evaluate(*arguments)
        return total

    def _blocks(self) -> Iterator[slice]:
        return blocks_of(evaluated_network(self.trainer), self._n_rows)


def blocks_of(network: _core.Network, n_rows: int) -> Iterator[slice]:
    """Yield blocks of rows for `Network.evaluate`, whose predictions take little memory and some hundredths of a second."""
    products = network.storage.size * network.n_members
    most = min(_ELEMENTS_AT_ONCE // network.layer_sizes[-1], _PRODUCTS_AT_ONCE // products)
    step = max(1, most // network.rows_at_once) * network.rows_at_once
    for first in range(0, n_rows, step):
        yield slice(first, min(first + step, n_rows))
