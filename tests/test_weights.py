"""Sample weights: rows of weight zero may hold anything, and weights of either sign have the same meaning everywhere."""

from __future__ import annotations

import math

import numpy as np
import pytest
from _helpers import LIKE_TARGETS, data, links_of, model_of, optimizer_of
from _portable_runs import Setting, network_of, run_of

from fastnn import MLP, SGD, Adam, Trainer, losses, reference
from fastnn._engine import core as _core
from fastnn._engine.losses import native_loss
from fastnn._engine.training_data import TrainingData

# Tiny networks; narrow and wide outputs; one layer; batches of one chunk and of several.
NETWORKS = [((3, 8, 5, 2), 16), ((5, 20, 40), 40), ((20, 3), 700), ((2, 4, 3, 2), 5)]
LAYOUTS = {
    "rows": np.ascontiguousarray,
    "columns": np.asfortranarray,
    "spread": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "float64": lambda a: a.astype(np.float64),
}
JUNK = [np.nan, np.inf, -np.inf, 1e30, -1e30, 1e300]


def weighted_data(rows, sizes, loss, share=0.3, seed=0, signed=False):
    """Return data, and weights of which a share is zero, including those of the first rows."""
    rng = np.random.default_rng([seed, rows])
    X, y = data(rows, sizes[0], sizes[-1], loss, seed)
    weight = rng.uniform(0.5, 2, rows) * np.where(rng.random(rows) < share, 0, 1)
    weight[:3] = 0
    if signed:
        weight *= rng.choice([-1.0, 1.0], rows)
    return X, y, weight


def spoiled(array, weight, seed=0):
    """Return the array with arbitrary values in the rows of weight zero, which for labels are out of range."""
    array, rng = array.copy(), np.random.default_rng(seed)
    free = weight == 0
    junk = [-1, 99, 2**62, -(2**62)] if array.dtype.kind in "iu" else JUNK
    with np.errstate(over="ignore"):
        array[free] = rng.choice(junk, array[free].shape)
    return array


def trainer_of(network, loss="mse", dtype=np.float32, shuffle=True, activation="tanh", dropout=0.0, **options):
    sizes, batch_size = network
    model = model_of(sizes, activation, links_of(loss)[0], dtype=dtype, dropout=dropout)
    options = {"optimizer": Adam(0.01), "random_state": 3} | options
    return Trainer(model, loss, batch_size=batch_size, shuffle=shuffle, **options)


def state_after(trainer, X, y, weight, epochs=3):
    """Return the results of a run, a step and the model's functions."""
    history = trainer.run(X, y, epochs, sample_weight=weight, validation_data=(X, y, weight))
    model, loss = trainer.model, trainer.loss
    step = trainer.step(X, y, weight)
    value, gradients = model.gradient(X, y, loss, weight)
    by_input = model.input_gradient(X, y, loss, weight)
    assert model.loss(X, y, loss, weight) == value
    assert not by_input[weight == 0].any()
    return [model.to_vector(), *trainer._moments, history["loss"], history["val_loss"], step, value, *gradients, by_input]


