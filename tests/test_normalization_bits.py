"""Networks with normalizations: the same bits in any batch, on any number of threads, and in compiled code."""

from __future__ import annotations

import numpy as np
import pytest
from _helpers import run_script
from _normalized import IDS, NETWORKS, data_for, difference, model_with

import fastnn
from fastnn import MLP, SGD, Adam, Trainer
from fastnn._engine import core as _core
from fastnn._engine import portable as _portable


@pytest.mark.skipif(_core is _portable, reason="needs the compiled extension")
@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_gives_the_same_bits_alone_and_among_others(network, dtype):
    model = model_with(*network, dtype)
    X = data_for(model, 700)[0].astype(dtype)
    expected = model.predict(X)
    for n_threads in (1, 2, 3):
        np.testing.assert_array_equal(model.predict(X, n_threads=n_threads), expected)
        np.testing.assert_array_equal(model.predict(X[:5], n_threads=n_threads), expected[:5])
    for i in (0, 17, 699):
        np.testing.assert_array_equal(model.predict(X[i]), expected[i])
        np.testing.assert_array_equal(model.predict(X[i].tolist()), expected[i])
    np.testing.assert_array_equal(model.hidden_activations(X)[0][3:4], model.hidden_activations(X[3:4])[0])
    np.testing.assert_array_equal(fastnn.predict_many([model, model], X), [expected, expected])


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_row_has_the_derivatives_of_a_batch_of_one(network, dtype):
    model = model_with(*network, dtype)
    X, y, _ = data_for(model, 1)
    X, y = X.astype(dtype), y.astype(dtype)
    for _ in range(2):  # the first call with a shape takes the general path
        assert model.loss(X[0], y[0]) == model.loss(X, y)
        for got, wanted in zip(model.gradient(X[0], y[0])[1], model.gradient(X, y)[1], strict=True):
            np.testing.assert_array_equal(got, wanted)
        for got, wanted in zip(model.vjp(X[0], y[0]), model.vjp(X, y), strict=True):
            np.testing.assert_array_equal(got, wanted)
        np.testing.assert_array_equal(model.input_gradient(X[0], y[0]), model.input_gradient(X, y)[0])
        np.testing.assert_array_equal(model.jacobian(X[0]), model.jacobian(X)[0])


@pytest.mark.skipif(_core is _portable, reason="needs the compiled extension")
@pytest.mark.parametrize("place", ["before", "after"])
def test_compiled_code_has_the_bits_of_python(place):
    numba = pytest.importorskip("numba")

    @numba.njit
    def derivatives(model, X, y):
        return model.predict(X), model.jacobian(X), model.vjp(X, y), model.gradient(X, y)

    @numba.njit
    def train(trainer, X, y, n):
        for _ in range(n):
            trainer.step(X, y)

    model = model_with((4, 17, 33, 3), ["prelu", "gelu"], ["layer_norm", "rms_norm"], place, dropout=0.2)
    X, y, _ = data_for(model)
    predicted, jacobian, by_parameters, (_, gradient) = derivatives(model, X, y)
    np.testing.assert_array_equal(predicted, model.predict(X))
    np.testing.assert_array_equal(jacobian, model.jacobian(X))
    np.testing.assert_array_equal(by_parameters, np.concatenate([g.ravel() for g in model.vjp(X, y)]))
    np.testing.assert_array_equal(gradient, np.concatenate([g.ravel() for g in model.gradient(X, y)[1]]))
    trainers = [Trainer(each, "mse", Adam(0.01), random_state=1) for each in (model, model.copy())]
    train(trainers[0], X, y, 5)
    for _ in range(5):
        trainers[1].step(X, y)
    np.testing.assert_array_equal(trainers[0].model.to_vector(), trainers[1].model.to_vector())


@pytest.mark.skipif(_core is _portable, reason="needs the compiled extension")
@pytest.mark.parametrize("place", ["before", "after"])
def test_custom_activations_and_losses_are_normalized(place):
    pytest.importorskip("numba")
    from fastnn import jit, losses

    @jit.activation(derivative=lambda z: 1.0 / (1.0 + abs(z)) ** 2, uses="input", name=f"softsign_{place}")
    def softsign(z):
        return z / (1.0 + abs(z))

    @jit.loss(gradient=lambda y_true, y_pred: y_pred - y_true, name=f"half error {place}")
    def half_error(y_true, y_pred):
        return 0.5 * (y_pred - y_true) ** 2

    model = model_with((3, 17, 6, 2), [softsign, "tanh"], "layer_norm", place, dropout=[0.3, 0.0])
    X, y, weight = data_for(model, 6)
    for loss in (losses.Huber(0.3), losses.Heads([(0, "mse", 0.5), (1, "huber", 2.0)]), half_error):
        _, gradients = model.gradient(X, y, loss, weight)
        for array, gradient in zip(model.parameters, gradients, strict=True):
            for at in list(np.ndindex(array.shape))[:5]:
                expected = difference(lambda: model.loss(X, y, loss, weight), array, at)  # noqa: B023
                np.testing.assert_allclose(gradient[at], expected, rtol=1e-6, atol=1e-8)
    assert np.isfinite(model.fit(X, y, epochs=3)["loss"]).all()


