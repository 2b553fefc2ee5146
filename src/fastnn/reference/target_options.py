"""The options of losses that change targets: weights of outputs, missing targets, and smoothed labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastnn._checks.floats import Array
from fastnn.losses._options import TargetOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["WeightedTargets", "for_columns", "weighted_targets"]
__dir__ = __all__.copy


class WeightedTargets(NamedTuple):
    """Targets for the formula of a loss, and their weights in its mean."""

    y: Array  # (n, n_targets); 0 where a target is not observed
    elements: NDArray[np.float64]  # the weights of the terms in the sum: (n, n_targets), or (n, 1) for whole rows
    rows: NDArray[np.float64]  # the weights (n,) of the rows in the divisor of the mean


def weighted_targets(y: Array, options: TargetOptions, *, labels: bool) -> WeightedTargets:
    """Apply the options of a loss to targets.

    Parameters
    ----------
    y : ndarray, shape (n, n_targets)
        The targets. Labels are rows with a single 1, or rows of zeros if they are out of range.
    options : TargetOptions
        The options of the loss. With `whole_rows`, rows are observed as a whole, and the weights of outputs are those of
        classes.
    labels : bool
        Whether the targets were labels.

    Returns
    -------
    WeightedTargets
        The targets and weights. With the weights w of the samples and the terms l of the loss, the mean is
        ``sum_ij(w_i * elements_ij * l_ij) / (sum_i(abs(w_i) * rows_i) * n_targets)``, or without n_targets for whole rows.

    Examples
    --------
    >>> y = np.array([[1.0, np.nan], [3.0, 4.0]])
    >>> weighted_targets(y, TargetOptions((1.0, 2.0), ignores_missing=True), labels=False).elements
    array([[1., 0.],
           [1., 2.]])
    """
    weights = np.ones(y.shape[1]) if options.output_weights is None else np.array(options.output_weights)
    missing = np.isnan(y) if options.ignores_missing else np.zeros(y.shape, np.bool_)
    if not options.whole_rows:
        return _by_element(np.where(missing, 0, y), np.where(missing, 0.0, weights), options)
    gone = np.asarray(missing.any(axis=1))
    rows = np.ones(len(y))
    if labels:
        if options.ignores_missing:
            gone = gone | ~y.any(axis=1)
        rows = np.where(y != 0, weights, 0.0).sum(axis=1)
    targets = weights * _smoothed(np.where(missing, 0, y), options, y.shape[1])
    kept = np.where(gone[:, np.newaxis], 0, targets).astype(y.dtype)
    return WeightedTargets(kept, np.where(gone, 0.0, 1.0)[:, np.newaxis], np.where(gone, 0.0, rows))


def _by_element(y: Array, elements: NDArray[np.float64], options: TargetOptions) -> WeightedTargets:
    rows, targets = elements.mean(axis=1), np.where(elements > 0, _smoothed(y, options, 2), y)
    if options.pos_weight is not None:
        # w y l(1) + (1 - y) l(0), where l(y) is linear, is sums * l(w y / sums).
        positive = np.array(options.pos_weight) * targets
        sums = positive + (1 - targets)
        elements = elements * sums
        targets = np.divide(positive, sums, out=np.array(targets, np.float64), where=sums > 0)
    return WeightedTargets(targets.astype(y.dtype), elements, rows)


def _smoothed(y: Array, options: TargetOptions, n_classes: int) -> Array:
    share = options.label_smoothing
    return (1 - share) * y + share / n_classes if share else y


def for_columns(elements: NDArray[np.float64], n_columns: int) -> NDArray[np.float64]:
    """Return weights of targets or of whole rows, repeated for the columns of terms or outputs of a loss.

    If a loss has several columns per target, the columns of one kind are side by side, in the order of the targets.

    Examples
    --------
    >>> for_columns(np.array([[1.0, 2.0]]), 4)
    array([[1., 2., 1., 2.]])
    """
    n_targets = elements.shape[1]
    return elements if n_targets in (1, n_columns) else np.tile(elements, (1, n_columns // n_targets))