def assert_equal(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert np.isfinite(a).all()
        np.testing.assert_array_equal(a, b)


# ---- Rows of weight zero ----


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("loss", LIKE_TARGETS)
def test_rows_of_weight_zero_may_hold_anything(loss, layout):
    for network in NETWORKS:
        sizes, batch_size = network
        X, y, weight = weighted_data(2 * batch_size + 9, sizes, loss)
        for shuffle in (True, False):
            states = []
            for i in (None, 0):
                a, b = (X, y) if i is None else (spoiled(X, weight), spoiled(y, weight))
                with np.errstate(over="ignore"):
                    a = LAYOUTS[layout](a.astype(np.float32))
                    b = b if b.dtype.kind == "i" else LAYOUTS[layout](b.astype(np.float32))
                states.append(state_after(trainer_of(network, loss, shuffle=shuffle), a, b, weight))
            assert_equal(*states[::-1])


@pytest.mark.parametrize("row", _core.OPTIMIZERS)
def test_rows_of_weight_zero_have_no_effect_with_any_optimizer_penalty_and_dropout(row):
    X, y, weight = weighted_data(60, (6, 12, 2), "mse")
    for options in ({}, {"l1": 1e-3, "l2": 1e-2, "dropout": 0.4}, {"clip_norm": 0.1}, {"clip_value": 0.01}):
        states = [
            state_after(trainer_of(((6, 12, 2), 8), optimizer=optimizer_of(row), **options), a, b, weight)
            for a, b in ((spoiled(X, weight), spoiled(y, weight)), (X, y))
        ]
        assert_equal(*states)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_rows_of_weight_zero_may_hold_wrong_probabilities_and_large_integers(loss):
    """Integer targets and inputs are too large for a float32's square."""
    rng = np.random.default_rng(0)
    weight = np.where(rng.random(50) < 0.4, 0.0, 1.0)
    X = rng.integers(-3, 4, (50, 4))
    y = rng.dirichlet(np.ones(3), 50) if loss == "cross_entropy" else rng.integers(0, 5, (50, 3))
    junk = spoiled(y, weight)
    X_junk = np.where(weight[:, None] == 0, 2**62, X)
    states = [state_after(trainer_of(((4, 9, 3), 7), loss), a, b, weight) for a, b in ((X_junk, junk), (X, y))]
    assert_equal(*states)


@pytest.mark.parametrize("activation", ["relu", "gelu", "silu", "softplus", "elu", "sin"])
def test_rows_of_weight_zero_have_no_effect_with_any_threads_and_activation(activation):
    network = ((5, 40, 30), 700)
    X, y, weight = weighted_data(1500, network[0], "mse")
    expected = state_after(trainer_of(network, activation=activation), X, y, weight)
    for n_threads in (1, 3):
        found = state_after(
            trainer_of(network, activation=activation, n_threads=n_threads), spoiled(X, weight), spoiled(y, weight), weight
        )
        assert_equal(found, expected)


@pytest.mark.parametrize("sizes", [(70, 33, 5, 2), (70, 9), (70, 2)])
@pytest.mark.parametrize("lazy", [False, True])
def test_sparse_rows_of_weight_zero_have_no_effect(sizes, lazy):
    sparse = pytest.importorskip("scipy.sparse")
    rng = np.random.default_rng(0)
    X, y, weight = weighted_data(45, sizes, "mse")
    X = X * (rng.random(X.shape) < 0.1)
    X[5] = 0
    junk = np.where((weight[:, None] == 0) & (rng.random(X.shape) < 0.5), np.inf, X)
    options = {"optimizer": Adam(0.01), "l2": 0.01, "lazy_updates": lazy}
    states = [
        state_after(trainer_of((sizes, 10), dtype=np.float64, **options), sparse.csr_matrix(a), b, weight)
        for a, b in ((junk, spoiled(y, weight)), (np.where(weight[:, None] == 0, 0, X), y))
    ]
    assert_equal(*states)
    if not lazy:
        dense = state_after(trainer_of((sizes, 10), dtype=np.float64, **options), junk, y, weight)
        np.testing.assert_array_equal(states[0][0], dense[0])


def test_rows_of_weight_zero_have_no_effect_on_custom_functions():
    """The derivative of a root is infinite at 0, which occurs only in rows of weight zero."""
    pytest.importorskip("numba")
    from fastnn import jit

    root = jit.activation(derivative=lambda z: 0.5 / math.sqrt(z))(lambda z: math.sqrt(z))
    own = jit.loss(gradient=lambda y, p: 2 * math.log(p / y) / p)(lambda y, p: math.log(p / y) ** 2)
    rng = np.random.default_rng(0)
    X, y = rng.uniform(1, 2, (40, 3)), rng.uniform(1, 2, (40, 1))
    weight = np.where(rng.random(40) < 0.4, 0.0, 1.0)
    weight[8:16] = 0  # a batch
    states = []
    for a, b in ((spoiled(X, weight), np.where(weight[:, None] == 0, -1.0, y)), (X, y)):
        model = MLP((3, 5, 1), root, dtype=np.float64, random_state=0)
        for w in model.weights:
            w[...] = np.abs(w)
        states.append(state_after(Trainer(model, own, SGD(0.001), batch_size=8, shuffle=False), a, b, weight))
    assert_equal(*states)


@pytest.mark.parametrize("loss", LIKE_TARGETS)
def test_rows_of_weight_zero_have_no_effect_in_the_fallback(loss):
    model = model_of((3, 8, 5, 2), "tanh", links_of(loss)[0], dropout=0.2)
    X, y, weight = weighted_data(45, (3, 2), loss)
    weight[8:16] = 0  # a batch
    setting, states = Setting(loss, Adam(0.01), sample_weight=weight, shuffle=False), []
    for a, b in ((spoiled(X, weight), spoiled(y, weight)), (X, y)):
        network = network_of(model)
        run, _ = run_of(network, a, b, setting, penalties={"l2": 0.01})
        assert run.advance(60, 3) == "finished"
        gradient, by_input = np.empty_like(network.storage), np.empty_like(a)
        native = native_loss(losses.resolve(loss), model.activations[-1])
        value = network.gradient(native, a, b, b.dtype.kind == "i", weight, gradient, by_input)
        assert not by_input[weight == 0].any()
        states.append([network.storage, run.epoch_loss, value, gradient, by_input])
    assert_equal(*states)


@pytest.mark.parametrize("sizes", [(3, 4, 1), (3, 24, 9), (30, 40)])
@pytest.mark.parametrize("kind", ["dense", "sparse"])
@pytest.mark.parametrize("of_batches", [(1.0, 0.0), (0.0, 1.0), (1.0, 0.0, 2.0)])
def test_batches_without_weight_change_parameters_only_by_moments_and_penalties(sizes, kind, of_batches):
    """Their gradient and loss are zero, whatever they and the parameters hold; they count as updates."""
    X, y = data(4 * len(of_batches), sizes[0], sizes[-1])
    weight = np.repeat(of_batches, 4)
    spoiled_X = spoiled(X, weight)
    rows = pytest.importorskip("scipy.sparse").csr_matrix(spoiled_X) if kind == "sparse" else spoiled_X
    trainer = trainer_of((sizes, 4), dtype=np.float64, shuffle=False, l2=0.1)
    model = trainer.model
    copies = [[w.copy() for w in model.weights], [b.copy() for b in model.biases]]
    options = {"optimizer": Adam(0.01), "epochs": 5, "batch_size": 4, "shuffle": False, "l2": 0.1}
    expected = reference.train(*copies, model.activations, X, y, sample_weight=weight, **options)
    found = trainer.run(rows, spoiled(y, weight), 5, sample_weight=weight)["loss"]
    assert trainer.updates == 5 * len(of_batches)
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    for view, array in zip(model.weights + model.biases, copies[0] + copies[1], strict=True):
        np.testing.assert_allclose(view, array, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("X", r"X: .*got nan at row 4, column 1"),
        ("y", r"y: .*got inf at row 4, column 0"),
        ("label", "y: .*got -1 at row 4"),
    ],
)
def test_rows_with_weight_are_checked(place, message):
    """This includes rows after others of weight zero."""
    X, weight = np.ones((6, 2)), np.array([0, 1, 0, 1, 1, 0.0])
    X[weight == 0] = np.nan
    y = np.array([-7, 0, 99, 1, 1, -1]) if place == "label" else np.where(weight == 0, np.inf, 1.0)[:, None]
    if place == "X":
        X[4, 1] = np.nan
    else:
        y[4] = -1 if place == "label" else np.inf
    loss, output = ("cross_entropy", "softmax") if place == "label" else ("mse", "identity")
    model = MLP((2, 3, 2 if place == "label" else 1), output_activation=output)
    before = model.to_vector()
    for dtype in (np.float32, np.float64):
        with pytest.raises(ValueError, match=message):
            model.fit(X.astype(dtype), y, loss=loss, sample_weight=weight)
        with pytest.raises(ValueError, match=message):
            model.loss(np.asfortranarray(X.astype(dtype)), y, loss, weight)
    np.testing.assert_array_equal(model.to_vector(), before)


