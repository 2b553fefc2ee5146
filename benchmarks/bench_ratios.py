"""Guaranteed speedups: how many times as fast as hand-written NumPy, and as the reference, fastnn is at least.

Both are timed in turns, and the best of many turns counts, so that other load on the machine affects both or neither.
The guarantee is at most half of the speedup on an idle machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from bench_row_losses import COMPARED, custom, fastnn_gradient
from recipe.jobs import FIRST, JOBS, LAST
from recipe.jobs import check as check_step
from shapes import CASES

from fastnn._bench.checks import check_prediction, check_training
from fastnn._bench.clock import Work, race
from fastnn._bench.peers import PREDICTORS, TRAINERS, Trainer
from fastnn._bench.works import (
    PredictionWork,
    TrainingWork,
    data,
    predicted_by_reference,
    rows_of,
    trained_by_reference,
)
from fastnn._engine import core as _core

_FLOAT32 = np.dtype(np.float32)
_ISA = _core.current_instruction_set()[0]
# The share of the guarantee that holds on machines whose vectors are narrower than the widest.
_PART = {"v4": 1.0, "v3": 0.6}.get(_ISA, 0.3)

# NumPy's BLAS uses the machine's best instruction set, whatever FASTNN_ISA says.
pytestmark = [
    pytest.mark.skipif(
        _core.usable_instruction_sets()[0] != _ISA,
        reason="FASTNN_ISA chooses another instruction set than the machine's best",
    ),
    pytest.mark.parametrize("n_threads", [1], indirect=True),
]


@pytest.fixture
def promise(record: Callable[[str, str, str, float], None]) -> Callable[[str, str, float, Work, Work, float], None]:
    """Return a function that asserts a least ratio of two works, of which the first may be done several times."""

    def assert_at_least(whom: str, what: str, least: float, ours: Work, theirs: Work, times: float = 1.0) -> None:
        timings = race({"ours": ours, "theirs": theirs}, seconds=0.3, turns=15)
        measured = times * timings["theirs"].minimum / timings["ours"].minimum
        title = f"times as fast as {whom}, float32, 1 thread"
        record(title, what, "measured", measured)
        record(title, what, "promised", least * _PART)
        assert measured >= least * _PART, f"{what}: {measured:.3g} times as fast as {whom}, promised {least * _PART:.3g}"

    return assert_at_least


def prepared(contestant: str, work: TrainingWork) -> Trainer:
    check_training(TRAINERS[contestant], work, 1)
    made = TRAINERS[contestant](work, 1)
    made.prepare(*data(work))
    return made


@pytest.mark.parametrize(
    ("case", "optimizer", "least"),
    [(CASES[0], "sgd", 20), (CASES[1], "sgd", 6), (CASES[3], "adam", 2), (CASES[4], "sgd", 1.2)],
    ids=str,
)
def test_training_against_numpy(promise, n_threads, case, optimizer, least):
    work = TrainingWork(case, _FLOAT32, optimizer)
    ours, theirs = prepared("fastnn", work), prepared("NumPy", work)
    what = f"training {case}, {optimizer}"
    promise("NumPy by hand", what, least, lambda: ours.train(case.epochs), lambda: theirs.train(case.epochs))


@pytest.mark.parametrize(
    ("case", "optimizer", "least"), [(CASES[0], "sgd", 200), (CASES[1], "adam", 40), (CASES[4], "sgd", 3)], ids=str
)
def test_training_against_reference(promise, n_threads, case, optimizer, least):
    work = TrainingWork(case, _FLOAT32, optimizer)
    ours, (X, y) = prepared("fastnn", work), data(work)
    # The reference takes seconds for all cases. The number of steps makes the cost per call small.
    rows = min(len(X), 8 * case.batch_size)
    epochs = 8 * case.batch_size // rows
    times = case.epochs * len(X) / (epochs * rows)
    what = f"training {case}, {optimizer}"
    promise(
        "the reference",
        what,
        least,
        lambda: ours.train(case.epochs),
        lambda: trained_by_reference(work, X[:rows], y[:rows], epochs),
        times,
    )


@pytest.mark.parametrize(("job", "least"), list(zip(JOBS, (50, 2), strict=True)), ids=str)
def test_recipe_against_numpy(promise, n_threads, job, least):
    """The last step of docs/numpy.md is compared with the first, which uses float64."""
    check_step(job, LAST)
    ours, theirs = (JOBS[job].work(step) for step in (LAST, FIRST))
    times = JOBS[job].updates(LAST) / JOBS[job].updates(FIRST)
    promise("the tutorials' class", f"the recipe, {job}", least, ours, theirs, times)


def test_prediction_against_numpy(promise, n_threads):
    work = PredictionWork(CASES[2].layer_sizes, 1, _FLOAT32)
    for name in ("fastnn", "NumPy"):
        check_prediction(PREDICTORS[name], work, 1)
    ours, theirs, x = PREDICTORS["fastnn"](work, 1), PREDICTORS["NumPy"](work, 1), rows_of(work)
    promise("NumPy by hand", "predicting one row, 32-64-64-2", 3.5, lambda: ours.predict(x), lambda: theirs.predict(x))


def test_prediction_against_reference(promise, n_threads):
    work = PredictionWork(CASES[2].layer_sizes, 1, _FLOAT32)
    ours, x = PREDICTORS["fastnn"](work, 1), rows_of(work)
    promise(
        "the reference",
        "predicting one row, 32-64-64-2",
        30,
        lambda: ours.predict(x),
        lambda: predicted_by_reference(work, x),
    )


def test_estimators_against_scikit_learn(promise, n_threads):
    neural_network = pytest.importorskip("sklearn.neural_network")
    from sklearn.datasets import load_digits

    from fastnn import sklearn as fastnn_sklearn

    X, y = load_digits(return_X_y=True)
    made = [library.MLPClassifier(random_state=0) for library in (fastnn_sklearn, neural_network)]
    for one in made:
        one.partial_fit(X, y, classes=range(10))
    np.testing.assert_allclose(made[0].coefs_[0], made[1].coefs_[0], rtol=1e-9)
    ours, theirs = made
    promise(
        "scikit-learn",
        "an epoch of the digits, float64",
        1.5,
        lambda: ours.partial_fit(X, y),
        lambda: theirs.partial_fit(X, y),
    )
    row = X[:1]
    promise("scikit-learn", "predicting one row of the digits", 5, lambda: ours.predict(row), lambda: theirs.predict(row))


def test_simulation_against_numpy(promise, n_threads):
    pytest.importorskip("numba", reason="Numba is not installed")
    from simulation import contestants

    loops = contestants()
    (ours, _), (theirs, _) = loops["compiled by Numba, fastnn"], loops["Python, NumPy"]
    states = np.ones((2, 4), np.float32)
    ours(states[0], 100), theirs(states[1], 100)
    np.testing.assert_allclose(states[0], states[1], rtol=1e-4)
    what = "a simulation with a 4-64-64-1 policy"
    promise("NumPy by hand", what, 10, lambda: ours(states[0], 1000), lambda: theirs(states[1], 100), times=10)


@pytest.mark.parametrize("n_out", [2, 8, 16, 64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["gaussian_nll", "cosine"])
def test_custom_losses_of_rows_against_built_in_ones(record, n_threads, name, dtype, n_out):
    compared = replace(COMPARED[name], n_out=n_out, n_in=1)
    built_in, by_a_user = fastnn_gradient(compared, dtype), fastnn_gradient(compared, dtype, custom(name, n_out))
    timings = race({"built-in": built_in, "by a user": by_a_user}, seconds=0.3, turns=15)
    measured = timings["by a user"].minimum / timings["built-in"].minimum
    title, what = "times the time of the built-in loss, 1 thread", f"{name} of {n_out} outputs, {np.dtype(dtype)}"
    record(title, what, "measured", measured)
    record(title, what, "promised", 1.3)
    assert measured <= 1.3, f"{what}: {measured:.3g} times the time of the built-in loss, promised 1.3"
