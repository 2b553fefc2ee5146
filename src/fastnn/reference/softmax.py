"""Softmax and its logarithm, along any axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.reference.arrays import along_axis

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["log_softmax", "softmax"]
__dir__ = __all__.copy


@along_axis
def softmax(x: NDArray[Any]) -> NDArray[Any]:
    """Return exp(x) divided by its sum along an axis.

    Parameters
    ----------
    x : array-like of real numbers
        Any shape of at least one dimension.
    axis : int, default -1
        The axis along which the result adds up to 1.
    out : ndarray, optional
        The array that receives the result.

    Returns
    -------
    ndarray
        The result, of the shape of `x`; `out` if given.

    Examples
    --------
    >>> softmax([[0.0, 0.0], [1000.0, 0.0]])
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    powers = np.exp(x - row_maxima(x))
    return np.asarray(powers / row_sums(powers))


@along_axis
def log_softmax(x: NDArray[Any]) -> NDArray[Any]:
    """Return the logarithm of `softmax`, exact where softmax itself is zero in floating point.

    Parameters
    ----------
    x : array-like of real numbers
        Any shape of at least one dimension.
    axis : int, default -1
        The axis along which the exponentials of the result add up to 1.
    out : ndarray, optional
        The array that receives the result.

    Returns
    -------
    ndarray
        The result, of the shape of `x`; `out` if given.

    Examples
    --------
    >>> log_softmax([1000.0, 0.0])
    array([    0., -1000.])
    """
    below = x - row_maxima(x)  # softmax is the same, and exp can't overflow
    return np.asarray(below - np.log(row_sums(np.exp(below))))


def softmax_backward(a: NDArray[Any], grad_a: NDArray[Any]) -> NDArray[Any]:
    """Return the gradient with respect to the outputs a of a softmax times its Jacobian, diag(a) - a a^T per row."""
    return np.asarray(a * (grad_a - row_sums(grad_a * a)))


def row_sums(x: NDArray[Any]) -> NDArray[Any]:
    """Return the sum of each row, (n, 1)."""
    return np.asarray(np.sum(x, axis=-1)[..., np.newaxis])


def row_maxima(x: NDArray[Any]) -> NDArray[Any]:
    """Return the maximum of each row, (n, 1), or NaN if the row has one. Numba has no maximum along an axis."""
    maxima = np.full(len(x), -np.inf)
    for column in range(x.shape[1]):
        maxima = np.maximum(maxima, x[:, column])
    return maxima[:, np.newaxis]
