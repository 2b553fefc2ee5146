"""Training runs: epochs in time slices, steps, and the recovery from a loss that is not finite."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._engine.portable._average import Average
from fastnn._engine.portable._blocks import Gradients
from fastnn._engine.portable._elementwise import first_not_finite
from fastnn._engine.portable._loop import Batches, Loop
from fastnn._engine.portable._losses import MeanLoss
from fastnn._engine.portable._network import Network
from fastnn._engine.portable._optimizers import Optimizer
from fastnn._engine.portable._pass import Pass
from fastnn._engine.portable._pieces import Piece, Pieces
from fastnn._engine.portable._rows import Array
from fastnn._engine.portable._state import (
    BATCH_LOSS,
    EPOCH,
    FIRST_EPOCH,
    ROW,
    SNAPSHOT_UPDATES,
    UPDATES,
    State,
    can_count,
    count,
    new_account,
    take_snapshot,
)
from fastnn._engine.step_rates import StepRates
from fastnn._errors import WEIGHTLESS
from fastnn.reference.embeddings import absent_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn._engine.run_settings import RunSettings

# The number of epochs whose losses a run stores for the caller, who reads them between two slices.
_MAX_EPOCHS = 1 << 20


class Run:
    """Many epochs of training, in time slices. Call `advance` as long as it returns "paused"."""

    def __init__(
        self,
        network: Network,
        data: tuple[Any, ...],
        settings: RunSettings,
        n_epochs: int,
        updates: int,
        *,
        ends_epochs: bool = True,
    ) -> None:
        s = settings
        self._loss = MeanLoss(s.loss)
        self._pieces = Pieces(network, data, self._loss, s.batch_size, s.bit_generator, s.rows, drop_last=s.drop_last)
        if s.shuffle:
            self._pieces.shuffle(s.order)
        self._network, self._optimizer = network, Optimizer(s.optimizer)
        self._parts = network.parts(self._optimizer.blocks, apart=self._optimizer.orthogonalizes)
        self._pieces.lazy = self._optimizer.lazy
        self._pieces.single = "label_smoothing_factor" in self._optimizer.scheduled
        self._moments = [network.vector(s.moments[i]) for i in range(self._optimizer.n_moments)]
        self._average = None if s.averaging is None else Average(s.averaging, network.storage)
        self._gradient = np.empty_like(network.storage)
        kept = (network.storage, *self._moments, *([] if self._average is None else self._average.arrays))
        snapshot = tuple(np.empty_like(array) for array in kept)
        m, v = self._optimizer.both(self._moments, network.storage)
        self._state = State(network.storage, self._gradient, m, v, kept, snapshot)
        self._gradients = Gradients.of_kinds(network.views(self._gradient))
        self._passes: dict[int, Pass] = {}  # passes by the number of rows

        self.steps, self.n_epochs = self._pieces.steps, n_epochs
        room = min(n_epochs, _MAX_EPOCHS)
        self._account = new_account(self._pieces.epoch_rows, updates, room)
        self.epoch_loss, self.epoch_seconds = self._account.epoch_loss, np.zeros(room)
        self._ends_epochs = ends_epochs  # whether the end of an epoch is one for an average over epochs
        self._loss_by_rows = s.loss_by_rows  # weighs batches in an epoch's loss by rows, not weights
        self._since = 0.0  # seconds that belong to no finished epoch yet
        self._loop = None
        if self._average is None:
            self._loop = Loop.of_run(network, self._loss, self._optimizer, self._pieces.batch_size, self._state)
        self._rates = StepRates(np.zeros(1), 0, self.steps)

    # ---- The position ----

    @property
    def epoch(self) -> int:
        """The finished epochs."""
        return int(self._account.counts[EPOCH])

    @property
    def is_between_epochs(self) -> bool:
        """Whether no epoch has begun that has not ended."""
        return self._row == 0

    @property
    def first_epoch(self) -> int:
        """The epoch of the first element of `epoch_loss` and `epoch_seconds`."""
        return int(self._account.counts[FIRST_EPOCH])

    @property
    def updates(self) -> int:
        """The updates of the parameters in all runs."""
        return int(self._account.counts[UPDATES])

    @property
    def batch_loss(self) -> float:
        """The loss of the last batch."""
        return float(self._account.sums[BATCH_LOSS])

    @property
    def _row(self) -> int:
        """The rows of this epoch so far."""
        return int(self._account.counts[ROW])

    # ---- Learning rates ----

    def set_rates(self, rates: NDArray[np.float64] | float) -> None:
        """Set the learning rates from the next step on: one per step of whole epochs, or one number for all steps."""
        rates = np.full(1, rates) if isinstance(rates, float) else rates
        if not (rates.flags.c_contiguous and rates.flags.aligned) or rates.dtype != np.float64 or not rates.size:
            raise ValueError(f"rates: expected at least one, contiguous float64, got {rates.size} of {rates.dtype}")
        n_scheduled = len(self._optimizer.scheduled)
        if rates.size != len(rates) * (1 + n_scheduled):
            raise ValueError(f"rates: expected rows of {1 + n_scheduled} numbers, got shape {rates.shape}")
        if self._row:
            raise ValueError("rates: expected them between epochs, got new ones within an epoch")
        self._rates = StepRates(rates if n_scheduled else rates.reshape(-1), self.epoch, self.steps)

    def check_numbers(self) -> None:
        """Do nothing: the numbers have been checked, since `unchecked_data` returns None."""

    def constant_rates(self) -> NDArray[np.float64]:
        """Return an array of the learning rate that all steps share, once per epoch."""
        return self._rates.last(0, self.n_epochs)

    def copy_epochs(
        self,
        first: int,
        place: int,
        loss: NDArray[np.float64],
        rates: list[NDArray[np.float64] | None],
        seconds: NDArray[np.float64],
    ) -> None:
        """Copy the losses, last learning rates and seconds of the epochs from `first` on to arrays, from `place` on."""
        self._rates.copy_epochs(self, first, place, loss, rates, seconds)

    # ---- Progress ----

    @np.errstate(all="ignore")
    def advance(self, seconds: float, n_epochs: int) -> str:
        """Train for a number of epochs or of seconds, whichever ends first. Return "paused", "finished" or "diverged".

        The next call may overwrite the losses and seconds of epochs: read them between two calls.
        """
        wanted, room = min(n_epochs, self.n_epochs - self.epoch), len(self.epoch_loss)
        if self.epoch - self.first_epoch + wanted > room:  # the caller has read the arrays
            self._account.counts[FIRST_EPOCH] = self.epoch
            wanted = min(wanted, room)
        end = self.epoch + wanted
        if not self._rates.cover(end):
            raise ValueError(f"rates: expected one for each step of {wanted} epochs, got {self._rates.size}")
        started = time.perf_counter()
        while self.epoch < end:
            if not self._train_piece(end):
                self._restore_snapshot()
                return "diverged"
            if time.perf_counter() - started > seconds:
                break
        if self.epoch == end and first_not_finite(self._network.storage) >= 0:  # no later loss would show it
            self._account.counts[EPOCH] -= 1
            self._restore_snapshot()
            return "diverged"
        return "finished" if self.epoch == self.n_epochs else "paused"

    def _restore_snapshot(self) -> None:
        counts = self._account.counts
        if counts[SNAPSHOT_UPDATES] >= 0:
            for array, kept in zip(self._state.kept, self._state.snapshot, strict=True):
                array[:] = kept
            counts[UPDATES] = counts[SNAPSHOT_UPDATES]

    def _train_piece(self, end: int) -> bool:
        """Train on the next batches, and return whether their losses are finite."""
        before, started = self.epoch, time.perf_counter()
        if self._pieces.single:
            self._loss.smooth(self._optimizer.factor("label_smoothing_factor", self._next_rates(1)[0]))
        piece = self._pieces.read(self._row, end - self.epoch)
        divisors = self._loss.divisors(piece.magnitudes, piece.sums)
        if self._loss.signed_mean and not divisors.all():
            raise ZeroDivisionError(WEIGHTLESS)
        n_batches = len(divisors)
        rates = self._next_rates(n_batches)
        batches = self._for_loop(piece, divisors, rates)
        done = 0
        while done < n_batches:
            if self._loop is not None and batches is not None:
                done = self._loop.train(batches, self._account, done)
            if done == n_batches or not self._step(piece, done, divisors[done], rates[done]):
                break
            done += 1
        if done < n_batches:
            self._pieces.draw_again(piece, done + 1)
        self._since += time.perf_counter() - started
        if self.epoch > before:
            ended = slice(before - self.first_epoch, self.epoch - self.first_epoch)
            self.epoch_seconds[ended] = self._since / (self.epoch - before)
            self._since = 0.0
        return done == n_batches

    def _next_rates(self, n_batches: int) -> list[Any]:
        return self._rates.of_steps(self.epoch, self._row // self._pieces.batch_size, n_batches)

    def _for_loop(self, piece: Piece, divisors: NDArray[np.float64], rates: list[Any]) -> Batches | None:
        if self._loop is None:
            return None
        weights = np.diff(piece.ends) if self._loss_by_rows else divisors
        coefficients = self._optimizer.coefficients(rates, self.updates + 1, self._network.dtype)
        return self._loop.batches(piece, divisors, weights, coefficients)

    # ---- A step ----

    def _step(self, piece: Piece, batch: int, divisor: Any, rate: Any) -> bool:
        """Make one step, and return whether its loss is finite. If it is not, nothing has changed."""
        begin, end = piece.ends[batch], piece.ends[batch + 1]
        features = None if piece.features is None else piece.features[batch]
        absent = self._absent(piece, batch, features)
        if piece.magnitudes[batch] > 0.0:
            factor = self._optimizer.factor("dropout_factor", rate)
            loss = self._find_gradient(piece, begin, end, piece.keys[batch], divisor, factor)
        else:
            loss, self._gradient[:] = 0.0, 0.0
        return self._finish_step(loss, divisor, end - begin, features, absent, rate)

    def _absent(self, piece: Piece, batch: int, features: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
        """Return which elements at the beginning of the storage have no update, because the batch lacks their inputs."""
        if features is not None:
            return np.repeat(~features, self._network.layer_sizes[1])
        embedded = [(e, p) for e, p in self._network.embedded if p is not None]
        if not self._optimizer.lazy or not any(e.has_table for e, _ in embedded):
            return None
        x = piece.x[piece.ends[batch] : piece.ends[batch + 1]] if piece.magnitudes[batch] > 0.0 else piece.x[:0]
        rows = zip(absent_rows(embedded, x), embedded, strict=True)
        return np.concatenate([np.repeat(np.zeros(len(p), np.bool_) if r is None else r, p.shape[1]) for r, (_, p) in rows])

    @np.errstate(all="ignore")
    def apply(self, gradient: Array) -> bool:
        """Make one step with a gradient, a vector like the storage; return whether it is finite, change nothing if not."""
        self._gradient[:] = gradient
        done = self._finish_step(0.0, 1.0, 1, None, None, self._next_rates(1)[0])
        if done and first_not_finite(self._network.storage) >= 0:
            self._restore_snapshot()
            return False
        return done

    def _finish_step(
        self,
        loss: float,
        divisor: Any,
        rows: int,
        features: NDArray[np.bool_] | None,
        absent: NDArray[np.bool_] | None,
        rate: Any,
    ) -> bool:
        """Update by the gradient of some rows, and return whether their loss is finite; if not, nothing has changed."""
        if self._optimizer.scheduled:
            rate = self._optimizer.follow_schedules(rate)
        if self._optimizer.has_penalty:
            loss = self._penalize(loss, divisor, features)
        weight = float(rows if self._loss_by_rows else divisor)
        if not can_count(self._account, loss, weight):
            return False
        if self._row == 0:
            take_snapshot(self._state, self._account)
        for part, own, _ in self._parts:
            if own.is_frozen:  # no part of the norm
                self._gradient[part] = 0.0
        self._optimizer.clip(self._gradient)
        if absent is None:
            self._update(rate)
        else:
            self._update_present(absent, rate)
        if self._average is not None:
            self._average.add(ends_epoch=self._ends_epochs and self._row + rows == self._account.n_rows)
        count(self._account, rows, loss, weight)
        return True

    def _find_gradient(
        self, piece: Piece, begin: int, end: int, keys: tuple[Array, Any] | None, divisor: float, dropout_factor: float
    ) -> float:
        count = end - begin
        if count not in self._passes:
            self._passes[count] = self._network.new_pass(count, logits=self._loss.from_logits)
        batch, rows = self._passes[count], slice(begin, end)
        p = batch.forward(piece.x[rows], keys, dropout_factor)
        loss = batch.loss(self._loss, (piece.y[rows], piece.weight[rows], piece.elements[rows]), p, divisor)
        batch.backward(self._gradients)
        return loss

    def _penalize(self, loss: float, divisor: float, features: NDArray[np.bool_] | None) -> float:
        for layer, (w, gradient) in enumerate(zip(self._network.parameters["weights"], self._gradients.layers, strict=True)):
            if layer == 0 and features is not None:
                w = w * features[:, np.newaxis]
            loss = self._optimizer.penalize(loss, divisor, layer, w, gradient.weights)
        for layer, (w, gradient) in enumerate(
            zip(self._network.parameters["projections"], self._gradients.layers, strict=True)
        ):
            if w is not None and gradient.projections is not None:
                loss = self._optimizer.penalize(loss, divisor, layer, w, gradient.projections, "projections")
        return loss

    def _update(self, rate: float) -> None:
        """Update all parameters that are not frozen, part by part."""
        w, g, t = self._network.storage, self._gradient, self.updates + 1
        for part, own, shape in self._parts:
            if shape is not None and not own.is_frozen:
                matrices = [array[part].reshape(shape) for array in (w, self._moments[0], g)]
                self._optimizer.update_matrix(matrices, rate, own)
            elif not own.is_frozen:
                self._optimizer.update(w[part], g[part], [moment[part] for moment in self._moments], rate, t, own)

    def _update_present(self, absent: NDArray[np.bool_], rate: float) -> None:
        """Update all parameters except for these elements at the beginning of the storage."""
        changed = self._state.kept[: 1 + len(self._moments)]
        kept = [array[: absent.size][absent] for array in changed]
        self._update(rate)
        for array, values in zip(changed, kept, strict=True):
            array[: absent.size][absent] = values


def advance_many(runs: list[Run], n_epochs: list[int], seconds: float, n_threads: int | None) -> list[str]:
    """Train several runs, each for its number of epochs, or of seconds in all. Return what `advance` returns of each.

    "weightless" stands for a ZeroDivisionError. The fallback has one thread.
    """
    end = time.perf_counter() + seconds
    statuses = ["paused"] * len(runs)
    for i, (run, epochs) in enumerate(zip(runs, n_epochs, strict=True)):
        left = end - time.perf_counter()
        if i > 0 and left <= 0:
            break
        try:
            statuses[i] = run.advance(left, epochs)
        except ZeroDivisionError:
            statuses[i] = "weightless"
    return statuses
