"""``fastnn bench --compare``: list the cases that became slower or faster since a file was written.

Times of different days cannot be compared directly. So each is divided by that of bare arithmetic, the anchor, measured in
turns with it. Cases that look slower are measured once more, and the better result counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastnn._bench.results import Earlier, Key, Row
from fastnn._bench.table import counted, geometric_mean
from fastnn._output.report import Report

_TOLERANCE = 1.1
# Conditions that must be equal for numbers to be comparable, and their names.
_CONDITIONS = {"cpu": "processor", "instruction_set": "instruction set"}


@dataclass(frozen=True)
class Change:
    """A case, and its time as a multiple of the time in the file, both divided by the anchor's."""

    key: Key
    ratio: float

    def __str__(self) -> str:
        kind, name, size, threads = self.key
        return f"{kind} {name}, {size}, {counted(threads, 'thread')}"


def require_common(earlier: Earlier, facts: Mapping[str, Any], keys: Iterable[Key]) -> None:
    """Raise ValueError, before the run, if none of its cases is in the file."""
    then, now = earlier.facts.get("dtype"), facts["dtype"]
    if then != now:
        raise ValueError(f"--compare: {earlier.path} has times in {then}, but this run is in {now}")
    if not earlier.relative.keys() & set(keys):
        raise ValueError(f"--compare: {earlier.path} has none of the cases and numbers of threads of this run")


def compare(
    report: Report, earlier: Earlier, facts: Mapping[str, str], rows: Sequence[Row], again: Callable[[Key], Row]
) -> bool:
    """Write the changes since the file; return whether no case became slower.

    Parameters
    ----------
    report : Report
        The report to write to.
    earlier : Earlier
        The content of the file.
    facts, rows : mapping, sequence of Row
        Conditions and measurements of this run.
    again : callable
        A function that measures a case once more.
    """
    report.heading(f"Compared with {earlier.path}")
    report.line(f"fastnn {earlier.facts.get('fastnn')} then, {facts['fastnn']} now; times relative to bare arithmetic")
    for name, words in _CONDITIONS.items():
        if earlier.facts.get(name) != facts[name]:
            report.line(f"DIFFERENT {words.upper()}: {earlier.facts.get(name)} then, {facts[name]} now")
    changes = [_change(row, earlier, again) for row in rows if row.key in earlier.relative]
    if len(changes) < len(rows):
        report.line(f"Not in the file: {counted(len(rows) - len(changes), 'case')} of this run.")
    slower = _list(report, "SLOWER", [change for change in changes if change.ratio > _TOLERANCE])
    _list(report, "faster", [change for change in changes if change.ratio < 1 / _TOLERANCE])
    mean = geometric_mean([change.ratio for change in changes])
    compared = counted(len(changes), "case")
    report.line(f"{compared}: {mean:.2f} times as long as then (geometric mean); {slower} became slower.")
    return not slower


def _change(row: Row, earlier: Earlier, again: Callable[[Key], Row]) -> Change:
    then = earlier.relative[row.key]
    now = row.relative
    if now > _TOLERANCE * then:
        now = min(now, again(row.key).relative)
    return Change(row.key, now / then)


def _list(report: Report, word: str, changes: Sequence[Change]) -> int:
    for change in sorted(changes, key=lambda change: -change.ratio):
        report.line(f"{word:<8}{change.ratio:5.2f} ×  {change}")
    return len(changes)
