"""The average of the parameters of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import reference
from fastnn._engine.portable._rows import Array
from fastnn.reference.averages import ema_share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn._engine.run_settings import NativeAveraging


class Average:
    """The average of a run, and the number of parameters in it.

    Parameters
    ----------
    averaging : NativeAveraging
        Its settings, with the state that `add` changes.
    parameters : ndarray
        The storage of the network in training.

    Attributes
    ----------
    arrays : tuple of ndarrays
        The state, of which a run takes snapshots.
    """

    def __init__(self, averaging: NativeAveraging, parameters: Array) -> None:
        self._averaging, self._parameters = averaging, parameters
        self._average: Array = averaging.network.storage
        if self._average.shape != parameters.shape or self._average.dtype != parameters.dtype:
            raise ValueError("a network of the same layout is expected for the average")
        self.arrays: tuple[NDArray[Any], ...] = (self._average, averaging.counts)

    def add(self, *, ends_epoch: bool) -> None:
        """Let the parameters after an update enter the average, and count the epoch that it ends."""
        own = self._averaging
        count, epochs = own.counts.tolist()
        own.counts[1] += ends_epoch
        if own.of_epochs and (not ends_epoch or epochs < own.start):
            return
        own.counts[0] += 1
        share = 1.0 / (count + 1) if own.of_epochs else ema_share(count + 1, own.decay, own.corrects_bias)
        reference.blend([self._average], [self._parameters], share)
