"""Sparse inputs: the bits of the same rows made dense, or lazy updates if asked for, and no access out of bounds."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
from _helpers import LIKE_TARGETS, data, links_of, model_of, optimizer_of

import fastnn
from fastnn import MLP, SGD, AdaGrad, Adam, Trainer, _epochs
from fastnn._engine import core as _core

scipy_sparse = pytest.importorskip("scipy.sparse")

# Layer sizes: many outputs; one layer with many outputs and with few; few hidden units.
NETWORKS = [(70, 33, 5, 2), (70, 9), (70, 2), (40, 3, 1)]


def sparse_data(rows, sizes, loss="mse", density=0.1, seed=0):
    """Return sparse rows, some of which are empty, and targets."""
    rng = np.random.default_rng([seed, rows, sizes[0]])
    X = rng.normal(size=(rows, sizes[0])) * (rng.random((rows, sizes[0])) < density)
    X[:: max(2, rows // 3)] = 0
    return scipy_sparse.csr_matrix(X), data(rows, sizes[0], sizes[-1], loss)[1]


def pair(sizes, loss="mse", dtype=np.float64, batch_size=10, dropout=0.0, **options):
    """Return two equal trainers."""
    return [
        Trainer(
            model_of(sizes, "tanh", links_of(loss)[0], dtype=dtype, dropout=dropout),
            loss,
            batch_size=batch_size,
            random_state=7,
            **options,
        )
        for _ in range(2)
    ]


def assert_same(sizes, rows=45, epochs=3, loss="mse", sample_weight=None, **options):
    """Train on the same rows, sparse and dense: parameters and moments have the same bits, losses differ by rounding."""
    X, y = sparse_data(rows, sizes, loss)
    sparse, dense = pair(sizes, loss, **options)
    before = dense.model.to_vector()
    got = sparse.run(X, y, epochs, sample_weight=sample_weight)
    expected = dense.run(X.toarray(), y, epochs, sample_weight=sample_weight)
    np.testing.assert_array_equal(sparse.model.to_vector(), dense.model.to_vector())
    np.testing.assert_array_equal(sparse._moments, dense._moments)
    np.testing.assert_allclose(got["loss"], expected["loss"], rtol=2e-6 if sparse.model.dtype == np.float32 else 1e-13)
    assert np.abs(before - dense.model.to_vector()).max() > 1e-4


@pytest.mark.parametrize("sizes", NETWORKS)
@pytest.mark.parametrize("row", _core.OPTIMIZERS)
def test_optimizers_give_the_bits_of_dense_rows(row, sizes):
    assert_same(sizes, optimizer=optimizer_of(row))
    assert_same(sizes, optimizer=optimizer_of(row), l1=1e-3, l2=1e-2)


@pytest.mark.parametrize("sizes", NETWORKS)
@pytest.mark.parametrize(
    "options",
    [
        {"dtype": np.float32},
        {"n_threads": 2, "l2": 0.1},
        {"n_threads": 7},
        {"clip_value": 0.01, "l2": 0.1},
        {"clip_norm": 0.1, "n_threads": 2},
        {"dropout": 0.3, "l1": 0.1},
        {"batch_size": 1},
        {"batch_size": 45, "shuffle": False},
    ],
    ids=repr,
)
def test_options_give_the_bits_of_dense_rows(options, sizes):
    if "dropout" in options and len(sizes) == 2:
        options = options | {"dropout": ()}
    assert_same(sizes, **options)


TINY = [(2, 4, 1), (8, 8, 3), (5, 2), (3, 8, 7, 8, 1)]


@pytest.mark.parametrize("sizes", TINY)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("row", _core.OPTIMIZERS)
def test_tiny_networks_give_the_bits_of_dense_rows(row, dtype, sizes):
    for options in ({}, {"l1": 1e-3, "l2": 1e-2}, {"batch_size": 4, "clip_norm": 0.1}, {"batch_size": 16, "n_threads": 2}):
        assert_same(sizes, dtype=dtype, optimizer=optimizer_of(row), **options)


@pytest.mark.parametrize("sizes", TINY)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tiny_networks_with_weights_of_rows(dtype, sizes):
    weight = np.random.default_rng(5).uniform(0, 2, 45) * (np.arange(45) % 3 > 0)
    assert_same(sizes, dtype=dtype, sample_weight=weight)


@pytest.mark.parametrize("row", ["sgd", "adagrad", "adam", "momentum"])
def test_lazy_updates_of_a_tiny_network_leave_out_absent_features(row):
    """With plain descent and AdaGrad nothing is left out: without a gradient, they change nothing."""
    X, y = sparse_data(45, (6, 4, 1))
    trainers = pair((6, 4, 1), optimizer=optimizer_of(row))
    trainers[0].lazy_updates = True
    for trainer in trainers:
        trainer.run(X, y, 3)
    vectors = [trainer.model.to_vector() for trainer in trainers]
    assert np.array_equal(*vectors) == (row in ("sgd", "adagrad"))


@pytest.mark.parametrize("sizes", NETWORKS)
def test_batches_of_several_chunks_give_the_bits_of_dense_rows(sizes):
    assert_same(sizes, rows=1300, batch_size=1200, optimizer=SGD(0.1, momentum=0.9), l2=0.01)


@pytest.mark.parametrize("loss", LIKE_TARGETS)
def test_losses_and_sample_weights_give_the_bits_of_dense_rows(loss):
    weight = np.random.default_rng(3).uniform(0, 2, 45)
    assert_same((70, 12, 3), loss=loss, sample_weight=weight, l2=0.1)


@pytest.mark.parametrize("lazy", [False, True])
def test_a_step_returns_its_loss_with_penalties(lazy):
    """The loss includes penalties of weights whose feature is not in the batch, unless updates are lazy."""
    X, y = sparse_data(20, (70, 33, 2))
    sparse, dense = pair((70, 33, 2), l1=0.1, l2=0.2, lazy_updates=lazy)
    first, rest = dense.model.weights[0].copy(), dense.model.weights[1].copy()
    if lazy:
        first[~(X.toarray() != 0).any(axis=0)] = 0
    penalty = sum(0.1 * np.abs(w).sum() + 0.1 * (w**2).sum() for w in (first, rest))
    loss = dense.model.loss(X, y)
    assert sparse.step(X, y) == pytest.approx(loss + penalty, rel=1e-12)


@pytest.mark.parametrize("columns", [2047, 2048, 2049, 5000, 70000])
def test_many_columns_give_the_bits_of_dense_rows(columns):
    """From 2048 columns on, elements are sorted by column in several passes."""
    for n_out in (9, 2):
        assert_same((columns, n_out), rows=30, optimizer=SGD(0.1))


@pytest.mark.parametrize(
    "options", [{"optimizer": Adam(0.01)}, {"optimizer": SGD(0.01, momentum=0.9), "l1": 1e-4, "l2": 1e-3}]
)
@pytest.mark.parametrize("n_threads", [1, 2])
def test_time_slices_change_no_bit(options, n_threads, monkeypatch):
    """At a pause all weights are up to date. With slices of no length, there is a pause every few batches."""
    states, seen = [], []
    X, y = sparse_data(200, (3000, 128, 64, 2), density=0.02)
    for seconds in (1e9, 0.0):
        monkeypatch.setattr(_epochs, "SLICE_SECONDS", seconds)
        trainer, _ = pair((3000, 128, 64, 2), n_threads=n_threads, **options)
        history = trainer.run(X, y, 2)
        states.append((trainer.model.to_vector().tobytes(), trainer._moments.tobytes(), history["loss"].tobytes()))
    assert states[0] == states[1]
    # A callback or an interrupt in between would see the parameters that a shorter run leaves.
    trainer, other = pair((3000, 128, 64, 2), shuffle=False, n_threads=n_threads, **options)
    run = trainer._new_run(trainer._data(X, y, None), 1)
    run.set_rates(np.array([trainer.learning_rate]))
    while (status := run.advance(0.0, 1)) == "paused":
        seen.append(run.updates)
        short = copy.deepcopy(other)
        short.run(X[: 10 * run.updates], y[: 10 * run.updates], 1)
        np.testing.assert_array_equal(trainer.model.to_vector(), short.model.to_vector())
    assert status == "finished"
    assert len(seen) >= 3


def test_schedules_and_long_pauses_give_the_bits_of_dense_rows():
    """Rows are brought up to date even if no batch has had them for more updates than are remembered."""
    assert_same((70, 5, 1), rows=1500, batch_size=2, epochs=1, optimizer=Adam(lambda step: 0.01 / (1 + step)), l2=0.1)


@pytest.mark.parametrize("optimizer", [SGD(0.1), AdaGrad(0.1), Adam(0.1)], ids=repr)
def test_lazy_updates_change_only_rows_in_the_batch(optimizer):
    """The rows of the batch's features are updated; the others and their moments stay unchanged."""
    X, y = sparse_data(8, (70, 5, 1))
    lazy, regular = pair((70, 5, 1), optimizer=optimizer, l2=0.1, lazy_updates=True)
    regular.lazy_updates = False
    regular = Trainer(regular.model, optimizer=optimizer, l2=0.1)
    lazy.run(*sparse_data(50, (70, 5, 1), density=0.5, seed=1), 2)
    regular.model.set_vector(lazy.model.to_vector())
    regular._moments[...], regular._stepper.updates = lazy._moments, lazy.updates
    before, moments = lazy.model.weights[0].copy(), lazy._moments.copy()
    touched = np.unique(X.indices)
    rest = np.setdiff1d(np.arange(70), touched)
    lazy.step(X, y)
    regular.step(X, y)
    np.testing.assert_array_equal(lazy.model.weights[0][touched], regular.model.weights[0][touched])
    np.testing.assert_array_equal(lazy.model.weights[0][rest], before[rest])
    assert (regular.model.weights[0][rest] != before[rest]).all()
    for got, kept in zip(lazy._moments, moments, strict=True):
        np.testing.assert_array_equal(
            lazy.model._network.views(got)["weights"][0][rest], lazy.model._network.views(kept)["weights"][0][rest]
        )
    np.testing.assert_array_equal(lazy.model.weights[1], regular.model.weights[1])


