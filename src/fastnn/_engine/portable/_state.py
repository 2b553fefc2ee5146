"""The state of a run: the vectors that it changes, its position, and the losses so far.

Steps in Python and the compiled loop call the same functions.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastnn._engine.portable._rows import Array

if TYPE_CHECKING:
    from numpy.typing import NDArray

EPOCH, FIRST_EPOCH, ROW, UPDATES, SNAPSHOT_UPDATES = range(5)
LOSS_SUM, WEIGHT_SUM, BATCH_LOSS = range(3)


class State(NamedTuple):
    """The vectors that a run changes, like the parameters, and copies of them when the epoch began."""

    parameters: Array
    gradient: Array
    m: Array  # the moments, or the parameters if the optimizer has none
    v: Array
    kept: tuple[Array, ...]  # parameters and moments
    snapshot: tuple[Array, ...]


class Account(NamedTuple):
    """The position of a run in `counts`, by the names above, and its losses in `sums`."""

    n_rows: int
    # Finished epochs; the epoch of the first element of epoch_loss; rows of this epoch; updates, and those at the snapshot.
    counts: NDArray[np.int64]
    sums: NDArray[np.float64]  # of losses times weights, and of weights, in this epoch; the loss of the last batch
    epoch_loss: NDArray[np.float64]


def new_account(n_rows: int, updates: int, n_epochs: int) -> Account:
    """Return the account at the beginning of a run, with room for the losses of some epochs."""
    counts = np.zeros(5, np.int64)
    counts[UPDATES], counts[SNAPSHOT_UPDATES] = updates, -1  # -1: no snapshot
    return Account(n_rows, counts, np.zeros(3), np.zeros(n_epochs))


def take_snapshot(state: State, account: Account) -> None:
    """Copy parameters and moments."""
    for array, copy in zip(state.kept, state.snapshot):  # noqa: B905 (Numba knows no `strict`)
        np.positive(array, copy)
    account.counts[SNAPSHOT_UPDATES] = account.counts[UPDATES]


def can_count(account: Account, loss: float, weight: float) -> bool:
    """Return whether the mean over the epoch stays finite with the loss of one more batch."""
    return math.isfinite(loss) and math.isfinite(account.sums[LOSS_SUM] + loss * weight)


def count(account: Account, rows: int, loss: float, weight: float) -> None:
    """Count a batch of some rows, with its loss and its weight in the mean over the epoch."""
    counts, sums = account.counts, account.sums
    counts[UPDATES] += 1
    counts[ROW] += rows
    sums[BATCH_LOSS] = loss
    sums[LOSS_SUM] += loss * weight
    sums[WEIGHT_SUM] += weight
    if counts[ROW] == account.n_rows:
        mean = sums[LOSS_SUM] / sums[WEIGHT_SUM] if sums[WEIGHT_SUM] > 0.0 else 0.0
        account.epoch_loss[counts[EPOCH] - counts[FIRST_EPOCH]] = mean
        counts[EPOCH] += 1
        counts[ROW] = 0
        sums[LOSS_SUM] = sums[WEIGHT_SUM] = 0.0
