"""Settings assigned to a trainer: checked like arguments of the constructor, and in effect from the next step on."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest
from _helpers import data, model_of

from fastnn import SGD, AdaGrad, Adam, AdamW, RMSProp, Trainer, _epochs, losses
from fastnn._engine import core as _core
from fastnn.callbacks import ProgressBar
from fastnn.schedules import Exponential

X, Y = data(40, 3, 2)
BEFORE = {
    "loss": "mse",
    "optimizer": SGD(0.05, momentum=0.5),
    "batch_size": 16,
    "shuffle": True,
    "l1": 0.0,
    "l2": 0.01,
    "clip_norm": None,
    "clip_value": 0.02,
    "lazy_updates": False,
    "n_threads": 1,
}
AFTER = [
    ("loss", "mae"),
    ("loss", losses.Huber(0.1)),
    ("optimizer", SGD(0.2, momentum=0.9)),
    ("optimizer", SGD(0.05, momentum=0.5, nesterov=True)),
    ("batch_size", 7),
    ("batch_size", np.int64(1000)),
    ("shuffle", False),
    ("l1", 0.02),
    ("l2", 0),
    ("clip_norm", 1e-3),
    ("clip_value", None),
    ("n_threads", 3),
]
IN_A_RUN = [*(pair for pair in AFTER if pair[0] != "loss"), ("learning_rate", 0.2), ("random_state", 5)]
in_a_run = pytest.mark.parametrize(("name", "value"), IN_A_RUN, ids=str)


def trainer_of(dropout=0.2, **changes):
    model = model_of((3, 8, 5, 2), dropout=dropout)
    return Trainer(model, **BEFORE | changes, random_state=7)


def moved(trainer, name, value):
    """Return a trainer made with another setting that continues from the state of this one."""
    other = Trainer(copy.deepcopy(trainer.model), **{k: getattr(trainer, k) for k in BEFORE} | {name: value})
    other.random_state = copy.deepcopy(trainer.random_state)
    if len(other._moments) == len(trainer._moments):
        other._moments[...] = trainer._moments
        other._stepper.updates = trainer.updates
    return other


def assert_same(one, other):
    np.testing.assert_array_equal(one.model.to_vector(), other.model.to_vector())
    np.testing.assert_array_equal(one._moments, other._moments)
    assert one.updates == other.updates


@pytest.mark.parametrize(("name", "value"), AFTER, ids=str)
@pytest.mark.parametrize("how", ["run", "step"])
def test_an_assigned_setting_has_the_effect_of_a_new_trainer(name, value, how):
    trainer = trainer_of()
    for _ in range(2):
        trainer.run(X, Y, 2)
        trainer.step(X, Y)
    other, unchanged = moved(trainer, name, value), copy.deepcopy(trainer)
    setattr(trainer, name, value)
    for each in (trainer, other, unchanged):
        for _ in range(3):
            each.run(X, Y, 1) if how == "run" else each.step(X[:9], Y[:9])
    assert_same(trainer, other)
    assert getattr(trainer, name) == getattr(other, name)
    only_of_runs = name in ("batch_size", "shuffle") and how == "step"
    same = (trainer.model.to_vector() == unchanged.model.to_vector()).all()
    assert same == (only_of_runs or name == "n_threads")


@in_a_run
@pytest.mark.parametrize("validated", [False, True])
def test_a_callback_changes_the_next_epoch(name, value, validated):
    class Change:
        def on_epoch_end(self, trainer, history):
            if history.epochs == 2:
                setattr(trainer, name, value)

    trainer, other = trainer_of(), trainer_of()
    options = {"validation_data": (X, Y)} if validated else {}
    history = trainer.run(X, Y, 5, callbacks=[Change()], **options)
    first = other.run(X, Y, 2, **options)
    setattr(other, name, value)
    second = other.run(X, Y, 3, **options)
    assert_same(trainer, other)
    assert history.epochs == 5
    for key in set(history) - {"seconds"}:
        np.testing.assert_array_equal(history[key], [*first[key], *second[key]])
    assert (history["seconds"] > 0).all()


@in_a_run
@pytest.mark.parametrize("event", ["on_train_begin", "on_train_end"])
def test_a_callback_changes_settings_before_and_after_a_run(name, value, event):
    class Change:
        def on_epoch_end(self, trainer, history):
            pass

    change = Change()
    setattr(change, event, lambda trainer, history: setattr(trainer, name, value))
    trainer, other = trainer_of(), trainer_of()
    trainer.run(X, Y, 2, callbacks=[change])
    if event == "on_train_begin":
        setattr(other, name, value)
    other.run(X, Y, 2)
    if event == "on_train_end":
        setattr(other, name, value)
    for each in (trainer, other):
        each.step(X, Y)
        each.run(X, Y, 1)
    assert_same(trainer, other)


def test_settings_of_a_run_that_fails_take_effect_after_it():
    class Fail:
        def on_epoch_end(self, trainer, history):
            trainer.optimizer = Adam(0.1)
            raise KeyError("no")

    trainer, other = trainer_of(), trainer_of()
    with pytest.raises(KeyError):
        trainer.run(X, Y, 2, callbacks=[Fail()])
    other.run(X, Y, 1)
    other.optimizer = Adam(0.1)
    assert trainer.updates == other.updates == 0
    for each in (trainer, other):
        each.step(X, Y)
    assert_same(trainer, other)


@pytest.mark.parametrize("kind", [SGD, AdaGrad, RMSProp, Adam, AdamW])
@pytest.mark.parametrize("how", ["run", "step"])
def test_an_optimizer_of_another_class_starts_with_zero_moments(kind, how):
    before = RMSProp(0.01) if kind is Adam else Adam(0.01)
    trainer = trainer_of(optimizer=before)
    trainer.step(X, Y)
    trainer.run(X, Y, 3)
    optimizer = kind(Exponential(0.1, 0.8))
    model, state = copy.deepcopy(trainer.model), copy.deepcopy(trainer.random_state)
    other = Trainer(model, **BEFORE | {"optimizer": optimizer}, random_state=state)
    trainer.optimizer = optimizer
    if kind is not type(before):
        assert trainer.updates == 0
        assert not trainer._moments.any()
        for each in (trainer, other):
            each.run(X, Y, 4) if how == "run" else each.step(X, Y)
        assert_same(trainer, other)


def test_an_optimizer_of_the_same_class_keeps_the_moments():
    trainer = trainer_of(optimizer=Adam(0.01))
    trainer.run(X, Y, 3)
    kept, updates = trainer._moments.copy(), trainer.updates
    trainer.optimizer = Adam(0.02, beta_1=0.8)
    np.testing.assert_array_equal(trainer._moments, kept)
    assert trainer.updates == updates > 0
    trainer.optimizer = SGD(0.1)
    trainer.optimizer = Adam(0.02, beta_1=0.8)
    assert trainer.updates == 0
    assert not trainer._moments.any()


def test_two_optimizers_assigned_between_epochs_start_with_zero_moments():
    class Twice:
        def on_epoch_end(self, trainer, history):
            if history.epochs == 2:
                trainer.optimizer = SGD(0.1)
                trainer.optimizer = Adam(0.01)
                assert trainer.updates == 0
                seen.append(copy.deepcopy(trainer))

    seen = []
    trainer = trainer_of(optimizer=Adam(0.01))
    trainer.run(X, Y, 3, callbacks=[Twice()])
    assert trainer.updates == 3  # updates of the third epoch
    (other,) = seen  # the copy has the pending settings
    other.run(X, Y, 1)
    assert_same(trainer, other)


@pytest.mark.parametrize("rate", [0.3, Exponential(0.3, 0.9)], ids=str)
def test_an_assigned_learning_rate_takes_effect(rate):
    trainer, other = trainer_of(), trainer_of(optimizer=SGD(rate, momentum=0.5))
    trainer.learning_rate = rate
    assert trainer.optimizer == other.optimizer
    for each in (trainer, other):
        each.run(X, Y, 2)
        each.step(X, Y)
    assert_same(trainer, other)


def test_an_assigned_random_state_takes_effect():
    trainer, other = trainer_of(), trainer_of()
    trainer.run(X, Y, 1)
    other.run(X, Y, 1)
    trainer.random_state, other.random_state = 5, np.random.default_rng(5)
    for each in (trainer, other):
        each.step(X, Y)
        each.run(X, Y, 2)
    assert_same(trainer, other)
    assert trainer.random_state is not trainer.model._rng
    trainer.random_state = None
    assert trainer.random_state is trainer.model._rng


@pytest.mark.parametrize(
    "keep", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t)), None], ids=["copy", "pickle", "file"]
)
@pytest.mark.parametrize(("name", "value"), AFTER, ids=str)
def test_copies_and_files_keep_assigned_settings(name, value, keep, tmp_path):
    trainer = trainer_of()
    trainer.run(X, Y, 2)
    setattr(trainer, name, value)
    if keep is None:
        trainer.save(tmp_path / "trainer")
        other = Trainer.load(tmp_path / "trainer")
    else:
        other = keep(trainer)
    assert getattr(other, name) == getattr(trainer, name)
    for each in (trainer, other):
        each.run(X, Y, 2)
    assert_same(trainer, other)


WRONG = [
    ("loss", "no loss", ValueError, "loss: .*got 'no loss'"),
    ("loss", "poisson", ValueError, "poisson"),  # the loss does not accept the model's sigmoid
    ("loss", 7, TypeError, "loss"),
    ("optimizer", "best", ValueError, "optimizer"),
    ("optimizer", Adam, TypeError, "optimizer"),
    ("learning_rate", -1, ValueError, "learning_rate: .*got -1"),
    ("batch_size", 0, ValueError, "batch_size: .*got 0"),
    ("batch_size", 2.5, TypeError, "batch_size: .*got 2.5"),
    ("shuffle", 1, TypeError, "shuffle: .*got 1"),
    ("lazy_updates", "no", TypeError, "lazy_updates: .*got 'no'"),
    ("l1", -1, ValueError, "l1: .*got -1"),
    ("l2", "0.1", TypeError, "l2: .*got '0.1'"),
    ("clip_norm", 0, ValueError, "clip_norm: .*got 0"),
    ("clip_value", np.nan, ValueError, "clip_value: .*got nan"),
    ("n_threads", -1, ValueError, "n_threads: .*got -1"),
    ("random_state", "seed", TypeError, "random_state: .*got 'seed'"),
    ("model", model_of((3, 2)), AttributeError, "model: .*Trainer"),
    ("epochs", 5, AttributeError, "epochs: .*run"),
    ("updates", 5, AttributeError, "updates: "),
    ("lr", 0.1, AttributeError, "lr: .*learning_rate"),
    ("weight_decay", 0.1, AttributeError, "weight_decay: .*AdamW"),
    ("n_jobs", 2, AttributeError, "n_jobs: .*n_threads"),
    ("verbose", True, AttributeError, r"verbose: .*progress=True of fit\(\) or run\(\)"),
    ("epsilon", 1e-3, AttributeError, r"epsilon: .*optimizer=Adam\(epsilon"),
    ("dropout", 0.5, AttributeError, r"dropout: .*MLP\("),
]


@pytest.mark.parametrize(("name", "value", "error", "message"), WRONG, ids=lambda v: str(v)[:20])
def test_a_wrong_setting_raises_and_changes_nothing(name, value, error, message):
    made = []
    for assign in (True, False):
        model = model_of((3, 8, 5, 2), output="sigmoid")
        trainer = Trainer(model, **BEFORE, random_state=7)
        trainer.run(X, Y, 2)
        before = {each: getattr(trainer, each) for each in BEFORE}
        if assign:
            with pytest.raises(error, match=message):
                setattr(trainer, name, value)
        assert before == {each: getattr(trainer, each) for each in BEFORE}
        trainer.run(X, Y, 2)
        made.append(trainer)
    assert_same(*made)


def test_settings_that_cannot_change_during_a_run_raise():
    class Change:
        def on_epoch_end(self, trainer, history):
            with pytest.raises(RuntimeError, match="loss: it can't change during a run"):
                trainer.loss = "mae"
            with pytest.raises(AttributeError, match="epochs"):
                trainer.epochs = 1
            with pytest.raises(ValueError, match="l2"):
                trainer.l2 = -1
            self.called = True

    change, trainer, other = Change(), trainer_of(), trainer_of()
    trainer.run(X, Y, 3, callbacks=[change])
    assert change.called
    other.run(X, Y, 3)
    assert_same(trainer, other)


def test_a_bar_that_changes_settings_keeps_the_number_of_epochs(monkeypatch):
    # A progress bar is called after several epochs at a time.
    class Change(ProgressBar):
        def on_epoch_end(self, trainer, history):
            if trainer.l2 == BEFORE["l2"] and history.epochs < 2000:
                trainer.l2 = 0.5

    monkeypatch.setattr(_epochs, "SLICE_SECONDS", 1e-4)
    trainer = trainer_of(batch_size=40)
    history = trainer.run(X, Y, 2000, progress=Change(io.StringIO()))
    assert trainer.l2 == 0.5
    assert history.epochs == trainer.updates == 2000


def test_settings_assigned_as_a_run_ends_take_effect_in_the_next_step():
    # Another thread may assign a setting just as a run ends.
    trainer, other = trainer_of(), trainer_of()
    other.l2 = 0.5
    with trainer._stepper.hold() as stepper:
        stepper.in_run = True
        trainer.l2 = 0.5
    for each in (trainer, other):
        each.step(X, Y)
    assert_same(trainer, other)


@pytest.mark.parametrize("how", ["run", "step"])
def test_assigned_lazy_updates_take_effect(how):
    sparse = pytest.importorskip("scipy.sparse")
    rows = sparse.csr_array(X * (np.arange(3) < 2) * (np.arange(40) % 8 > 4)[:, None])
    results = []
    for lazy in (True, False):
        trainer, other = trainer_of(), trainer_of(lazy_updates=lazy)
        trainer.lazy_updates = True
        trainer.lazy_updates = lazy
        for each in (trainer, other):
            each.run(rows, Y, 2) if how == "run" else each.step(rows, Y)
        assert_same(trainer, other)
        results.append(trainer.model.to_vector())
    assert (results[0] != results[1]).any()


def test_lazy_updates_of_dense_rows_that_a_callback_assigns_raise():
    class Assigns:
        def on_epoch_end(self, trainer, history):
            trainer.lazy_updates = True

    trainer = trainer_of()
    with pytest.raises(ValueError, match="lazy_updates: expected False for dense rows"):
        trainer.run(X, Y, 3, callbacks=[Assigns()])
    assert trainer.history.epochs == 1


def test_assignments_during_a_step_in_another_thread_raise():
    trainer = trainer_of()
    with trainer._stepper.hold(), pytest.raises(RuntimeError, match="already running"):
        trainer.l2 = 0.5
    assert trainer.l2 == BEFORE["l2"]
    trainer.l2 = 0.5
    assert trainer.l2 == 0.5


def test_too_little_memory_for_moments_raises_and_changes_nothing(monkeypatch):
    trainer, other = trainer_of(), trainer_of()

    def none_left(shape, dtype):
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(_core, "aligned_zeros", none_left)
        with pytest.raises(MemoryError, match="optimizer: there is no memory for 2 moments"):
            trainer.optimizer = Adam(0.1)
    assert trainer.optimizer == other.optimizer
    for each in (trainer, other):
        each.step(X, Y)
    assert_same(trainer, other)


def test_an_optimizer_with_more_moments_has_room_for_its_snapshot():
    # A step keeps a snapshot of parameters and moments, which has to grow with them.
    trainer = trainer_of(optimizer=SGD(0.1))
    trainer.step(X, Y)
    trainer.optimizer = Adam(0.1)
    trainer.step(X, Y)
    before, moments = trainer.model.to_vector(), trainer._moments.copy()
    trainer.learning_rate = 1e308
    with pytest.raises(ArithmeticError):
        trainer.step(X, Y)
    np.testing.assert_array_equal(trainer.model.to_vector(), before)
    np.testing.assert_array_equal(trainer._moments, moments)
