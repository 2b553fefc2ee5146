"""Residual connections: derivatives, training, bits, the fallback and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from _model_checks import (
    assert_central_differences,
    assert_compiled_code_has_the_bits_of_python,
    assert_instruction_sets_print_the_same,
    assert_like_the_reference,
    assert_one_row_is_a_batch_of_one,
    assert_rows_have_the_bits_of_a_batch,
    assert_rows_of_weight_zero_do_not_count,
    assert_the_fallback_trains_alike,
    assert_trains_like_the_reference,
    compiled,
)
from _residual import RESIDUAL, SMALL, data_for, residual_model

import fastnn
from fastnn import LBFGS, MLP, SGD, Adam, AdamW, LayerSettings, Trainer
from fastnn._engine.portable import _compile

networks = pytest.mark.parametrize("name", RESIDUAL)

# ---- Derivatives ----


@pytest.mark.parametrize("name", SMALL)
def test_gradients_are_central_differences(name):
    model = residual_model(name)
    assert_central_differences(model, *data_for(model, 6), atol=1e-7)


@networks
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predictions_and_derivatives_are_those_of_the_reference(name, dtype):
    model = residual_model(name, dtype)
    tolerance = {"rtol": 2e-3, "atol": 2e-3} if dtype == np.float32 else {"rtol": 1e-8, "atol": 1e-9}
    assert_like_the_reference(model, *data_for(model, 600), **tolerance, many_rows=100)


def test_a_connection_adds_what_its_definition_says():
    model = residual_model("simba")
    X = data_for(model)[0]

    def normalized(x, layer):
        centered = x - x.mean(axis=1, keepdims=True)
        return centered / np.sqrt(centered.var(axis=1, keepdims=True) + 1e-5) * model.gains[layer] + model.shifts[layer]

    W, b = model.weights, model.biases
    h = X @ W[0] + b[0]
    for layer in (1, 3):
        h = h + np.maximum(normalized(h, layer - 1) @ W[layer] + b[layer], 0.0) @ W[layer + 1] + b[layer + 1]
    np.testing.assert_allclose(model.predict(X), normalized(h, 4) @ W[5] + b[5], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["simba", "he"])
def test_pytorch_computes_the_same(name, dtype):
    torch = pytest.importorskip("torch")
    model = residual_model(name, np.dtype(dtype))
    X, y, _ = data_for(model)
    nn, kind, n_layers = torch.nn.functional, getattr(torch, dtype), len(model.weights)
    tensors = [torch.from_numpy(p.copy()).requires_grad_() for p in model.parameters]
    rest = iter(tensors)
    of_layers = [
        {name: next(rest) for name, arrays in model._views().items() if arrays and arrays[layer] is not None}
        for layer in range(n_layers)
    ]
    ends = {end: begin for begin, end in model.residual}
    streams = [inputs := torch.from_numpy(X).to(kind)]
    for layer, own in enumerate(of_layers, 1):
        z = inputs @ own["weights"] + own["biases"]
        normalize = lambda x, own=own: nn.layer_norm(x, x.shape[1:], own["gains"], own["shifts"])  # noqa: E731
        place = None if layer == n_layers else model.normalization_place[layer - 1]
        z = normalize(z) if place == "before" else z
        skip = streams[ends[layer]] @ own.get("projections", torch.eye(z.shape[1], dtype=kind)) if layer in ends else 0.0
        activation = torch.relu if model.activations[layer - 1] == "relu" else torch.nn.Identity()
        z = activation(z + skip) if model.residual_place == "before" else activation(z) + skip
        streams.append(z)
        inputs = normalize(z) if place == "after" else z
    nn.mse_loss(inputs, torch.from_numpy(y).to(kind)).backward()
    tolerance = {"rtol": 2e-3, "atol": 2e-3} if dtype == "float32" else {"rtol": 1e-8, "atol": 1e-9}
    np.testing.assert_allclose(model.predict(X), inputs.detach().numpy(), **tolerance)
    for tensor, gradient in zip(tensors, model.gradient(X, y)[1], strict=True):
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), **tolerance)


# ---- Training ----


@pytest.mark.parametrize("optimizer", [SGD(0.005), SGD(0.002, 0.9), Adam(0.01), AdamW(0.01, weight_decay=0.1)], ids=repr)
@pytest.mark.parametrize(
    "settings", [{}, {"l1": 1e-3, "l2": 1e-2, "clip_norm": 0.5, "clip_value": 0.2}], ids=["plain", "all"]
)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize(
    ("name", "batch_size"), [("inputs", 8), ("many", 8), ("he", 8), ("simba", 1000), ("projection", 1000)]
)
def test_training_gives_the_parameters_of_the_reference(name, batch_size, optimizer, settings, dropout):
    model = residual_model(name, dropout=dropout, input_dropout=dropout if name == "inputs" else 0.0)
    data = data_for(model, 1200 if batch_size > 512 else 40)
    drops = {"dropout": dropout, "input_dropout": model.input_dropout}
    tolerance = {"rtol": 1e-6, "atol": 1e-9, "rtol_of_loss": 1e-7}
    assert_trains_like_the_reference(model, *data, optimizer, {"batch_size": batch_size, **settings}, **drops, **tolerance)


@pytest.mark.parametrize("name", ["inputs", "many", "he"])
def test_layers_settings_apply_to_projections(name):
    model = residual_model(name)
    settings = [LayerSettings() for _ in model.weights]
    for layer, projection in enumerate(model.projections):
        if projection is not None:
            settings[layer] = LayerSettings(learning_rate_factor={"projections": 0.3}, l2=0.5)
    if name == "he":
        settings[2] = LayerSettings(frozen={"projections": True})
    frozen = [None if p is None else p.copy() for p in model.projections]
    tolerance = {"rtol": 1e-6, "atol": 1e-9, "rtol_of_loss": 1e-7}
    options = {"batch_size": 8, "layer_settings": settings, "l1": 1e-3}
    assert_trains_like_the_reference(model, *data_for(model, 40), AdamW(0.01), options, **tolerance)
    if name == "he":
        np.testing.assert_array_equal(model.projections[2], frozen[2])


@pytest.mark.parametrize("name", SMALL)
def test_the_fallback_trains_to_the_same_parameters(name, monkeypatch):
    monkeypatch.setattr(_compile, "COMPILED", False)
    model = residual_model(name, dropout=0.2)
    assert_the_fallback_trains_alike(model, *data_for(model)[:2], AdamW(0.01, weight_decay=0.1), gradient_atol=1e-9)


def test_lbfgs_minimizes_the_penalized_loss():
    pytest.importorskip("scipy")
    model = MLP((3, 8, 5, 1), "tanh", residual=[(1, 2), (0, 3)], dtype="float64", random_state=0)
    X, y, _ = data_for(model, 60)
    history = model.fit(X, y, optimizer=LBFGS(), epochs=300, l2=0.1)
    penalty = sum(0.05 * (p**2).sum() for p in (*model.weights, *model.projections) if p is not None)
    assert history["loss"][-1] == pytest.approx(model.loss(X, y) + penalty)
    _, gradients = model.gradient(X, y)
    for p, gradient in zip(model.parameters, gradients, strict=True):
        np.testing.assert_allclose(gradient + (0.1 * p if p.ndim == 2 else 0.0), 0.0, atol=1e-3)


def test_initial_weights_from_data():
    model = MLP((4, 32, 32, 32, 1), "relu", residual=True, random_state=0)
    X = np.random.default_rng(0).normal(3, 100, (500, 4))
    model.init_from_data(X)
    assert np.isfinite(model.predict(X)).all()


# ---- The same bits ----


@compiled
@networks
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_gives_the_same_bits_alone_and_among_others(name, dtype):
    model = residual_model(name, dtype)
    X = data_for(model, 700)[0].astype(dtype)
    assert_rows_have_the_bits_of_a_batch(model, X)


@networks
def test_one_row_has_the_derivatives_of_a_batch_of_one(name):
    model = residual_model(name)
    assert_one_row_is_a_batch_of_one(model, *data_for(model, 1)[:2])


@compiled
def test_compiled_code_has_the_bits_of_python():
    models = [residual_model(name, dropout=0.2) for name in ("simba", "inputs")]
    assert_compiled_code_has_the_bits_of_python([(model, *data_for(model)[:2]) for model in models])


PROGRAM = """
import numpy as np
from _digests import Digest
from _residual import residual_model
from fastnn import SGD, AdamW
digest, rng = Digest(), np.random.default_rng(0)
for dtype in (np.float32, np.float64):
    for name in ("simba", "he", "many", "wide", "embedded"):
        for optimizer, options in ((SGD(0.001), {}), (AdamW(0.001), {"l2": 1e-2, "clip_norm": 0.1})):
            for n, batch_size in ((70, 32), (700, 600)):
                make = lambda: residual_model(name, dtype, dropout=0.2)
                sizes = make().layer_sizes
                X, y = rng.normal(size=(n, sizes[0])), rng.normal(size=(n, sizes[-1]))
                digest.add(make, X, y, optimizer, batch_size=batch_size, **options)
