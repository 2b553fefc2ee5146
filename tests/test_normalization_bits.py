"""Networks with normalizations: the same bits in any batch, on any number of threads, and in compiled code."""

from __future__ import annotations

import numpy as np
import pytest
from _model_checks import (
    assert_compiled_code_has_the_bits_of_python,
    assert_instruction_sets_print_the_same,
    assert_one_row_is_a_batch_of_one,
    assert_rows_have_the_bits_of_a_batch,
    assert_rows_of_weight_zero_do_not_count,
    compiled,
    difference,
)
from _normalized import IDS, NETWORKS, data_for, model_with

import fastnn
from fastnn import MLP, Adam


@compiled
@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_gives_the_same_bits_alone_and_among_others(network, dtype):
    model = model_with(*network, dtype)
    X = data_for(model, 700)[0].astype(dtype)
    assert_rows_have_the_bits_of_a_batch(model, X)


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_row_has_the_derivatives_of_a_batch_of_one(network, dtype):
    model = model_with(*network, dtype)
    X, y, _ = data_for(model, 1)
    X, y = X.astype(dtype), y.astype(dtype)
    assert_one_row_is_a_batch_of_one(model, X, y)


@compiled
@pytest.mark.parametrize("place", ["before", "after"])
def test_compiled_code_has_the_bits_of_python(place):
    model = model_with((4, 17, 33, 3), ["prelu", "gelu"], ["layer_norm", "rms_norm"], place, dropout=0.2)
    assert_compiled_code_has_the_bits_of_python([(model, *data_for(model)[:2])])


@compiled
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
import itertools
import numpy as np
import scipy.sparse
from _digests import Digest
from fastnn import MLP, SGD, AdamW
digest, rng = Digest(), np.random.default_rng(0)
for dtype in ("float32", "float64"):
    for sizes in ((3, 5, 2), (6, 40, 128, 3), (90, 256, 192, 30)):
        for name, place in itertools.product(("layer_norm", "rms_norm"), ("before", "after")):
            own = {"normalization": name, "normalization_place": place, "dtype": dtype, "dropout": 0.2, "random_state": 1}
            for optimizer, options in ((SGD(0.01), {}), (AdamW(0.01), {"l2": 1e-2, "clip_norm": 0.1})):
                runs = ((70, 32, False), (700, 600, False), (70, 32, True))
                for n, batch_size, sparse in runs[:1] if sizes[0] == 90 else runs:  # there, threads split outputs
                    X, y = rng.normal(size=(n, sizes[0])).astype(dtype), rng.normal(size=(n, sizes[-1]))
                    if sparse:
                        X = scipy.sparse.csr_matrix(X * (X > 0.5))
                    digest.add(lambda: MLP(sizes, "gelu", **own), X, y, optimizer, batch_size=batch_size, **options)
digest.print()
"""


@compiled
def test_any_number_of_threads_and_instruction_set_gives_the_same_bits():
    pytest.importorskip("scipy")
    assert_instruction_sets_print_the_same(PROGRAM)


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
    assert_rows_of_weight_zero_do_not_count(models, *data_for(models[0], 20)[:2], rtol=1e-9)
