"""The learning rates of a run, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class StepRates:
    """The learning rates of the steps of a run from the beginning of an epoch on.

    Parameters
    ----------
    rates : ndarray of float64
        One rate per step, for whole epochs, or a single one for all steps. With settings that follow schedules, a row of the
        rate and their values takes the place of each rate.
    first_epoch : int
        The epoch with the first of these steps.
    steps : int
        The number of steps per epoch.

    Attributes
    ----------
    size : int
        The number of rates.
    """

    def __init__(self, rates: NDArray[np.float64], first_epoch: int, steps: int) -> None:
        self._rates, self._first_epoch, self._steps = rates, first_epoch, steps
        self.size = len(rates)

    def cover(self, end: int) -> bool:
        """Return whether there are rates for all steps before the epoch `end`."""
        return self.size == 1 or (end - self._first_epoch) * self._steps <= self.size

    def of_steps(self, epoch: int, step: int, count: int) -> list[Any]:
        """Return the rates of `count` steps, beginning with a step of an epoch: numbers, or lists of numbers."""
        if self.size == 1:
            return [self._rates[0].tolist()] * count
        first = (epoch - self._first_epoch) * self._steps + step
        return self._rates[first : first + count].tolist()  # type: ignore[no-any-return]

    def last(self, epoch: int, end: int) -> NDArray[np.float64]:
        """Return the rate of the last step of each epoch from `epoch` up to `end`."""
        if self.size == 1:
            return np.repeat(self._rates, end - epoch, axis=0)
        return self._rates[(np.arange(epoch, end) - self._first_epoch + 1) * self._steps - 1]

    def copy_epochs(
        self,
        run: Any,
        first: int,
        place: int,
        loss: NDArray[np.float64],
        rates: list[NDArray[np.float64] | None],
        seconds: NDArray[np.float64],
    ) -> None:
        """Copy the values of the finished epochs of a run from `first` on to arrays for its history, from `place` on.

        `rates` has an array for the learning rate, and one for each other setting; those that are None are left out.
        """
        end = run.epoch
        ended, to = slice(first - run.first_epoch, end - run.first_epoch), slice(place, place + end - first)
        loss[to], seconds[to] = run.epoch_loss[ended], run.epoch_seconds[ended]
        for array, values in zip(rates, self.last(first, end).reshape(end - first, -1).T, strict=False):
            if array is not None:
                array[to] = values
