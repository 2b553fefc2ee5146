"""The tables of ``fastnn bench``: a row per case, written as soon as it is measured."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fastnn._bench.results import Row
from fastnn._output.report import Report

_WIDTH = 96  # in addition to the report's indent
_NAME, _SIZE, _TIME, _RATE, _SHARE, _RATIO = 17, 8, 8, 9, 6, 6


@dataclass(frozen=True)
class Kind:
    """The common properties of the rows in a table."""

    name: str  # the `kind` of the rows
    title: str
    unit: str  # the unit that is timed
    case: str  # the kind of thing that a row's name names
    size: str  # the things that a row's size counts
    rate: str  # the unit of a row's amount, divided by 10⁹ and by seconds
    share: str  # the limit that the share refers to: the peak, or a copy
    contestants: tuple[str, ...]  # those that can take part, in the order of the columns


class Table:
    """Rows of one kind on the same number of threads.

    Parameters
    ----------
    report : Report
        The report to write to.
    kind : Kind
        The kind of its rows.
    columns : mapping of str to str
        The headings of the peers' columns, by contestant.
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
        """Write the means, the cases in which fastnn loses, and the peers that did not take part."""
        means = [geometric_mean([row.ratios[name] for row in self._rows if name in row.ratios]) for name in self._columns]
        self._report.line(f"{'geometric mean':<{_NAME + _SIZE + _TIME + _RATE + _SHARE}}" + _cells(map(_ratio, means)))
        self._report.line()
        left_out = dict.fromkeys(word for row in self._rows for word in row.left_out.values())
        unknown = [f"{row.name}, {row.size}" for row in self._rows if row.share is None]
        if unknown:
            left_out[f"{self._kind.share}: unknown where fastnn exceeded it: {'; '.join(unknown)}"] = None
        for text in (*_losses(self._rows, self._columns), *(f"- {word}" for word in left_out)):
            for line in paragraph(text):
                self._report.line(line)


def digits(value: float) -> str:
    """Return a positive number with three digits, or with all digits before the point.

    Examples
    --------
    >>> digits(0.08123), digits(7.389), digits(12851.0)
    ('0.0812', '7.39', '12851')
    """
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}"


def counted(count: int, noun: str) -> str:
    """Return a number with a noun, in the plural if it is not one.

    Examples
    --------
    >>> counted(1, "thread"), counted(2, "thread")
    ('1 thread', '2 threads')
    """
    return f"{count} {noun}{'s' * (count != 1)}"


def geometric_mean(ratios: Sequence[float]) -> float:
    """Return the geometric mean of ratios, or NaN if there are none."""
    return math.exp(math.fsum(map(math.log, ratios)) / len(ratios)) if ratios else math.nan


def paragraph(text: str) -> list[str]:
    """Return the lines of a text, as wide as a table."""
    return textwrap.wrap(text, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _losses(rows: Sequence[Row], columns: Mapping[str, str]) -> list[str]:
    """Return a line per peer that is faster than fastnn in some cases."""
    texts = []
    for name, heading in columns.items():
        lost = [f"{row.name}, {row.size} ({row.ratios[name]:.2f}×)" for row in rows if row.ratios.get(name, math.inf) < 1.0]
        if lost:
            texts.append(f"* fastnn loses to {heading}: {'; '.join(lost)}")
    return texts or ["fastnn is the fastest in all of these cases."]


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.{0 if share >= 0.0995 else 1}%}"


def _ratio(ratio: float) -> str:
    """Return the text of a cell, whose last character marks losses; NaN stands for a peer that did not take part."""
    if math.isnan(ratio):
        return "- "
    return f"{ratio:.{0 if ratio >= 9.95 else 1 if ratio >= 1.0 else 2}f}{'*' if ratio < 1.0 else ' '}"


def _cells(texts: Iterable[str]) -> str:
    return "".join(f"{text:>{_RATIO + 1}}" for text in texts)
