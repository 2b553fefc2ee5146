"""Losses: value and gradient, side by side.

In the formulas y is the target and p the prediction. For a loss with links (see `fastnn.losses.Loss`) the prediction is
what goes into the output activation: a logit or a logarithm of a rate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn.losses import CustomLoss, Loss
from fastnn.reference._arrays import Array, as_float
from fastnn.reference.activations import sigmoid
from fastnn.reference.softmax import log_softmax, softmax

__all__ = ["LOSSES", "LossFunction", "binary_cross_entropy", "cross_entropy", "mse_loss"]

_Formula: TypeAlias = Callable[[Array, Array, float], Array]


@dataclass(frozen=True)
class LossFunction:
    """A loss of the oracle. Its functions take y, p, both (rows, outputs), and the loss's parameter.

    Attributes
    ----------
    name : str
        The name to ask for it by.
    value : callable
        To the terms whose mean is the loss, (rows, outputs).
    gradient : callable
        To the gradient of the sum of these terms with respect to p, (rows, outputs).
    mean_over : {"elements", "rows"}
        What the sum of all terms is divided by the number of.

    Examples
    --------
    >>> LOSSES["mse"].gradient(np.array([[1.0]]), np.array([[3.0]]), 0.0)
    array([[4.]])
    """

    name: str
    value: _Formula
    gradient: _Formula
    mean_over: str = "elements"


def _mse(y: Array, p: Array, parameter: float) -> Array:
    return np.asarray((p - y) ** 2)


def _mse_gradient(y: Array, p: Array, parameter: float) -> Array:
    return 2 * (p - y)


def _mae(y: Array, p: Array, parameter: float) -> Array:
    return np.abs(p - y)


def _mae_gradient(y: Array, p: Array, parameter: float) -> Array:
    return np.sign(p - y)


def _huber(y: Array, p: Array, delta: float) -> Array:
    size = np.abs(p - y)
    return np.where(size <= delta, 0.5 * size**2, delta * (size - 0.5 * delta))


def _huber_gradient(y: Array, p: Array, delta: float) -> Array:
    return np.clip(p - y, -delta, delta)


def _quantile(y: Array, p: Array, q: float) -> Array:
    error = y - p
    return np.maximum(q * error, (q - 1) * error)


def _quantile_gradient(y: Array, p: Array, q: float) -> Array:
    error = y - p
    return np.asarray(np.where(error > 0, -q, 1 - q) * np.abs(np.sign(error)), dtype=p.dtype)


def _poisson(y: Array, z: Array, parameter: float) -> Array:
    return np.exp(z) - y * z


def _poisson_gradient(y: Array, z: Array, parameter: float) -> Array:
    return np.exp(z) - y


def _binary_cross_entropy(y: Array, z: Array, parameter: float) -> Array:
    # -y log(s) - (1 - y) log(1 - s) with s = sigmoid(z), rewritten so that nothing overflows or cancels.
    return np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z)))


def _binary_cross_entropy_gradient(y: Array, z: Array, parameter: float) -> Array:
    return np.asarray(sigmoid(z) - y)


def _cross_entropy(y: Array, z: Array, parameter: float) -> Array:
    return -y * log_softmax(z)


def _cross_entropy_gradient(y: Array, z: Array, parameter: float) -> Array:
    return np.asarray(softmax(z) * y.sum(axis=-1, keepdims=True) - y)


LOSSES: Mapping[str, LossFunction] = MappingProxyType(
    {
        loss.name: loss
        for loss in (
            LossFunction("mse", _mse, _mse_gradient),
            LossFunction("mae", _mae, _mae_gradient),
            LossFunction("huber", _huber, _huber_gradient),
            LossFunction("quantile", _quantile, _quantile_gradient),
            LossFunction("poisson", _poisson, _poisson_gradient),
            LossFunction("binary_cross_entropy", _binary_cross_entropy, _binary_cross_entropy_gradient),
            LossFunction("cross_entropy", _cross_entropy, _cross_entropy_gradient, mean_over="rows"),
        )
    }
)
"""The losses by name."""


def function_of(loss: Loss) -> LossFunction:
    """Return what computes a loss of `fastnn.losses`, or one of the user's own."""
    if isinstance(loss, CustomLoss):
        return LossFunction(loss.name, lambda y, p, _: loss.value(y, p), lambda y, p, _: loss.gradient(y, p))
    return LOSSES[loss.name]


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
        If the shapes differ or there is nothing to average.

    Examples
    --------
    >>> mse_loss([[1.0], [2.0]], [[1.0], [4.0]])
    2.0
    """
    y, p = checked_pair(y_true, y_pred)
    return float(np.mean(_mse(y, p, 0.0)))


def binary_cross_entropy(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Return the mean over all elements of -(y log(p) + (1 - y) log(1 - p)), where 0 log(0) is 0.

    Parameters
    ----------
    y_true : array-like
        Targets from 0 to 1.
    y_pred : array-like of the same shape
        Predicted probabilities; a certainty that proves wrong costs infinity.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the shapes differ, there is nothing to average, or `y_pred` leaves [0, 1].

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
        Rows of predicted probabilities; a class that was given none costs infinity.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the shapes don't fit, there is nothing to average, a label is out of range, or `y_pred` leaves [0, 1].

    Examples
    --------
    >>> cross_entropy([1, 0], [[0.0, 1.0], [1.0, 0.0]])
    0.0
    """
    y, p = checked_classes(y_true, y_pred)
    with np.errstate(divide="ignore"):
        terms = _times(y, np.log(p))
    return float(0.0 - np.mean(terms.sum(axis=1)))


def one_hot(argument: str, y: NDArray[Any], n_classes: int, row_weights: NDArray[np.float64] | None = None) -> NDArray[Any]:
    """Return integer labels (n,) as rows with a single 1, (n, n_classes); anything else as it is.

    Rows of weight 0 may have any label.
    """
    if y.ndim != 1 or y.dtype.kind not in "biu":
        return y
    wrong = (y < 0) | (y >= n_classes)
    if row_weights is not None and row_weights.shape == y.shape:
        wrong &= row_weights != 0
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(f"{argument}: got label {y[row]} in row {row}, expected 0 to {n_classes - 1}")
    return np.asarray(y[:, np.newaxis] == np.arange(n_classes), dtype=np.float64)


def checked_pair(
    y_true: ArrayLike, y_pred: ArrayLike, *, probabilities: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both in float64 after making sure that no broadcasting hides a mistake."""
    y, p = as_float("y_true", y_true), as_float("y_pred", y_pred)
    if y.shape != p.shape:
        raise ValueError(f"y_true: got shape {y.shape}, expected {p.shape}, the shape of y_pred")
    if p.size == 0:
        raise ValueError(f"y_pred: got shape {p.shape}, expected at least one element")
    wrong = (p < 0) | (p > 1)
    if probabilities and wrong.any():
        raise ValueError(f"y_pred: got {p[wrong][0]}, expected probabilities from 0 to 1")
    return y.astype(np.float64), p.astype(np.float64)


def checked_classes(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return rows of probabilities in float64, the targets' first."""
    p = as_float("y_pred", y_pred)
    if p.ndim != 2:
        raise ValueError(f"y_pred: got shape {p.shape}, expected (n, n_classes)")
    return checked_pair(one_hot("y_true", np.asarray(y_true), p.shape[1]), p, probabilities=True)


def _times(y: Array, logarithm: Array) -> Array:
    """Return y * logarithm, and 0 where y = 0 even if the logarithm is infinite."""
    return np.multiply(y, logarithm, out=np.zeros_like(logarithm), where=y != 0)
