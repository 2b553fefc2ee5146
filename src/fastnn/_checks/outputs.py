"""The arrays that callers give for results: shapes, dtypes, and memory of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def result_array(argument: str, value: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return an array for a result of that shape and dtype; raise TypeError or ValueError if it is another."""
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{argument}: expected an array of {dtype} and shape {shape}, got {type(value).__name__}")
    if value.dtype != dtype or value.shape != shape:
        raise ValueError(f"{argument}: expected {dtype} of shape {shape}, got {value.dtype} of shape {value.shape}")
    if not value.flags.writeable:
        raise ValueError(f"{argument}: expected an array that can be written, got a read-only one")
    extent = value.itemsize + sum((size - 1) * abs(step) for size, step in zip(shape, value.strides, strict=True))
    if value.size and extent < value.nbytes:
        raise ValueError(f"{argument}: expected memory for every element, got strides {value.strides} of shape {shape}")
    return value


def result_arrays(argument: str, value: Any, like: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """Return a list of arrays for results, each like its counterpart; raise as `result_array`."""
    if not isinstance(value, list | tuple) or len(value) != len(like):
        got = f"{len(value)} arrays" if isinstance(value, list | tuple) else type(value).__name__
        raise TypeError(f"{argument}: expected a list of {len(like)} arrays, one for each parameter, got {got}")
    return [
        result_array(f"{argument}[{i}]", each, array.shape, array.dtype)
        for i, (each, array) in enumerate(zip(value, like, strict=True))
    ]


def is_plain(array: NDArray[Any]) -> bool:
    """Return whether the engine can write results into an array in place."""
    return type(array) is np.ndarray and array.flags.carray


def check_apart(results: dict[str, NDArray[Any]], others: dict[str, Any]) -> None:
    """Raise ValueError if an array for results shares memory with another one, or with one of the other arrays."""
    names = list(results)
    for i, name in enumerate(names):
        rest = {other: results[other] for other in names[i + 1 :]} | others
        for other, array in rest.items():
            if isinstance(array, np.ndarray) and _share_memory(results[name], array):
                raise ValueError(f"{name}: expected memory of its own, got an array that overlaps {other}")


def _share_memory(a: NDArray[Any], b: NDArray[Any]) -> bool:
    if not np.may_share_memory(a, b):
        return False
    try:
        return np.shares_memory(a, b, max_work=1000)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True
