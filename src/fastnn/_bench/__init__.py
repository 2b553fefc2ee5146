"""What `fastnn bench` and the benchmarks of the repository share: sizes, works, clock, machine, and peers."""

from __future__ import annotations
