"""Tables of comma-separated values, read block by block."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import methodcaller
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from fastnn._tables import cells as _cells
from fastnn._tables.columns import Wanted, column_text, places, unused
from fastnn._tables.records import Records, bare_lines
from fastnn._tables.text_lines import blocks_of_lines

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OTHER_DELIMITERS = {",": "','", ";": "';'", "\t": "tab"}


@dataclass(frozen=True)
class CSVOptions:
    """How to read a table of text.

    Attributes
    ----------
    delimiter : str, default ","
        The character between two cells.
    header : bool, optional
        Whether the first line has the names of the columns. By default, its cells decide.
    allow_missing : bool, default False
        Whether cells may be missing, and become NaN.
    """

    delimiter: str = ","
    header: bool | None = None
    allow_missing: bool = False


class CSVTable:
    """The inputs of a model in a table of text. Iteration yields arrays of rows, as they arrive.

    Parameters
    ----------
    file : binary file
        The open file or pipe.
    source : str
        Its name in messages.
    options : CSVOptions
        How to read it.
    wanted : Wanted
        The columns to read.

    Attributes
    ----------
    unused : list of str
        The names of columns that are not inputs.

    Raises
    ------
    ValueError
        If the columns are not those wanted; in iteration, if a row has another number of cells, or a cell has no finite
        number. The message has line and column.
    """

    def __init__(self, file: BinaryIO, source: str, options: CSVOptions, wanted: Wanted) -> None:
        self._source, self._options = source, options
        self._records = Records(blocks_of_lines(file, source), source, options.delimiter)
        self._pending: tuple[int, list[str]] | None = None  # a first record that has numbers, not names
        self._names: list[str] | None = None
        self._start(wanted)
        self.unused = unused(self._names, self._places)

    def __iter__(self) -> Iterator[NDArray[np.float64]]:
        """Yield arrays of shape (n, n_inputs)."""
        if self._pending is not None:
            yield np.array([self._row(*self._pending)])
        while lines := self._records.block():
            values = self._at_once(lines)
            if values is None:
                values = np.array(self._one_by_one()).reshape(-1, len(self._places))
            else:
                self._records.skip_block()
            if len(values):
                yield values

    def _start(self, wanted: Wanted) -> None:
        """Read the first record, and find the columns."""
        first = self._next_record()
        if first is None:
            if self._options.header is not False:
                raise ValueError(f"{self._source}: expected a line of column names, or rows, got an empty file")
            self._width, self._places = wanted.count, list(range(wanted.count))
            return
        self._first_line, row = first
        self._width = len(row)
        if self._has_header(row, wanted):
            self._names = row
        else:
            self._pending = first
        try:
            self._places = places(self._source, self._names, self._width, wanted)
        except ValueError as error:
            raise ValueError(f"{error}{self._other_delimiter(row)}") from None

    def _has_header(self, row: Sequence[str], wanted: Wanted) -> bool:
        if self._options.header is not None:
            return self._options.header
        if wanted.are_in(row):
            return True
        numbers = sum(_cells.number(cell) is not None and not _cells.is_missing(cell) for cell in row)
        texts = sum(_cells.number(cell) is None and not _cells.is_missing(cell) for cell in row)
        if numbers and texts:
            raise ValueError(
                f"{self._source}, line {self._first_line}: expected column names or numbers, got both; --header or "
                f"--no-header says which it is{self._other_delimiter(row)}"
            )
        return texts > 0

    def _other_delimiter(self, row: Sequence[str]) -> str:
        """Return a hint if the first line looks like one with another delimiter."""
        if len(row) > 1:
            return ""
        found = [name for character, name in _OTHER_DELIMITERS.items() if character in row[0]]
        return f" (the first line has {found[0]}: see --delimiter)" if found else ""

    def _at_once(self, lines: list[str]) -> NDArray[np.float64] | None:
        """Return the rows of a block of lines, or None if records span lines, or if there are empty lines or errors."""
        delimiter, places = self._options.delimiter, self._places
        if "" in lines:
            return None
        # With `usecols`, NumPy does not compare the numbers of cells. It does not check where quotes are.
        chosen = None if places == list(range(self._width)) else places
        if '"' not in "".join(lines) and set(map(methodcaller("count", delimiter), lines)) == {self._width - 1}:
            values = self._numbers(lines, delimiter, chosen)
            if values is not None:
                return values
        missing = _cells.FILLED if self._options.allow_missing else {}
        bare = bare_lines(lines, delimiter, self._width, places, missing)
        return self._numbers(bare, ",", None) if bare else None

    def _numbers(self, lines: list[str], delimiter: str, chosen: list[int] | None) -> NDArray[np.float64] | None:
        """Return the numbers in lines without quotes, or None if there are errors."""
        columns: Any = chosen
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                values = np.loadtxt(lines, delimiter=delimiter, comments=None, usecols=columns, ndmin=2)
        except (ValueError, UserWarning):
            return None
        wrong = np.isinf(values) if self._options.allow_missing else ~np.isfinite(values)
        return None if wrong.any() or values.shape != (len(lines), len(self._places)) else values

    def _one_by_one(self) -> list[list[float]]:
        """Return the rows that begin in the current block, or raise the error about the first wrong one."""
        rows = []
        while record := self._next_record():
            rows.append(self._row(*record))
            if self._records.at_end_of_block():
                break
        return rows

    def _next_record(self) -> tuple[int, list[str]] | None:
        """Return line and cells of the next record. Only empty lines at the end are passed over."""
        empty = 0
        while record := self._records.record():
            if not record[1]:
                empty = empty or record[0]
            elif empty:
                raise ValueError(f"{self._source}, line {empty}: expected cells, got an empty line between others")
            else:
                return record
        return None

    def _row(self, line: int, row: list[str]) -> list[float]:
        if len(row) != self._width:
            raise ValueError(
                f"{self._source}, line {line}: expected {self._width} cells, as in line {self._first_line}, got {len(row)}"
            )
        return [self._value(line, place, row[place]) for place in self._places]

    def _value(self, line: int, place: int, text: str) -> float:
        """Return the number in a cell, or NaN for a missing value."""
        value = _cells.number(text)
        if value is None and _cells.is_missing(text):
            value = float("nan")
        got = repr(text) if text.strip() else "an empty cell"
        problem = f"expected a number, got {got}"
        if value is not None:
            refused = _cells.refusal(value, got, self._options.allow_missing)
            if refused is None:
                return value
            problem = refused
        raise ValueError(f"{self._source}, line {line}, {column_text(place, self._names)}: {problem}")
