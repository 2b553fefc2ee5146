"""Epochs without their last, incomplete batch, on all routes: by the reference, in many models, in shards, with weights."""

from __future__ import annotations

import numpy as np
import pytest
from _helpers import data, model_of
from scipy import sparse

from fastnn import MLP, SGD, Adam, Trainer, fit_many, reference, schedules


def by_reference(model, X, y, epochs, seed, **options):
    """Train a copy of a model by the reference, and return its parameters and losses."""
    weights, biases = [w.copy() for w in model.weights], [b.copy() for b in model.biases]
    rng = np.random.default_rng(seed)
    settings = {"optimizer": Adam(0.01), "epochs": epochs, "rng": rng, "drop_last": True, **options}
    losses = reference.train(weights, biases, model.activations, X, y, **settings)
    return [array for pair in zip(weights, biases, strict=True) for array in pair], losses


@pytest.mark.parametrize("sizes", [(2, 3, 1), (5, 20, 2), (5, 2)])
@pytest.mark.parametrize(("n", "batch_size"), [(50, 8), (48, 8), (13, 13), (9, 8), (1300, 600)])
@pytest.mark.parametrize("shuffle", [True, False])
def test_an_epoch_has_the_complete_batches(sizes, n, batch_size, shuffle):
    X, y = data(n, sizes[0], sizes[-1])
    weight = np.random.default_rng(0).uniform(0.5, 2, n)
    for options in ({}, {"sample_weight": weight}):
        model = model_of(sizes)
        expected, losses = by_reference(model, X, y, 4, 3, batch_size=batch_size, shuffle=shuffle, **options)
        settings = {"batch_size": batch_size, "shuffle": shuffle, "random_state": 3, "drop_last": True}
        trainer = Trainer(model, "mse", Adam(0.01), **settings)
        history = trainer.run(X, y, 4, **options)
        assert trainer.updates == 4 * (n // batch_size)
        np.testing.assert_allclose(history["loss"], losses, rtol=1e-9)
        for found, wanted in zip(model.parameters, expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-12)


def test_every_epoch_leaves_out_other_rows():
    """A row that is left out has no part in the loss of the epoch."""
    y = np.arange(10.0)
    trainer = Trainer(
        MLP((1, 1), init="zeros", dtype=np.float64), "mse", SGD(0.0), batch_size=4, drop_last=True, random_state=0
    )
    order = np.random.default_rng(0)
    expected = [np.mean(y[order.permutation(10)[:8]] ** 2) for _ in range(5)]
    np.testing.assert_allclose(trainer.run(np.zeros((10, 1)), y, 5)["loss"], expected)
    assert len(set(expected)) > 1


def test_complete_batches_are_those_without_the_option():
    X, y = data(64, 3, 2)
    vectors = []
    for drop_last in (False, True):
        model = model_of((3, 8, 2), dropout=0.3)
        model.fit(X, y, epochs=3, batch_size=16, drop_last=drop_last, random_state=0)
        vectors.append(model.to_vector())
    np.testing.assert_array_equal(*vectors)


def test_rows_and_order_of_threads_do_not_matter():
    X, y = data(1000, 40, 2)
    found = set()
    for n_threads in (1, 2, 3):
        model = MLP((40, 30, 2), random_state=0)
        model.fit(X, y, epochs=2, batch_size=96, drop_last=True, random_state=0, n_threads=n_threads)
        found.add(model.to_vector().tobytes())
    assert len(found) == 1


def test_sparse_rows_and_mapped_rows(tmp_path):
    X = sparse.random(70, 30, 0.1, format="csr", random_state=0)
    np.save(tmp_path / "x.npy", X.toarray())
    y = data(70, 3, 1)[1]
    vectors = []
    for rows in (X, X.toarray(), np.load(tmp_path / "x.npy", mmap_mode="r")):
        model = model_of((30, 5, 1))
        model.fit(rows, y, epochs=3, batch_size=16, drop_last=True, random_state=0, averaging="ema")
        vectors.append(model.to_vector())
    np.testing.assert_array_equal(vectors[0], vectors[1])
    np.testing.assert_array_equal(vectors[0], vectors[2])


@pytest.mark.parametrize("rows", [None, np.arange(37)])
def test_many_models(rows):
    X, y = data(50, 3, 2)
    many = [MLP((3, 5, 2), "tanh", random_state=k) for k in range(17)]
    own_X, own_y = (X, y) if rows is None else (X[rows], y[rows])
    drop = [k % 3 > 0 for k in range(17)]
    histories = fit_many(many, X, y, epochs=3, batch_size=16, drop_last=drop, random_state=0, rows=rows)
    for k, model in enumerate(many):
        alone = MLP((3, 5, 2), "tanh", random_state=k)
        history = alone.fit(own_X, own_y, epochs=3, batch_size=16, drop_last=drop[k], random_state=0)
        np.testing.assert_array_equal(model.to_vector(), alone.to_vector())
        np.testing.assert_array_equal(histories[k]["loss"], history["loss"])


def test_a_schedule_counts_the_steps_that_are_made():
    X, y = data(50, 3, 1)
    trainer = Trainer(MLP((3, 4, 1)), optimizer=SGD(schedules.InverseTime(0.1, 1.0)), batch_size=16, drop_last=True)
    history = trainer.run(X, y, 4)
    np.testing.assert_allclose(history["learning_rate"], schedules.InverseTime(0.1, 1.0)(np.array([2, 5, 8, 11])))


def test_too_few_rows_are_refused():
    X, y = data(20, 3, 1)
    model = MLP((3, 4, 1), random_state=0)
    before, trainer = model.to_vector(), Trainer(model, batch_size=32, drop_last=True)
    with pytest.raises(
        ValueError, match="drop_last: expected at least batch_size=32 rows for one complete batch, got 20 rows"
    ):
        trainer.run(X, y)
    with pytest.raises(ValueError, match="drop_last: expected at least batch_size=32 .* got 20"):
        fit_many([model], np.vstack([X, X]), np.vstack([y, y]), rows=np.arange(20), drop_last=True)
    with pytest.raises(ValueError, match="drop_last: expected at least batch_size=32 .* got 20"):
        Trainer(model, batch_size=32, drop_last=True, n_shards=4).run(X, y)
    np.testing.assert_array_equal(model.to_vector(), before)
    assert trainer.history.epochs == trainer.epochs == 0
    trainer.step(X, y)  # a single step may have any number of rows
    trainer.batch_size = 20
    trainer.run(X, y)
    assert trainer.updates == 2


def test_a_batch_that_grows_beyond_the_rows_ends_the_run():
    class Grow:
        def on_epoch_end(self, trainer, history):
            trainer.batch_size = 64

    trainer = Trainer(MLP((3, 4, 1)), batch_size=10, drop_last=True)
    with pytest.raises(ValueError, match="drop_last: expected at least batch_size=64"):
        trainer.run(*data(20, 3, 1), 5, callbacks=[Grow()])
    assert trainer.history.epochs == 1


def test_lbfgs_has_no_batches():
    with pytest.raises(ValueError, match="drop_last: expected none for optimizer 'lbfgs'"):
        Trainer(MLP((3, 4, 1)), optimizer="lbfgs", drop_last=True)
