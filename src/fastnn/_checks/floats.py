"""Arrays of real numbers: the types in which to compute with them, and checks of their shapes."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn._checks.masks import unmasked

Array: TypeAlias = NDArray[np.floating[Any]]

FLOAT_TYPES = tuple(np.dtype(code) for code in "efd")


def ufunc_type(dtype: np.dtype[Any], prefix: str = "x: ") -> np.dtype[np.floating[Any]]:
    """Return the first of float16, float32 and float64 that can represent all values of a type.

    This is how NumPy chooses the loop of a ufunc. Types that do not fit into float64 either (complex, long double, text)
    raise TypeError, with a message that begins with `prefix`.
    """
    for candidate in FLOAT_TYPES:
        if np.can_cast(dtype, candidate):
            return candidate
    raise TypeError(f"{prefix}expected real numbers that fit into float64, got an array of dtype {dtype}")


def float_type(*arrays: NDArray[Any], prefix: str = "") -> np.dtype[np.floating[Any]]:
    """Return the type in which a ufunc computes with arrays of these types, or float32 instead of float16."""
    return np.promote_types(ufunc_type(np.result_type(*arrays), prefix), np.float32)


def as_float(argument: str, values: ArrayLike) -> Array:
    """Return `values` as an array of float32 or float64."""
    array = unmasked(argument, values)
    return array.astype(float_type(array, prefix=f"{argument}: "), copy=False)


def check_shape(argument: str, array: NDArray[Any], expected: tuple[int, ...]) -> None:
    """Raise ValueError unless an array has the expected shape."""
    if array.shape != expected:
        raise ValueError(f"{argument}: expected shape {expected}, got {array.shape}")