def test_lazy_updates_equal_exact_ones_without_moments_and_penalties():
    X, y = sparse_data(45, (70, 5, 1))
    for optimizer in (SGD(0.1), AdaGrad(0.1)):
        lazy, regular = pair((70, 5, 1), optimizer=optimizer, lazy_updates=True)
        regular = Trainer(regular.model, optimizer=optimizer, batch_size=10, random_state=7)
        lazy.run(X, y, 3)
        regular.run(X, y, 3)
        np.testing.assert_array_equal(lazy.model.to_vector(), regular.model.to_vector())


@pytest.mark.parametrize("sizes", NETWORKS)
@pytest.mark.parametrize("rows", [1, 16, 1300])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_functions_of_a_model_give_the_bits_of_dense_rows(sizes, rows, dtype):
    """Each takes sparse rows like dense ones, with the same bits for any number of threads."""
    X, y = sparse_data(rows, sizes)
    X = X.astype(dtype)
    model, dense = model_of(sizes, dtype=dtype), X.toarray()
    np.testing.assert_array_equal(model.predict(X), model.predict(dense))
    np.testing.assert_array_equal(
        model.predict(X, n_threads=2, out=np.empty((rows, sizes[-1]), dtype)), model.predict(dense)
    )
    for got, expected in zip(model.hidden_activations(X), model.hidden_activations(dense), strict=True):
        np.testing.assert_array_equal(got, expected)
    weight = np.random.default_rng(1).uniform(0.1, 1, rows)
    assert model.loss(X, y, sample_weight=weight) == model.loss(dense, y, sample_weight=weight)
    for got, expected in zip(
        model.gradient(X, y, "mse", weight)[1], model.gradient(dense, y, "mse", weight)[1], strict=True
    ):
        np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(model.input_gradient(X, y), model.input_gradient(dense, y))


