"""Arrays in .npy files, read block by block."""

from __future__ import annotations

import math
from collections.abc import Iterator
from tokenize import TokenError
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from fastnn._tables.columns import Wanted, places
from fastnn._tables.finite import check_finite

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK = 1 << 22  # bytes
# Errors that NumPy raises for damaged headers, which it parses as Python.
_DAMAGE = (ValueError, EOFError, SyntaxError, TypeError, AttributeError, OverflowError, RecursionError, TokenError)
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class NPYTable:
    """The inputs of a model in an array of shape (n, n_columns). Iteration yields arrays of rows.

    Parameters
    ----------
    file : binary file
        The open file or pipe.
    source : str
        Its name in messages.
    wanted : Wanted
        The columns to read.
    allow_missing : bool
        Whether NaN is accepted.

    Attributes
    ----------
    unused : list of str
        Empty, because columns of arrays have no names.

    Raises
    ------
    ValueError
        If the file has another format, is truncated or followed by other data, or has other columns; in iteration, if a
        number is not finite. The message has row and column.
    """

    def __init__(self, file: BinaryIO, source: str, wanted: Wanted, allow_missing: bool) -> None:
        self._file, self._source, self._allow_missing = file, source, allow_missing
        shape, self._by_columns, self._dtype = _header(file, source)
        if len(shape) != 2 or self._dtype.kind not in "biuf":
            raise ValueError(
                f"{source}: expected an array of real numbers of shape (n, {wanted.count}), got {self._dtype} {shape}"
            )
        self._n_rows, self._width = shape
        self._places = places(source, None, self._width, wanted)
        self.unused: list[str] = []

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """Yield arrays of shape (n, n_inputs)."""
        count = max(1, _BLOCK // max(1, self._width * self._dtype.itemsize))
        whole = self._places == list(range(self._width))
        mapped = self._mapped() if self._by_columns and self._width > 1 and self._n_rows > 1 else None
        for start in range(0, self._n_rows, count):
            rows = min(count, self._n_rows - start)
            block = self._next(rows, start) if mapped is None else np.array(mapped[start : start + rows])
            block = block if whole else block[:, self._places]
            check_finite(block, self._source, start, self._places, None, self._allow_missing)
            yield block
        if mapped is None and self._file.read(1):
            raise ValueError(f"{self._source}: expected {self._n_rows} rows of {self._width} numbers, got more data")

    def _next(self, rows: int, start: int) -> NDArray[Any]:
        size = rows * self._width * self._dtype.itemsize
        data = self._file.read(size)
        if len(data) < size:
            got = start + len(data) // max(1, self._width * self._dtype.itemsize)
            raise ValueError(f"{self._source}: expected {self._n_rows} rows, got {got}; the file is truncated")
        return np.frombuffer(data, self._dtype).reshape(rows, self._width)

    def _mapped(self) -> NDArray[Any]:
        """Return a view of an array that is stored column by column."""
        shape = (self._n_rows, self._width)
        try:
            start, end = self._file.tell(), self._file.seek(0, 2)
        except OSError:
            raise ValueError(
                f"{self._source}: expected an array stored row by row, because a pipe is read only once, got one stored "
                "column by column; numpy.ascontiguousarray converts it"
            ) from None
        size = math.prod(shape) * self._dtype.itemsize
        if end - start != size:
            raise ValueError(f"{self._source}: expected {size} bytes of numbers, got {end - start}")
        return np.memmap(self._file, self._dtype, "r", offset=start, shape=shape, order="F")


def _header(file: BinaryIO, source: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, whether the array is stored column by column, and dtype."""
    try:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"version {version}")
        return _HEADERS[version](file)
    except _DAMAGE as error:
        raise ValueError(f"{source}: expected a .npy file with an array of real numbers, got another ({error})") from None
