"""LayerNorm and RMSNorm before and after activations: derivatives, training, the fallback and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from _model_checks import (
    STEP,
    assert_central_differences,
    assert_like_the_reference,
    assert_the_fallback_trains_alike,
    assert_trains_like_the_reference,
)
from _normalized import IDS, NETWORKS, data_for, model_with

from fastnn import SGD, Adam, AdamW
from fastnn._engine.portable import _compile


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
def test_gradients_are_central_differences(network):
    model = model_with(*network)
    assert_central_differences(model, *data_for(model, 6), atol=1e-8)


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predictions_and_derivatives_are_those_of_the_reference(network, dtype):
    model = model_with(*network, dtype)
    tolerance = {"rtol": 3e-4, "atol": 3e-5} if dtype == np.float32 else {"rtol": 1e-8, "atol": 1e-11}
    assert_like_the_reference(model, *data_for(model, 600), **tolerance)


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
    data = data_for(model, 1200 if batch_size > 512 else 40)
    settings = {"batch_size": batch_size, **options}
    tolerance = {"rtol": 1e-7, "atol": 1e-10, "rtol_of_loss": 1e-8}
    assert_trains_like_the_reference(model, *data, optimizer, settings, dropout=dropout, **tolerance)


@pytest.mark.parametrize(("network", "how"), [*((network, "plain") for network in NETWORKS[4:7]), (NETWORKS[6], "compiled")])
def test_the_fallback_trains_to_the_same_parameters(network, how, monkeypatch):
    if how == "plain":
        monkeypatch.setattr(_compile, "COMPILED", False)
    model = model_with(*network, dropout=0.2)
    assert_the_fallback_trains_alike(model, *data_for(model)[:2], AdamW(0.01, weight_decay=0.1))


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
