"""From scalar Python functions to native loops over blocks."""

from __future__ import annotations

import inspect
import math
import types as python_types
from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeAlias

import numba
import numpy as np
from numba import types
from numba.core.errors import NumbaError

Scalar: TypeAlias = Callable[[Any], Any]

# Without fastmath: NaN and the order of operations stay what they are in Python, whatever the width of the vectors.
_OPTIONS = {"nopython": True, "error_model": "numpy"}


def python_function(argument: str, function: object) -> python_types.FunctionType:
    """Return a Python function, out of what Numba has compiled too."""
    function = getattr(function, "py_func", function)
    expected = "expected a Python function of one number"
    if not isinstance(function, python_types.FunctionType):
        raise TypeError(f"{argument}: got {function!r}, {expected}")
    signature = inspect.signature(function)
    try:
        signature.bind(0.0)
    except TypeError:
        raise TypeError(f"{argument}: got {function.__name__}{signature}, {expected}") from None
    return function


class Loops:
    """A function and its derivative for arrays of one dtype, in place: z becomes a.

    Parameters
    ----------
    function, derivative : callable
        Python functions of one number.
    uses : {"input", "output"}
        What the derivative is called with.
    dtype : dtype
        float32 or float64.

    Raises
    ------
    TypeError
        If Numba can't compile a function.
    """

    def __init__(
        self, function: python_types.FunctionType, derivative: python_types.FunctionType, uses: str, dtype: np.dtype[Any]
    ) -> None:
        self._number = number = types.float32 if dtype == np.float32 else types.float64
        f = self._f = _compiled("function", function, number)
        slope_of = _compiled("derivative", derivative, number)
        from_input = uses == "input"

        def value_and_slope(a: Any, slope: Any) -> None:
            for i in range(a.size):
                z = a[i]
                value = number(f(z))
                a[i] = value
                slope[i] = number(slope_of(z if from_input else value))

        self.value_and_slope = numba.jit(**_OPTIONS)(value_and_slope)

    @cached_property
    def address(self) -> int:
        """Of the C function that `CustomActivation` tells of."""
        return int(self._block.address)

    @cached_property
    def _block(self) -> Any:
        number, f, value_and_slope = self._number, self._f, self.value_and_slope

        def value(a: Any) -> None:
            for i in range(a.size):
                a[i] = number(f(a[i]))

        value = numba.jit(**_OPTIONS)(value)

        def block(z_pointer: Any, a_pointer: Any, slope_pointer: Any, n: Any) -> None:
            z, a, slope = numba.carray(z_pointer, n), numba.carray(a_pointer, n), numba.carray(slope_pointer, n)
            # Loops over one array in place: over two that may be the same they would not be vectorised.
            if z.ctypes.data != a.ctypes.data:
                a[:] = z
            wants_slope = slope.ctypes.data != 0
            try:
                if wants_slope:
                    value_and_slope(a, slope)
                else:
                    value(a)
            except Exception:  # there is nobody to whom it could be raised
                a[:] = math.nan
                if wants_slope:
                    slope[:] = math.nan

        pointer = types.CPointer(number)
        return numba.cfunc(types.void(pointer, pointer, pointer, types.int64), **_OPTIONS)(block)


def _compiled(argument: str, function: python_types.FunctionType, number: Any) -> Any:
    """Return the function compiled for one type of numbers."""
    compiled = numba.jit(**_OPTIONS)(_with_literals_of(number, function))
    try:
        compiled.compile((number,))
    except NumbaError as error:
        raise TypeError(f"{argument}: Numba can't compile {function.__name__} of a {number}: {_reason(error)}") from error
    result = compiled.nopython_signatures[0].return_type
    if not isinstance(result, types.Float | types.Integer | types.Boolean):
        raise TypeError(f"{argument}: got {function.__name__}, which returns {result}, expected a real number")
    return compiled


def _reason(error: NumbaError) -> str:
    """Return the line of Numba's message that says what is wrong; the first one only says in which of its steps."""
    lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith("Failed in")]
    return lines[0] if lines else type(error).__name__


def _with_literals_of(number: Any, function: python_types.FunctionType) -> python_types.FunctionType:
    """Return the function with literals of float32, which would make it compute in float64 otherwise."""
    if number == types.float64:
        return function
    code = function.__code__
    literals = tuple(np.float32(value) if isinstance(value, float) else value for value in code.co_consts)
    changed = python_types.FunctionType(
        code.replace(co_consts=literals),
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    changed.__kwdefaults__ = function.__kwdefaults__
    return changed
