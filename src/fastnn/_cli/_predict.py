"""``fastnn predict``: predictions for the rows of a table, which may be larger than the memory."""

from __future__ import annotations

import argparse
import csv
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from fastnn._checks.columns import listed
from fastnn._cli._models import Predictor, load_predictor
from fastnn._cli._usage import WrongUsageError
from fastnn._output.files import output_file
from fastnn._tables.columns import Wanted
from fastnn._tables.csv_table import CSVOptions
from fastnn._tables.read import FORMATS, table
from fastnn._tables.write import CSVWriter, NPYWriter, Writer, spool

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TAB = "\t"
_NOT_DELIMITERS = frozenset('"\r\n+-.eE_0123456789')


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "predict",
        help="predict the rows of a CSV, .npy or Parquet file",
        description="Write the predictions of a model, or the means of an ensemble, for each row of a table. The table "
        "is read in blocks, so that it may be larger than the memory. If the model knows the names of its inputs, the "
        "columns are found by these names.",
    )
    parser.add_argument(
        "model", metavar="MODEL", type=Path, help="a file that save wrote, of a model, ensemble, trainer or estimator"
    )
    parser.add_argument("data", metavar="DATA", help="a .csv, .tsv, .npy or .parquet file; - reads the standard input")
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=_output,
        help="a .csv, .tsv or .npy file, which replaces an older one when it is complete (default: -, which writes CSV to "
        "the standard output)",
    )
    parser.add_argument(
        "--columns",
        metavar="LIST",
        type=_names,
        help="the columns that are the inputs, in order: names separated by commas, or numbers from 1 if they have no names",
    )
    parser.add_argument(
        "--format", choices=("csv", "npy", "parquet"), help="the format of DATA (default: by its name; csv for -)"
    )
    parser.add_argument(
        "--delimiter", metavar="C", type=_delimiter, help='the character between cells (default: ","; or tab)'
    )
    header = parser.add_mutually_exclusive_group()
    header.add_argument(
        "--header", action="store_true", default=None, help="the first line has names (default: if its cells are no numbers)"
    )
    header.add_argument(
        "--no-header",
        action="store_false",
        dest="header",
        help="the first line has numbers; the output gets no names either",
    )
    parser.add_argument(
        "--allow-missing",
        action="store_true",
        help="predict NaN, or no label, for rows in which a value is missing, instead of failing",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Predict block by block."""
    data = None if arguments.data == "-" else Path(arguments.data)
    out: Path | None = arguments.out
    kind = arguments.format or _format(data)
    _check(arguments, kind, data, out)
    predictor = load_predictor(arguments.model)
    if arguments.columns is not None and len(arguments.columns) != predictor.n_inputs:
        raise WrongUsageError(
            f"argument --columns: expected {predictor.n_inputs}, one per input of the model, got {len(arguments.columns)}"
        )
    delimiter = arguments.delimiter or (_TAB if data is not None and data.suffix.lower() == ".tsv" else ",")
    wanted = Wanted(predictor.n_inputs, predictor.names, arguments.columns)
    options = CSVOptions(delimiter, arguments.header, arguments.allow_missing)
    if arguments.allow_missing and out is not None and out.suffix.lower() == ".npy" and predictor.dtype.kind != "f":
        raise WrongUsageError("argument --allow-missing: expected --out in CSV, because labels in an array can't be missing")
    with table(data, kind, wanted, options) as rows, spool(out) as file:
        if rows.unused:
            print(f"fastnn: note: columns that are not inputs: {listed(rows.unused)}", file=sys.stderr)
        writer = _writer(file, out, predictor, arguments.header is not False)
        for X in rows:
            writer.write(_predictions(predictor, X))
        writer.finish()
    return 0


def _predictions(predictor: Predictor, X: NDArray[Any]) -> NDArray[Any]:
    """Return the predictions. Those of rows with missing values are NaN, or empty cells in place of labels."""
    missing = np.isnan(X).any(axis=1) if X.dtype.kind == "f" else np.zeros(len(X), bool)
    if not missing.any():
        return predictor.predict(X)
    numbers = predictor.dtype.kind == "f"
    shape = (len(X), len(predictor.outputs))
    predictions = np.full(shape, np.nan if numbers else "", predictor.dtype if numbers else object)
    if not missing.all():
        predictions[~missing] = predictor.predict(X[~missing])
    return predictions


def _writer(file: BinaryIO, out: Path | None, predictor: Predictor, named: bool) -> Writer:
    """Return the writer for the name of a file."""
    suffix = "" if out is None else out.suffix.lower()
    if suffix == ".npy":
        return NPYWriter(file, len(predictor.outputs), predictor.dtype)
    return CSVWriter(file, predictor.outputs if named else None, _TAB if suffix == ".tsv" else ",")


def _check(arguments: argparse.Namespace, kind: str, data: Path | None, out: Path | None) -> None:
    """Raise the error about arguments that contradict each other."""
    if data is None and kind == "parquet":
        raise WrongUsageError("argument DATA: expected a file, because Parquet can't be read from a pipe, got '-'")
    given = {"--delimiter": arguments.delimiter is not None, "--header": arguments.header is True}
    for name, is_given in given.items():
        if is_given and kind != "csv":
            raise WrongUsageError(f"argument {name}: expected DATA in the format csv, got {kind}")
    for name, path in {"MODEL": arguments.model, "DATA": data}.items():
        if out is not None and path is not None and out.exists() and path.exists() and os.path.samefile(path, out):
            raise WrongUsageError(f"argument --out: expected another file than {name}, got '{out}'")


def _format(data: Path | None) -> str:
    if data is None:
        return "csv"
    if data.suffix.lower() not in FORMATS:
        raise WrongUsageError(
            f"argument DATA: expected a name that ends in {', '.join(FORMATS)}, got '{data}'; --format names the format"
        )
    return FORMATS[data.suffix.lower()]


def _output(text: str) -> Path | None:
    if text == "-":
        return None
    if Path(text).suffix.lower() not in (".csv", ".tsv", ".npy"):
        raise argparse.ArgumentTypeError(f"expected a name that ends in .csv, .tsv or .npy, or -, got {text!r}")
    return output_file(text)


def _names(text: str) -> tuple[str, ...]:
    """Return the names in a list, in which names with commas are quoted."""
    try:
        (names,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError):
        raise argparse.ArgumentTypeError(f"expected names separated by commas, got {text!r}") from None
    if not names or "" in names:
        raise argparse.ArgumentTypeError(f"expected names separated by commas, got {text!r}")
    return tuple(names)


def _delimiter(text: str) -> str:
    character = {"tab": _TAB, "\\t": _TAB}.get(text, text)
    if len(character) != 1 or character in _NOT_DELIMITERS:
        raise argparse.ArgumentTypeError(f"expected one character that is not in numbers, or tab, got {text!r}")
    return character
