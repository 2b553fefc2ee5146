"""Checks of the inputs, targets and weights of training, and their form for the kernels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn._checks import ways_out as _ways_out
from fastnn._engine import core as _core
from fastnn._engine.arrays import Rows, as_matrix, real_array, rows
from fastnn.losses import Heads, Loss
from fastnn.losses._heads import Head

# The number of elements that a check copies at once, if it must copy them.
_PIECE = 1 << 20


class TrainingData(NamedTuple):
    """Inputs, targets and weights in the form for the kernels."""

    x: Rows  # (n, n_in)
    y: NDArray[Any]  # (n, columns of targets), or (n,) for labels
    labels: bool
    sample_weight: NDArray[np.float64] | None  # (n,)


def training_data(
    X: Any,
    y: Any,
    sample_weight: Any,
    layer_sizes: tuple[int, ...],
    loss: Loss,
    dtype: np.dtype[Any],
    prefix: str = "",
    *,
    is_part: bool = False,
) -> TrainingData:
    """Return checked inputs, targets and weights. `prefix` precedes the names of the arguments in errors.

    Something must count, unless the rows are only a part of the data. Inputs and targets must be finite in `dtype`, and
    targets must be values for which the loss is defined. Rows of weight 0 are not checked, because they do not count and are
    never read.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or value.
    """
    inputs = rows(f"{prefix}X", X, layer_sizes[0], dtype)
    if inputs.shape[0] == 0:
        raise ValueError(f"{prefix}X: expected at least one row, got shape {inputs.shape}")
    weight = sample_weights(f"{prefix}sample_weight", sample_weight, len(inputs), is_part=is_part)
    check_inputs(f"{prefix}X", inputs, dtype, weight)
    array, labels = targets(f"{prefix}y", y, len(inputs), layer_sizes[-1], loss, dtype, weight)
    if not is_part:
        check_observed(f"{prefix}y", array, loss, weight, layer_sizes[-1])
    return TrainingData(inputs, array, labels, weight)


def as_batch(X: Any, y: Any, sample_weight: Any, layer_sizes: tuple[int, ...], loss: Loss) -> tuple[Any, Any, Any, bool]:
    """Return one row of inputs with its targets and weight as a batch, and all else as it is; and whether it was one row."""
    matrix, one = as_matrix("X", X, layer_sizes[0])
    if not one:
        return X, y, sample_weight, False
    target, n_targets = real_array("y", y), loss.n_targets(layer_sizes[-1])
    if target.shape not in ((), (1,), (n_targets,), (1, 1), (1, n_targets)):
        return X, y, sample_weight, False
    if target.shape in ((), (n_targets,)) and target.shape != (1,):
        target = target[None]
    if sample_weight is not None and np.ndim(sample_weight) == 0:
        sample_weight = real_array("sample_weight", sample_weight)[None]
    return matrix, target, sample_weight, True


def given_gradient(argument: str, value: Any, n_rows: int, n_out: int, dtype: np.dtype[Any], one: bool) -> NDArray[Any]:
    """Return a gradient with respect to the outputs, (n_rows, n_out), from an argument, which is (n_out,) for one row.

    Raises
    ------
    TypeError, ValueError
        If the argument does not have that shape, or contains elements that are not real numbers, finite in `dtype`.
    """
    array = real_array(argument, value)
    if one and array.shape == (n_out,):
        array = array[None]
    elif n_out == 1 and array.shape == (n_rows,):
        array = array[:, None]
    if array.shape != (n_rows, n_out):
        shape = (n_out,) if one else (n_rows, n_out)
        raise ValueError(f"{argument}: expected shape {shape}, a gradient by the outputs, got {array.shape}")
    check_finite(argument, array, dtype)
    return array


def check_inputs(argument: str, array: Rows, dtype: np.dtype[Any], weight: NDArray[np.float64] | None = None) -> None:
    """Raise ValueError, naming row and column, if an input of a row that counts is not finite in `dtype`."""
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
    argument: str,
    array: NDArray[Any],
    dtype: np.dtype[Any],
    weight: NDArray[np.float64] | None = None,
    *,
    nan: bool = False,
    targets: bool = False,
) -> None:
    """Raise ValueError with row and column if an element is NaN, infinite, or too large for `dtype`.

    Rows of weight 0 may contain anything. With `nan`, all rows may contain NaN.
    """
    if array.dtype.kind != "f" or array.size == 0:
        return
    direct = array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned
    if direct and _core.first_not_finite(array) < 0:
        return
    step = max(1, _PIECE * len(array) // array.size)
    for first in range(0, len(array), step):
        piece = array[first : first + step]
        if nan:
            piece = np.where(np.isnan(piece), 0, piece)
        at = _first_not_finite(piece, dtype, None if weight is None else weight[first : first + step])
        if at is not None:
            place = f"row {first + at[0]}" + (f", column {at[1]}" if array.ndim == 2 else "")
            value = array[(first + at[0], *at[1:])]
            way = "; missing='ignore' of the loss takes NaN for a missing target" if targets and np.isnan(value) else ""
            raise ValueError(f"{argument}: expected numbers that are finite in {dtype}, got {value} at {place}{way}")


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


def sample_weights(argument: str, value: Any, n_rows: int, *, is_part: bool = False) -> NDArray[np.float64] | None:
    """Return weights (n,) of either sign as contiguous float64, or None for None.

    Raises
    ------
    TypeError, ValueError
        If they are not finite numbers, one per row, of which at least one is nonzero, unless the rows are only a part of the
        data.
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
    if (largest < 1e-290 and not (is_part and largest == 0)) or total > 1e290:
        raise ValueError(
            f"{argument}: expected some weights that are not 0, with magnitudes whose "
            f"sum is below 1e290, got values from {array.min()} to {array.max()}"
        )
    return array
