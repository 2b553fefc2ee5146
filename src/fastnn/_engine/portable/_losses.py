"""Losses in the form that the front doors pass: a tuple of a name, parameters and factors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import reference
from fastnn._engine.portable._compile import runnable
from fastnn._engine.portable._rows import Array
from fastnn.reference.losses import LossFunction, function_of

# The reciprocal of a sum of weights below this would overflow; the mean is 0 then.
_MIN_WEIGHT = 1e-290
# Weights whose sum is a smaller share of the sum of their magnitudes cancel but for rounding.
_CANCELLED = 2.0**-50


class MeanLoss:
    """The mean of a loss over weighted rows, and its gradient."""

    def __init__(self, loss: tuple[str, float, bool, bool, float, float, Any, bool]) -> None:
        name, parameter, from_logits, per_row, factor, value_factor, custom, signed_mean = loss
        function: LossFunction = reference.LOSSES[name] if custom is None else function_of(custom)
        self._value, self._gradient = runnable(function.value), runnable(function.gradient)
        self._weighted = runnable(weighted)
        self._parameter, self._per_row = float(parameter), bool(per_row)
        self._factor = float(factor)  # of loss and gradient
        self._value_factor = float(value_factor)  # of the loss alone
        self.from_logits = bool(from_logits)  # the loss contains the output activation
        self.signed_mean = bool(signed_mean)  # the mean divides by the weights' sum, else by the sum of their magnitudes

    def divisors(self, magnitudes: NDArray[np.float64], sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what weighted means are divided by: 0 where weights of both signs sum to 0 but for rounding."""
        if not self.signed_mean:
            return magnitudes
        return np.where(np.abs(sums) > _CANCELLED * magnitudes, sums, 0.0)

    def compute(self, y: Array, p: Array, weight: NDArray[np.float64], divisor: float) -> tuple[float, Array]:
        """Return the loss of predictions p for targets y, both (rows, n_out), and its gradient with respect to p.

        It is the share of these rows in a mean over rows that weigh `divisor`.
        """
        undefined = divisor == 0.0 or (not self.signed_mean and divisor < _MIN_WEIGHT)
        factor = 0.0 if undefined else self._factor / (divisor * (1 if self._per_row else p.shape[1]))
        terms, gradient = self._value(y, p, self._parameter), self._gradient(y, p, self._parameter)
        delta = np.empty_like(p)
        return self._value_factor * float(self._weighted(terms, gradient, factor, weight, delta)), delta


def weighted(terms: Array, gradient: Array, factor: float, weight: NDArray[np.float64], delta: Array) -> float:
    """Return the sum of terms, and make delta the gradient, both times factor and the weights of their rows.

    Rows of weight 0 do not count, whatever they hold.
    """
    shares = (factor * weight).reshape(-1, 1)
    delta[...] = np.where(shares == 0.0, 0.0, shares * gradient)
    return np.sum(np.where(shares == 0.0, 0.0, shares * terms))  # type: ignore[no-any-return]
