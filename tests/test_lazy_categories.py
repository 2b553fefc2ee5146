"""Lazy updates of tables of categories: rows whose categories are not in a batch stay as they are, and cost nothing."""

from __future__ import annotations

import numpy as np
import pytest
from _embedded import model_with
from _model_checks import (
    assert_instruction_sets_print_the_same,
    assert_the_fallback_trains_alike,
    assert_trains_like_the_reference,
    compiled,
)

import fastnn
from fastnn import EMA, SGD, AdaGrad, Adam, AdamW, LayerSettings, Lion, Muon, Trainer
from fastnn._engine.portable import _compile
from fastnn.embeddings import PBLD, Categorical, OneHot

SIZES = (5, 9, 8, 2)
TABLES = [
    Categorical([3, 0], n_categories=[40, 3], width=5),
    PBLD([1], n_frequencies=2),
    Categorical(4, n_categories=17, width=19),
]
OPTIMIZERS = [SGD(0.05, 0.9), AdaGrad(0.05), Adam(0.01), AdamW(0.01, weight_decay=0.1), Lion(0.001), Muon(0.01)]


def data(n=60, seed=2):
    """Return rows, in each of whose batches few categories occur, targets and weights."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 5))
    for column, number in ((0, 3), (3, 40), (4, 17)):
        X[:, column] = rng.integers(0, number, n)
        X[rng.random(n) < 0.05, column] = np.nan
    return X, rng.normal(size=(n, 2)), rng.integers(0, 3, n).astype(float)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize("batch_size", [7, 530])
@pytest.mark.parametrize(
    "options",
    [{}, {"clip_norm": 0.3, "clip_value": 0.05, "l2": 0.1}],
    ids=["plain", "all"],
)
def test_training_is_that_of_the_reference(optimizer, batch_size, options):
    model = model_with(SIZES, TABLES, dropout=0.2)
    settings = {"batch_size": batch_size, "lazy_updates": True, **options}
    rows = data(700 if batch_size > 512 else 60)
    assert_trains_like_the_reference(
        model, *rows, optimizer, settings, rtol=1e-7, atol=1e-10, rtol_of_loss=1e-8, dropout=0.2
    )


@pytest.mark.parametrize("optimizer", OPTIMIZERS[:4], ids=repr)
def test_the_fallback_trains_to_the_same_parameters(optimizer, monkeypatch):
    monkeypatch.setattr(_compile, "COMPILED", False)
    assert_the_fallback_trains_alike(model_with(SIZES, TABLES, dropout=0.2), *data()[:2], optimizer, lazy_updates=True)


@pytest.mark.parametrize("options", [{}, {"clip_norm": 0.1}, {"averaging": EMA(0.9)}], ids=str)
def test_absent_categories_keep_rows_and_moments(options):
    model = model_with(SIZES, TABLES)
    trainer = Trainer(model, "mse", Adam(0.01), batch_size=64, lazy_updates=True, **options)
    X, y, _ = data(40)
    X[:, 3] = np.arange(40) % 20
    trainer.run(X, y, 3)
    before = model.embedding_parameters[0].copy()
    X[:, 3] += 20
    trainer.run(X, y, 2)
    first, second = (model.embedding_parameters[0][rows] == before[rows] for rows in (slice(20), slice(20, 40)))
    assert first.all()
    assert not second.any()
    exact = model_with(SIZES, TABLES)
    of_exact = Trainer(exact, "mse", Adam(0.01), batch_size=64, **options)
    of_exact.run(X, y, 2)
    before = exact.embedding_parameters[0].copy()
    X[:, 3] -= 20
    of_exact.run(X, y, 1)
    assert (exact.embedding_parameters[0][20:40] != before[20:40]).all()  # moments move them


@pytest.mark.parametrize("optimizer", [SGD(0.05), AdaGrad(0.05)], ids=repr)
@pytest.mark.parametrize("options", [{}, {"clip_norm": 0.1}, {"clip_value": 0.01, "l1": 0.1}], ids=str)
@pytest.mark.parametrize("batch_size", [7, 530])
def test_updates_that_need_a_gradient_are_always_lazy(optimizer, options, batch_size):
    results = []
    for lazy in (False, True):
        model = model_with(SIZES, TABLES)
        Trainer(model, "mse", optimizer, batch_size=batch_size, lazy_updates=lazy, random_state=0, **options).run(
            *data(700)[:2], 3
        )
        results.append(model.to_vector())
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("batch_size", [8, 530])
def test_rows_of_weight_zero_do_not_touch_their_categories(batch_size):
    X, y, _ = data(640)
    weight = np.ones(640)
    weight[:40] = 0.0  # whole batches of 8
    X[:40, 3] = 39
    X[40:, 3] = np.arange(600) % 30
    model = model_with(SIZES, TABLES)
    trainer = Trainer(model, "mse", Adam(0.01), batch_size=batch_size, lazy_updates=True, shuffle=False)
    before = model.embedding_parameters[0].copy()
    trainer.run(X, y, 2, sample_weight=weight)
    assert (model.embedding_parameters[0][30:40] == before[30:40]).all()
    assert (model.embedding_parameters[0][:30] != before[:30]).all()


def test_steps_and_runs_and_resumed_runs_have_the_same_bits(tmp_path):
    X, y, weight = data(64)
    settings = {"batch_size": 16, "lazy_updates": True, "random_state": 0, "shuffle": False}
    models = [model_with(SIZES, TABLES) for _ in range(4)]
    trainers = [Trainer(model, "mse", Adam(0.01), **settings) for model in models]
    trainers[0].run(X, y, 4, sample_weight=weight)
    trainers[1].run(X, y, 2, sample_weight=weight)
    trainers[1].save(tmp_path / "trainer")
    resumed = Trainer.load(tmp_path / "trainer")
    assert resumed.lazy_updates
    resumed.run(X, y, 2, sample_weight=weight)
    for _ in range(4):
        for i in range(0, 64, 16):
            trainers[2].step(X[i : i + 16], y[i : i + 16], sample_weight=weight[i : i + 16])
    fastnn.fit_many(
        [models[3]],
        X,
        y,
        optimizer=Adam(0.01),
        epochs=4,
        sample_weight=weight,
        batch_size=16,
        lazy_updates=True,
        shuffle=False,
    )
    for model in (resumed.model, *models[2:]):
        np.testing.assert_array_equal(model.to_vector(), models[0].to_vector())


def test_steps_after_other_steps_are_those_of_new_trainers(tmp_path):
    X, y, _ = data(600)
    for optimizer, lazy in ((SGD(0.01), False), (Adam(0.01), True)):
        model = model_with(SIZES, TABLES)
        trainer = Trainer(model, "mse", optimizer, lazy_updates=lazy)
        for n in (1, 1, 600, 600):
            trainer.step_gradient(X[:n], y[:n])
            if not lazy:
                trainer.accumulate(X[:n], y[:n])
                trainer.apply()
            with pytest.raises(fastnn.DivergedError):
                trainer.step(X[:n], np.full((n, 2), 1e300))
            trainer.save(tmp_path / "trainer")
            again = Trainer.load(tmp_path / "trainer")
            for each in (trainer, again):
                each.step(X[-n:], y[-n:])
            np.testing.assert_array_equal(trainer.model.to_vector(), again.model.to_vector())


@pytest.mark.parametrize("batch_size", [16, 600])
def test_a_diverged_run_returns_to_its_last_finite_epoch(batch_size):
    """The snapshot is made row by row, but of everything that an epoch changes."""
    X, y, _ = data(640)
    X[:, 3] = np.arange(640) // 16  # one category of each batch
    model, other = model_with(SIZES, TABLES), model_with(SIZES, TABLES)
    settings = {"batch_size": batch_size, "lazy_updates": True, "shuffle": False}
    for each, n_epochs in ((model, 4), (other, 2)):
        trainer = Trainer(
            each, "mse", Adam(lambda steps: np.where(steps < 2 * -(-640 // batch_size), 0.01, 1e200)), **settings
        )
        if each is other:
            trainer.run(X, y, n_epochs)
            continue
        with pytest.raises(fastnn.DivergedError):
            trainer.run(X, y, n_epochs)
    np.testing.assert_array_equal(model.to_vector(), other.to_vector())


def test_frozen_tables_and_one_hot_codes_stay():
    tables = [Categorical(3, n_categories=40), OneHot(0, n_categories=3)]
    model = model_with(SIZES, tables)
    before = model.embedding_parameters[0].copy()
    frozen = LayerSettings(frozen={"embedding_parameters": True})
    settings = [frozen, None, None]
    for optimizer in (SGD(0.1), Adam(0.1)):
        X = np.nan_to_num(data()[0])
        Trainer(model, "mse", optimizer, lazy_updates=True, layer_settings=settings, clip_norm=1.0).run(X, data()[1], 2)
    np.testing.assert_array_equal(model.embedding_parameters[0], before)


def test_gradients_of_several_batches_are_refused():
    trainer = Trainer(model_with(SIZES, TABLES), lazy_updates=True)
    with pytest.raises(ValueError, match="lazy_updates: expected False for accumulated gradients, got True"):
        trainer.accumulate(*data()[:2])


PROGRAM = """
import hashlib
import sys
import numpy as np
from fastnn import SGD, AdamW, EMA, Trainer
sys.path.insert(0, TESTS)
from _embedded import model_with
from test_lazy_categories import SIZES, TABLES, data
digest = hashlib.sha256()
for dtype in (np.float32, np.float64):
    settings = ({}, {"clip_norm": 0.1}, {"averaging": EMA(0.9)})
    for optimizer, options in ((SGD(0.01), {}), *((AdamW(0.01), options) for options in settings)):
        for batch_size in (32, 600):
            states = set()
            for n_threads in (1, 2, 3):
                model = model_with(SIZES, TABLES, dtype)
                X, y, weight = data(700)
                settings = {"batch_size": batch_size, "random_state": 2, "n_threads": n_threads, "lazy_updates": True}
                history = Trainer(model, "mse", optimizer, **settings, **options).run(X, y, 4, sample_weight=weight)
                states.add(model.to_vector().tobytes() + history["loss"].tobytes())
            assert len(states) == 1 and np.isfinite(model.to_vector()).all()
            digest.update(states.pop())
print(digest.hexdigest())
"""


@compiled
def test_threads_and_instruction_sets_give_the_same_bits(request):
    assert_instruction_sets_print_the_same(PROGRAM.replace("TESTS", repr(str(request.path.parent))))
