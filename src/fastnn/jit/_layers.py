"""The dense layer and its gradients in code that Numba compiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from fastnn import ops
from fastnn._engine import core as _core
from fastnn.jit import _kernels
from fastnn.jit._kernels import NUMBERS as _NUMBERS
from fastnn.jit._kernels import apart, bare, column_stride, is_aligned, is_none, is_readable, row_stride, rows_of

_NAMES = _core.ACTIVATIONS


@register_jitable
def _number_of(name: str) -> int:
    for number in range(len(_NAMES)):
        if _NAMES[number] == name:
            return number
    raise ValueError("activation: expected the name of an activation, got another")


def activation_number(activation: Any) -> Callable[[Any], int] | None:
    """Return a function that maps an argument of this type to an activation's number, or None if it is no string."""
    name = activation.value if isinstance(activation, types.Omitted) else getattr(activation, "literal_value", activation)
    if isinstance(name, str) and name in _NAMES:
        number = _NAMES.index(name)
        return register_jitable(bare(lambda activation: number))
    return _number_of if isinstance(name, str | types.UnicodeType) else None


# ---- The layer ----


@overload(ops.linear, prefer_literal=True)
@bare
def _linear(x: Any, w: Any, b: Any = None, activation: Any = "identity", out: Any = None, n_threads: Any = None) -> Any:
    number, has_bias, has_out = activation_number(activation), not is_none(b), not is_none(out)
    fits = is_readable(x) and x.ndim > 0 and is_readable(w, 2) and (is_readable(b, 1) or not has_bias)
    if not fits or number is None or not (is_none(n_threads) or isinstance(n_threads, types.Integer)):
        return None
    dtype = _kernels.float_of(x, w, *([b] if has_bias else []))
    to, as_rows, multiply = getattr(np, str(dtype)), rows_for(x), _multiplication(dtype, x, w, b, n_threads)
    if has_out and not (is_readable(out, x.ndim) and isinstance(out.dtype, types.Float) and out.mutable):
        return None

    def new(x: Any, w: Any, b: Any = None, activation: Any = "identity", out: Any = None, n_threads: Any = None) -> Any:
        result = np.empty(x.shape[:-1] + (w.shape[1],), to)  # noqa: RUF005  Numba knows no starred tuples
        multiply(as_rows(x), w, b, number(activation), result, n_threads)
        return result

    def copied(x: Any, w: Any, b: Any = None, activation: Any = "identity", out: Any = None, n_threads: Any = None) -> Any:
        _check_out(out.shape, x.shape, w.shape)
        result = np.empty(out.shape, to)
        multiply(as_rows(x), w, b, number(activation), result, n_threads)
        out[...] = result
        return out

    def written(x: Any, w: Any, b: Any = None, activation: Any = "identity", out: Any = None, n_threads: Any = None) -> Any:
        _check_out(out.shape, x.shape, w.shape)
        if is_aligned(out) and apart(out, x) and apart(out, w) and (not has_bias or apart(out, b)):
            multiply(as_rows(x), w, b, number(activation), out, n_threads)
        else:
            result = np.empty(out.shape, to)
            multiply(as_rows(x), w, b, number(activation), result, n_threads)
            out[...] = result
        return out

    if not has_out:
        return bare(new)
    return bare(written if out.layout == "C" and out.dtype == dtype else copied)


def rows_for(x: types.Array) -> Callable[[Any], Any]:
    """Return a function that maps an array of this type to its rows: a matrix, or a single row unchanged."""

    def flattened(x: Any) -> Any:
        n_rows = 1
        for size in x.shape[:-1]:
            n_rows *= size
        return np.ascontiguousarray(x).reshape((n_rows, x.shape[-1]))

    return register_jitable(bare(flattened if x.ndim > 2 else lambda x: x))


@register_jitable
def _check_out(shape: Any, x_shape: Any, w_shape: Any) -> None:
    if shape[:-1] != x_shape[:-1] or shape[-1] != w_shape[1]:
        raise ValueError("out: expected the shape of the result, got another")


def _multiplication(dtype: Any, x: Any, w: Any, b: Any, n_threads: Any) -> Callable[..., None]:
    """Return the call of the kernel for one or more rows x. The result array must be contiguous, and separate from them."""
    kernel, number, x_type, w_type = _kernels.linear, _NUMBERS[dtype], _NUMBERS[x.dtype], _NUMBERS[w.dtype]
    b_type, has_bias, counted = 0 if is_none(b) else _NUMBERS[b.dtype], not is_none(b), not is_none(n_threads)

    def multiply(x: Any, w: Any, b: Any, activation: int, out: Any, n_threads: Any) -> None:
        n_in, n_out = w.shape
        if x.shape[-1] != n_in:
            raise ValueError("x: expected rows of n_in numbers, as w has shape (n_in, n_out), got rows of another length")
        bias_stride, threads = 0, 0
        if has_bias:
            if b.shape[0] != n_out:
                raise ValueError("b: expected shape (n_out,), as w has shape (n_in, n_out), got another")
            bias_stride = b.strides[0]
        if counted:
            threads = n_threads
            if threads < 1:
                raise ValueError("n_threads: expected at least 1, got less")
        status = kernel(
            number, rows_of(x), n_in, n_out, x, x_type, row_stride(x), column_stride(x),
            w, w_type, w.strides[0], w.strides[1], b, b_type, bias_stride, activation, out, threads,
        )  # fmt: skip
        if status != 0:
            raise MemoryError("there is no memory for the layer's workspace")

    return register_jitable(bare(multiply))


# ---- The gradients of the layer ----


@overload(ops.linear_grad, prefer_literal=True)
@bare
def _linear_grad(x: Any, w: Any, a: Any, grad_a: Any, activation: Any) -> Any:
    number = activation_number(activation)
    arrays = (x, w, a, grad_a)
    if (
        number is None
        or not all(is_readable(array) for array in arrays)
        or w.ndim != 2
        or not x.ndim == a.ndim == grad_a.ndim > 0
    ):
        return None
    dtype = _kernels.float_of(*arrays)
    to, times_derivative = getattr(np, str(dtype)), _kernels.times_derivative[dtype]
    x_rows, rows = rows_for(x), rows_for(types.Array(dtype, a.ndim, "C"))

    def gradients(x: Any, w: Any, a: Any, grad_a: Any, activation: Any) -> Any:
        if x.shape[-1] != w.shape[0]:
            raise ValueError("x: expected rows of n_in numbers, as w has shape (n_in, n_out), got rows of another length")
        if a.shape[:-1] != x.shape[:-1] or a.shape[-1] != w.shape[1]:
            raise ValueError("a: expected the shape of linear(x, w), got another")
        if grad_a.shape != a.shape:
            raise ValueError("grad_a: expected the shape of a, got another")
        outputs, delta = np.empty(a.shape, to), np.empty(a.shape, to)
        outputs[...] = a
        delta[...] = grad_a
        n_out = w.shape[1]
        n_rows = rows_of(rows(delta))
        if times_derivative(number(activation), delta, outputs, n_rows, n_out) != 0:
            raise ValueError("activation: expected one whose derivative follows from its output, got another")
        delta_rows = rows(delta).reshape((n_rows, n_out))
        grad_x = ops.linear(delta, w.T.astype(to))
        grad_w = ops.linear(np.ascontiguousarray(x_rows(x)).reshape((n_rows, w.shape[0])).T.astype(to), delta_rows)
        return grad_x, grad_w, ops.linear(np.ones(n_rows, to), delta_rows)

    return bare(gradients)
