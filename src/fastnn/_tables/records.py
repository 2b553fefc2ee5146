"""Records of comma-separated values, with the numbers of their lines. A record with quoted cells may span lines."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence


class Records:
    """The records of a text, read one by one, or block by block if a block needs no parser for quoted cells.

    Parameters
    ----------
    blocks : iterator of lists of str
        Blocks of lines, none of them empty.
    source : str
        The text's name in messages.
    delimiter : str
        The character between two cells.

    Attributes
    ----------
    line : int
        The number of lines read so far.
    """

    def __init__(self, blocks: Iterator[list[str]], source: str, delimiter: str) -> None:
        self._blocks = blocks
        self._source = source
        self._lines: list[str] = []
        self._place = 0
        self._reader = csv.reader(self._each_line(), delimiter=delimiter, strict=True)
        self.line = 0

    def block(self) -> list[str]:
        """Return the lines of the current block that have not been read, or the next block; an empty list at the end."""
        if self.at_end_of_block() and not self._load():
            return []
        return self._lines[self._place :]

    def skip_block(self) -> None:
        """Count the rest of the current block as read."""
        self.line += len(self._lines) - self._place
        self._place = len(self._lines)

    def at_end_of_block(self) -> bool:
        """Return whether all lines of the current block have been read."""
        return self._place == len(self._lines)

    def record(self) -> tuple[int, list[str]] | None:
        """Return the number of the next record's first line, and its cells; None at the end.

        Raises
        ------
        ValueError
            If quotes or ends of lines are misplaced. The message has the number of the line.
        """
        start = self.line + 1
        try:
            return start, next(self._reader)
        except StopIteration:
            return None
        except csv.Error as error:
            alone = str(error).startswith("new-line character")
            problem = "lines that end in LF or CRLF, got CR alone" if alone else f"separated values, got {error}"
            raise ValueError(f"{self._source}, line {start}: expected {problem}") from None

    def _load(self) -> bool:
        self._lines, self._place = next(self._blocks, []), 0
        return bool(self._lines)

    def _each_line(self) -> Iterator[str]:
        while not self.at_end_of_block() or self._load():
            self._place += 1
            self.line += 1
            yield self._lines[self._place - 1] + "\n"


def bare_lines(
    lines: list[str], delimiter: str, width: int, places: Sequence[int], replaced: Mapping[str, str]
) -> list[str]:
    """Return lines of the cells at some places alone, without quotes and with commas between them.

    Cells with commas are not quoted, so that such a line has too many.

    Parameters
    ----------
    lines : list of str
        Lines that are not empty.
    delimiter : str
        The character between two cells.
    width : int
        The number of cells in each line.
    places : sequence of int
        The places of the cells.
    replaced : mapping
        Cells and their replacements.

    Returns
    -------
    list of str
        The lines, or none if a record spans several lines, has another number of cells, or misplaced quotes.

    Examples
    --------
    >>> bare_lines(['"a;b";"1";2', "c;3;NA"], ";", 3, [2, 1], {"NA": "nan"})
    ['2,1', 'nan,3']
    """
    try:
        rows = list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error:
        return []
    if len(rows) != len(lines) or any(len(row) != width for row in rows):
        return []
    return [",".join([replaced.get(row[place], row[place]) for place in places]) for row in rows]
