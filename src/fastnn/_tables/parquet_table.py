"""Tables in Parquet files, read by PyArrow in batches of rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._tables.columns import Wanted, column_text, places, unused
from fastnn._tables.finite import check_finite

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BATCH = 1 << 19  # numbers


class ParquetTable:
    """The inputs of a model in a Parquet file. Iteration yields arrays of rows.

    Parameters
    ----------
    path : Path
        The file.
    wanted : Wanted
        The columns to read.
    allow_missing : bool
        Whether values may be null or NaN.

    Attributes
    ----------
    unused : list of str
        The names of columns that are not inputs.

    Raises
    ------
    ImportError
        If PyArrow is not installed.
    ValueError
        If the file has another format, or its columns are not those wanted; in iteration, if a number is missing or not
        finite. The message has row and column.
    """

    def __init__(self, path: Path, wanted: Wanted, allow_missing: bool) -> None:
        try:
            from pyarrow import parquet
        except ImportError as error:
            raise ImportError(f'reading Parquet needs PyArrow: pip install "fastnn-cpu[parquet]" ({error})') from error
        self._source, self._allow_missing = str(path), allow_missing
        with open(path, "rb"):  # for errors of the system
            pass
        try:
            self._file = parquet.ParquetFile(path)
        except _damage() as error:
            raise ValueError(f"{path}: expected a Parquet file, got another ({error})") from None
        schema = self._file.schema_arrow
        self._names = list(schema.names)
        self._places = places(self._source, self._names, len(self._names), wanted)
        self.unused = unused(self._names, self._places)
        for place in self._places:
            kind = schema.field(place).type
            if not _is_number(kind):
                raise ValueError(f"{self._source}, {column_text(place, self._names)}: expected numbers, got {kind}")

    def __iter__(self) -> Iterator[NDArray[np.float64]]:
        """Yield arrays of shape (n, n_inputs)."""
        names = [self._names[place] for place in self._places]
        start = 0
        try:
            for batch in self._file.iter_batches(max(1, _BATCH // len(names)), columns=list(dict.fromkeys(names))):
                block = np.column_stack([_floats(batch.column(name)) for name in names])
                check_finite(block, self._source, start, self._places, self._names, self._allow_missing)
                yield block
                start += len(block)
        except _damage() as error:
            raise ValueError(f"{self._source}, row {start + 1} or later: {error}") from None


def _damage() -> tuple[type[Exception], ...]:
    """Return the errors that PyArrow raises for damaged files."""
    import pyarrow as pa

    return pa.ArrowException, OSError


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind))


def _floats(column: Any) -> NDArray[np.float64]:
    """Return a column in float64, with NaN for null."""
    import pyarrow as pa

    numbers = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
    return np.asarray(numbers.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)
