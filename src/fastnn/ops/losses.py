"""Losses of predictions. Means over an array already there are NumPy's field: nothing to gain from kernels."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from numpy.typing import ArrayLike

from fastnn.ops._arrays import real_array
from fastnn.ops._dispatch import array_function
from fastnn.reference import losses

__all__ = ["binary_cross_entropy", "cross_entropy", "mse_loss"]


def _of_any_arrays(oracle: Callable[[ArrayLike, ArrayLike], float]) -> Callable[[ArrayLike, ArrayLike], float]:
    """Give the oracle's function arrays, whatever they were before."""

    @array_function
    @wraps(oracle, assigned=("__name__", "__qualname__", "__doc__", "__annotations__"), updated=())
    def loss(y_true: ArrayLike, y_pred: ArrayLike) -> float:
        return oracle(real_array("y_true", y_true), real_array("y_pred", y_pred))

    return loss


mse_loss = _of_any_arrays(losses.mse_loss)
binary_cross_entropy = _of_any_arrays(losses.binary_cross_entropy)
cross_entropy = _of_any_arrays(losses.cross_entropy)
