"""Averages of the parameters over the training: their definition, on all routes through the kernels, with the same bits."""

from __future__ import annotations

import numpy as np
import pytest
from _helpers import data, model_of
from _normalized import model_with
from scipy import sparse

from fastnn import (
    EMA,
    MLP,
    SGD,
    SWA,
    AdaGrad,
    Adam,
    AdamW,
    NAdam,
    Trainer,
    _epochs,
    fit_many,
    reference,
)
from fastnn._engine import core as _core

AVERAGES = [EMA(0.9), EMA(0.5, bias_correction=False), SWA(), SWA(3)]
KINDS = pytest.mark.parametrize("averaging", AVERAGES, ids=repr)
# Tiny networks, wide ones, plain descent, and optimizers with one moment and with two.
NETWORKS = [(2, 3, 1), (3, 8, 5, 2), (40, 70, 1)]
OPTIMIZERS = [SGD(0.05), SGD(0.02, momentum=0.9), AdaGrad(0.05), Adam(0.01), NAdam(0.01), AdamW(0.01, weight_decay=0.1)]


def by_reference(model, X, y, optimizer, averaging, **options):
    """Return the averages by the reference, in its order, of the training of a copy of a model."""
    arrays = {kind: [np.array(array) for array in getattr(model, kind)] for kind in ("weights", "biases")}
    averages = [np.zeros_like(array) for arrays_of_kind in arrays.values() for array in arrays_of_kind]
    reference.train(
        *arrays.values(), model.activations, X, y, optimizer=optimizer, averaging=averaging, averages=averages, **options
    )
    return averages


def assert_averages(model, expected, **tolerance):
    for found, wanted in zip([*model.weights, *model.biases], expected, strict=True):
        np.testing.assert_allclose(found, wanted, **tolerance)


