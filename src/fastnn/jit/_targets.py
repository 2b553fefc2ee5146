"""The targets of losses in code that Numba compiles: which there may be, their checks, and how the kernels get them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import register_jitable

from fastnn.jit._kernels import NUMBERS, bare, column_stride, is_readable, rows_of


class Targets(NamedTuple):
    """Functions for targets of one type, and the number of that type in kernels/api.h."""

    number: int
    are_labels: Callable[..., bool]  # of (X, y, columns of X, columns of targets, labels); checks the shapes
    row_stride: Callable[..., int]
    column_stride: Callable[..., int]


def targets_of(X: Any, y: Any) -> Targets | None:
    """Return the functions for targets y of rows X, given their types, or None if these don't go together."""
    if not is_readable(X, 1, 2):
        return None
    if isinstance(y, types.Integer | types.Float) and X.ndim == 1:
        return _of_one_number(types.unliteral(y))
    if not is_readable(y, *((1,) if X.ndim == 1 else (1, 2))):
        return None
    one_a_row = X.ndim == 2 and y.ndim == 1
    stride = _first_stride if one_a_row else _stride_of_rows if y.ndim == 2 else _none
    check = _check_one_a_row(isinstance(y.dtype, types.Integer)) if one_a_row else _check_rows
    return Targets(NUMBERS[y.dtype], register_jitable(bare(check)), stride, column_stride)


@register_jitable
def check_inputs(X: Any, n_in: int) -> None:
    """Raise ValueError unless X is at least one row of n_in numbers."""
    if X.shape[X.ndim - 1] != n_in or rows_of(X) == 0:
        raise ValueError("X: expected shape (n, n_in) with at least one row, or (n_in,), got another")


@register_jitable
def _none(_: Any) -> int:
    return 0


@register_jitable
def _first_stride(y: Any) -> int:
    return y.strides[0]


_stride_of_rows = _first_stride


def _of_one_number(number: Any) -> Targets | None:
    """Return the functions for the target of one row: a label, or the target of one output."""
    if number not in NUMBERS:
        return None
    may_be_label = isinstance(number, types.Integer)

    def check(X: Any, y: Any, n_in: int, n_targets: int, takes_labels: int) -> bool:
        check_inputs(X, n_in)
        if may_be_label and takes_labels != 0 and n_targets > 1:
            if np.int64(y) < (-1 if takes_labels == 2 else 0) or y >= n_targets:
                raise ValueError("y: expected a label from 0 to n_out - 1, got another")
            return True
        if n_targets != 1:
            raise ValueError("y: expected a target for each output, got one number")
        return False

    return Targets(NUMBERS[number], register_jitable(bare(check)), _none, _none)


def _check_one_a_row(may_be_labels: bool) -> Callable[..., bool]:
    def check(X: Any, y: Any, n_in: int, n_targets: int, takes_labels: int) -> bool:
        check_inputs(X, n_in)
        if y.shape[0] != X.shape[0]:
            raise ValueError("y: expected as many rows as X has, got another number")
        if may_be_labels and takes_labels != 0 and n_targets > 1:
            lowest = -1 if takes_labels == 2 else 0
            if np.int64(y.min()) < lowest or y.max() >= n_targets:
                raise ValueError("y: expected labels from 0 to n_out - 1, got another")
            return True
        if n_targets != 1:
            raise ValueError("y: expected a row of targets for each row of X, got one number")
        return False

    return check


def _check_rows(X: Any, y: Any, n_in: int, n_targets: int, takes_labels: int) -> bool:
    check_inputs(X, n_in)
    if rows_of(y) != rows_of(X):
        raise ValueError("y: expected as many rows as X has, got another number")
    if y.shape[y.ndim - 1] != n_targets:
        raise ValueError("y: expected rows of as many numbers as the loss takes, got rows of another length")
    return False
