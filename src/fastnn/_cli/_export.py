"""``fastnn export``: a model in the format of another library or language."""

from __future__ import annotations

import argparse
import io
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fastnn._cli._models import load_estimator, load_model
from fastnn._cli._usage import WrongUsageError
from fastnn._output.files import output_file
from fastnn._output.report import Report
from fastnn._storage.write_file import write_file

_SUFFIXES = {"onnx": ".onnx", "c": ".c", "torch": ".pt"}
_STDOUT = "-"


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "export",
        help="convert a model to ONNX, C or PyTorch",
        description="Convert the model in a file to an ONNX file, a C source file without dependencies, or a state dict of "
        "PyTorch, which belongs to the nn.Sequential that the command shows.",
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="a file that save wrote, of a model, trainer or estimator")
    parser.add_argument("--to", choices=tuple(_SUFFIXES), required=True, help="the format")
    parser.add_argument(
        "--out",
        metavar="PATH",
        help="the file to write (default: the name of FILE, with .onnx, .c or .pt instead of .safetensors); for C, - writes "
        "to the standard output",
    )
    parser.add_argument("--name", metavar="NAME", help="for C: the name of the function (default: predict)")
    parser.add_argument("--dtype", choices=("float32", "float64"), help="for C: the type of all numbers (default: float32)")
    parser.add_argument("--force", action="store_true", help="replace a file that exists")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Load, convert and write."""
    options = {name: getattr(arguments, name) for name in ("name", "dtype") if getattr(arguments, name) is not None}
    for name in options:
        if arguments.to != "c":
            raise WrongUsageError(f"argument --{name}: expected --to c, got --to {arguments.to}, which has no such option")
    out = _destination(arguments)
    # Only ONNX has a form for the classes of a classifier. The other formats take its network.
    estimator = load_estimator(arguments.file) if arguments.to == "onnx" else None
    model: Any = load_model(arguments.file) if estimator is None else estimator
    if out is None:
        _print_source(lambda path: model.to_c(path, **options))
        return 0
    note = ""
    if arguments.to == "torch":
        note = _write_state(model, out)
    elif arguments.to == "c":
        model.to_c(out, **options)
    else:
        model.to_onnx(out)
    report = Report(sys.stdout)
    report.title(f"wrote {out}{note}")
    return 0


def _destination(arguments: argparse.Namespace) -> Path | None:
    """Return the file to write, or None for the standard output, after the checks that can be made before the work."""
    if arguments.out == _STDOUT:
        if arguments.to != "c":
            raise WrongUsageError(f"argument --out: expected a file for --to {arguments.to}, got '-'; only C source is text")
        return None
    source: Path = arguments.file
    text = arguments.out
    if text is None:
        text = str(source.with_suffix("") if source.suffix.lower() == ".safetensors" else source) + _SUFFIXES[arguments.to]
    try:
        out = output_file(text)
    except argparse.ArgumentTypeError as error:
        raise WrongUsageError(f"argument --out: {error}") from None
    if out.exists() and source.exists() and os.path.samefile(source, out):
        raise WrongUsageError(f"argument --out: expected another file than FILE, got '{out}'")
    if out.is_file() and not arguments.force:
        raise FileExistsError(f"{out}: expected a name that is free, got a file that exists; --force replaces it")
    return out


def _print_source(write: Callable[[Path], object]) -> None:
    """Print C source that is written to a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.c"
        write(path)
        sys.stdout.buffer.write(path.read_bytes())


def _write_state(model: Any, out: Path) -> str:
    """Write the parameters as PyTorch recommends, without code in the file; return a text about the module they fit."""
    module = model.to_torch()  # names the extra if PyTorch is missing
    import torch

    buffer = io.BytesIO()
    torch.save(module.state_dict(), buffer)
    write_file(out, [buffer.getbuffer()])
    texts = [" ".join(str(layer).split()) for layer in module]  # modules with parts have several lines
    layers = ", ".join(f"{_library_of(layer)}{text}" for layer, text in zip(module, texts, strict=True))
    double = ".double()" if model.dtype == np.float64 else ""
    way = "" if all(map(_library_of, (module, *module))) else ", which MLP.to_torch makes"
    return f", the state dict of {_library_of(module)}{type(module).__name__}({layers}){double}{way}"


def _library_of(module: Any) -> str:
    """Return the prefix of a class of torch.nn, or nothing for fastnn's own."""
    return "" if type(module).__module__.startswith("fastnn.") else "nn."
