"""Training runs: epochs in slices of time, the random numbers that they draw, and the pieces of data that they train on."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastnn._engine.portable._dropout import layer_keys
from fastnn._engine.portable._elementwise import first_not_finite
from fastnn._engine.portable._losses import divisor, loss_of
from fastnn._engine.portable._network import Network, weights_of_rows
from fastnn._engine.portable._optimizers import MOMENTS, optimizer_of
from fastnn._engine.portable._rows import Array, Chosen, SparseRows, check_rows, read_x, read_y, standing_in
from fastnn._engine.portable._training import EPOCH, ROW, UPDATES, Account, Piece, Training, train, train_with
from fastnn._errors import WEIGHTLESS

if TYPE_CHECKING:
    from fastnn._engine.run_settings import RunSettings

# Of a piece, between two looks at the clock: operations, and what a batch costs whatever its size. They take 10 ms or so.
_WORK = 100_000_000
_WORK_OF_BATCH = 1_000_000
# Of inputs that are copied for a piece, unless a batch has more.
_ELEMENTS = 1 << 20
# Losses that a run keeps for who reads them between two slices.
_MOST_EPOCHS = 1 << 20


class Run:
    """Many epochs of training, in slices of time: advance() until it says other than "paused"."""

    def __init__(
        self,
        network: Network,
        data: tuple[Any, Array, bool, NDArray[np.float64] | None],
        settings: RunSettings,
        n_epochs: int,
        updates: int,
    ) -> None:
        x, y, labels, sample_weight = data
        loss, optimizer, moments, bit_generator, _, _, batch_size, shuffle, order, loss_by_rows = settings
        n_rows, native = network.count_rows(x), optimizer_of(optimizer)
        if n_rows < 1 or batch_size < 1:
            raise ValueError("there must be rows to train on")
        network.check_x(x, n_rows)
        check_rows(y, "y", n_rows, network.layer_sizes[-1], labels)
        self._network, self._x, self._y, self._labels = network, x, y, labels
        self._weight = weights_of_rows(sample_weight, n_rows)
        self._bits, self._shuffle, self._reshuffle = bit_generator, shuffle, order is not None
        self._random = np.random.Generator(bit_generator)
        self._order = _checked_order(order, n_rows) if shuffle else np.empty(0, np.int64)
        self._drops, self._lazy = any(network.dropout), native.lazy and isinstance(x, SparseRows)

        batch_size = min(batch_size, n_rows)
        self.steps = -(-n_rows // batch_size)
        self.n_epochs = n_epochs
        room = min(n_epochs, _MOST_EPOCHS)
        self.first_epoch = 0  # whose loss and seconds stand first in the arrays of the last epochs
        self.epoch_loss, self.epoch_seconds = np.zeros(room), np.zeros(room)
        position, sums = np.array([0, 0, updates], np.int64), np.zeros(3)
        self._account = Account(position, np.array([-1], np.int64), sums, self.epoch_loss)
        none, size = np.empty(0, network.dtype), network.storage.size
        kept = [network.vector(moments[i]) for i in range(MOMENTS[native.kind])]
        m, v = [*kept, none, none][:2]
        self._training = Training(
            layers=network.layers,
            loss=loss_of(loss),
            optimizer=native,
            parameters=network.storage,
            m=m,
            v=v,
            gradient=np.empty(size, network.dtype),
            snapshot=np.empty((1 + len(kept), size), network.dtype),
            buffers=network.new_buffers(batch_size),
            n_rows=n_rows,
            batch_size=batch_size,
            loss_by_rows=bool(loss_by_rows),
            account=self._account,
        )
        self._state = [network.storage, *kept]  # what a snapshot holds
        self._batches = self._batches_at_once()
        self._since = 0.0  # seconds that no epoch has yet
        self.set_rates(np.zeros(1))

    # ---- Learning rates ----

    def set_rates(self, rates: NDArray[np.float64]) -> None:
        """Take learning rates from the next step on: one a step of whole epochs, or a single one for all."""
        if not (rates.flags.c_contiguous and rates.flags.aligned) or rates.dtype != np.float64 or not rates.size:
            raise ValueError("rates must be contiguous float64")
        if self._account.position[ROW]:
            raise ValueError("rates change between epochs only")
        self._rates, self._rates_from = rates.reshape(-1), self.epoch

    def last_rate(self, epoch: int) -> float:
        """Return the rate of the last step of an epoch."""
        return float(self.last_rates(epoch, epoch + 1)[0])

    def last_rates(self, epoch: int, end: int) -> NDArray[np.float64]:
        """Return the rate of the last step of each epoch from `epoch` up to `end`."""
        if self._rates.size == 1:
            return np.full(end - epoch, self._rates[0])
        return self._rates[(np.arange(epoch, end) - self._rates_from + 1) * self.steps - 1]

    # ---- Progress ----

    @property
    def epoch(self) -> int:
        """Epochs that have ended."""
        return self.first_epoch + int(self._account.position[EPOCH])

    @property
    def updates(self) -> int:
        """Updates of the parameters, over all runs."""
        return int(self._account.position[UPDATES])

    @property
    def batch_loss(self) -> float:
        """The last batch's loss."""
        return float(self._account.sums[-1])

    @np.errstate(all="ignore")
    def advance(self, seconds: float, n_epochs: int) -> str:
        """Train for so many epochs or seconds, whichever end first; return "paused", "finished" or "diverged".

        Losses and seconds of epochs before may be overwritten: read them between two calls.
        """
        wanted, room = min(n_epochs, self.n_epochs - self.epoch), len(self.epoch_loss)
        if self.epoch - self.first_epoch + wanted > room:  # what stands in the arrays has been read
            self.first_epoch, self._account.position[EPOCH] = self.epoch, 0
            wanted = min(wanted, room)
        end = self.epoch + wanted
        if self._rates.size > 1 and (end - self._rates_from) * self.steps > self._rates.size:
            raise ValueError("there are no learning rates for so many epochs")
        started = time.perf_counter()
        while self.epoch < end:
            if not self._train_piece(end):
                self._restore_snapshot()
                return "diverged"
            if time.perf_counter() - started > seconds:
                break
        if self.epoch == end and first_not_finite(self._network.storage) >= 0:  # there may be no later loss to tell
            self._account.position[EPOCH] -= 1
            self._restore_snapshot()
            return "diverged"
        return "finished" if self.epoch == self.n_epochs else "paused"

    def _restore_snapshot(self) -> None:
        updates = self._account.snapshot_updates[0]
        if updates < 0:
            return
        for array, kept in zip(self._state, self._training.snapshot, strict=True):
            array[:] = kept
        self._account.position[UPDATES] = updates

    # ---- A piece ----

    def _train_piece(self, end: int) -> bool:
        """Train on the next batches, and return whether their losses are finite."""
        before, started = self.epoch, time.perf_counter()
        n_batches = self._next_batches(end)
        ends = self._next_ends(n_batches)
        rows = self._next_rows(int(ends[-1]))
        state = self._bits.state if self._drops else None
        piece = self._piece(ends, rows, self._draw_keys(n_batches))
        custom = self._network.custom
        if any(custom):
            done = train_with(custom, self._training, piece)
        else:
            done = train(self._training, piece, 0, n_batches, False)
        if state is not None and done < n_batches:
            self._bits.state = state
            self._draw_keys(done + 1)
        self._since += time.perf_counter() - started
        if self.epoch > before:
            ended = slice(before - self.first_epoch, self.epoch - self.first_epoch)
            self.epoch_seconds[ended] = self._since / (self.epoch - before)
            self._since = 0.0
        return done == n_batches

    def _batches_at_once(self) -> int:
        sizes = np.array(self._network.layer_sizes, np.float64)
        work_of_row = 6 * (sizes[:-1] * sizes[1:]).sum() + 20 * sizes.sum()
        batch_size = self._training.batch_size
        by_work = _WORK / (work_of_row * batch_size + _WORK_OF_BATCH)
        return max(1, int(min(by_work, _ELEMENTS / (sizes[0] * batch_size))))

    def _next_batches(self, end: int) -> int:
        """Return how many batches to train on: to the end of the epoch at most, if the next one's order is to be drawn."""
        step = self._account.position[ROW] // self._training.batch_size
        epochs = 1 if self._shuffle else end - self.epoch
        return min(self._batches, int(epochs * self.steps - step))

    def _next_ends(self, n_batches: int) -> NDArray[np.int64]:
        """Return where the next batches begin and end, in rows from here on: an epoch's last one may be short."""
        first, n_rows, batch_size = self._account.position[ROW], self._training.n_rows, self._training.batch_size
        steps = first // batch_size + np.arange(n_batches + 1)
        return steps // self.steps * n_rows + steps % self.steps * batch_size - first  # type: ignore[no-any-return]

    def _next_rows(self, count: int) -> Chosen:
        """Return which rows the next batches take, in a new order where an epoch begins."""
        first, n_rows = int(self._account.position[ROW]), self._training.n_rows
        if self._shuffle:
            if first == 0:
                if not self._reshuffle:
                    self._order[:] = np.arange(n_rows)
                self._random.shuffle(self._order)
            return self._order[first : first + count]
        return slice(first, first + count) if first + count <= n_rows else np.arange(first, first + count) % n_rows

    def _draw_keys(self, n_batches: int) -> NDArray[np.uint64]:
        return self._random.integers(0, 2**64, n_batches if self._drops else 0, dtype=np.uint64)

    def _piece(self, ends: NDArray[np.int64], rows: Chosen, keys: NDArray[np.uint64]) -> Piece:
        network, n_batches = self._network, len(ends) - 1
        weight = self._weight[rows]
        self._check_means(ends, weight)
        rows = standing_in(rows, weight, ends)
        low_keys, high_keys = layer_keys(keys, len(network.activations))
        if not self._drops:
            low_keys, high_keys = np.empty((n_batches, 0), np.uint32), np.zeros(n_batches, np.uint32)
        return Piece(
            read_x(self._x, rows, network.dtype),
            read_y(self._y, rows, network.layer_sizes[-1], self._labels, network.dtype),
            weight,
            ends,
            self._next_rates(n_batches),
            low_keys,
            high_keys,
            self._features(ends, rows, weight),
        )

    def _check_means(self, ends: NDArray[np.int64], weight: NDArray[np.float64]) -> None:
        """Raise ZeroDivisionError before batches one of whose weights sum to 0 where they are divided by their sum."""
        loss = self._training.loss
        if loss.signed_mean and not all(divisor(loss, weight[first:end]) for first, end in pairwise(ends)):
            raise ZeroDivisionError(WEIGHTLESS)

    def _next_rates(self, n_batches: int) -> NDArray[np.float64]:
        if self._rates.size == 1:
            return np.full(n_batches, self._rates[0])
        step = (self.epoch - self._rates_from) * self.steps + self._account.position[ROW] // self._training.batch_size
        return np.array(self._rates[step : step + n_batches])

    def _features(self, ends: NDArray[np.int64], rows: Chosen, weight: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which features each batch has (n_batches, n_in), where the others' weights are left alone."""
        if not self._lazy or not isinstance(self._x, SparseRows):
            return np.empty((len(ends) - 1, 0), np.bool_)
        features = np.zeros((len(ends) - 1, self._x.shape[1]), np.bool_)
        places, entries = self._x.entries(rows)
        counted = weight[places] != 0
        places, entries = places[counted], entries[counted]
        features[np.searchsorted(ends, places, side="right") - 1, self._x.columns[entries]] = True
        return features


def _checked_order(order: NDArray[np.int64] | None, n_rows: int) -> NDArray[np.int64]:
    """Return the array with the order of the rows, a new one if none is given."""
    if order is None:
        return np.empty(n_rows, np.int64)
    fits = order.flags.carray and order.dtype == np.int64 and order.size == n_rows
    if not fits or order.min() < 0 or order.max() >= n_rows:
        raise ValueError(f"order must be a permutation of 0 to {n_rows - 1}")
    return order
