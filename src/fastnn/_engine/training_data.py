"""Checks of the inputs, targets and weights of training, and their form for the kernels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn._checks import ways_out as _ways_out
from fastnn._engine import core as _core
from fastnn._engine.arrays import Rows, real_array, rows
from fastnn.losses import Loss

# The number of elements that a check copies at once, if it must copy them.
_PIECE = 1 << 20


class TrainingData(NamedTuple):
    """Inputs, targets and weights in the form for the kernels."""

    x: Rows  # (n, n_in)
    y: NDArray[Any]  # (n, n_out), or (n,) for labels
    labels: bool
    sample_weight: NDArray[np.float64] | None  # (n,)


def training_data(
    X: Any, y: Any, sample_weight: Any, layer_sizes: tuple[int, ...], loss: Loss, dtype: np.dtype[Any], prefix: str = ""
) -> TrainingData:
    """Return checked inputs, targets and weights. `prefix` precedes the names of the arguments in errors.

    Inputs and targets must be finite in `dtype`, and targets must be values for which the loss is defined. Rows of weight 0
    are not checked, because they do not count and are never read.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or value.
    """
    inputs = rows(f"{prefix}X", X, layer_sizes[0], dtype)
    if inputs.shape[0] == 0:
        raise ValueError(f"{prefix}X: expected at least one row, got shape {inputs.shape}")
    weight = sample_weights(f"{prefix}sample_weight", sample_weight, len(inputs))
    _check_inputs(f"{prefix}X", inputs, dtype, weight)
    return TrainingData(inputs, *targets(f"{prefix}y", y, len(inputs), layer_sizes[-1], loss, dtype, weight), weight)


def _check_inputs(argument: str, array: Rows, dtype: np.dtype[Any], weight: NDArray[np.float64] | None) -> None:
    if isinstance(array, _core.SparseRows):
        _check_sparse_finite(argument, array, dtype, weight)
    else:
        check_finite(argument, array, dtype, weight)


def _check_sparse_finite(
    argument: str, array: _core.SparseRows, dtype: np.dtype[Any], weight: NDArray[np.float64] | None
) -> None:
    values = array.values[: array.row_starts[-1]]
    if _core.first_not_finite(values) < 0:
        return
    found = np.flatnonzero(~np.isfinite(values))
    of_rows = np.searchsorted(array.row_starts, found, side="right") - 1
    if weight is not None:
        counted = weight[of_rows] != 0
        found, of_rows = found[counted], of_rows[counted]
    if len(found):
        place = f"row {of_rows[0]}, column {array.columns[found[0]]}"
        raise ValueError(f"{argument}: expected numbers that are finite in {dtype}, got {values[found[0]]} at {place}")


def check_finite(
    argument: str, array: NDArray[Any], dtype: np.dtype[Any], weight: NDArray[np.float64] | None = None
) -> None:
    """Raise ValueError with row and column if an element is NaN, infinite, or too large for `dtype`.

    Rows of weight 0 may contain anything.
    """
    if array.dtype.kind != "f" or array.size == 0:
        return
    direct = array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned
    if direct and _core.first_not_finite(array) < 0:
        return
    step = max(1, _PIECE * len(array) // array.size)
    for first in range(0, len(array), step):
        at = _first_not_finite(array[first : first + step], dtype, None if weight is None else weight[first : first + step])
        if at is not None:
            place = f"row {first + at[0]}" + (f", column {at[1]}" if array.ndim == 2 else "")
            value = array[(first + at[0], *at[1:])]
            raise ValueError(f"{argument}: expected numbers that are finite in {dtype}, got {value} at {place}")


def _first_not_finite(
    array: NDArray[Any], dtype: np.dtype[Any], weight: NDArray[np.float64] | None
) -> tuple[int, ...] | None:
    """Return the index of the first element that is not finite in `dtype`, in the rows that count."""
    counted = None if weight is None or weight.all() else np.flatnonzero(weight)
    with np.errstate(over="ignore"):
        piece = np.require(array if counted is None else array[counted], dtype, ["C", "A", "E"])
    found = _core.first_not_finite(piece)
    if found < 0:
        return None
    row, *column = (int(i) for i in np.unravel_index(found, piece.shape))
    return (row if counted is None else int(counted[row]), *column)


def targets(
    argument: str,
    value: Any,
    n_rows: int,
    n_out: int,
    loss: Loss,
    dtype: np.dtype[Any],
    weight: NDArray[np.float64] | None = None,
) -> tuple[NDArray[Any], bool]:
    """Return targets for `n_rows` rows, and whether they are integer labels. Labels are (n,), other targets (n, n_out).

    Raises
    ------
    TypeError, ValueError
        If the loss is not defined for their type or shape, or for a value in a row whose weight is not 0.
    """
    array = real_array(argument, value)
    if loss.takes_labels and n_out > 1 and (array.ndim == 1 or array.shape[1:] == (1,)):
        return _labels(argument, array, n_rows, n_out, weight), True
    shapes = f"({n_rows}, {n_out})" + (f" or ({n_rows},)" if n_out == 1 else "")
    if loss.takes_labels and array.ndim == 1 and array.dtype.kind in "biu" and (array != 1).any():
        binary = "'binary_cross_entropy' with output_activation='sigmoid'"
        raise ValueError(f"{argument}: expected one output per class, or loss {binary}, got labels for one output")
    given = array.shape
    if array.ndim == 1 and n_out == 1:
        array = array[:, None]
    if array.shape != (n_rows, n_out):
        way = _ways_out.other_targets(argument, array, n_rows, n_out)
        expected = f"{shapes} for the {n_rows} rows of X and loss {loss.name!r}"
        raise ValueError(f"{argument}: expected shape {expected}, got {given}{way}")
    check_finite(argument, array, dtype, weight)
    _check_domain(argument, array if weight is None or weight.all() else array[weight != 0], loss)
    return array, False


def _check_domain(argument: str, array: NDArray[Any], loss: Loss) -> None:
    low, high = loss.domain
    if low > -np.inf and (array.min() < low or array.max() > high):
        interval = f"values between {low} and {high}" if high < np.inf else f"values >= {low}"
        way = _ways_out.other_classes(array) if (low, high) == (0, 1) else ""
        between = f"{array.min()} to {array.max()}"
        raise ValueError(f"{argument}: expected {interval} for {loss.name}, got values from {between}{way}")


def _labels(
    argument: str, array: NDArray[Any], n_rows: int, n_classes: int, weight: NDArray[np.float64] | None
) -> NDArray[Any]:
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    if array.dtype.kind not in "iu":
        real = (array != np.floor(array)).any()
        way = "real targets go with loss='mse'" if real else f"{argument.split()[-1]}.astype(int) makes them"
        raise TypeError(f"{argument}: expected integer labels, got dtype {array.dtype}; {way}")
    array = array.reshape(-1)
    if len(array) != n_rows:
        raise ValueError(f"{argument}: expected {n_rows} labels, one per row of X, got {len(array)}")
    wrong = (array < 0) | (array >= n_classes)
    if weight is not None:
        wrong &= weight != 0
    if wrong.any():
        row = int(np.argmax(wrong))
        way = (
            "np.unique(y, return_inverse=True)[1] numbers them so"
            if len(np.unique(array)) <= n_classes
            else (f"the model has {n_classes} outputs, one for each class")
        )
        raise ValueError(f"{argument}: expected labels from 0 to {n_classes - 1}, got {array[row]} at row {row}; {way}")
    return array


def sample_weights(argument: str, value: Any, n_rows: int) -> NDArray[np.float64] | None:
    """Return weights (n,) of either sign as contiguous float64, or None for None.

    Raises
    ------
    TypeError, ValueError
        If they are not finite numbers, one per row, of which at least one is nonzero.
    """
    if value is None:
        return None
    array = np.require(real_array(argument, value), np.float64, ["C", "A"])
    if array.shape != (n_rows,):
        raise ValueError(f"{argument}: expected shape ({n_rows},), one weight per row of X, got {array.shape}")
    check_finite(argument, array, np.dtype(np.float64))
    with np.errstate(over="ignore"):
        sizes = np.abs(array)
        largest, total = sizes.max(), sizes.sum()
    # Within these limits, the reciprocal of the sum is finite.
    if largest < 1e-290 or total > 1e290:
        raise ValueError(
            f"{argument}: expected some weights that are not 0, with magnitudes whose "
            f"sum is below 1e290, got values from {array.min()} to {array.max()}"
        )
    return array
