"""Formulas that change gradients before an update: penalties, and the factor that clips a norm."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import DTypeLike, NDArray

__all__ = ["add_penalty", "norm_factors", "penalty_gradient", "sum_of_squares"]
__dir__ = __all__.copy

_CLIP_EPSILON = 1e-6  # PyTorch's value, which prevents a division by a norm of zero
_SHRINKING = {np.dtype(np.float32): 2.0**-80, np.dtype(np.float64): 2.0**-600}


def add_penalty(loss: float, w: NDArray[Any], l1: float, l2: float) -> float:
    """Return loss + l1 * sum(abs(w)) + l2 / 2 * sum(w**2), in float64. A strength of 0 adds 0, whatever w contains."""
    if l1 != 0.0:
        loss += l1 * np.sum(np.abs(w).astype(np.float64))
    if l2 != 0.0:
        loss += np.sum((0.5 * l2 * w * w).astype(np.float64))
    return loss


def penalty_gradient(w: NDArray[Any], l1: Any, l2: Any) -> NDArray[Any]:
    """Return the gradient of the penalties in `add_penalty` with respect to w."""
    return np.asarray(l1 * np.sign(w) + l2 * w)


def sum_of_squares(g: NDArray[Any], factor: float) -> float:
    """Return the sum of all squares of factor * g, in float64."""
    wide = factor * g.astype(np.float64)
    return np.sum(wide * wide)


def norm_factors(sum_of_squares_by: Callable[[float], float], bound: float, dtype: DTypeLike) -> tuple[float, float]:
    """Return two factors that scale gradients, one after the other, to a norm of at most about `bound`.

    The first is 1 unless the sum of all squares is too large for the dtype. It is a power of two then: no number of that
    dtype could hold the product of both with all its digits.

    Parameters
    ----------
    sum_of_squares_by : callable
        Returns the sum of the squares of all gradients' products with a factor, in float64.
    bound : float
        The largest norm.
    dtype : dtype
        That of the gradients.
    """
    with np.errstate(over="ignore"):
        first, squares = 1.0, sum_of_squares_by(1.0)
    if squares > float(np.finfo(dtype).max):
        first = _SHRINKING[np.dtype(dtype)]
        squares = sum_of_squares_by(first)
    second = bound / (math.sqrt(squares) + _CLIP_EPSILON * first)
    return (first, second) if first * second < 1.0 else (1.0, 1.0)
