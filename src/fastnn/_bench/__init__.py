"""The common parts of `fastnn bench` and the repository's benchmarks: sizes, works, clock, machine, and peers."""

from __future__ import annotations
