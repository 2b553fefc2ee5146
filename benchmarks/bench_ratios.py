"""Promises: how many times as fast as NumPy by hand fastnn is at least, however busy the machine.

Both are timed in turns, and the best of many turns counts, so that what else the machine does hits both or neither.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import contestants
import numpy as np
import pytest
from shapes import CASES, Case

from fastnn import _core

_TURNS = 15
_LEVEL = _core.current_level()[0]
# What a machine whose best level has narrower vectors promises of the widest one's.
_PART = {"v4": 1.0, "v3": 0.6}.get(_LEVEL, 0.3)

# NumPy's BLAS takes the best that the machine has.
pytestmark = pytest.mark.skipif(_core.levels()[0] != _LEVEL, reason="FASTNN_ISA asks for less than the machine has")


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ratio(ours: Callable[[], object], theirs: Callable[[], object]) -> float:
    """Return how many times as long as our work theirs takes."""
    turns = [(seconds(ours), seconds(theirs)) for _ in range(_TURNS)]
    return min(turn[1] for turn in turns) / min(turn[0] for turn in turns)


def pair(case: Case) -> list[contestants.Fastnn | contestants.NumpyByHand]:
    made = [contestant(case, np.float32) for contestant in contestants.CONTESTANTS.values()]
    for contestant in made:
        contestants.check(contestant, case, np.float32)
    return made


def case_of(*layer_sizes: int) -> Case:
    return next(case for case in CASES if case.layer_sizes == layer_sizes)


@pytest.fixture
def promise(record: Callable[[str, str, str, float], None]) -> Callable[[str, float, float], None]:
    """Return a function of what was measured, its ratio and the least one."""

    def assert_at_least(name: str, measured: float, least: float) -> None:
        title = "times as fast as NumPy by hand, float32, 1 thread"
        record(title, name, "measured", measured)
        record(title, name, "promised", least * _PART)
        assert measured >= least * _PART, name

    return assert_at_least


@pytest.mark.parametrize("n_threads", [1], indirect=True)
@pytest.mark.parametrize(
    ("layer_sizes", "least"), [((2, 2, 1), 20), ((8, 16, 1), 10), ((784, 128, 10), 1.3)], ids=lambda value: str(value)
)
def test_training_ratio(promise, n_threads, layer_sizes, least):
    case = case_of(*layer_sizes)
    ours, theirs = pair(case)
    X, y = contestants.data(case, np.float32)
    measured = ratio(lambda: ours.train(X, y, case.epochs), lambda: theirs.train(X, y, case.epochs))
    promise(f"training {case}", measured, least)


@pytest.mark.parametrize("n_threads", [1], indirect=True)
def test_prediction_ratio(promise, n_threads):
    ours, theirs = pair(case_of(32, 64, 64, 2))
    x = np.zeros(32, np.float32)
    measured = ratio(*(lambda made=made: [made.predict(x) for _ in range(300)] for made in (ours, theirs)))
    promise("predicting one row, 32-64-64-2", measured, 5)
