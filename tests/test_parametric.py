"""Parametric activations: derivatives, training, bits and the fallback."""

from __future__ import annotations

import numpy as np
import pytest
from _model_checks import (
    STEP,
    assert_central_differences,
    assert_compiled_code_has_the_bits_of_python,
    assert_instruction_sets_print_the_same,
    assert_like_the_reference,
    assert_one_row_is_a_batch_of_one,
    assert_rows_have_the_bits_of_a_batch,
    assert_the_fallback_trains_alike,
    assert_trains_like_the_reference,
    compiled,
    difference,
    parameters_of,
    reference_of,
)
from _parts import PARAMETRIC, PARAMETRIC_IDS, data_for, parametric_model

import fastnn
from fastnn import MLP, SGD, Adam, AdamW, Trainer, reference
from fastnn._engine import core as _core
from fastnn._engine.portable import _compile

networks = pytest.mark.parametrize("network", PARAMETRIC, ids=PARAMETRIC_IDS)
HIDDEN = [name for name in _core.ACTIVATIONS if name not in ("identity", "exp", "softmax")]

# ---- Derivatives ----


@networks
def test_gradients_are_central_differences(network):
    model = parametric_model(*network)
    X, y, weight = data_for(model, 6)
    X += 0.1
    assert_central_differences(model, X, y, weight, atol=1e-7)


@pytest.mark.parametrize("activation", HIDDEN)
def test_every_activation_has_the_values_of_the_formula(activation):
    model = parametric_model((1, 40, 1), [activation], None, "before", True)
    model.alphas[0][...] = np.linspace(-1, 2, 40)
    x = np.linspace(-3, 3, 31)[:, None]
    z = x @ model.weights[0] + model.biases[0]
    expected = z + model.alphas[0] * (reference.ACTIVATIONS[activation].value(z) - z)
    np.testing.assert_allclose(model.hidden_activations(x)[0], expected, rtol=1e-9, atol=1e-12)
    moved = [model.predict(x + step) for step in (STEP, -STEP)]
    np.testing.assert_allclose(model.jacobian(x)[:, 0], (moved[0] - moved[1]) / (2 * STEP), rtol=1e-6, atol=1e-7)


@networks
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predictions_and_derivatives_are_those_of_the_reference(network, dtype):
    model = parametric_model(*network, dtype)
    X, y, weight = data_for(model, 600)
    X += 0.1
    tolerance = {"rtol": 1e-3, "atol": 1e-4} if dtype == np.float32 else {"rtol": 1e-8, "atol": 1e-10}
    assert_like_the_reference(model, X, y, weight, **tolerance, many_rows=100)


# ---- Training ----


@pytest.mark.parametrize("optimizer", [SGD(0.02), SGD(0.02, 0.9), Adam(0.01), AdamW(0.01, weight_decay=0.1)], ids=repr)
@pytest.mark.parametrize(
    "settings", [{}, {"l1": 1e-3, "l2": 1e-2, "clip_norm": 0.5, "clip_value": 0.2}], ids=["plain", "all"]
)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize(
    ("network", "batch_size"), [(PARAMETRIC[1], 8), (PARAMETRIC[3], 1000)], ids=["normalized", "chunks"]
)
def test_training_gives_the_parameters_of_the_reference(network, batch_size, optimizer, settings, dropout):
    model = parametric_model(*network, dropout=dropout)
    data = data_for(model, 1200 if batch_size > 512 else 40)
    settings = {"batch_size": batch_size, **settings}
    tolerance = {"rtol": 1e-6, "atol": 1e-9, "rtol_of_loss": 1e-7}
    assert_trains_like_the_reference(model, *data, optimizer, settings, dropout=dropout, **tolerance)


def test_scales_and_alphas_train_together():
    model = parametric_model(*PARAMETRIC[1], input_scale=True, input_dropout=0.1)
    X, y, _ = data_for(model, 40)
    lists, options = reference_of(model)
    Trainer(model, "mse", Adam(0.01), random_state=5, batch_size=8).run(X, y, 3)
    own = {"optimizer": Adam(0.01), "epochs": 3, "batch_size": 8, "rng": np.random.default_rng(5)}
    reference.train(*lists, X, y, input_dropout=0.1, **own, **options)
    for got, wanted in zip(model.parameters, parameters_of(lists, options), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-9)


def test_penalties_and_decay_do_not_change_alphas():
    model = MLP((2, 40, 3), "relu", parametric_activation=True, random_state=0)
    model.weights[1][...] = 0.0  # so that nothing before it has a gradient
    model.biases[1][...] = 1.0
    Trainer(model, "mse", AdamW(1e-9, weight_decay=0.5), l1=0.01, l2=0.1).run(np.ones((8, 2)), np.ones((8, 3)), 1)
    np.testing.assert_array_equal(model.alphas[0], 1.0)


