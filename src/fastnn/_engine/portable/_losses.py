"""Losses: value and gradient, side by side. Poisson and the cross-entropies take logits z, the others outputs a.

p, the prediction, y, the target, and what is made of them are vectors, one row of n outputs after the other; kind is the
place in `LOSSES`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from fastnn._engine.portable._activations import maxima_of_rows, softmax, sums_of_rows
from fastnn._engine.portable._compile import put, shared

LOSSES = ("mse", "mae", "huber", "quantile", "poisson", "binary_cross_entropy", "cross_entropy")
MSE, MAE, HUBER, QUANTILE, POISSON, BINARY_CROSS_ENTROPY, CROSS_ENTROPY = range(len(LOSSES))

# The reciprocal of a sum of weights below this would overflow; the mean is 0 then.
LEAST_WEIGHT = 1e-290
# Weights whose sum is less of the sum of their magnitudes cancel but for rounding.
CANCELLED = 2.0**-50


class Loss(NamedTuple):
    """A loss in the terms of the step."""

    kind: int
    parameter: float
    from_logits: bool  # the loss contains the output activation
    per_row: bool  # the mean is over rows, not over elements
    factor: float  # of loss and gradient
    value_factor: float  # of the loss alone
    signed_mean: bool  # weights are divided by their sum, which may be below 0; else by the sum of their magnitudes


def loss_of(loss: tuple[Any, ...]) -> Loss:
    """Return the loss that a tuple names; none of the user's own, which native code alone can call."""
    name, parameter, from_logits, per_row, factor, value_factor, custom, signed_mean = loss[:8]
    if custom is not None:
        raise TypeError(
            f"loss: got {custom!r}, which needs fastnn's compiled extension; expected one of {', '.join(LOSSES)}"
        )
    numbers = float(parameter), bool(from_logits), bool(per_row), float(factor), float(value_factor)
    return Loss(LOSSES.index(name), *numbers, bool(signed_mean))


@shared
def divisor(loss: Loss, sample_weight: Any) -> float:
    """Return what a weighted mean is divided by: 0 where weights of both signs sum to 0 but for rounding."""
    magnitudes = np.sum(np.abs(sample_weight))
    if not loss.signed_mean:
        return magnitudes  # type: ignore[no-any-return]
    total = np.sum(sample_weight)
    return total if abs(total) > CANCELLED * magnitudes else 0.0


@shared
def values(kind: int, parameter: float, p: Any, y: Any, n: int, terms: Any) -> None:
    """Make terms the loss of every element."""
    if kind == MSE:
        put(terms, (p - y) * (p - y))
    elif kind == MAE:
        put(terms, np.abs(p - y))
    elif kind == HUBER:  # parameter: delta
        size = np.abs(p - y)
        near = np.minimum(size, parameter)
        put(terms, near * (size - 0.5 * near))
    elif kind == QUANTILE:  # parameter: q
        put(terms, np.maximum(parameter * (y - p), (parameter - 1.0) * (y - p)))
    elif kind == POISSON:  # parameter: 1 for half the deviance, which is 0 where exp(z) = y
        put(terms, np.exp(p) - y * p)
        if parameter > 0.0:
            put(terms, terms + np.where(y > 0.0, y * np.log(y) - y, 0.0))
    elif kind == BINARY_CROSS_ENTROPY:
        put(terms, np.maximum(p, 0.0) - p * y + np.log1p(np.exp(-np.abs(p))))
        cut(parameter, terms)
    else:
        largest = maxima_of_rows(p, n)
        put(terms, largest + np.log(sums_of_rows(np.exp(p - largest), n)) - p)
        cut(parameter, terms)
        terms *= y


@shared
def gradients(kind: int, parameter: float, p: Any, y: Any, n: int, delta: Any) -> None:
    """Make delta the derivative by p of the sum of `values`."""
    if kind == MSE:
        put(delta, 2.0 * (p - y))
    elif kind == MAE:
        put(delta, np.sign(p - y))
    elif kind == HUBER:
        put(delta, np.minimum(np.maximum(p - y, -parameter), parameter))
    elif kind == QUANTILE:
        put(delta, np.abs(np.sign(p - y)) * np.where(p < y, -parameter, 1.0 - parameter))
    elif kind == POISSON:
        put(delta, np.exp(p) - y)
    elif kind == BINARY_CROSS_ENTROPY:
        put(delta, 1.0 / (1.0 + np.exp(-p)) - y)
    else:
        put(delta, softmax(p, n) * sums_of_rows(y, n) - y)


@shared
def cut(epsilon: float, terms: Any) -> None:
    """Make of values -log(p) those of probabilities p cut to [epsilon, 1 - epsilon], if epsilon is not 0."""
    if epsilon > 0.0:
        put(terms, np.minimum(np.maximum(terms, -math.log1p(-epsilon)), -math.log(epsilon)))
