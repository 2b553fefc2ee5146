"""Runs on large data find numbers that are not finite when they read them, with the errors and state of a check before."""

from __future__ import annotations

import numpy as np
import pytest
from _helpers import Silent, state_of

from fastnn import MLP, SGD, Adam, DivergedError, Trainer
from fastnn._engine import core as _core

pytestmark = pytest.mark.skipif(
    _core.current_instruction_set()[0] == "portable", reason="the fallback checks all data before a run"
)

ROWS, COLUMNS, OUTPUTS = 700, 60, 20


def _data(dtype, labels=False):
    rng = np.random.default_rng(5)
    X = rng.normal(size=(ROWS, COLUMNS)).astype(dtype)
    return X, rng.integers(OUTPUTS, size=ROWS) if labels else rng.normal(size=(ROWS, OUTPUTS)).astype(dtype)


def _trainer(dtype, labels=False, activation="relu", rate=0.01, **options):
    output = "softmax" if labels else "identity"
    model = MLP((COLUMNS, 24, OUTPUTS), activation, output, dtype=dtype, dropout=0.1, random_state=0)
    options = {"optimizer": Adam(rate), "batch_size": 100, "random_state": 3} | options
    return Trainer(model, "cross_entropy" if labels else "mse", **options)


def _is_deferred(trainer, X, y):
    return trainer._unchecked_data(X, y) is not None


def _outcome(trainer, X, y, epochs, **options):
    """Return the error of a run, and the state after it."""
    try:
        trainer.run(X, y, epochs, **options)
        error = None
    except (ValueError, DivergedError) as caught:
        error = (type(caught), str(caught))
    history = trainer.history
    return error, state_of(trainer), trainer.epochs, history["loss"].tobytes(), history.columns


def _compare(dtype, X, y, labels, epochs, before=1, **options):
    outcomes = []
    for callbacks in ((), (Silent(),)):
        trainer = _trainer(dtype, labels, **options)
        if before:
            trainer.run(*_data(dtype, labels), before)
        assert _is_deferred(trainer, X, y)
        state = state_of(trainer), trainer.history, trainer.epochs
        outcomes.append(_outcome(trainer, X, y, epochs, callbacks=callbacks))
    assert outcomes[0] == outcomes[1]
    return outcomes[0][0], state, trainer


@pytest.mark.usefixtures("slices")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("options", [{}, {"n_threads": 2, "batch_size": 600}, {"averaging": "swa"}], ids=str)
def test_results_are_those_of_data_checked_before(dtype, labels, shuffle, options):
    error, _, _ = _compare(dtype, *_data(dtype, labels), labels, 3, shuffle=shuffle, **options)
    assert error is None


