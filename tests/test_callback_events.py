"""Methods of callbacks: which are called when, and what they may return."""

from __future__ import annotations

import numpy as np
import pytest
from _helpers import data

from fastnn import MLP, SGD, DivergedError, Trainer
from fastnn.callbacks import Checkpoint, CSVLog, EarlyStopping, ProgressBar, TimeLimit

X, Y = data(20, 2, 1)


def trainer_of(**options):
    return Trainer(MLP((2, 3, 1), random_state=0), **options)


class Watch:
    """A callback that records the calls of its methods."""

    def __init__(self, log, name="", answers=()):
        self.log, self.name, self.answers = log, name, list(answers)

    def on_train_begin(self, trainer, history):
        self.log.append((self.name, "begin", history.epochs))

    def on_epoch_end(self, trainer, history):
        self.log.append((self.name, "epoch", history.epochs))
        return self.answers.pop(0) if self.answers else None

    def on_train_end(self, trainer, history):
        self.log.append((self.name, "end", history.epochs))


@pytest.mark.parametrize("stop", [True, np.True_])
def test_all_callbacks_are_called_in_order_even_after_one_that_stops(stop):
    log = []
    history = trainer_of().run(X, Y, 9, callbacks=[Watch(log, "a", [None, stop]), Watch(log, "b", [False, np.False_])])
    assert history.epochs == 2
    expected = [("begin", 0), ("epoch", 1), ("epoch", 2), ("end", 2)]
    assert log == [(name, *event) for event in expected for name in "ab"]


def test_runs_without_epochs_begin_and_end():
    log = []
    trainer_of().run(X, Y, 0, callbacks=[Watch(log)])
    assert [event for _, event, _ in log] == ["begin", "end"]


@pytest.mark.parametrize("answer", [1, 0, "stop", 1.0, np.array(True), np.int64(1), [], object], ids=repr)
def test_return_values_of_other_types_raise(answer):
    log = []
    with pytest.raises(TypeError, match=r"callbacks: on_epoch_end of .*Watch.* must return True to stop.*, got "):
        trainer_of().run(X, Y, 9, callbacks=[Watch(log, "a", [None, answer]), Watch(log, "b")])
    assert log[-3:] == [("b", "epoch", 2), ("a", "end", 2), ("b", "end", 2)]


def test_a_run_can_not_be_stopped_before_it_begins():
    watch = Watch([])
    watch.on_train_begin = lambda trainer, history: True
    with pytest.raises(TypeError, match="on_train_begin of .* must return None, got True"):
        trainer_of().run(X, Y, 9, callbacks=[watch])
    assert watch.log == []


@pytest.mark.parametrize("failing", ["on_epoch_end", "on_train_end"])
def test_all_callbacks_hear_of_the_end_whatever_fails(failing):
    def fail(trainer, history):
        raise KeyError("mine")

    log = []
    watches = [Watch(log, "a"), Watch(log, "b"), Watch(log, "c")]
    setattr(watches[1], failing, fail)
    trainer = trainer_of()
    with pytest.raises(KeyError, match="mine"):
        trainer.run(X, Y, 2, callbacks=watches)
    ends = [name for name, event, _ in log if event == "end"]
    assert ends == (["a", "b", "c"] if failing == "on_epoch_end" else ["a", "c"])
    trainer.run(X, Y, 1)


def test_callbacks_hear_of_the_end_after_divergence_but_not_after_wrong_arguments():
    log = []
    with pytest.raises(DivergedError) as caught:
        trainer_of(optimizer="sgd").run(1e30 * X, Y, 9, callbacks=[Watch(log)])
    assert log[0][1:] == ("begin", 0)
    assert log[-1][1:] == ("end", caught.value.history.epochs)
    log.clear()
    for arguments in ({"epochs": -1}, {"validation_data": 3}, {"progress": "yes"}):
        with pytest.raises((TypeError, ValueError)):
            trainer_of().run(X, Y, **{"callbacks": [Watch(log)], **arguments})
    assert log == []


UNKNOWN = [
    "on_batch_end",
    "on_epoch_start",
    "on_epoch_begin",
    "on_train_start",
    "on_fit_end",
    "on_epohc_end",
]


@pytest.mark.parametrize("name", UNKNOWN)
@pytest.mark.parametrize("on", ["class", "base", "object", "ours"])
def test_misspelt_methods_raise_an_error_that_names_them(name, on):
    def method(self, *arguments):
        raise AssertionError

    base = EarlyStopping if on == "ours" else Watch
    kind = type("Own", (base,), {name: method} if on != "object" else {})
    kind = type("Heir", (kind,), {}) if on == "base" else kind
    callback = kind() if on == "ours" else kind([])
    if on == "object":
        setattr(callback, name, lambda: None)
    trainer = trainer_of()
    before = trainer.model.to_vector()
    with pytest.raises(TypeError, match=f"callbacks: expected on_train_begin.*got .* with {name}, which nothing calls"):
        trainer.run(X, Y, callbacks=[Watch([]), callback])
    np.testing.assert_array_equal(trainer.model.to_vector(), before)


