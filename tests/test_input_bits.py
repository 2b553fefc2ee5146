"""Scales and dropout of inputs: the same bits in any batch, on any number of threads, and in compiled code."""

from __future__ import annotations

import numpy as np
import pytest
from _model_checks import (
    assert_compiled_code_has_the_bits_of_python,
    assert_instruction_sets_print_the_same,
    assert_one_row_is_a_batch_of_one,
    assert_rows_have_the_bits_of_a_batch,
    compiled,
)
from _parts import IDS, NETWORKS, data_for, model_with

import fastnn
from fastnn import MLP, SGD, Adam, Trainer


@compiled
@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_gives_the_same_bits_alone_and_among_others(network, dtype):
    model = model_with(*network, dtype)
    X = data_for(model, 700)[0].astype(dtype)
    assert_rows_have_the_bits_of_a_batch(model, X)


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
def test_one_row_has_the_derivatives_of_a_batch_of_one(network):
    model = model_with(*network)
    X, y, _ = data_for(model, 1)
    assert_one_row_is_a_batch_of_one(model, X, y)


@compiled
def test_compiled_code_has_the_bits_of_python():
    model = model_with((4, 17, 33, 3), "gelu", input_dropout=0.2)
    assert_compiled_code_has_the_bits_of_python([(model, *data_for(model)[:2])])


PROGRAM = """
import hashlib
import numpy as np
import scipy.sparse
from fastnn import MLP, SGD, AdamW, Trainer
digest = hashlib.sha256()
rng = np.random.default_rng(0)
for dtype in ("float32", "float64"):
    for sizes in ((3, 5, 2), (6, 40, 128, 3), (90, 256, 30), (300, 520, 4), (20, 3)):
        for optimizer, options in ((SGD(0.01), {}), (AdamW(0.01), {"l2": 1e-2, "clip_norm": 0.1}), (AdamW(0.01), {})):
            for n, batch_size in ((70, 32),) if sizes[0] > 50 else ((70, 32), (700, 600)):
                X, y = rng.normal(size=(n, sizes[0])).astype(dtype), rng.normal(size=(n, sizes[-1]))
                X *= X > 0.5
                states = set()
                for rows in (X, scipy.sparse.csr_matrix(X)):
                    for n_threads in (1, 2, 3):
                        model = MLP(sizes, "gelu", input_scale=True, input_dropout=0.2, dtype=dtype, random_state=1)
                        settings = {"batch_size": batch_size, "random_state": 2, "n_threads": n_threads} | options
                        history = Trainer(model, "mse", optimizer, **settings).run(rows, y, 20 if sizes[0] > 50 else 2)
                        states.add(model.to_vector().tobytes() + model.predict(rows).tobytes())
                assert np.isfinite(model.to_vector()).all() and (model.scales[0] != 1).all()
                assert len(states) == 1, (sizes, optimizer, options, len(states))
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
    models = [MLP((8, 16, 1), "tanh", input_scale=True, input_dropout=0.1, random_state=seed) for seed in range(5)]
    models += [MLP((8, 16, 1), "tanh", input_dropout=0.1, random_state=seed) for seed in range(5)]
    alone = [model.copy() for model in models]
    fastnn.fit_many(models, X, y, epochs=3, random_state=list(range(10)))
    for seed, (model, other) in enumerate(zip(models, alone, strict=True)):
        other.fit(X, y, epochs=3, random_state=seed)
        np.testing.assert_array_equal(model.to_vector(), other.to_vector())
    mixed = [models[0], models[9]]  # models with and without scales have different layers
    np.testing.assert_array_equal(fastnn.predict_many(mixed, X), [m.predict(X) for m in mixed])
    assert (models[0].scales[0] != 1.0).all()


def test_shards_train_scales():
    X = np.random.default_rng(0).normal(size=(64, 5))
    models = [MLP((5, 17, 1), "tanh", input_scale=True, input_dropout=0.2, random_state=0) for _ in range(2)]
    for n_threads, model in enumerate(models, 1):
        Trainer(model, n_shards=4, batch_size=4, random_state=0, n_threads=n_threads).run(X, X[:, :1] ** 2, 2)
        assert (model.scales[0] != 1.0).all()
    np.testing.assert_array_equal(models[0].to_vector(), models[1].to_vector())


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
def test_rows_of_weight_zero_do_not_count(sparse):
    models = [model_with((6, 5, 2), input_dropout=0.2) for _ in range(2)]
    X, y, _ = data_for(models[0], 20)
    rows = pytest.importorskip("scipy.sparse").csr_array(X) if sparse else X
    for model, n in zip(models, (20, 10), strict=True):  # the second batch has no row that counts
        trainer = Trainer(model, optimizer=SGD(0.1), batch_size=10, shuffle=False, random_state=0)
        trainer.run(rows[:n], y[:n], 1, sample_weight=(np.arange(20) < 10)[:n])
    np.testing.assert_array_equal(models[0].to_vector(), models[1].to_vector())


def test_lazy_updates_train_scales():
    sparse = pytest.importorskip("scipy.sparse")
    states = []
    for lazy in (True, False):
        model = model_with((30, 17, 2))
        X, y, _ = data_for(model, 60)
        settings = {"lazy_updates": lazy, "batch_size": 60, "random_state": 0}
        Trainer(model, "mse", Adam(0.01), **settings).run(sparse.csr_array(X), y, 3)
        states.append(model.scales[0].copy())
    np.testing.assert_array_equal(states[0], states[1])  # every feature is in every batch
