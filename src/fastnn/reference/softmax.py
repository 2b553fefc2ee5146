"""Softmax and its logarithm, along any axis."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn.reference._arrays import Array, as_float

__all__ = ["log_softmax", "softmax"]
__dir__ = __all__.copy


def softmax(x: ArrayLike, axis: int = -1, out: Array | None = None) -> Array:
    """Return exp(x) divided by its sum along an axis.

    Parameters
    ----------
    x : array-like of real numbers
        Any shape of at least one dimension.
    axis : int, default -1
        The axis along which the result adds up to 1.
    out : ndarray, optional
        Where to write the result.

    Returns
    -------
    ndarray
        The shape of `x`; `out` if given.

    Examples
    --------
    >>> softmax([[0.0, 0.0], [1000.0, 0.0]])
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    given = as_float("x", x)
    powers = np.exp(_below_maximum(given, axis))
    return _delivered(powers / powers.sum(axis=axis, keepdims=True), given, out)


def log_softmax(x: ArrayLike, axis: int = -1, out: Array | None = None) -> Array:
    """Return the logarithm of `softmax`, exact where softmax itself is zero in floating point.

    Parameters
    ----------
    x : array-like of real numbers
        Any shape of at least one dimension.
    axis : int, default -1
        The axis along which the exponentials of the result add up to 1.
    out : ndarray, optional
        Where to write the result.

    Returns
    -------
    ndarray
        The shape of `x`; `out` if given.

    Examples
    --------
    >>> log_softmax([1000.0, 0.0])
    array([    0., -1000.])
    """
    given = as_float("x", x)
    shifted = _below_maximum(given, axis)
    return _delivered(shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)), given, out)


def _below_maximum(x: Array, axis: int) -> NDArray[np.float64]:
    """Return x minus its maximum along `axis`, in float64: softmax is the same, and exp can't overflow."""
    if x.ndim == 0:
        raise ValueError("x: got a scalar, expected at least one dimension")
    wide = x.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # a difference of -inf is as good; inf - inf is NaN
        return np.asarray(wide - wide.max(axis=axis, keepdims=True, initial=-np.inf))


def _delivered(result: NDArray[np.float64], like: Array, out: Array | None) -> Array:
    """Return `result` in the type of `like`, or written to `out`."""
    if out is None:
        return result.astype(like.dtype)
    if out.shape != result.shape:
        raise ValueError(f"out: got shape {out.shape}, expected {result.shape}")
    np.copyto(out, result, casting="same_kind")
    return out