def test_targets_of_rows_with_weight_must_be_in_the_domain():
    model = MLP((2, 1), output_activation="sigmoid")
    X, weight = np.ones((3, 2)), [0.0, 1, 1]
    assert np.isfinite(model.loss(X, [np.nan, 1, 0], "binary_cross_entropy", weight))
    with pytest.raises(ValueError, match=r"y: expected values between 0 and 1 for .*got values from 0.0 to 2.0"):
        model.loss(X, [np.nan, 2, 0], "binary_cross_entropy", weight)


def test_sparse_rows_with_weight_are_checked():
    sparse = pytest.importorskip("scipy.sparse")
    X = sparse.csr_matrix(np.array([[np.nan, 0], [1, 2], [0, np.inf]]))
    model = MLP((2, 1))
    assert np.isfinite(model.loss(X, [1, 2, 3], sample_weight=[0, 1, 0]))
    with pytest.raises(ValueError, match="X: .*got inf at row 2, column 1"):
        model.loss(X, [1, 2, 3], sample_weight=[0, 1, 1])


# ---- Weights of either sign ----


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("loss", LIKE_TARGETS)
def test_signed_weights_are_divided_by_the_sum_of_their_magnitudes(loss, network):
    """Gradients and whole runs follow the reference's definition, even if the sum is negative."""
    sizes, batch_size = network
    X, y, weight = weighted_data(2 * batch_size + 9, sizes, loss, signed=True)
    trainer = trainer_of(network, loss, np.float64, optimizer=SGD(0.01))
    model = trainer.model
    for signs in (weight, -np.abs(weight)):
        value, gradients = model.gradient(X, y, loss, signs)
        arrays = model.weights, model.biases, model.activations
        expected, of_weights, of_biases = reference.loss_and_gradient(*arrays, X, y, loss, signs)
        assert value == pytest.approx(expected, rel=1e-10)
        for found, wanted in zip(
            gradients, [g for pair in zip(of_weights, of_biases, strict=True) for g in pair], strict=True
        ):
            np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-10)
    copies = [[w.copy() for w in model.weights], [b.copy() for b in model.biases]]
    rng = np.random.default_rng(3)
    options = {"loss": loss, "optimizer": SGD(0.01), "epochs": 2, "batch_size": batch_size, "rng": rng}
    expected = reference.train(*copies, model.activations, X, y, sample_weight=weight, **options)
    found = trainer.run(X, y, 2, sample_weight=weight)["loss"]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    np.testing.assert_allclose(
        model.to_vector(), np.concatenate([p.ravel() for w in zip(*copies, strict=True) for p in w]), 1e-9
    )


