"""Checks of the targets of a loss, and their form for the kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._checks import ways_out as _ways_out
from fastnn._engine.arrays import real_array
from fastnn._engine.finite import check_finite
from fastnn.losses import Heads, Loss
from fastnn.losses._heads import Head

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
        return _labels(argument, _numbered(array) if ignores else array, n_rows, n_out, weight, ignores), True
    n_targets = loss.n_targets(n_out)
    if loss.takes_labels and array.ndim == 1 and array.dtype.kind in "biu" and (array != 1).any():
        binary = "'binary_cross_entropy' with output_activation='sigmoid'"
        raise ValueError(f"{argument}: expected one output per class, or loss {binary}, got labels for one output")
    given = array.shape
    if array.ndim == 1 and n_targets == 1:
        array = array[:, None]
    if array.shape != (n_rows, n_targets):
        raise ValueError(_wrong_shape(argument, array, given, n_rows, n_out, loss))
    if isinstance(loss, Heads):
        check_finite(argument, array, dtype, weight, nan=ignores or loss.observes_heads, targets=True)
        _check_heads(argument, array, dtype, weight, loss, n_out)
    else:
        check_finite(argument, array, dtype, weight, nan=ignores, targets=True)
        _check_domain(argument, array if weight is None or weight.all() else array[weight != 0], loss)
    return array, False


def _check_heads(
    argument: str, array: NDArray[Any], dtype: np.dtype[Any], weight: NDArray[np.float64] | None, loss: Heads, n_out: int
) -> None:
    counted = slice(None) if weight is None else weight != 0
    for head in loss.parts(n_out):
        values, own = array[:, head.targets], f"{argument}[:, {head.targets.start}:{head.targets.stop}]"
        if loss.observes_heads and head.loss.missing == "raise":
            check_finite(own, values, dtype, weight, targets=True)
        if head.labels:
            _check_labels_of_head(argument, values[:, 0], weight, head)
        else:
            _check_domain(own, values[counted], head.loss)


def _check_labels_of_head(argument: str, values: NDArray[Any], weight: NDArray[np.float64] | None, head: Head) -> None:
    columns, ignores = head.columns, head.loss.missing == "ignore"
    n_classes = columns.stop - columns.start
    wrong = (values < (-1 if ignores else 0)) | (values >= n_classes) | (values % 1 > 0)
    if weight is not None:
        wrong &= weight != 0
    if wrong.any():
        row, missing = int(np.argmax(wrong)), ", or -1 for a missing one," if ignores else ""
        raise ValueError(
            f"{argument}: expected integer labels from 0 to {n_classes - 1}{missing} in column {head.targets.start}, "
            f"for the outputs {columns.start} to {columns.stop - 1}, got {values[row]} at row {row}"
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
    if low == -np.inf or array.size == 0:
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


def check_observed(argument: str, y: NDArray[Any], loss: Loss, weight: NDArray[np.float64] | None, n_out: int) -> None:
    """Raise ValueError if the mean of a loss is over nothing: no target is observed that has a weight above 0.

    `y` has the checked targets (n, n_out), or labels (n,). Of several heads, one must have such a target.
    """
    if loss.missing == "raise" and (loss.output_weights is None or y.ndim == 2) and not isinstance(loss, Heads):
        return
    counted = y if weight is None or weight.all() else y[weight != 0]
    if isinstance(loss, Heads) and loss.missing == "raise":
        heads = loss.parts(n_out)
        found = any(_any_observed(_labels_or_all(counted[:, head.targets], head.labels), head.loss) for head in heads)
    else:
        found = _any_observed(counted, loss)
    if not found:
        expected = "some that are observed" + ("" if loss.output_weights is None else ", with an output_weight above 0")
        raise ValueError(f"{argument}: expected {expected}, in rows whose sample_weight is not 0; got none")


def _labels_or_all(y: NDArray[Any], labels: bool) -> NDArray[Any]:
    """Return the targets (n, columns) of a head, or labels (n,) with -1 for each that is missing."""
    return np.where(np.isnan(y[:, 0]), -1, y[:, 0]).astype(np.int64) if labels else y


def _any_observed(y: NDArray[Any], loss: Loss) -> bool:
    of_outputs = loss.output_weights
    if y.ndim == 1:
        return bool((y >= 0).any() if of_outputs is None else np.array([*of_outputs, 0.0])[y].any())
    if loss.missing == "raise" or y.dtype.kind != "f":
        return True
    observed = ~np.isnan(y)
    if loss.per_row:
        return bool(observed.all(axis=1).any())
    return bool(observed[:, np.array(of_outputs or (1.0,) * y.shape[1]) > 0].any())


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
