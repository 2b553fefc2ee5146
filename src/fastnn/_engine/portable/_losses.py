"""Losses in the form in which the front doors pass them: means over weighted rows, and their gradients."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._engine.losses import NativeHead, NativeLoss
from fastnn._engine.portable._compile import formula, pointer, runnable
from fastnn._engine.portable._rows import Array
from fastnn.reference.loss_functions import Part, of_custom, of_heads, packed
from fastnn.reference.losses import LOSSES, LossFunction, function_named
from fastnn.reference.target_options import WeightedTargets, for_columns, weighted_targets

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

# The reciprocal of a smaller sum of weights would overflow. The mean is 0 in that case.
_MIN_WEIGHT = 1e-290
# If the ratio of the sum of weights to the sum of their magnitudes is smaller, the sum is only a rounding error.
_CANCELLED = 2.0**-50
# The beginning of a single batch.
_FIRST = np.zeros(1, np.int64)


class MeanLoss:
    """The mean of a loss over weighted rows, and its gradient."""

    def __init__(self, loss: NativeLoss) -> None:
        self.is_given = loss.given  # whether the targets are the gradient with respect to the outputs
        self._function = LOSSES["mse"] if loss.given else _function(loss)
        self._weighted = runnable(weighted, value=self._function.value, gradient=self._function.gradient)
        self.parameter, self.per_row = packed(loss.parameter, loss.parameters), loss.per_row
        self._factor, self.value_factor = loss.factor, loss.value_factor
        self.from_logits, self.signed_mean = loss.from_logits, loss.signed_mean
        self._n_targets, self._options = loss.n_targets, loss.targets
        self._label_smoothing = loss.targets.label_smoothing
        self._has_options = loss.targets.act_on_targets
        optional = any(head.loss.targets.act_on_targets for head in loss.heads)
        self._heads = [_Head(head) for head in loss.heads] if optional else []

    def smooth(self, factor: float) -> None:
        """Weigh the next targets with the label smoothing of the loss times a factor."""
        self._options = self._options._replace(label_smoothing=factor * self._label_smoothing)

    def n_targets(self, n_out: int) -> int:
        """Return the number of columns of the targets."""
        return self._n_targets or n_out

    def divisors(self, magnitudes: Any, sums: Any) -> Any:
        """Return the divisors of weighted means, or 0 where weights of both signs sum to 0 up to rounding.

        Both arguments are sums over the rows of batches: of the magnitudes of the weights, and of the weights.
        """
        if not self.signed_mean:
            return magnitudes
        return np.where(np.abs(sums) > _CANCELLED * magnitudes, sums, 0.0)

    def weigh(
        self, y: Array, weight: NDArray[np.float64], labels: bool, starts: NDArray[np.int64] = _FIRST
    ) -> WeightedTargets:
        """Return targets after the loss's options are applied. Their `rows` contain the weights of the samples.

        `starts` has the first row of each batch, within which each head has a mean of its own.
        """
        if self._heads:
            parts = [head.weigh(y, weight, starts) for head in self._heads]
            return WeightedTargets(
                np.hstack([part.y for part in parts]), np.hstack([part.elements for part in parts]), weight
            )
        if not self._has_options:
            return WeightedTargets(y, np.ones((len(y), 1)), weight)
        targets = weighted_targets(y, self._options, labels=labels)
        return targets._replace(rows=targets.rows * weight)

    def compute(
        self, y: Array, p: Array, weight: NDArray[np.float64], elements: NDArray[np.float64], divisor: float, delta: Array
    ) -> float:
        """Return the loss of predictions p (rows, n_out) for targets y, and set delta to its gradient.

        The loss is the contribution of these rows to a mean over rows whose total weight is `divisor`. The weight of an
        element is the product of the weight of its row and that of `elements`.
        """
        if self.is_given:
            delta[...] = y
            return float(np.sum(p - p))  # which shows whether the outputs are finite
        if not self.has_mean(divisor):
            delta[...] = 0.0
            return 0.0
        if self._heads:
            return self._sum_of_heads(y, p, weight, elements, divisor, delta)
        shares = self.shares(y, weight, elements, divisor)
        if shares.shape[1] == 1:
            value = float(self._weighted(y, p, self.parameter, shares, delta))
            if math.isfinite(value):
                return self.value_factor * value
        # Elements of weight 0 may contain anything.
        terms, gradients = (f(y, p, self.parameter) for f in (self._function.value, self._function.gradient))
        shares_of_terms, shares = for_columns(shares, terms.shape[1]), for_columns(shares, p.shape[1])
        delta[...] = np.where(shares == 0.0, 0.0, gradients) * shares
        value = float(np.sum(np.where(shares_of_terms == 0.0, 0.0, terms) * shares_of_terms))
        return self.value_factor * value

    def has_mean(self, divisors: Any) -> Any:
        """Return whether the mean over rows with these divisors, one or an array, is not 0 by definition."""
        return (divisors != 0.0) & (self.signed_mean | (divisors >= _MIN_WEIGHT))

    def shares(self, y: Array, weight: NDArray[np.float64], elements: NDArray[np.float64], divisors: Any) -> Array:
        """Return the factors of the terms of rows, like `elements`, with one divisor for all rows or one per row."""
        factors = self._factor / (divisors * (1 if self.per_row else y.shape[1]))
        shares: Array = (factors * weight).reshape(-1, 1) * elements
        return shares

    def pointer(self, dtype: DTypeLike) -> int | None:
        """Return the address of `weighted`, or None if only Python can evaluate the loss."""
        if self.is_given or self._heads:
            return None
        rows, shares = np.empty((1, 1), dtype), np.empty((1, 1))
        arguments = rows, rows, self.parameter, shares, rows
        return pointer(weighted, "float64", arguments, value=self._function.value, gradient=self._function.gradient)

    def _sum_of_heads(
        self, y: Array, p: Array, weight: NDArray[np.float64], elements: NDArray[np.float64], divisor: float, delta: Array
    ) -> float:
        value, first = 0.0, 0
        for head in self._heads:
            own = slice(first, first + head.n_targets)
            shares = elements[:, first : first + (1 if head.mean.per_row else head.n_targets)]
            by_output = np.empty((len(p), head.columns.stop - head.columns.start), p.dtype)
            value += head.mean.compute(y[:, own], p[:, head.columns], weight, shares, divisor, by_output)
            delta[:, head.columns] = by_output
            first = own.stop
        return value


class _Head:
    """The loss of certain columns of the outputs, whose targets have options."""

    def __init__(self, head: NativeHead) -> None:
        self._labels, self._weight, self.mean = head.labels, head.weight, MeanLoss(head.loss)
        self.columns = slice(head.first, head.first + head.n_out)
        self.n_targets = head.loss.n_targets
        self._targets = slice(head.first_target, head.first_target + (1 if head.labels else self.n_targets))

    def weigh(self, y: Array, weight: NDArray[np.float64], starts: NDArray[np.int64]) -> WeightedTargets:
        """Return the targets of the head and their weights (n, n_targets), for the divisor of the mean over all rows."""
        own = y[:, self._targets]
        if self._labels:
            own = (own == np.arange(self.n_targets)).astype(y.dtype)
        targets = self.mean.weigh(own, weight, self._labels)
        total, of_head = (np.add.reduceat(np.abs(w), starts) for w in (weight, targets.rows))
        ratios = np.divide(total, of_head, out=np.zeros_like(total), where=of_head >= _MIN_WEIGHT)
        of_rows = self._weight * np.repeat(ratios, np.diff(starts, append=len(y)))
        elements = np.broadcast_to(targets.elements * of_rows[:, np.newaxis], own.shape)
        return targets._replace(elements=elements)


def _function(loss: NativeLoss) -> LossFunction:
    if loss.heads:
        return of_heads([_part(head) for head in loss.heads])
    return function_named(loss.name, loss.parameters) if loss.custom is None else of_custom(loss.custom)


def _part(head: NativeHead) -> Part:
    n_targets = 1 if head.labels else head.loss.n_targets
    columns, targets = slice(head.first, head.first + head.n_out), slice(head.first_target, head.first_target + n_targets)
    parameter = packed(head.loss.parameter, head.loss.parameters)
    return Part(columns, targets, head.labels, head.weight, _function(head.loss), parameter)


# ---- Functions of arrays, which Numba compiles ----

value = gradient = formula  # formulas of the loss


def weighted(y: Array, p: Array, parameter: Any, shares: NDArray[np.float64], delta: Array) -> float:
    """Return the sum of the loss's terms, and set delta to their gradient, both times the shares (rows, 1) of the rows."""
    np.multiply(shares, gradient(y, p, parameter), delta)
    return np.sum(shares * value(y, p, parameter))  # type: ignore[no-any-return]
