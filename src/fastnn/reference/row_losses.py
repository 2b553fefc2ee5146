"""The formulas of losses of whole rows: terms and gradients, from targets y and predictions p or logits z."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.reference.sigmoids import sigmoid
from fastnn.reference.softmax import log_softmax, row_sums

__all__ = [
    "cosine",
    "cosine_gradient",
    "gaussian_nll",
    "gaussian_nll_gradient",
    "kl_divergence",
    "multi_quantile",
    "multi_quantile_gradient",
]
__dir__ = __all__.copy

_Array = NDArray[Any]

# The constant with which PyTorch avoids division by a length of 0.
_EPSILON = 1e-12


def gaussian_nll(y: _Array, p: _Array, floor: float) -> _Array:
    """Return (s + (y - m)**2 * exp(-s)) / 2 for the means m and log-variances s in p; see `GaussianNLL` for s < floor."""
    k = y.shape[1]
    bounded = np.maximum(p[:, k:], floor)
    square = (p[:, :k] - y) ** 2 * np.exp(-bounded)
    return np.asarray(0.5 * (bounded + square) + np.minimum(0.5 * (1 - square), 0) * (p[:, k:] - bounded))


def gaussian_nll_gradient(y: _Array, p: _Array, floor: float) -> _Array:
    """Return the gradient of `gaussian_nll` with respect to p."""
    k = y.shape[1]
    bounded = np.maximum(p[:, k:], floor)
    error, precision = p[:, :k] - y, np.exp(-bounded)
    derivative = 0.5 * (1 - error**2 * precision)
    stretch = 1 - np.where(derivative < 0, p[:, k:] - bounded, np.zeros_like(bounded))
    by_log_variance = np.where(p[:, k:] < floor, np.minimum(derivative, 0), derivative)
    return np.concatenate((error * precision * stretch, by_log_variance), axis=1).astype(p.dtype)


def multi_quantile(y: _Array, p: _Array, parameters: _Array) -> _Array:
    """Return the pinball losses of all quantiles, divided by their number.

    The first parameter is 1.0 if quantiles are sums of increments, and otherwise 0.0. The others are the probabilities of
    the quantiles.
    """
    quantiles, k = _quantiles(p, y.shape[1], parameters), y.shape[1]
    terms = np.empty_like(p)
    for i in range(p.shape[1]):
        q, error = parameters[1 + i // k], y[:, i % k] - quantiles[:, i]
        terms[:, i] = np.maximum(q * error, (q - 1) * error) / (len(parameters) - 1)
    return terms


def multi_quantile_gradient(y: _Array, p: _Array, parameters: _Array) -> _Array:
    """Return the gradient of `multi_quantile` with respect to p."""
    quantiles, k = _quantiles(p, y.shape[1], parameters), y.shape[1]
    gradient = np.empty_like(p)
    for i in range(p.shape[1]):
        q, error = parameters[1 + i // k], y[:, i % k] - quantiles[:, i]
        gradient[:, i] = np.where(error > 0, -q, 1 - q) * np.abs(np.sign(error)) / (len(parameters) - 1)
    if parameters[0] != 0:
        for i in range(p.shape[1] - k - 1, -1, -1):  # an increment is part of all later quantiles
            gradient[:, i] += gradient[:, i + k]
        gradient[:, k:] *= sigmoid(p[:, k:])
    return gradient


def _quantiles(p: _Array, k: int, parameters: _Array) -> _Array:
    quantiles = p.copy()
    if parameters[0] != 0:
        for i in range(k, p.shape[1]):
            softplus = np.maximum(p[:, i], 0) + np.log1p(np.exp(-np.abs(p[:, i])))
            quantiles[:, i] = quantiles[:, i - k] + softplus
    return quantiles


def kl_divergence(y: _Array, z: _Array, parameter: float) -> _Array:
    """Return y * (log(y) - log(softmax(z))), where 0 * log(0) is 0."""
    positive = np.where(y > 0, y, np.ones_like(y))
    return np.asarray(y * (np.log(positive) - log_softmax(z)))


def weighted_kl_divergence(y: _Array, z: _Array, parameters: _Array) -> _Array:
    """Return the same for targets y that are multiplied by weights of classes, whose logarithms are parameters[1:]."""
    return np.asarray(kl_divergence(y, z, 0.0) - (y * parameters[1:]).astype(z.dtype))


def cosine(y: _Array, p: _Array, parameter: float) -> _Array:
    """Return one minus the cosine of the angle between the rows of y and of p, as an array (rows, 1)."""
    lengths = np.sqrt(row_sums(p * p) + _EPSILON) * np.sqrt(row_sums(y * y) + _EPSILON)
    return np.asarray(1 - row_sums(y * p) / lengths)


def cosine_gradient(y: _Array, p: _Array, parameter: float) -> _Array:
    """Return the gradient of `cosine` with respect to p."""
    square = row_sums(p * p) + _EPSILON
    lengths = np.sqrt(square) * np.sqrt(row_sums(y * y) + _EPSILON)
    return np.asarray((row_sums(y * p) / square * p - y) / lengths)
