"""The settings of training as the engine takes them: the one definition that its implementations and trainers share."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn._engine.losses import NativeLoss


class RunSettings(NamedTuple):
    """How to train. Single steps take the same settings as a run, whose last four mean nothing to them."""

    loss: NativeLoss
    optimizer: dict[str, Any]  # see `native_optimizer`
    moments: NDArray[Any]  # one row per moment of the optimizer, laid out like the network's storage
    bit_generator: np.random.BitGenerator  # for shuffling and dropout
    n_threads: int | None = None  # None leaves the number to the engine
    rate: float = math.nan  # of steps by compiled code; NaN, at which these diverge, stands for a schedule
    batch_size: int = 1
    shuffle: bool = False
    order: NDArray[np.int64] | None = None  # a permutation of the rows to shuffle anew in each epoch, not 0, 1, 2, …
    loss_by_rows: bool = False  # a batch counts in the epoch's loss by its rows, not by their sample weights

    def goes_on(self, other: RunSettings) -> bool:
        """Return whether a run with these settings can go on with others: but for learning rates, they are the same."""
        same_state = self.moments is other.moments and self.bit_generator is other.bit_generator
        return same_state and self._plain() == other._plain()

    def _plain(self) -> tuple[Any, ...]:
        return self.loss, self.optimizer, self.n_threads, self.batch_size, self.shuffle
