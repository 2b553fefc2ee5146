"""Losses in the form that the front doors pass, a tuple: means over weighted rows, and their gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import reference
from fastnn._engine.portable._compile import formula, runnable
from fastnn._engine.portable._rows import Array
from fastnn.reference.losses import function_of
from fastnn.reference.target_options import WeightedTargets, weighted_targets

# The reciprocal of a sum of weights below this would overflow; the mean is 0 then.
_MIN_WEIGHT = 1e-290
# Weights whose sum is a smaller share of the sum of their magnitudes cancel but for rounding.
_CANCELLED = 2.0**-50


class MeanLoss:
    """The mean of a loss over weighted rows, and its gradient."""

    def __init__(self, loss: tuple[Any, ...]) -> None:
        name, parameter, from_logits, per_row, factor, value_factor, custom, signed_mean, _, self._options = loss
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

    def weigh(self, y: Array, weight: NDArray[np.float64], labels: bool) -> WeightedTargets:
        """Return targets with the loss's options applied; `rows` has the weights of the samples in it.

        Without options, `elements` has a single 1 per row, for all of its outputs.
        """
        if not any(self._options):
            return WeightedTargets(y, np.ones((len(y), 1)), weight)
        whole_rows = self._function.mean_over == "rows"
        targets = weighted_targets(y, self._options, whole_rows=whole_rows, labels=labels)
        return targets._replace(rows=targets.rows * weight)

    def compute(
        self, y: Array, p: Array, weight: NDArray[np.float64], elements: NDArray[np.float64], divisor: float, delta: Array
    ) -> float:
        """Return the loss of predictions p for targets y, both (rows, n_out), and make delta its gradient.

        The loss is the share of these rows in a mean over rows that weigh `divisor`. The weight of an element is the
        product of those of its row and of `elements`.
        """
        if divisor == 0.0 or (not self.signed_mean and divisor < _MIN_WEIGHT):
            delta[...] = 0.0
            return 0.0
        factor = self._factor / (divisor * (1 if self._per_row else p.shape[1]))
        shares = (factor * weight).reshape(-1, 1) * elements
        value = float(self._weighted(y, p, self._parameter, shares, delta))
        if not math.isfinite(value):  # is it an element of weight 0, which may be anything?
            counted = np.broadcast_to(shares != 0.0, p.shape)
            value = float(np.sum(shares * np.where(counted, self._function.value(y, p, self._parameter), 0.0)))
            delta[~counted] = 0.0
        return self._value_factor * value


# ---- Functions of arrays, which Numba compiles ----

value = gradient = formula  # of the loss


def weighted(y: Array, p: Array, parameter: float, shares: NDArray[np.float64], delta: Array) -> float:
    """Return the sum of the loss's terms, and make delta their gradient, both times their shares in the mean."""
    np.multiply(shares, gradient(y, p, parameter), delta)
    return np.sum(shares * value(y, p, parameter))  # type: ignore[no-any-return]
