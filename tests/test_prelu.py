"""PReLU, which trains a slope for each unit: gradients, training, files, and everything that lists parameters."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from _helpers import run_script

import fastnn
from fastnn import MLP, SGD, AdaGrad, Adam, AdamW, Lion, RMSProp, Trainer, ops, reference
from fastnn._engine import core as _core
from fastnn._engine import portable as _portable
from fastnn._engine.losses import native_loss
from fastnn._engine.portable import _compile
from fastnn._views import by_kind, by_layer
from fastnn.losses import MSE

# Narrow and wide outputs; slopes in every layer or in some; rows of whole KiB; several chunks of rows.
NETWORKS = [
    ((3, 5, 2), ("prelu", "identity")),
    ((4, 6, 7, 3), ("prelu", "tanh", "prelu")),
    ((3, 20), ("prelu",)),
    ((2, 128, 9), ("prelu", "prelu")),
    ((5, 256, 1), ("prelu", "sigmoid")),
]
OPTIMIZERS = [
    SGD(0.05),
    SGD(0.02, 0.9),
    SGD(0.02, 0.9, nesterov=True),
    AdaGrad(0.05),
    RMSProp(0.01),
    Adam(0.01),
    AdamW(0.01, weight_decay=0.1),
    Lion(0.01, weight_decay=0.1),
]
STEP = 1e-6


def model_with_slopes(sizes, activations, dtype=np.float64, dropout=0.0):
    """Return a model with positive and negative slopes."""
    *hidden, output = activations
    model = MLP(sizes, hidden, output, dtype=dtype, dropout=dropout if hidden else 0.0, random_state=0)
    rng = np.random.default_rng(1)
    for parameter in (*model.biases, *(s for s in model.slopes if s is not None)):
        parameter[...] = rng.uniform(-0.5, 0.9, parameter.shape)
    return model


def data_for(model, n=37):
    rng = np.random.default_rng(2)
    return rng.normal(size=(n, model.layer_sizes[0])), rng.normal(size=(n, model.layer_sizes[-1])), rng.uniform(0, 2, n)


def reference_of(model):
    """Return copies of the arrays that the reference takes."""
    slopes = [None if s is None else s.copy() for s in model.slopes]
    return [w.copy() for w in model.weights], [b.copy() for b in model.biases], slopes


@pytest.mark.parametrize(("sizes", "activations"), NETWORKS)
def test_gradients_are_central_differences(sizes, activations):
    model = model_with_slopes(sizes, activations)
    X, y, weight = data_for(model)
    _, gradients = model.gradient(X, y, "mse", weight)
    assert len(gradients) == 2 * len(activations) + activations.count("prelu")
    for array, gradient in zip([*model.parameters, X], [*gradients, model.input_gradient(X, y, "mse", weight)], strict=True):
        for index in np.random.default_rng(3).permutation(list(np.ndindex(array.shape)))[:40]:
            at = tuple(index)
            kept, values = array[at], []
            for moved in (kept + STEP, kept - STEP):
                array[at] = moved
                values.append(model.loss(X, y, "mse", weight))
            array[at] = kept
            np.testing.assert_allclose(gradient[at], (values[0] - values[1]) / (2 * STEP), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(("sizes", "activations"), NETWORKS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predictions_and_gradients_are_those_of_the_reference(sizes, activations, dtype):
    model = model_with_slopes(sizes, activations, dtype)
    X, y, weight = data_for(model, 600)
    weights, biases, slopes = reference_of(model)
    expected = reference.forward(weights, biases, activations, X, slopes=slopes)[-1][1]
    tolerance = {"rtol": 2e-4, "atol": 2e-5} if dtype == np.float32 else {"rtol": 1e-9, "atol": 1e-12}
    np.testing.assert_allclose(model.predict(X), expected, **tolerance)
    np.testing.assert_array_equal(model.predict(X[:3]), model.predict(X)[:3])
    value, *kinds = reference.loss_and_gradient(weights, biases, activations, X, y, "mse", weight, slopes=slopes)
    loss, gradients = model.gradient(X, y, "mse", weight)
    assert loss == pytest.approx(value, rel=tolerance["rtol"])
    wanted = [array for layer in zip(*kinds, strict=True) for array in layer if array is not None]
    for gradient, array in zip(gradients, wanted, strict=True):
        np.testing.assert_allclose(gradient, array, **tolerance)
    inputs = reference.input_gradient(weights, biases, activations, X, y, slopes=slopes)
    np.testing.assert_allclose(model.input_gradient(X, y), inputs, **tolerance)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize(
    "options", [{}, {"l1": 1e-3, "l2": 1e-2, "clip_norm": 0.5, "clip_value": 0.2}], ids=["plain", "all"]
)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("batch_size", [8, 1000])
def test_training_gives_the_parameters_of_the_reference(optimizer, options, dropout, batch_size):
    sizes, activations = NETWORKS[1]
    model = model_with_slopes(sizes, activations, dropout=dropout)
    X, y, weight = data_for(model, 1200 if batch_size > 512 else 40)
    weights, biases, slopes = reference_of(model)
    history = Trainer(model, "mse", optimizer, batch_size=batch_size, shuffle=False, random_state=5, **options).run(
        X, y, 3, sample_weight=weight
    )
    losses = reference.train(
        weights,
        biases,
        activations,
        X,
        y,
        optimizer=optimizer,
        epochs=3,
        batch_size=batch_size,
        shuffle=False,
        rng=np.random.default_rng(5),
        sample_weight=weight,
        dropout=dropout,
        slopes=slopes,
        **options,
    )
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-9)
    for got, wanted in zip([*model.weights, *model.biases, *model.slopes], [*weights, *biases, *slopes], strict=True):
        if wanted is not None:
            np.testing.assert_allclose(got, wanted, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("how", ["plain", "compiled"])
@pytest.mark.parametrize("optimizer", [SGD(0.05, 0.9), AdamW(0.01, weight_decay=0.1)], ids=repr)
def test_the_fallback_trains_to_the_same_parameters(optimizer, how, monkeypatch):
    if how == "plain":
        monkeypatch.setattr(_compile, "COMPILED", False)
    sizes, activations = NETWORKS[1]
    model = model_with_slopes(sizes, activations, dropout=0.2)
    X, y, _ = data_for(model)
    network = _portable.Network(sizes, activations, (*model.dropout, 0.0), np.float64)
    assert [None if s is None else s.shape for s in network.parameters["slopes"]] == [(6,), None, (3,)]
    for array, view in zip(by_kind(network.parameters), by_kind(model._network.parameters), strict=True):
        array[...] = view
    np.testing.assert_allclose(network.predict(X), model.predict(X), rtol=1e-9, atol=1e-12)
    gradient = np.zeros_like(network.storage)
    value = network.gradient(native_loss(MSE(), "prelu"), X, y, False, gradient=gradient)
    loss, gradients = model.gradient(X, y)
    assert value == pytest.approx(loss)
    for got, wanted in zip(by_layer(network.views(gradient)), gradients, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-8, atol=1e-11)
    trainer = Trainer(model, "mse", optimizer, batch_size=8, random_state=5, l2=0.1)
    settings = trainer._wanted.settings
    moments = np.zeros((len(settings.moments), network.storage.size))
    settings = settings._replace(moments=moments, bit_generator=np.random.default_rng(5).bit_generator, shuffle=True)
    run = _portable.Run(network, (X, y, False, None), settings, 3, 0)
    run.set_rates(np.full(1, optimizer.learning_rate))
    assert run.advance(1e9, 3) == "finished"
    history = trainer.run(X, y, 3)
    np.testing.assert_allclose(run.epoch_loss, history["loss"], rtol=1e-9)
    for got, wanted in zip(by_kind(network.parameters), by_kind(model._network.parameters), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-8, atol=1e-11)


# ---- Bits ----

PROGRAM = """
import hashlib
import numpy as np
import scipy.sparse
from fastnn import MLP, SGD, Adam, AdamW, Trainer
digest = hashlib.sha256()
rng = np.random.default_rng(0)
for dtype in ("float32", "float64"):
    for sizes, output in (((3, 5, 2), "identity"), ((6, 40, 128, 3), "prelu"), ((9, 70, 30), "prelu")):
        for optimizer in (SGD(0.01), Adam(0.01), AdamW(0.01, weight_decay=0.1)):
            for options in ({}, {"l2": 1e-2, "clip_norm": 0.1}):
                for n, batch_size, sparse in ((70, 32, False), (700, 600, False), (70, 32, True)):
                    X, y = rng.normal(size=(n, sizes[0])).astype(dtype), rng.normal(size=(n, sizes[-1]))
                    if sparse:
                        X = scipy.sparse.csr_matrix(X * (X > 0.5))
                    states = set()
                    for n_threads in (1, 2, 3):
                        model = MLP(sizes, "prelu", output, dtype=dtype, dropout=0.2, random_state=1)
                        settings = {"batch_size": batch_size, "random_state": 2, "n_threads": n_threads} | options
                        trainer = Trainer(model, "mse", optimizer, **settings)
                        history = trainer.run(X, y, 3)
                        states.add(model.to_vector().tobytes() + history["loss"].tobytes() + model.predict(X).tobytes())
                    assert len(states) == 1 and np.isfinite(model.to_vector()).all()
                    digest.update(states.pop())
