"""Training runs: epochs in time slices, and the recovery from a loss that is not finite."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._engine.portable._elementwise import first_not_finite
from fastnn._engine.portable._loop import Batches, Loop
from fastnn._engine.portable._losses import MeanLoss
from fastnn._engine.portable._network import Network
from fastnn._engine.portable._optimizers import Optimizer
from fastnn._engine.portable._pieces import Piece, Pieces
from fastnn._engine.portable._rows import Array
from fastnn._engine.portable._state import BATCH_LOSS, EPOCH, FIRST_EPOCH, ROW, UPDATES, new_account
from fastnn._engine.portable._steps import SingleSteps
from fastnn._engine.step_rates import StepRates
from fastnn._errors import WEIGHTLESS

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
        stepper: Any = None,
        *,
        ends_epochs: bool = True,
    ) -> None:
        s = settings
        self._loss = MeanLoss(s.loss)
        self._pieces = Pieces(network, data, self._loss, s.batch_size, s.bit_generator, s.rows, drop_last=s.drop_last)
        if s.shuffle:
            self._pieces.shuffle(s.order)
        self._network, self._optimizer = network, Optimizer(s.optimizer)
        self._pieces.lazy = self._optimizer.lazy
        self._pieces.single = "label_smoothing_factor" in self._optimizer.scheduled

        self._stepper = stepper  # of the trainer, whose number of updates follows the run; None without one
        self.steps, self.n_epochs = self._pieces.steps, n_epochs
        room = min(n_epochs, _MAX_EPOCHS)
        self._account = new_account(self._pieces.epoch_rows, updates, room)
        self.epoch_loss, self.epoch_seconds = self._account.epoch_loss, np.zeros(room)
        self._loss_by_rows = s.loss_by_rows
        self._since = 0.0  # seconds that belong to no finished epoch yet
        self._single_steps = SingleSteps(network, self._loss, self._optimizer, s, self._account, ends_epochs=ends_epochs)
        self._loop = None
        if s.averaging is None:
            self._loop = Loop.of_run(network, self._loss, self._optimizer, self._pieces.batch_size, self._single_steps.state)
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
        try:
            return self._advance(seconds, n_epochs)
        finally:
            if self._stepper is not None:
                self._stepper.updates = self.updates

    def _advance(self, seconds: float, n_epochs: int) -> str:
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
                self._single_steps.restore_snapshot()
                return "diverged"
            if time.perf_counter() - started > seconds:
                break
        if self.epoch == end and first_not_finite(self._network.storage) >= 0:  # no later loss would show it
            self._account.counts[EPOCH] -= 1
            self._single_steps.restore_snapshot()
            return "diverged"
        return "finished" if self.epoch == self.n_epochs else "paused"

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
            if done == n_batches or not self._single_steps.take(piece, done, divisors[done], rates[done]):
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

    @np.errstate(all="ignore")
    def apply(self, gradient: Array) -> bool:
        """Make one step with a gradient, a vector like the storage; return whether it is finite, change nothing if not."""
        return self._single_steps.apply(gradient, self._next_rates(1)[0])


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
