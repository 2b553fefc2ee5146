"""``fastnn bench``: time training steps and predictions on this machine, and compare with the peers that are installed."""

from __future__ import annotations

import argparse
import itertools
import platform
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

import numpy as np

from fastnn._bench import arguments as _arguments
from fastnn._bench import jobs as _jobs
from fastnn._bench import machine
from fastnn._bench import plot as _plot
from fastnn._bench.arguments import PEERS, absent
from fastnn._bench.compare import compare, require_common
from fastnn._bench.jobs import KINDS, Job, jobs_of, measure
from fastnn._bench.results import Earlier, Row, save
from fastnn._bench.table import Table, counted, digits, paragraph
from fastnn._bench.threads import can_change, thread_counts
from fastnn._config import get_num_threads, set_num_threads
from fastnn._engine import core as _core
from fastnn._output.files import output_file, plot_file
from fastnn._output.report import Report
from fastnn._version import __version__

_LONGER = 5  # times as long, cases are measured again that look slower than in the other file


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "bench",
        help="time training steps and predictions, and compare with other libraries",
        description="Time training steps and predictions on this machine, and compare with the other libraries that are "
        "installed. Each library must reach the reference's result first; then they take turns. Takes a minute or two.",
    )
    parser.add_argument(
        "--peers",
        metavar="LIST",
        type=_arguments.chosen_peers,
        default="all",
        help=f"names separated by commas: {', '.join(PEERS)}; or all (the default), which means those that are installed, "
        "except torch.compile; or none, which means NumPy only, which always takes part",
    )
    parser.add_argument("--quick", action="store_true", help="fewer cases and shorter rounds")
    parser.add_argument("--threads", metavar="N", type=_arguments.threads, help="number of threads (default: 1, then all)")
    parser.add_argument(
        "--dtype", choices=("float32", "float64"), default="float32", help="dtype of all arrays (default: float32)"
    )
    parser.add_argument("--plot", metavar="FILE", type=plot_file, help="draw all times to a PNG, PDF or SVG file")
    parser.add_argument("--json", metavar="FILE", type=output_file, help="write all measurements to FILE")
    parser.add_argument(
        "--compare",
        metavar="FILE",
        type=_arguments.earlier_file,
        help="list the cases that became slower or faster since --json wrote FILE; fail if any became slower",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure, and write tables, picture and file; fail if a case became slower than in another file."""
    extent = _jobs.QUICK if arguments.quick else _jobs.FULL
    counts = thread_counts(arguments.threads)
    dtype = np.dtype(arguments.dtype)
    jobs = {job.key: job for count in counts for job in jobs_of(extent, dtype, count)}
    facts = _facts(dtype)
    earlier: Earlier | None = arguments.compare
    if earlier is not None:
        require_common(earlier, facts, jobs)

    report = Report(sys.stdout)
    _introduce(report, facts, arguments.peers)
    columns = {name: heading for peer in arguments.peers for name, heading in PEERS[peer].columns.items()}
    rows = _measure_all(report, list(jobs.values()), columns, extent.seconds)
    report.line()
    if arguments.json is not None:
        save(arguments.json, {**facts, "peak_gflops": _peak_gflops(facts["peak_gflops"], rows)}, rows)
        report.line(f"All measurements are in {arguments.json}.")
    if arguments.plot is not None:
        _plot.draw(arguments.plot, f"fastnn {__version__}, {dtype}, {facts['cpu']}", rows, KINDS, list(columns))
        report.line(f"All times are drawn in {arguments.plot}.")
    if earlier is None:
        return 0
    return 0 if compare(report, earlier, facts, rows, lambda key: _measure(jobs[key], (), _LONGER * extent.seconds)) else 1


def _facts(dtype: np.dtype[Any]) -> dict[str, Any]:
    """Return the conditions of this run."""
    return {
        "fastnn": __version__,
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": machine.cpu_name(),
        "cpus": get_num_threads(),
        "instruction_set": _core.current_instruction_set()[0],
        "system": f"{platform.system()} {platform.machine()}",
        "versions": machine.versions(),
        "dtype": str(dtype),
        "peak_gflops": machine.peak_gflops(dtype),
    }


def _peak_gflops(before: float, rows: Sequence[Row]) -> float:
    """Return the highest rate of one thread, measured before the cases and in turns with them."""
    alone = [1 / row.anchor.minimum for row in rows]
    arithmetic = [row for row in rows if row.kind != _jobs.ELEMENTWISE.name]
    together = [row.peak / row.threads / 1e9 for row in arithmetic if row.peak is not None]
    return max(before, *alone, *together)


def _introduce(report: Report, facts: dict[str, Any], peers: Sequence[str]) -> None:
    report.title(f"fastnn {__version__}: times of training steps and predictions")
    report.line(f"{facts['cpu']}, {facts['system']}, instruction set {facts['instruction_set']}")
    packages = {"Python", *(package for peer in peers for package in PEERS[peer].packages)}
    versions = [f"{name} {version}" for name, version in facts["versions"].items() if name in packages]
    missing = absent(peers)
    legend = (f"{', '.join(PEERS[peer].columns.values())}: {PEERS[peer].words}" for peer in peers)
    texts = [
        ", ".join(versions),
        f"{facts['dtype']}; one thread does {digits(facts['peak_gflops'])} GFLOP/s of bare multiply-adds now. peak is a "
        "case's share of that rate on all its threads, measured in turns with it; copy is its share of a copy's rate.",
        *([f"Not installed: {', '.join(missing)}."] if missing else []),
        *(
            []
            if can_change()
            else ["One number of threads only: threadpoolctl, which can change NumPy's, is not installed."]
        ),
        "",
        "All libraries reach the reference's result first. Then they take turns, and the best round counts. µs is the time "
        "of fastnn; the column of a peer gives its time as a multiple of fastnn's.",
        f"{'; '.join(legend)}.",
    ]
    for text in texts:
        for line in paragraph(text) or [""]:
            report.line(line)


def _measure_all(report: Report, jobs: Sequence[Job], columns: dict[str, str], seconds: float) -> list[Row]:
    """Write the tables, each row as soon as it is measured."""
    progress = _Progress(len(jobs), sys.stderr)
    rows: list[Row] = []
    for (threads, _), group in itertools.groupby(jobs, key=lambda job: (job.threads, job.kind.name)):
        members = list(group)
        kind = members[0].kind
        report.heading(f"{kind.title}, {counted(threads, 'thread')}")
        shown = {name: heading for name, heading in columns.items() if name in kind.contestants}
        table = Table(report, kind, shown)
        for job in members:
            progress.show(f"{kind.name} {job.name}, {job.size}")
            row = _measure(job, list(shown), seconds)
            progress.clear()
            table.add(row)
            rows.append(row)
        table.end()
    return rows


def _measure(job: Job, contestants: Sequence[str], seconds: float) -> Row:
    """Measure with fastnn limited to the job's threads, and BLAS limited by its contestants."""
    before = get_num_threads()
    set_num_threads(job.threads)
    try:
        return measure(job, contestants, seconds)
    finally:
        set_num_threads(before)


class _Progress:
    """The case that is being measured, on one line of a terminal; elsewhere nothing is shown."""

    def __init__(self, total: int, stream: TextIO) -> None:
        self._stream = stream if stream.isatty() else None
        self._total = total
        self._shown = 0
        self._width = 0

    def show(self, what: str) -> None:
        self._shown += 1
        self._draw(f"{self._shown} of {self._total}: {what} ..."[: shutil.get_terminal_size().columns - 1])

    def clear(self) -> None:
        self._draw("")
        self._draw("")  # moves the cursor to the margin

    def _draw(self, text: str) -> None:
        if self._stream is not None:
            self._stream.write("\r" + text.ljust(self._width))
            self._stream.flush()
            self._width = len(text)
