"""``fastnn bench --compare``: what became slower since a file was written.

Times of different days don't compare, so that each is divided by the anchor's, measured in turns with it: the time of bare
arithmetic. What looks slower is measured once more, and the better of both counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastnn._bench.results import Earlier, Key, Row
from fastnn._bench.table import counted, geometric_mean
from fastnn._output.report import Report

_TOLERANCE = 1.1
# Facts that must be the same for numbers to mean the same, and how they are called.
_CONDITIONS = {"cpu": "processor", "instruction_set": "instruction set"}


@dataclass(frozen=True)
class Change:
    """How many times as long as then a case takes now, by the anchor."""

    key: Key
    ratio: float

    def __str__(self) -> str:
        kind, name, size, threads = self.key
        return f"{kind} {name}, {size}, {counted(threads, 'thread')}"


def require_common(earlier: Earlier, facts: Mapping[str, Any], keys: Iterable[Key]) -> None:
    """Raise ValueError if no case of a run is in the file, before the run."""
    then, now = earlier.facts.get("dtype"), facts["dtype"]
    if then != now:
        raise ValueError(f"--compare: {earlier.path} was measured in {then}, this run is in {now}: nothing in common")
    if not earlier.relative.keys() & set(keys):
        raise ValueError(f"--compare: {earlier.path} has none of the cases and numbers of threads of this run")


def compare(
    report: Report, earlier: Earlier, facts: Mapping[str, str], rows: Sequence[Row], again: Callable[[Key], Row]
) -> bool:
    """Write what changed since the file; return whether nothing became slower.

    Parameters
    ----------
    report : Report
        Where it is written.
    earlier : Earlier
        The file.
    facts, rows : mapping, sequence of Row
        Of this run.
    again : callable
        Measures a case once more.
    """
    report.heading(f"Compared with {earlier.path}")
    report.line(f"fastnn {earlier.facts.get('fastnn')} then, {facts['fastnn']} now; by the time of bare arithmetic")
    for name, words in _CONDITIONS.items():
        if earlier.facts.get(name) != facts[name]:
            report.line(f"ANOTHER {words.upper()} then: {earlier.facts.get(name)}, now {facts[name]}")
    changes = [_change(row, earlier, again) for row in rows if row.key in earlier.relative]
    if len(changes) < len(rows):
        report.line(f"Not in the file: {counted(len(rows) - len(changes), 'case')} of this run.")
    slower = _list(report, "SLOWER", [change for change in changes if change.ratio > _TOLERANCE])
    _list(report, "faster", [change for change in changes if change.ratio < 1 / _TOLERANCE])
    mean = geometric_mean([change.ratio for change in changes])
    compared = counted(len(changes), "case")
    report.line(f"{compared}: {mean:.2f} times as long as then in the geometric mean; {slower} became slower.")
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
