"""Formulas that change gradients before an update: penalties, and the factor that clips a norm."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["add_penalty", "norm_factor", "penalty_gradient", "sum_of_squares"]
__dir__ = __all__.copy

_CLIP_EPSILON = 1e-6  # PyTorch's value, which prevents a division by a norm of zero


def add_penalty(loss: float, w: NDArray[Any], l1: float, l2: float) -> float:
    """Return loss + l1 * sum(abs(w)) + l2 / 2 * sum(w**2), in float64. A strength of 0 adds 0, whatever w contains."""
    if l1 != 0.0:
        loss += l1 * np.sum(np.abs(w).astype(np.float64))
    if l2 != 0.0:
        loss += 0.5 * l2 * np.sum((w * w).astype(np.float64))
    return loss


def penalty_gradient(w: NDArray[Any], l1: Any, l2: Any) -> NDArray[Any]:
    """Return the gradient of the penalties in `add_penalty` with respect to w."""
    return np.asarray(l1 * np.sign(w) + l2 * w)


def sum_of_squares(g: NDArray[Any]) -> float:
    """Return the sum of all squares, in float64."""
    wide = g.astype(np.float64)
    return np.sum(wide * wide)


def norm_factor(squares: float, bound: float) -> float:
    """Return the factor that scales gradients with that sum of squares to a norm of at most about `bound`."""
    return min(1.0, bound / (math.sqrt(squares) + _CLIP_EPSILON))
