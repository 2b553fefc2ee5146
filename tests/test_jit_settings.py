"""Settings assigned to a trainer that is part of a compiled function."""

from __future__ import annotations

import numpy as np
import pytest
from _helpers import data

import fastnn
from fastnn import MLP, SGD, Adam, Trainer, losses
from fastnn.embeddings import Categorical
from fastnn.schedules import Cosine

pytest.importorskip("numba")

import numba

from fastnn import jit

X, Y = data(16, 3, 2)
LABELS = (Y[:, 0] > 0).astype(np.int64)


def trainer_of(**options):
    return Trainer(MLP((3, 8, 2), "tanh", dtype=np.float64, random_state=0), optimizer=SGD(0.1), **options)


def compiled(trainer):
    @numba.njit
    def step(X, y):
        return trainer.step(X, y)

    return step


@pytest.mark.parametrize("wrap", [lambda trainer: trainer, fastnn.jit.as_numba], ids=["itself", "as_numba"])
@pytest.mark.parametrize(
    "changes",
    [
        {"learning_rate": 0.01},
        {"l2": 0.5},
        {"optimizer": Adam(0.1)},
        {"optimizer": SGD(0.1, momentum=0.9)},
        {"loss": losses.Huber(0.1), "l1": 0.2},
        {"clip_norm": 1e-3},
        {"clip_value": 1e-4, "n_threads": 2},
    ],
    ids=str,
)
def test_compiled_steps_use_assigned_settings(changes, wrap):
    trainer, other, unchanged = trainer_of(), trainer_of(), trainer_of()
    step = compiled(wrap(trainer))
    assert step(X, Y) == other.step(X, Y) == unchanged.step(X, Y)
    for name, value in changes.items():
        setattr(trainer, name, value)
        setattr(other, name, value)
    for _ in range(3):
        assert step(X, Y) == other.step(X, Y)
        unchanged.step(X, Y)
    assert trainer.updates == other.updates
    np.testing.assert_array_equal(trainer.model.to_vector(), other.model.to_vector())
    assert (trainer.model.to_vector() != unchanged.model.to_vector()).all()


def test_compiled_steps_use_settings_assigned_by_a_callback():
    class Change:
        def on_epoch_end(self, trainer, history):
            trainer.optimizer = Adam(0.1)

    trainer, other = trainer_of(), trainer_of()
    step = compiled(trainer)
    for each in (trainer, other):
        each.run(X, Y, 1, callbacks=[Change()])
    assert [step(X, Y) for _ in range(3)] == [other.step(X, Y) for _ in range(3)]
    assert trainer.updates == other.updates == 3
    np.testing.assert_array_equal(trainer.model.to_vector(), other.model.to_vector())


def test_a_schedule_makes_compiled_steps_raise():
    trainer = trainer_of()
    step = compiled(trainer)
    step(X, Y)
    trainer.learning_rate = Cosine(0.1, 100)
    for _ in range(2):
        before = trainer.model.to_vector()
        with pytest.raises(TypeError, match="^trainer: expected a learning rate that is a number, got a schedule"):
            step(X, Y)
        np.testing.assert_array_equal(trainer.model.to_vector(), before)
        trainer.step(X, Y)  # the compiled code has kept no learning rate
    trainer.learning_rate = 0.1
    step(X, Y)


def test_labels_raise_after_assigning_a_loss_that_takes_none():
    trainer = trainer_of(loss="cross_entropy")
    step = compiled(trainer)
    step(X, LABELS)
    trainer.loss = "mse"
    before = trainer.model.to_vector()
    with pytest.raises(ValueError, match="^y: expected a row of targets for each row of X, got one number"):
        step(X, LABELS)
    np.testing.assert_array_equal(trainer.model.to_vector(), before)
    trainer.step(X, Y)  # the trainer is not locked


@pytest.mark.parametrize("lazy", [False, True])
def test_lazy_updates_of_tables_are_refused(lazy):
    model = MLP((4, 8, 1), embeddings=Categorical(0, n_categories=5), random_state=0)
    trainer = Trainer(model, lazy_updates=lazy, n_threads=1)
    if lazy:
        with pytest.raises(TypeError, match="^lazy_updates: expected False for steps in compiled code, got True"):
            jit.as_numba(trainer)
    else:
        assert jit.as_numba(trainer) is not None


@pytest.mark.parametrize("name", ["step", "step_gradient", "accumulate", "apply"])
@pytest.mark.parametrize("place", ["class", "object"])
def test_own_methods_of_trainers_are_refused(name, place):
    def own(self, *arguments):
        raise AssertionError

    kind = type("Own", (Trainer,), {name: own} if place == "class" else {})
    trainer = kind(MLP((4, 8, 1), random_state=0))
    if place == "object":
        setattr(trainer, name, own)
    with pytest.raises(TypeError, match=f"^trainer: Own has a method {name} of its own, which compiled code doesn't call"):
        jit.as_numba(trainer)


@pytest.mark.parametrize("name", ["predict", "loss", "gradient", "vjp", "jacobian"])
def test_own_methods_of_models_are_refused(name):
    kind = type("Own", (MLP,), {name: lambda self, *arguments: None})
    with pytest.raises(TypeError, match=f"^model: Own has a method {name} of its own, which compiled code doesn't call"):
        jit.as_numba(kind((4, 8, 1)))
