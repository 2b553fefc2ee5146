"""``fastnn inspect``: what a file contains."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastnn._cli._contents import contents_of, plain
from fastnn._output.report import Report

_LONGEST = 200  # characters of a value
_OBJECTS = frozenset({"class", "custom_loss"})  # the keys of values that are objects
_STATISTICS = ("min", "mean", "max", "norm")
_COUNTS = ("nan", "infinite")


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "inspect",
        help="show what is in the file of a model, ensemble, trainer or estimator",
        description="Show what is in a safetensors file: its origin, the architecture, each array with its range, norm and "
        "non-finite elements, and the state of training. Files of other libraries are shown as far as they are understood.",
    )
    parser.add_argument(
        "file", metavar="FILE", type=Path, help="a file that save wrote, of a model, ensemble, trainer or estimator"
    )
    parser.add_argument("--json", action="store_true", help="write one JSON object, for programs")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the contents."""
    contents = contents_of(arguments.file)
    if arguments.json:
        print(json.dumps(plain(contents), indent=1, allow_nan=False))
    else:
        _show(Report(sys.stdout), contents)
    return 0


def _show(report: Report, contents: Mapping[str, Any]) -> None:
    report.title(_printable(contents["file"]))
    _pairs(report, _provenance(contents))
    if contents["members"]:
        report.heading("models")
        _pairs(report, {_numbers(group): _sizes(group) for group in contents["members"]})
    if contents["architecture"] is not None:
        report.heading("architecture of each" if contents["members"] else "architecture")
        for line in str(contents["architecture"]).splitlines():
            report.line(_printable(line))
        if contents["feature_names"]:
            report.line(_printable(f"inputs: {', '.join(map(str, contents['feature_names']))}"))
    report.heading("parameters")
    for line in _table(contents["parameters"]):
        report.line(_printable(line))
    for heading in ("training", "metadata"):
        if contents[heading]:
            report.heading(heading)
            _pairs(report, _settings(contents[heading]))


def _numbers(group: Mapping[str, Any]) -> str:
    """Return the numbers of models with the same architecture."""
    return f"{group['first']}" if group["first"] == group["last"] else f"{group['first']} to {group['last']}"


def _sizes(group: Mapping[str, Any]) -> str:
    sizes, activations = " - ".join(map(str, group["layer_sizes"])), ", ".join(map(str, group["activations"]))
    return f"{sizes}, {activations}, {group['dtype']}"


def _provenance(contents: Mapping[str, Any]) -> dict[str, str]:
    size = contents["bytes"]
    return {
        "kind": f"{contents['kind']}",
        "format": "unknown" if contents["format"] is None else f"{contents['format']}",
        "written by": "not recorded" if contents["written_by"] is None else f"{contents['written_by']}",
        "size": "unknown" if size is None else f"{size:,} bytes",
    }


def _settings(entries: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return settings as text, those within others with both names. A random generator is its name."""
    shown: dict[str, str] = {}
    for name, value in entries.items():
        label = prefix + ("random state" if name == "rng" else name)
        if isinstance(value, dict) and "bit_generator" in value:
            shown[label] = f"{value['bit_generator']}"
        elif isinstance(value, dict) and value and not value.keys() & _OBJECTS:
            # The options of a trainer are settings of their own.
            shown |= _settings(value, prefix if name == "options" else f"{label}.")
        else:
            shown[label] = "that of the model" if name == "rng" and value is None else _text(value)
    return shown


def _text(value: Any) -> str:
    """Return a value of the metadata in the notation of Python, with objects as calls."""
    if isinstance(value, dict) and "class" in value:
        fields = (f"{name}={_text(field)}" for name, field in value.items() if name != "class")
        return f"{value['class']}({', '.join(fields)})"
    if isinstance(value, dict) and value.keys() == {"custom_loss"}:
        return f"<loss {value['custom_loss']!r}>"
    if isinstance(value, list):
        return f"[{', '.join(repr(each) if isinstance(each, str) else _text(each) for each in value)}]"
    return value if isinstance(value, str) else repr(value)


def _pairs(report: Report, pairs: Mapping[str, str]) -> None:
    width = max(map(len, pairs))
    for name, value in pairs.items():
        shown = value if len(value) <= _LONGEST else f"{value[:_LONGEST]}... (--json has it all)"
        report.line(_printable(f"{name:<{width}}  {' '.join(shown.split())}"))


def _printable(text: str) -> str:
    """Return text from a file without characters that could control a terminal."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def _table(parameters: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return lines with one array each."""
    rows = [["name", "shape", "dtype", *_STATISTICS, "NaN", "infinite"]]
    for facts in parameters:
        shape = f"({', '.join(map(str, facts['shape']))}{',' * (len(facts['shape']) == 1)})"
        statistics = ["" if facts[name] is None else f"{facts[name]:.4g}" for name in _STATISTICS]
        rows.append([facts["name"], shape, facts["dtype"], *statistics, *(f"{facts[name]:,}" for name in _COUNTS)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(f"{cell:{'<' if place < 3 else '>'}{widths[place]}}" for place, cell in enumerate(row)).rstrip()
        for row in rows
    ]
