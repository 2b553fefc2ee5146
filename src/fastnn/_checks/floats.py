"""Arrays of real numbers: the types that they are computed in, and whether they have the shapes that are expected."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array: TypeAlias = NDArray[np.floating[Any]]

FLOAT_TYPES = tuple(np.dtype(code) for code in "efd")


def ufunc_type(dtype: np.dtype[Any]) -> np.dtype[np.floating[Any]]:
    """Return the first of float16, float32 and float64 that all values of a type fit into, as a ufunc's loops are found."""
    for candidate in FLOAT_TYPES:
        if np.can_cast(dtype, candidate):
            return candidate
    raise TypeError(f"x: expected real numbers that fit into float64, got an array of dtype {dtype}")


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
    raise TypeError(f"expected real numbers that fit into float64, got an array of dtype {common}")


def as_float(argument: str, values: ArrayLike) -> Array:
    """Return `values` as an array of float32 or float64."""
    array = np.asarray(values)
    try:
        return array.astype(float_type(array), copy=False)
    except TypeError as error:
        raise TypeError(f"{argument}: {error}") from None


def check_shape(argument: str, array: NDArray[Any], expected: tuple[int, ...]) -> None:
    """Raise ValueError unless an array has the expected shape."""
    if array.shape != expected:
        raise ValueError(f"{argument}: expected shape {expected}, got {array.shape}")
