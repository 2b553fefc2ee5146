"""Conversion of users' data to arrays that the kernels read: checked, and copied only if necessary."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastnn._checks import columns as _columns
from fastnn._checks import ways_out as _ways_out
from fastnn._checks.masks import unmasked
from fastnn._checks.scalars import shown
from fastnn._engine import core as _core

if TYPE_CHECKING:
    from numpy.typing import NDArray

Rows: TypeAlias = "NDArray[Any] | _core.SparseRows"


def numbers_of(argument: str, value: Any) -> NDArray[Any]:
    """Return `value` as an array of real numbers, in whatever type and layout it has.

    Arrays of other libraries in CPU memory are read through DLPack, without conversion.

    Raises
    ------
    TypeError
        If it does not consist of real numbers, is a sparse matrix that is not accepted here, or can't be converted.
    ValueError
        If it is a list of lists with different lengths, or has masked elements.
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
        raise TypeError(f"{argument}: expected real numbers, got dtype {array.dtype}{text}")
    return array


def _refuse_times(argument: str, value: Any) -> None:
    """Raise TypeError for a polars frame with dates or times, which would become numbers of nanoseconds or similar."""
    labels = _columns.labels_of(value)
    for label, dtype in zip(labels, getattr(value, "dtypes", ()) if labels else (), strict=False):
        if hasattr(dtype, "is_temporal") and dtype.is_temporal():
            raise TypeError(f"{argument}: column {label!r}: expected real numbers, got dtype {dtype}")


def _name_column(argument: str, value: Any) -> None:
    """Raise TypeError for a column of a frame that contains something other than real numbers."""
    labels = _columns.labels_of(value)
    if not labels:
        return
    columns: Sequence[NDArray[Any]] = ()
    try:
        table = np.asarray(value)
        if table.ndim == 2 and table.shape[1] == len(labels) and table.dtype.kind != "c":
            columns = list(table.T)
    except (TypeError, ValueError):  # the columns have no common type
        columns = [np.asarray(value[label]) for label in labels]
    for label, column in zip(labels, columns, strict=False):
        _real(f"{argument}: column {label!r}", column)


def _array_of(argument: str, value: Any) -> NDArray[Any]:
    if is_sparse(value):
        raise TypeError(f"{argument}: expected an array, got a sparse matrix; .toarray() makes it one")
    if hasattr(value, "tocsr"):  # one row
        return np.asarray(value.toarray())
    if isinstance(value, np.ndarray):
        return unmasked(argument, value)
    if hasattr(type(value), "__dlpack_device__"):
        return _handed_over(argument, value)
    _refuse_times(argument, value)
    try:
        return np.asarray(value)
    except ValueError as error:
        pair = "; give X and y as two arguments" if isinstance(value, tuple) else ""
        raise ValueError(
            f"{argument}: expected an array, got a {type(value).__name__} of unequal shapes ({error}){pair}"
        ) from None
    except (RuntimeError, TypeError) as error:  # an error about the elements of a list
        raise TypeError(f"{argument}: {error}") from error


# DLPack's numbers for memory that the CPU can read: its own memory, and memory that CUDA and ROCm pinned.
_CPU_DEVICES = (1, 3, 11)
# The exceptions of libraries that can't export an array.
_REFUSALS = (AttributeError, BufferError, RuntimeError, TypeError, ValueError)


def _handed_over(argument: str, value: Any) -> NDArray[Any]:
    """Return the array of another library without conversion, or by its own conversion if DLPack does not support it."""
    kind, expected = type(value).__name__, "real numbers in the CPU's memory"
    try:
        device = tuple(map(int, value.__dlpack_device__()))
        if device[0] in _CPU_DEVICES:
            return np.from_dlpack(value)
    except _REFUSALS as error:
        reason = error
    else:
        raise TypeError(f"{argument}: expected {expected}, got {kind} on DLPack device {device}")
    if hasattr(type(value), "__array__"):  # for types and flags that DLPack does not support
        try:
            return np.asarray(value)
        except _REFUSALS as error:
            reason = error
    described = f"{kind} of dtype {value.dtype}" if hasattr(value, "dtype") else kind
    raise TypeError(f"{argument}: expected {expected}, got {described} ({reason})") from reason


