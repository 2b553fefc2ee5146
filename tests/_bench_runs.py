"""Helpers of the tests of ``fastnn bench``: its smallest run, made-up measurements, and streams."""

from __future__ import annotations

import io

from fastnn._bench.jobs import Extent
from fastnn._bench.results import OURS, Row, Summary
from fastnn._bench.shapes import Case

EXTENT = Extent((Case((8, 16, 1), 32, 80), Case((8, 32, 2), 32, 64)), ((5, 3),), (1, 10), (1000,), 1e-3)
QUICK = ("bench", "--quick", "--peers", "none")


class Text(io.StringIO):
    encoding = "utf-8"


class Terminal(Text):
    def isatty(self):
        return True


def row(ours=2e-6, name="2-2-1", left_out=None, peak=1e8, **peers):
    times = {name: Summary(seconds, 2 * seconds, 5) for name, seconds in {OURS: ours, **peers}.items()}
    return Row("training", name, 4, 1, 100.0, peak, Summary(1e-2, 1e-2, 5), times, left_out or {})
