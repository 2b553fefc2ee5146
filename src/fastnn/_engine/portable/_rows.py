"""Rows of users' arrays, of any type and strides, which are converted to the network's type in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array: TypeAlias = NDArray[Any]
Chosen: TypeAlias = "slice | NDArray[np.int64]"


class SparseRows:
    """Sparse rows (CSR): the stored elements of row i are values[row_starts[i]:row_starts[i + 1]]."""

    def __init__(self, values: Array, columns: Array, row_starts: Array, n_columns: int) -> None:
        self.values = np.require(values, requirements=["C", "A", "E"])
        self.columns = np.require(columns, np.int32, ["C", "A", "E"])
        self.row_starts = np.array(row_starts, np.int64)
        n_rows, n_entries = len(self.row_starts) - 1, min(len(self.values), len(self.columns))
        lengths = np.diff(self.row_starts)
        if n_rows < 0 or self.row_starts[0] != 0 or self.row_starts[n_rows] > n_entries or (lengths < 0).any():
            raise ValueError("row_starts must rise from 0 to no more than the number of elements")
        used = self.columns[: self.row_starts[n_rows]]
        if len(used) and (used.min() < 0 or used.max() >= n_columns):
            raise ValueError(f"columns must be 0 to {n_columns - 1}")
        self.shape = (n_rows, n_columns)

    def __len__(self) -> int:
        return self.shape[0]

    def entries(self, chosen: Chosen) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return, for every stored element of the chosen rows, its row among them and its index in `values`."""
        starts, ends = self.row_starts[:-1][chosen], self.row_starts[1:][chosen]
        lengths = ends - starts
        rows = np.repeat(np.arange(len(lengths)), lengths)
        return rows, np.arange(len(rows)) + np.repeat(ends - np.cumsum(lengths), lengths)

    def chosen(self, chosen: Chosen) -> SparseRows:
        """Return the chosen rows."""
        _, places = self.entries(chosen)
        lengths = self.row_starts[1:][chosen] - self.row_starts[:-1][chosen]
        starts = np.concatenate(([0], np.cumsum(lengths)))
        return SparseRows(self.values[places], self.columns[places], starts, self.shape[1])

    def dense(self, chosen: Chosen) -> Array:
        """Return the chosen rows as an array. Elements at the same place are added."""
        rows, places = self.entries(chosen)
        n_rows = len(self.row_starts[:-1][chosen])
        out = np.zeros((n_rows, self.shape[1]), self.values.dtype)
        np.add.at(out, (rows, self.columns[places]), self.values[places])
        return out


def readable(a: Array) -> bool:
    """Return whether rows can be read from arrays of this type."""
    return a.dtype.isnative and (a.dtype.kind in "iub" or a.dtype in (np.float32, np.float64))


def check_sparse(a: SparseRows, argument: str, n_rows: int, n_columns: int, dtype: DTypeLike) -> None:
    """Raise ValueError or TypeError unless sparse rows have that shape, and values of that type."""
    if a.shape != (n_rows, n_columns):
        raise ValueError(f"{argument}: expected shape ({n_rows}, {n_columns}), got {a.shape}")
    if a.values.dtype != dtype:
        raise TypeError(f"{argument}: values of {a.values.dtype} must be converted before")


def check_rows(a: Array, argument: str, n_rows: int, n_columns: int, labels: bool = False) -> None:
    """Raise ValueError or TypeError unless rows of that shape can be read from an array."""
    if not readable(a):
        raise TypeError(f"{argument}: arrays of {a.dtype} must be converted before")
    if labels:
        if a.shape != (n_rows,) or a.dtype.kind not in "iu":
            raise ValueError(f"{argument}: expected {n_rows} integer labels, got {a.dtype} of shape {a.shape}")
    elif a.ndim == 1:
        if n_rows != 1 or a.shape[0] != n_columns:
            raise ValueError(f"{argument}: expected shape ({n_columns},) or (n, {n_columns}), got {a.shape}")
    elif a.shape != (n_rows, n_columns):
        raise ValueError(f"{argument}: expected shape ({n_rows}, {n_columns}), got {a.shape}")


def read_x(x: Array | SparseRows, chosen: Chosen, dtype: DTypeLike) -> Array:
    """Return the chosen rows (n, n_in) in the network's type, contiguous, aligned and writable."""
    if isinstance(x, SparseRows):
        return _plain(x.dense(chosen), dtype)
    return _plain((x if x.ndim == 2 else x[np.newaxis])[chosen], dtype)


def standing_in(chosen: Chosen, weight: NDArray[np.float64], ends: Sequence[int] | NDArray[np.int64]) -> Chosen:
    """Return the chosen rows, with each row of weight 0 replaced by another row of its batch.

    The results for the replaced row are then finite if those of the batch are. `weight` has the weights of the chosen rows.
    Batch i has the rows from ends[i] to ends[i + 1]. A batch in which all weights are 0 stays unchanged.
    """
    if weight.all():
        return chosen
    rows = np.arange(chosen.start, chosen.stop) if isinstance(chosen, slice) else chosen.copy()
    for begin, end in pairwise(ends):
        counted = np.flatnonzero(weight[begin:end])
        if len(counted):
            rows[begin:end][weight[begin:end] == 0] = rows[begin + counted[0]]
    return rows


def read_y(y: Array, chosen: Chosen, n_targets: int, labels: bool, dtype: DTypeLike) -> Array:
    """Return the chosen targets (n, n_targets) in the network's type. Labels become rows with a single 1."""
    if labels:
        return _plain(y[chosen][:, np.newaxis] == np.arange(n_targets), dtype)
    return read_x(y, chosen, dtype)


def _plain(rows: Array, dtype: DTypeLike) -> Array:
    if rows.dtype == dtype and rows.flags.carray:  # the usual case, in a fraction of the time of `np.require`
        return rows
    if rows.dtype == np.bool_:  # NumPy interprets all bytes except 0 as True
        rows = rows.view(np.uint8) != 0
    with np.errstate(over="ignore"):
        return np.require(rows, dtype, ["C", "A", "W"])
