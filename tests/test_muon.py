"""Muon: orthogonal updates of hidden matrices, beside the reference, PyTorch and the fallback, and the same bits."""

from __future__ import annotations

import numpy as np
import pytest
from _model_checks import (
    assert_compiled_code_has_the_bits_of_python,
    assert_files_keep,
    assert_instruction_sets_print_the_same,
    assert_the_fallback_trains_alike,
    assert_trains_like_the_reference,
    compiled,
    with_values,
)

import fastnn
from fastnn import MLP, AdamW, LayerSettings, Muon, Trainer
from fastnn._engine.portable import _compile
from fastnn.reference.updates import orthogonalized

# Hidden matrices that are square, wide, high, with rows of whole KiB, with one row or column; and none.
SIZES = [(3, 8, 8, 2), (4, 5, 33, 17, 3), (6, 40, 9, 1, 7, 2), (2, 20, 256, 30, 1), (5, 9, 2), (4, 3)]
MUON = Muon(0.01, weight_decay=0.1)


def model_of(sizes, dtype=np.float64, **options):
    return with_values(MLP(sizes, "tanh", dtype=dtype, random_state=0, **options))


def data_for(model, n=40):
    rng = np.random.default_rng(2)
    return rng.normal(size=(n, model.layer_sizes[0])), rng.normal(size=(n, model.layer_sizes[-1])), rng.uniform(0, 2, n)


@pytest.mark.parametrize("shape", [(5, 5), (3, 40), (40, 3), (1, 7), (64, 64)])
def test_the_iteration_moves_singular_values_towards_1(shape):
    u = np.random.default_rng(0).normal(size=shape)
    left, _, right = np.linalg.svd(u, full_matrices=False)
    turned = left.T @ orthogonalized(u) @ right.T  # diagonal, since the singular vectors are those of u
    assert ((np.diag(turned) > 0.3) & (np.diag(turned) < 1.3)).all()
    np.testing.assert_allclose(turned, np.diag(np.diag(turned)), atol=1e-12)
    np.testing.assert_array_equal(orthogonalized(np.zeros(shape)), np.zeros(shape))