@pytest.mark.parametrize("kind", ["csr_matrix", "csr_array", "csc_array", "coo_matrix", "lil_array"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8, bool, ">f4"])
def test_every_format_of_matrix_is_accepted(kind, dtype):
    X = np.random.default_rng(0).integers(0, 2, (20, 70)).astype(dtype)
    made = getattr(scipy_sparse, kind)(X.astype(np.dtype(dtype).newbyteorder("=")))
    model = model_of(NETWORKS[0])
    np.testing.assert_array_equal(model.predict(made), model.predict(X))


@pytest.mark.parametrize("kind", ["csr_array", "coo_array"])
def test_one_row_is_accepted(kind):
    x = np.random.default_rng(0).integers(0, 2, 70).astype(np.float64)
    try:
        row = getattr(scipy_sparse, kind)(x)
    except ValueError:
        pytest.skip("this SciPy has no sparse arrays of one dimension")
    models = [model_of(NETWORKS[0]), model_of(NETWORKS[0])]
    np.testing.assert_array_equal(models[0].predict(row), models[0].predict(x))
    np.testing.assert_array_equal(models[0].loss(row, np.ones(2)), models[0].loss(x, np.ones(2)))
    np.testing.assert_array_equal(fastnn.predict_many(models, row), fastnn.predict_many(models, x))
    np.testing.assert_array_equal(fastnn.Ensemble(models).predict(row), fastnn.Ensemble(models).predict(x))
    with pytest.raises(ValueError, match=r"X: expected shape \(n, 70\), one row per sample, got \(70,\)"):
        models[0].fit(row, np.ones(2))


