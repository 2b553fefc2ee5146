"""The kernels that compiled code calls (kernels/c_api.h), and how arrays are handed to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.extending import register_jitable

# Pointers are passed as the integers that `array.ctypes.data` is.
_INT, _REAL, _POINTER = types.int64, types.float64, types.intp
_MATRIX = (_POINTER, _INT, _INT, _INT)  # first element, number of its type, strides of rows and columns


def _external(name: str, result: Any, *arguments: Any) -> Any:
    return types.ExternalFunction(name, result(*arguments))


def _of_both_types(name: str, result: Any, *arguments: Any) -> dict[Any, Any]:
    return {number: _external(f"{name}_{number}", result, *arguments) for number in (types.float32, types.float64)}


function = _of_both_types("fastnn_function", types.void, _INT, _POINTER, _POINTER, _INT)
activate = _of_both_types("fastnn_activate", types.void, _INT, _POINTER, _INT, _INT)
log_softmax = _of_both_types("fastnn_log_softmax", types.void, _POINTER, _INT, _INT)
times_slope = _of_both_types("fastnn_times_slope", _INT, _INT, _POINTER, _POINTER, _INT, _INT)
prediction_loss = _external("fastnn_prediction_loss", _REAL, _INT, _POINTER, _POINTER, _INT)
update = _of_both_types("fastnn_update", types.void, _INT, *[_POINTER] * 4, _INT, *[_REAL] * 5, _INT)
linear = _external("fastnn_linear", _INT, *[_INT] * 4, *_MATRIX, *_MATRIX, _POINTER, _INT, _INT, _INT, _POINTER, _INT)
predict = _external("fastnn_predict", _INT, _POINTER, _INT, *_MATRIX, _POINTER, _INT)
train_step = _external("fastnn_train_step", _INT, _POINTER, _INT, *_MATRIX, *_MATRIX, _INT, _POINTER)

# Of Numba's types, the numbers in kernels/api.h.
NUMBERS = {
    number: i
    for i, number in enumerate(
        (
            types.float32,
            types.float64,
            types.int8,
            types.uint8,
            types.int16,
            types.uint16,
            types.int32,
            types.uint32,
            types.int64,
            types.uint64,
            types.boolean,
        )
    )
}


def is_none(argument: Any) -> bool:
    """Return whether an argument's type is that of None, given or not."""
    return argument is None or argument == types.none or (isinstance(argument, types.Omitted) and argument.value is None)


def is_readable(argument: Any, *ndims: int) -> bool:
    """Return whether an argument's type is an array of so many dimensions (any, if none are named) that kernels read."""
    if not isinstance(argument, types.Array) or argument.dtype not in NUMBERS:
        return False
    return argument.ndim in ndims if ndims else True


def float_of(*arguments: Any) -> Any:
    """Return the type in which NumPy computes with numbers or arrays of these types: float32, or else float64."""
    dtypes = [np.dtype(str(getattr(argument, "dtype", argument)).replace("boolean", "bool")) for argument in arguments]
    return types.float32 if np.can_cast(np.result_type(*dtypes), np.float32) else types.float64


def bare(function: Callable[..., Any]) -> Callable[..., Any]:
    """Take the annotations off an overload or its implementation, which Numba compares with each other."""
    function.__annotations__ = {}
    return function


@register_jitable
def apart(a: Any, b: Any) -> bool:
    """Return whether two arrays share no memory. Of the second one, any layout."""
    b_start = b_end = b.ctypes.data
    for size, stride in zip(b.shape, b.strides):  # noqa: B905  Numba's has no `strict`
        if size == 0:
            return True
        b_start += min(0, (size - 1) * stride)
        b_end += max(0, (size - 1) * stride)
    a_start = a.ctypes.data
    return a_start + a.nbytes <= b_start or b_end + b.itemsize <= a_start


@register_jitable
def apart_or_same(a: Any, b: Any) -> bool:
    """Return whether a kernel may read one contiguous array element by element while it writes the other."""
    a_start, b_start = a.ctypes.data, b.ctypes.data
    return a_start == b_start or a_start + a.nbytes <= b_start or b_start + b.nbytes <= a_start


# Of a vector, which is one row, or of a matrix: rows, and what kernels are told of its layout.
@register_jitable
def rows_of(a: Any) -> int:
    return a.shape[0] if a.ndim == 2 else 1


@register_jitable
def row_stride(a: Any) -> int:
    return a.strides[0] if a.ndim == 2 else 0


@register_jitable
def column_stride(a: Any) -> int:
    return a.strides[a.ndim - 1]