PROGRAM = """
import hashlib
import itertools
import numpy as np
import scipy.sparse
from fastnn import MLP, SGD, AdamW, Trainer
digest = hashlib.sha256()
rng = np.random.default_rng(0)
for dtype in ("float32", "float64"):
    for sizes in ((3, 5, 2), (6, 40, 128, 3), (90, 256, 192, 30)):
        for name, place in itertools.product(("layer_norm", "rms_norm"), ("before", "after")):
            for optimizer, options in ((SGD(0.01), {}), (AdamW(0.01), {"l2": 1e-2, "clip_norm": 0.1})):
                runs = ((70, 32, False), (700, 600, False), (70, 32, True))
                for n, batch_size, sparse in runs[:1] if sizes[0] == 90 else runs:  # there, threads split outputs
                    X, y = rng.normal(size=(n, sizes[0])).astype(dtype), rng.normal(size=(n, sizes[-1]))
                    if sparse:
                        X = scipy.sparse.csr_matrix(X * (X > 0.5))
                    states = set()
                    for n_threads in (1, 2, 3):
                        normalization = {"normalization": name, "normalization_place": place}
                        model = MLP(sizes, "gelu", **normalization, dtype=dtype, dropout=0.2, random_state=1)
                        settings = {"batch_size": batch_size, "random_state": 2, "n_threads": n_threads} | options
                        history = Trainer(model, "mse", optimizer, **settings).run(X, y, 2)
                        states.add(model.to_vector().tobytes() + history["loss"].tobytes() + model.predict(X).tobytes())
                    assert len(states) == 1 and np.isfinite(model.to_vector()).all()
                    digest.update(states.pop())
                    digest.update(model.jacobian(X[:40]).tobytes())
print(digest.hexdigest())
"""


@pytest.mark.skipif(_core is _portable, reason="needs the compiled extension")
def test_any_number_of_threads_and_instruction_set_gives_the_same_bits():
    pytest.importorskip("scipy")
    fused = [name for name in _core.usable_instruction_sets() if name != "baseline"]
    digests = {name: run_script(PROGRAM, FASTNN_ISA=name).stdout for name in _core.usable_instruction_sets()}
    assert len({digests[name] for name in fused}) <= 1


@pytest.mark.parametrize("place", ["before", "after"])
def test_sparse_rows_train_like_dense_ones(place):
    sparse = pytest.importorskip("scipy.sparse")
    results = []
    for make in (np.asarray, sparse.csr_matrix):
        model = model_with((30, 17, 2), ["relu"], "layer_norm", place)
        X, y, _ = data_for(model, 60)
        X = make(np.where(np.abs(X) > 1, X, 0.0))
        model.fit(X, y, epochs=3, optimizer=Adam(0.01), random_state=1)
        results += [model.to_vector(), model.predict(X).ravel()]
    np.testing.assert_allclose(results[2], results[0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(results[3], results[1], rtol=1e-9, atol=1e-12)


def test_many_networks_have_the_bits_of_one():
    X, y = np.random.default_rng(0).normal(size=(64, 8)), np.ones((64, 1))
    models = [MLP((8, 16, 1), "tanh", normalization="rms_norm", random_state=seed) for seed in range(5)]
    alone = [model.copy() for model in models]
    fastnn.fit_many(models, X, y, epochs=3, random_state=list(range(5)))
    for seed, (model, other) in enumerate(zip(models, alone, strict=True)):
        other.fit(X, y, epochs=3, random_state=seed)
        np.testing.assert_array_equal(model.to_vector(), other.to_vector())
    ensemble = fastnn.Ensemble(models)
    np.testing.assert_allclose(ensemble.predict(X), np.mean([m.predict(X) for m in models], axis=0), rtol=1e-5, atol=1e-6)
    # Without and with a normalization, models have different layers, even with the same sizes.
    mixed = [models[0], MLP((8, 16, 1), "tanh", random_state=9)]
    np.testing.assert_array_equal(fastnn.predict_many(mixed, X), [m.predict(X) for m in mixed])


def test_rows_of_infinite_or_equal_units():
    model = MLP((3, 40, 5, 1), "relu", normalization="layer_norm", random_state=0)
    with np.errstate(all="ignore"):
        assert np.isnan(model.predict(np.array([[np.inf, 0, 0], [1, 2, 3]]))).tolist() == [[True], [False]]
    for w in model.weights[:2]:
        w[...] = 0.0
    np.testing.assert_array_equal(model.hidden_activations(np.ones((2, 3)))[0], 0.0)
    assert all(np.isfinite(g).all() for g in model.gradient(np.ones((2, 3)), np.ones((2, 1)))[1])


@pytest.mark.parametrize("place", ["before", "after"])
def test_rows_of_weight_zero_do_not_count(place):
    models = [model_with((3, 5, 2), ["prelu"], "layer_norm", place, dropout=0.2) for _ in range(2)]
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
        np.testing.assert_allclose(got, wanted, rtol=1e-9)