def test_elements_in_any_order_and_duplicates_are_accepted():
    """Several elements at one place count as their sum."""
    columns, starts = np.array([5, 1, 5, 0, 0], np.int64), np.array([0, 3, 5], np.int64)
    X = scipy_sparse.csr_matrix((np.arange(1.0, 6.0), columns, starts), shape=(2, 70))
    sparse, dense = pair(NETWORKS[0])
    sparse.run(X, np.ones((2, 2)), 3)
    dense.run(X.toarray(), np.ones((2, 2)), 3)
    np.testing.assert_allclose(sparse.model.to_vector(), dense.model.to_vector(), rtol=1e-10)


def test_matrices_without_rows_are_handled():
    model = model_of(NETWORKS[0])
    assert model.predict(scipy_sparse.csr_matrix((0, 70))).shape == (0, 2)
    with pytest.raises(ValueError, match=r"X: expected at least one row, got shape \(0, 70\)"):
        model.fit(scipy_sparse.csr_matrix((0, 70)), np.ones((0, 2)))


def test_empty_rows_are_handled():
    sparse, dense = pair(NETWORKS[0], l2=0.1)
    y = np.ones((30, 2))
    sparse.run(scipy_sparse.csr_matrix((30, 70)), y, 2)
    dense.run(np.zeros((30, 70)), y, 2)
    np.testing.assert_array_equal(sparse.model.to_vector(), dense.model.to_vector())


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_elements_that_are_not_finite_raise(value):
    X = np.zeros((10, 70))
    X[3, 4], X[7, 60] = 1, value
    model = model_of(NETWORKS[0], dtype=np.float32)
    with pytest.raises(ValueError, match=r"^X: expected numbers that are finite in float32.*got \S+ at row 7, column 60"):
        model.fit(scipy_sparse.csr_matrix(X), np.ones((10, 2)))


