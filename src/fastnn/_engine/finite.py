"""Checks that arrays are finite in the dtype of a model, which name the row and column of the first element that is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._engine import core as _core
from fastnn._engine.arrays import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The number of elements that a check copies at once, if it must copy them.
_PIECE = 1 << 20


def check_inputs(
    argument: str,
    array: Rows,
    dtype: np.dtype[Any],
    weight: NDArray[np.float64] | None = None,
    codes: tuple[int, ...] = (),
) -> None:
    """Raise ValueError, naming row and column, if an input of a row that counts is not finite in `dtype`.

    The columns `codes` may contain anything, because they are those of categories.
    """
    if isinstance(array, _core.SparseRows):
        _check_sparse_finite(argument, array, dtype, weight)
    elif codes:
        numeric = np.delete(np.arange(array.shape[1]), codes)
        check_finite(argument, array[:, numeric], dtype, weight, columns=numeric)
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
    columns: NDArray[np.int64] | None = None,
) -> None:
    """Raise ValueError with row and column if an element is NaN, infinite, or too large for `dtype`.

    Rows of weight 0 may contain anything. With `nan`, all rows may contain NaN. `columns` are the numbers of the columns, if
    they are not 0, 1, ….
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
            place = f"row {first + at[0]}" + (
                f", column {at[1] if columns is None else columns[at[1]]}" if array.ndim == 2 else ""
            )
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
