"""Softmax and its logarithm, along any axis, on the compiled kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastnn._checks.floats import Array
from fastnn._checks.scalars import axis_of_array
from fastnn._engine import core as _core
from fastnn.ops._arrays import check_out, deliver, float_types, real_array
from fastnn.ops._dispatch import array_function

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["log_softmax", "softmax"]
__dir__ = __all__.copy


@array_function
def softmax(x: ArrayLike, axis: int = -1, out: Array | None = None) -> Array:
    """Return exp(x) divided by its sum along an axis.

    Parameters
    ----------
    x : array-like of real numbers
        Any shape of at least one dimension, any layout and byte order.
    axis : int, default -1
        The axis along which the result adds up to 1.
    out : ndarray of floating-point numbers, optional
        The array that receives the result, of the shape of `x`. It may overlap `x`.

    Returns
    -------
    ndarray
        For float16 and float32, the same type (float16 is computed in float32); otherwise float64. `out` if given.

    Raises
    ------
    TypeError
        If `x` does not consist of real numbers, `axis` is not an integer, or `out` is not of floating-point numbers.
    ValueError
        If `x` lacks the axis, or `out` has the wrong shape or is read-only.

    Examples
    --------
    >>> softmax([[0.0, 0.0], [1000.0, 0.0]])
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    return _along(axis, x, out, logarithm=False)


@array_function
def log_softmax(x: ArrayLike, axis: int = -1, out: Array | None = None) -> Array:
    """Return the logarithm of `softmax`, which stays finite where softmax itself is zero.

    With t = x - max(x) along the axis, it is t - log(sum(exp(t))).

    Parameters
    ----------
    x : array-like of real numbers
        Any shape of at least one dimension, any layout and byte order.
    axis : int, default -1
        The axis along which the exponentials of the result add up to 1.
    out : ndarray of floating-point numbers, optional
        The array that receives the result, of the shape of `x`. It may overlap `x`.

    Returns
    -------
    ndarray
        An array of the same type as the result of `softmax`.

    Raises
    ------
    TypeError, ValueError
        In the same cases as `softmax`.

    Examples
    --------
    >>> log_softmax([1000.0, 0.0])
    array([    0., -1000.])
    """
    return _along(axis, x, out, logarithm=True)


def _along(axis: int, x: ArrayLike, out: Array | None, *, logarithm: bool) -> Array:
    quick = _core.softmax(x, axis, out, logarithm)
    if quick is not None:
        return quick
    given = real_array("x", x)
    axis = axis_of_array(axis, given.ndim)
    out = check_out(out, given.shape)
    compute, result_type = float_types(given)
    rows = np.array(np.moveaxis(given, axis, -1), dtype=compute, order="C")
    if logarithm:
        _core.log_softmax(rows)
    else:
        _core.activate("softmax", rows)
    result: Array = deliver(np.moveaxis(rows, -1, axis), result_type, out)
    return result
