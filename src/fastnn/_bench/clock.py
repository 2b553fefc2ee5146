"""Interleaved timing: other load on the machine affects all workloads or none."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Work = Callable[[], object]

# A round of calls lasts at least this long, so that the cost of reading the clock is negligible, and the caches that the
# contestants before have emptied are filled again for most of it.
MIN_ROUND = 2e-3
_LEAST_TURNS = 3

# Threads of other libraries may keep a core busy this long after their work while they wait for more: those of OpenBLAS did
# for more than 80 ms. If workloads use several threads, each turn begins after such a pause, and with calls that are not
# timed: sleeping threads wake up on the caller's CPU, and Linux takes some ms to move them to another.
_REST, _WAKING = 0.15, 0.02


@dataclass(frozen=True)
class Timing:
    """The seconds per call, one number per round.

    Parameters
    ----------
    seconds : tuple of float
        The seconds per call, in the order of measurement.
    """

    seconds: tuple[float, ...]

    @property
    def minimum(self) -> float:
        """The seconds of the best round; other load can only add to them."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """The seconds to be expected on a machine as busy as this one was."""
        return statistics.median(self.seconds)


def seconds_of(work: Work, calls: int = 1) -> float:
    """Return the seconds per call of `work`, out of this many calls in a row."""
    start = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - start) / calls


def calls_of_a_round(work: Work) -> int:
    """Make calls until they last `MIN_ROUND`, which also warms up caches, and return how many that takes."""
    work()
    calls = 1
    while (seconds := seconds_of(work, calls) * calls) < MIN_ROUND:
        calls = max(2 * calls, int(1.2 * calls * MIN_ROUND / max(seconds, 1e-9)))
    return calls


def rest_of(n_threads: int) -> float:
    """Return the seconds of pause before each turn of workloads on this many threads."""
    return _REST if n_threads > 1 else 0.0


def get_ready(work: Work, rest: float) -> None:
    """Pause, if asked to, and wake up the threads of `work` by calls."""
    if rest:
        time.sleep(rest)
        end = time.perf_counter() + _WAKING
        while time.perf_counter() < end:
            work()


def race(works: Mapping[str, Work], *, seconds: float, turns: int = 5, rest: float = 0.0) -> dict[str, Timing]:
    """Time workloads in turns, A B C A B C, until there are enough rounds.

    Parameters
    ----------
    works : mapping of str to callable
        The functions to call, by name.
    seconds : float
        The average seconds of measurement, and of pauses, per workload.
    turns : int, default 5
        The least number of turns; it is three if a single call takes longer than `seconds`.
    rest : float, default 0.0
        Seconds of pause before each turn, followed by calls that are not timed: `rest_of` the number of threads.

    Returns
    -------
    dict of str to Timing
        Seconds per call, by the names of `works`.
    """
    calls = {name: calls_of_a_round(work) for name, work in works.items()}
    rounds: dict[str, list[float]] = {name: [] for name in works}
    passed = longest = 0.0
    while True:
        for name, work in works.items():
            get_ready(work, rest)
            taken = seconds_of(work, calls[name])
            rounds[name].append(taken)
            passed += rest + taken * calls[name]
            longest = max(longest, taken * calls[name])
        done = len(next(iter(rounds.values())))
        if passed >= seconds * len(works) and done >= (_LEAST_TURNS if longest > seconds else turns):
            return {name: Timing(tuple(taken)) for name, taken in rounds.items()}
