"""Decorators that give a formula on plain arrays the arguments and the result types of its compiled counterpart.

A formula is a function that takes and returns whole arrays. NumPy can run it, and Numba can compile it: it uses no None,
makes no checks, and each of its variables has one type. It computes in the type of its argument. The decorated function
keeps it as its attribute `formula`, but computes in float64 for any input, so that float32 results are correct to within
about one bit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastnn._checks.floats import FLOAT_TYPES, Array, as_float, ufunc_type
from fastnn._checks.masks import unmasked
from fastnn._checks.scalars import axis_of_array

__all__ = ["AlongAxis", "Elementwise", "Float64", "along_axis", "elementwise"]
__dir__ = __all__.copy

Float64: TypeAlias = NDArray[np.float64]


class Elementwise(Protocol):
    """A function with the keywords of a NumPy ufunc of one argument."""

    formula: Callable[[NDArray[Any]], NDArray[Any]]

    def __call__(
        self,
        x: ArrayLike,
        /,
        out: Array | tuple[Array] | None = None,
        *,
        where: NDArray[np.bool_] | bool = True,
        dtype: DTypeLike | None = None,
    ) -> Any:
        """Return the value of the function for `x`."""


class AlongAxis(Protocol):
    """A function of the values along an axis."""

    formula: Callable[[NDArray[Any]], NDArray[Any]]

    def __call__(self, x: ArrayLike, axis: int = -1, out: Array | None = None) -> Array:
        """Return the value of the function for `x`."""


def elementwise(formula: Callable[[Float64], Float64]) -> Elementwise:
    """Give a formula of one array the keywords and the result types of a ufunc."""

    @wraps(formula, assigned=("__module__", "__name__", "__qualname__", "__doc__"))
    def function(
        x: ArrayLike,
        /,
        out: Array | tuple[Array] | None = None,
        *,
        where: NDArray[np.bool_] | bool = True,
        dtype: DTypeLike | None = None,
    ) -> Any:
        given = unmasked("x", x)
        result_type = ufunc_type(given.dtype) if dtype is None else np.dtype(dtype)
        if result_type not in FLOAT_TYPES:
            raise TypeError(f"dtype: expected float16, float32 or float64, got {result_type}")
        # Infinities and NaN raise no warnings, as in the compiled functions.
        with np.errstate(all="ignore"):
            values = formula(given.astype(result_type, casting="same_kind").astype(np.float64))
            result = np.asarray(values).astype(result_type)
        if out is None and where is True:
            return result[()]
        return np.positive(result, out=out, where=where)

    decorated: Elementwise = _with_formula(function, formula)
    return decorated


def along_axis(formula: Callable[[Float64], Float64]) -> AlongAxis:
    """Let a formula of rows (n, n_units) work along any axis of an array of any shape."""

    @wraps(formula, assigned=("__module__", "__name__", "__qualname__", "__doc__"))
    def function(x: ArrayLike, axis: int = -1, out: Array | None = None) -> Array:
        given = as_float("x", x)
        axis = axis_of_array(axis, given.ndim)
        moved = np.moveaxis(given.astype(np.float64), axis, -1)
        n_rows = moved.size // moved.shape[-1] if moved.size else 0
        with np.errstate(over="ignore", invalid="ignore"):  # a difference of -inf is correct too; inf - inf is NaN
            values = formula(moved.reshape(n_rows, moved.shape[-1]))
        result = np.moveaxis(values.reshape(moved.shape), -1, axis)
        if out is None:
            return np.ascontiguousarray(result, given.dtype)
        if out.shape != result.shape:
            raise ValueError(f"out: expected shape {result.shape}, got {out.shape}")
        np.copyto(out, result, casting="same_kind")
        return out

    decorated: AlongAxis = _with_formula(function, formula)
    return decorated


def _with_formula(function: Any, formula: Callable[..., Any]) -> Any:
    """Return a function that stands for a formula, with the formula as an attribute."""
    del function.__dict__["__wrapped__"]  # inspect.signature must show the function's own keywords
    function.formula = formula
    return function
