"""A callback that writes the history to a file during the run, one line per epoch."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from typing import Any, ClassVar

from fastnn._checks.options import explained
from fastnn._checks.scalars import Checked, flag
from fastnn._history import History
from fastnn._storage.write_file import FilePath, file_name

# The digits of the largest number of an epoch that counts as one.
_MAX_DIGITS = 18


class CSVLog(Checked):
    """Write the history to a file of comma-separated values: a header, and one line per epoch as soon as it ends.

    The columns are "epoch" and those of the history. Each line is in the file before the next epoch begins, so that nothing
    is lost if the process dies.

    Parameters
    ----------
    path : str, bytes or path-like
        The file.
    append : bool, default False
        Whether to add lines to those of an earlier run, and to continue its count of epochs. Otherwise, an existing file
        is replaced at the start of the run.

    Raises
    ------
    TypeError, ValueError
        If a parameter has the wrong type. At the start of a run: if the file to append to has another header.
    OSError
        If the file can't be written at the start of the run.

    Examples
    --------
    >>> CSVLog("log.csv")
    CSVLog('log.csv', append=False)
    """

    _checks: ClassVar = {"path": lambda _, value: file_name(value), "append": flag}

    @explained
    def __init__(self, path: FilePath, append: bool = False) -> None:
        self.path = file_name(path)
        self.append = append
        self._file, self._epochs_before = "", 0

    def on_train_begin(self, trainer: Any, history: History) -> None:
        """Write the header, or check the header of the file to append to."""
        self._file = ""
        if history.columns is not None:
            self._begin(history)

    def _begin(self, history: History) -> None:
        # The program may change its directory.
        self._file, self._epochs_before = os.path.abspath(self.path), 0
        header = _line(["epoch", *history])
        old, lines = self._old_lines() if self.append and os.path.exists(self._file) else ("", [])
        if not old:
            self._write(header, "w")
            return
        if lines[0] != ["epoch", *history]:
            raise ValueError(
                f"path: expected a file whose first line is {header.rstrip()!r}, got {_line(lines[0]).rstrip()!r} in "
                f"{self.path}"
            )
        if not old.endswith("\n"):  # the last line was not written completely
            self._write("\n")
        self._epochs_before = max((_epoch(line) for line in lines[1:]), default=0)

    def _old_lines(self) -> tuple[str, list[list[str]]]:
        """Return the text of the file to append to, and its lines as cells."""
        try:
            with open(self._file, encoding="utf-8", newline="") as file:
                text = file.read()
            return text, list(csv.reader(io.StringIO(text, newline="")))
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"path: expected a file of comma-separated values, got {self.path}: {error}") from None

    def on_epoch_end(self, trainer: Any, history: History) -> None:
        """Write the line of the epoch."""
        if not self._file:
            self._begin(history)
        epoch = self._epochs_before + history.epochs
        self._write(_line([epoch, *(float(values[-1]) for values in history.values())]))

    def _write(self, text: str, mode: str = "a") -> None:
        with open(self._file, mode, encoding="utf-8", newline="") as file:
            file.write(text)

    def __repr__(self) -> str:
        return f"CSVLog({self.path!r}, append={self.append})"


def _line(cells: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)  # so that cells with either character are quoted
    return text.getvalue().removesuffix("\r\n") + "\n"


def _epoch(line: Sequence[str]) -> int:
    """Return the number of an epoch at the beginning of a line, or 0 if there is none."""
    number = line[0] if line else ""
    return int(number) if number.isdecimal() and len(number) <= _MAX_DIGITS else 0
