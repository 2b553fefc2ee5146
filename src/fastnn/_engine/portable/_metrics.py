"""Sums over predictions and targets, for the metrics of training."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._engine.portable._rows import Array

Weights = NDArray[np.float64] | None


def add_errors(
    p: Array, y: NDArray[np.float64], weight: Weights, of_outputs: Weights, squared: NDArray[np.float64]
) -> float:
    """Add the squared errors of each output to `squared` (n_out,), and return the sum of all absolute errors.

    Targets that are NaN add nothing. `of_outputs` has the weights of the absolute errors of each output.
    """
    errors = np.subtract(p, y, dtype=np.float64)
    errors[np.isnan(y)] = 0.0
    squared += (np.square(errors) if weight is None else weight[:, None] * np.square(errors)).sum(axis=0)
    sizes = np.abs(errors)
    return _sum(sizes.sum(axis=1) if of_outputs is None else sizes @ of_outputs, weight)


def right_classes(p: Array, classes: NDArray[np.int64], weight: Weights) -> float:
    """Return the weight of the rows whose largest output is that of their class (n,)."""
    return _sum(p.argmax(axis=1) == classes, weight)


def right_sides(p: Array, sides: NDArray[np.uint8], threshold: float, weight: Weights, of_outputs: Weights) -> float:
    """Return the weighted number of outputs that are on the right side of the threshold.

    `sides` (n, n_out) is 1 where this is above it, 0 where it is not, and 2 where no side is right.
    """
    right = (p > threshold) == sides
    return _sum(right.sum(axis=1) if of_outputs is None else right @ of_outputs, weight)


def _sum(of_rows: NDArray[Any], weight: Weights) -> float:
    return float(of_rows.sum() if weight is None else weight @ of_rows)
