"""Losses in the form that the front doors pass: means over weighted rows, and their gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import reference
from fastnn._engine.losses import NativeLoss
from fastnn._engine.portable._compile import formula, runnable
from fastnn._engine.portable._rows import Array
from fastnn.reference.losses import function_of

# The reciprocal of a sum of weights below this would overflow; the mean is 0 then.
_MIN_WEIGHT = 1e-290
# Weights whose sum is a smaller share of the sum of their magnitudes cancel but for rounding.
_CANCELLED = 2.0**-50


class MeanLoss:
    """The mean of a loss over weighted rows, and its gradient."""

    def __init__(self, loss: NativeLoss) -> None:
        name, parameter, from_logits, per_row, factor, value_factor, custom, signed_mean = loss[:8]
        self._given = bool(loss.given)  # the targets are the gradient by the outputs
        if self._given:
            name = "mse"  # its functions are not called
        self._function = reference.LOSSES[name] if custom is None else function_of(custom)
        self._weighted = runnable(weighted, value=self._function.value, gradient=self._function.gradient)
        self._parameter, self._per_row = float(parameter), bool(per_row)
        self._factor = float(factor)  # of loss and gradient
        self._value_factor = float(value_factor)  # of the loss alone
        self.from_logits = bool(from_logits)  # the loss contains the output activation
        self.signed_mean = bool(signed_mean)  # the mean divides by the weights' sum, else by the sum of their magnitudes

    def divisors(self, magnitudes: Any, sums: Any) -> Any:
        """Return what weighted means are divided by: 0 where weights of both signs sum to 0 but for rounding.

        Both arguments are sums over the rows of batches, that of the weights' magnitudes and that of the weights.
        """
        if not self.signed_mean:
            return magnitudes
        return np.where(np.abs(sums) > _CANCELLED * magnitudes, sums, 0.0)

    def compute(self, y: Array, p: Array, weight: NDArray[np.float64], divisor: float, delta: Array) -> float:
        """Return the loss of predictions p for targets y, both (rows, n_out), and make delta its gradient.

        The loss is the share of these rows in a mean over rows that weigh `divisor`.
        """
        if self._given:
            delta[...] = y
            return float(np.sum(p - p))  # which shows whether the outputs are finite
        if divisor == 0.0 or (not self.signed_mean and divisor < _MIN_WEIGHT):
            delta[...] = 0.0
            return 0.0
        factor = self._factor / (divisor * (1 if self._per_row else p.shape[1]))
        value = float(self._weighted(y, p, self._parameter, factor, weight, delta))
        if not math.isfinite(value):  # is it a row of weight 0, which may hold anything?
            counted = weight != 0.0
            delta[...] = 0.0
            of_counted = np.empty_like(p[counted])
            value = float(self._weighted(y[counted], p[counted], self._parameter, factor, weight[counted], of_counted))
            delta[counted] = of_counted
        return self._value_factor * value


# ---- Functions of arrays, which Numba compiles ----

value = gradient = formula  # of the loss


def weighted(y: Array, p: Array, parameter: float, factor: float, weight: NDArray[np.float64], delta: Array) -> float:
    """Return the sum of the loss's terms, and make delta their gradient, both times factor and the weights of their rows."""
    shares = (factor * weight).reshape(-1, 1)
    np.multiply(shares, gradient(y, p, parameter), delta)
    return np.sum(shares * value(y, p, parameter))  # type: ignore[no-any-return]
