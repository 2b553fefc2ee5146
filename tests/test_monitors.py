"""Callbacks that watch columns of the history, and the log that writes them to a file."""

from __future__ import annotations

import builtins
import copy
import csv
import math
import pickle

import numpy as np
import pytest
from _helpers import data, model_of

from fastnn import SGD, Adam, History, Trainer, schedules
from fastnn.callbacks import CSVLog, EarlyStopping, ReduceOnPlateau


class FakeTrainer:
    """A trainer whose columns are given, and which notes the learning rate of each epoch."""

    def __init__(self, learning_rate=1.0):
        self.model = model_of((1, 1))
        self.learning_rate = learning_rate
        self.rates = []

    def run(self, callback, *, declared=True, **columns):
        history = History._of_run([*columns], 1) if declared else History()
        callback.on_train_begin(self, history)
        for values in zip(*columns.values(), strict=True):
            self.rates.append(self.learning_rate)
            self.model.set_vector([history.epochs] * 2)
            given = {"loss": 1.0} | dict(zip(columns, values, strict=True))
            history.append(learning_rate=self.learning_rate, seconds=0.1, **given)
            if callback.on_epoch_end(self, history):
                break
        if hasattr(callback, "on_train_end"):
            callback.on_train_end(self, history)
        return history.epochs


# ---- Early stopping ----

RISING = [0.1, 0.5, 0.4, 0.3, 0.9]
FALLING = [-value for value in RISING]


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("prefix", ["", "val_"])
@pytest.mark.parametrize(
    ("name", "mode", "values"),
    [
        ("accuracy", None, RISING),
        ("r2", None, RISING),
        ("mae", None, FALLING),
        ("rmse", None, FALLING),
        ("f1", "max", RISING),
        ("cost", "min", FALLING),
        ("accuracy", "min", FALLING),
    ],
)
def test_early_stopping_watches_any_column(name, mode, values, prefix, declared):
    column = prefix + name
    stopping, trainer = EarlyStopping(column, patience=2, mode=mode), FakeTrainer()
    assert trainer.run(stopping, declared=declared, **{column: values, "val_loss": values}) == 4
    assert (stopping.best, stopping.best_epoch) == (values[1], 2)
    np.testing.assert_array_equal(trainer.model.to_vector(), [1, 1])


def test_early_stopping_of_a_real_run():
    X, y = data(60, 3, 2, "cross_entropy")
    model = model_of((3, 16, 2), output="softmax")
    stopping = EarlyStopping("val_accuracy", patience=5)
    options = {"validation_data": (X[40:], y[40:]), "metrics": ["accuracy"], "callbacks": [stopping]}
    history = model.fit(X[:40], y[:40], loss="cross_entropy", optimizer=Adam(0.01), epochs=200, **options)
    assert history.epochs == stopping.best_epoch + 5
    assert stopping.best == history["val_accuracy"].max()
    assert np.mean(model.predict(X[40:]).argmax(axis=1) == y[40:]) == stopping.best


@pytest.mark.parametrize("kind", [EarlyStopping, ReduceOnPlateau])
@pytest.mark.parametrize(
    ("options", "metrics", "message"),
    [
        (
            {"monitor": "val_accuracy"},
            ["r2"],
            "monitor: expected one of 'loss', 'r2', .* got 'val_accuracy' without validation_data",
        ),
        ({"monitor": "accuracy"}, ["r2"], "monitor: expected one of 'loss', 'r2', .* got 'accuracy'; metrics="),
        ({"monitor": "mine"}, None, "mode: expected 'min' or 'max' for 'mine'"),
        ({"monitor": "seconds"}, [], "mode: expected 'min' or 'max' for 'seconds'"),
    ],
)
def test_monitors_are_checked_before_the_first_epoch(kind, options, metrics, message):
    def mine(y_true, y_pred):
        return 0.0

    X, y = data(20, 3, 1)
    model = model_of((3, 1))
    before = model.to_vector()
    with pytest.raises(ValueError, match=f"^{message}"):
        model.fit(X, y, callbacks=[kind(**options)], metrics=[mine] if metrics is None else metrics)
    np.testing.assert_array_equal(model.to_vector(), before)


# ---- The learning rate ----


def plateau(values, **options):
    """Return the learning rate of each epoch, from 1 on."""
    trainer = FakeTrainer()
    trainer.run(ReduceOnPlateau("val_loss", **options), val_loss=values)
    return trainer.rates


