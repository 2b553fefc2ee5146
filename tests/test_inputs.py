"""Scales and dropout of inputs: derivatives, training, sparse rows, bits and the fallback."""

from __future__ import annotations

import numpy as np
import pytest
from _parts import IDS, NETWORKS, data_for, difference, in_order, model_with, parameters_of, reference_of

import fastnn
from fastnn import SGD, Adam, AdamW, Trainer, reference
from fastnn._engine import portable as _portable
from fastnn._engine.losses import native_loss
from fastnn._engine.portable import _compile
from fastnn._views import by_kind, by_layer
from fastnn.losses import MSE

# ---- Derivatives ----


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
def test_gradients_are_central_differences(network):
    model = model_with(*network)
    X, y, weight = data_for(model, 6)
    X += 0.1  # away from rows of zeros, whose normalization is steep
    _, gradients = model.gradient(X, y, "mse", weight)
    assert len(gradients) == len(model.parameters)
    for array, gradient in zip([*model.parameters, X], [*gradients, model.input_gradient(X, y, "mse", weight)], strict=True):
        for index in np.random.default_rng(3).permutation(list(np.ndindex(array.shape)))[:25]:
            at = tuple(index)
            expected = difference(lambda: model.loss(X, y, "mse", weight), array, at)
            np.testing.assert_allclose(gradient[at], expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predictions_and_derivatives_are_those_of_the_reference(network, dtype):
    model = model_with(*network, dtype)
    X, y, weight = data_for(model, 600)
    X += 0.1
    lists, options = reference_of(model)
    tolerance = {"rtol": 1e-3, "atol": 1e-4} if dtype == np.float32 else {"rtol": 1e-8, "atol": 1e-11}
    np.testing.assert_allclose(model.predict(X), reference.forward(*lists, X, **options)[-1][1], **tolerance)
    value, *kinds = reference.loss_and_gradient(*lists, X, y, "mse", weight, **options)
    loss, gradients = model.gradient(X, y, "mse", weight)
    assert loss == pytest.approx(value, rel=tolerance["rtol"])
    for gradient, wanted in zip(gradients, in_order(*kinds), strict=True):
        np.testing.assert_allclose(gradient, wanted, **tolerance)
    np.testing.assert_allclose(model.input_gradient(X, y), reference.input_gradient(*lists, X, y, **options), **tolerance)
    by_parameters, by_inputs = model.vjp(X, y, inputs=True)
    inputs, *kinds = reference.vjp(*lists, X, y, **options)
    wide = {name: 30 * value for name, value in tolerance.items()}  # sums over many rows
    np.testing.assert_allclose(by_inputs, inputs, **wide)
    for gradient, wanted in zip(by_parameters, in_order(*kinds), strict=True):
        np.testing.assert_allclose(gradient, wanted, **wide)
    np.testing.assert_allclose(model.jacobian(X[:45]), reference.jacobian(*lists, X[:45], **options), **wide)


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
    lists, options = reference_of(model)
    settings = {"batch_size": batch_size, "shuffle": False, **settings}
    rows = pytest.importorskip("scipy.sparse").csr_array(X) if sparse else X
    history = Trainer(model, "mse", optimizer, random_state=5, **settings).run(rows, y, 3, sample_weight=weight)
    own = {"optimizer": optimizer, "epochs": 3, "rng": np.random.default_rng(5), "sample_weight": weight}
    losses = reference.train(*lists, X, y, input_dropout=rates[0], dropout=rates[1], **own, **options, **settings)
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-7)
    for got, wanted in zip(model.parameters, parameters_of(lists, options), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-9)


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
    X, y, _ = data_for(model)
    mine = model._network
    fallback = _portable.Network(
        *(mine.layer_sizes, mine.activations, mine.dropout, np.float64, mine.normalizations, True, 0.2)
    )
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