def _from_objects(argument: str, array: NDArray[Any]) -> NDArray[Any]:
    """Return Python's integers as int64, and other numbers (fractions, decimals, large integers) as float64.

    NumPy would also accept None and text.
    """
    if array.ndim == 0 and not isinstance(array[()], str | bytes) and not hasattr(array[()], "__float__"):
        value, way = array[()], _ways_out.other_object(array[()])
        raise TypeError(f"{argument}: expected an array of numbers, got {shown(value)} of type {type(value).__name__}{way}")
    for value in array.flat:
        complex_only = isinstance(value, numbers.Complex) and not isinstance(value, numbers.Real)
        if complex_only or isinstance(value, str | bytes) or not hasattr(value, "__float__"):
            text = _ways_out.encoding(argument) if isinstance(value, str) else ""
            raise TypeError(f"{argument}: expected a real number, got {shown(value)} of type {type(value).__name__}{text}")
    try:
        if all(isinstance(value, numbers.Integral) and abs(int(value)) < 2**63 for value in array.flat):
            return array.astype(np.int64)
        return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"{argument}: expected numbers that fit float64, got objects that don't ({error})") from error


def real_array(argument: str, value: Any) -> NDArray[Any]:
    """Return `value` as an array of a type that the kernels read, without a copy if it is one.

    It raises the same errors as `numbers_of`.
    """
    array = numbers_of(argument, value)
    if _core.readable(array):
        return array
    # float16 becomes float32. longdouble becomes float64, the largest type that the kernels read. All others have a foreign
    # byte order.
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return array.astype(np.float32 if array.dtype.itemsize <= 4 else np.float64)
    return array.astype(array.dtype.newbyteorder("="))


def rows(argument: str, value: Any, n_columns: int, dtype: np.dtype[Any]) -> Rows:
    """Return `value` as an array (n, n_columns), or as sparse rows with values of that dtype.

    Raises
    ------
    TypeError, ValueError
        If it does not consist of real numbers, or has another shape.
    """
    sparse = is_sparse(value)
    array = _sparse_rows(argument, value, dtype) if sparse else real_array(argument, value)
    if len(array.shape) != 2 or array.shape[1] != n_columns:
        way = _ways_out.other_shape(argument, array.shape, n_columns)
        raise ValueError(f"{argument}: expected shape (n, {n_columns}), one row per sample, got {array.shape}{way}")
    return array


def as_matrix(argument: str, value: Any, n_columns: int) -> tuple[Any, bool]:
    """Return one row (n_columns,) as a matrix, and all else as it is; and whether it was one row."""
    if is_sparse(value) or hasattr(value, "columns"):  # of frames, `rows` finds faults by column
        return value, False
    array = real_array(argument, value)
    return (array[None], True) if array.shape == (n_columns,) else (array, False)


def is_sparse(value: Any) -> bool:
    """Return whether `value` is a sparse matrix or sparse array like SciPy's, but for one row, which becomes an array."""
    return hasattr(value, "tocsr") and len(value.shape) != 1


def _sparse_rows(argument: str, value: Any, dtype: np.dtype[Any]) -> _core.SparseRows:
    """Return a sparse matrix in the form for the kernels. If it has that form already, only its row pointers are copied."""
    table = value.tocsr()
    if len(table.indptr) != table.shape[0] + 1:
        found = f"{len(table.indptr)} row pointers for {table.shape[0]} rows"
        raise ValueError(f"{argument}: expected a valid sparse matrix, got a damaged one ({found})")
    values = real_array(argument, table.data)
    with np.errstate(over="ignore"):
        values = values.astype(dtype, copy=False)
    try:
        return _core.SparseRows(values, table.indices, table.indptr, table.shape[1])
    except ValueError as error:
        raise ValueError(f"{argument}: expected a valid sparse matrix, got a damaged one ({error})") from None


def chosen_rows(x: Rows, rows: NDArray[np.int64]) -> Rows:
    """Return copies of some rows of inputs, which may repeat."""
    if not isinstance(x, _core.SparseRows):
        return x[rows]
    lengths = np.diff(x.row_starts)[rows]
    ends = np.cumsum(lengths)
    starts = np.concatenate([[0], ends])
    # The place of each element is its place in the row, after the beginning of that row in x.
    places = np.arange(starts[-1]) + np.repeat(x.row_starts[rows] - starts[:-1], lengths)
    return _core.SparseRows(x.values[places], x.columns[places], starts, x.shape[1])
