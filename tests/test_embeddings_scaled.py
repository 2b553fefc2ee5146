"""Embeddings whose outputs are scaled and dropped before the first layer."""

from __future__ import annotations

import numpy as np
import pytest
from _embedded import IDS, NETWORKS, data_for
from _model_checks import difference, in_order, reference_of

import fastnn
from fastnn import MLP, SGD, Adam, Trainer, reference

EACH = pytest.mark.parametrize("network", NETWORKS, ids=IDS)
CHANGES = pytest.mark.parametrize("changes", [(True, 0.0), (False, 0.3), (True, 0.3)], ids=str)


def model_with(network, changes, dtype=np.float64, **options):
    sizes, embeddings = network
    model = MLP(
        *(sizes, "tanh"),
        embeddings=embeddings,
        input_scale=changes[0],
        input_dropout=changes[1],
        dtype=dtype,
        random_state=0,
        **options,
    )
    if changes[0]:
        scales = model.scales[0]
        scales[...] = np.random.default_rng(5).uniform(0.3, 1.5, len(scales)) * np.where(np.arange(len(scales)) % 2, 1, -1)
    return model


@EACH
@CHANGES
def test_predictions_and_gradients_are_those_of_the_reference(network, changes):
    model = model_with(network, changes)
    X, y, weights = data_for(model)
    lists, options = reference_of(model)
    np.testing.assert_allclose(model.predict(X), reference.forward(*lists, X, **options)[-1][1], rtol=1e-9, atol=1e-11)
    loss, gradients = model.gradient(X, y, sample_weight=weights)
    expected, *found = reference.loss_and_gradient(*lists, X, y, sample_weight=weights, **options)
    assert loss == pytest.approx(expected, rel=1e-9)
    for own, theirs in zip(gradients, in_order(found, options), strict=True):
        np.testing.assert_allclose(own, theirs, rtol=1e-7, atol=1e-11)
    np.testing.assert_allclose(
        model.input_gradient(X, y), reference.input_gradient(*lists, X, y, **options), rtol=1e-7, atol=1e-11
    )
    np.testing.assert_allclose(model.jacobian(X), reference.jacobian(*lists, X, **options), rtol=1e-7, atol=1e-11)
    G = np.random.default_rng(3).normal(size=y.shape)
    by_inputs, *found = reference.vjp(*lists, X, G, **options)
    own, own_inputs = model.vjp(X, G, inputs=True)
    np.testing.assert_allclose(own_inputs, by_inputs, rtol=1e-7, atol=1e-11)
    for mine, theirs in zip(own, in_order(found, options), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-7, atol=1e-11)


@EACH
def test_gradients_are_differences(network):
    model = model_with(network, (True, 0.0))
    X, y, _ = data_for(model)
    gradients = model.gradient(X, y)[1]
    rng = np.random.default_rng(1)
    for parameters, gradient in zip(model.parameters, gradients, strict=True):
        at = tuple(rng.integers(0, parameters.shape))
        found = difference(lambda: model.loss(X, y), parameters, at)
        assert gradient[at] == pytest.approx(found, rel=1e-4, abs=1e-6)


@EACH
@CHANGES
@pytest.mark.parametrize("optimizer", [SGD(0.02), Adam(0.01)], ids=["sgd", "adam"])
@pytest.mark.parametrize("batch_size", [5, 600])
def test_training_is_that_of_the_reference(network, changes, optimizer, batch_size):
    model = model_with(network, changes)
    X, y, weights = data_for(model, 700 if batch_size == 600 else 37)
    lists, options = reference_of(model)
    expected = reference.train(
        *(*lists, X, y),
        **options,
        sample_weight=weights,
        optimizer=optimizer,
        epochs=3,
        batch_size=batch_size,
        rng=np.random.default_rng(4),
        input_dropout=changes[1],
    )
    trainer = Trainer(model, "mse", optimizer, batch_size=batch_size, random_state=4)
    history = trainer.run(X, y, 3, sample_weight=weights)
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-7)
    for own, theirs in zip(model.weights, lists[0], strict=True):
        np.testing.assert_allclose(own, theirs, rtol=1e-5, atol=1e-8)
    if changes[0]:
        np.testing.assert_allclose(model.scales[0], options["scales"], rtol=1e-5, atol=1e-8)
    for own, (_, theirs) in zip(model.embedding_parameters, options["embeddings"], strict=True):
        if theirs is not None:
            np.testing.assert_allclose(own, theirs, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("network", [NETWORKS[6], NETWORKS[9], NETWORKS[12]], ids=[IDS[6], IDS[9], IDS[12]])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_number_of_threads_gives_the_same_bits(network, dtype):
    vectors = []
    for n_threads in (1, 2, 3):
        model = model_with(network, (True, 0.3), dtype)
        X, y, _ = data_for(model, 700)
        for batch_size in (7, 64, 600):
            trainer = Trainer(model, optimizer=Adam(0.01), batch_size=batch_size, random_state=4, n_threads=n_threads)
            trainer.run(X, y, 2)
        vectors.append(np.concatenate([model.to_vector(), model.predict(X).ravel(), model.jacobian(X[:9]).ravel()]))
    for vector in vectors[1:]:
        np.testing.assert_array_equal(vector, vectors[0])


def test_rows_without_weight_leave_nothing_behind():
    vectors = []
    for garbage in (0.0, np.nan, np.inf):
        model = model_with(NETWORKS[12], (True, 0.3))
        X, y, weights = data_for(model)
        X[5:24], weights[5:24] = garbage, 0.0  # among others, in whole batches
        trainer = Trainer(model, optimizer=SGD(0.1), batch_size=8, shuffle=False, random_state=1)
        trainer.run(X, y, 3, sample_weight=weights)
        vectors.append(model.to_vector())
        assert np.isfinite(vectors[-1]).all()
    for vector in vectors[1:]:
        np.testing.assert_array_equal(vector, vectors[0])


def test_files_have_both(tmp_path):
    model = model_with(NETWORKS[12], (True, 0.3))
    X = data_for(model)[0]
    model.save(tmp_path / "a")
    again = fastnn.MLP.load(tmp_path / "a")
    assert (again.embeddings, again.input_scale, again.input_dropout) == (model.embeddings, True, 0.3)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnx.reference")
    model.to_onnx(tmp_path / "a.onnx")
    found = runtime.ReferenceEvaluator(onnx.load(tmp_path / "a.onnx")).run(None, {"X": X})[0]
    np.testing.assert_allclose(found, model.predict(X), rtol=1e-9, atol=1e-9)
