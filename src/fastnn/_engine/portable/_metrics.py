"""Sums over predictions and targets, for the metrics of training."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._engine.portable._rows import Array

Weights = NDArray[np.float64] | None


def add_errors(p: Array, y: NDArray[np.float64], weight: Weights, squared: NDArray[np.float64]) -> float:
    """Add the squared errors of each output to `squared` (n_out,), and return the sum of all absolute errors."""
    errors = np.subtract(p, y, dtype=np.float64)
    squared += (np.square(errors) if weight is None else weight[:, None] * np.square(errors)).sum(axis=0)
    return _sum(np.abs(errors).sum(axis=1), weight)


def right_classes(p: Array, classes: NDArray[np.int64], weight: Weights) -> float:
    """Return the weight of the rows whose largest output is that of their class (n,)."""
    return _sum(p.argmax(axis=1) == classes, weight)


def right_sides(p: Array, above: NDArray[np.bool_], threshold: float, weight: Weights) -> float:
    """Return the weighted number of outputs that are above the threshold exactly where `above` (n, n_out) says so."""
    return _sum(((p > threshold) == above).sum(axis=1), weight)


def _sum(of_rows: NDArray[Any], weight: Weights) -> float:
    return float(of_rows.sum() if weight is None else weight @ of_rows)
