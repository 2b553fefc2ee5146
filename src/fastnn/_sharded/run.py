"""A run of training in shards, with the methods of the engine's own runs."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import numpy as np

from fastnn._engine.losses import NativeLoss, smoothed_less
from fastnn._engine.step_rates import StepRates
from fastnn._native import loss_of, network_of, state_arrays
from fastnn._sharded.ranks import Phase, Ranks
from fastnn._sharded.shards import Epoch, Shards
from fastnn._sharded.sums import GradientSum

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn._configured import Configured

# The number of epochs whose losses a run keeps until its caller reads them between two calls of `advance`.
_MAX_EPOCHS = 1 << 16


class ShardedRun:
    """Train for many epochs, in time slices: call `advance` until it returns a word other than "paused".

    Each batch has the same number of rows from every shard. The gradient of a batch is that of the mean over its rows: the
    sum over the shards of the gradients of their own means, times the shares of their rows in the weight of the batch.

    Parameters
    ----------
    trainer : Trainer
        The trainer, whose engine has the settings of the run. The caller has acquired it.
    ranks : Ranks
        The ranks. Each meeting passes on two values per shard.
    shards : Shards
        The rows of this rank.
    scale : float
        The largest magnitude of a sample weight on all ranks.
    n_epochs : int
        The number of epochs.
    """

    first_epoch: int  # whose loss and seconds stand first in the arrays
    steps: int  # per epoch

    def __init__(self, trainer: Configured, ranks: Ranks, shards: Shards, scale: float, n_epochs: int) -> None:
        assert trainer.n_shards is not None
        self.trainer, self._ranks, self._shards = trainer, ranks, shards
        self._network, self._stepper = network_of(trainer.model), trainer._stepper
        self._loss, self._n_threads = loss_of(trainer), trainer.n_threads
        self._n_shards = trainer.n_shards
        self._rows = trainer.batch_size // trainer.n_shards  # of a shard in a batch
        self._scale = scale * min(self._rows, shards.most_rows)
        drops = trainer.model._drops
        self._scheduled = [setting.name for setting in trainer._native.rates.others] if trainer._native.rates else []
        self._order = Epoch(shards, trainer.random_state, shuffle=trainer.shuffle, drops=drops)
        self._sum = GradientSum(ranks, self._n_shards, self._network.storage.size, self._network.dtype)
        self._found = np.zeros((len(shards.numbers), 2))  # the loss and the weight of each shard of this rank
        self._state = state_arrays(trainer)
        self._snapshot = [np.empty_like(array) for array in self._state]
        self._snapshot_updates = -1

        self.steps = shards.least_rows // self._rows if trainer.drop_last else -(-shards.most_rows // self._rows)
        self.n_epochs, self.first_epoch, self._epochs, self._step = n_epochs, 0, 0, 0
        room = min(n_epochs, _MAX_EPOCHS)
        self.epoch_loss, self.epoch_seconds = np.zeros(room), np.zeros(room)
        self._loss_sum = self._weight_sum = self._elapsed = 0.0
        self._rates = StepRates(np.zeros(1), 0, self.steps)

    # ---- The position ----

    @property
    def epoch(self) -> int:
        """The number of epochs that have ended."""
        return self._epochs

    @property
    def is_between_epochs(self) -> bool:
        """Whether no epoch has begun that has not ended."""
        return self._step == 0

    @property
    def updates(self) -> int:
        """The number of updates in all runs."""
        return self._stepper.updates

    # ---- Learning rates ----

    def set_rates(self, rates: NDArray[np.float64] | float) -> None:
        """Set the learning rates from the next step on: one per step of whole epochs, or one number for all steps."""
        self._ranks.meet(Phase.RATES)
        each = np.full(1, rates) if isinstance(rates, float) else rates
        self._ranks.check_same({"learning_rate": each.tobytes() if each.size > 1 else float(each[0])})
        self._rates = StepRates(each, self._epochs, self.steps)

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

    def advance(self, seconds: float, n_epochs: int) -> str:
        """Train for this number of epochs or of seconds, whichever ends first. Return "paused", "finished" or "diverged".

        Losses and seconds of earlier epochs may be overwritten: read them between two calls. Ranks may pause at different
        steps, at which they have nothing to tell one another.
        """
        wanted = min(n_epochs, self.n_epochs - self._epochs)
        if self._epochs - self.first_epoch + wanted > len(self.epoch_loss):  # the caller has read the arrays
            self.first_epoch = self._epochs
            wanted = min(wanted, len(self.epoch_loss))
        end, started = self._epochs + wanted, time.perf_counter()
        begun = started
        while self._epochs < end:
            if not self._make_step():
                self._restore_snapshot()
                return "diverged"
            now = time.perf_counter()
            self._elapsed += now - begun
            begun = now
            if self._step == self.steps:
                self._end_epoch()
            if now - started > seconds:
                break
        return "finished" if self._epochs == self.n_epochs else "paused"

    def _end_epoch(self) -> None:
        place = self._epochs - self.first_epoch
        self.epoch_loss[place] = self._loss_sum / self._weight_sum if self._weight_sum > 0 else 0.0
        self.epoch_seconds[place] = self._elapsed
        self._loss_sum = self._weight_sum = self._elapsed = 0.0
        self._step = 0
        self._epochs += 1

    def _make_step(self) -> bool:
        """Make one step, and return whether loss and update are finite. If not, the caller restores the snapshot."""
        if self._step == 0:
            self._order.begin()
        rate = self._rates.of_steps(self._epochs, self._step, 1)[0]
        scheduled = dict(zip(self._scheduled, np.atleast_1d(rate)[1:], strict=True))
        dropout_factor = float(scheduled.get("dropout_factor", 1.0))
        of_step = smoothed_less(self._loss, float(scheduled.get("label_smoothing_factor", 1.0)))
        for shard, (begin, end) in enumerate(self._shards.ranges):
            self._add_gradient(shard, begin + self._step * self._rows, end, of_step, dropout_factor)
        of_shards = self._ranks.meet(Phase.STEP, self._found.reshape(-1)).reshape(self._n_shards, 2).tolist()
        weight = loss = 0.0
        for of_shard, own in of_shards:
            loss += of_shard * own
            weight += own
        if not math.isfinite(loss):
            return False
        total = self._sum.total(self._scale / weight if weight > 0 else 0.0)
        if self._step == 0:
            self._take_snapshot()
        penalty = self._stepper.apply_gradient(total, rate, self._step == self.steps - 1, restores=False)
        if penalty is None:
            return False
        self._loss_sum += loss + penalty * weight
        self._weight_sum += weight
        self._step += 1
        return True

    def _add_gradient(self, shard: int, first: int, end: int, of_step: NativeLoss, dropout_factor: float) -> None:
        """Add the gradient of the rows of a shard in the batch, from `first` on."""
        n_rows = min(self._rows, end - first)
        loss = weight = 0.0
        if n_rows > 0:  # shards may have different numbers of rows
            loss, weight = self._network.batch_gradient(
                of_step,
                self._shards.data,
                self._order.order,
                first,
                n_rows,
                self._sum.leaf(shard),
                self._order.dropout_key(shard),
                self._n_threads,
                dropout_factor,
            )
        self._found[shard] = loss, weight
        self._sum.add(shard, weight / self._scale)

    # ---- Divergence ----

    def _take_snapshot(self) -> None:
        for kept, array in zip(self._snapshot, self._state, strict=True):
            np.copyto(kept, array)
        self._snapshot_updates = self._stepper.updates

    def _restore_snapshot(self) -> None:
        if self._snapshot_updates < 0:
            return
        for kept, array in zip(self._snapshot, self._state, strict=True):
            np.copyto(array, kept)
        self._stepper.updates = self._snapshot_updates
