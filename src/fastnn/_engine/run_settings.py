"""The settings of training in the engine's form: the only definition, shared by its implementations and trainers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from fastnn._engine.losses import NativeLoss

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fastnn._core import Network


class NativeAveraging(NamedTuple):
    """An average of the parameters in the engine's form, with its present state, which the engine changes."""

    network: Network  # a network like the one in training, whose parameters are the average
    counts: NDArray[np.int64]  # the parameters in the average so far, and the epochs so far
    of_epochs: bool  # the mean over the ends of epochs, rather than an exponential average over all updates
    decay: float = 0.0
    corrects_bias: bool = False
    start: int = 0  # the number of epochs before the first one whose end enters a mean

    def goes_on(self, other: NativeAveraging) -> bool:
        """Return whether the other one has the same state and the same numbers."""
        return self.network is other.network and self.counts is other.counts and self[2:] == other[2:]


class RunSettings(NamedTuple):
    """The settings of a run. Single steps use them too, except for the last six.

    Each trainer has moments, a generator and an average of its own. It may share everything else with other trainers.
    """

    loss: NativeLoss
    optimizer: dict[str, Any]  # see `native_optimizer`
    moments: NDArray[Any]  # one row per moment of the optimizer, laid out like the network's storage
    bit_generator: np.random.BitGenerator  # for shuffling and dropout
    n_threads: int | None = None  # None lets the engine choose
    averaging: NativeAveraging | None = None
    rate: float = math.nan  # for steps in compiled code; NaN stands for a schedule, and makes them diverge
    batch_size: int = 1
    shuffle: bool = False
    drop_last: bool = False  # leaves out the last batch of an epoch if it is smaller than the others
    order: NDArray[np.int64] | None = None  # a permutation of the rows, from which shuffling starts instead of 0, 1, 2, …
    rows: NDArray[np.int64] | None = None  # the rows of the data to train on, perhaps repeated; None for all
    loss_by_rows: bool = False  # weighs batches in the loss of an epoch by their rows, not by sample weights

    def goes_on(self, other: RunSettings) -> bool:
        """Return whether a run with these settings can continue with others: they may differ only in learning rates."""
        same_state = self.moments is other.moments and self.bit_generator is other.bit_generator
        if self.averaging is None or other.averaging is None:
            same_state = same_state and self.averaging is other.averaging
        else:
            same_state = same_state and self.averaging.goes_on(other.averaging)
        return same_state and self._plain() == other._plain()

    def _plain(self) -> tuple[Any, ...]:
        return self.loss, self.optimizer, self.n_threads, self.batch_size, self.shuffle, self.drop_last