def test_lbfgs_and_shards_train_alphas():
    pytest.importorskip("scipy")
    X = np.random.default_rng(0).normal(size=(64, 5))
    model = MLP((5, 17, 9, 1), "tanh", parametric_activation=True, dtype="float64", random_state=0)
    sharded = [model.copy() for _ in range(2)]
    assert model.fit(X, X[:, :1] ** 2, optimizer="lbfgs", epochs=100)["loss"][-1] < 0.02
    assert (model.alphas[1] != 1.0).all()
    for n_threads, other in enumerate(sharded, 1):
        Trainer(other, n_shards=4, batch_size=4, random_state=0, n_threads=n_threads).run(X, X[:, :1] ** 2, 2)
        assert (other.alphas[0] != 1.0).all()
    np.testing.assert_array_equal(sharded[0].to_vector(), sharded[1].to_vector())


@pytest.mark.parametrize(("network", "how"), [*((network, "plain") for network in PARAMETRIC), (PARAMETRIC[0], "compiled")])
def test_the_fallback_trains_to_the_same_parameters(network, how, monkeypatch):
    if how == "plain":
        monkeypatch.setattr(_compile, "COMPILED", False)
    model = parametric_model(*network, dropout=0.2)
    X, y, _ = data_for(model)
    X += 0.1
    tolerance = {"gradient_atol": 1e-10, "rtol_of_loss": 1e-7, "rtol": 1e-6, "atol": 1e-9}
    assert_the_fallback_trains_alike(model, X, y, AdamW(0.001), **tolerance)


# ---- Bits ----


@compiled
@networks
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_gives_the_same_bits_alone_and_among_others(network, dtype):
    model = parametric_model(*network, dtype)
    X, y, _ = data_for(model, 700)
    X, y = X.astype(dtype), y.astype(dtype)
    assert_rows_have_the_bits_of_a_batch(model, X)
    assert_one_row_is_a_batch_of_one(model, X[:1], y[:1])


@compiled
def test_compiled_code_has_the_bits_of_python():
    model = parametric_model(*PARAMETRIC[1], dropout=0.2)
    assert_compiled_code_has_the_bits_of_python([(model, *data_for(model)[:2])])


PROGRAM = """
import hashlib
import numpy as np
import scipy.sparse
from fastnn import MLP, SGD, AdamW, Trainer
digest = hashlib.sha256()
rng = np.random.default_rng(0)
for dtype in ("float32", "float64"):
    for sizes in ((3, 5, 2), (6, 40, 300, 3), (90, 256, 192, 30)):
        for activation in ("mish", "sin", "relu"):
            for optimizer, options in ((SGD(0.01), {}), (AdamW(0.01), {"l2": 1e-2, "clip_norm": 0.1})):
                runs = ((70, 32, False), (700, 600, False), (70, 32, True))
                for n, batch_size, sparse in runs[:1] if sizes[0] == 90 else runs:  # there, threads split outputs
                    X, y = rng.normal(size=(n, sizes[0])).astype(dtype), rng.normal(size=(n, sizes[-1]))
                    if sparse:
                        X = scipy.sparse.csr_matrix(X * (X > 0.5))
                    states = set()
                    for n_threads in (1, 2, 3):
                        model = MLP(sizes, activation, parametric_activation=True, dtype=dtype, dropout=0.2, random_state=1)
                        settings = {"batch_size": batch_size, "random_state": 2, "n_threads": n_threads} | options
                        history = Trainer(model, "mse", optimizer, **settings).run(X, y, 2)
                        states.add(model.to_vector().tobytes() + history["loss"].tobytes() + model.predict(X).tobytes())
                    assert len(states) == 1 and np.isfinite(model.to_vector()).all()
                    digest.update(states.pop())
                    digest.update(model.jacobian(X[:40]).tobytes())
print(digest.hexdigest())
"""


@compiled
def test_any_number_of_threads_and_instruction_set_gives_the_same_bits():
    pytest.importorskip("scipy")
    assert_instruction_sets_print_the_same(PROGRAM)


def test_many_networks_have_the_bits_of_one():
    X, y = np.random.default_rng(0).normal(size=(64, 8)), np.ones((64, 1))
    models = [MLP((8, 16, 1), "tanh", parametric_activation=True, random_state=seed) for seed in range(5)]
    alone = [model.copy() for model in models]
    fastnn.fit_many(models, X, y, epochs=3, random_state=list(range(5)))
    for seed, (model, other) in enumerate(zip(models, alone, strict=True)):
        other.fit(X, y, epochs=3, random_state=seed)
        np.testing.assert_array_equal(model.to_vector(), other.to_vector())
    mixed = [models[0], MLP((8, 16, 1), "tanh", random_state=9)]
    np.testing.assert_array_equal(fastnn.predict_many(mixed, X), [m.predict(X) for m in mixed])


@compiled
def test_custom_activations_may_be_parametric():
    pytest.importorskip("numba")
    from fastnn import jit

    @jit.activation(derivative=lambda z: 1.0 / (1.0 + abs(z)) ** 2, uses="input", name="softsign in part")
    def softsign(z):
        return z / (1.0 + abs(z))

    model = parametric_model((3, 270, 2), [softsign], "layer_norm", "before", True)
    X, y, _ = data_for(model, 6)
    _, gradients = model.gradient(X, y)
    for array, gradient in zip(model.parameters, gradients, strict=True):
        for at in list(np.ndindex(array.shape))[:5]:
            np.testing.assert_allclose(gradient[at], difference(lambda: model.loss(X, y), array, at), rtol=1e-6, atol=1e-8)
