"""The checks of contestants against the reference, before they are timed."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fastnn._bench.peers._contestant import Predictor, Trainer
from fastnn._bench.works import (
    RATE,
    Array,
    PredictionWork,
    TrainingWork,
    data,
    initial_parameters,
    predicted_by_reference,
    rows_of,
    trained_by_reference,
)

# Rounding errors of sums over a thousand products.
_TOLERANCE = {"float32": 1e-4, "float64": 1e-10}
# Two steps of gradient descent change the parameters little, so the error of the change is bounded too.
_CHANGE_TOLERANCE = {"float32": 1e-2, "float64": 1e-6}


def check_training(contestant: type[Trainer], work: TrainingWork, n_threads: int) -> None:
    """Assert that a contestant reaches the reference's parameters after two steps.

    A contestant that shuffles is checked with the rows in order first, then with all rows in one batch, where their order
    only changes rounding.

    Raises
    ------
    AssertionError
        If the differences exceed rounding errors.
    """
    batch_size = work.case.batch_size
    # The second batch is as short as the last one will be.
    rows = min(work.case.rows, batch_size + (work.case.rows % batch_size or batch_size))
    _check_two_steps(contestant, replace(work, case=replace(work.case, rows=rows), shuffled=False), n_threads)
    if work.shuffled:
        _check_two_steps(contestant, replace(work, case=replace(work.case, rows=batch_size)), n_threads)


def _check_two_steps(contestant: type[Trainer], work: TrainingWork, n_threads: int) -> None:
    made = contestant(work, n_threads)
    made.prepare(*data(work))
    made.train(2 // work.case.steps)
    expected = _two_steps_of_reference(replace(work, shuffled=False))
    # Adam divides by the gradient's size. If that is only rounding error, a parameter may move by RATE in either direction.
    element = RATE if (work.optimizer, work.dtype.name) == ("adam", "float32") else 0.0
    assert_close(made.parameters(), expected, work.dtype, max(contestant.tolerance(work), element))
    allowed = max(_CHANGE_TOLERANCE[work.dtype.name], contestant.tolerance(work))
    for got, wanted, before in zip(made.parameters(), expected, initial_parameters(work), strict=True):
        wrong, change = np.linalg.norm(np.asarray(got) - wanted), np.linalg.norm(wanted - before)
        assert wrong <= allowed * change, f"{contestant.name}, {work}: off by {wrong:.1e}, expected a change by {change:.1e}"


@functools.lru_cache(maxsize=2)  # computed once for all contestants of a workload
def _two_steps_of_reference(work: TrainingWork) -> list[Array]:
    return trained_by_reference(work, *data(work), epochs=2 // work.case.steps)


def check_prediction(contestant: type[Predictor], work: PredictionWork, n_threads: int) -> None:
    """Assert that a contestant's predictions are those of the reference.

    Raises
    ------
    AssertionError
        If the differences exceed rounding errors.
    """
    X = rows_of(work)
    expected = predicted_by_reference(work, X)
    assert_close([np.reshape(contestant(work, n_threads).predict(X), expected.shape)], [expected], work.dtype)


def assert_close(ours: Sequence[Array], theirs: Sequence[Array], dtype: np.dtype[Any], least: float = 0.0) -> None:
    """Compare arrays, with a tolerance of at least `least` for rounding errors of sums over a thousand products."""
    tolerance = max(_TOLERANCE[dtype.name], least)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
