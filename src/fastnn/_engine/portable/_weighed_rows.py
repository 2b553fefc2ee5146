"""The mean loss of weighted rows, and its gradients, over pieces of the rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._engine.portable._blocks import Gradients
from fastnn._engine.portable._losses import MeanLoss
from fastnn._engine.portable._network_parameters import NetworkParameters
from fastnn._engine.portable._rows import Array, SparseRows, check_rows, read_x, read_y, standing_in

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn._engine.losses import NativeLoss
    from fastnn._engine.portable._pass import Pass

ROWS_AT_ONCE = 512
"""The number of rows that pass through all layers, forward and back, before the next rows."""


class WeighedRows:
    """Inputs, targets and weights of the rows of a mean.

    Attributes
    ----------
    weight : ndarray, shape (n,)
        The weights of the rows.
    divisor : float
        The divisor of the mean over all rows.
    """

    def __init__(
        self,
        network: NetworkParameters,
        loss: NativeLoss,
        x: Array | SparseRows,
        y: Array,
        labels: bool,
        sample_weight: NDArray[np.float64] | None,
    ) -> None:
        self._network, self._mean, self._x = network, MeanLoss(loss), x
        n_rows, n_targets = network.count_rows(x), self._mean.n_targets(network.layer_sizes[-1])
        network.check_x(x, n_rows)
        check_rows(y, "y", n_rows, n_targets, labels)
        self.weight = weights_of_rows(sample_weight, n_rows)
        # Others stand in for the rows that don't count.
        self._readable = np.arange(n_rows)[standing_in(slice(0, n_rows), self.weight, (0, n_rows))]
        y = read_y(y, self._readable, n_targets, labels, network.dtype)
        self._targets = self._mean.weigh(y, self.weight, labels)
        weights = self._targets.rows
        self.divisor = float(self._mean.divisors(np.abs(weights).sum(), weights.sum()))

    def add_to(
        self,
        total: float,
        begin: int,
        end: int,
        gradient: Array | None = None,
        input_gradient: Array | None = None,
        keys: tuple[Array, Any] | None = None,
        dropout_factor: float = 1.0,
    ) -> float:
        """Return `total` plus the share of some rows in the loss, and add theirs to `gradient`, which is like the storage.

        The rows' own elements of `input_gradient`, a vector for all rows, are set. With keys, units are dropped, by masks
        that depend on the position of a row in the batch: then all rows pass at once.
        """
        network, targets = self._network, self._targets
        own = np.empty_like(network.storage)
        gradients = None if gradient is None else Gradients.of_kinds(network.views(own))
        at_once = ROWS_AT_ONCE if keys is None else end - begin
        for piece, batch in pieces(network, end - begin, at_once, logits=self._mean.from_logits):
            rows = slice(begin + piece.start, begin + piece.stop)
            p = batch.forward(read_x(self._x, self._readable[rows], network.dtype), keys, dropout_factor)
            total += batch.loss(self._mean, (targets.y[rows], self.weight[rows], targets.elements[rows]), p, self.divisor)
            if gradient is None and input_gradient is None:
                continue
            batch.backward(gradients)
            if gradient is not None:
                gradient += own
            if input_gradient is not None:
                input_gradient.reshape(len(self.weight), -1)[rows] = batch.grad_inputs()
        return total


def pieces(
    network: NetworkParameters, n_rows: int, at_once: int = ROWS_AT_ONCE, *, logits: bool = False
) -> Iterator[tuple[slice, Pass]]:
    """Yield some rows at a time, and their pass through the layers."""
    batch: Pass | None = None
    for start in range(0, n_rows, at_once):
        count = min(at_once, n_rows - start)
        if batch is None or count < at_once:
            batch = network.new_pass(count, logits=logits)
        yield slice(start, start + count), batch


def weights_of_rows(sample_weight: NDArray[np.float64] | None, n_rows: int) -> NDArray[np.float64]:
    """Return the weights of the rows, by default 1 each."""
    if sample_weight is None:
        return np.ones(n_rows)
    flags = sample_weight.flags
    if not (flags.c_contiguous and flags.aligned) or sample_weight.dtype != np.float64 or sample_weight.size != n_rows:
        raise ValueError(f"sample_weight must be {n_rows} contiguous float64")
    return np.array(sample_weight).reshape(-1)
