"""Activations from scalar Python functions."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from types import FunctionType
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastnn._backend import core as _core
from fastnn._custom import CustomActivation
from fastnn._scalars import real
from fastnn.jit._check import check_slope
from fastnn.jit._compile import Loops, python_function
from fastnn.reference._arrays import elementwise

_LOCK = threading.Lock()


def activation(
    *,
    derivative: Callable[[float], float],
    uses: Literal["input", "output"] = "input",
    name: str | None = None,
    check_range: tuple[float, float] | None = (-10.0, 10.0),
) -> Callable[[Callable[[float], float]], JitActivation]:
    """Make an activation of a function of one number.

    A decorator. What it returns goes wherever a network takes the name of an activation, and is still called as
    the function was, with numbers or arrays.

    Parameters
    ----------
    derivative : callable
        The function's slope: from its input z, or from its output a, as `uses` says.
    uses : {"input", "output"}, default "input"
        What `derivative` is called with.
    name : str, optional
        What files call the activation: the function's name, if not given.
    check_range : tuple (low, high) or None, default (-10.0, 10.0)
        Where the derivative is compared with difference quotients of the function. None for no comparison, if the
        slope is meant to be another than the function's.

    Returns
    -------
    decorator
        From a function to an activation.

    Raises
    ------
    TypeError
        If an argument is of the wrong type, or if Numba can't compile a function.
    ValueError
        If the derivative is wrong, or if another argument makes no sense.

    Notes
    -----
    Both functions are compiled by Numba in nopython mode. Division by zero gives infinity or NaN, as in NumPy. A function
    must not raise: if it does inside of a network, all results of that block are NaN. In float32 networks the function's
    literals are float32 as well.

    Examples
    --------
    >>> import math
    >>> import fastnn
    >>> @fastnn.jit.activation(derivative=lambda a: 1.0 - a * a, uses="output")
    ... def my_tanh(z):
    ...     return math.tanh(z)
    >>> my_tanh([0.0, 1.0])
    array([0.        , 0.76159416])
    >>> fastnn.MLP((2, 8, 1), activation=my_tanh)
    MLP((2, 8, 1), activation=<activation 'my_tanh'>, output_activation='identity', dtype=float32)
    """
    if uses not in ("input", "output"):
        raise ValueError(f"uses: got {uses!r}, expected 'input' or 'output'")
    slope = python_function("derivative", derivative)
    bounds = None if check_range is None else _bounds(check_range)

    def decorator(function: Callable[[float], float]) -> JitActivation:
        made = JitActivation(python_function("function", function), slope, uses, name)
        if bounds is not None:
            check_slope(made, *bounds)
        return made

    return decorator


class JitActivation(CustomActivation):
    """An activation that Numba has compiled; see `activation`."""

    def __init__(self, function: FunctionType, derivative: FunctionType, uses: str, name: str | None) -> None:
        functools.update_wrapper(self, function)  # whose place in its module is what a pickle holds
        self.name = function.__name__ if name is None else name
        _check_name(self.name)
        self._function, self._derivative, self._uses = function, derivative, uses
        self._loops: dict[np.dtype[Any], Loops] = {}
        self._evaluate(np.zeros(1))  # to say now what can't be compiled, or raises at the zeros between rows

    def address(self, dtype: DTypeLike) -> int:
        """Return the address of the function for blocks, which is compiled when it is first asked for."""
        with _LOCK:  # a second one would take the place of the first, whose address somebody has
            return self._loops_of(np.dtype(dtype)).address

    def value(self, z: ArrayLike) -> Any:
        """Return f(z) of every element, computed in float64."""
        return elementwise(lambda x: self._evaluate(x)[0])(z)

    def slope(self, z: ArrayLike) -> Any:
        """Return f'(z) of every element, computed in float64."""
        return elementwise(lambda x: self._evaluate(x)[1])(z)

    __call__ = value

    def __reduce__(self) -> str:
        """Be pickled by reference, as functions are; and copied not at all."""
        return self._function.__qualname__

    def _loops_of(self, dtype: np.dtype[Any]) -> Loops:
        if dtype not in self._loops:
            self._loops.setdefault(dtype, Loops(self._function, self._derivative, self._uses, dtype))
        return self._loops[dtype]

    def _evaluate(self, z: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return values and slopes."""
        a = z.flatten()
        slope = np.empty_like(a)
        loops = self._loops_of(a.dtype)
        try:
            loops.value_and_slope(a, slope)
        except Exception as error:  # whatever the user's function raises
            expected = "expected a number for every z"
            raise ValueError(f"function: {self.name} or its derivative raised {error!r}, {expected}") from error
        return a.reshape(z.shape), slope.reshape(z.shape)


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"name: got {name!r}, expected a string")
    if not name or name in _core.ACTIVATIONS:
        raise ValueError(f"name: got {name!r}, expected one that no built-in activation has")


def _bounds(check_range: object) -> tuple[float, float]:
    if not isinstance(check_range, tuple | list) or len(check_range) != 2:
        raise TypeError(f"check_range: got {check_range!r}, expected (low, high) or None")
    low, high = (real("check_range", bound) for bound in check_range)
    if low >= high:
        raise ValueError(f"check_range: got {check_range!r}, expected (low, high) with low < high")
    return low, high