def test_weights_that_sum_to_zero_make_steps():
    """The advantages of a policy may sum to zero; the gradient does not vanish."""
    X, y = data(6, 3, 1)
    weight = np.array([1, -1, 2, -2, 0.5, -0.5])
    model = model_of((3, 8, 1))
    up, down = (
        model.gradient(X[::2], y[::2], "mse", weight[::2])[1],
        model.gradient(X[1::2], y[1::2], "mse", -weight[1::2])[1],
    )
    both = model.gradient(X, y, "mse", weight)[1]
    for a, b, c in zip(up, down, both, strict=True):
        np.testing.assert_allclose(c, (a - b) / 2, atol=1e-12)
    trainer = Trainer(model, optimizer=SGD(0.1))
    before = model.to_vector()
    trainer.step(X, y, weight)
    np.testing.assert_allclose(model.to_vector(), before - 0.1 * np.concatenate([g.ravel() for g in both]), atol=1e-12)


# ---- The checks of the compiled code ----


@pytest.mark.parametrize(
    "weight",
    [np.ones(9), np.ones(11), np.ones(10, np.float32), np.ones(20)[::2], np.ones(10, ">f8")],
    ids=lambda w: w.dtype.str,
)
def test_compiled_code_refuses_weights_of_other_types_and_lengths(weight):
    X, y = data(10, 3, 2)
    trainer = trainer_of(((3, 4, 2), 5))
    network, arguments = trainer.model._network, TrainingData(X, y, False, weight)
    with pytest.raises(ValueError, match="^sample_weight must be 10 contiguous float64"):
        network.gradient(native_loss(losses.MSE(), "identity"), *arguments)
    with pytest.raises(ValueError, match="^sample_weight must be 10 contiguous float64"):
        trainer._stepper.step(arguments, 0.1)
    with pytest.raises(ValueError, match="^sample_weight must be 10 contiguous float64"):
        trainer._new_run(arguments, 1)


@pytest.mark.parametrize("order", [np.arange(9), np.arange(1, 11), np.arange(-1, 9), np.arange(10, dtype=np.int32)], ids=str)
def test_compiled_code_refuses_an_order_out_of_bounds(order, monkeypatch):
    X, y = data(10, 3, 2)
    trainer = trainer_of(((3, 4, 2), 5))
    monkeypatch.setattr(trainer, "_conventions", lambda: {"order": order})
    with pytest.raises(ValueError, match="^order must be a permutation of 0 to 9"):
        trainer._new_run(TrainingData(X, y, False, None), 1)
