"""Networks with embeddings: the same bits in any batch, on any number of threads, and in compiled code."""

from __future__ import annotations

import numpy as np
import pytest
from _embedded import IDS, NETWORKS, data_for, model_with
from _model_checks import (
    assert_compiled_code_has_the_bits_of_python,
    assert_instruction_sets_print_the_same,
    assert_one_row_is_a_batch_of_one,
    assert_rows_have_the_bits_of_a_batch,
    compiled,
)

import fastnn


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


def test_results_enter_given_arrays():
    model = model_with(*NETWORKS[3])
    X, y, _ = data_for(model)
    out = [np.empty_like(p, order="C") for p in model.parameters]
    expected = model.gradient(X, y)[1]
    assert model.gradient(X, y, out=out)[1] is out
    for got, wanted in zip(out, expected, strict=True):
        np.testing.assert_array_equal(got, wanted)
    with pytest.raises(TypeError, match="out: expected a list of 8 arrays"):
        model.gradient(X, y, out=out[1:])
    by_input = np.empty_like(X)
    np.testing.assert_array_equal(model.vjp(X, y, inputs=True, out=(out, by_input))[1], model.vjp(X, y, inputs=True)[1])


@compiled
def test_compiled_code_has_the_bits_of_python():
    models = [model_with(*network) for network in NETWORKS]
    assert_compiled_code_has_the_bits_of_python([(model, *data_for(model)[:2]) for model in models])


PROGRAM = """
import hashlib
import sys
import numpy as np
from fastnn import SGD, AdamW, Trainer
sys.path.insert(0, TESTS)
from _embedded import NETWORKS, data_for, model_with
digest = hashlib.sha256()
rng = np.random.default_rng(0)
for dtype in (np.float32, np.float64):
    for network in NETWORKS:
        for optimizer, options in ((SGD(0.01), {}), (AdamW(0.01), {"l2": 1e-2, "clip_norm": 0.1}), (AdamW(0.01), {})):
            for n, batch_size in ((70, 32), (700, 600)):
                states = set()
                for n_threads in (1, 2, 3):
                    model = model_with(*network, dtype)
                    X, y, weight = data_for(model, n)
                    settings = {"batch_size": batch_size, "random_state": 2, "n_threads": n_threads} | options
                    epochs = 2 if n > 70 else 7
                    history = Trainer(model, "mse", optimizer, **settings).run(X, y, epochs, sample_weight=weight)
                    states.add(model.to_vector().tobytes() + history["loss"].tobytes() + model.predict(X).tobytes())
                assert len(states) == 1 and np.isfinite(model.to_vector()).all()
                digest.update(states.pop())
                digest.update(model.jacobian(X[:40]).tobytes())
print(digest.hexdigest())
"""


@compiled
def test_any_number_of_threads_and_instruction_set_gives_the_same_bits(request):
    program = PROGRAM.replace("TESTS", repr(str(request.path.parent)))
    assert_instruction_sets_print_the_same(program)


def test_many_networks_have_the_bits_of_one():
    models = [model_with(*NETWORKS[0], np.float32) for _ in range(5)]
    X, y, _ = data_for(models[0], 64)
    for seed, model in enumerate(models):
        model.set_vector(model.to_vector() + np.float32(0.01 * seed))
    alone = [model.copy() for model in models]
    fastnn.fit_many(models, X, y, epochs=3, random_state=list(range(5)))
    for seed, (model, other) in enumerate(zip(models, alone, strict=True)):
        other.fit(X, y, epochs=3, random_state=seed)
        np.testing.assert_array_equal(model.to_vector(), other.to_vector())
    ensemble = fastnn.Ensemble(models)
    np.testing.assert_allclose(ensemble.predict(X), np.mean([m.predict(X) for m in models], axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(ensemble.to_vectors(), [model.to_vector() for model in models])
    # With and without embeddings, models have different layers, even with the same sizes.
    mixed = [models[0], fastnn.MLP(models[0].layer_sizes, "tanh", random_state=9)]
    np.testing.assert_array_equal(fastnn.predict_many(mixed, X), [m.predict(X) for m in mixed])


@pytest.mark.parametrize("n_shards", [1, 3])
def test_shards_train_embeddings(n_shards):
    model = model_with(*NETWORKS[3])
    other = model.copy()
    X, y, _ = data_for(model, 90)
    settings = {"epochs": 2, "batch_size": 30, "shuffle": False}
    model.fit(X, y, n_shards=n_shards, **settings)
    if n_shards == 1:
        other.fit(X, y, **settings)
        np.testing.assert_allclose(model.to_vector(), other.to_vector(), rtol=1e-9, atol=1e-12)
    assert np.isfinite(model.to_vector()).all()
