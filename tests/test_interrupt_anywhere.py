"""Ctrl-C after any call, or at the beginning of any function, where Python looks for signals."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
import pytest
from _model_checks import compiled

import fastnn
from fastnn import MLP, SGD, Adam, Trainer, callbacks, schedules

X = np.random.default_rng(0).normal(size=(12, 3))
Y = X[:, :1] * X[:, 1:2]
WEIGHT = np.linspace(0.5, 1.5, 12)
EPOCHS, BATCH = 3, 4


class Watcher:
    def on_epoch_end(self, trainer, history):
        pass


def trainer_of(**options):
    options = {"optimizer": Adam(0.01), "batch_size": BATCH, "shuffle": False, "random_state": 1} | options
    return Trainer(MLP((3, 5, 1), "tanh", random_state=0), **options)


def interrupted(moment: int, act: Callable[..., Any], *arguments: Any, until: str = "", **options: Any) -> bool:
    """Raise KeyboardInterrupt at a moment of a call, counted from 0.

    Return False if the call is over before, or the function `until` has begun.
    """
    moments = count()

    def profile(frame, event, argument):
        of_package = "fastnn" in frame.f_code.co_filename and not frame.f_code.co_flags & inspect.CO_GENERATOR
        if not of_package or event not in ("call", "c_return"):  # an exception in a generator that ends is ignored
            return
        if until and event == "call" and frame.f_code.co_name == until:
            sys.setprofile(None)
        elif next(moments) == moment:
            sys.setprofile(None)
            raise KeyboardInterrupt

    sys.setprofile(profile)
    try:
        act(*arguments, **options)
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(None)
    return False


def step_by_step(trainer):
    """Make the next update of a run."""
    begin = trainer.updates * BATCH % len(X)
    trainer.step(X[begin : begin + BATCH], Y[begin : begin + BATCH])


def accumulate(trainer):
    trainer.accumulate(X, Y)
    trainer.apply()


WAYS: dict[str, tuple[Callable[[Trainer], Any], Callable[[Trainer], Any]]] = {
    "run": (lambda trainer: trainer.run(X, Y, EPOCHS), step_by_step),
    "run with checks": (lambda trainer: trainer.run(X.tolist(), Y, EPOCHS), step_by_step),
    "run with a callback": (lambda trainer: trainer.run(X, Y, EPOCHS, callbacks=[Watcher()]), step_by_step),
    "run with validation": (lambda trainer: trainer.run(X, Y, EPOCHS, validation_data=(X, Y)), step_by_step),
    "step": (lambda trainer: trainer.step(X, Y, WEIGHT), lambda trainer: trainer.step(X, Y, WEIGHT)),
    "accumulate and apply": (accumulate, accumulate),
}


@compiled  # the fallback makes its steps in Python
@pytest.mark.parametrize("schedule", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_updates_are_those_of_the_parameters_and_training_goes_on(way, schedule):
    act, update = WAYS[way]
    options = {"optimizer": Adam(schedules.InverseTime(0.01, 0.1))} if schedule else {}
    expected, states = trainer_of(**options), []
    for _ in range(EPOCHS * len(X) // BATCH + 2):
        states.append(expected.model.to_vector())
        update(expected)
    moment = -1
    for moment in count():
        trainer = trainer_of(**options)
        if not interrupted(moment, act, trainer):
            break
        np.testing.assert_array_equal(trainer.model.to_vector(), states[trainer.updates], str(moment))
        update(trainer)
        np.testing.assert_array_equal(trainer.model.to_vector(), states[trainer.updates], str(moment))
    assert moment > 10


@pytest.mark.parametrize(("name", "value"), [("l2", 0.5), ("learning_rate", 0.3), ("optimizer", SGD(0.3))])
def test_a_setting_is_the_one_in_use(name, value):
    moment = -1
    for moment in count():
        trainer = trainer_of()
        if not interrupted(moment, setattr, trainer, name, value):
            break
        other = trainer_of(**{name: getattr(trainer, name) for name in ("l2", "optimizer")})
        for each in (trainer, other):
            each.step(X, Y)
        np.testing.assert_array_equal(trainer.model.to_vector(), other.model.to_vector(), str(moment))
    assert moment > 10


@pytest.mark.parametrize("ties", ["first", "last"])
@pytest.mark.parametrize("optimizer", [Adam(0.01), "lbfgs"], ids=str)
def test_early_stopping_restores_the_epoch_that_it_names(optimizer, ties):
    if optimizer == "lbfgs":
        pytest.importorskip("scipy")
    moment, best_epochs = -1, set()
    for moment in count():
        model = MLP((3, 5, 1), "tanh", random_state=0)
        stopping = callbacks.EarlyStopping(patience=None, ties=ties)
        options = {"optimizer": optimizer, "validation_data": (X, Y), "callbacks": [stopping]}
        if not interrupted(moment, model.fit, X, Y, epochs=EPOCHS, until="tell_end", **options):
            break
        best_epochs.add(stopping.best_epoch)
        assert stopping.best_epoch == 0 or model.loss(X, Y) == stopping.best, moment
    assert best_epochs == {*range(EPOCHS + 1)}


def test_many_models_can_be_trained_again():
    moment = -1
    for moment in count():
        models = [MLP((3, 5, 1), "tanh", random_state=seed) for seed in range(3)]
        if not interrupted(moment, fastnn.fit_many, models, X, Y, epochs=EPOCHS):
            break
        if moment % 7 == 0:
            assert len(fastnn.fit_many(models, X, Y, epochs=1)) == 3
    assert moment > 100


def test_the_scores_of_estimators_are_those_of_their_parameters():
    neural_network = pytest.importorskip("fastnn.sklearn")
    moment, best = -1, set()
    for moment in count():
        estimator = neural_network.MLPRegressor(
            hidden_layer_sizes=(4,), max_iter=EPOCHS, early_stopping=True, random_state=0, batch_size=4
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the interrupt, or of too few epochs
            caught = interrupted(moment, estimator.fit, X, Y[:, 0], until="tell_end")
        if not caught and estimator.n_iter_ == EPOCHS:
            break
        if "loss_curve_" in vars(estimator):
            assert len(estimator.loss_curve_) == estimator.n_iter_, moment
            best.add(estimator.best_validation_score_)
    assert len(best) > 1
