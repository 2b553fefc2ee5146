"""The validation loss and predictions of many rows, block by block: the numbers of a single call."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.sparse
from _embedded import NETWORKS as EMBEDDED
from _helpers import data, model_of
from _portable_runs import network_of
from _residual import RESIDUAL
from _shared import NETWORKS as SHARED
from _shared import data_for, model_with

from fastnn import MLP, SharedEnsemble, Trainer, _evaluation, losses
from fastnn._engine import portable
from fastnn._engine.networks import arguments_of
from fastnn._evaluation import Evaluation
from fastnn._minimize import Objective
from fastnn._views import by_kind
from fastnn.embeddings import PBLD

N_ROWS = 1300  # three chunks of a plain network
HEADS = losses.Heads([(slice(0, 2), "mse"), (slice(2, 5), losses.CrossEntropy(missing="ignore")), (5, "huber")])


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(_evaluation, "_ELEMENTS_AT_ONCE", 1)


def evaluated(model, loss, X, y, weight=None, n_threads=None):
    """Return an evaluation after one pass over all rows, and its predictions."""
    trainer = Trainer(model, loss, n_threads=n_threads)
    evaluation = Evaluation(trainer, trainer._data(X, y, weight), has_loss=True)
    blocks = [(rows, p.copy()) for rows, p in evaluation.blocks()]
    assert len(blocks) > 1
    assert [rows.start for rows, _ in blocks[1:]] == [rows.stop for rows, _ in blocks[:-1]]
    return evaluation, np.concatenate([p for _, p in blocks])


def assert_like_one_call(model, loss, X, y, weight=None):
    """Compare the bits of the loss and of the predictions for rows that count."""
    counts = np.ones(len(y), bool) if weight is None else weight != 0
    for n_threads in (1, 2, 3):
        evaluation, p = evaluated(model, loss, X, y, weight, n_threads)
        assert evaluation.loss == model.loss(X, y, loss, weight)
        np.testing.assert_array_equal(p[counts], model.predict(X)[counts])
        assert evaluation.new_loss() == evaluation.loss
        np.testing.assert_array_equal(evaluation.outputs()[counts], p[counts])


def weights():
    """Return weights of rows: the first chunk has none, and others have some."""
    rng = np.random.default_rng(3)
    return rng.uniform(0.5, 2, N_ROWS) * (np.arange(N_ROWS) >= 600) * (np.arange(N_ROWS) % 3 > 0)


@pytest.mark.parametrize("weight", [None, weights()], ids=["", "weights"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("loss", "output", "n_out"),
    [
        ("mse", "identity", 3),
        ("mae", "sigmoid", 1),
        ("poisson", "exp", 2),
        ("binary_cross_entropy", "sigmoid", 1),
        ("binary_cross_entropy", "identity", 3),
        ("cross_entropy", "softmax", 4),
        (losses.CrossEntropy(label_smoothing=0.1), "identity", 4),
        ("kl_divergence", "softmax", 19),
    ],
    ids=str,
)
def test_losses(loss, output, n_out, dtype, weight):
    X, y = data(N_ROWS, 5, n_out, losses.resolve(loss).name)
    assert_like_one_call(model_of((5, 40, n_out), output=output, dtype=dtype), loss, X, y, weight)


@pytest.mark.parametrize("weight", [None, weights()], ids=["", "weights"])
def test_heads(weight):
    """Each head has a mean of its own: those of parts of the rows could not be put together."""
    X, y = data(N_ROWS, 5, 4)
    y[:, 2] = np.where(np.arange(N_ROWS) % 7, np.arange(N_ROWS) % 3, np.nan)
    assert_like_one_call(model_of((5, 40, 6)), HEADS, X, y, weight)


@pytest.mark.parametrize("signed_mean", [False, True])
def test_weights_of_both_signs(signed_mean, monkeypatch):
    """The divisor is the sum of their magnitudes or, for estimators, that of the weights."""
    X, y = data(N_ROWS, 5, 2)
    model, weight = model_of((5, 40, 2)), np.where(np.arange(N_ROWS) % 3, 1.5, -0.5)
    trainer = Trainer(model, "huber")
    native = trainer._native.settings.loss._replace(signed_mean=signed_mean)
    monkeypatch.setattr(_evaluation, "loss_of", lambda trainer: native)
    evaluation = Evaluation(trainer, trainer._data(X, y, weight), has_loss=True)
    assert evaluation.new_loss() == model._network.gradient(native, *evaluation.data)
    assert (evaluation.loss == model.loss(X, y, "huber", weight)) is not signed_mean


@pytest.mark.parametrize("network", SHARED, ids=str)
def test_shared_ensembles(network):
    model = model_with(*network)
    X, y, weight = data_for(model, N_ROWS)
    assert_like_one_call(model, "mse", X, y, weight)


def test_probabilities_of_a_shared_ensemble_are_means():
    X, labels = data(N_ROWS, 4, 3, "cross_entropy")
    assert_like_one_call(model_with((4, 17, 3), "tanh", 5, output_activation="softmax"), "cross_entropy", X, labels)


@pytest.mark.parametrize(("sizes", "embeddings"), EMBEDDED, ids=str)
def test_embeddings(sizes, embeddings):
    model = MLP(sizes, "tanh", embeddings=embeddings, random_state=0)
    X = np.abs(np.random.default_rng(0).normal(size=(N_ROWS, sizes[0]))).astype(int)
    assert_like_one_call(model, "mse", X, data(N_ROWS, 1, sizes[-1])[1])


@pytest.mark.parametrize("name", RESIDUAL)
def test_residual_connections(name):
    sizes, activation, options = RESIDUAL[name]
    X, y = data(N_ROWS, sizes[0], sizes[-1])
    assert_like_one_call(MLP(sizes, activation, random_state=0, **options), "mse", X, y)


@pytest.mark.parametrize("weight", [None, weights()], ids=["", "weights"])
def test_sparse_rows(weight):
    X = scipy.sparse.random(N_ROWS, 50, 0.1, "csr", random_state=0)
    assert_like_one_call(model_of((50, 20, 2)), "mse", X, data(N_ROWS, 1, 2)[1], weight)


@pytest.mark.parametrize("weight", [None, weights()], ids=["", "weights"])
@pytest.mark.parametrize(
    ("loss", "output"), [("mse", "identity"), ("cross_entropy", "softmax"), (HEADS, "identity")], ids=str
)
def test_the_fallback(loss, output, weight, monkeypatch):
    X, y = data(N_ROWS, 5, 4, "cross_entropy" if output == "softmax" else "mse")
    if loss is HEADS:
        y[:, 2] = np.arange(N_ROWS) % 3
    model = model_of((5, 40, 6 if loss is HEADS else 4), output=output)
    monkeypatch.setattr(_evaluation, "evaluated_network", lambda trainer: network_of(trainer.model))
    evaluation, p = evaluated(model, loss, X, y, weight)
    counts = np.ones(N_ROWS, bool) if weight is None else weight != 0
    assert evaluation.loss == pytest.approx(model.loss(X, y, loss, weight), rel=1e-12)
    network, trainer = network_of(model), Trainer(model, loss)
    rows, native, total = trainer._data(X, y, weight), trainer._native.settings.loss, 0.0
    expected, found = (np.full_like(network.storage, np.nan) for _ in range(2))
    network.gradient(native, *rows, expected)
    for part in _evaluation.blocks_of(network, rows):
        _, total = network.evaluate(native, rows, part.start, part.stop, total, None, None, found)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(p[counts], model.predict(X)[counts], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["embeddings", "shared"])
def test_other_networks_of_the_fallback(name, monkeypatch):
    monkeypatch.setattr(_evaluation, "evaluated_network", lambda trainer: _portable_copy(trainer.model))
    X, y = data(N_ROWS, 5, 2)
    options = (
        {"embeddings": [PBLD([1, 3])]} if name == "embeddings" else {"shared": SharedEnsemble(3)} if name == "shared" else {}
    )
    model = model_of((5, 40, 2), **options)
    evaluation, p = evaluated(model, "mse", X, y, weights())
    assert evaluation.loss == pytest.approx(model.loss(X, y, "mse", weights()), rel=1e-12)
    np.testing.assert_allclose(p[weights() != 0], model.predict(X)[weights() != 0], rtol=1e-9, atol=1e-12)


def _portable_copy(model):
    network = portable.Network(*arguments_of(model._network))
    for view, array in zip(by_kind(network.parameters), by_kind(model._network.parameters), strict=True):
        view[...] = array
    return network


def test_losses_of_the_fallback_that_are_not_finite(monkeypatch):
    """Overflow gives no warnings, which the tests turn into errors."""
    monkeypatch.setattr(_evaluation, "evaluated_network", lambda trainer: network_of(trainer.model))
    model = model_of((5, 40, 2), dtype=np.float32)
    model.weights[1][...] = 1e30
    assert not np.isfinite(evaluated(model, "mse", *data(N_ROWS, 5, 2))[0].loss)


# ---- Interruptions ----


@pytest.fixture
def interrupt(monkeypatch):
    """Return a function that lets the given block of all evaluations raise KeyboardInterrupt."""
    numbers, before = itertools.count(1), Evaluation._evaluate

    def interrupt(number):
        def evaluate(*arguments):
            if next(numbers) == number:
                raise KeyboardInterrupt
            return before(*arguments)

        monkeypatch.setattr(Evaluation, "_evaluate", evaluate)

    return interrupt


@pytest.mark.parametrize("metrics", [[], ["r2"]])
def test_an_interrupted_validation_keeps_the_epochs_before(metrics, interrupt):
    interrupt(8)  # the second of three blocks, after two epochs
    X, y = data(N_ROWS, 5, 2)
    trainer = Trainer(model_of((5, 8, 2)), batch_size=100, random_state=0)
    with pytest.raises(KeyboardInterrupt):
        trainer.run(X, y, 9, validation_data=(X, y), metrics=metrics)
    assert trainer.history.epochs == len(trainer.history["val_loss"]) == 2
    assert trainer.updates == 39
    assert trainer.run(X, y, 2, validation_data=(X, y)).epochs == 2


def test_an_interrupted_validation_of_an_estimator_records_no_half_epoch(interrupt):
    sklearn = pytest.importorskip("fastnn.sklearn")
    interrupt(6)  # the second of two blocks of 650 rows, after two epochs
    X, y = data(N_ROWS, 5, 1)
    estimator = sklearn.MLPRegressor(
        hidden_layer_sizes=(8,), early_stopping=True, validation_fraction=0.5, max_iter=9, random_state=0
    )
    with pytest.warns(UserWarning, match="interrupted"):
        estimator.fit(X, y[:, 0])
    assert estimator.n_iter_ == len(estimator.loss_curve_) == len(estimator.validation_loss_curve_) == 2
    assert len(estimator.validation_scores_) == 2


def test_an_interrupted_search_leaves_the_last_iteration(interrupt, monkeypatch):
    """The parameters are not those of a trial step."""
    sklearn = pytest.importorskip("fastnn.sklearn")
    X, y = data(N_ROWS, 5, 1)
    whole = sklearn.MLPRegressor(hidden_layer_sizes=(8,), solver="lbfgs", max_iter=3, random_state=0)
    with pytest.warns(UserWarning, match="converge"):
        whole.fit(X, y[:, 0])
    calls, evaluate = itertools.count(1), Objective.__call__

    def stop(self, vector):
        if next(calls) == whole.n_iter_ + 2:
            raise KeyboardInterrupt
        return evaluate(self, vector)

    monkeypatch.setattr(Objective, "__call__", stop)
    stopped = sklearn.MLPRegressor(hidden_layer_sizes=(8,), solver="lbfgs", max_iter=30, random_state=0)
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(X, y[:, 0])
    np.testing.assert_array_equal(stopped.network_.to_vector(), whole.network_.to_vector())


@pytest.mark.parametrize("engine", ["compiled", "portable"])
def test_predictions_and_a_gradient_exclude_each_other(engine):
    model = model_of((5, 4, 2))
    trainer = Trainer(model)
    network = model._network if engine == "compiled" else network_of(model)
    results = np.empty((512, 2)), np.empty_like(network.storage)
    with pytest.raises(ValueError, match="either predictions or a gradient"):
        network.evaluate(
            trainer._native.settings.loss,
            trainer._data(*data(N_ROWS, 5, 2), None),
            0,
            512,
            0.0,
            results[0],
            None,
            results[1],
        )


@pytest.mark.parametrize("engine", ["compiled", "portable"])
@pytest.mark.parametrize(("begin", "end"), [(0, 0), (1, 512), (0, 511), (512, N_ROWS + 1), (-512, 0), (600, 500)])
def test_parts_are_whole_chunks(begin, end, engine):
    model = model_of((5, 4, 2))
    trainer = Trainer(model)
    network = model._network if engine == "compiled" else network_of(model)
    data_of_run = trainer._data(*data(N_ROWS, 5, 2), None)
    with pytest.raises(ValueError, match="whole chunks of 512 of the 1300 rows"):
        network.evaluate(trainer._native.settings.loss, data_of_run, begin, end)


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize("name", ["plain", "heads", "shared", "sparse"])
def test_gradients(name, n_threads):
    """The gradient of all parts has the bits of a single call."""
    X, y = data(N_ROWS, 5, 4)
    model = model_with((5, 20, 4)) if name == "shared" else model_of((5, 40, 6 if name == "heads" else 4))
    if name == "heads":
        y[:, 2] = np.arange(N_ROWS) % 3
    loss = HEADS if name == "heads" else "mse"
    trainer, network = Trainer(model, loss), model._network
    rows = trainer._data(scipy.sparse.csr_matrix(X) if name == "sparse" else X, y, weights())
    native = trainer._native.settings.loss
    expected, found = (np.full_like(network.storage, np.nan) for _ in range(2))
    value, total = network.gradient(native, *rows, expected), 0.0
    for part in _evaluation.blocks_of(network, rows):
        share, total = network.evaluate(native, rows, part.start, part.stop, total, None, n_threads, found)
    assert share == value
    np.testing.assert_array_equal(found, expected)


def test_a_run_records_the_loss_of_all_rows():
    """A run's validation loss has the bits of `MLP.loss`, with metrics and without."""
    X, y = data(N_ROWS, 5, 2)
    for metrics in ([], ["rmse"], [lambda y, p: 0.0], ["val_r2"]):
        model = model_of((5, 40, 2))
        history = Trainer(model, random_state=0).run(X, y, 1, validation_data=(X, y), metrics=metrics)
        assert history["val_loss"][-1] == model.loss(X, y)
