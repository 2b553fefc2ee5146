"""Runs whose loss stops being finite: the parameters of the last finite epoch are restored."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from _helpers import data, model_of, optimizer_of, state_of

from fastnn import EMA, MLP, SGD, Adam, DivergedError, LayerSettings, Trainer, _epochs, fit_many
from fastnn._engine import core as _core


class Growing:
    """A learning rate that is sensible for some steps, and far too large from then on."""

    def __init__(self, sensible):
        self.sensible = sensible

    def __call__(self, steps):
        return np.where(steps < self.sensible, 1e-3, 1e30)


def diverging(row, sensible, sizes=(3, 12, 2), dropout=0.0, **options):
    optimizer = optimizer_of(row, learning_rate=Growing(sensible))
    model = model_of(sizes, "relu", dtype=np.float32, dropout=dropout)
    return Trainer(model, optimizer=optimizer, batch_size=10, random_state=3, **options)


DIVERGING = [{}, {"n_threads": 2}, {"l2": 1e-3, "clip_norm": 1.0}, {"sizes": (3, 8, 2)}, {"dropout": 0.2}]


@pytest.mark.parametrize("row", _core.OPTIMIZERS)
@pytest.mark.parametrize("sensible", [0, 1, 3, 4, 9, 10, 11])
@pytest.mark.parametrize("options", DIVERGING, ids=str)
def test_divergence_restores_the_last_finite_epoch(row, sensible, options):
    X, y = data(25, 3, 2)  # three steps per epoch
    trainer = diverging(row, sensible, **options)
    with pytest.raises(DivergedError, match="the loss is not finite in epoch") as caught:
        trainer.run(X, y, 40)
    error, epochs = caught.value, sensible // 3
    assert ("those before the run" in str(error)) == (error.epoch == 1)
    # If an epoch's last update diverges, only the next epoch may show it.
    assert error.history.epochs == error.epoch - 1
    assert error.epoch in (epochs + 1, epochs + 2)
    assert f"epoch {error.epoch}" in str(error)
    for name in ("loss", "learning_rate", "seconds"):
        assert np.isfinite(error.history[name]).all()
    # The state is that of a run which ended before the first epoch with too large a step.
    assert trainer.updates == 3 * epochs
    good = diverging(row, sensible, **options)
    good.run(X, y, epochs)
    assert state_of(trainer)[:3] == state_of(good)[:3]
    assert np.isfinite(trainer.model.to_vector()).all()
    assert np.isfinite(trainer._moments).all()
    trainer.model.predict(X)


def test_callbacks_see_the_finite_epochs_and_the_end_of_a_run_that_diverges():
    X, y = data(25, 3, 2)
    seen = []

    class Watch:
        def on_epoch_end(self, trainer, history):
            seen.append(trainer.model.to_vector())

        def on_train_end(self, trainer, history):
            seen.append("end")

    trainer = diverging("adam", 9)
    with pytest.raises(DivergedError) as caught:
        trainer.run(X, y, 40, callbacks=[Watch()], validation_data=(X, y))
    assert seen.pop() == "end"
    assert len(seen) == caught.value.history.epochs
    assert (trainer.model.to_vector() == seen[trainer.updates // 3 - 1]).all()


def test_a_callback_cannot_hide_divergence():
    class Stop:
        def on_epoch_end(self, trainer, history):
            return True

    trainer = Trainer(model_of((3, 12, 2), dtype=np.float32), optimizer=SGD(1e300))
    with pytest.raises(DivergedError) as caught:
        trainer.run(*data(10, 3, 2), 5, callbacks=[Stop()])
    assert (trainer.updates, caught.value.epoch, caught.value.history.epochs) == (0, 1, 0)


def test_divergence_in_the_first_epoch_restores_the_initial_parameters():
    X, y = data(25, 3, 2)
    trainer = Trainer(model_of((3, 12, 2), "relu", dtype=np.float32), optimizer=Adam(), batch_size=10)
    trainer.run(X, y, 2)
    for w in trainer.model.weights:
        w[...] = 1e30
    before = state_of(trainer)[:3]
    with pytest.raises(DivergedError) as caught:
        trainer.run(X, y, 5)
    assert (caught.value.epoch, caught.value.history.epochs) == (1, 0)
    assert state_of(trainer)[:3] == before


def test_divergence_in_the_last_update_is_noticed():
    X, y = data(25, 3, 2)
    trainer = Trainer(model_of((3, 12, 2), dtype=np.float32), optimizer=SGD(1e300), batch_size=25)
    before = state_of(trainer)[:3]
    with pytest.raises(DivergedError):
        trainer.run(X, y, 1)
    assert state_of(trainer)[:3] == before


@pytest.mark.parametrize("sizes", [(1, 1, 1), (20, 20, 1)])
def test_an_infinite_penalty_is_divergence(sizes):
    model = MLP(sizes, "identity")
    for w in model.weights:
        w[...] = 1e25
    trainer = Trainer(model, l2=1.0, optimizer=SGD(0.1, momentum=0.9))
    X, y = np.zeros((4, sizes[0])), np.zeros((4, 1))
    for train in (trainer.run, trainer.step):
        with pytest.raises(DivergedError):
            train(X, y)
        assert (model.weights[0] == np.float32(1e25)).all()
        assert not trainer._moments.any()
        assert trainer.updates == 0


@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_an_infinite_bias_has_no_penalty(penalty):
    X, y = np.zeros((4, 2), np.float32), np.full((4, 1), 5.0)
    options = {"batch_size": 4, "shuffle": False, penalty: 1e-30}

    def model():
        made = MLP((2, 2, 1), "tanh", random_state=0)  # saturates: the loss stays finite
        made.weights[1][...] = 1000.0
        return made

    histories = []
    doubled = {"layer_settings": LayerSettings(learning_rate_factor=2.0)}  # not for the loop of tiny networks
    for rate, given in ((1e36, {}), (5e35, doubled)):
        trainer = Trainer(model(), "mae", SGD(rate), **options, **given)
        with pytest.raises(DivergedError) as caught:
            trainer.run(X, y, 6)
        histories.append(caught.value.history["loss"].tolist())
    with pytest.warns(RuntimeWarning, match="16 of 16 models diverged"):
        of_many = fit_many([model() for _ in range(16)], X, y, loss="mae", optimizer=SGD(1e36), epochs=6, **options)
    histories += [history["loss"].tolist() for history in of_many]
    assert len(histories[0]) > 1
    assert all(history == histories[0] for history in histories)


@pytest.mark.parametrize("sizes", [(2, 3, 1), (2, 12, 8)])
@pytest.mark.parametrize("penalties", [{"l1": 1e-25}, {"l2": 1e-30}, {"l1": 1e-25, "l2": 1e-30}], ids=str)
def test_penalties_of_weights_whose_squares_overflow_are_finite(sizes, penalties):
    model = MLP(sizes, "tanh", random_state=0)
    model.weights[0][...] = 1e20
    trainer = Trainer(model, optimizer=SGD(0.0), batch_size=4, **penalties)
    X, y = data(4, 2, sizes[-1])
    loss = trainer.run(X, y, 2)["loss"]
    values = [w.astype(float) for w in model.weights]
    expected = sum(penalties.get("l1", 0) * np.abs(w).sum() + penalties.get("l2", 0) / 2 * (w**2).sum() for w in values)
    np.testing.assert_allclose(loss, model.loss(X, y) + expected, rtol=1e-6)


@pytest.mark.parametrize("row", _core.OPTIMIZERS)
@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("rows", [5, 25, 600])
def test_a_diverging_step_changes_nothing(row, dropout, rows):
    X, y = data(rows, 3, 2)
    model = model_of((3, 12, 2), "relu", dtype=np.float32, dropout=dropout)
    trainer = Trainer(model, optimizer=optimizer_of(row), random_state=0)
    trainer.step(X, y)
    good = model.to_vector()
    model.weights[0][...] = 1e30
    before = state_of(trainer)
    with pytest.raises(DivergedError, match="nothing was changed") as caught:
        trainer.step(X, y)
    assert caught.value.history.epochs == 0
    assert state_of(trainer) == before
    model.set_vector(good)
    assert np.isfinite(trainer.step(X, y))


def test_diverged_errors_can_be_pickled():
    X, y = data(25, 3, 2)
    with pytest.raises(DivergedError) as caught:
        diverging("sgd", 9).run(X, y, 40)
    for error in (copy.copy(caught.value), pickle.loads(pickle.dumps(caught.value))):
        assert isinstance(error, ArithmeticError)
        assert (str(error), error.epoch) == (str(caught.value), caught.value.epoch)
        assert error.history == caught.value.history


@pytest.mark.parametrize("row", ["sgd", "adam"])
@pytest.mark.parametrize("options", [{}, {"l2": 1e-3, "averaging": EMA(0.99)}], ids=str)
def test_tiny_networks_that_diverge_in_a_later_slice_go_back_like_in_one(row, options, monkeypatch):
    # The clock is read after about 500 epochs: the slice in which a run diverges has perhaps not taken the snapshot.
    X, y = data(16, 2, 1)
    states = []
    for seconds in (1e9, 0.0):
        monkeypatch.setattr(_epochs, "SLICE_SECONDS", seconds)
        trainer = Trainer(
            model_of((2, 8, 8, 1), "relu", dtype=np.float32),
            optimizer=optimizer_of(row, learning_rate=Growing(2600)),
            batch_size=16,
            random_state=3,
            **options,
        )
        with pytest.raises(DivergedError) as caught:
            trainer.run(X, y, 4000)
        states.append((*state_of(trainer)[:3], caught.value.history["loss"].tobytes(), trainer.updates))
    assert states[0] == states[1]
    assert states[0][-1] >= 2600
