"""The settings of training in the engine's form: the only definition, shared by its implementations and trainers."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn._engine.losses import NativeLoss


class RunSettings(NamedTuple):
    """The settings of a run. Single steps use them too, except for the last five."""

    loss: NativeLoss
    optimizer: dict[str, Any]  # see `native_optimizer`
    moments: NDArray[Any]  # one row per moment of the optimizer, laid out like the network's storage
    bit_generator: np.random.BitGenerator  # for shuffling and dropout
    n_threads: int | None = None  # None lets the engine choose
    rate: float = math.nan  # for steps in compiled code; NaN stands for a schedule, and makes them diverge
    batch_size: int = 1
    shuffle: bool = False
    order: NDArray[np.int64] | None = None  # a permutation of the rows, from which shuffling starts instead of 0, 1, 2, …
    rows: NDArray[np.int64] | None = None  # the rows of the data to train on, perhaps repeated; None for all
    loss_by_rows: bool = False  # weighs batches in the loss of an epoch by their rows, not by sample weights

    def goes_on(self, other: RunSettings) -> bool:
        """Return whether a run with these settings can continue with others: they may differ only in learning rates."""
        same_state = self.moments is other.moments and self.bit_generator is other.bit_generator
        return same_state and self._plain() == other._plain()

    def _plain(self) -> tuple[Any, ...]:
        return self.loss, self.optimizer, self.n_threads, self.batch_size, self.shuffle
