"""Softmax and its logarithm in code that Numba compiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from fastnn import ops
from fastnn._engine import core as _core
from fastnn.jit import _kernels
from fastnn.jit._kernels import bare, is_none, is_readable

_SOFTMAX = _core.ACTIVATIONS.index("softmax")


def _softmax(dtype: Any) -> Callable[[Any], None]:
    kernel = _kernels.activate[dtype]
    return register_jitable(bare(lambda rows: kernel(_SOFTMAX, rows, rows.size // max(1, rows.shape[-1]), rows.shape[-1])))


def _log_softmax(dtype: Any) -> Callable[[Any], None]:
    kernel = _kernels.log_softmax[dtype]
    return register_jitable(bare(lambda rows: kernel(rows, rows.size // max(1, rows.shape[-1]), rows.shape[-1])))


def _overload(function: Callable[..., Any], kernel_of: Callable[[Any], Callable[[Any], None]]) -> None:
    def typed(x: Any, axis: Any = -1, out: Any = None) -> Any:
        has_out = not is_none(out)
        if not is_readable(x) or x.ndim == 0 or not isinstance(axis, types.Integer | types.Omitted | int):
            return None
        if has_out and not (is_readable(out, x.ndim) and isinstance(out.dtype, types.Float) and out.mutable):
            return None
        dtype, ndim = _kernels.float_of(x), x.ndim
        in_place, to = kernel_of(dtype), getattr(np, str(dtype))

        def evaluated(x: Any, axis: Any = -1, out: Any = None) -> Any:
            if axis < -ndim or axis >= ndim:
                raise ValueError("axis: expected one of the axes of x, got another")
            if has_out and out.shape != x.shape:
                raise ValueError("out: expected the shape of x, got another")
            moved = np.swapaxes(x, axis, ndim - 1)
            rows = np.empty(moved.shape, to)
            rows[...] = moved
            in_place(rows)
            result = np.swapaxes(rows, axis, ndim - 1)
            if has_out:
                out[...] = result
                return out
            return result

        return bare(evaluated)

    overload(function)(bare(typed))


_overload(ops.softmax, _softmax)
_overload(ops.log_softmax, _log_softmax)
