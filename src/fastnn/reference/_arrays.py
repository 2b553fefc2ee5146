"""Types of arrays: what goes into the oracle's functions, and what comes out."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

Array: TypeAlias = NDArray[np.floating[Any]]


class Elementwise(Protocol):
    """A function with the keywords of a NumPy ufunc of one argument."""

    def __call__(
        self,
        x: ArrayLike,
        /,
        out: Array | tuple[Array] | None = None,
        *,
        where: NDArray[np.bool_] | bool = True,
        dtype: DTypeLike | None = None,
    ) -> Any:
        """Return the function's value at every element of `x`."""


_FLOAT_TYPES = tuple(np.dtype(code) for code in "efd")


def ufunc_type(dtype: np.dtype[Any]) -> np.dtype[np.floating[Any]]:
    """Return the first of float16, float32 and float64 that all values of a type fit into, as a ufunc's loops are found."""
    for candidate in _FLOAT_TYPES:
        if np.can_cast(dtype, candidate):
            return candidate
    raise TypeError(f"x: got an array of dtype {dtype}, expected real numbers that fit into float64")


def float_type(*arrays: NDArray[Any]) -> np.dtype[np.floating[Any]]:
    """Return float32 if all values of the arrays' types fit into it, and float64 otherwise.

    This is the rule by which NumPy picks between the two loops of a ufunc. Types that do not fit into float64 either
    (complex, long double, text) raise TypeError.
    """
    common = np.result_type(*arrays)
    if np.can_cast(common, np.float32):
        return np.dtype(np.float32)
    if np.can_cast(common, np.float64):
        return np.dtype(np.float64)
    raise TypeError(f"got an array of dtype {common}, expected real numbers that fit into float64")


def as_float(argument: str, values: ArrayLike) -> Array:
    """Return `values` as an array of float32 or float64."""
    array = np.asarray(values)
    try:
        return array.astype(float_type(array), copy=False)
    except TypeError as error:
        raise TypeError(f"{argument}: {error}") from None


def elementwise(formula: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Elementwise:
    """Give a formula in float64 the keywords and the result types of a ufunc.

    The formula is evaluated in float64 whatever the input, so that float32 results are right to the last bit or so.
    """

    @wraps(formula, assigned=("__module__", "__name__", "__qualname__", "__doc__"))
    def function(
        x: ArrayLike,
        /,
        out: Array | tuple[Array] | None = None,
        *,
        where: NDArray[np.bool_] | bool = True,
        dtype: DTypeLike | None = None,
    ) -> Any:
        given = np.asarray(x)
        result_type = ufunc_type(given.dtype) if dtype is None else np.dtype(dtype)
        if result_type not in _FLOAT_TYPES:
            raise TypeError(f"dtype: got {result_type}, expected float16, float32 or float64")
        # Infinities and NaN go their way in silence, as through the compiled functions.
        with np.errstate(all="ignore"):
            values = formula(given.astype(result_type, casting="same_kind").astype(np.float64))
            result = np.asarray(values).astype(result_type)
        if out is None and where is True:
            return result[()]
        return np.positive(result, out=out, where=where)

    del function.__dict__["__wrapped__"]  # inspect.signature shall show the keywords above
    return function
