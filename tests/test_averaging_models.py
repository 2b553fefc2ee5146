"""The averages of trainers: the models that have them, what uses them, and how they continue, also in shards."""

from __future__ import annotations

import copy
import pickle
from itertools import pairwise

import numpy as np
import pytest
from _helpers import data, model_of

from fastnn import (
    EMA,
    MLP,
    SWA,
    Adam,
    Trainer,
    callbacks,
    reference,
)

AVERAGES = [EMA(0.9), EMA(0.5, bias_correction=False), SWA(), SWA(3)]
KINDS = pytest.mark.parametrize("averaging", AVERAGES, ids=repr)


# ---- The models of a trainer ----


def test_fit_leaves_the_average_and_a_trainer_does_not():
    X, y = data(40, 3, 1)
    fitted, trained, plain = (MLP((3, 8, 1), random_state=0) for _ in range(3))
    fitted.fit(X, y, epochs=3, averaging="ema")
    trainer = Trainer(trained, averaging="ema")
    trainer.run(X, y, epochs=3)
    plain.fit(X, y, epochs=3)
    np.testing.assert_array_equal(fitted.to_vector(), trainer.averaged_model().to_vector())
    np.testing.assert_array_equal(trained.to_vector(), plain.to_vector())
    assert not np.array_equal(fitted.to_vector(), plain.to_vector())
    averaged = trainer.averaged_model()
    averaged.weights[0][...] = 0.0  # a copy
    np.testing.assert_array_equal(fitted.to_vector(), trainer.averaged_model().to_vector())


def test_before_the_first_average_it_is_the_model():
    X, y = data(40, 3, 1)
    trainer = Trainer(MLP((3, 8, 1), random_state=0), averaging=SWA(4))
    for epochs in (0, 3):
        history = trainer.run(X, y, epochs=epochs, validation_data=(X, y))
        np.testing.assert_array_equal(trainer.averaged_model().to_vector(), trainer.model.to_vector())
    assert history["val_loss"][-1] == trainer.model.loss(X, y)
    trainer.run(X, y)  # epoch 4, counted over all runs
    at_4 = trainer.model.to_vector()
    np.testing.assert_array_equal(trainer.averaged_model().to_vector(), at_4)
    trainer.run(X, y)
    np.testing.assert_allclose(trainer.averaged_model().to_vector(), (at_4 + trainer.model.to_vector()) / 2, rtol=1e-5)


@KINDS
def test_validation_metrics_and_early_stopping_use_the_average(averaging):
    X, y = data(120, 4, 1)
    seen = []

    def size(y_true, y_pred):
        return float(np.abs(y_pred).sum())

    class Watch:
        def on_epoch_end(self, trainer, history):
            model = trainer.averaged_model()
            seen.append((model.loss(X[80:], y[80:]), size(None, model.predict(X[:80])), model.to_vector()))
            assert history["loss"][-1] != seen[-1][0]

    stopping = callbacks.EarlyStopping("val_loss", patience=None)
    trainer = Trainer(MLP((4, 20, 1), random_state=0), optimizer=Adam(0.05), averaging=averaging)
    history = trainer.run(
        *(X[:80], y[:80]), 12, validation_data=(X[80:], y[80:]), metrics=[size, "mse"], callbacks=[Watch(), stopping]
    )
    losses, sizes, vectors = zip(*seen, strict=True)
    np.testing.assert_array_equal(history["val_loss"], losses)
    np.testing.assert_allclose(history["size"], sizes, rtol=1e-6)
    np.testing.assert_allclose(history["val_mse"], losses, rtol=1e-6)
    best = int(np.argmin(losses))
    assert stopping.best_epoch == best + 1
    np.testing.assert_array_equal(trainer.averaged_model().to_vector(), vectors[best])


def test_the_best_epoch_has_its_own_parameters_and_average():
    X, y = data(60, 3, 1)
    kept = []

    class Rising:
        def on_epoch_end(self, trainer, history):
            kept.append((trainer.model.to_vector(), trainer.averaged_model().to_vector()))

    value = iter([3, 1, 2, 5, 4])

    def measure(y_true, y_pred):
        return next(value)

    for averaging in (EMA(0.9), SWA(3)):  # no average had begun in the best epoch of the second
        value, kept = iter([3, 1, 2, 5, 4]), []
        stopping = callbacks.EarlyStopping("measure", mode="min", patience=None)
        trainer = Trainer(MLP((3, 8, 1), random_state=0), averaging=averaging)
        trainer.run(X, y, 5, metrics=[measure], callbacks=[Rising(), stopping])
        np.testing.assert_array_equal(trainer.model.to_vector(), kept[1][0])
        np.testing.assert_array_equal(trainer.averaged_model().to_vector(), kept[1][1])