@pytest.mark.parametrize(
    ("options", "values", "rates"),
    [
        ({"patience": 2, "factor": 0.5}, [5, 4, 4, 4, 3, 3, 3, 3], [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25]),
        ({"patience": 1, "factor": 0.5, "cooldown": 2}, [5, 5, 5, 5, 5, 5], [1, 1, 0.5, 0.5, 0.5, 0.25]),
        ({"patience": 1, "factor": 0.5, "min_learning_rate": 0.3}, [5] * 5, [1, 1, 0.5, 0.3, 0.3]),
        ({"patience": 1, "factor": 0.5, "min_learning_rate": 2.0}, [5] * 4, [1] * 4),
        ({"patience": 1, "factor": 0.5, "min_delta": 0.5}, [5, 4.6, 4.4, 4.3], [1, 1, 0.5, 0.5]),
        ({"patience": 1, "factor": 0.5, "mode": "max"}, [1, 2, 3, 3, 3], [1, 1, 1, 1, 0.5]),
        ({"patience": 1, "factor": 0.5}, [math.nan, math.nan, 1, math.nan], [1, 0.5, 0.25, 0.25]),
    ],
)
def test_reductions(options, values, rates):
    np.testing.assert_allclose(plateau(values, **options), rates)


@pytest.mark.parametrize("optimizer", [SGD(0.1, momentum=0.9), Adam(0.1)])
def test_reductions_of_a_real_run(optimizer):
    X, y = data(40, 3, 1)
    trainer = Trainer(model_of((3, 8, 1)), optimizer=optimizer)
    plateau = ReduceOnPlateau(patience=1, factor=0.5, min_delta=1e9)  # nothing improves after the first epoch
    history = trainer.run(X, y, 5, callbacks=[plateau])
    np.testing.assert_allclose(history["learning_rate"], [0.1, 0.1, 0.05, 0.025, 0.0125])
    assert trainer.updates == 5 * 2
    trainer.learning_rate = 0.1
    np.testing.assert_allclose(trainer.run(X, y, 3, callbacks=[plateau])["learning_rate"], [0.1, 0.1, 0.05])  # starts afresh


def test_schedules_are_refused():
    X, y = data(20, 3, 1)
    trainer = Trainer(model_of((3, 1)), optimizer=SGD(schedules.Exponential(0.1, 0.9)))
    with pytest.raises(TypeError, match="ReduceOnPlateau: expected a learning rate that is a number, got the schedule"):
        trainer.run(X, y, callbacks=[ReduceOnPlateau()])
    assert trainer.updates == 0


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"factor": 1.0}, ValueError),
        ({"factor": 0}, ValueError),
        ({"patience": 0}, ValueError),
        ({"cooldown": -1}, ValueError),
        ({"min_learning_rate": -1}, ValueError),
        ({"min_delta": "x"}, TypeError),
        ({"mode": 3}, ValueError),
        ({"monitor": 3}, TypeError),
    ],
)
def test_wrong_settings(options, error):
    (name,) = options
    with pytest.raises(error, match=f"^{name}: expected"):
        ReduceOnPlateau(**options)
    callback = ReduceOnPlateau()
    with pytest.raises(error, match=f"^{name}: expected"):
        setattr(callback, name, options[name])


@pytest.mark.parametrize("callback", [ReduceOnPlateau(factor=0.5, mode="min"), CSVLog("a.csv", append=True)])
@pytest.mark.parametrize("clone", [copy.deepcopy, lambda callback: pickle.loads(pickle.dumps(callback))])
def test_copies(callback, clone):
    assert repr(clone(callback)) == repr(callback)
    assert eval(repr(callback)).__dict__.keys() == callback.__dict__.keys()


# ---- The log ----


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def logged(path, epochs=3, callbacks=(), metrics=("r2",), **options):
    X, y = data(20, 3, 1)
    watchers = [CSVLog(path, **options), *callbacks]
    return model_of((3, 4, 1)).fit(X, y, epochs=epochs, metrics=metrics, validation_data=(X, y), callbacks=watchers)


def assert_logged(rows, history, first=1):
    assert [int(row[0]) for row in rows] == list(range(first, first + history.epochs))
    for column, name in enumerate(history, 1):
        np.testing.assert_array_equal([float(row[column]) for row in rows], history[name])  # to the last bit


