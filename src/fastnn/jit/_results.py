"""Where the methods of models put their results in code that Numba compiles: new arrays, or those that the caller gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.extending import register_jitable

from fastnn.jit import _kernels
from fastnn.jit._kernels import address_of, apart, bare, is_aligned, is_none, memory_of


def is_thread_count(n_threads: Any) -> bool:
    """Return whether an argument's type is that of a number of threads, or of None."""
    return is_none(n_threads) or isinstance(n_threads, types.Integer)


def threads_of(n_threads: Any) -> Callable[..., int]:
    """Return the function that checks the number of threads; it returns 0 for None."""
    if is_none(n_threads):
        return _as_many_as_pay

    return _checked_threads


@register_jitable
def _as_many_as_pay(_: Any) -> int:
    return 0


@register_jitable
def _checked_threads(n_threads: int) -> int:
    if n_threads < 1:
        raise ValueError("n_threads: expected at least 1, got less")
    return n_threads


_overlaps = _kernels.overlaps_parameters


@register_jitable(forceinline=True)
def _check_apart_from_model(model: Any, out: Any) -> None:
    start, end = memory_of(out)
    if _overlaps(model, start, end - start) != 0:
        raise ValueError("out: expected memory of its own, got memory of the model")


@register_jitable(forceinline=True)
def _is_place(out: Any, X: Any, other: Any) -> bool:
    """Return whether a kernel may write to an array while it reads the others, of which the last may be None."""
    if not (out.flags.c_contiguous and is_aligned(out) and apart(out, X)):
        return False
    return True if other is None else apart(out, other)


def place_of(model: Any, out: Any, ndim: int, shape_of: Any, *, apart_from_model: bool = True) -> Any:
    """Return a function of (model, X, another argument, out) that returns the contiguous array for the kernel's result.

    That is `out` if it is given, and the kernel may write there; otherwise it is new. Model and out here are types, and
    shape_of(model, X) returns the shape. The result is None if out's type does not fit.
    """
    to = getattr(np, str(model.dtype))

    def new(model: Any, X: Any, other: Any, out: Any) -> Any:
        return np.empty(shape_of(model, X), to)

    def given(model: Any, X: Any, other: Any, out: Any) -> Any:
        if out.shape != shape_of(model, X):
            raise ValueError("out: expected the shape of the result, got another")
        if apart_from_model:
            _check_apart_from_model(model, out)
        if _is_place(out, X, other):
            return out
        return np.empty(out.shape, to)

    if is_none(out):
        return register_jitable(bare(new))
    if isinstance(out, types.Array) and out.dtype == model.dtype and out.ndim == ndim and out.mutable:
        return register_jitable(forceinline=True)(bare(given))
    return None


def delivery_of(out: Any) -> Any:
    """Return a function of (result, out), given its type, that returns the result as the caller gets it."""
    return _result if is_none(out) else _in_out


@register_jitable
def _result(result: Any, _: Any) -> Any:
    return result


@register_jitable(forceinline=True)
def _in_out(result: Any, out: Any) -> Any:
    if address_of(result) != address_of(out):
        for index, value in np.ndenumerate(result):  # out[...] takes seconds to compile
            out[index] = value
    return out


def of_rows(place: Any, deliver: Any, run: Any) -> Any:
    """Return a method of rows X, out and n_threads. run(model, X, result, n_threads) fills in the result."""

    def method(model: Any, X: Any, out: Any = None, n_threads: Any = None) -> Any:
        result = place(model, X, None, out)
        run(model, X, result, n_threads)
        return deliver(result, out)

    return bare(method)
