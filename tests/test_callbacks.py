"""Callbacks, called as the trainer calls them, by a fake trainer."""

from __future__ import annotations

import io
import os
import pickle
import re

import numpy as np
import pytest

from fastnn import MLP, SGD, _progress, callbacks
from fastnn._history import History
from fastnn.callbacks import Checkpoint, EarlyStopping, ProgressBar, TimeLimit


class FakeModel:
    def __init__(self):
        self.vector = np.zeros(3)

    def to_vector(self):
        return self.vector.copy()

    def set_vector(self, v):
        self.vector[:] = v


class FakeTrainer:
    """A trainer whose parameters are the number of the epoch, and whose losses are given."""

    def __init__(self, epochs=0):
        self.model = FakeModel()
        self.epochs = epochs
        self.saved = []

    def save(self, path):
        self.saved.append(path)

    def run(self, callback, losses, val_losses=None, after_epoch=lambda: None):
        history = History()
        self.epochs = len(losses)
        for name in ("on_train_begin", "on_epoch_end", "on_train_end"):
            if name == "on_epoch_end":
                for epoch, loss in enumerate(losses):
                    self.model.vector += 1
                    val_loss = None if val_losses is None else val_losses[epoch]
                    history.append(loss=loss, learning_rate=0.1, seconds=0.01, val_loss=val_loss)
                    after_epoch()
                    if callback.on_epoch_end(self, history) is True:
                        break
            elif hasattr(callback, name):
                getattr(callback, name)(self, history)
        return history.epochs


class Clock:
    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(_progress.time, "monotonic", clock.monotonic)
    return clock


def test_names_are_public():
    assert callbacks.__all__ == ["CSVLog", "Checkpoint", "EarlyStopping", "ProgressBar", "ReduceOnPlateau", "TimeLimit"]


def test_early_stopping_waits_and_restores_the_best_epoch():
    trainer, stopping = FakeTrainer(), EarlyStopping(patience=3)
    assert trainer.run(stopping, [5.0, 3.0, 4.0, 3.5, 3.0, 1.0]) == 5
    assert (stopping.best, stopping.best_epoch) == (3.0, 2)
    np.testing.assert_array_equal(trainer.model.vector, [2.0] * 3)


def test_early_stopping_restores_before_later_callbacks_are_called():
    # Callbacks called after it see the best parameters, as does the code after the run.
    trainer, stopping, history = FakeTrainer(), EarlyStopping(patience=1), History()
    for epoch, loss in enumerate([1.0, 2.0], start=1):
        trainer.model.vector[:] = epoch
        history.append(loss=loss, learning_rate=0.1, seconds=0.01)
        stopped = stopping.on_epoch_end(trainer, history)
    assert stopped is True
    np.testing.assert_array_equal(trainer.model.vector, [1.0] * 3)


def test_early_stopping_restores_after_a_full_run():
    trainer = FakeTrainer()
    assert trainer.run(EarlyStopping(), [5.0, 3.0, 4.0]) == 3
    np.testing.assert_array_equal(trainer.model.vector, [2.0] * 3)


def test_early_stopping_without_restoring():
    trainer = FakeTrainer()
    assert trainer.run(EarlyStopping(patience=1, restore_best=False), [5.0, 3.0, 4.0, 1.0]) == 3
    np.testing.assert_array_equal(trainer.model.vector, [3.0] * 3)


def test_early_stopping_watches_the_loss_it_is_told_to():
    losses, val_losses = [5.0, 4.0, 3.0, 2.0], [1.0, 2.0, 3.0, 4.0]
    for monitor, epochs in ((None, 2), ("val_loss", 2), ("loss", 4)):
        assert FakeTrainer().run(EarlyStopping(monitor, patience=1), losses, val_losses) == epochs
    assert FakeTrainer().run(EarlyStopping(patience=1), losses) == 4
    with pytest.raises(ValueError, match="monitor: expected .*got 'val_loss' without validation_data"):
        FakeTrainer().run(EarlyStopping("val_loss"), losses)


def test_early_stopping_ignores_improvements_below_min_delta():
    losses = [1.0, 0.95, 0.9, 0.85, 0.8]
    assert FakeTrainer().run(EarlyStopping(patience=2), losses) == 5
    assert FakeTrainer().run(EarlyStopping(patience=2, min_delta=0.5), losses) == 3
    # Losses are compared with the best so far, not with those of the epoch before.
    assert FakeTrainer().run(EarlyStopping(patience=2, min_delta=0.09), losses) == 5


def test_early_stopping_counts_losses_that_are_not_finite_as_worse():
    stopping, trainer = EarlyStopping(patience=2), FakeTrainer()
    assert trainer.run(stopping, [np.nan] * 5) == 2
    assert stopping.best_epoch == 0
    np.testing.assert_array_equal(trainer.model.vector, [2.0] * 3)
    assert FakeTrainer().run(EarlyStopping(patience=2), [np.inf, 5.0, np.nan, np.nan, 1.0]) == 4
    assert FakeTrainer().run(EarlyStopping(patience=2), [np.inf] * 5) == 3  # the first one is the best


