"""Learning rates in the form that trainers use: an array with one rate per step."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn._checks.scalars import real, shown

LearningRate: TypeAlias = float | Callable[[NDArray[np.int64]], ArrayLike]


def check_learning_rate(argument: str, learning_rate: object) -> LearningRate:
    """Return a learning rate as a float >= 0, or the schedule itself.

    Raises
    ------
    TypeError
        If the value is neither a number nor a callable, or is a class instead of an object of it.
    ValueError
        If the value is a number that is negative or not finite.
    """
    if type(learning_rate) is float and 0.0 <= learning_rate < math.inf:  # the most frequent case
        return learning_rate
    if isinstance(learning_rate, type):
        name = learning_rate.__name__
        raise TypeError(f"{argument}: expected an object, {name}(...), got the class {name}")
    if callable(learning_rate):
        return learning_rate
    if isinstance(learning_rate, bool) or not isinstance(learning_rate, numbers.Real):
        got = f"{shown(learning_rate)} of type {type(learning_rate).__name__}"
        raise TypeError(
            f"{argument}: expected a finite number >= 0 or a schedule (a callable from step numbers to rates), got {got}"
        )
    return real(argument, learning_rate, low=0.0)


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


def rate_at(learning_rate: LearningRate, step: int) -> float:
    """Return the learning rate of one step. The number of a step is the number of updates before it."""
    return float(rates(learning_rate, step, 1)[0]) if callable(learning_rate) else learning_rate


def constant_rate(learning_rate: LearningRate) -> float:
    """Return a learning rate that is a number, or NaN for a schedule."""
    return math.nan if callable(learning_rate) else learning_rate


def evaluate(learning_rate: LearningRate, steps: NDArray[np.int64]) -> NDArray[np.float64]:
    """Evaluate a learning rate at `steps`, an int64 array of any shape."""
    if not callable(learning_rate):
        return np.full(steps.shape, real("learning_rate", learning_rate, low=0.0))
    # The schedule receives a copy, so that it can't change the step numbers below by computing in place.
    returned = np.asarray(learning_rate(steps.copy()))
    if returned.dtype.kind not in "fiu":
        raise TypeError(f"learning_rate: expected real numbers from the schedule, got dtype {returned.dtype}")
    if returned.shape != steps.shape:
        raise ValueError(
            f"learning_rate: expected shape {steps.shape} from the schedule, one rate per step number, got {returned.shape}"
        )
    result = np.array(returned, dtype=np.float64)
    wrong = ~(np.isfinite(result) & (result >= 0.0))
    if wrong.any():
        first = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
        raise ValueError(
            f"learning_rate: expected finite rates >= 0 from the schedule, got {result[first]} at step {steps[first]}"
        )
    return result
