"""Losses of predictions in code that Numba compiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from fastnn import ops
from fastnn._engine import core as _core
from fastnn.jit import _kernels
from fastnn.jit._kernels import bare, is_readable

_kernel = _kernels.prediction_loss


@register_jitable
def _in_float64(array: Any) -> Any:
    result = np.empty(array.shape, np.float64)
    result[...] = array
    return result


@register_jitable
def _sum_of_terms(number: int, y: Any, p: Any, probabilities: bool) -> float:
    if y.shape != p.shape:
        raise ValueError("y_true: expected the shape of y_pred, got another")
    if p.size == 0:
        raise ValueError("y_pred: expected at least one element, got none")
    targets, predictions = _in_float64(y), _in_float64(p)
    if probabilities:
        for prediction in predictions.flat:
            if prediction < 0.0 or prediction > 1.0:
                raise ValueError("y_pred: expected probabilities from 0 to 1, got another number")
    return _kernel(number, predictions, targets, predictions.size)


def _overload(name: str, sign: float, probabilities: bool) -> None:
    number = _core.PREDICTION_LOSSES.index(name)

    def typed(y_true: Any, y_pred: Any) -> Callable[..., float] | None:
        if not is_readable(y_true) or not is_readable(y_pred) or y_true.ndim != y_pred.ndim:
            return None
        return lambda y_true, y_pred: 0.0 + sign * _sum_of_terms(number, y_true, y_pred, probabilities) / y_pred.size

    overload(getattr(ops, name))(bare(typed))


_overload("mse_loss", 1.0, False)
_overload("binary_cross_entropy", -1.0, True)


@overload(ops.cross_entropy)
@bare
def _cross_entropy(y_true: Any, y_pred: Any) -> Callable[..., float] | None:
    number = _core.PREDICTION_LOSSES.index("cross_entropy")
    if not is_readable(y_pred, 2) or not is_readable(y_true, 1, 2):
        return None
    if y_true.ndim == 2:
        return lambda y_true, y_pred: 0.0 - _sum_of_terms(number, y_true, y_pred, True) / y_pred.shape[0]
    if not isinstance(y_true.dtype, types.Integer | types.Boolean):
        return None

    def of_labels(y_true: Any, y_pred: Any) -> float:
        n, n_classes = y_pred.shape
        if y_true.shape[0] != n:
            raise ValueError("y_true: expected one label per row of y_pred, got another number")
        rows = np.zeros((n, n_classes))
        for i in range(n):
            label = np.int64(y_true[i])
            if label < 0 or label >= n_classes:
                raise ValueError("y_true: expected labels from 0 to n_classes - 1, got another")
            rows[i, label] = 1.0
        return 0.0 - _sum_of_terms(number, rows, y_pred, True) / n

    return bare(of_labels)
