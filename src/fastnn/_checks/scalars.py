"""Checks of scalar arguments, with the same error messages for all numbers that users pass."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, TypeGuard

import numpy as np

from fastnn._checks.limits import MAX_THREADS

# The largest number of characters of a value in a message.
_MOST_SHOWN = 120


def shown(value: object) -> str:
    """Return the value in the form for messages: its repr on one line, shortened."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # the repr of a user's class may raise, and so does that of an integer with thousands of digits
        return f"one that can't be shown, of type {type(value).__name__}"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def has_elements(value: object) -> TypeGuard[Iterable[Any]]:
    """Return whether a value stands for several: it can be iterated over, unlike an array without axes, and is no text."""
    return isinstance(value, Iterable) and not isinstance(value, str) and getattr(value, "ndim", 1) != 0


def real(
    argument: str,
    value: object,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    exclude_low: bool = False,
    exclude_high: bool = False,
) -> float:
    """Return `value` as a Python float, or raise an error that names the problem.

    Parameters
    ----------
    argument : str
        The name under which the user passed it.
    value : object
        Any real number; bool does not count as one.
    low, high : float
        The interval that must contain `value`. Infinite ends are never part of it.
    exclude_low, exclude_high : bool
        Whether the interval excludes that end.

    Raises
    ------
    TypeError
        If `value` is not a real number.
    ValueError
        If `value` is not finite or lies outside of the interval.
    """
    # The most frequent cases, which need no further checks.
    if type(value) is float and (low < value < high or (-math.inf < value == low < high and not exclude_low)):
        return value

    def expected() -> str:
        return "a finite number" + _interval(low, high, exclude_low, exclude_high)

    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{argument}: expected {expected()}, got {shown(value)} of type {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    inside = low < number if exclude_low else low <= number
    inside = inside and (number < high if exclude_high else number <= high)
    if not inside or not math.isfinite(number):
        raise ValueError(f"{argument}: expected {expected()}, got {shown(value)}")
    return number


def integer(argument: str, value: object, *, low: int, high: int = 2**40, way: str = "") -> int:
    """Return `value` as a Python int from `low` to `high`, or raise an error that names the problem and the way out."""
    if type(value) is int and low <= value <= high:
        return value
    expected = f"an integer >= {low}"
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{argument}: expected {expected}, got {shown(value)} of type {type(value).__name__}{way}")
    number = operator.index(value)
    if number > high:
        raise ValueError(f"{argument}: expected at most {high}, got {shown(value)}")
    if number < low:
        raise ValueError(f"{argument}: expected {expected}, got {shown(value)}{way}")
    return number


def flag(argument: str, value: object) -> bool:
    """Return `value` as a Python bool, or raise TypeError."""
    if value is True or value is False:
        return value
    if not isinstance(value, np.bool_):
        raise TypeError(f"{argument}: expected True or False, got {shown(value)}")
    return bool(value)


class Checked:
    """A base of objects whose settings are checked at every assignment."""

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
    """Return a number of threads, or None for a number that depends on the work."""
    if value is None:
        return None
    return min(integer("n_threads", value, low=1, way="; None leaves the number to fastnn"), MAX_THREADS)


def axis_of_array(axis: object, ndim: int) -> int:
    """Return an axis of an array x with `ndim` dimensions as a Python int, or raise TypeError or ValueError."""
    if ndim == 0:
        raise ValueError("x: expected at least one dimension, got a scalar")
    try:
        number = operator.index(axis)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"axis: expected an integer, got {axis!r} of type {type(axis).__name__}") from None
    if not -ndim <= number < ndim:
        raise ValueError(f"axis: expected {-ndim} to {ndim - 1}, as x has {ndim} dimensions, got {axis}")
    return number
