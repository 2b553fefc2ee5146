"""The arguments `comm` and `n_shards` of trainers, and the settings that go with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fastnn._sharded.ranks import Phase, Ranks, check_communicator, check_shards
from fastnn.losses import Heads, Loss
from fastnn.optimizers import LBFGS

if TYPE_CHECKING:
    from fastnn._settings import Configured


@contextmanager
def constructing(comm: Any) -> Iterator[None]:
    """Run a block of code that makes a trainer on all ranks of a communicator, and raise the errors of each on all."""
    if comm is None:
        yield
        return
    with Ranks(check_communicator(comm)).agreed(Phase.CONSTRUCTOR):
        yield


def checked_shards(n_shards: Any, comm: Any) -> int:
    """Return the number of shards, which must be the same on all ranks.

    Raises
    ------
    TypeError, ValueError
        If it is not a positive multiple of the number of ranks.
    """
    ranks = Ranks(comm)
    with ranks.agreed(Phase.CONSTRUCTOR):
        count = check_shards(n_shards, ranks.size)
    ranks.check_same({"n_shards": count})
    return count


def check_settings(trainer: Configured, n_shards: int) -> None:
    """Raise TypeError or ValueError if a setting of a trainer does not apply to training in shards."""
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
                "loss: expected heads with the same weights for all rows with comm or n_shards, got "
                f"heads[{i}], {own.name!r}, whose mean has weights of its own"
            )
