"""The elementwise functions of fastnn.ops in compiled code: inlined for numbers, and calls of the kernels for arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import infer, infer_global, make_overload_template
from numba.extending import intrinsic, overload

from fastnn import ops
from fastnn._engine import core as _core
from fastnn.jit import _elementary, _kernels
from fastnn.jit._kernels import apart_or_same, bare, is_aligned


class _Key:
    """The key of a function in Numba's tables, which has the function's name for messages."""

    def __init__(self, name: str) -> None:
        self.__name__ = name


def _of_a_number(number: int) -> Any:
    """Return a function of one number that calls the kernel for arrays, if the function is not in _elementary.py."""

    def typed(_: Any, x: Any) -> Any:
        result = _kernels.elementwise_float_of(x)
        return result(result), call

    def call(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place, integer = cgutils.alloca_once_value(builder, arguments[0]), ir.IntType(64)
        pointer = builder.bitcast(place, cgutils.voidptr_t)
        kernel = _kernels.declared(builder, f"fastnn_function_{signature.return_type}", *_kernels.FUNCTION)
        builder.call(kernel, [integer(number), pointer, pointer, integer(1)])
        return builder.load(place)

    return intrinsic(typed)


def _new_array(number: int, x: types.Array, dtype: Any) -> Callable[..., Any]:
    kernel, to = _kernels.function[dtype], getattr(np, str(dtype))
    if x.layout == "C" and x.dtype == dtype:

        def evaluated(x: Any, out: Any = None) -> Any:
            result = np.empty(x.shape, to)
            if is_aligned(x):
                kernel(number, x, result, x.size)
            else:
                result[...] = x
                kernel(number, result, result, result.size)
            return result

    else:

        def evaluated(x: Any, out: Any = None) -> Any:
            result = np.empty(x.shape, to)
            result[...] = x
            kernel(number, result, result, result.size)
            return result

    return bare(evaluated)


def _given_array(function: np.ufunc, number: int, x: types.Array, out: types.Array, dtype: Any) -> Callable[..., Any]:
    kernel = _kernels.function[dtype]

    def by_way_of_a_new_array(x: Any, out: Any = None) -> Any:
        out[...] = function(x)
        return out

    def evaluated(x: Any, out: Any = None) -> Any:
        if x.shape == out.shape and apart_or_same(x, out):
            kernel(number, x, out, x.size)
        else:
            out[...] = function(x)
        return out

    direct = x.layout == out.layout == "C" and x.dtype == out.dtype == dtype and x.ndim == out.ndim
    return bare(evaluated if direct else by_way_of_a_new_array)


def _overload(name: str) -> None:
    """Make the ufunc of that name available in compiled code.

    If the function is inlined, Numba merges calls with arrays into array expressions: one loop over a whole expression. The
    overloads of all other functions have a key of their own instead of the ufunc, which prevents this.
    """
    ufunc, number = getattr(ops, name), _core.FUNCTIONS.index(name)
    inlined = _elementary.FUNCTIONS.get(name)
    of_a_number = inlined or _of_a_number(number)

    def implementation(x: Any, out: Any = None) -> Any:
        if isinstance(x, types.Float | types.Integer | types.Boolean) and x != types.float16 and _kernels.is_none(out):
            to = _kernels.elementwise_float_of(x)
            return lambda x, out=None: of_a_number(to(x))
        if not _kernels.is_readable(x):
            return None
        dtype = _kernels.elementwise_float_of(x)
        if _kernels.is_none(out) and x.ndim == 0:  # ufuncs return numbers for arrays without dimensions
            to = getattr(np, str(dtype))
            return lambda x, out=None: of_a_number(to(x[()]))
        if _kernels.is_none(out):
            return _new_array(number, x, dtype)
        if not isinstance(out, types.Array) or out.dtype not in (types.float32, types.float64) or not out.mutable:
            return None
        return _given_array(ufunc, number, x, out, dtype)

    if inlined:
        overload(ufunc)(bare(implementation))
        return
    options = {"nopython": True, "no_cpython_wrapper": True}  # the options that `overload` uses
    template = make_overload_template(_Key(name), bare(implementation), options, strict=True, inline="never")
    infer_global(ufunc, types.Function(infer(template)))


for _name in _core.FUNCTIONS:
    _overload(_name)
