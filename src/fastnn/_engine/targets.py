"""Checks of the targets of a loss, and their form for the kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._checks import ways_out as _ways_out
from fastnn._engine.arrays import real_array
from fastnn._engine.finite import check_finite
from fastnn.losses import Heads, Loss
from fastnn.losses._heads import Head


def targets(
    argument: str,
    value: Any,
    n_rows: int,
    n_out: int,
    loss: Loss,
    dtype: np.dtype[Any],
    weight: NDArray[np.float64] | None = None,
) -> tuple[NDArray[Any], bool]:
    """Return targets for `n_rows` rows, and whether they are integer labels. Labels are (n,), other targets (n, columns).

    Raises
    ------
    TypeError, ValueError
        If the loss is not defined for their type or shape, or for a value in a row whose weight is not 0.
    """
    array, ignores = real_array(argument, value), loss.missing == "ignore"
    if loss.takes_labels and n_out > 1 and (array.ndim == 1 or array.shape[1:] == (1,)):
        labels = _labels(argument, _numbered(array) if ignores else array, n_rows, n_out, weight, ignores)
        check_observed(argument, labels, loss, weight)
        return labels, True
    n_targets = loss.n_targets(n_out)
    if loss.takes_labels and array.ndim == 1 and array.dtype.kind in "biu" and (array != 1).any():
        binary = "'binary_cross_entropy' with output_activation='sigmoid'"
        raise ValueError(f"{argument}: expected one output per class, or loss {binary}, got labels for one output")
    given = array.shape
    if array.ndim == 1 and n_targets == 1:
        array = array[:, None]
    if array.shape != (n_rows, n_targets):
        raise ValueError(_wrong_shape(argument, array, given, n_rows, n_out, loss))
    check_finite(argument, array, dtype, weight, nan=ignores, targets=True)
    if isinstance(loss, Heads):
        _check_heads(argument, array, weight, loss.parts(n_out))
    else:
        _check_domain(argument, array if weight is None or weight.all() else array[weight != 0], loss)
    check_observed(argument, array, loss, weight)
    return array, False


def _check_heads(argument: str, array: NDArray[Any], weight: NDArray[np.float64] | None, heads: tuple[Head, ...]) -> None:
    counted = slice(None) if weight is None else weight != 0
    for columns, own, labels, _, loss in heads:
        values = array[:, own]
        if not labels:
            _check_domain(f"{argument}[:, {own.start}:{own.stop}]", values[counted], loss)
            continue
        n_classes = columns.stop - columns.start
        wrong = (values[:, 0] < 0) | (values[:, 0] >= n_classes) | (values[:, 0] % 1 > 0)
        if weight is not None:
            wrong &= weight != 0
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ValueError(
                f"{argument}: expected integer labels from 0 to {n_classes - 1} in column {own.start}, "
                f"for the outputs {columns.start} to {columns.stop - 1}, got {values[row, 0]} at row {row}"
            )


def _wrong_shape(argument: str, array: NDArray[Any], given: tuple[int, ...], n_rows: int, n_out: int, loss: Loss) -> str:
    n_targets = loss.n_targets(n_out)
    shapes = f"({n_rows}, {n_targets})" + (f" or ({n_rows},)" if n_targets == 1 else "")
    expected = f"{shapes} for the {n_rows} rows of X and loss {loss.name!r}"
    if loss.one_output_per_target:
        way = _ways_out.other_targets(argument, array, n_rows, n_out)
    else:
        expected += f" of a model with outputs ({n_rows}, {n_out})"
        way = f"; {argument.split()[-1]}.T has it" if array.shape == (n_targets, n_rows) else ""
    return f"{argument}: expected shape {expected}, got {given}{way}"


def _check_domain(argument: str, array: NDArray[Any], loss: Loss) -> None:
    low, high = loss.domain
    if low == -np.inf:
        return
    least, greatest = (f.reduce(array, axis=None) for f in (np.fmin, np.fmax))  # of all but NaN
    if least < low or greatest > high:
        interval = f"values between {low} and {high}" if high < np.inf else f"values >= {low}"
        way = _ways_out.other_classes(array) if (low, high) == (0, 1) else ""
        between = f"{least} to {greatest}"
        raise ValueError(f"{argument}: expected {interval} for {loss.name}, got values from {between}{way}")
    if loss.only_ends_of_domain:
        wrong = ~np.isin(array, (low, high)) & ~np.isnan(array)
        if wrong.any():
            name = argument.split()[-1]
            way = f"; 2 * {name} - 1 makes them of 0 and 1" if np.isin(array[wrong], (0, 1)).all() else ""
            raise ValueError(f"{argument}: expected targets {low} and {high} for {loss.name}, got {array[wrong][0]}{way}")


def check_observed(argument: str, y: NDArray[Any], loss: Loss, weight: NDArray[np.float64] | None) -> None:
    """Raise ValueError if the mean of a loss is over nothing: no target is observed that has a weight above 0.

    `y` has the checked targets (n, n_out), or labels (n,).
    """
    ignores, of_outputs = loss.missing == "ignore", loss.output_weights
    if not ignores and (of_outputs is None or y.ndim == 2):
        return
    counted = y if weight is None or weight.all() else y[weight != 0]
    if y.ndim == 1:
        weights = np.array([1.0] if of_outputs is None else [*of_outputs, 0.0])
        found = (counted >= 0).any() if of_outputs is None else weights[counted].any()
    elif counted.dtype.kind != "f":
        return
    else:
        observed = ~np.isnan(counted)
        found = (
            observed.all(axis=1).any()
            if loss.per_row
            else observed[:, np.array(of_outputs or (1.0,) * y.shape[1]) > 0].any()
        )
    if not found:
        expected = "some that are observed" + ("" if of_outputs is None else ", with an output_weight above 0")
        raise ValueError(f"{argument}: expected {expected}, in rows whose sample_weight is not 0; got none")


def _numbered(array: NDArray[Any]) -> NDArray[Any]:
    """Return labels among which NaN stands for missing ones as integers, with -1 in their place."""
    if array.dtype.kind != "f":
        return array
    missing = np.isnan(array)
    with np.errstate(invalid="ignore"):
        whole = bool((missing | (array == np.floor(array)) & (np.abs(array) < 2**53)).all())
    return np.where(missing, -1, array).astype(np.int64) if whole else array


def _labels(
    argument: str,
    array: NDArray[Any],
    n_rows: int,
    n_classes: int,
    weight: NDArray[np.float64] | None,
    ignores_missing: bool = False,
) -> NDArray[Any]:
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    if array.dtype.kind not in "iu":
        real = (array != np.floor(array)) & ~np.isnan(array)
        way = "real targets go with loss='mse'" if real.any() else f"{argument.split()[-1]}.astype(int) makes them"
        if np.isnan(array).any() and not real.any():
            way = "CrossEntropy(missing='ignore') takes NaN for a missing label"
        raise TypeError(f"{argument}: expected integer labels, got dtype {array.dtype}; {way}")
    array = array.reshape(-1)
    if len(array) != n_rows:
        raise ValueError(f"{argument}: expected {n_rows} labels, one per row of X, got {len(array)}")
    wrong = (array < (-1 if ignores_missing else 0)) | (array >= n_classes)
    if weight is not None:
        wrong &= weight != 0
    if wrong.any():
        row = int(np.argmax(wrong))
        missing = ", or -1 for a missing one" if ignores_missing else ""
        way = (
            "np.unique(y, return_inverse=True)[1] numbers them so"
            if len(np.unique(array)) <= n_classes
            else (f"the model has {n_classes} outputs, one for each class")
        )
        raise ValueError(
            f"{argument}: expected labels from 0 to {n_classes - 1}{missing}, got {array[row]} at row {row}; {way}"
        )
    return array
