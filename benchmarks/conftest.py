"""Fixtures of the benchmarks: imports of this directory, numbers of threads, the contest, and the tables at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn._bench import machine
from fastnn._bench.clock import Timing, Work, calls_of_a_round, get_ready, rest_of, seconds_of
from fastnn._bench.peers import _threads

sys.path.append(str(Path(__file__).parent))

from contest_tables import Cell, Tables

_TABLES = pytest.StashKey[Tables]()

_MOST_ROUNDS = 1000


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_TABLES] = Tables()


@pytest.fixture(params=[1, None], ids=["1 thread", "all threads"])
def n_threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """Return the number of threads that fastnn and its peers may use."""
    usable = fastnn.get_num_threads()
    if request.param is None and usable == 1:
        pytest.skip("there is one thread only")
    threads = request.param or usable
    fastnn.set_num_threads(threads)
    _threads.limit(threads)
    yield threads
    fastnn.set_num_threads(usable)
    _threads.limit(usable)


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Callable[[str, str, str, Cell], None]:
    """Return a function that puts a value into a table's row and column, for the tables at the end."""
    return request.config.stash[_TABLES].put


@pytest.fixture
def contest(request: pytest.FixtureRequest, benchmark: Any, record: Any) -> Callable[..., None]:
    """Return a function that times a workload in turns with fastnn's, and records both times for the tables."""

    def run(
        group: str,
        name: str,
        work: Work,
        anchor: Work | None,
        *,
        table: str,
        row: str,
        per: float = 1.0,
        anchor_per: float | None = None,
        flop: float | None = None,
        nbytes: float | None = None,
        like_a_copy: bool = False,
        dtype: Any = np.float32,
    ) -> None:
        """Time a call of `work`, which does `per` of the table's units; `flop` and `nbytes` are per unit.

        `like_a_copy` says that a call reads one array and writes another of its size, so that a copy of them is the limit.
        `anchor` is fastnn's own work in the same group, of `anchor_per` units, or of `per`; it is None for fastnn itself.
        """
        benchmark.group = group
        if benchmark.disabled:
            benchmark(work)
            return
        least, seconds = (request.config.getoption(f"benchmark_{name}") for name in ("min_rounds", "max_time"))
        threads = request.getfixturevalue("n_threads") if "n_threads" in request.fixturenames else 1
        rest = rest_of(threads)
        calls, anchors = calls_of_a_round(work), Anchor(anchor, anchor_per or per, rest)
        one_round = rest + calls * seconds_of(work, calls) + anchors.time()
        rounds = min(_MOST_ROUNDS, max(least, int(float(seconds) / one_round)))

        def between_rounds() -> None:
            anchors.time()
            get_ready(work, rest)

        between_rounds()
        benchmark.pedantic(work, iterations=calls, rounds=rounds, teardown=between_rounds)
        data = benchmark.stats.stats.data
        data[:] = [taken / per for taken in data]  # the plugin's own tables compare equal work
        timing = Timing(tuple(data))
        rate, unit = rate_of(timing.minimum, flop, nbytes)
        limit = limit_of(flop, nbytes * per if nbytes and like_a_copy else None, dtype, threads)
        share = rate / limit if rate and limit else None
        cell = Cell(timing.minimum * 1e6, timing.median * 1e6, anchors.ratio(timing.minimum), rate, unit, share)
        benchmark.extra_info.update(cell.extra_info())
        record(table, row, name, cell)

    return run


class Anchor:
    """fastnn's own work, done once per round of a peer; None for fastnn itself, which needs no anchor."""

    def __init__(self, work: Work | None, per: float, rest: float) -> None:
        self._work, self._per, self._rest = work, per, rest
        self._calls = calls_of_a_round(work) if work else 0
        self._seconds: list[float] = []

    def time(self) -> float:
        """Return the seconds of one round."""
        if self._work is None:
            return 0.0
        get_ready(self._work, self._rest)
        taken = seconds_of(self._work, self._calls)
        self._seconds.append(taken / self._per)
        return self._rest + taken * self._calls

    def ratio(self, seconds: float) -> float | None:
        """Return the peer's best time divided by fastnn's."""
        return seconds / min(self._seconds) if self._work else None


def rate_of(seconds: float, flop: float | None, nbytes: float | None) -> tuple[float | None, str]:
    """Return the rate and its unit, or None if neither operations nor bytes are counted."""
    if flop:
        return flop / seconds / 1e9, "GFLOP/s"
    return (nbytes / seconds / 1e9, "GB/s") if nbytes else (None, "")


def limit_of(flop: float | None, copied: float | None, dtype: Any, n_threads: int) -> float | None:
    """Return the highest rate of this many cores, or of one that copies this many bytes, half read and half written."""
    if flop:
        return n_threads * machine.peak_gflops(dtype)
    return machine.copy_gigabytes_per_second(int(copied / 2)) if copied else None


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for title, lines in config.stash[_TABLES].texts():
        terminalreporter.section(title)
        for line in lines:
            terminalreporter.write_line(line)
