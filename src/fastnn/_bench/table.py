"""The tables of ``fastnn bench``: a row for each case, written as soon as it is measured."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fastnn._bench.results import Row
from fastnn._output.report import Report

_WIDTH = 96  # beside the report's indent
_NAME, _SIZE, _TIME, _RATE, _SHARE, _RATIO = 17, 8, 8, 9, 6, 6


@dataclass(frozen=True)
class Kind:
    """What the rows of a table have in common."""

    name: str  # as rows have it
    title: str
    unit: str  # what is timed
    case: str  # what a row's name names
    size: str  # what a row's size counts
    rate: str  # in which unit a row's amount, divided by 10⁹ and by seconds, is
    share: str  # of what the rate is a share: the peak, or a copy
    contestants: tuple[str, ...]  # who can take part, in the order of the columns


class Table:
    """Rows of one kind on the same number of threads.

    Parameters
    ----------
    report : Report
        Where it is written.
    kind : Kind
        Of its rows.
    columns : mapping of str to str
        The headings of the peers, by contestant.
    """

    def __init__(self, report: Report, kind: Kind, columns: Mapping[str, str]) -> None:
        self._report = report
        self._kind = kind
        self._columns = columns
        self._rows: list[Row] = []
        heads = f"{kind.size:>{_SIZE}}{'µs':>{_TIME}}{kind.rate:>{_RATE}}{kind.share:>{_SHARE}}"
        report.line(f"{kind.unit:<{_NAME}}{heads}" + _cells(f"{heading} " for heading in columns.values()))

    def add(self, row: Row) -> None:
        """Write a row."""
        self._rows.append(row)
        rate = row.amount / row.ours
        times = f"{digits(row.ours * 1e6):>{_TIME}}{digits(rate / 1e9):>{_RATE}}{_share(row.share):>{_SHARE}}"
        ratios = (row.ratios.get(name, math.nan) for name in self._columns)
        self._report.line(f"{row.name:<{_NAME}}{row.size:{_SIZE}d}{times}" + _cells(map(_ratio, ratios)))

    def end(self) -> None:
        """Write the means, and in words where fastnn loses and who didn't take part."""
        means = [geometric_mean([row.ratios[name] for row in self._rows if name in row.ratios]) for name in self._columns]
        self._report.line(f"{'geometric mean':<{_NAME + _SIZE + _TIME + _RATE + _SHARE}}" + _cells(map(_ratio, means)))
        self._report.line()
        left_out = dict.fromkeys(word for row in self._rows for word in row.left_out.values())
        unknown = [f"{row.name}, {row.size}" for row in self._rows if row.share is None]
        if unknown:
            left_out[f"{self._kind.share}: not known where fastnn did more than it: {'; '.join(unknown)}"] = None
        for text in (*_losses(self._rows, self._columns), *(f"- {word}" for word in left_out)):
            for line in paragraph(text):
                self._report.line(line)


def digits(value: float) -> str:
    """Return a positive number with three digits, or with all before the point.

    Examples
    --------
    >>> digits(0.08123), digits(7.389), digits(12851.0)
    ('0.0812', '7.39', '12851')
    """
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}"


def counted(count: int, noun: str) -> str:
    """Return a number of things.

    Examples
    --------
    >>> counted(1, "thread"), counted(2, "thread")
    ('1 thread', '2 threads')
    """
    return f"{count} {noun}{'s' * (count != 1)}"


def geometric_mean(ratios: Sequence[float]) -> float:
    """Return the mean of ratios; NaN if there are none."""
    return math.exp(math.fsum(map(math.log, ratios)) / len(ratios)) if ratios else math.nan


def paragraph(text: str) -> list[str]:
    """Return the lines of a text as wide as a table."""
    return textwrap.wrap(text, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _losses(rows: Sequence[Row], columns: Mapping[str, str]) -> list[str]:
    """Return texts that name the cases which a peer does in less time."""
    texts = []
    for name, heading in columns.items():
        lost = [f"{row.name}, {row.size} ({row.ratios[name]:.2f}×)" for row in rows if row.ratios.get(name, math.inf) < 1.0]
        if lost:
            texts.append(f"* fastnn loses to {heading}: {'; '.join(lost)}")
    return texts or ["fastnn loses to none of these here." if len(columns) > 1 else "fastnn loses nowhere here."]


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.{0 if share >= 0.0995 else 1}%}"


def _ratio(ratio: float) -> str:
    """Return the text of a cell, in whose last place losses have their mark; a peer that didn't take part has NaN."""
    if math.isnan(ratio):
        return "- "
    return f"{ratio:.{0 if ratio >= 9.95 else 1 if ratio >= 1.0 else 2}f}{'*' if ratio < 1.0 else ' '}"


def _cells(texts: Iterable[str]) -> str:
    return "".join(f"{text:>{_RATIO + 1}}" for text in texts)
