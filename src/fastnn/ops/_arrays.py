"""Arguments and results of the functions: they take any array-like of real numbers, and return NumPy's result types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._checks.floats import Array
from fastnn._engine.arrays import numbers_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray


def real_array(argument: str, values: ArrayLike) -> NDArray[Any]:
    """Return `values` as an array of real numbers in its own layout, or raise TypeError."""
    array = numbers_of(argument, values)
    if array.dtype.itemsize > 8:
        raise TypeError(f"{argument}: expected real numbers that fit into float64, got dtype {array.dtype}")
    return array


def float_types(*arrays: NDArray[Any] | np.dtype[Any]) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Return the type of the computation (float32 or float64) and the type of the result, for arrays or their types.

    NumPy's promotion decides: float32 is preserved, float16 is computed in float32, and integers and bool in float64.
    """
    common = np.result_type(*arrays)
    if common.kind == "f" and common.itemsize <= 4:
        return np.dtype(np.float32), common.newbyteorder("=")
    return np.dtype(np.float64), np.dtype(np.float64)


def check_out(out: object, shape: tuple[int, ...], *, broadcast: bool = False) -> Array | None:
    """Return `out` if a result of that shape fits, or raise an error. With `broadcast`, the result may be repeated."""
    if out is None:
        return None
    if isinstance(out, tuple) and len(out) == 1:  # as ufuncs accept it
        return check_out(out[0], shape, broadcast=broadcast)
    if not isinstance(out, np.ndarray) or out.dtype.kind != "f":
        kind = f"dtype {out.dtype}" if isinstance(out, np.ndarray) else type(out).__name__
        raise TypeError(f"out: expected an ndarray of floating-point numbers, got {kind}")
    if out.shape != shape and not (broadcast and _broadcasts(shape, out.shape)):
        raise ValueError(f"out: expected shape {shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out: expected one to write to, got a read-only array")
    return out


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    return len(shape) <= len(to) and all(n in (1, m) for n, m in zip(reversed(shape), reversed(to), strict=False))


def fits_kernels(array: NDArray[Any], dtype: DTypeLike) -> bool:
    """Return whether the kernels can write to this array directly."""
    return bool(array.flags.carray) and array.dtype.isnative and array.dtype == dtype


def deliver(result: Array, dtype: DTypeLike, out: Array | None) -> Any:
    """Return the result in `dtype`, as a scalar if it has no dimensions; write it to `out` if given."""
    if out is None:
        return result.astype(dtype, copy=False)[()]
    np.copyto(out, result, casting="same_kind")
    return out
