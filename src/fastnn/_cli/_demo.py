"""``fastnn demo``: train three small networks, and compare each with plain NumPy."""

from __future__ import annotations

import argparse
import platform
import sys
import time
from typing import Any

import numpy as np

from fastnn._cli import _demo_curve, _demo_digits, _demo_plot, _demo_xor
from fastnn._config import get_num_threads
from fastnn._engine import core as _core
from fastnn._output.files import plot_file
from fastnn._output.report import Report, duration
from fastnn._version import __version__

_SEEDS = 2**32  # the seeds that numpy.random.seed accepts


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "demo",
        help="train three small networks, and compare the results with plain NumPy",
        description="Train three small networks: XOR, handwritten digits, and a noisy curve. Each training is repeated "
        "in plain NumPy, which must give the same result; the times are shown side by side. Takes a few seconds.",
    )
    parser.add_argument("--plot", metavar="FILE", type=plot_file, help="draw losses and curve to a PNG, PDF or SVG file")
    parser.add_argument("--seed", metavar="N", type=_seed, default=0, help="seed of weights, order and noise (default: 0)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the three parts; fail if one of them does not give NumPy's result."""
    start = time.perf_counter()
    report = Report(sys.stdout)
    isa, vector_bytes = _core.current_instruction_set()
    threads = get_num_threads()
    report.title(f"fastnn {__version__}: training three small networks (seed {arguments.seed})")
    report.line(f"instruction set {isa} ({vector_bytes}-byte vectors), up to {threads} thread{'s' * (threads > 1)}")
    report.line(f"Python {platform.python_version()}, NumPy {np.__version__}, {platform.system()} {platform.machine()}")
    report.line("Each training is repeated in plain NumPy, which must give the same result.")
    xor = _demo_xor.run(report, arguments.seed)
    digits = _demo_digits.run(report, arguments.seed)
    curve = _demo_curve.run(report, arguments.seed)
    report.line()
    report.line("fastnn.reference is written for readers, and checks its arguments at every step. NumPy")
    report.line("code for one network takes about half as long, or a fifth if the network is tiny.")
    report.line()
    if arguments.plot is not None:
        _demo_plot.draw(arguments.plot, xor, digits, curve)
        report.title(f"The losses and the curve are drawn in {arguments.plot}.")
    report.title(f"Done in {duration(time.perf_counter() - start)}.")
    wrong = [name for name, part in (("XOR", xor), ("digits", digits), ("curve", curve)) if not part.agrees]
    if wrong:
        raise ArithmeticError(f"fastnn and NumPy gave different results: {', '.join(wrong)}")
    return 0


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= _SEEDS:
        raise argparse.ArgumentTypeError(f"expected an integer from 0 to {_SEEDS - 1}, got {text!r}")
    return int(text)