@KINDS
@pytest.mark.parametrize("sizes", NETWORKS, ids=repr)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_the_average_is_that_of_the_reference(sizes, optimizer, averaging):
    X, y = data(50, sizes[0], sizes[-1])
    for options in ({}, {"l2": 0.1, "clip_value": 0.05}, {"clip_norm": 0.1, "drop_last": True}):
        model = model_of(sizes)
        expected = by_reference(
            model, X, y, optimizer, averaging, epochs=5, batch_size=8, rng=np.random.default_rng(3), **options
        )
        trainer = Trainer(model, "mse", optimizer, batch_size=8, random_state=3, averaging=averaging, **options)
        trainer.run(X, y, epochs=5)
        assert_averages(trainer.averaged_model(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.skipif(_core.__name__ != "fastnn._core", reason="the fallback compiles other loops")
@KINDS
@pytest.mark.parametrize("sizes", NETWORKS, ids=repr)
def test_the_average_does_not_change_the_training(sizes, averaging):
    X, y = data(50, sizes[0], sizes[-1])
    for optimizer in OPTIMIZERS:
        vectors = []
        for own in (averaging, None):
            model = model_of(sizes)
            Trainer(model, "mse", optimizer, batch_size=8, random_state=3, averaging=own).run(X, y, epochs=5)
            vectors.append(model.to_vector())
        np.testing.assert_array_equal(*vectors)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@KINDS
def test_all_kinds_of_parameters_are_averaged(averaging, dtype):
    """The parameters after each epoch of one batch are those of shorter runs."""
    X, y = data(20, 4, 3)

    def train(epochs, averaging):
        model = model_with((4, 17, 9, 3), ["prelu", "silu"], ["layer_norm", "rms_norm"], "before", dtype)
        trainer = Trainer(model, batch_size=20, shuffle=False, averaging=averaging)
        trainer.run(X, y, epochs=epochs)
        return trainer

    vectors = [train(epochs, None).model.to_vector() for epochs in range(1, 6)]
    if isinstance(averaging, SWA):
        expected = np.mean(vectors[averaging.start - 1 :], axis=0)
    else:
        expected = np.zeros_like(vectors[0])
        for count, vector in enumerate(vectors, 1):
            reference.blend([expected], [vector], reference.ema_share(count, averaging.decay, averaging.bias_correction))
    tolerance = 1e-6 if dtype == np.float32 else 1e-14
    np.testing.assert_allclose(train(5, averaging).averaged_model().to_vector(), expected, rtol=tolerance, atol=tolerance)


def test_bias_correction_makes_a_weighted_mean():
    shares = [reference.ema_share(count, 0.9) for count in range(1, 8)]
    weights = np.zeros(7)
    for count, share in enumerate(shares):
        weights *= 1 - share
        weights[count] = share
    np.testing.assert_allclose(weights, 0.9 ** np.arange(6, -1, -1) / (0.9 ** np.arange(7)).sum())


@KINDS
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("sizes", [(300, 6, 2), (300, 1)])
@pytest.mark.parametrize("optimizer", [SGD(0.1), Adam(0.01)], ids=repr)
def test_sparse_rows_have_the_average_of_all_weights(averaging, lazy, sizes, optimizer):
    """A feature that does not occur in a batch has parameters all the same, which enter the average."""
    X = sparse.random(400, 300, 0.01, format="csr", random_state=0)
    y = np.random.default_rng(1).normal(size=(400, sizes[-1]))
    for options in ({}, {"l1": 1e-3}, {"clip_norm": 0.5}):
        trainers = []
        for shown in (X, X.toarray()):
            if lazy and not sparse.issparse(shown):
                continue
            settings = {"batch_size": 10, "random_state": 0, "lazy_updates": lazy, **options}
            trainer = Trainer(model_of(sizes), "mse", optimizer, averaging=averaging, **settings)
            trainer.run(shown, y, epochs=4)
            trainers.append(trainer)
        if not lazy:
            np.testing.assert_array_equal(*(each.averaged_model().to_vector() for each in trainers))
            continue
        # By single steps, after which the parameters are averaged here.
        plain = Trainer(model_of(sizes), "mse", optimizer, batch_size=10, random_state=0, lazy_updates=True, **options)
        expected, order, count = np.zeros(plain.model.n_parameters), np.random.default_rng(0), 0
        for epoch in range(1, 5):
            rows = order.permutation(400)
            for first in range(0, 400, 10):
                plain.step(X[rows[first : first + 10]], y[rows[first : first + 10]])
                if isinstance(averaging, EMA):
                    count += 1
                    share = reference.ema_share(count, averaging.decay, averaging.bias_correction)
                elif epoch >= averaging.start and first == 390:
                    count += 1
                    share = 1 / count
                else:
                    continue
                reference.blend([expected], [plain.model.to_vector()], share)
        np.testing.assert_allclose(trainers[0].averaged_model().to_vector(), expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@KINDS
def test_threads_and_time_slices_do_not_change_the_bits(averaging, dtype, monkeypatch):
    """In wide layers, each thread owns some outputs, and works on copies of their weights and averages."""
    for sizes, n, batch_size in (((500, 60, 3), 300, 64), ((6, 20, 20, 2), 300, 64), ((5, 7, 2), 1300, 600)):
        X, y = data(n, sizes[0], sizes[-1])
        found = set()
        for n_threads, seconds in ((1, 10.0), (1, 1e-9), (2, 10.0), (3, 1e-4), (4, 1e-9)):
            monkeypatch.setattr(_epochs, "SLICE_SECONDS", seconds)
            model = MLP(sizes, "relu", dtype=dtype, random_state=0)
            trainer = Trainer(model, batch_size=batch_size, averaging=averaging, random_state=1, n_threads=n_threads)
            trainer.run(X, y, epochs=4)
            found.add(trainer.averaged_model().to_vector().tobytes())
        assert len(found) == 1


@KINDS
def test_threads_do_not_change_the_average_of_steps_with_given_gradients(averaging):
    """Such a step has no pass in which threads meet before its update."""
    X, y = data(40, 3, 1)
    found = []
    for n_threads in (1, 2, 3):
        models = [MLP((3, 64, 64, 1), "tanh", random_state=0) for _ in range(2)]
        options = {"batch_size": 20, "n_threads": n_threads, "random_state": 0}
        single = Trainer(models[0], averaging=EMA(0.9), **options)  # SWA counts epochs
        sharded = Trainer(models[1], averaging=averaging, n_shards=2, **options)
        for _ in range(50):
            single.accumulate(X, y)
            single.apply()
        sharded.run(X, y, 25)
        found.append([trainer.averaged_model().to_vector().tobytes() for trainer in (single, sharded)])
    assert found[1:] == found[:1] * 2


@KINDS
def test_many_models_have_the_bits_of_single_ones(averaging):
    """Small networks of one shape run side by side; the last three have other layers."""
    X, y = data(50, 3, 2)
    sizes = [(3, 5, 2)] * 17 + [(3, 20, 2)] * 3
    epochs = [3 + k % 4 for k in range(20)]
    for options in ({}, {"drop_last": True, "l2": 0.01}):
        many = [MLP(own, "tanh", random_state=k) for k, own in enumerate(sizes)]
        fit_many(many, X, y, epochs=epochs, averaging=averaging, batch_size=8, random_state=5, **options)
        for k, own in enumerate(sizes):
            model = MLP(own, "tanh", random_state=k)
            trainer = Trainer(model, averaging=averaging, batch_size=8, random_state=5, **options)
            trainer.run(X, y, epochs=epochs[k])
            np.testing.assert_array_equal(many[k].to_vector(), trainer.averaged_model().to_vector())


def test_many_models_may_have_averages_of_their_own():
    X, y = data(30, 3, 1)
    many = [MLP((3, 4, 1), "tanh", random_state=k) for k in range(9)]
    averages = [None, EMA(0.8), SWA(2)] * 3
    fit_many(many, X, y, epochs=4, averaging=averages, batch_size=8)
    for k, averaging in enumerate(averages):
        alone = MLP((3, 4, 1), "tanh", random_state=k)
        alone.fit(X, y, epochs=4, averaging=averaging, batch_size=8)
        np.testing.assert_array_equal(many[k].to_vector(), alone.to_vector())
