"""Losses of predictions such as probabilities, as functions of arrays that return one number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastnn._checks.floats import Array
from fastnn._checks.predictions import checked_classes, checked_pair
from fastnn.reference.losses import LOSSES

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["binary_cross_entropy", "cross_entropy", "mse_loss"]
__dir__ = __all__.copy


def mse_loss(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Return the mean over all elements of (y_pred - y_true)**2.

    Parameters
    ----------
    y_true, y_pred : array-like of one shape
        Targets and predictions.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the shapes differ, or the arrays are empty.

    Examples
    --------
    >>> mse_loss([[1.0], [2.0]], [[1.0], [4.0]])
    2.0
    """
    y, p = checked_pair(y_true, y_pred)
    return float(np.mean(LOSSES["mse"].value(y, p, 0.0)))


def binary_cross_entropy(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Return the mean over all elements of -(y log(p) + (1 - y) log(1 - p)), where 0 log(0) is 0.

    Parameters
    ----------
    y_true : array-like
        Targets from 0 to 1.
    y_pred : array-like of the same shape
        Predicted probabilities. A wrong prediction with probability 0 or 1 gives an infinite loss.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the shapes differ, the arrays are empty, or a value of `y_pred` is outside of [0, 1].

    Examples
    --------
    >>> binary_cross_entropy([0.0, 1.0], [0.0, 1.0])
    0.0
    """
    y, p = checked_pair(y_true, y_pred, probabilities=True)
    with np.errstate(divide="ignore"):
        terms = _times(y, np.log(p)) + _times(1.0 - y, np.log1p(-p))
    return float(0.0 - np.mean(terms))


def cross_entropy(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Return the mean over rows of -sum_j y_j log(p_j), where 0 log(0) is 0.

    Parameters
    ----------
    y_true : array-like, shape (n,) or (n, n_classes)
        Integer labels, or rows of probabilities.
    y_pred : array-like, shape (n, n_classes)
        Rows of predicted probabilities. A target class with probability 0 gives an infinite loss.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the shapes do not fit, the arrays are empty, a label is out of range, or a value of `y_pred` is outside of
        [0, 1].

    Examples
    --------
    >>> cross_entropy([1, 0], [[0.0, 1.0], [1.0, 0.0]])
    0.0
    """
    y, p = checked_classes(y_true, y_pred)
    with np.errstate(divide="ignore"):
        terms = _times(y, np.log(p))
    return float(0.0 - np.mean(terms.sum(axis=1)))


def _times(y: Array, logarithm: Array) -> Array:
    """Return y * logarithm, and 0 where y = 0, even if the logarithm is infinite there."""
    return np.multiply(y, logarithm, out=np.zeros_like(logarithm), where=y != 0)
