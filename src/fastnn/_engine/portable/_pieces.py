"""The rows of a run, in pieces: several batches, which are read together in the order of the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn._engine.portable._losses import MeanLoss
from fastnn._engine.portable._network import Network
from fastnn._engine.portable._rows import Array, Chosen, SparseRows, check_rows, read_x, read_y, standing_in
from fastnn._engine.portable._weighed_rows import weights_of_rows
from fastnn.reference.dropout import layer_keys, layer_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The work of a piece, between two readings of the clock: operations, and the fixed cost of a batch. Together about 10 ms.
_WORK = 100_000_000
_WORK_OF_BATCH = 1_000_000
# The number of input elements that are copied for a piece, unless a batch has more.
_ELEMENTS = 1 << 20


class Piece(NamedTuple):
    """The rows of several batches. All other attributes have one entry per batch."""

    x: Array
    y: Array
    weight: NDArray[np.float64]  # the weights of the rows
    elements: NDArray[np.float64]  # weights of the outputs in each row, (n, n_out), or (n, 1) with 1 for all
    ends: list[int]  # batch i has the rows from ends[i] to ends[i + 1]
    magnitudes: NDArray[np.float64]  # sums of the magnitudes of the rows' weights in a mean
    sums: NDArray[np.float64]  # sums of these weights
    keys: Sequence[tuple[Array, Any] | None]  # for dropout
    features: NDArray[np.bool_] | None  # which features occur, (batches, n_in), if updates are lazy
    random_state: Any  # state of the generator before it drew the keys; None without dropout


def check_indices(argument: str, indices: NDArray[Any], n: int) -> None:
    """Raise ValueError unless an array is contiguous int64 with elements from 0 to n - 1."""
    fits = indices.flags.c_contiguous and indices.dtype == np.int64 and indices.ndim == 1
    if not fits or (indices.size and (indices.min() < 0 or indices.max() >= n)):
        raise ValueError(f"{argument}: expected contiguous int64 from 0 to {n - 1}, got {indices.dtype} {indices.shape}")


class Pieces:
    """The rows of a run, and the random numbers that it draws."""

    def __init__(
        self,
        network: Network,
        data: tuple[Any, Array, bool, NDArray[np.float64] | None],
        loss: MeanLoss,
        batch_size: int,
        bit_generator: np.random.BitGenerator,
        rows: NDArray[np.int64] | None = None,
        *,
        drop_last: bool = False,
    ) -> None:
        x, y, labels, sample_weight = data
        n_rows = network.count_rows(x)
        network.check_x(x, n_rows)
        self._rows = rows  # of the data to train on; None for all
        if rows is not None:
            check_indices("rows", rows, n_rows)
        self.n_rows = n_rows if rows is None else rows.size
        if self.n_rows < 1 or batch_size < 1:
            raise ValueError(f"X, batch_size: expected at least 1 of each, got {self.n_rows} rows and {batch_size}")
        n_targets = loss.n_targets(network.layer_sizes[-1])
        check_rows(y, "y", n_rows, n_targets, labels)
        self.batch_size = min(batch_size, self.n_rows)
        # The rows in the batches of an epoch: all, or those of complete batches.
        self.epoch_rows = self.n_rows // self.batch_size * self.batch_size if drop_last else self.n_rows
        self.steps = -(-self.epoch_rows // self.batch_size)  # per epoch
        self._network, self._loss = network, loss
        self._x, self._y, self._labels, self._n_targets = x, y, labels, n_targets
        self._weight = weights_of_rows(sample_weight, n_rows)
        self._bits, self._random = bit_generator, np.random.Generator(bit_generator)
        self._drops = network.drops
        self._order: NDArray[np.int64] | None = None
        self._reshuffles = self.lazy = False
        self.single = False  # whether one batch is read at a time, because each has targets of its own
        sizes = np.array(network.layer_sizes, np.float64)
        work_of_row = 6 * (sizes[:-1] * sizes[1:]).sum() + 20 * sizes.sum()
        by_work = _WORK / (work_of_row * self.batch_size + _WORK_OF_BATCH)
        self._batches_at_once = max(1, int(min(by_work, _ELEMENTS / (sizes[0] * self.batch_size))))

    def shuffle(self, order: NDArray[np.int64] | None) -> None:
        """Draw a new order of the rows for every epoch. If an array with the first order is given, shuffle it further."""
        self._reshuffles = order is not None
        self._order = np.empty(self.n_rows, np.int64) if order is None else order
        if not self._order.flags.writeable or self._order.size != self.n_rows:
            raise ValueError(f"order: expected a permutation of 0 to {self.n_rows - 1}, got shape {self._order.shape}")
        if self._reshuffles:
            check_indices("order", self._order, self.n_rows)

    def read(self, row: int, epochs: int) -> Piece:
        """Return the next batches, beginning at a row of the current epoch.

        They end at the latest with the last of `epochs` epochs, or with the current epoch if the next one has a new order.
        """
        first_step = row // self.batch_size
        at_once = 1 if self.single else self._batches_at_once
        n_batches = min(at_once, (1 if self._order is not None else epochs) * self.steps - first_step)
        ends = self._ends(row, n_batches)
        rows = self._next_rows(row, int(ends[-1]))
        weight = self._weight[rows]
        rows = standing_in(rows, weight, ends)
        y = read_y(self._y, rows, self._n_targets, self._labels, self._network.dtype)
        targets = self._loss.weigh(y, weight, self._labels, ends[:-1])
        magnitudes, sums = (np.add.reduceat(values, ends[:-1]) for values in (np.abs(targets.rows), targets.rows))
        state = self._bits.state if self._drops else None
        return Piece(
            read_x(self._x, rows, self._network.dtype),
            targets.y,
            weight,
            targets.elements,
            ends.tolist(),
            magnitudes,
            sums,
            self._draw_keys(n_batches),
            self._features(ends, rows, weight),
            state,
        )

    def draw_again(self, piece: Piece, n_batches: int) -> None:
        """Set the generator to the state that it would have after that number of batches."""
        if piece.random_state is not None:
            self._bits.state = piece.random_state
            self._draw_keys(n_batches)

    def _ends(self, row: int, n_batches: int) -> NDArray[np.int64]:
        """Return the beginnings and ends of the next batches, in rows from here. The last one of an epoch may be smaller."""
        steps = row // self.batch_size + np.arange(n_batches + 1)
        return steps // self.steps * self.epoch_rows + steps % self.steps * self.batch_size - row

    def _next_rows(self, row: int, count: int) -> Chosen:
        """Return the rows of the next batches, in a new order where an epoch begins."""
        if self._order is None:
            if self._rows is None and row + count <= self.epoch_rows:
                return slice(row, row + count)
            places = np.arange(row, row + count) % self.epoch_rows
            return places if self._rows is None else self._rows[places]
        if row == 0:
            if not self._reshuffles:
                self._order[:] = np.arange(self.n_rows) if self._rows is None else self._rows
            self._random.shuffle(self._order)
        return self._order[row : row + count]

    def _draw_keys(self, n_batches: int) -> Sequence[tuple[Array, Any] | None]:
        if not self._drops:
            return [None] * n_batches
        keys = self._random.integers(0, 2**64, n_batches, dtype=np.uint64)
        return list(zip(*layer_keys(keys, layer_numbers(len(self._network.layers))), strict=True))

    def _features(self, ends: NDArray[np.int64], rows: Chosen, weight: NDArray[np.float64]) -> NDArray[np.bool_] | None:
        if not self.lazy or not isinstance(self._x, SparseRows):
            return None
        features = np.zeros((len(ends) - 1, self._x.shape[1]), np.bool_)
        places, entries = self._x.entries(rows)
        counted = weight[places] != 0
        places, entries = places[counted], entries[counted]
        features[np.searchsorted(ends, places, side="right") - 1, self._x.columns[entries]] = True
        return features
