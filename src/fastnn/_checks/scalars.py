"""Checks of scalar arguments: one message for every number that a user passes."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

MAX_THREADS = 1024

# Characters of a value that a message shows.
_MOST_SHOWN = 120


def shown(value: object) -> str:
    """Return the value as messages show it: its repr on one line, cut short."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # of a user's class, or of an integer with thousands of digits
        return f"one that can't be shown, of type {type(value).__name__}"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def real(
    argument: str,
    value: object,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    exclude_low: bool = False,
    exclude_high: bool = False,
) -> float:
    """Return `value` as a Python float, or say what is wrong with it.

    Parameters
    ----------
    argument : str
        The name under which the user passed it.
    value : object
        Any real number; bool is not one.
    low, high : float
        The interval that `value` must lie in; infinite ends are never included.
    exclude_low, exclude_high : bool
        Leave that end of the interval out.

    Raises
    ------
    TypeError
        If `value` is not a real number.
    ValueError
        If `value` is not finite or lies outside of the interval.
    """
    if type(value) is float and low < value < high:  # most come so, and need no more
        return value

    def expected() -> str:
        return "a finite number" + _interval(low, high, exclude_low, exclude_high)

    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{argument}: got {shown(value)} of type {type(value).__name__}, expected {expected()}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    inside = low < number if exclude_low else low <= number
    inside = inside and (number < high if exclude_high else number <= high)
    if not inside or not math.isfinite(number):
        raise ValueError(f"{argument}: got {shown(value)}, expected {expected()}")
    return number


def integer(argument: str, value: object, *, low: int, high: int = 2**40, way: str = "") -> int:
    """Return `value` as a Python int from `low` to `high`, or say what is wrong with it, and the way out."""
    expected = f"an integer >= {low}{way}"
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{argument}: got {shown(value)} of type {type(value).__name__}, expected {expected}")
    number = operator.index(value)
    if number > high:
        raise ValueError(f"{argument}: got {shown(value)}, expected at most {high}")
    if number < low:
        raise ValueError(f"{argument}: got {shown(value)}, expected {expected}")
    return number


def flag(argument: str, value: object) -> bool:
    """Return `value` as a Python bool, or say that it is none."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{argument}: got {shown(value)}, expected True or False")
    return bool(value)


class Checked:
    """An object whose settings are checked whenever they are assigned."""

    _checks: ClassVar[Mapping[str, Callable[[str, Any], Any]]] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        check = self._checks.get(name)
        super().__setattr__(name, value if check is None else check(name, value))


def _interval(low: float, high: float, exclude_low: bool, exclude_high: bool) -> str:
    ends = []
    if math.isfinite(low):
        ends.append(f"{'>' if exclude_low else '>='} {low:g}")
    if math.isfinite(high):
        ends.append(f"{'<' if exclude_high else '<='} {high:g}")
    return " " + " and ".join(ends) if ends else ""


def thread_count(value: Any) -> int | None:
    """Return a number of threads, None to let the work decide."""
    if value is None:
        return None
    return min(integer("n_threads", value, low=1, way="; None leaves the number to fastnn"), MAX_THREADS)
