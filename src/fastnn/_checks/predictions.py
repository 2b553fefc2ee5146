"""Checks whether targets and predictions fit together, in float64, and labels as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._checks.floats import as_float

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def one_hot(argument: str, y: NDArray[Any], n_classes: int, row_weights: NDArray[np.float64] | None = None) -> NDArray[Any]:
    """Return integer labels (n,) as rows (n, n_classes) with a single 1, and all other targets unchanged.

    Rows of weight 0 may have any label.
    """
    if y.ndim != 1 or y.dtype.kind not in "biu":
        return y
    wrong = (y < 0) | (y >= n_classes)
    if row_weights is not None and row_weights.shape == y.shape:
        wrong &= row_weights != 0
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(f"{argument}: expected labels from 0 to {n_classes - 1}, got {y[row]} in row {row}")
    return np.asarray(y[:, np.newaxis] == np.arange(n_classes), dtype=np.float64)


def checked_pair(
    y_true: ArrayLike, y_pred: ArrayLike, *, probabilities: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both arrays in float64. Their shapes must be equal, because broadcasting could hide a mistake."""
    y, p = as_float("y_true", y_true), as_float("y_pred", y_pred)
    if y.shape != p.shape:
        raise ValueError(f"y_true: expected shape {p.shape}, got {y.shape}, the shape of y_pred")
    if p.size == 0:
        raise ValueError(f"y_pred: expected at least one element, got shape {p.shape}")
    wrong = (p < 0) | (p > 1)
    if probabilities and wrong.any():
        raise ValueError(f"y_pred: expected probabilities from 0 to 1, got {p[wrong][0]}")
    return y.astype(np.float64), p.astype(np.float64)


def checked_classes(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return targets and predictions as rows of probabilities in float64."""
    p = as_float("y_pred", y_pred)
    if p.ndim != 2:
        raise ValueError(f"y_pred: expected shape (n, n_classes), got {p.shape}")
    return checked_pair(one_hot("y_true", np.asarray(y_true), p.shape[1]), p, probabilities=True)
