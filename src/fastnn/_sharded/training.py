"""Trainers whose data are in shards: their arguments, and their runs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._checks import columns as _columns
from fastnn._checks.scalars import integer
from fastnn._engine import core as _core
from fastnn._engine.targets import check_observed
from fastnn._engine.training_data import TrainingData
from fastnn._epochs import advance, check_watchers, notify, notify_end
from fastnn._history import History
from fastnn._native import network_of
from fastnn._overridden import check_step
from fastnn._sharded.measures import ShardedMeasures, check_metrics
from fastnn._sharded.ranks import Phase, Ranks
from fastnn._sharded.run import ShardedRun
from fastnn._sharded.shards import Shards
from fastnn._sharded.watchers import of_rank, settings_of
from fastnn._version import __version__
from fastnn.losses import Heads, Loss
from fastnn.optimizers import LBFGS

if TYPE_CHECKING:
    from fastnn._trainer import Trainer

# Instruction sets that round differently from those with fused multiply-add.
_OTHER_ROUNDING = ("baseline", "portable")


def check_settings(trainer: Trainer) -> None:
    """Raise TypeError or ValueError if a setting of a trainer does not apply to training in shards."""
    n_shards = trainer.n_shards
    assert n_shards is not None
    if trainer.batch_size % n_shards:
        raise ValueError(
            f"batch_size: expected a multiple of n_shards={n_shards}, so that each batch has the same number of rows from "
            f"every shard, got {trainer.batch_size}"
        )
    if isinstance(trainer.optimizer, LBFGS):
        raise ValueError("optimizer: expected one that makes steps by batches with comm or n_shards, got 'lbfgs'")
    if trainer.lazy_updates:
        raise ValueError("lazy_updates: expected False with comm or n_shards, whose updates are of all weights, got True")
    _check_loss(trainer.loss)


def _check_loss(loss: Loss) -> None:
    """Raise ValueError if the loss of a batch is not a mean over its rows."""
    if not isinstance(loss, Heads):
        return
    for i, (_, own, _) in enumerate(loss.heads):
        if own.missing == "ignore" or (own.takes_labels and own.output_weights is not None):
            raise ValueError(
                f"loss: expected heads with the same weights for all rows with comm or n_shards, got heads[{i}], {own.name!r}, "
                "whose mean has weights of its own"
            )


class ShardedTraining:
    """A run in shards, from its arguments to its history. See `Trainer.run` for the arguments.

    Parameters
    ----------
    trainer : Trainer
        The trainer.
    """

    def __init__(self, trainer: Trainer) -> None:
        assert trainer.n_shards is not None
        self.trainer, self.n_shards = trainer, trainer.n_shards
        self.ranks = Ranks(trainer.comm, 2 * trainer.n_shards // (1 if trainer.comm is None else trainer.comm.Get_size()))

    def run(self, X: Any, y: Any, epochs: Any, options: dict[str, Any]) -> History:
        """Train, and return the history. An error of any rank is raised on all of them."""
        ranks = self.ranks
        with ranks.deferring_interrupts():
            try:
                return self._run(X, y, epochs, **options)
            except BaseException as error:
                if error is self._diverged:
                    raise
                ranks.fail(error)
                raise

    _diverged: BaseException | None = None  # raised on all ranks

    def _run(
        self,
        X: Any,
        y: Any,
        epochs: Any,
        sample_weight: Any,
        validation_data: Any,
        metrics: Sequence[Any],
        callbacks: Sequence[Any],
        progress: Any,
    ) -> History:
        trainer, ranks = self.trainer, self.ranks
        with ranks.agreed(Phase.ARGUMENTS):
            epochs = integer("epochs", epochs, low=0)
            check_step(trainer, type(trainer).__mro__[-2].step)
            data = self._data(X, y, sample_weight)
            validation = None
            check_metrics(metrics)
            watchers = check_watchers(callbacks, progress)
        return History()