def damaged(columns=(0, 1, 2), starts=(0, 2, 3), n_values=3):
    """Return a matrix that SciPy would not make."""
    X = scipy_sparse.csr_matrix((2, 70))
    X.data, X.indices, X.indptr = np.ones(n_values), np.array(columns, np.int32), np.array(starts, np.int32)
    return X


@pytest.mark.parametrize(
    "matrix",
    [
        damaged(columns=(0, 1, 70)),
        damaged(columns=(0, -1, 2)),
        damaged(columns=(0, 1)),
        damaged(starts=(0, 3, 2)),
        damaged(starts=(1, 2, 3)),
        damaged(starts=(0, 2, 4)),
        damaged(starts=(0, -1, 3)),
        damaged(starts=(0, 3)),
        damaged(starts=(0, 1, 2, 3)),
        damaged(n_values=2),
    ],
)
def test_damaged_matrices_raise(matrix):
    model = model_of(NETWORKS[0])
    for call in (lambda: model.predict(matrix), lambda: model.fit(matrix, np.ones((2, 2)))):
        with pytest.raises(ValueError, match=r"^X: expected a valid sparse matrix, got a damaged one"):
            call()


def test_wrong_shapes_and_types_raise():
    model = model_of(NETWORKS[0])
    with pytest.raises(ValueError, match=r"X: expected (shape )?\(n, 70\).*got \(3, 71\)"):
        model.predict(scipy_sparse.csr_matrix((3, 71)))
    with pytest.raises(TypeError, match="X: .*got dtype complex128"):
        model.predict(scipy_sparse.csr_matrix((3, 70), dtype=complex))
    with pytest.raises(TypeError, match="y: .*got a sparse matrix"):
        model.fit(np.ones((3, 70)), scipy_sparse.csr_matrix((3, 2)))
    with pytest.raises(TypeError, match="lazy_updates: expected True or False, got 1"):
        Trainer(model, lazy_updates=1)


def test_divergence_restores_the_last_finite_epoch():
    X, y = sparse_data(45, NETWORKS[0])
    trainer, _ = pair(NETWORKS[0], optimizer=SGD(1e200), l2=0.1)
    before = trainer.model.to_vector()
    with pytest.raises(ArithmeticError):
        trainer.run(X, y, 5)
    np.testing.assert_array_equal(trainer.model.to_vector(), before)


def test_resuming_changes_no_bit(tmp_path):
    X, y = sparse_data(45, NETWORKS[0])
    whole, parts = pair(NETWORKS[0], l2=0.1)
    whole.run(X, y, 6)
    parts.run(X, y, 3)
    parts.save(tmp_path / "file")
    resumed = Trainer.load(tmp_path / "file")
    resumed.run(X, y, 3)
    np.testing.assert_array_equal(resumed.model.to_vector(), whole.model.to_vector())
    assert replace(resumed.optimizer) == whole.optimizer


@pytest.mark.parametrize("units", [2, 5])  # one layer is stored by outputs, the other by inputs
@pytest.mark.parametrize("clip_norm", [None, 0.1])
@pytest.mark.parametrize("rows", [8, 700])  # one chunk, and several chunks
def test_lazy_updates_do_not_change_features_missing_from_the_batch(units, clip_norm, rows):
    model = MLP((90, units, 1), "tanh", dtype=np.float64, random_state=0)
    trainer = Trainer(model, optimizer="adam", l1=0.01, l2=0.1, clip_norm=clip_norm, lazy_updates=True, random_state=0)
    X, y = sparse_data(rows, (90, units, 1), density=0.3, seed=1)
    trainer.step(X, y)  # make moments that are not zero
    before = model.weights[0].copy()
    half = X.copy()
    half.data[half.indices >= 45] = 0.0
    half.eliminate_zeros()
    trainer.step(half, y)
    np.testing.assert_array_equal(model.weights[0][45:], before[45:])
    touched = np.unique(half.indices)
    assert (model.weights[0][touched] != before[touched]).all()