def test_the_log_has_all_columns(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("what was there before")
    history = logged(path)
    header, *rows = rows_of(path)
    assert header == ["epoch", "loss", "val_loss", "r2", "val_r2", "learning_rate", "seconds"]
    assert_logged(rows, history)


def test_lines_are_there_when_the_epoch_ends(tmp_path):
    path, seen = tmp_path / "log.csv", []

    class Look:
        def on_train_begin(self, trainer, history):
            seen.append(len(rows_of(path)))

        def on_epoch_end(self, trainer, history):
            seen.append(len(rows_of(path)))

    logged(path, callbacks=[Look()])
    assert seen == [1, 2, 3, 4]


@pytest.mark.parametrize("torn", [False, True])
def test_appending_goes_on(tmp_path, torn):
    path = tmp_path / "log.csv"
    first = logged(path, append=True)
    if torn:
        with open(path, "a", encoding="utf-8") as file:
            file.write("4,0.3")
    second = logged(path, epochs=2, append=True)
    _, *rows = rows_of(path)
    assert_logged(rows[:3], first)
    assert_logged(rows[-2:], second, first=5 if torn else 4)
    assert len(rows) == 5 + torn


def test_appending_to_another_log_is_refused(tmp_path):
    path = tmp_path / "log.csv"
    logged(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="^path: expected a file whose first line is 'epoch,loss,val_loss,mae,"):
        logged(path, append=True, metrics=["mae"])
    assert path.read_bytes() == before


def test_a_missing_directory_is_named_before_the_first_epoch(tmp_path):
    model, (X, y) = model_of((3, 1)), data(20, 3, 1)
    before = model.to_vector()
    with pytest.raises(FileNotFoundError):
        model.fit(X, y, callbacks=[CSVLog(tmp_path / "missing" / "log.csv")])
    np.testing.assert_array_equal(model.to_vector(), before)


def test_the_file_stays_where_it_began(tmp_path, monkeypatch):
    class Leave:
        def on_epoch_end(self, trainer, history):
            (tmp_path / "other").mkdir(exist_ok=True)
            monkeypatch.chdir(tmp_path / "other")

    monkeypatch.chdir(tmp_path)
    logged("log.csv", callbacks=[Leave()])
    assert len(rows_of(tmp_path / "log.csv")) == 4


def test_columns_with_commas_in_their_names(tmp_path):
    def mine(y_true, y_pred):
        return 0.5

    mine.__name__ = 'a, "b"'
    path = tmp_path / "log.csv"
    for _ in range(2):
        logged(path, append=True, metrics=[mine])
    header, *rows = rows_of(path)
    assert header[3] == 'a, "b"'
    assert [row[3] for row in rows] == ["0.5"] * 6


def named(name):
    def metric(y_true, y_pred):
        return 1.0

    metric.__name__ = name
    return metric


@pytest.mark.parametrize(
    "name", ["a,b", 'say "x"', "two\nlines", "carriage\rreturn", "page\x0cbreak", "line\u2028break", ""]
)
def test_logs_with_any_names_of_columns_can_be_continued(tmp_path, name):
    path = tmp_path / "log.csv"
    for first in (1, 4):
        history = logged(path, metrics=[named(name)], append=True)
        header, *rows = rows_of(path)
        assert header == ["epoch", *history]
        assert_logged(rows[first - 1 :], history, first)


@pytest.mark.parametrize(
    ("old", "message"),
    [
        (b"\xff\xfe", "path: expected a file of comma-separated values"),
        (b"\n\n", "path: expected a file whose first line is"),
        (b'"' + b"x" * 200_000, "path: expected a file of comma-separated values"),
    ],
)
def test_appending_to_a_file_of_another_kind_is_refused(tmp_path, old, message):
    path = tmp_path / "log.csv"
    path.write_bytes(old)
    with pytest.raises(ValueError, match=message):
        logged(path, append=True)
    assert path.read_bytes() == old


def test_numbers_that_no_epoch_has_do_not_count(tmp_path):
    path = tmp_path / "log.csv"
    history = logged(path)
    with path.open("a", encoding="utf-8") as file:
        file.write("9" * 5000 + ",1\n")
    logged(path, append=True)
    assert [row[0] for row in rows_of(path)[-history.epochs :]] == ["4", "5", "6"]


def test_no_metric_is_named_like_the_count_of_epochs(tmp_path):
    with pytest.raises(ValueError, match="metrics: .*'epoch'"):
        logged(tmp_path / "log.csv", metrics=[named("epoch")])


def test_a_log_filled_by_hand(tmp_path):
    path = tmp_path / "log.csv"
    FakeTrainer().run(CSVLog(path), declared=False, f1=[0.5, 0.25])
    assert [row[:3] for row in rows_of(path)] == [["epoch", "loss", "f1"], ["1", "1.0", "0.5"], ["2", "1.0", "0.25"]]


def test_a_log_needs_a_path():
    with pytest.raises(TypeError, match="path: expected"):
        CSVLog(3)
    with pytest.raises(TypeError, match="append: expected True or False"):
        CSVLog("a", append="yes")


# ---- Frames ----


@pytest.mark.parametrize("epochs", [0, 1, 4])
def test_frames(epochs):
    pd = pytest.importorskip("pandas")
    X, y = data(20, 3, 1)
    history = model_of((3, 1)).fit(X, y, epochs=epochs, validation_data=(X, y), metrics=["mae"])
    frame = history.to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert list(frame) == list(history)
    assert (frame.index.name, list(frame.index)) == ("epoch", list(range(1, epochs + 1)))
    for name, values in history.items():
        np.testing.assert_array_equal(frame[name], values)
    frame.loc[:, "loss"] = 0.0  # a copy
    assert epochs == 0 or history["loss"].all()


def test_frames_need_pandas(monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name == "pandas":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=r'pip install "fastnn-cpu\[pandas\]"'):
        History().to_frame()