digest.print()
"""


@compiled
def test_any_number_of_threads_and_instruction_set_gives_the_same_bits():
    assert_instruction_sets_print_the_same(PROGRAM)


def test_sparse_rows_train_like_dense_ones():
    sparse = pytest.importorskip("scipy.sparse")
    results = []
    for make in (np.asarray, sparse.csr_matrix):
        model = MLP((30, 17, 17, 2), residual=[(1, 2), (1, 3)], dtype="float64", random_state=0)
        X, y, _ = data_for(model, 60)
        X = make(np.where(np.abs(X) > 1, X, 0.0))
        model.fit(X, y, epochs=3, optimizer=Adam(0.01), random_state=1)
        results += [model.to_vector(), model.predict(X).ravel()]
    np.testing.assert_allclose(results[2], results[0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(results[3], results[1], rtol=1e-9, atol=1e-12)


def test_many_networks_have_the_bits_of_one():
    X, y = np.random.default_rng(0).normal(size=(64, 8)), np.ones((64, 1))
    models = [MLP((8, 8, 8, 1), "tanh", residual=True, random_state=seed) for seed in range(5)]
    alone = [model.copy() for model in models]
    fastnn.fit_many(models, X, y, epochs=3, random_state=list(range(5)))
    for seed, (model, other) in enumerate(zip(models, alone, strict=True)):
        other.fit(X, y, epochs=3, random_state=seed)
        np.testing.assert_array_equal(model.to_vector(), other.to_vector())
    # Models with other connections have other layers, even with the same parameters.
    mixed = [
        models[0],
        MLP((8, 8, 8, 1), "tanh", random_state=9),
        MLP((8, 8, 8, 1), "tanh", residual=(0, 2), random_state=9),
    ]
    np.testing.assert_array_equal(fastnn.predict_many(mixed, X), [m.predict(X) for m in mixed])


def test_shards_have_the_gradients_of_a_batch():
    X, y, _ = data_for(residual_model("simba"), 64)
    models = [residual_model("simba") for _ in range(2)]
    for model, n_shards in zip(models, (2, None), strict=True):
        Trainer(model, "mse", SGD(1e-3), batch_size=64, shuffle=False, n_shards=n_shards).run(X, y, 3)
    np.testing.assert_allclose(models[0].to_vector(), models[1].to_vector(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["simba", "inputs", "many"])
def test_rows_of_weight_zero_do_not_count(name):
    models = [residual_model(name, dropout=0.2) for _ in range(2)]
    assert_rows_of_weight_zero_do_not_count(models, *data_for(models[0], 20)[:2], rtol=1e-8, atol=1e-10)


def test_infinite_inputs_reach_only_their_rows():
    for name in ("simba", "he", "many", "inputs", "wide"):
        model = residual_model(name)
        X = data_for(model, 8)[0]
        expected = model.predict(X)
        X[3] = np.inf
        with np.errstate(all="ignore"):
            got = model.predict(X)
        np.testing.assert_array_equal(np.delete(got, 3, 0), np.delete(expected, 3, 0))
