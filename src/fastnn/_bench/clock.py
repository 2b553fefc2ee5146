"""Interleaved timing: other load on the machine affects all works alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Work = Callable[[], object]

# A round of calls lasts at least this long, so that reading the clock counts for nothing, and the caches that the
# contestants before have cooled are warm for most of it.
LEAST_ROUND = 2e-3
_LEAST_TURNS = 3

# How long the threads of other libraries may go on waiting busily after their work, and hold a core: OpenBLAS's did for
# more than 80 ms. Where works use more threads than one, each turn begins after such a rest, and with calls that aren't
# timed: threads that were asleep wake up on the caller's CPU, and Linux takes some ms to move them to another.
_REST, _WAKING = 0.15, 0.02


@dataclass(frozen=True)
class Timing:
    """Seconds of a call, one number for each round.

    Parameters
    ----------
    seconds : tuple of float
        As they came.
    """

    seconds: tuple[float, ...]

    @property
    def minimum(self) -> float:
        """Of the best round: everything else that a machine does only adds to it."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """What may be expected of a machine as busy as this one was."""
        return statistics.median(self.seconds)


def seconds_of(work: Work, calls: int = 1) -> float:
    """Return the seconds per call of `work`, over a number of calls in a row."""
    start = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - start) / calls


def calls_of_a_round(work: Work) -> int:
    """Return how many calls last `LEAST_ROUND`; they are made, and warm up what there is to warm up."""
    work()
    calls = 1
    while (seconds := seconds_of(work, calls) * calls) < LEAST_ROUND:
        calls = max(2 * calls, int(1.2 * calls * LEAST_ROUND / max(seconds, 1e-9)))
    return calls


def rest_of(n_threads: int) -> float:
    """Return the seconds of idleness with which a turn on this number of threads begins."""
    return _REST if n_threads > 1 else 0.0


def get_ready(work: Work, rest: float) -> None:
    """Wait for a time, if there is one, and wake up the threads of `work` by calls."""
    if rest:
        time.sleep(rest)
        end = time.perf_counter() + _WAKING
        while time.perf_counter() < end:
            work()


def race(works: Mapping[str, Work], *, seconds: float, turns: int = 5, rest: float = 0.0) -> dict[str, Timing]:
    """Time works in turns, A B C A B C, until there are enough rounds.

    Parameters
    ----------
    works : mapping of str to callable
        What to call, by name.
    seconds : float
        Of measurement, and of rest, for each work, on average.
    turns : int, default 5
        At least, unless a work takes longer than `seconds` by itself: then three are enough.
    rest : float, default 0.0
        Seconds of idleness before each turn, which calls that aren't timed end: `rest_of` the threads of the works.

    Returns
    -------
    dict of str to Timing
        Under the names of `works`; seconds a call.
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
