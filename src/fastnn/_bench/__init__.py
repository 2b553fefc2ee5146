"""`fastnn bench`, and the parts that it shares with the repository's benchmarks: sizes, workloads, clock, machine, peers."""

from __future__ import annotations
