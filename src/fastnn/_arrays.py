"""What users pass as data, brought into a form that the kernels read: checked, and copied only where it must be."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastnn import _columns, _ways_out
from fastnn._backend import core as _core
from fastnn._scalars import integer, shown
from fastnn.losses import Loss

Rows: TypeAlias = NDArray[Any] | _core.SparseRows

# Elements that a check looks at in one piece, where it must copy them.
_PIECE = 1 << 20


def numbers_of(argument: str, value: Any) -> NDArray[Any]:
    """Return `value` as an array of real numbers, in whatever type and layout it has.

    Arrays of other libraries in the CPU's memory come in as they stand, by DLPack.

    Raises
    ------
    TypeError
        If it doesn't hold real numbers, is a sparse matrix where none can be taken, or can't be handed over.
    ValueError
        If it is a list of lists of unequal lengths, or has masked elements.
    """
    if type(value) is np.ndarray:
        return value if value.dtype.kind in "fiub" else _real(argument, value)
    try:
        return _real(argument, _array_of(argument, value))
    except TypeError:
        _name_column(argument, value)
        raise


def _real(argument: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind == "O":
        array = _from_objects(argument, array)
    if array.dtype.kind not in "fiub":
        text = _ways_out.encoding(argument) if array.dtype.kind in "UST" else ""
        raise TypeError(f"{argument}: got dtype {array.dtype}, expected real numbers{text}")
    return array


def _refuse_times(argument: str, value: Any) -> None:
    """Raise TypeError for a frame of polars with dates or times, which would come as numbers of nanoseconds or the like."""
    labels = _columns.labels_of(value)
    for label, dtype in zip(labels, getattr(value, "dtypes", ()) if labels else (), strict=False):
        if hasattr(dtype, "is_temporal") and dtype.is_temporal():
            raise TypeError(f"{argument}: column {label!r}: got dtype {dtype}, expected real numbers")


def _name_column(argument: str, value: Any) -> None:
    """Raise TypeError for the column of a frame that holds something other than real numbers."""
    labels = _columns.labels_of(value)
    if not labels:
        return
    columns: Sequence[NDArray[Any]] = ()
    try:
        table = np.asarray(value)
        if table.ndim == 2 and table.shape[1] == len(labels) and table.dtype.kind != "c":  # which makes all columns complex
            columns = list(table.T)
    except (TypeError, ValueError):  # the columns have no type in common
        columns = [np.asarray(value[label]) for label in labels]
    for label, column in zip(labels, columns, strict=False):
        _real(f"{argument}: column {label!r}", column)


def _array_of(argument: str, value: Any) -> NDArray[Any]:
    if is_sparse(value):
        raise TypeError(f"{argument}: got a sparse matrix, expected an array; .toarray() makes it one")
    if isinstance(value, np.ndarray):
        if np.ma.is_masked(value):
            raise ValueError(f"{argument}: got an array with masked elements, expected none; .filled() gives them values")
    elif hasattr(type(value), "__dlpack_device__"):
        return _handed_over(argument, value)
    _refuse_times(argument, value)
    try:
        return np.asarray(value)
    except ValueError as error:
        pair = "; give X and y as two arguments" if isinstance(value, tuple) else ""
        raise ValueError(
            f"{argument}: got a {type(value).__name__} of unequal shapes ({error}), expected an array{pair}"
        ) from None
    except (RuntimeError, TypeError) as error:  # of a list's elements
        raise TypeError(f"{argument}: {error}") from error


# DLPack's numbers of memory that the CPU reads: its own, and what CUDA and ROCm pinned there.
_CPU_DEVICES = (1, 3, 11)
# What libraries raise where an array can't be handed over.
_REFUSALS = (AttributeError, BufferError, RuntimeError, TypeError, ValueError)


def _handed_over(argument: str, value: Any) -> NDArray[Any]:
    """Return the array of another library as it stands, or by its own conversion where DLPack has no way."""
    kind, expected = type(value).__name__, "real numbers in the CPU's memory"
    try:
        device = tuple(map(int, value.__dlpack_device__()))
        if device[0] in _CPU_DEVICES:
            return np.from_dlpack(value)
    except _REFUSALS as error:
        reason = error
    else:
        raise TypeError(f"{argument}: got {kind} on DLPack device {device}, expected {expected}")
    if hasattr(type(value), "__array__"):  # for types and flags that DLPack doesn't know
        try:
            return np.asarray(value)
        except _REFUSALS as error:
            reason = error
    described = f"{kind} of dtype {value.dtype}" if hasattr(value, "dtype") else kind
    raise TypeError(f"{argument}: got {described} ({reason}), expected {expected}") from reason


def _from_objects(argument: str, array: NDArray[Any]) -> NDArray[np.float64]:
    """Return Python's numbers (fractions, decimals, large integers) as float64; NumPy would take None and text too."""
    if array.ndim == 0 and not isinstance(array[()], str | bytes) and not hasattr(array[()], "__float__"):
        value, way = array[()], _ways_out.other_object(array[()])
        raise TypeError(f"{argument}: got {shown(value)} of type {type(value).__name__}, expected an array of numbers{way}")
    for value in array.flat:
        complex_only = isinstance(value, numbers.Complex) and not isinstance(value, numbers.Real)
        if complex_only or isinstance(value, str | bytes) or not hasattr(value, "__float__"):
            text = _ways_out.encoding(argument) if isinstance(value, str) else ""
            raise TypeError(f"{argument}: got {shown(value)} of type {type(value).__name__}, expected a real number{text}")
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"{argument}: got objects that don't fit float64 ({error})") from error


