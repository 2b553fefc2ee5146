"""Embeddings of columns: derivatives, training, and the fallback."""

from __future__ import annotations

import numpy as np
import pytest
from _embedded import IDS, NETWORKS, STEP, categories_of, data_for, difference, in_order, model_with, reference_of

from fastnn import SGD, Adam, AdamW, Lion, Trainer, reference
from fastnn._engine import portable as _portable
from fastnn._engine.losses import native_loss
from fastnn._engine.portable import _compile
from fastnn._views import by_kind, by_layer
from fastnn.losses import MSE


def continuous(model, X):
    """Return the indices of elements of X at which a model has a derivative."""
    codes = categories_of(model)
    return [at for at in np.ndindex(X.shape) if at[1] not in codes]


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
def test_gradients_are_central_differences(network):
    model = model_with(*network)
    X, y, weight = data_for(model, 6)
    loss, gradients = model.gradient(X, y, "mse", weight)
    assert loss == model.loss(X, y, "mse", weight)
    assert len(gradients) == len(model.parameters)
    for array, gradient in zip([*model.parameters, X], [*gradients, model.input_gradient(X, y, "mse", weight)], strict=True):
        places = continuous(model, X) if array is X else list(np.ndindex(array.shape))
        if array is X:
            np.testing.assert_array_equal(gradient[:, list(categories_of(model))], 0.0)
        for index in np.random.default_rng(3).permutation(places)[:25]:
            at = tuple(index)
            expected = difference(lambda: model.loss(X, y, "mse", weight), array, at)
            np.testing.assert_allclose(gradient[at], expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predictions_and_derivatives_are_those_of_the_reference(network, dtype):
    model = model_with(*network, dtype)
    X, y, weight = data_for(model, 600)
    lists, options = reference_of(model)
    expected = reference.forward(*lists, X, **options)
    tolerance = {"rtol": 3e-4, "atol": 3e-5} if dtype == np.float32 else {"rtol": 1e-9, "atol": 1e-11}
    for got, (_, wanted) in zip(model.hidden_activations(X), expected, strict=False):
        np.testing.assert_allclose(got, wanted, **tolerance)
    np.testing.assert_allclose(model.predict(X), expected[-1][1], **tolerance)
    value, *kinds = reference.loss_and_gradient(*lists, X, y, "mse", weight, **options)
    loss, gradients = model.gradient(X, y, "mse", weight)
    assert loss == pytest.approx(value, rel=tolerance["rtol"])
    for gradient, wanted in zip(gradients, in_order(*kinds), strict=True):
        np.testing.assert_allclose(gradient, wanted, **tolerance)
    np.testing.assert_allclose(model.input_gradient(X, y), reference.input_gradient(*lists, X, y, **options), **tolerance)
    by_parameters, by_inputs = model.vjp(X, y, inputs=True)
    inputs, *kinds = reference.vjp(*lists, X, y, **options)
    wide = {name: 20 * value for name, value in tolerance.items()}  # sums over many rows
    np.testing.assert_allclose(by_inputs, inputs, **wide)
    for gradient, wanted in zip(by_parameters, in_order(*kinds), strict=True):
        np.testing.assert_allclose(gradient, wanted, **wide)
    np.testing.assert_allclose(model.jacobian(X[:45]), reference.jacobian(*lists, X[:45], **options), **wide)


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
def test_jacobians_are_central_differences(network):
    model = model_with(*network)
    X = data_for(model, 3)[0]
    jacobian = model.jacobian(X)
    assert jacobian.shape == (3, model.layer_sizes[-1], model.layer_sizes[0])
    for at in continuous(model, X):
        moved = X.copy(), X.copy()
        moved[0][at] += STEP
        moved[1][at] -= STEP
        expected = (model.predict(moved[0])[at[0]] - model.predict(moved[1])[at[0]]) / (2 * STEP)
        np.testing.assert_allclose(jacobian[at[0], :, at[1]], expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("optimizer", [SGD(0.05), SGD(0.02, 0.9), Adam(0.01), AdamW(0.01, weight_decay=0.1)], ids=repr)
@pytest.mark.parametrize(
    "options", [{}, {"l1": 1e-3, "l2": 1e-2, "clip_norm": 0.5, "clip_value": 0.2}], ids=["plain", "all"]
)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("batch_size", [8, 1000])
@pytest.mark.parametrize("network", [NETWORKS[3], NETWORKS[-1]], ids=[IDS[3], IDS[-1]])
def test_training_gives_the_parameters_of_the_reference(network, optimizer, options, dropout, batch_size):
    model = model_with(*network, dropout=dropout)
    X, y, weight = data_for(model, 1200 if batch_size > 512 else 40)
    lists, given = reference_of(model)
    settings = {"batch_size": batch_size, "shuffle": False, **options}
    history = Trainer(model, "mse", optimizer, random_state=5, **settings).run(X, y, 3, sample_weight=weight)
    of_reference = {"optimizer": optimizer, "epochs": 3, "sample_weight": weight, "dropout": dropout}
    losses = reference.train(*lists, X, y, rng=np.random.default_rng(5), **of_reference, **given, **settings)
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-8)
    trained = in_order(*lists[:2], [array for _, array in given["embeddings"]])
    for got, wanted in zip(model.parameters, trained, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
def test_the_fallback_trains_to_the_same_parameters(network, monkeypatch):
    monkeypatch.setattr(_compile, "COMPILED", False)
    model = model_with(*network, dropout=0.2 if len(network[0]) > 2 else 0.0)
    X, y, _ = data_for(model)
    mine = model._network
    sizes = mine.layer_sizes, mine.activations, mine.dropout
    fallback = _portable.Network(*sizes, np.float64, mine.normalizations, embeddings=mine.embeddings)
    for array, view in zip(by_kind(fallback.parameters), by_kind(mine.parameters), strict=True):
        array[...] = view
    np.testing.assert_allclose(fallback.predict(X), model.predict(X), rtol=1e-9, atol=1e-12)
    gradient, jacobian = np.zeros_like(fallback.storage), np.zeros((len(X), mine.layer_sizes[-1], mine.layer_sizes[0]))
    value = fallback.gradient(native_loss(MSE(), "identity"), X, y, False, gradient=gradient)
    loss, gradients = model.gradient(X, y)
    assert value == pytest.approx(loss)
    for got, wanted in zip(by_layer(fallback.views(gradient)), gradients, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-8, atol=1e-11)
    fallback.jacobian(X, jacobian)
    np.testing.assert_allclose(jacobian, model.jacobian(X), rtol=1e-8, atol=1e-11)
    optimizer = AdamW(0.01, weight_decay=0.1)
    trainer = Trainer(model, "mse", optimizer, batch_size=8, random_state=5, l2=0.1)
    settings = trainer._wanted.settings
    moments = np.zeros((len(settings.moments), fallback.storage.size))
    settings = settings._replace(moments=moments, bit_generator=np.random.default_rng(5).bit_generator, shuffle=True)
    run = _portable.Run(fallback, (X, y, False, None), settings, 3, 0)
    run.set_rates(np.full(1, optimizer.learning_rate))
    assert run.advance(1e9, 3) == "finished"
    history = trainer.run(X, y, 3)
    np.testing.assert_allclose(run.epoch_loss, history["loss"], rtol=1e-8)
    for got, wanted in zip(by_kind(fallback.parameters), by_kind(mine.parameters), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-7, atol=1e-10)


def test_penalties_and_decay_do_not_change_embeddings():
    model = model_with(*NETWORKS[3])
    for w in model.weights:
        w[...] = 0.0  # so that nothing before them has a gradient
    before = [p.copy() for p in model.embedding_parameters]
    X, y, _ = data_for(model)
    for optimizer in (AdamW(1e-9, weight_decay=0.5), Lion(1e-9, weight_decay=0.5)):
        Trainer(model, "mse", optimizer, batch_size=64, l1=0.01, l2=0.1).run(X, y, 1)
    for got, wanted in zip(model.embedding_parameters, before, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
def test_rows_of_weight_zero_do_not_count(network):
    models = [model_with(*network) for _ in range(2)]
    X, y, _ = data_for(models[0], 20)
    for model, n in zip(models, (20, 10), strict=True):  # the second batch has no row that counts
        trainer = Trainer(model, optimizer=SGD(0.1), batch_size=10, shuffle=False, random_state=0)
        trainer.run(X[:n], y[:n], 1, sample_weight=(np.arange(20) < 10)[:n])
    np.testing.assert_array_equal(models[0].to_vector(), models[1].to_vector())
    model = models[0]
    X[3] = np.nan
    half = model.gradient(X, y, "mse", np.arange(20) != 3)[1]
    rest = model.gradient(np.delete(X, 3, 0), np.delete(y, 3, 0))[1]
    for got, wanted in zip(half, rest, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-14)
