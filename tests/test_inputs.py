"""Scales and dropout of inputs: derivatives, training, sparse rows, bits and the fallback."""

from __future__ import annotations

import numpy as np
import pytest
from _model_checks import (
    assert_central_differences,
    assert_like_the_reference,
    assert_the_fallback_trains_alike,
    assert_trains_like_the_reference,
    difference,
)
from _parts import IDS, NETWORKS, data_for, model_with

import fastnn
from fastnn import SGD, Adam, AdamW, Trainer, reference
from fastnn._engine.portable import _compile

# ---- Derivatives ----


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
def test_gradients_are_central_differences(network):
    model = model_with(*network)
    X, y, weight = data_for(model, 6)
    X += 0.1  # away from rows of zeros, whose normalization is steep
    assert_central_differences(model, X, y, weight, atol=1e-7)


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predictions_and_derivatives_are_those_of_the_reference(network, dtype):
    model = model_with(*network, dtype)
    X, y, weight = data_for(model, 600)
    X += 0.1
    tolerance = {"rtol": 1e-3, "atol": 1e-4} if dtype == np.float32 else {"rtol": 1e-8, "atol": 1e-11}
    assert_like_the_reference(model, X, y, weight, **tolerance, many_rows=30)


def test_the_reference_passes_masks_and_scales_back():
    rng = np.random.default_rng(0)
    x, scales, mask, grad = (
        rng.normal(size=(4, 3)),
        rng.normal(size=3),
        rng.integers(0, 3, (4, 3)) * 0.5,
        rng.normal(size=(4, 3)),
    )
    for s in (scales, None):
        for m in (mask, None):
            by_x, by_scales = reference.scale_inputs_grad(x, s, m, grad)

            def value(s=s, m=m):
                return float(np.sum(grad * reference.scale_inputs(x, s, m)))

            np.testing.assert_allclose(by_x[1, 2], difference(value, x, (1, 2)), rtol=1e-6, atol=1e-9)
            if s is None:
                assert by_scales is None
            else:
                np.testing.assert_allclose(by_scales[1], difference(value, s, (1,)), rtol=1e-6, atol=1e-9)


# ---- Training ----


@pytest.mark.parametrize("optimizer", [SGD(0.02), SGD(0.02, 0.9), Adam(0.01), AdamW(0.01, weight_decay=0.1)], ids=repr)
@pytest.mark.parametrize(
    "settings", [{}, {"l1": 1e-3, "l2": 1e-2, "clip_norm": 0.5, "clip_value": 0.2}], ids=["plain", "all"]
)
@pytest.mark.parametrize("rates", [(0.0, 0.0), (0.3, 0.2)], ids=str)
@pytest.mark.parametrize(("network", "batch_size"), [(NETWORKS[1], 8), (NETWORKS[4], 1000)], ids=["hidden", "chunks"])
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
def test_training_gives_the_parameters_of_the_reference(network, batch_size, optimizer, settings, rates, sparse):
    model = model_with(*network, input_dropout=rates[0], dropout=rates[1])
    X, y, weight = data_for(model, 1200 if batch_size > 512 else 40)
    X[:, 0] = 1.0  # so that no row is empty
    rows = pytest.importorskip("scipy.sparse").csr_array(X) if sparse else X
    settings = {"batch_size": batch_size, **settings}
    tolerance = {"rtol": 1e-6, "atol": 1e-9, "rtol_of_loss": 1e-7}
    drops = {"input_dropout": rates[0], "dropout": rates[1]}
    assert_trains_like_the_reference(model, X, y, weight, optimizer, settings, rows=rows, **drops, **tolerance)


def test_dropout_of_inputs_alone_draws_the_masks_of_the_reference():
    model = fastnn.MLP((7, 9, 2), "tanh", input_dropout=0.4, dtype="float64", random_state=0)
    X, y, _ = data_for(model, 50)
    lists = [w.copy() for w in model.weights], [b.copy() for b in model.biases], model.activations
    Trainer(model, "mse", SGD(0.1), random_state=5, batch_size=16).run(X, y, 2)
    own = {"optimizer": SGD(0.1), "epochs": 2, "batch_size": 16, "rng": np.random.default_rng(5)}
    reference.train(*lists, X, y, input_dropout=0.4, **own)
    np.testing.assert_allclose(model.weights[0], lists[0][0], rtol=1e-9)
    np.testing.assert_allclose(model.predict(X), reference.forward(*lists, X)[-1][1], rtol=1e-9)  # drops nothing


# ---- The fallback ----


@pytest.mark.parametrize(("network", "how"), [*((network, "plain") for network in NETWORKS[:5]), (NETWORKS[1], "compiled")])
def test_the_fallback_trains_to_the_same_parameters(network, how, monkeypatch):
    if how == "plain":
        monkeypatch.setattr(_compile, "COMPILED", False)
    model = model_with(*network, input_dropout=0.2, dropout=0.1)
    assert_the_fallback_trains_alike(model, *data_for(model)[:2], AdamW(0.01, weight_decay=0.1))
