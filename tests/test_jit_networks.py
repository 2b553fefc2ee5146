"""Networks with custom activations: against the reference and finite differences, and on any number of threads."""

from __future__ import annotations

import numpy as np
import pytest
from _helpers import assert_same_trajectory, data, forward, model_of, trained

from fastnn import MLP, SGD, Adam, Trainer, losses, reference
from fastnn._views import by_kind

pytest.importorskip("numba")

from _jit_activations import FORMULAS, SIZES, cosine, exponential, leaky, root, sine, swish

from fastnn import jit

ALL = pytest.mark.parametrize("activation", FORMULAS, ids=repr)
of_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def tolerance(dtype):
    return 2e-6 if dtype == np.float32 else 1e-13


def gradient_by_reference(model, X, y, **options):
    value, weights, biases = reference.loss_and_gradient(
        model.weights, model.biases, model.activations, X, y, options.pop("loss", "mse"), **options
    )
    return value, [g for pair in zip(weights, biases, strict=True) for g in pair]


# ---- Outputs and gradients ----


@ALL
@of_dtypes
@pytest.mark.parametrize("rows", [1, 5, 200])
def test_outputs_are_those_of_the_reference(activation, dtype, rows):
    model = model_of(SIZES, [activation, "tanh"], activation, dtype=dtype)
    X = np.random.default_rng(0).normal(size=(rows, 3)).astype(dtype)
    for actual, expected in zip([*model.hidden_activations(X), model.predict(X)], forward(model, X), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=tolerance(dtype), atol=10 * tolerance(dtype))


@ALL
@of_dtypes
@pytest.mark.parametrize("sizes", [SIZES, (3, 4, 2), (2, 5, 3, 17)], ids=str)
def test_gradients_are_those_of_the_reference(activation, dtype, sizes):
    model = model_of(sizes, [activation, "tanh"][: len(sizes) - 2], activation, dtype=dtype)
    X, y = (array.astype(dtype) for array in data(50, sizes[0], sizes[-1]))
    value, expected = gradient_by_reference(model, X, y)
    actual_value, actual = model.gradient(X, y)
    assert actual_value == pytest.approx(value, rel=20 * tolerance(dtype))
    for got, wanted in zip(actual, expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-3 * (dtype == np.float32) + 1e-9, atol=1e-4 * np.abs(wanted).max())
    by_input = reference.input_gradient(model.weights, model.biases, model.activations, X, y)
    np.testing.assert_allclose(model.input_gradient(X, y), by_input, rtol=1e-3, atol=1e-4 * np.abs(by_input).max())


@ALL
def test_gradients_are_finite_differences(activation):
    model = model_of((3, 5, 4, 2), [activation, "tanh"], activation)
    X, y = data(7, 3, 2)
    gradient = np.concatenate([g.ravel() for g in model.gradient(X, y)[1]])
    start, step = model.to_vector(), 1e-5
    for i in range(start.size):
        ends = []
        for sign in (1, -1):
            moved = start.copy()
            moved[i] += sign * step
            model.set_vector(moved)
            ends.append(model.loss(X, y))
        assert gradient[i] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5, abs=1e-7)


# ---- Training ----


@ALL
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("output", [False, True])
def test_training_follows_the_reference(activation, dropout, output):
    network = ((3, 13, 5, 2), 10)
    options = {"optimizer": SGD(0.01), "clip_norm": 1.0, "dropout": dropout}
    trainer, X, y = trained(45, network, output=activation if output else "tanh", activation=activation, **options)
    assert_same_trajectory(trainer, X, y, seed=7, epochs=4, rtol=1e-8)


def test_custom_and_built_in_activations_can_be_mixed():
    trainer, X, y = trained(40, activation=["tanh", cosine], optimizer=Adam(0.01))
    assert_same_trajectory(trainer, X, y, seed=7, epochs=3, rtol=1e-8)


@of_dtypes
def test_a_custom_leaky_relu_equals_the_built_in_one(dtype):
    models = [MLP((20, 33, 17, 3), a, init="he_normal", dtype=dtype, random_state=0) for a in ("leaky_relu", leaky)]
    X, y = data(300, 20, 3)
    histories = [model.fit(X, y, epochs=3, random_state=1) for model in models]
    np.testing.assert_allclose(histories[1]["loss"], histories[0]["loss"], rtol=1e-5)
    np.testing.assert_allclose(models[1].to_vector(), models[0].to_vector(), rtol=1e-3, atol=1e-5)


@of_dtypes
@pytest.mark.parametrize("activation", [leaky, swish, root], ids=repr)
def test_threads_and_batches_give_the_same_bits(activation, dtype):
    X, y = data(700, 20, 3)
    models = [MLP((20, 67, 45, 3), activation, dropout=0.2, dtype=dtype, random_state=0) for _ in range(2)]
    for n_threads, model in enumerate(models, 1):
        model.fit(X, y, epochs=2, batch_size=600, random_state=1, n_threads=n_threads)
    assert models[0].to_vector().tobytes() == models[1].to_vector().tobytes()
    predicted = models[0].predict(X, n_threads=1)
    assert models[0].predict(X, n_threads=2).tobytes() == predicted.tobytes()
    assert models[0].predict(X[17]).tobytes() == predicted[17].tobytes()
    assert models[0].predict(X[3:40]).tobytes() == predicted[3:40].tobytes()


@pytest.mark.parametrize("activation", [cosine, root, sine], ids=repr)
def test_padding_stays_zero(activation):
    model = model_of(SIZES, activation, dtype=np.float32)
    X, y = data(100, 3, 2)
    model.fit(X, y, epochs=3, optimizer=SGD(0.01), clip_norm=1.0)
    storage = model._network.storage.copy()
    assert np.isfinite(storage).all()
    for view in by_kind(model._network.views(storage)):
        view[...] = 0
    assert not storage.any()


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy", "poisson"])
def test_losses_from_logits_refuse_custom_output_activations(loss):
    model = MLP((3, 4, 2), output_activation=exponential)
    message = "^loss: expected .*, got '.*' for a model with output_activation=<activation 'e to the z'>"
    with pytest.raises(ValueError, match=message):
        Trainer(model, loss)
    with pytest.raises(ValueError, match="expected"):
        reference.loss_and_gradient(model.weights, model.biases, model.activations, *data(5, 3, 2, loss), loss)


@pytest.mark.parametrize("loss", ["mse", "mae", losses.Huber(0.3), losses.Quantile(0.3)], ids=str)
def test_custom_output_activations_are_accepted_by_other_losses(loss):
    model = model_of((3, 4, 2), "tanh", exponential)
    X, y = data(20, 3, 2)
    for got, wanted in zip(model.gradient(X, y, loss)[1], gradient_by_reference(model, X, y, loss=loss)[1], strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-12)


def test_an_activation_that_raises_gives_nan():
    @jit.activation(derivative=lambda z: 1.0)
    def picky(z):
        if z > 20.0:
            raise ValueError("too much")
        return z

    model = MLP((1, 4, 1), picky, init="zeros", random_state=0)
    for w in model.weights:
        w[...] = 1.0
    assert model.predict([1.0]) == 4.0
    assert np.isnan(model.predict([30.0])).all()
    assert np.isnan(model.loss([[30.0]], [1.0]))
    with pytest.raises(ValueError, match=r"^function: picky or its derivative raised ValueError\('too much'"):
        picky(30.0)
