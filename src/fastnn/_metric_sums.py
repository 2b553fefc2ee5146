"""The built-in metrics: which targets they take, and the sums over rows that they need.

The outputs and targets that count are those of the loss: targets that it omits as not observed do not count, and outputs
have its `output_weights`. The other options of a loss, such as weights of classes, do not change metrics.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastnn._engine import core as _core
from fastnn.losses import Heads, Loss

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn._configured import Configured

_Floats: TypeAlias = "NDArray[np.float64]"


class Accuracy:
    """The fraction of correct predictions: the most likely class, or the likelier of two classes per output."""

    def __init__(
        self, trainer: Configured, labels: bool, y: NDArray[Any], weight: _Floats | None, prefix: str, is_part: bool = False
    ) -> None:
        activation, loss = trainer.model.activations[-1], trainer.loss
        by_class = labels or loss.name == "cross_entropy" or activation == "softmax"
        if not by_class and loss.name != "binary_cross_entropy" and activation != "sigmoid":
            raise ValueError(
                f"metrics: 'accuracy' needs classes: loss 'cross_entropy' or 'binary_cross_entropy', or "
                f"output_activation 'softmax' or 'sigmoid', got loss {loss.name!r} and {activation!r}"
            )
        if not labels:
            _check_shape("accuracy", trainer, y, prefix)
            if loss.name not in ("cross_entropy", "binary_cross_entropy"):
                _check_zeros_and_ones(y, loss, prefix)
        self._threshold = 0.5 if activation == "sigmoid" else 0.0  # 0 for logits
        self._classes: NDArray[Any]
        self._of_outputs = None
        if by_class:
            self._classes, observed = _classes(y, labels)
        else:
            y, self._of_outputs = observed_targets(y, loss, y.shape[1])
            self._classes, observed = _sides(y, self._of_outputs)
        self._by_class, self._right, self._prefix = by_class, 0.0, prefix
        self._total = float(observed.sum() if weight is None else weight @ observed)
        if not is_part:
            self.use_totals(self.totals())

    def totals(self) -> _Floats:
        """Return what is added over parts of the data before a run: the weight of the rows that are observed."""
        return np.array([self._total])

    def use_totals(self, totals: _Floats) -> None:
        """Set the sums over all parts of the data, or raise ValueError if there is nothing to count."""
        self._total = float(totals[0])
        if self._total == 0:
            raise ValueError(f"metrics: 'accuracy' needs {self._prefix}y with a row that is observed as a whole, got none")

    def spread(self) -> _Floats:
        """Return nothing: accuracy needs no means over all parts."""
        return np.empty(0)

    def use_spread(self, spread: _Floats) -> None:
        """Do nothing."""

    def start(self) -> None:
        """Begin a new count."""
        self._right = 0.0

    def add(self, rows: slice, p: NDArray[Any], weight: _Floats | None) -> None:
        """Count the correct predictions of some rows."""
        if self._by_class:
            self._right += _core.right_classes(p, self._classes[rows], weight)
        else:
            self._right += _core.right_sides(p, self._classes[rows], self._threshold, weight, self._of_outputs)

    def sums(self) -> _Floats:
        """Return the count, which is added over parts of the data."""
        return np.array([self._right])

    def use_sums(self, sums: _Floats) -> None:
        """Set the count over all parts of the data."""
        self._right = float(sums[0])

    def values(self) -> dict[str, float]:
        """Return the fraction of correct predictions."""
        return {"accuracy": self._right / self._total}


def _check_zeros_and_ones(y: NDArray[Any], loss: Loss, prefix: str) -> None:
    if not ((y == 0) | (y == 1) | (y != y)).all():
        raise ValueError(f"metrics: 'accuracy' needs {prefix}y of zeros and ones with loss {loss.name!r}, got other values")


def _classes(y: NDArray[Any], labels: bool) -> tuple[NDArray[Any], _Floats]:
    """Return the class of each row, -1 if a target of the row is missing, and the weights of the rows: 1, and then 0."""
    if labels:
        return np.require(y, np.int64, ["C", "A"]), np.ones(len(y))
    missing = np.isnan(y).any(axis=1)
    classes = np.where(missing, -1, y.argmax(axis=1)).astype(np.int64)
    return classes, (~missing).astype(np.float64)


def _sides(y: NDArray[Any], of_outputs: _Floats | None) -> tuple[NDArray[Any], _Floats]:
    """Return 1 for each target above 1/2, 0 below, 2 if it is missing, and the weights of the rows."""
    missing = np.isnan(y)
    sides = np.where(missing, 2, y > 0.5).astype(np.uint8)
    weights = np.ones(y.shape[1]) if of_outputs is None else of_outputs
    return sides, ~missing @ weights


class Errors:
    """Means of errors over all elements, and the fraction of the variance of the targets that predictions explain."""

    def __init__(
        self,
        names: list[str],
        trainer: Configured,
        labels: bool,
        y: NDArray[Any],
        weight: _Floats | None,
        prefix: str,
        is_part: bool = False,
    ) -> None:
        _check_errors(names[0], trainer, labels, y, prefix)
        y, self._of_outputs = observed_targets(y, trainer.loss, y.shape[1])
        self._names, self._y, self._weight = names, np.require(y, np.float64, ["C", "A"]), weight
        weights = np.ones(len(y)) if weight is None else weight
        missing = np.isnan(self._y).any()
        self._counts = weights @ ~np.isnan(self._y) if missing else np.full(y.shape[1], weights.sum())
        self._squared, self._absolute = np.zeros(y.shape[1]), 0.0
        if is_part:
            return
        self._use_counts(self._counts)
        if "r2" in names:
            self.use_spread(_spread(self._y, weight, _means(self._y, weight)))

    def totals(self) -> _Floats:
        """Return what is added over parts of the data before a run: weights and sums of the targets, per output."""
        weights = np.ones(len(self._y)) if self._weight is None else self._weight
        return np.concatenate([self._counts, weights @ np.nan_to_num(self._y, nan=0.0)])

    def use_totals(self, totals: _Floats) -> None:
        """Set the sums over all parts of the data."""
        counts, sums = np.split(totals, 2)
        self._use_counts(counts)
        self._all_means = sums / np.where(counts > 0, counts, 1.0)

    def spread(self) -> _Floats:
        """Return the sums of squared deviations from the means over all parts, which are added over parts."""
        return _spread(self._y, self._weight, self._all_means)

    def use_spread(self, spread: _Floats) -> None:
        """Set the sums of squared deviations of the targets, per output."""
        self._constant = spread == 0
        self._spread = np.where(self._constant, 1.0, spread)
        shares = np.where(self._counts > 0, 1.0 if self._of_outputs is None else self._of_outputs, 0.0)
        self._shares = shares / shares.sum()
        self._any_constant = bool(self._constant.any())

    def _use_counts(self, counts: _Floats) -> None:
        self._counts = counts
        shares = counts if self._of_outputs is None else counts * self._of_outputs  # of the outputs in a mean over elements
        self._total = float(shares.sum())

    def start(self) -> None:
        """Begin new sums."""
        self._squared[:], self._absolute = 0.0, 0.0

    def add(self, rows: slice, p: NDArray[Any], weight: _Floats | None) -> None:
        """Add the errors of some rows."""
        self._absolute += _core.add_errors(p, self._y[rows], weight, self._of_outputs, self._squared)

    def sums(self) -> _Floats:
        """Return the sums of errors, which are added over parts of the data."""
        return np.concatenate([[self._absolute], self._squared])

    def use_sums(self, sums: _Floats) -> None:
        """Set the sums of errors over all parts of the data."""
        self._absolute, self._squared = float(sums[0]), sums[1:]

    def values(self) -> dict[str, float]:
        """Return all metrics."""
        squares = self._squared if self._of_outputs is None else self._squared * self._of_outputs
        mse = float(squares.sum()) / self._total
        found = {"mse": mse, "rmse": math.sqrt(mse), "mae": self._absolute / self._total}
        if "r2" in self._names:
            explained = 1 - self._squared / self._spread
            if self._any_constant:
                explained = np.where(self._constant, self._squared == 0, explained)
            found["r2"] = float(explained @ self._shares)
        return found


def _means(y: _Floats, weight: _Floats | None) -> _Floats:
    """Return the mean of each output over the elements that are observed, and 0 if there are none."""
    if not np.isnan(y).any():
        return np.asarray(np.average(y, axis=0, weights=weight))
    weights, values = _observed(y, weight)
    counts = weights.sum(axis=0)
    return np.asarray((weights * values).sum(axis=0) / np.where(counts > 0, counts, 1.0))


def _spread(y: _Floats, weight: _Floats | None, means: _Floats) -> _Floats:
    """Return the sum of squared deviations from means, per output, over the elements that are observed."""
    if not np.isnan(y).any():
        squares = np.square(y - means)
        return np.asarray(squares.sum(axis=0) if weight is None else weight @ squares)
    weights, values = _observed(y, weight)
    return np.asarray((weights * np.square(values - means)).sum(axis=0))


def _observed(y: _Floats, weight: _Floats | None) -> tuple[_Floats, _Floats]:
    """Return the weights of all elements, 0 for those that are missing, and their values, 0 for those that are missing."""
    missing = np.isnan(y)
    return np.where(missing, 0.0, 1.0 if weight is None else weight[:, np.newaxis]), np.where(missing, 0.0, y)


# ---- What a loss observes ----


def counted_rows(y: NDArray[Any], labels: bool, weight: _Floats | None, loss: Loss) -> NDArray[np.bool_]:
    """Return for each row whether it counts: it has a weight, and the loss does not omit it as a whole."""
    counts = np.ones(len(y), bool) if weight is None else weight != 0
    if loss.missing == "ignore" and labels:
        counts &= y >= 0
    elif loss.missing == "ignore" and loss.per_row:
        counts &= ~np.isnan(y).any(axis=1)
    return counts


def observed_targets(y: NDArray[Any], loss: Loss, n_out: int) -> tuple[NDArray[Any], _Floats | None]:
    """Return targets (n, n_out), NaN where the loss omits them, and the weights of outputs, None if all are 1.

    The weights of the outputs of a head are divided by their mean, because the head divides its loss by their sum.
    """
    if not isinstance(loss, Heads):
        return y, None if loss.per_row or loss.output_weights is None else np.array(loss.output_weights)
    of_outputs, weighted = np.ones(n_out), False
    for head in loss.parts(n_out):
        if head.loss.per_row and np.isnan(y[:, head.targets]).any():
            y = np.array(y)
            y[np.isnan(y[:, head.targets]).any(axis=1), head.targets] = np.nan
        elif head.loss.output_weights is not None and not head.loss.per_row:
            own, weighted = np.array(head.loss.output_weights), True
            of_outputs[head.columns] = own / own.mean()
    return y, of_outputs if weighted else None


# ---- Checks ----


def _check_errors(name: str, trainer: Configured, labels: bool, y: NDArray[Any], prefix: str) -> None:
    """Raise ValueError unless the difference between predictions and targets has a meaning."""
    loss = trainer.loss
    if labels:
        raise ValueError(
            f"metrics: {name!r} needs targets that are numbers, got labels in {prefix}y; 'accuracy' takes labels"
        )
    _check_shape(name, trainer, y, prefix)
    if isinstance(loss, Heads):
        for i, (_, own, _) in enumerate(loss.heads):
            if own.links:
                raise ValueError(
                    f"metrics: {name!r} needs predictions of the targets, but heads[{i}] of the loss, {own.name!r}, is "
                    "computed from logits or logarithms; a callable (y_true, y_pred) -> float takes any"
                )
    elif loss.links and trainer.model.activations[-1] not in loss.links[:1]:
        raise ValueError(
            f"metrics: {name!r} needs predictions of the targets; with loss {loss.name!r} and output_activation 'identity' "
            f"the model predicts logits or logarithms; use output_activation={loss.links[0]!r}"
        )


def _check_shape(name: str, trainer: Configured, y: NDArray[Any], prefix: str) -> None:
    n_out = trainer.model.layer_sizes[-1]
    if y.shape[1:] != (n_out,):
        raise ValueError(
            f"metrics: {name!r} needs one output per target, got {n_out} outputs and {prefix}y of shape {y.shape}; "
            "a callable (y_true, y_pred) -> float takes any"
        )
