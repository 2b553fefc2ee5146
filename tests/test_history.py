"""The history of a run: a mapping that grows by epochs."""

from __future__ import annotations

import copy
import pickle
import sys

import numpy as np
import pytest
from _helpers import Silent

from fastnn import MLP, Trainer
from fastnn._history import History


def make(epochs, validation=False):
    history = History()
    for epoch in range(epochs):
        val_loss = 2.0 / (epoch + 1) if validation else None
        history.append(loss=1.0 / (epoch + 1), learning_rate=0.1, seconds=0.5, val_loss=val_loss)
    return history


@pytest.mark.parametrize("validation", [False, True])
def test_a_history_is_a_mapping(validation):
    history = make(40, validation)
    names = ["loss", "val_loss", "learning_rate", "seconds"] if validation else ["loss", "learning_rate", "seconds"]
    assert list(history) == list(history.keys()) == names
    assert len(history) == len(names)
    assert ("val_loss" in history) is validation
    assert history.epochs == 40
    for values in history.values():
        assert values.shape == (40,)
        assert values.dtype == np.float64
    np.testing.assert_array_equal(history["loss"], 1.0 / np.arange(1, 41))
    with pytest.raises(KeyError, match="history has no 'accuracy', only 'loss', "):
        history["accuracy"]


def test_a_new_history_is_empty():
    history = History()
    assert history.epochs == 0
    assert list(history) == ["loss", "learning_rate", "seconds"]
    assert history["loss"].shape == (0,)
    assert repr(history) == "History(epochs=0)"


def test_values_are_read_only_and_keep_their_content():
    history = make(3)
    before = history["loss"]
    with pytest.raises(ValueError, match="read-only"):
        before[0] = 7.0
    history.append(loss=9.0, learning_rate=0.1, seconds=0.5)
    np.testing.assert_array_equal(before, [1.0, 1 / 2, 1 / 3])
    assert history["loss"][-1] == 9.0


@pytest.mark.parametrize("validation", [False, True])
def test_extending_equals_many_appends(validation):
    history, whole = History(), make(30, validation)
    for chunk in (slice(0, 0), slice(0, 7), slice(7, 8), slice(8, 30)):
        history.extend(**{name: values[chunk] for name, values in whole.items()})
    assert history == whole


def test_lengths_must_agree():
    history = make(2)
    with pytest.raises(ValueError, match=r"seconds: expected shape \(2,\), one value per epoch, got \(1,\)"):
        history.extend(loss=[1.0, 2.0], learning_rate=[0.1, 0.1], seconds=[0.5])
    with pytest.raises(ValueError, match=r"loss: expected shape \(2,\), .*got \(2, 1\)"):
        history.extend(loss=[[1.0], [2.0]], learning_rate=[0.1, 0.1], seconds=[0.5, 0.5])
    assert history == make(2)


@pytest.mark.parametrize("validation", [False, True])
def test_validation_losses_are_given_for_all_epochs_or_none(validation):
    history = make(2, validation)
    with pytest.raises(ValueError, match="val_loss: expected values for all epochs or for none, got some"):
        history.append(loss=1.0, learning_rate=0.1, seconds=0.5, val_loss=None if validation else 1.0)
    assert history == make(2, validation)


def test_histories_with_equal_values_are_equal():
    assert make(3) == make(3)
    assert make(3) != make(4)
    assert make(3) != make(3, validation=True)
    assert make(3) != {}
    broken = [History(), History()]
    for history in broken:
        history.append(loss=np.nan, learning_rate=0.1, seconds=0.5)
    assert broken[0] == broken[1]
    with pytest.raises(TypeError, match="unhashable"):
        hash(make(3))


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, lambda history: pickle.loads(pickle.dumps(history))])
@pytest.mark.parametrize("epochs", [0, 5])
def test_copies_are_independent(clone, epochs):
    history = make(epochs, validation=True)
    other = clone(history)
    assert other == history
    other.append(loss=9.0, learning_rate=0.1, seconds=0.5, val_loss=8.0)
    assert other.epochs == epochs + 1
    assert history == make(epochs, validation=True)


def test_pickles_are_small():
    history = make(1000)
    assert len(pickle.dumps(history)) < 3 * 8 * 1000 + 1000


def test_repr_names_epochs_and_losses():
    expected = "History(epochs=4, loss=1 -> 0.25, val_loss=2 -> 0.5, learning_rate=0.1, seconds=2)"
    assert repr(make(4, validation=True)) == expected


@pytest.mark.parametrize("epochs", [0, 1, 5])
@pytest.mark.parametrize("validation", [False, True])
def test_plot_draws_the_losses(epochs, validation):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    history = make(epochs, validation)
    ax = history.plot()
    try:
        expected = [name for name in ("loss", "val_loss") if name in history]
        assert [line.get_label() for line in ax.lines] == expected
        for line in ax.lines:
            np.testing.assert_array_equal(line.get_xdata(), np.arange(1, epochs + 1))
            np.testing.assert_array_equal(line.get_ydata(), history[line.get_label()])
        assert ax.get_xlabel() == "epoch"
        _, mine = plt.subplots()
        assert history.plot(ax=mine) is mine
        assert len(mine.lines) == len(expected)
    finally:
        plt.close("all")


def test_plot_names_the_missing_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "fastnn-cpu\[plot\]"'):
        make(2).plot()


# ---- Room ----


def xor_run(epochs, *callbacks):
    X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    trainer = Trainer(MLP((2, 2, 1), "tanh", random_state=0), batch_size=4)
    return trainer, lambda: trainer.run(X, X[:, :1], epochs, callbacks=callbacks)


def copied_elements(history, count):
    """Return the elements of "loss" that are copied while epochs are appended."""
    copied = 0
    for _ in range(count):
        before = history._buffers["loss"]
        history.append(loss=1.0, learning_rate=0.1, seconds=0.0)
        copied += 0 if history._buffers["loss"] is before else history.epochs
    return copied


@pytest.mark.parametrize("epochs", [1, 999, 1001, 20_000])
def test_appending_after_a_run_copies_each_epoch_a_few_times(epochs):
    _, run = xor_run(epochs, Silent())
    history = run()
    for each in (history, pickle.loads(pickle.dumps(history)), History()):
        assert copied_elements(each, 5000) <= 3 * (epochs + 5000)


@pytest.mark.parametrize("after", [1, 2, 3])
def test_interruptions_while_the_room_grows_keep_the_epochs(after, monkeypatch):
    calls, grown = 0, History._with_room

    def interrupted(self, buffer, needed):
        nonlocal calls
        calls += needed > buffer.size
        if calls == after:
            calls += 1
            raise KeyboardInterrupt
        return grown(self, buffer, needed)

    trainer, run = xor_run(200_000)
    monkeypatch.setattr(History, "_with_room", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        run()
    assert trainer.history is caught.value.history
    assert trainer.history.epochs == trainer.updates > 0
    assert len({trainer.history[name].size for name in trainer.history}) == 1


def test_the_room_of_a_run_is_not_larger_than_its_epochs():
    _, run = xor_run(40_000, Silent())
    history = run()
    assert [history._buffers[name].size for name in history] == [40_000] * 3


def test_pickles_do_not_keep_the_number_of_planned_epochs():
    history = pickle.loads(pickle.dumps(xor_run(5, Silent())[1]()))
    assert "_most_epochs" not in vars(history)
    history.append(loss=1.0, learning_rate=0.1, seconds=0.0)
    assert history.epochs == 6
