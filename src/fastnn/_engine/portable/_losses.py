"""Losses, which the front doors pass as tuples: means over weighted rows, and their gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import reference
from fastnn._engine.portable._compile import formula, runnable
from fastnn._engine.portable._rows import Array
from fastnn.reference.losses import function_of

# The reciprocal of a smaller sum of weights would overflow. The mean is 0 in that case.
_MIN_WEIGHT = 1e-290
# If the ratio of the sum of weights to the sum of their magnitudes is smaller, the sum is only a rounding error.
_CANCELLED = 2.0**-50


class MeanLoss:
    """The mean of a loss over weighted rows, and its gradient."""

    def __init__(self, loss: tuple[Any, ...]) -> None:
        name, parameter, from_logits, per_row, factor, value_factor, custom, signed_mean = loss[:8]
        self._function = reference.LOSSES[name] if custom is None else function_of(custom)
        self._weighted = runnable(weighted, value=self._function.value, gradient=self._function.gradient)
        self._parameter, self._per_row = float(parameter), bool(per_row)
        self._factor = float(factor)  # multiplies loss and gradient
        self._value_factor = float(value_factor)  # multiplies only the loss
        self.from_logits = bool(from_logits)  # whether the loss contains the output activation
        self.signed_mean = bool(signed_mean)  # divides by the sum of weights, and not of magnitudes

    def divisors(self, magnitudes: Any, sums: Any) -> Any:
        """Return the divisors of weighted means, or 0 where weights of both signs sum to 0 up to rounding.

        Both arguments are sums over the rows of batches: of the magnitudes of the weights, and of the weights.
        """
        if not self.signed_mean:
            return magnitudes
        return np.where(np.abs(sums) > _CANCELLED * magnitudes, sums, 0.0)

    def compute(self, y: Array, p: Array, weight: NDArray[np.float64], divisor: float, delta: Array) -> float:
        """Return the loss of predictions p for targets y, both (rows, n_out), and set delta to its gradient.

        The loss is the contribution of these rows to a mean over rows whose total weight is `divisor`.
        """
        if divisor == 0.0 or (not self.signed_mean and divisor < _MIN_WEIGHT):
            delta[...] = 0.0
            return 0.0
        factor = self._factor / (divisor * (1 if self._per_row else p.shape[1]))
        value = float(self._weighted(y, p, self._parameter, factor, weight, delta))
        if not math.isfinite(value):  # the cause may be a row of weight 0
            counted = weight != 0.0
            delta[...] = 0.0
            of_counted = np.empty_like(p[counted])
            value = float(self._weighted(y[counted], p[counted], self._parameter, factor, weight[counted], of_counted))
            delta[counted] = of_counted
        return self._value_factor * value


# ---- Functions of arrays, which Numba compiles ----

value = gradient = formula  # formulas of the loss


def weighted(y: Array, p: Array, parameter: float, factor: float, weight: NDArray[np.float64], delta: Array) -> float:
    """Return the sum of the loss's terms, and set delta to their gradient, both times factor and the rows' weights."""
    shares = (factor * weight).reshape(-1, 1)
    np.multiply(shares, gradient(y, p, parameter), delta)
    return np.sum(shares * value(y, p, parameter))  # type: ignore[no-any-return]
