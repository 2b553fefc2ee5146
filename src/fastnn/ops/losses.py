"""Losses of predictions, on the compiled kernels: one pass in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import reference
from fastnn._checks.predictions import checked_classes, checked_pair
from fastnn._engine import core as _core
from fastnn.ops._arrays import real_array
from fastnn.ops._dispatch import array_function

__all__ = ["binary_cross_entropy", "cross_entropy", "mse_loss"]
__dir__ = __all__.copy

_Loss = Callable[[ArrayLike, ArrayLike], float]


def _loss(function: _Loss) -> _Loss:
    """Return a function with the reference's documentation, which the types of its arguments can override."""
    if function.__doc__ is not None:  # it is None under python -OO
        function.__doc__ = getattr(reference, function.__name__).__doc__
    return array_function(function)


@_loss
def mse_loss(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Return the mean of (y_pred - y_true)**2."""
    total = _core.quick_prediction_loss("mse_loss", y_true, y_pred, False)
    if total is not None:
        return total / np.size(y_pred)
    y, p = checked_pair(real_array("y_true", y_true), real_array("y_pred", y_pred))
    return _sum_of_terms("mse_loss", y, p) / p.size


@_loss
def binary_cross_entropy(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Return the mean of -(y log(p) + (1 - y) log(1 - p))."""
    total = _core.quick_prediction_loss("binary_cross_entropy", y_true, y_pred, True)
    if total is not None:
        return 0.0 - total / np.size(y_pred)
    y, p = checked_pair(real_array("y_true", y_true), real_array("y_pred", y_pred), probabilities=True)
    return 0.0 - _sum_of_terms("binary_cross_entropy", y, p) / p.size


@_loss
def cross_entropy(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Return the mean over rows of -sum_j y_j log(p_j)."""
    if type(y_pred) is np.ndarray and y_pred.ndim == 2:
        total = _core.quick_prediction_loss("cross_entropy", y_true, y_pred, True)
        if total is not None:
            return 0.0 - total / len(y_pred)
    y, p = checked_classes(real_array("y_true", y_true), real_array("y_pred", y_pred))
    return 0.0 - _sum_of_terms("cross_entropy", y, p) / len(p)


def _sum_of_terms(name: str, y: NDArray[np.float64], p: NDArray[np.float64]) -> float:
    return _core.prediction_loss(name, *(np.require(array, np.float64, ["C", "A", "W"]) for array in (p, y)))
