"""LayerNorm and RMSNorm before and after activations: derivatives, training, the fallback and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from _normalized import IDS, NETWORKS, STEP, data_for, difference, model_with

from fastnn import SGD, Adam, AdamW, Trainer, reference
from fastnn._engine import portable as _portable
from fastnn._engine.losses import native_loss
from fastnn._engine.portable import _compile
from fastnn._views import by_kind, by_layer
from fastnn.losses import MSE


def reference_of(model):
    """Return copies of the lists that the reference takes, and the options."""
    copies = {name: [None if v is None else v.copy() for v in views] for name, views in model._views().items()}
    normalizations = [
        None if each is None else reference.Normalization(each[0], gains, shifts, each[1])
        for each, gains, shifts in zip(model._network.normalizations, copies["gains"], copies["shifts"], strict=True)
    ]
    lists = copies["weights"], copies["biases"], model.activations
    return lists, {"slopes": copies["slopes"], "normalizations": normalizations}


def in_order(weights, biases, slopes, normalizations):
    """Return gradients of the reference in the order of a model's parameters."""
    result = []
    for w, b, s, n in zip(weights, biases, slopes, normalizations, strict=True):
        result += [w, b, *([] if s is None else [s]), *(n or ())]
    return result


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
def test_gradients_are_central_differences(network):
    model = model_with(*network)
    X, y, weight = data_for(model, 6)
    _, gradients = model.gradient(X, y, "mse", weight)
    assert len(gradients) == len(model.parameters)
    for array, gradient in zip([*model.parameters, X], [*gradients, model.input_gradient(X, y, "mse", weight)], strict=True):
        for index in np.random.default_rng(3).permutation(list(np.ndindex(array.shape)))[:25]:
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
    tolerance = {"rtol": 3e-4, "atol": 3e-5} if dtype == np.float32 else {"rtol": 1e-8, "atol": 1e-11}
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


@pytest.mark.parametrize("normalization", ["layer_norm", "rms_norm"])
@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("sizes", [(2, 18, 5, 7), (40, 18, 20, 3)])
def test_jacobians_in_both_modes_are_central_differences(normalization, place, sizes):
    model = model_with(sizes, ["tanh", "prelu"], normalization, place)
    X = data_for(model, 3)[0]
    jacobian = model.jacobian(X)
    for k in range(sizes[0]):
        moved = [model.predict(X + step * (np.arange(sizes[0]) == k)) for step in (STEP, -STEP)]
        np.testing.assert_allclose(jacobian[:, :, k], (moved[0] - moved[1]) / (2 * STEP), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("optimizer", [SGD(0.05), SGD(0.02, 0.9), Adam(0.01), AdamW(0.01, weight_decay=0.1)], ids=repr)
@pytest.mark.parametrize(
    "options", [{}, {"l1": 1e-3, "l2": 1e-2, "clip_norm": 0.5, "clip_value": 0.2}], ids=["plain", "all"]
)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("batch_size", [8, 1000])
@pytest.mark.parametrize("network", NETWORKS[4:7], ids=IDS[4:7])
def test_training_gives_the_parameters_of_the_reference(network, optimizer, options, dropout, batch_size):
    model = model_with(*network, dropout=dropout)
    X, y, weight = data_for(model, 1200 if batch_size > 512 else 40)
    lists, parameters = reference_of(model)
    settings = {"batch_size": batch_size, "shuffle": False, **options}
    history = Trainer(model, "mse", optimizer, random_state=5, **settings).run(X, y, 3, sample_weight=weight)
    losses = reference.train(
        *lists,
        X,
        y,
        optimizer=optimizer,
        epochs=3,
        rng=np.random.default_rng(5),
        sample_weight=weight,
        dropout=dropout,
        **parameters,
        **settings,
    )
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-8)
    normalizations = [n and ([n.gains] if n.shifts is None else [n.gains, n.shifts]) for n in parameters["normalizations"]]
    for got, wanted in zip(model.parameters, in_order(*lists[:2], parameters["slopes"], normalizations), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize(("network", "how"), [*((network, "plain") for network in NETWORKS[4:7]), (NETWORKS[6], "compiled")])
def test_the_fallback_trains_to_the_same_parameters(network, how, monkeypatch):
    if how == "plain":
        monkeypatch.setattr(_compile, "COMPILED", False)
    model = model_with(*network, dropout=0.2)
    X, y, _ = data_for(model)
    mine = model._network
    fallback = _portable.Network(mine.layer_sizes, mine.activations, mine.dropout, np.float64, mine.normalizations)
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


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("normalization", ["layer_norm", "rms_norm"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pytorch_computes_the_same(normalization, place, dtype):
    torch = pytest.importorskip("torch")
    model = model_with((5, 24, 33, 3), ["silu", "relu"], normalization, place, np.dtype(dtype))
    X, y, _ = data_for(model)
    kinds = {"layer_norm": torch.nn.LayerNorm, "rms_norm": lambda n: torch.nn.RMSNorm(n, eps=1e-5)}
    parts, arrays = [], []
    for layer, activation in enumerate((torch.nn.SiLU(), torch.nn.ReLU(), None)):
        linear = torch.nn.Linear(*model.layer_sizes[layer : layer + 2])
        parts.append(linear)
        arrays += [(linear.weight, model.weights[layer].T), (linear.bias, model.biases[layer])]
        if activation is not None:
            normalized = kinds[normalization](model.layer_sizes[layer + 1])
            parts += [normalized, activation] if place == "before" else [activation, normalized]
            arrays.append((normalized.weight, model.gains[layer]))
            if normalization == "layer_norm":
                arrays.append((normalized.bias, model.shifts[layer]))
    module = torch.nn.Sequential(*parts).to(getattr(torch, dtype))
    with torch.no_grad():
        for tensor, array in arrays:
            tensor.copy_(torch.from_numpy(array.copy()))
    outputs = module(torch.from_numpy(X.astype(dtype)))
    torch.nn.functional.mse_loss(outputs, torch.from_numpy(y.astype(dtype))).backward()
    tolerance = {"rtol": 2e-4, "atol": 2e-6} if dtype == "float32" else {"rtol": 1e-9, "atol": 1e-13}
    np.testing.assert_allclose(model.predict(X), outputs.detach().numpy(), **tolerance)
    _, gradients = model.gradient(X, y)
    for (tensor, _), gradient in zip(arrays, gradients, strict=True):
        expected = tensor.grad.numpy()
        np.testing.assert_allclose(gradient, expected.T if expected.ndim == 2 else expected, **tolerance)
