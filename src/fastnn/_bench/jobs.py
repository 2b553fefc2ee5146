"""The cases of ``fastnn bench``, each run by fastnn and its peers in turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from fastnn import ops, reference
from fastnn._bench import shapes
from fastnn._bench.checks import assert_close, check_prediction, check_training
from fastnn._bench.clock import Timing, race, rest_of
from fastnn._bench.machine import Ceiling, copies, multiply_adds
from fastnn._bench.peers import PREDICTORS, TRAINERS
from fastnn._bench.results import OURS, Key, Row, Summary
from fastnn._bench.shapes import CASES, ELEMENTS, LAYER_SIZES, PREDICT_ROWS, Case
from fastnn._bench.table import Kind
from fastnn._bench.works import PredictionWork, TrainingWork, data, rows_of

Work = Callable[[], object]
Entry = tuple[Work, int] | str  # with the number of steps or predictions per call; or the reason for leaving it out

TRAINING = Kind(
    "training", "Training by gradient descent", "a training step", "network", "batch", "GFLOP/s", "peak", tuple(TRAINERS)
)
PREDICTION = Kind("prediction", "Predictions", "a prediction", "network", "rows", "GFLOP/s", "peak", tuple(PREDICTORS))
ELEMENTWISE = Kind("elementwise", "Elementwise functions", "a call", "function", "values", "GB/s", "copy", (OURS, "NumPy"))
KINDS = (TRAINING, PREDICTION, ELEMENTWISE)

_ANCHOR, _CEILING = "anchor", "ceiling"
_MORE_TURNS = 20  # each of five rounds
# The limit for an epoch, so that no contestant keeps the others waiting for seconds.
_EPOCH_FLOP = 8e9


@dataclass(frozen=True)
class Extent:
    """The amount of measurement."""

    cases: tuple[Case, ...]
    layer_sizes: tuple[tuple[int, ...], ...]  # networks for predictions
    rows: tuple[int, ...]  # rows of predictions
    elements: tuple[int, ...]
    seconds: float  # per contestant of a case


FULL = Extent(CASES, LAYER_SIZES, PREDICT_ROWS[:2], ELEMENTS[-1:], 0.1)
QUICK = Extent(shapes.QUICK, shapes.QUICK_LAYER_SIZES, PREDICT_ROWS[:2], (), 0.05)


@dataclass(frozen=True)
class Job:
    """A case.

    Parameters
    ----------
    kind : Kind
        The table to which it belongs.
    name, size, threads : str, int, int
        The labels of its row.
    dtype : float32 or float64
        The dtype of the arithmetic.
    amount : float
        Operations or bytes per unit.
    ceiling : callable
        Returns a context manager of the workload whose operations or bytes per second are 100 %.
    enter : callable
        Checks the contestant of that name against the reference, and returns its workload.
    """

    kind: Kind
    name: str
    size: int
    threads: int
    dtype: np.dtype[Any]
    amount: float
    ceiling: Callable[[], AbstractContextManager[Ceiling]]
    enter: Callable[[str], Entry]

    @property
    def key(self) -> Key:
        """The key of its row."""
        return self.kind.name, self.name, self.size, self.threads


def jobs_of(extent: Extent, dtype: np.dtype[Any], n_threads: int) -> list[Job]:
    """Return all cases of one run on this many threads."""
    jobs = [_training(_shortened(case), dtype, n_threads) for case in extent.cases]
    jobs += [_prediction(sizes, rows, dtype, n_threads) for sizes in extent.layer_sizes for rows in extent.rows]
    if n_threads == 1:  # they use a single thread
        jobs += [_elementwise(name, n, dtype) for name in _ELEMENTWISE for n in extent.elements]
    return jobs


def measure(job: Job, contestants: Sequence[str], seconds: float) -> Row:
    """Time a case for fastnn, the contestants and the anchor in turns.

    Raises
    ------
    ArithmeticError
        If one of them does not give the reference's result.
    """
    entered: dict[str, tuple[Work, int]] = {}
    left_out: dict[str, str] = {}
    for name in (OURS, *contestants):
        try:
            entry = job.enter(name)
        except AssertionError as error:
            raise ArithmeticError(f"{name} and the reference gave different results: {job.kind.name} {job.name}") from error
        if isinstance(entry, str):
            left_out[name] = entry
        else:
            entered[name] = entry
    works = {name: work for name, (work, _) in entered.items()}
    rest = rest_of(job.threads)
    with job.ceiling() as ceiling, multiply_adds(job.dtype, 1) as bare:
        timings = race({_CEILING: ceiling.work, **works, _ANCHOR: bare.work}, seconds=seconds, rest=rest)
        times = {name: _summary(timings[name], units) for name, (_, units) in entered.items()}
        anchor = _summary(timings[_ANCHOR], bare.amount / 1e9)
        peak = ceiling.amount / timings[_CEILING].minimum
        if job.kind.share == TRAINING.share:  # several threads are at least as fast as one
            peak = max(peak, 1e9 / anchor.minimum)
        known = _peak(peak, job.amount / times[OURS].minimum, ceiling, rest)
    return Row(*job.key, job.amount, known, anchor, times, left_out)


def _peak(peak: float, rate: float, ceiling: Ceiling, rest: float) -> float | None:
    """Return the machine's highest rate in operations or bytes per second, which is `peak` so far.

    If fastnn's rate exceeds it, fastnn had a better moment than the ceiling, which then gets more turns. Return None if they
    are not enough.
    """
    for _ in range(_MORE_TURNS):
        if peak >= rate:
            return peak
        timing = race({_CEILING: ceiling.work}, seconds=0.0, rest=rest)[_CEILING]
        peak = max(peak, ceiling.amount / timing.minimum)
    return peak if peak >= rate else None


def _summary(timing: Timing, units: float) -> Summary:
    return Summary(timing.minimum / units, timing.median / units, len(timing.seconds))


def _named(layer_sizes: Sequence[int]) -> str:
    return "-".join(map(str, layer_sizes))


def _shortened(case: Case) -> Case:
    """Return the case with fewer rows, if an epoch would otherwise be long."""
    steps = max(2, int(_EPOCH_FLOP // case.flop))
    return replace(case, rows=min(case.rows, steps * case.batch_size))


def _training(case: Case, dtype: np.dtype[Any], n_threads: int) -> Job:
    """Return a job of plain gradient descent, with the rows in order."""
    work = TrainingWork(case, dtype, "sgd")

    def enter(name: str) -> Entry:
        trainer = TRAINERS[name]
        why_not = trainer.why_not(work)
        if why_not is not None:
            return why_not
        check_training(trainer, work, n_threads)
        made = trainer(work, n_threads)
        made.prepare(*data(work))
        epochs = trainer.epochs(case)
        return partial(made.train, epochs), epochs * case.steps

    name = _named(case.layer_sizes)
    return Job(TRAINING, name, case.batch_size, n_threads, dtype, case.flop, partial(multiply_adds, dtype, n_threads), enter)


def _prediction(layer_sizes: tuple[int, ...], rows: int, dtype: np.dtype[Any], n_threads: int) -> Job:
    work = PredictionWork(layer_sizes, rows, dtype)

    def enter(name: str) -> Entry:
        predictor = PREDICTORS[name]
        why_not = predictor.why_not(work)
        if why_not is not None:
            return why_not
        check_prediction(predictor, work, n_threads)
        made, X = predictor(work, n_threads), rows_of(work)
        return partial(made.predict, X), 1

    flop = 2 * rows * sum(n_in * n_out for n_in, n_out in pairwise(layer_sizes))
    name = _named(layer_sizes)
    return Job(PREDICTION, name, rows, n_threads, dtype, flop, partial(multiply_adds, dtype, n_threads), enter)


def _numpy_sigmoid(x: Any, out: Any) -> None:
    np.negative(x, out=out)
    np.exp(out, out=out)
    out += 1.0
    np.reciprocal(out, out=out)


_ELEMENTWISE: dict[str, dict[str, Callable[[Any, Any], object]]] = {
    "tanh": {OURS: ops.tanh, "NumPy": np.tanh},
    "sigmoid": {OURS: ops.sigmoid, "NumPy": _numpy_sigmoid},
}


def _elementwise(name: str, n: int, dtype: np.dtype[Any]) -> Job:
    x = np.random.default_rng(0).standard_normal(n).astype(dtype)
    out = np.empty_like(x)

    def enter(contestant: str) -> Entry:
        function = _ELEMENTWISE[name][contestant]
        function(x, out)
        assert_close([out], [getattr(reference, name)(x)], dtype)
        return partial(function, x, out), 1

    return Job(ELEMENTWISE, name, n, 1, dtype, 2 * x.nbytes, partial(copies, out, x), enter)
