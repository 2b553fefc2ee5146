"""What the options of a loss make of its targets, before the formula of the loss: weights of outputs, and missing targets."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn._checks.floats import Array
from fastnn.losses._options import TargetOptions

__all__ = ["WeightedTargets", "weighted_targets"]
__dir__ = __all__.copy


class WeightedTargets(NamedTuple):
    """Targets for the formula of a loss, and what they count in its mean."""

    y: Array  # (n, n_out); 0 where a target is not observed
    elements: NDArray[np.float64]  # the weight of each element's loss in the sum, (n, n_out)
    rows: NDArray[np.float64]  # the weight of each row in the divisor of a mean over rows, (n,)


def weighted_targets(y: Array, options: TargetOptions, *, whole_rows: bool, labels: bool) -> WeightedTargets:
    """Apply the options of a loss to targets.

    Parameters
    ----------
    y : ndarray, shape (n, n_out)
        Targets; rows with a single 1 for labels, and rows of zeros for labels out of range.
    options : TargetOptions
        Those of the loss.
    whole_rows : bool
        Whether the loss takes the targets of a row together, as the cross-entropy does. It is observed as a whole then, and
        the weights of the outputs are those of its classes.
    labels : bool
        Whether the targets were labels.

    Returns
    -------
    WeightedTargets
        For weights w of the samples and terms l of the loss, the mean is
        ``sum_ij(w_i * elements_ij * l_ij) / (sum_i(abs(w_i) * rows_i) * n_out)``, without n_out for a mean over rows.

    Examples
    --------
    >>> y = np.array([[1.0, np.nan], [3.0, 4.0]])
    >>> weighted_targets(y, TargetOptions((1.0, 2.0), ignores_missing=True), whole_rows=False, labels=False).elements
    array([[1., 0.],
           [1., 2.]])
    """
    weights = np.ones(y.shape[1]) if options.output_weights is None else np.array(options.output_weights)
    missing = np.isnan(y) if options.ignores_missing else np.zeros(y.shape, np.bool_)
    if not whole_rows:
        elements = np.where(missing, 0.0, weights)
        return WeightedTargets(np.where(missing, 0, y).astype(y.dtype), elements, elements.mean(axis=1))
    gone = missing.any(axis=1)
    rows = np.ones(len(y))
    if labels:
        gone |= options.ignores_missing & ~y.any(axis=1)
        rows = np.where(y != 0, weights, 0.0).sum(axis=1)
    kept = np.where(gone[:, np.newaxis], 0, weights * np.where(missing, 0, y)).astype(y.dtype)
    elements = np.broadcast_to(np.where(gone, 0.0, 1.0)[:, np.newaxis], y.shape)
    return WeightedTargets(kept, elements, np.where(gone, 0.0, rows))
