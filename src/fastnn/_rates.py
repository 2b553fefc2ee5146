"""Learning rates, and other settings that may follow schedules, in the form that trainers use: one number per step."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from fastnn._checks.scalars import real, shown

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

LearningRate: TypeAlias = "float | Callable[[NDArray[np.int64]], ArrayLike]"
Scheduled: TypeAlias = LearningRate  # another setting of training that may follow a schedule


def check_learning_rate(argument: str, learning_rate: object) -> LearningRate:
    """Return a learning rate as a float >= 0, or the schedule itself.

    Raises
    ------
    TypeError
        If the value is neither a number nor a callable, or is a class instead of an object of it.
    ValueError
        If the value is a number that is negative or not finite.
    """
    return check_scheduled(argument, learning_rate, values="rates")


def check_scheduled(
    argument: str, value: object, high: float = math.inf, values: str = "values", *, with_high: bool = False
) -> Scheduled:
    """Return a number in [0, high) as a float, or a schedule itself; raise errors as `check_learning_rate` does.

    `with_high` adds high itself to the numbers.
    """
    if type(value) is float and (0.0 <= value < high or (with_high and value == high)):  # the most frequent case
        return value
    if isinstance(value, type):
        name = value.__name__
        raise TypeError(f"{argument}: expected an object, {name}(...), got the class {name}")
    if callable(value):
        return value
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        got = f"{shown(value)} of type {type(value).__name__}"
        limit = _limit(high, with_high)
        expected = f"expected a finite number >= 0{limit} or a schedule (a callable from step numbers to {values})"
        raise TypeError(f"{argument}: {expected}, got {got}")
    return real(argument, value, low=0.0, high=high, exclude_high=not with_high)


def _limit(high: float, with_high: bool) -> str:
    return f" and {'<=' if with_high else '<'} {high:g}" if math.isfinite(high) else ""


def rates(learning_rate: LearningRate, start: int, count: int) -> NDArray[np.float64]:
    """Evaluate a learning rate at the steps start, start + 1, ..., start + count - 1.

    Parameters
    ----------
    learning_rate : float or callable
        A constant, or a schedule that maps an int64 array of step numbers to an array of rates.
    start : int
        The number of updates so far.
    count : int
        The number of steps.

    Returns
    -------
    ndarray of float64, shape (count,)
        A new array, to which the schedule has no reference.

    Raises
    ------
    TypeError
        If the schedule returns something other than real numbers.
    ValueError
        If the schedule returns an array of another shape, or a rate that is negative or not finite.
    """
    return evaluate(learning_rate, np.arange(start, start + count, dtype=np.int64))


class Setting(NamedTuple):
    """A setting that follows a schedule."""

    name: str  # the user's
    coefficient: str  # the engine's name
    schedule: Scheduled  # a number has the same value in all steps
    high: float  # all values are below it
    with_high: bool = False  # or equal to it

    def values(self, start: int, count: int) -> NDArray[np.float64]:
        """Return the values at the steps start, start + 1, …, start + count - 1."""
        return evaluate(
            self.schedule, np.arange(start, start + count, dtype=np.int64), self.name, self.high, with_high=self.with_high
        )


class StepSettings(NamedTuple):
    """The learning rate, and the other settings that follow schedules."""

    learning_rate: LearningRate
    others: tuple[Setting, ...]

    @property
    def is_constant(self) -> bool:
        """Whether all steps have the same rate, and nothing else follows a schedule."""
        return not self.others and not callable(self.learning_rate)

    def of_steps(self, start: int, count: int) -> NDArray[np.float64]:
        """Return the learning rates of some steps; with other settings, rows of the rate and of their values."""
        own = rates(self.learning_rate, start, count)
        if not self.others:
            return own
        return np.column_stack([own, *(setting.values(start, count) for setting in self.others)])

    def at(self, step: int) -> float | NDArray[np.float64]:
        """Return the same for a single step. The number of a step is the number of updates before it."""
        if self.is_constant:
            return self.learning_rate  # type: ignore[return-value]
        row = self.of_steps(step, 1)[0]
        return row if self.others else float(row)

    def constant_rate(self) -> float:
        """Return a learning rate that is a number, or NaN if anything follows a schedule."""
        return self.learning_rate if self.is_constant else math.nan  # type: ignore[return-value]


def evaluate(
    schedule: Scheduled,
    steps: NDArray[np.int64],
    argument: str = "learning_rate",
    high: float = math.inf,
    *,
    with_high: bool = False,
) -> NDArray[np.float64]:
    """Evaluate a setting with values in [0, high), or [0, high], at `steps`, an int64 array of any shape."""
    if not callable(schedule):
        return np.full(steps.shape, real(argument, schedule, low=0.0, high=high, exclude_high=not with_high))
    # The schedule receives a copy, so that it can't change the step numbers below by computing in place.
    returned = np.asarray(schedule(steps.copy()))
    if returned.dtype.kind not in "fiu":
        raise TypeError(f"{argument}: expected real numbers from the schedule, got dtype {returned.dtype}")
    values = "rate" if argument == "learning_rate" else "value"
    if returned.shape != steps.shape:
        raise ValueError(
            f"{argument}: expected shape {steps.shape} from the schedule, one {values} per step number, got {returned.shape}"
        )
    result = np.array(returned, dtype=np.float64)
    wrong = ~(np.isfinite(result) & (result >= 0.0) & ((result <= high) if with_high else (result < high)))
    if wrong.any():
        first = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
        limit = _limit(high, with_high)
        got = f"{result[first]} at step {steps[first]}"
        raise ValueError(f"{argument}: expected finite {values}s >= 0{limit} from the schedule, got {got}")
    return result