def test_early_stopping_starts_afresh_in_each_run():
    stopping = EarlyStopping(patience=2)
    assert FakeTrainer().run(stopping, [1.0, 2.0, 2.0]) == 3
    trainer = FakeTrainer()
    assert trainer.run(stopping, [9.0, 8.0, 7.0]) == 3
    np.testing.assert_array_equal(trainer.model.vector, [3.0] * 3)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: EarlyStopping(3), TypeError, "monitor: expected the name of a column of the history, .*got 3"),
        (lambda: EarlyStopping(mode="up"), ValueError, "mode: expected 'min', 'max' or None, got 'up'"),
        (lambda: EarlyStopping(patience=0), ValueError, "patience: expected an integer >= 1.*got 0"),
        (lambda: EarlyStopping(patience=1.5), TypeError, "patience: .*got 1.5 of type float"),
        (lambda: EarlyStopping(min_delta=-1), ValueError, "min_delta: .*got -1"),
        (lambda: EarlyStopping(restore_best="no"), TypeError, "restore_best: expected True or False.*got 'no'"),
        (lambda: Checkpoint(7), TypeError, "path: expected text, bytes or a path.*got 7 of type int"),
        (lambda: Checkpoint(None), TypeError, "path: .*got None of type NoneType"),
        (lambda: Checkpoint("a", every=0), ValueError, "every: .*got 0"),
        (lambda: Checkpoint("{epoch:s}"), ValueError, "path: expected a format of an integer.*got '{epoch:s}'"),
        (lambda: TimeLimit(0), ValueError, "seconds: expected a finite number > 0.*got 0"),
        (lambda: TimeLimit("1h"), TypeError, "seconds: .*got '1h' of type str"),
    ],
)
def test_wrong_arguments_raise(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_checkpoints_are_saved_at_their_epochs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "{x}").mkdir()
    trainer = FakeTrainer()
    trainer.run(Checkpoint(tmp_path / "run.fastnn"), [1.0] * 3)
    assert trainer.saved == [str(tmp_path / "run.fastnn")] * 3
    trainer = FakeTrainer()
    trainer.run(Checkpoint("{x}/run-{epoch:03d}-{epoch}.fastnn", every=2), [1.0] * 5)
    assert trainer.saved == ["{x}/run-002-2.fastnn", "{x}/run-004-4.fastnn"]


def test_checkpoints_can_be_saved_in_any_directory(tmp_path):
    for path in (os.fsencode(tmp_path / "a"), tmp_path / "a", b"\xff{epoch}"):
        trainer = FakeTrainer()
        trainer.run(Checkpoint(path), [1.0])
        assert [os.fsencode(saved) for saved in trainer.saved] == [os.fsencode(path).replace(b"{epoch}", b"1")]
    trainer = FakeTrainer()
    trainer.run(Checkpoint(tmp_path / "{epoch}" / "a"), [1.0])  # its directory need not exist until then
    assert trainer.saved == [str(tmp_path / "1" / "a")]


def test_checkpoints_refuse_what_files_cannot_hold_before_the_run(tmp_path):
    model = MLP((2, 3, 1), random_state=0)
    before = model.to_vector()
    with pytest.raises(TypeError, match="learning_rate: expected a number or a schedule"):
        model.fit(
            np.ones((4, 2)),
            np.ones(4),
            optimizer=SGD(lambda step: 0.1 / (1 + step)),
            callbacks=[Checkpoint(tmp_path / "run", every=2)],
        )
    np.testing.assert_array_equal(model.to_vector(), before)


def test_a_checkpoint_without_a_directory_stops_before_the_first_epoch(tmp_path):
    trainer, seen = FakeTrainer(), []
    path = tmp_path / "missing" / "run-{epoch}"
    with pytest.raises(FileNotFoundError) as caught:
        trainer.run(Checkpoint(path, every=100), [1.0], after_epoch=lambda: seen.append(1))
    assert caught.value.filename == str(path)
    assert seen == []


def test_time_limit_stops_a_run(clock):
    def tick():
        clock.now += 10.0

    limit = TimeLimit(25)
    assert FakeTrainer().run(limit, [1.0] * 9, after_epoch=tick) == 3
    # The limit applies to each run by itself.
    assert FakeTrainer().run(limit, [1.0] * 9, after_epoch=tick) == 3


def test_time_limit_called_outside_of_a_run(clock):
    history = History()
    history.append(loss=1.0, learning_rate=0.1, seconds=20.0)
    limit = TimeLimit(25)
    assert limit.on_epoch_end(FakeTrainer(), history) is False
    clock.now += 5.0
    assert limit.on_epoch_end(FakeTrainer(), history) is True