def real_array(argument: str, value: Any) -> NDArray[Any]:
    """Return `value` as an array of a type that the kernels read, itself where it is one; raises as `numbers_of`."""
    array = numbers_of(argument, value)
    if _core.readable(array):
        return array
    # float16 fits float32; longdouble doesn't fit anything better than float64; the rest is in foreign byte order.
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return array.astype(np.float32 if array.dtype.itemsize <= 4 else np.float64)
    return array.astype(array.dtype.newbyteorder("="))


def rows(argument: str, value: Any, n_columns: int, dtype: np.dtype[Any]) -> Rows:
    """Return `value` as an array (n, n_columns), or as sparse rows whose values have that dtype.

    Raises
    ------
    TypeError, ValueError
        If it doesn't hold real numbers, or has another shape.
    """
    sparse = is_sparse(value)
    array = _sparse_rows(argument, value, dtype) if sparse else real_array(argument, value)
    if len(array.shape) != 2 or array.shape[1] != n_columns:
        way = _ways_out.other_shape(argument, array.shape, n_columns)
        raise ValueError(f"{argument}: got shape {array.shape}, expected (n, {n_columns}), a row for each sample{way}")
    return array


def is_sparse(value: Any) -> bool:
    """Return whether `value` is a sparse matrix or array of SciPy's kind."""
    return hasattr(value, "tocsr")


def _sparse_rows(argument: str, value: Any, dtype: np.dtype[Any]) -> _core.SparseRows:
    """Return a sparse matrix in the kernels' form; what has that form already is not copied but for its row pointers."""
    table = value.tocsr()
    values = real_array(argument, table.data)
    with np.errstate(over="ignore"):
        values = values.astype(dtype, copy=False)
    try:
        return _core.SparseRows(values, table.indices, table.indptr, table.shape[1])
    except ValueError as error:
        raise ValueError(f"{argument}: got a damaged sparse matrix ({error})") from None


def training_data(
    X: Any, y: Any, sample_weight: Any, layer_sizes: tuple[int, ...], loss: Loss, dtype: np.dtype[Any], prefix: str = ""
) -> tuple[Rows, NDArray[Any], bool, NDArray[np.float64] | None]:
    """Return inputs, targets, whether these are labels, and weights; `prefix` comes before the arguments' names.

    Inputs and targets must be finite in `dtype`, and what the loss is defined for, in all rows but those of weight 0, which
    do not count and are never read.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type, shape or value.
    """
    inputs = rows(f"{prefix}X", X, layer_sizes[0], dtype)
    if inputs.shape[0] == 0:
        raise ValueError(f"{prefix}X: got shape {inputs.shape}, expected at least one row")
    weight = sample_weights(f"{prefix}sample_weight", sample_weight, len(inputs))
    _check_inputs(f"{prefix}X", inputs, dtype, weight)
    return inputs, *targets(f"{prefix}y", y, len(inputs), layer_sizes[-1], loss, dtype, weight), weight


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
        raise ValueError(f"{argument}: got {values[found[0]]} at {place}, expected numbers that are finite in {dtype}")