# ---- Continuing ----


def saved_and_loaded(trainer, path):
    trainer.save(path)
    return Trainer.load(path)


def passed_on(trainer, how, path):
    if how == "file":
        return saved_and_loaded(trainer, path)
    return pickle.loads(pickle.dumps(trainer)) if how == "pickle" else copy.deepcopy(trainer)


@KINDS
@pytest.mark.parametrize("how", ["file", "pickle", "copy"])
def test_training_continues_with_the_same_bits(averaging, how, tmp_path):
    X, y = data(50, 3, 1)
    whole = Trainer(MLP((3, 8, 1), random_state=0), averaging=averaging, batch_size=16, random_state=2, drop_last=True)
    parts = copy.deepcopy(whole)
    whole.run(X, y, epochs=6)
    for _ in range(3):
        parts.run(X, y, epochs=2)
        again = passed_on(parts, how, tmp_path / "a")
        np.testing.assert_array_equal(again.averaged_model().to_vector(), parts.averaged_model().to_vector())
        assert (again.averaging, again.drop_last) == (averaging, True)
        parts = again
    np.testing.assert_array_equal(parts.averaged_model().to_vector(), whole.averaged_model().to_vector())
    np.testing.assert_array_equal(parts.model.to_vector(), whole.model.to_vector())


def test_a_model_from_the_file_of_a_trainer_is_not_averaged(tmp_path):
    trainer = Trainer(MLP((3, 8, 1), random_state=0), averaging="ema")
    trainer.run(*data(50, 3, 1), epochs=2)
    trainer.save(tmp_path / "a")
    np.testing.assert_array_equal(MLP.load(tmp_path / "a").to_vector(), trainer.model.to_vector())


def test_single_steps_are_averaged():
    X, y = data(30, 3, 2)
    trainer = Trainer(model_of((3, 5, 2)), averaging=EMA(0.8))
    expected = np.zeros(trainer.model.n_parameters)
    for k in range(9):
        rows = slice(3 * k, 3 * k + 3)
        if k % 3 == 0:
            trainer.step(X[rows], y[rows])
        elif k % 3 == 1:
            trainer.step_gradient(X[rows], y[rows])
        else:
            trainer.accumulate(X[rows], y[rows])
            trainer.apply()
        reference.blend([expected], [trainer.model.to_vector()], reference.ema_share(k + 1, 0.8))
        np.testing.assert_allclose(trainer.averaged_model().to_vector(), expected, rtol=1e-12)


@pytest.mark.parametrize("n_shards", [1, 2, 4])
@KINDS
def test_shards_have_an_average(averaging, n_shards):
    X, y = data(61, 3, 2)
    for drop_last in (False, True):
        settings = {"batch_size": 8, "shuffle": False}
        trainer = Trainer(model_of((3, 8, 2)), averaging=averaging, n_shards=n_shards, drop_last=drop_last, **settings)
        expected, count = np.zeros(trainer.model.n_parameters), 0
        by_hand = Trainer(model_of((3, 8, 2)), **settings)
        ends = [61 * s // n_shards for s in range(n_shards + 1)]
        own, lengths = 8 // n_shards, np.diff(ends)
        steps = min(lengths) // own if drop_last else -(-max(lengths) // own)
        for epoch in range(1, 4):
            for step in range(steps):
                rows = [
                    row
                    for first, end in pairwise(ends)
                    for row in range(first + step * own, min(first + (step + 1) * own, end))
                ]
                by_hand.step(X[rows], y[rows])
                if isinstance(averaging, EMA):
                    count += 1
                    share = reference.ema_share(count, averaging.decay, averaging.bias_correction)
                elif epoch >= averaging.start and step == steps - 1:
                    count += 1
                    share = 1 / count
                else:
                    continue
                reference.blend([expected], [by_hand.model.to_vector()], share)
        trainer.run(X, y, epochs=2)
        copy.deepcopy(trainer).run(X, y, epochs=1)
        trainer.run(X, y, epochs=1)
        np.testing.assert_allclose(trainer.model.to_vector(), by_hand.model.to_vector(), rtol=1e-9)
        expected = expected if count else by_hand.model.to_vector()
        np.testing.assert_allclose(trainer.averaged_model().to_vector(), expected, rtol=1e-9)
