"""Embeddings of columns: derivatives, training, and the fallback."""

from __future__ import annotations

import numpy as np
import pytest
from _embedded import IDS, NETWORKS, categories_of, data_for, model_with
from _model_checks import (
    STEP,
    assert_central_differences,
    assert_like_the_reference,
    assert_rows_of_weight_zero_do_not_count,
    assert_the_fallback_trains_alike,
    assert_trains_like_the_reference,
)

from fastnn import SGD, Adam, AdamW, Lion, Trainer
from fastnn._engine.portable import _compile


def continuous(model, X):
    """Return the indices of elements of X at which a model has a derivative."""
    codes = categories_of(model)
    return [at for at in np.ndindex(X.shape) if at[1] not in codes]


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
def test_gradients_are_central_differences(network):
    model = model_with(*network)
    X, y, weight = data_for(model, 6)
    assert_central_differences(model, X, y, weight, atol=1e-8, places_of_x=continuous(model, X))
    by_inputs = model.input_gradient(X, y, "mse", weight)
    np.testing.assert_array_equal(by_inputs[:, list(categories_of(model))], 0.0)


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predictions_and_derivatives_are_those_of_the_reference(network, dtype):
    model = model_with(*network, dtype)
    tolerance = {"rtol": 3e-4, "atol": 3e-5} if dtype == np.float32 else {"rtol": 1e-9, "atol": 1e-11}
    assert_like_the_reference(model, *data_for(model, 600), **tolerance)


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
    data = data_for(model, 1200 if batch_size > 512 else 40)
    settings = {"batch_size": batch_size, **options}
    tolerance = {"rtol": 1e-7, "atol": 1e-10, "rtol_of_loss": 1e-8}
    assert_trains_like_the_reference(model, *data, optimizer, settings, dropout=dropout, **tolerance)


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
def test_the_fallback_trains_to_the_same_parameters(network, monkeypatch):
    monkeypatch.setattr(_compile, "COMPILED", False)
    model = model_with(*network, dropout=0.2 if len(network[0]) > 2 else 0.0)
    assert_the_fallback_trains_alike(model, *data_for(model)[:2], AdamW(0.01, weight_decay=0.1))


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
    assert_rows_of_weight_zero_do_not_count(models, *data_for(models[0], 20)[:2], rtol=1e-9, atol=1e-14)