def test_attributes_that_are_not_methods_may_have_any_name():
    watch = Watch([])
    watch.on_what, watch.once = "data", lambda: None
    assert trainer_of().run(X, Y, callbacks=[watch, EarlyStopping(), TimeLimit(60)]).epochs == 1


@pytest.mark.parametrize("name", ["on_train_begin", "on_train_end", "on_epoch_end"])
def test_events_must_be_methods(name):
    watch = Watch([])
    setattr(watch, name, None)
    with pytest.raises(TypeError, match=name):
        trainer_of().run(X, Y, callbacks=[watch])


@pytest.mark.parametrize("progress", ["yes", 2, 1, ProgressBar, [], np.array(True)], ids=repr)
def test_progress_must_be_a_flag_or_a_bar(progress):
    with pytest.raises(TypeError, match="progress: expected True, False or.*got .*"):
        trainer_of().run(X, Y, progress=progress)


def test_the_file_of_a_bar_must_be_a_text_file(tmp_path):
    for file in ("log.txt", tmp_path, 2):
        with pytest.raises(TypeError, match="file: expected a text file.*got .*"):
            ProgressBar(file)


def test_settings_of_callbacks_assigned_during_a_run_take_effect(tmp_path):
    class Change(Watch):
        def on_epoch_end(self, trainer, history):
            if history.epochs == 3:
                stopping.patience, stopping.restore_best = 2, False
                checkpoint.path, checkpoint.every = tmp_path / "b{epoch}", 4

    class Never(EarlyStopping):
        def on_epoch_end(self, trainer, history):
            self.best = -1.0  # no loss is better
            self.best_epoch = self.best_epoch or 1
            return super().on_epoch_end(trainer, history)

    stopping, checkpoint = Never(patience=50), Checkpoint(tmp_path / "a{epoch}")
    assert trainer_of().run(X, Y, 20, callbacks=[stopping, checkpoint, Change([])]).epochs == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a1", "a2", "a3", "b4"]


def test_nothing_is_restored_once_restore_best_is_switched_off():
    class Leave(Watch):
        def on_epoch_end(self, trainer, history):
            self.vector = trainer.model.to_vector()
            stopping.restore_best = False

    stopping, leave, trainer = EarlyStopping(min_delta=1e9), Leave([]), trainer_of()
    trainer.run(X, Y, 3, callbacks=[stopping, leave])
    assert stopping.best_epoch == 1
    np.testing.assert_array_equal(trainer.model.to_vector(), leave.vector)


def test_callbacks_may_append_to_the_history():
    class Add(Watch):
        def on_epoch_end(self, trainer, history):
            history.append(loss=-1.0, learning_rate=0.0, seconds=0.0)

    trainer = trainer_of(batch_size=20)
    history = trainer.run(X, Y, 4, callbacks=[Add([])])
    assert trainer.updates == 4
    assert history.epochs == 8
    assert (history["loss"][::2] > 0).all()


class _Frame:
    """A data frame, as far as names of columns go."""

    columns = ("a", "b", "c")

    def __init__(self, values):
        self._values = values

    def __array__(self, dtype=None, copy=None):
        return self._values


@pytest.mark.parametrize("refusing", ["monitor", "folder", "schedule", "callback"])
def test_a_refused_run_leaves_names_history_files_and_callbacks(refusing, tmp_path):
    def fail(trainer, history):
        raise KeyError("mine")

    log, path = [], tmp_path / "log.csv"
    path.write_text("old")
    first, last = Watch(log, "first"), Watch(log, "last")
    trainer = Trainer(MLP((3, 4, 1), random_state=0), optimizer=SGD(0.01), random_state=0)
    trainer.run(np.ones((20, 3)), np.ones(20), 2)
    history = trainer.history
    others = {"monitor": EarlyStopping("x"), "folder": CSVLog(tmp_path / "missing" / "log.csv"), "callback": last}
    callbacks = [
        first,
        *([CSVLog(path)] if refusing == "monitor" else []),
        *([others[refusing]] if refusing in others else []),
    ]
    if refusing == "callback":
        last.on_train_begin = fail
    if refusing == "schedule":
        trainer.learning_rate = lambda steps: -np.ones(len(steps))
    before = trainer.model.to_vector()
    with pytest.raises((ValueError, OSError, KeyError)):
        trainer.run(_Frame(np.ones((20, 3))), np.ones(20), 5, callbacks=callbacks)
    assert trainer.history is history
    assert trainer.epochs == 2
    assert trainer.model.feature_names is None
    assert path.read_text() == "old"
    np.testing.assert_array_equal(trainer.model.to_vector(), before)
    events = [event for name, event, _ in log if name == "first"]
    assert events in ([], ["begin", "end"])
