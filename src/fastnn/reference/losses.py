"""Losses: value and gradient, side by side.

In the formulas, y is the target and p is the prediction. For a loss with links (see `fastnn.losses.Loss`), p is the input
of the output activation: a logit, or the logarithm of a rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from fastnn._checks.floats import Array
from fastnn.reference.row_losses import (
    cosine,
    cosine_gradient,
    gaussian_nll,
    gaussian_nll_gradient,
    kl_divergence,
    multi_quantile,
    multi_quantile_gradient,
    weighted_kl_divergence,
)
from fastnn.reference.sigmoids import sigmoid
from fastnn.reference.softmax import log_softmax, row_sums, softmax

__all__ = ["LOSSES", "LossFunction"]
__dir__ = __all__.copy

_Formula: TypeAlias = Callable[[Array, Array, Any], Array]


@dataclass(frozen=True)
class LossFunction:
    """A loss of the reference. Its functions take y (rows, targets), p (rows, outputs) and the loss's parameter.

    The parameter is `parameter` of a `fastnn.losses.Loss`, or an array of it and the `parameters` of the loss, if any.

    Attributes
    ----------
    name : str
        The name that trainers take.
    value : callable
        Returns the terms whose mean is the loss, (rows, any number).
    gradient : callable
        Returns the gradient of the sum of these terms with respect to p, (rows, outputs).
    mean_over : {"elements", "rows"}
        The loss is the sum of all terms, divided by the number of elements of y or of rows.

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
    return (p - y) * (p - y)


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
    return (np.where(error > 0, -q, 1 - q) * np.abs(np.sign(error))).astype(p.dtype)


def _poisson(y: Array, z: Array, parameter: float) -> Array:
    likelihood = np.exp(z) - y * z
    if parameter == 0.0:
        return likelihood
    # Half the deviance, which is 0 where exp(z) = y.
    return likelihood + np.where(y > 0, y * np.log(y) - y, np.zeros_like(y))


def _poisson_gradient(y: Array, z: Array, parameter: float) -> Array:
    return np.exp(z) - y


def cut(terms: Array, epsilon: float) -> Array:
    """Return the values -log(p) that result from clipping p to [epsilon, 1 - epsilon]. epsilon 0 changes nothing."""
    low = -math.log1p(-epsilon) if epsilon > 0 else -math.inf
    high = -math.log(epsilon) if epsilon > 0 else math.inf
    return np.minimum(np.maximum(terms, low), high)


def _binary_cross_entropy(y: Array, z: Array, epsilon: float) -> Array:
    # -y log(s) - (1 - y) log(1 - s) with s = sigmoid(z), rewritten so that nothing overflows or cancels.
    return cut(np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z))), epsilon)


def _binary_cross_entropy_gradient(y: Array, z: Array, parameter: float) -> Array:
    return np.asarray(sigmoid(z) - y)


def _cross_entropy(y: Array, z: Array, epsilon: float) -> Array:
    return y * cut(-log_softmax(z), epsilon)


def _cross_entropy_gradient(y: Array, z: Array, parameter: float) -> Array:
    return np.asarray(softmax(z) * row_sums(y) - y)


def _focal_binary(y: Array, z: Array, parameters: Array) -> Array:
    gamma = parameters[1]
    rest = np.log1p(np.exp(-np.abs(z)))
    one, zero = np.maximum(-z, 0) + rest, np.maximum(z, 0) + rest  # -log of the probabilities of 1 and of 0
    return np.asarray((y * np.exp(-gamma * zero) * one + (1 - y) * np.exp(-gamma * one) * zero).astype(z.dtype))


def _focal_binary_gradient(y: Array, z: Array, parameters: Array) -> Array:
    gamma = parameters[1]
    rest = np.log1p(np.exp(-np.abs(z)))
    one, zero = np.maximum(-z, 0) + rest, np.maximum(z, 0) + rest
    if_one = np.exp(-gamma * zero) * (gamma * sigmoid(z) * one + sigmoid(-z))
    if_zero = np.exp(-gamma * one) * (gamma * sigmoid(-z) * zero + sigmoid(z))
    return np.asarray(((1 - y) * if_zero - y * if_one).astype(z.dtype))


def _focal(y: Array, z: Array, parameters: Array) -> Array:
    s = np.maximum(-log_softmax(z), 0)
    return np.asarray((y * (-np.expm1(-s)) ** parameters[1] * s).astype(z.dtype))


def _focal_gradient(y: Array, z: Array, parameters: Array) -> Array:
    gamma, s = parameters[1], np.maximum(-log_softmax(z), 0)
    rest = -np.expm1(-s)  # 1 - p
    ratio = np.where(rest > 0, s / np.where(rest > 0, rest, np.ones_like(rest)), np.ones_like(rest))
    by_log = -y * rest**gamma * (gamma * np.exp(-s) * ratio + 1)  # the derivative with respect to log(p)
    return np.asarray((by_log - np.exp(-s) * row_sums(by_log)).astype(z.dtype))


def _hinge(y: Array, p: Array, margin: float) -> Array:
    return np.maximum(margin - y * p, 0)


def _hinge_gradient(y: Array, p: Array, margin: float) -> Array:
    return np.where(y * p < margin, -y, np.zeros_like(y))


def _squared_hinge(y: Array, p: Array, margin: float) -> Array:
    return np.maximum(margin - y * p, 0) ** 2


def _squared_hinge_gradient(y: Array, p: Array, margin: float) -> Array:
    return -2 * y * np.maximum(margin - y * p, 0)


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
            LossFunction("gaussian_nll", gaussian_nll, gaussian_nll_gradient),
            LossFunction("multi_quantile", multi_quantile, multi_quantile_gradient),
            LossFunction("kl_divergence", kl_divergence, _cross_entropy_gradient, mean_over="rows"),
            LossFunction("cosine", cosine, cosine_gradient, mean_over="rows"),
            LossFunction("hinge", _hinge, _hinge_gradient),
            LossFunction("squared_hinge", _squared_hinge, _squared_hinge_gradient),
        )
    }
)
"""The losses by name, in the order of the kernels."""

# The focal cross-entropies, whose only parameter is gamma, and losses with weights of classes in the value.
_WITH_PARAMETERS: Mapping[str, LossFunction] = MappingProxyType(
    {
        loss.name: loss
        for loss in (
            LossFunction("binary_cross_entropy", _focal_binary, _focal_binary_gradient),
            LossFunction("cross_entropy", _focal, _focal_gradient, mean_over="rows"),
            LossFunction("kl_divergence", weighted_kl_divergence, _cross_entropy_gradient, mean_over="rows"),
        )
    }
)


def function_named(name: str, parameters: tuple[float, ...]) -> LossFunction:
    """Return the functions of a built-in loss with these parameters."""
    return _WITH_PARAMETERS[name] if parameters and name in _WITH_PARAMETERS else LOSSES[name]
