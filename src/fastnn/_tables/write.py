"""Writing of predictions, block by block."""

from __future__ import annotations

import csv
import io
import mmap
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import numpy as np

from fastnn._storage.write_file import write_file

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Writer(Protocol):
    """Something that writes blocks of rows."""

    def write(self, block: NDArray[Any]) -> None:
        """Write rows, of shape (n, n_outputs)."""

    def finish(self) -> None:
        """Write what is known only at the end."""


class CSVWriter:
    """Writes separated values, whose digits give the same numbers when they are read with the same dtype.

    Parameters
    ----------
    file : binary file
        The file or stream.
    names : sequence of str, optional
        The names of the columns, for a first line.
    delimiter : str, default ","
        The character between two cells.
    """

    def __init__(self, file: BinaryIO, names: Sequence[str] | None, delimiter: str = ",") -> None:
        self._file, self._delimiter = file, delimiter
        if names is not None:
            self._write_cells([names])

    def write(self, block: NDArray[Any]) -> None:
        """Write rows, and let a reader at the other end of a pipe have them at once."""
        if block.dtype.kind != "f":
            self._write_cells(block.tolist())
            return
        # The shortest digits of a float32 are fewer than those of the same number in float64. Numbers need no quotes.
        rows = block.astype(str).tolist() if block.dtype == np.float32 else (map(repr, row) for row in block.tolist())
        self._write("".join([f"{self._delimiter.join(row)}\n" for row in rows]))

    def finish(self) -> None:
        """Do nothing."""

    def _write_cells(self, rows: Sequence[Sequence[Any]]) -> None:
        text = io.StringIO()
        csv.writer(text, delimiter=self._delimiter, lineterminator="\n").writerows(rows)
        self._write(text.getvalue())

    def _write(self, text: str) -> None:
        self._file.write(text.encode())
        self._file.flush()


class NPYWriter:
    """Writes a .npy file. Its header, with the number of rows, is completed at the end.

    Parameters
    ----------
    file : binary file
        A file that can be read again from its beginning.
    n_columns : int
        The number of columns.
    dtype : dtype
        The type of the numbers.
    """

    def __init__(self, file: BinaryIO, n_columns: int, dtype: np.dtype[Any]) -> None:
        self._file, self._n_columns, self._dtype = file, n_columns, dtype
        self._n_rows = 0
        self._write_header()
        self._start = file.tell()

    def write(self, block: NDArray[Any]) -> None:
        """Write rows."""
        self._file.write(block.astype(self._dtype, copy=False).tobytes())
        self._n_rows += len(block)

    def finish(self) -> None:
        """Write the header again, with the number of rows."""
        self._file.seek(0)
        self._write_header()  # NumPy leaves room for larger numbers
        if self._file.tell() != self._start:
            raise ValueError(f"expected a header of {self._start} bytes, got {self._file.tell()}")

    def _write_header(self) -> None:
        shape = (self._n_rows, self._n_columns)
        header = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)


@contextmanager
def spool(path: Path | None) -> Iterator[BinaryIO]:
    """Yield a file for output: the standard output for None, or an unnamed file that becomes the file at the path.

    An existing file is replaced at the end. If an error is raised before, nothing has changed.
    """
    if path is None:
        yield sys.stdout.buffer
        return
    with _unnamed(path) as file:
        yield file
        file.flush()
        if not file.seek(0, 2):
            write_file(path, [])
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content, memoryview(content) as view:
            write_file(path, [view])


def _unnamed(path: Path) -> Any:
    """Open a file without a name beside the path, or among temporary files if the folder is read-only."""
    try:
        return tempfile.TemporaryFile(dir=path.resolve().parent)
    except PermissionError:
        return tempfile.TemporaryFile()
