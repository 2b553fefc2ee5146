"""Runs without measures and watchers have the results of those that a callback watches."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from _helpers import Silent, state_of
from scipy import sparse

from fastnn import MLP, SGD, Adam, DivergedError, Trainer, _unwatched
from fastnn._unwatched import MOST_EPOCHS

X = np.random.default_rng(0).normal(size=(50, 4))
Y = np.random.default_rng(1).normal(size=(50, 2))


def _trainer(**options):
    return Trainer(MLP((4, 9, 2), "tanh", dropout=0.1, random_state=0), batch_size=8, random_state=2, **options)


def _alike(histories):
    for name in ("loss", "learning_rate"):
        np.testing.assert_array_equal(histories[0][name], histories[1][name])
    assert histories[0].columns == histories[1].columns
    for history in histories:
        assert history.epochs == history["seconds"].size
        assert (history["seconds"] > 0).all()


@pytest.mark.usefixtures("slices")
@pytest.mark.parametrize(
    "inputs", [X, X.astype(np.float32), X.tolist(), sparse.csr_array(X)], ids=["64", "32", "list", "csr"]
)
@pytest.mark.parametrize(
    "options", [{}, {"optimizer": SGD(0.1, momentum=0.9)}, {"drop_last": True, "n_threads": 2}], ids=str
)
@pytest.mark.parametrize("weight", [None, np.linspace(0, 1, 50)], ids=["alike", "weighted"])
@pytest.mark.parametrize("epochs", [1, 3])
def test_results_are_those_of_a_watched_run(inputs, options, weight, epochs):
    _compare(inputs, options, weight, epochs)


@pytest.mark.usefixtures("slices")
@pytest.mark.parametrize("epochs", [MOST_EPOCHS, MOST_EPOCHS + 1])
def test_long_runs_are_those_of_a_watched_run(epochs):
    _compare(X, {}, None, epochs)


def _compare(inputs, options, weight, epochs):
    trainers = [_trainer(**options), _trainer(**options)]
    histories = [
        trainer.run(inputs, Y, epochs, sample_weight=weight, callbacks=callbacks)
        for trainer, callbacks in zip(trainers, ((), (Silent(),)), strict=True)
    ]
    assert state_of(trainers[0]) == state_of(trainers[1])
    assert [trainer.epochs for trainer in trainers] == [epochs, epochs]
    assert trainers[0].history is histories[0]
    _alike(histories)


@pytest.mark.usefixtures("slices")
@pytest.mark.parametrize("rate", [1e3, 1e9, 1e30])
def test_a_divergence_has_the_same_error_and_state(rate):
    errors, trainers = [], [_trainer(optimizer=SGD(rate)), _trainer(optimizer=SGD(rate))]
    for trainer, callbacks in zip(trainers, ((), (Silent(),)), strict=True):
        with pytest.raises(DivergedError) as caught:
            trainer.run(X, Y, 900, callbacks=callbacks)
        errors.append(caught.value)
        assert trainer.history is caught.value.history
        trainer.l2 = 0.5  # nothing is in use any more
    assert str(errors[0]) == str(errors[1])
    assert errors[0].epoch == errors[1].epoch
    _alike([error.history for error in errors])
    assert state_of(trainers[0]) == state_of(trainers[1])


def test_a_trainer_in_use_is_refused_and_stays_in_use():
    trainer = _trainer()
    with trainer._stepper.hold():
        for _ in range(2):
            with pytest.raises(RuntimeError, match="already running"):
                trainer.run(X, Y)
    assert trainer.run(X, Y).epochs == 1


def test_a_hold_that_dies_ends():
    trainer = _trainer()
    hold = trainer._stepper.hold()
    with pytest.raises(RuntimeError, match="already running"):
        trainer._stepper.hold()
    trainer._stepper.in_run = True
    del hold
    assert not trainer._stepper.in_run
    assert trainer.run(X, Y).epochs == 1


def test_settings_assigned_during_a_run_wait_for_the_end_of_an_epoch():
    trainer = Trainer(MLP((4, 300, 300, 2), random_state=0), optimizer=Adam(1e-5), random_state=0, n_threads=1)
    rows = np.tile(X, (40, 1)), np.tile(Y, (40, 1))
    thread = threading.Thread(target=lambda: trainer.run(*rows, epochs=60))
    thread.start()
    while thread.is_alive() and not trainer._stepper.in_run:
        pass
    trainer.learning_rate = 1e-6
    thread.join()
    rates = trainer.history["learning_rate"]
    assert trainer.learning_rate == 1e-6
    assert trainer.history.epochs == 60
    assert set(rates) <= {1e-5, 1e-6}
    assert (np.diff(rates) <= 0).all()


@pytest.mark.parametrize(("name", "value"), [("learning_rate", 0.5), ("l2", 0.5), ("n_threads", 2)])
def test_settings_assigned_in_the_first_slice_take_effect(name, value, monkeypatch):
    class Assigns:
        def __init__(self, epochs):
            self.epochs = epochs

        def on_epoch_end(self, trainer, history):
            if history.epochs == self.epochs:
                setattr(trainer, name, value)

    def assigned_in_the_first_slice(name, value):
        def assign_and_go_on(trainer, *rest):
            setattr(trainer, name, value)
            go_on(trainer, *rest)

        monkeypatch.setattr(_unwatched, "_go_on", assign_and_go_on)
        trainer = _trainer(optimizer=SGD(0.1))
        return trainer, trainer.run(X, Y, 900)

    go_on = _unwatched._go_on
    monkeypatch.setattr(_unwatched, "SLICE_SECONDS", 0.0)
    _, history = assigned_in_the_first_slice("learning_rate", 0.5)
    before = np.flatnonzero(history["learning_rate"] == 0.5)[0]  # epochs that ended before the change
    trainer, history = assigned_in_the_first_slice(name, value)
    watched = _trainer(optimizer=SGD(0.1))
    _alike([history, watched.run(X, Y, 900, callbacks=[Assigns(before)])])
    assert state_of(trainer) == state_of(watched)


def test_columns_of_a_frame_are_learnt():
    pandas = pytest.importorskip("pandas")
    trainer = _trainer()
    trainer.run(pandas.DataFrame(X, columns=list("abcd")), Y)
    assert trainer.model.feature_names == ("a", "b", "c", "d")