@pytest.mark.parametrize("callback", [EarlyStopping(patience=3), Checkpoint("a-{epoch}"), TimeLimit(5), ProgressBar()])
def test_callbacks_have_a_repr_and_pickle(callback):
    assert repr(pickle.loads(pickle.dumps(callback))) == repr(callback)
    assert repr(callback).startswith(type(callback).__name__ + "(")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    return Terminal()


def test_progress_on_a_terminal_is_one_line(terminal, clock):
    def tick():
        clock.now += 0.04

    FakeTrainer().run(ProgressBar(terminal), np.linspace(1, 0.5, 200), np.linspace(2, 1, 200), after_epoch=tick)
    text = terminal.getvalue()
    assert text.endswith("\n")
    assert text.count("\n") == 1
    drawn = text[:-1].split("\r")[1:]
    # 8 seconds; a tenth of a second or a little more has room for three epochs.
    assert 60 <= len(drawn) <= 82
    assert re.fullmatch(r"\[\.{20}\] epoch   0/200  0:00 elapsed", drawn[0])
    assert re.fullmatch(
        r"\[#{10}\.{10}\] epoch 10\d/200  loss 0\.7\d*  val_loss 1\.\d+  0:04 elapsed  0:04 left",
        next(line for line in drawn if "epoch 10" in line),
    )
    assert re.fullmatch(r"\[#{20}\] epoch 200/200  loss 0\.5  val_loss 1  0:08 elapsed +", drawn[-1])


def test_progress_overwrites_longer_lines(terminal, clock):
    def tick():
        clock.now += 1.0

    FakeTrainer().run(ProgressBar(terminal), [0.123456789, 1.0, 2.0], after_epoch=tick)
    widths = [len(line) for line in terminal.getvalue()[:-1].split("\r")[1:]]
    shown = [len(line.rstrip()) for line in terminal.getvalue()[:-1].split("\r")[1:]]
    assert all(width >= before for width, before in zip(widths[1:], shown[:-1], strict=True))


def test_progress_fits_the_terminal(terminal, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    FakeTrainer().run(ProgressBar(terminal), [0.5] * 3)
    assert max(len(line) for line in terminal.getvalue()[:-1].split("\r")) < 40


def test_progress_in_a_file_is_one_line_per_update(clock):
    def tick():
        clock.now += 1.0

    file = io.StringIO()
    FakeTrainer().run(ProgressBar(file), [0.5] * 12, after_epoch=tick)
    assert file.getvalue().splitlines() == [
        "epoch  1/12  loss 0.5  0:01 elapsed  0:11 left",
        "epoch  6/12  loss 0.5  0:06 elapsed  0:06 left",
        "epoch 11/12  loss 0.5  0:11 elapsed  0:01 left",
        "epoch 12/12  loss 0.5  0:12 elapsed",
    ]


def test_progress_in_a_file_repeats_no_line(clock):
    file = io.StringIO()
    FakeTrainer().run(ProgressBar(file), [0.5])
    assert file.getvalue() == "epoch 1/1  loss 0.5  0:00 elapsed\n"


def test_progress_reports_a_run_that_stops_early(terminal):
    class Both(ProgressBar):
        def on_epoch_end(self, trainer, history):
            super().on_epoch_end(trainer, history)
            return history.epochs == 3

    assert FakeTrainer().run(Both(terminal), [0.5] * 1000) == 3
    assert "epoch    3/1000" in terminal.getvalue().split("\r")[-1]
    assert terminal.getvalue().endswith("\n")


def test_progress_allows_for_rare_calls_and_for_no_epochs(terminal):
    FakeTrainer().run(ProgressBar(terminal), [])
    assert "[####################] epoch 0/0" in terminal.getvalue()
    file, history = io.StringIO(), History()
    history.extend(loss=[1.0, 0.5], learning_rate=[0.1] * 2, seconds=[30.0] * 2)
    ProgressBar(file).on_epoch_end(FakeTrainer(epochs=122), history)
    assert file.getvalue() == "epoch   2/122  loss 0.5  1:00 elapsed  1:00:00 left\n"


def test_progress_goes_to_standard_error(capsys):
    FakeTrainer().run(ProgressBar(), [0.5])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("epoch 1/1  loss 0.5")


@pytest.mark.parametrize("on_terminal", [True, False])
def test_progress_survives_a_closed_file(terminal, on_terminal, monkeypatch):
    file = terminal if on_terminal else io.StringIO()
    file.close()
    assert FakeTrainer().run(ProgressBar(file), [0.5] * 3) == 3
    monkeypatch.setattr("sys.stderr", None)
    assert FakeTrainer().run(ProgressBar(), [0.5] * 3) == 3