@pytest.mark.usefixtures("slices")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", ["X", "y"])
@pytest.mark.parametrize("row", [0, 99, 350, ROWS - 1])
@pytest.mark.parametrize("options", [{}, {"shuffle": False}, {"n_threads": 2, "batch_size": 600}], ids=str)
def test_a_number_that_is_not_finite_changes_nothing(dtype, value, which, row, options):
    X, y = _data(dtype)
    (X if which == "X" else y)[row, -1] = value
    error, before, trainer = _compare(dtype, X, y, False, 2, activation="tanh", **options)  # whose outputs hide infinity
    column = X.shape[1] - 1 if which == "X" else y.shape[1] - 1
    assert error[0] is ValueError
    place = f"got {value} at row {row}, column {column}"
    assert error[1].startswith(f"{which}: expected numbers that are finite in {np.dtype(dtype)}, {place}")
    assert (state_of(trainer), trainer.history, trainer.epochs) == before
    trainer.l2 = 0.5  # nothing is in use any more


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("averaging", [None, "ema"])
def test_inputs_of_labels_are_checked(value, activation, averaging):
    X, y = _data(np.float32, labels=True)
    X[ROWS // 2, 7] = value
    options = {} if averaging is None else {"averaging": averaging}
    error, before, trainer = _compare(np.float32, X, y, True, 2, activation=activation, **options)
    assert error[0] is ValueError
    assert f"row {ROWS // 2}, column 7" in error[1]
    assert (state_of(trainer), trainer.history, trainer.epochs) == before


@pytest.mark.parametrize("columns", [1, 3, 16, 17, 33, 200])
@pytest.mark.parametrize("shuffle", [False, True])
def test_each_place_is_checked(columns, shuffle):
    rng = np.random.default_rng(0)
    n = (1 << 15) // columns + 100
    n_in = 40 if columns < 16 else columns
    X, y = rng.normal(size=(n, n_in)).astype("f"), rng.normal(size=(n, columns)).astype("f")
    trainer = Trainer(MLP((n_in, 3, columns), "tanh", random_state=0), optimizer=SGD(1e-3), batch_size=37, shuffle=shuffle)
    assert _is_deferred(trainer, X, y)
    for array, name in ((X, "X"), (y, "y")):
        for place in rng.integers(array.size, size=60):
            kept, array.flat[place] = array.flat[place], np.nan
            with pytest.raises(
                ValueError, match=f"^{name}: .* at row {place // array.shape[1]}, column {place % array.shape[1]}"
            ):
                trainer.run(X, y)
            array.flat[place] = kept
    trainer.run(X, y)


def test_a_divergence_remains_one():
    error, _, _ = _compare(np.float32, *_data(np.float32), False, 5, before=0, rate=1e35)
    assert error[0] is DivergedError


def test_all_data_is_checked_before_if_an_epoch_leaves_some_out():
    X, y = _data(np.float32)
    X[-1] = np.nan  # of the incomplete batch
    trainer = _trainer(np.float32, shuffle=False, drop_last=True, batch_size=300)
    with pytest.raises(ValueError, match=f"at row {ROWS - 1}, column 0"):
        trainer.run(X, y)


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_steps_have_the_bits_of_data_checked_before(labels, n_threads):
    X, y = _data(np.float32, labels)
    trainers = [_trainer(np.float32, labels, n_threads=n_threads) for _ in range(2)]
    for _ in range(3):
        losses = trainers[0].step(X, y), trainers[1].step(X, y, np.ones(ROWS))
        assert losses[0] == losses[1]
    assert state_of(trainers[0]) == state_of(trainers[1])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("which", "row"), [("X", 0), ("X", 650), ("y", 0), ("y", ROWS - 1)])
@pytest.mark.parametrize("averaging", [None, "ema"])
def test_a_step_with_a_number_that_is_not_finite_changes_nothing(value, which, row, averaging):
    trainer = _trainer(np.float32, activation="tanh", averaging=averaging)
    X, y = _data(np.float32)
    trainer.step(X, y)
    before = state_of(trainer)
    (X if which == "X" else y)[row, 3] = value
    assert _is_deferred(trainer, X, y)
    with pytest.raises(ValueError, match=f"^{which}: expected numbers that are finite .*at row {row}, column 3") as caught:
        trainer.step(X, y)
    assert caught.value.__suppress_context__
    assert state_of(trainer) == before
    assert np.isfinite(trainer.step(*_data(np.float32)))


def test_a_step_that_diverges_still_does():
    trainer = _trainer(np.float32, rate=1e30)
    data = _data(np.float32)
    trainer.step(*data)
    with pytest.raises(DivergedError):
        trainer.step(*data)


@pytest.mark.parametrize("change", ["float64", "strided", "few rows", "other columns", "a list"])
def test_other_data_is_checked_before(change):
    X, y = _data(np.float32)
    trainer = _trainer(np.float32)
    assert _is_deferred(trainer, X, y)
    X = {
        "float64": X.astype(float),
        "strided": np.asfortranarray(X),
        "few rows": X[:100],
        "other columns": X[:, :-1].copy(),
        "a list": X.tolist(),
    }[change]
    assert not _is_deferred(trainer, X, y[: len(X)])


def test_inputs_that_are_categories_scaled_or_dropped_are_checked_before():
    X, y = _data(np.float32)
    for options in ({"input_scale": True}, {"input_dropout": 0.1}):
        model = MLP((COLUMNS, 24, OUTPUTS), random_state=0, **options)
        assert not _is_deferred(Trainer(model), X, y)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, MemoryError])
def test_an_interruption_of_the_search_for_the_fault_changes_nothing(interruption, monkeypatch):
    trainer = _trainer(np.float32)
    X, y = _data(np.float32)
    trainer.run(X, y)
    before = state_of(trainer), trainer.history, trainer.epochs
    X[300, 5] = np.nan

    def interrupted(*args, **options):
        raise interruption

    monkeypatch.setattr(Trainer, "_data", interrupted)
    with pytest.raises(interruption):
        trainer.run(X, y, 2)
    assert (state_of(trainer), trainer.history, trainer.epochs) == before