def check_finite(
    argument: str, array: NDArray[Any], dtype: np.dtype[Any], weight: NDArray[np.float64] | None = None
) -> None:
    """Raise ValueError, naming row and column, if an element is NaN, infinite, or too large for `dtype`.

    Rows of weight 0 may hold anything.
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
            raise ValueError(f"{argument}: got {value} at {place}, expected numbers that are finite in {dtype}")


def _first_not_finite(
    array: NDArray[Any], dtype: np.dtype[Any], weight: NDArray[np.float64] | None
) -> tuple[int, ...] | None:
    """Return the index of the first element, of a row that counts, that is not finite in `dtype`."""
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
    """Return targets for `n_rows` rows, and whether they are integer labels: (n,) then, else (n, n_out).

    Raises
    ------
    TypeError, ValueError
        If type or shape are not what the loss is defined for, or values in rows whose weight is not 0.
    """
    array = real_array(argument, value)
    if loss.takes_labels and n_out > 1 and (array.ndim == 1 or array.shape[1:] == (1,)):
        return _labels(argument, array, n_rows, n_out, weight), True
    shapes = f"({n_rows}, {n_out})" + (f" or ({n_rows},)" if n_out == 1 else "")
    if loss.takes_labels and array.ndim == 1 and array.dtype.kind in "biu" and (array != 1).any():
        binary = "'binary_cross_entropy' with output_activation='sigmoid'"
        raise ValueError(f"{argument}: got labels for one output, expected an output for each class, or loss {binary}")
    given = array.shape
    if array.ndim == 1 and n_out == 1:
        array = array[:, None]
    if array.shape != (n_rows, n_out):
        way = _ways_out.other_targets(argument, array, n_rows, n_out)
        expected = f"{shapes} for the {n_rows} rows of X and loss {loss.name!r}"
        raise ValueError(f"{argument}: got shape {given}, expected {expected}{way}")
    check_finite(argument, array, dtype, weight)
    _check_domain(argument, array if weight is None or weight.all() else array[weight != 0], loss)
    return array, False


def _check_domain(argument: str, array: NDArray[Any], loss: Loss) -> None:
    low, high = loss.domain
    if low > -np.inf and (array.min() < low or array.max() > high):
        interval = f"between {low} and {high}" if high < np.inf else f">= {low}"
        way = _ways_out.other_classes(array) if (low, high) == (0, 1) else ""
        between = f"{array.min()} to {array.max()}"
        raise ValueError(f"{argument}: got values from {between}, expected {interval} for {loss.name}{way}")


def _labels(
    argument: str, array: NDArray[Any], n_rows: int, n_classes: int, weight: NDArray[np.float64] | None
) -> NDArray[Any]:
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    if array.dtype.kind not in "iu":
        real = (array != np.floor(array)).any()
        way = "real targets go with loss='mse'" if real else f"{argument.split()[-1]}.astype(int) makes them"
        raise TypeError(f"{argument}: got labels of dtype {array.dtype}, expected integers; {way}")
    array = array.reshape(-1)
    if len(array) != n_rows:
        raise ValueError(f"{argument}: got {len(array)} labels for the {n_rows} rows of X")
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
        raise ValueError(f"{argument}: got label {array[row]} at row {row}, expected 0 to {n_classes - 1}; {way}")
    return array


def sample_weights(argument: str, value: Any, n_rows: int) -> NDArray[np.float64] | None:
    """Return weights (n,) of either sign as contiguous float64, None for None.

    Raises
    ------
    TypeError, ValueError
        If they are not finite numbers, one for each row, and some of them not 0.
    """
    if value is None:
        return None
    array = np.require(real_array(argument, value), np.float64, ["C", "A"])
    if array.shape != (n_rows,):
        raise ValueError(f"{argument}: got shape {array.shape}, expected ({n_rows},) for the {n_rows} rows of X")
    check_finite(argument, array, np.dtype(np.float64))
    with np.errstate(over="ignore"):
        sizes = np.abs(array)
        largest, total = sizes.max(), sizes.sum()
    # The ends leave room for the reciprocal of the sum.
    if largest < 1e-290 or total > 1e290:
        raise ValueError(
            f"{argument}: got values from {array.min()} to {array.max()}, expected some that are not 0, of magnitudes whose "
            "sum is below 1e290"
        )
    return array


def thread_count(value: Any) -> int | None:
    """Return a number of threads, None to let the work decide."""
    if value is None:
        return None
    return min(integer("n_threads", value, low=1, way="; None leaves the number to fastnn"), 1024)