print(digest.hexdigest())
"""


def test_any_number_of_threads_and_instruction_set_gives_the_same_bits():
    pytest.importorskip("scipy")
    fused = [name for name in _core.usable_instruction_sets() if name != "baseline"]
    digests = {name: run_script(PROGRAM, FASTNN_ISA=name).stdout for name in _core.usable_instruction_sets()}
    assert len({digests[name] for name in fused}) <= 1


# ---- Penalties and decay ----


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [(2, 2, 1), (2, 40, 9)])
def test_penalties_and_decay_do_not_change_slopes(sizes, dtype):
    # All sums are positive, so that the gradient of the slopes is zero.
    model = MLP(sizes, "prelu", "prelu", dtype=dtype, random_state=0)
    for w in model.weights:
        w[...] = np.abs(w)
    before, X = model.weights[0].copy(), np.ones((8, 2))
    trainer = Trainer(model, "mse", AdamW(0.01, weight_decay=0.5), l1=0.01, l2=0.1, batch_size=4)
    trainer.run(X, np.ones((8, sizes[-1])), 3)
    assert (model.weights[0] != before).all()
    for slopes in model.slopes:
        np.testing.assert_array_equal(slopes, 0.25)


# ---- Parameters, copies and files ----


def test_lists_and_vectors_have_the_slopes_after_each_layers_biases():
    model = model_with_slopes(*NETWORKS[1])
    shapes = [(4, 6), (6,), (6,), (6, 7), (7,), (7, 3), (3,), (3,)]
    assert [p.shape for p in model.parameters] == shapes
    assert [None if s is None else s.shape for s in model.slopes] == [(6,), None, (3,)]
    assert np.shares_memory(model.parameters[2], model.slopes[0])
    vector = model.to_vector()
    np.testing.assert_array_equal(vector[24 + 6 : 24 + 12], model.slopes[0])
    model.set_vector(np.arange(vector.size))
    np.testing.assert_array_equal(model.slopes[2], vector.size - 3 + np.arange(3))


def test_slopes_start_at_a_quarter_and_weights_as_for_relu():
    model, relu = (MLP((3, 200, 1), name, random_state=0) for name in ("prelu", "relu"))
    np.testing.assert_array_equal(model.slopes[0], 0.25)
    np.testing.assert_array_equal(model.weights[0], relu.weights[0])
    assert relu.slopes == [None, None]


def test_slopes_can_be_assigned_and_wrong_ones_raise():
    model, other = model_with_slopes(*NETWORKS[1]), MLP((4, 6, 7, 3), ["prelu", "tanh"], "prelu", dtype="float64")
    other.slopes = model.slopes
    np.testing.assert_array_equal(other.slopes[0], model.slopes[0])
    other.slopes[0] = np.zeros(6)
    assert not other.slopes[0].any()
    with pytest.raises(TypeError, match=r"slopes\[1\]: expected None.*got ndarray"):
        other.slopes[1] = np.zeros(7)
    with pytest.raises(ValueError, match=r"slopes\[0\]: expected shape \(6,\).*got \(5,\)"):
        other.slopes[0] = np.zeros(5)
    with pytest.raises((TypeError, ValueError), match=r"slopes\[0\]"):
        other.slopes[0] = None
    assert not other.slopes[0].any()


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_have_slopes_of_their_own(copied):
    model = model_with_slopes(*NETWORKS[1])
    other = copied(model)
    np.testing.assert_array_equal(other.to_vector(), model.to_vector())
    other.slopes[0][:] = 9
    assert (model.slopes[0] != 9).all()


def test_files_of_models_and_trainers_keep_the_slopes(tmp_path):
    model = model_with_slopes(*NETWORKS[1])
    X, y, _ = data_for(model)
    trainer = Trainer(model, "mse", Adam(0.01), batch_size=8, random_state=3)
    trainer.run(X, y, 2)
    model.save(tmp_path / "model")
    trainer.save(tmp_path / "trainer")
    np.testing.assert_array_equal(MLP.load(tmp_path / "model").to_vector(), model.to_vector())
    again = Trainer.load(tmp_path / "trainer")
    trainer.run(X, y, 2)
    again.run(X, y, 2)
    np.testing.assert_array_equal(again.model.to_vector(), model.to_vector())


def test_a_diverged_run_restores_the_slopes():
    model = model_with_slopes((3, 9, 2), ("prelu", "identity"), np.float32)
    X, y, _ = data_for(model)
    before = model.to_vector()
    with pytest.raises(fastnn.DivergedError):
        model.fit(X, y, optimizer=SGD(1e30), epochs=5)
    np.testing.assert_array_equal(model.to_vector(), before)


# ---- Functions of arrays have no slopes ----


def test_functions_of_arrays_refuse_prelu():
    for function in (
        lambda: ops.linear(np.ones((1, 2)), np.ones((2, 1)), None, "prelu"),
        lambda: reference.linear([[1.0]], [[1.0]], None, "prelu"),
    ):
        with pytest.raises(ValueError, match="activation: .*got 'prelu'"):
            function()
    with pytest.raises(ValueError, match=r"slopes\[0\]: expected shape \(1,\) for the activation 'prelu'.*got None"):
        reference.forward([np.ones((1, 1))], [np.zeros(1)], ["prelu"], [[1.0]])
