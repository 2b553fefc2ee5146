"""Checks of the inputs, targets and weights of training, and their form for the kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn._engine import core as _core
from fastnn._engine.arrays import Rows, as_matrix, real_array, rows
from fastnn._engine.finite import check_finite, check_inputs
from fastnn._engine.targets import check_observed, targets
from fastnn.losses import Loss

if TYPE_CHECKING:
    from numpy.typing import NDArray


class TrainingData(NamedTuple):
    """Inputs, targets and weights in the form for the kernels."""

    x: Rows  # (n, n_in)
    y: NDArray[Any]  # (n, columns of targets), or (n,) for labels
    labels: bool
    sample_weight: NDArray[np.float64] | None  # (n,)

    def rows(self, begin: int, end: int) -> TrainingData:
        """Return views of some consecutive rows."""
        x, y, labels, weight = self
        if isinstance(x, _core.SparseRows):
            first, last = x.row_starts[begin], x.row_starts[end]
            starts = x.row_starts[begin : end + 1] - first
            own: Rows = _core.SparseRows(x.values[first:last], x.columns[first:last], starts, x.shape[1])
        else:
            own = x[begin:end]
        return TrainingData(own, y[begin:end], labels, None if weight is None else weight[begin:end])


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
    codes: tuple[int, ...] = (),
) -> TrainingData:
    """Return checked inputs, targets and weights. `prefix` precedes the names of the arguments in errors.

    The columns `codes` of X are those of categories, which may be missing.

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
    check_inputs(f"{prefix}X", inputs, dtype, weight, codes)
    array, labels = targets(f"{prefix}y", y, len(inputs), layer_sizes[-1], loss, dtype, weight)
    if not is_part:
        check_observed(f"{prefix}y", array, loss, weight, layer_sizes[-1])
    return TrainingData(inputs, array, labels, weight)


def apart_from(data: TrainingData, storage: NDArray[Any]) -> TrainingData:
    """Return data with copies of the arrays that share memory with the storage of a network, which training changes."""
    x, y, labels, weight = data
    if isinstance(x, _core.SparseRows):
        if np.may_share_memory(x.values, storage):
            x = _core.SparseRows(x.values.copy(), x.columns, x.row_starts, x.shape[1])
    elif np.may_share_memory(x, storage):
        x = x.copy()
    if np.may_share_memory(y, storage):
        y = y.copy()
    if weight is not None and np.may_share_memory(weight, storage):
        weight = weight.copy()
    return TrainingData(x, y, labels, weight)


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
        raise ValueError(f"{argument}: expected shape {shape}, a gradient with respect to the outputs, got {array.shape}")
    check_finite(argument, array, dtype)
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
    check_magnitudes(argument, array, is_part=is_part)
    return array


def check_magnitudes(argument: str, weights: NDArray[np.float64], *, is_part: bool = False) -> None:
    """Raise ValueError unless the reciprocal of the sum of the weights' magnitudes is finite; a part may have no weight."""
    with np.errstate(over="ignore"):
        sizes = np.abs(weights)
        largest, total = sizes.max(), sizes.sum()
    if (largest < 1e-290 and not (is_part and largest == 0)) or total > 1e290:
        raise ValueError(
            f"{argument}: expected some weights that are not 0, with magnitudes whose "
            f"sum is below 1e290, got values from {weights.min()} to {weights.max()}"
        )


def check_complete_batch(n_rows: int, batch_size: int) -> None:
    """Raise ValueError if an epoch without its last, smaller batch would have no batch."""
    if n_rows < batch_size:
        raise ValueError(
            f"drop_last: expected at least batch_size={batch_size} rows for one complete batch, got {n_rows} rows"
        )
