"""Predictions, losses and gradients of prepared rows, block by block: Python checks for signals between the blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._engine import core as _core
from fastnn._native import evaluated_network, loss_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn._configured import Configured
    from fastnn._engine.training_data import TrainingData

# The elements of predictions, and the multiplications, of a block, unless a single chunk of rows has more.
_ELEMENTS_AT_ONCE = 1 << 20
_PRODUCTS_AT_ONCE = 1 << 28
# A block has at least this number of multiplications for each row of the data, all of which it may weigh anew.
_PRODUCTS_PER_ROW = 2000


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
        The loss of the last complete pass: after `new_loss`, and after all `blocks` if `has_loss`. It has the bits of
        `MLP.loss`.
    """

    def __init__(self, trainer: Configured, data: TrainingData, *, has_loss: bool = False) -> None:
        self.trainer, self.data, self.loss = trainer, data, 0.0
        self._has_loss = has_loss
        self._blocks = blocks_of(evaluated_network(trainer), data)

    def new_outputs(self) -> NDArray[Any]:
        """Return an array for the predictions for all rows."""
        return np.empty((len(self.data.y), self.trainer.model.layer_sizes[-1]), self.trainer.model.dtype)

    def outputs(self) -> NDArray[Any]:
        """Return the predictions for all rows."""
        outputs = self.new_outputs()
        for _ in self.blocks(outputs):
            pass
        return outputs

    def new_loss(self) -> float:
        """Return the loss with the current parameters, without predictions."""
        total = 0.0
        for rows in self._blocks:
            total = self._evaluate(rows, total, None)
        return self.loss

    def blocks(self, outputs: NDArray[Any] | None = None) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Yield blocks of rows and their predictions. Without `outputs`, the next block overwrites them."""
        network, total = evaluated_network(self.trainer), 0.0
        most = max((rows.stop - rows.start for rows in self._blocks), default=0) if outputs is None else 0
        buffer = np.empty((most, network.layer_sizes[-1]), network.dtype)
        for rows in self._blocks:
            p = buffer[: rows.stop - rows.start] if outputs is None else outputs[rows]
            if self._has_loss:
                total = self._evaluate(rows, total, p)
            else:
                data = self.data if len(self._blocks) == 1 else self.data.rows(rows.start, rows.stop)
                network.predict(data.x, p, self.trainer.n_threads)
            yield rows, p

    def _evaluate(self, rows: slice, total: float, out: NDArray[Any] | None) -> float:
        trainer = self.trainer
        arguments = loss_of(trainer), self.data, rows.start, rows.stop, total, out, trainer.n_threads
        self.loss, total = evaluated_network(trainer).evaluate(*arguments)
        return total


def blocks_of(network: _core.Network, data: TrainingData) -> list[slice]:
    """Return blocks of rows for `Network.evaluate` that take little memory, and at most some hundredths of a second."""
    n_rows = len(data.y)
    dense = network.parameters["weights"][1 if isinstance(data.x, _core.SparseRows) else 0 :]
    products = network.n_members * sum(weights.size for weights in dense)
    most = max(_PRODUCTS_AT_ONCE, _PRODUCTS_PER_ROW * n_rows) // max(products, 1)
    chunks = min(_ELEMENTS_AT_ONCE // network.layer_sizes[-1], most) // network.rows_at_once
    step = max(1, chunks) * network.rows_at_once
    return [slice(first, min(first + step, n_rows)) for first in range(0, n_rows, step)]