@pytest.mark.parametrize("shape", [(8, 8), (5, 40), (40, 5)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_matrices_of_any_size_have_the_same_directions(dtype, shape):
    u = np.random.default_rng(0).normal(size=shape).astype(dtype)
    expected = orthogonalized(u)
    largest = float(np.finfo(dtype).max / np.abs(u).max())
    for factor in (largest, largest**0.7, largest**0.5, 1e-3):
        np.testing.assert_allclose(orthogonalized(u * dtype(factor)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("dtype", "scale"), [(np.float32, 1e25), (np.float32, 3e36), (np.float64, 1e200)])
@pytest.mark.parametrize("sizes", [(3, 9, 9, 2), (3, 20, 7, 2), (3, 7, 20, 2)], ids=str)
def test_large_gradients_have_the_directions_of_small_ones(dtype, scale, sizes):
    X, _, _ = data_for(model_of(sizes))
    gradient = np.random.default_rng(1).normal(size=(len(X), sizes[-1])) / len(X)
    models = [model_of(sizes, dtype) for _ in range(2)]
    before = models[0].weights[1].copy()
    for model, factor in zip(models, (1.0, scale), strict=True):
        Trainer(model, "mse", Muon(0.1)).step_gradient(X, gradient * factor)
    assert np.abs(models[0].weights[1] - before).max() > 1e-3
    np.testing.assert_allclose(models[1].weights[1], models[0].weights[1], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("settings", [{}, {"l2": 1e-2, "clip_norm": 0.5, "clip_value": 0.2}], ids=["plain", "all"])
@pytest.mark.parametrize("batch_size", [8, 1000])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_training_gives_the_parameters_of_the_reference(sizes, batch_size, settings):
    model = model_of(sizes)
    data = data_for(model, 1200 if batch_size > 512 else 40)
    tolerance = {"rtol": 1e-6, "atol": 1e-8, "rtol_of_loss": 1e-7}
    assert_trains_like_the_reference(model, *data, MUON, {"batch_size": batch_size, **settings}, **tolerance)


def test_settings_of_layers_apply_to_hidden_matrices():
    for settings in (
        LayerSettings(learning_rate_factor=0.5, weight_decay_factor=2.0),
        [None, LayerSettings(frozen={"weights": True}), LayerSettings(learning_rate_factor={"weights": 0.1}), None],
    ):
        model = model_of((4, 9, 12, 8, 2))
        kept = model.weights[1].copy()
        options = {"batch_size": 8, "layer_settings": settings}
        assert_trains_like_the_reference(model, *data_for(model), MUON, options, rtol=1e-6, atol=1e-8, rtol_of_loss=1e-7)
        assert (model.weights[1] == kept).all() == isinstance(settings, list)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_the_fallback_trains_to_the_same_parameters(sizes, monkeypatch):
    monkeypatch.setattr(_compile, "COMPILED", False)
    model = model_of(sizes)
    assert_the_fallback_trains_alike(model, *data_for(model)[:2], MUON, rtol=1e-5, atol=1e-8)


def test_a_network_without_hidden_matrices_is_trained_by_adamw():
    models = [model_of((5, 9, 2)) for _ in range(2)]
    X, y, _ = data_for(models[0])
    for model, optimizer in zip(models, (Muon(0.01, weight_decay=0.1), AdamW(0.01, weight_decay=0.1)), strict=True):
        model.fit(X, y, optimizer=optimizer, epochs=3, random_state=0)
    np.testing.assert_allclose(models[0].to_vector(), models[1].to_vector(), rtol=1e-12)


@pytest.mark.parametrize("sizes", [(4, 30, 30, 2), (4, 5, 33, 17, 3)])
def test_training_follows_pytorch(sizes, monkeypatch):
    torch = pytest.importorskip("torch")
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this PyTorch has no Muon")
    # PyTorch computes the orthogonal matrix in bfloat16. With 8 bits, the smallest singular values are those of rounding.
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    model = model_of(sizes)
    X, y, _ = data_for(model)
    module = model.to_torch().train()
    linear = [part for part in module if isinstance(part, torch.nn.Linear)]
    hidden = [part.weight for part in linear[1:-1]]
    others = [p for p in module.parameters() if not any(p is each for each in hidden)]
    options = {"lr": 0.01, "weight_decay": 0.1}
    muon = torch.optim.Muon(hidden, adjust_lr_fn="match_rms_adamw", **options)
    optimizers = [muon, torch.optim.AdamW(others, **options)]
    trainer = Trainer(model, "mse", Muon(0.01, weight_decay=0.1))
    inputs, targets = torch.from_numpy(X), torch.from_numpy(y)
    for _ in range(10):
        trainer.step(X, y)
        module.zero_grad()
        torch.nn.functional.mse_loss(module(inputs), targets).backward()
        for optimizer in optimizers:
            optimizer.step()
    for layer, part in enumerate(linear):
        np.testing.assert_allclose(model.weights[layer], part.weight.detach().numpy().T, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(model.biases[layer], part.bias.detach().numpy(), rtol=1e-6, atol=1e-9)


@compiled
def test_compiled_code_has_the_bits_of_python():
    numba = pytest.importorskip("numba")

    @numba.njit
    def train(trainer, X, y, n):
        for _ in range(n):
            trainer.step(X, y)

    trainers = [Trainer(model_of((4, 9, 12, 2)), "mse", MUON, random_state=1) for _ in range(2)]
    X, y, _ = data_for(trainers[0].model)
    train(trainers[0], X, y, 5)
    for _ in range(5):
        trainers[1].step(X, y)
    np.testing.assert_array_equal(trainers[0].model.to_vector(), trainers[1].model.to_vector())
    assert_compiled_code_has_the_bits_of_python([(trainers[0].model, X, y)])


PROGRAM = """
import numpy as np
from _digests import Digest
from fastnn import MLP, Muon
digest, rng = Digest(), np.random.default_rng(0)
for dtype in ("float32", "float64"):
    own = {"dtype": dtype, "dropout": 0.2, "normalization": "layer_norm", "random_state": 1}
    for sizes in ((3, 5, 9, 2), (6, 40, 128, 50, 3), (90, 256, 192, 30)):
        for options in ({}, {"l2": 1e-2, "clip_norm": 0.1}):
            for n, batch_size in ((70, 32), (700, 600)):
                X, y = rng.normal(size=(n, sizes[0])), rng.normal(size=(n, sizes[-1]))
                digest.add(lambda: MLP(sizes, "gelu", **own), X, y, Muon(0.01), batch_size=batch_size, **options)
digest.print()
"""


@compiled
def test_any_number_of_threads_and_instruction_set_gives_the_same_bits():
    assert_instruction_sets_print_the_same(PROGRAM)


@pytest.mark.parametrize("sizes", [(4, 8, 8, 3), (4, 40, 9, 2)])
def test_files_keep_the_state(sizes, tmp_path):
    model = model_of(sizes)
    assert_files_keep(model, *data_for(model)[:2], Muon(fastnn.schedules.Cosine(0.01, 50)), tmp_path)


def test_many_networks_have_the_bits_of_one():
    models = [MLP((4, 8, 8, 1), "tanh", random_state=seed) for seed in range(5)]
    X, y, _ = data_for(models[0])
    alone = [model.copy() for model in models]
    fastnn.fit_many(models, X, y, optimizer=MUON, epochs=3, random_state=list(range(5)))
    for seed, (model, other) in enumerate(zip(models, alone, strict=True)):
        other.fit(X, y, optimizer=MUON, epochs=3, random_state=seed)
        np.testing.assert_array_equal(model.to_vector(), other.to_vector())


def test_shards_sparse_rows_averages_and_single_steps():
    sparse = pytest.importorskip("scipy.sparse")
    X, y, _ = data_for(model_of((30, 17, 12, 2)), 64)
    X = np.where(np.abs(X) > 1, X, 0.0)
    results = []
    for rows, options in (
        (X, {}),
        (sparse.csr_matrix(X), {}),
        (sparse.csr_matrix(X), {"lazy_updates": False}),
        (X, {"n_shards": 2}),
        (X, {"averaging": fastnn.EMA(0.9)}),
    ):
        model = model_of((30, 17, 12, 2))
        Trainer(model, "mse", MUON, batch_size=64, shuffle=False, **options).run(rows, y, 4)
        results.append(model.to_vector())
    stepped = Trainer(model_of((30, 17, 12, 2)), "mse", MUON)
    for _ in range(4):
        stepped.step(X, y)
    results.append(stepped.model.to_vector())
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], rtol=1e-6, atol=1e-8)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_estimators_take_muon():
    pytest.importorskip("sklearn")
    from fastnn.sklearn import MLPRegressor

    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    y = np.sin(2 * X[:, 0])
    for options in ({"solver": "muon", "learning_rate_init": 0.003}, {"solver": Muon(0.003)}):
        fitted = MLPRegressor(hidden_layer_sizes=(24, 24), max_iter=200, random_state=0, **options).fit(X, y)
        assert fitted.score(X, y) > 0.9
        assert fitted.loss_curve_[-1] < 0.1


def test_formats_without_muon_name_it():
    pytest.importorskip("torch")
    with pytest.raises(ValueError, match=r"to_torch: expected an optimizer with one counterpart in PyTorch, .*, got Muon"):
        Trainer(model_of((2, 3, 3, 1)), optimizer=MUON).to_torch()
    assert not hasattr(fastnn.ops, "muon")
