"""The choice of a reader by the name of a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fastnn._tables.columns import Wanted
from fastnn._tables.csv_table import CSVOptions, CSVTable
from fastnn._tables.npy_table import NPYTable
from fastnn._tables.parquet_table import ParquetTable

Table = CSVTable | NPYTable | ParquetTable

FORMATS = {".csv": "csv", ".tsv": "csv", ".npy": "npy", ".parquet": "parquet", ".pq": "parquet"}
"""The formats by the endings of names."""


@contextmanager
def table(path: Path | None, kind: str, wanted: Wanted, options: CSVOptions) -> Iterator[Table]:
    """Yield the inputs of a model in a file, or in the standard input for None.

    Parameters
    ----------
    path : Path, optional
        The file.
    kind : {"csv", "npy", "parquet"}
        Its format.
    wanted : Wanted
        The columns to read.
    options : CSVOptions
        How to read a table of text. `allow_missing` applies to all formats.
    """
    if kind == "parquet":
        if path is None:
            raise ValueError("standard input: expected csv or npy, because Parquet is not read in order, got parquet")
        yield ParquetTable(path, wanted, options.allow_missing)
        return
    source = "standard input" if path is None else str(path)
    with _opened(path) as file:
        if kind == "npy":
            yield NPYTable(file, source, wanted, options.allow_missing)
        else:
            yield CSVTable(file, source, options, wanted)


@contextmanager
def _opened(path: Path | None) -> Iterator[BinaryIO]:
    if path is not None:
        with open(path, "rb") as file:
            yield file
    elif sys.stdin is None:
        raise ValueError("standard input: expected a table, got a stream that is closed")
    else:
        yield sys.stdin.buffer
