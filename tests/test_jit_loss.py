"""Custom losses: their values and gradients, in every kind of network."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from _helpers import assert_same_trajectory, data, model_of, state_of, trained

from fastnn import MLP, SGD, Adam, DivergedError, Trainer, losses, reference

pytest.importorskip("numba")

from _jit_activations import exponential, leaky, log_cosh, odd, squares

from fastnn import jit

FORMULAS = {
    squares: (lambda y, p: (p - y) ** 2, lambda y, p: 2 * (p - y)),
    log_cosh: (lambda y, p: np.log(np.cosh(p - y)), lambda y, p: np.tanh(p - y)),
    odd: (lambda y, p: np.exp(p) - y * np.log(p), lambda y, p: np.exp(p) - y / p),
}
ALL = pytest.mark.parametrize("loss", FORMULAS, ids=repr)
of_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
# Layer sizes and batch size: a tiny network; narrow outputs; wide outputs with and without padding.
NETWORKS = [((2, 3, 1), 4), ((3, 8, 5, 2), 10), ((3, 13, 17), 33), ((5, 20, 64), 600)]


def positive(model):
    """Make the outputs positive numbers, for which every loss is finite."""
    model.biases[-1][...] = 1.0
    for w in model.weights:
        w *= 0.2
    return model


def gradients(model, X, y, loss, **options):
    """Return value and gradients of the model and of the reference."""
    value, weights, biases = reference.loss_and_gradient(
        model.weights, model.biases, model.activations, X, y, loss, **options
    )
    pairs = zip(weights, biases, strict=True)
    return model.gradient(X, y, loss, options.get("sample_weight")), (value, [g for pair in pairs for g in pair])


# ---- The functions ----


@ALL
def test_values_and_gradients_of_arrays_are_those_of_the_formula(loss):
    value, gradient = FORMULAS[loss]
    y, p = np.random.default_rng(0).uniform(0.1, 3, (2, 7, 5))
    np.testing.assert_allclose(loss(y, p), value(y, p), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(loss.value(y, p), value(y, p), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(loss.gradient(y, p), gradient(y, p), rtol=1e-13, atol=1e-15)


def test_losses_can_be_called_with_any_real_numbers():
    assert squares(1, 3) == 4.0
    assert isinstance(squares(1, 3), float)
    np.testing.assert_array_equal(squares([[0], [1]], [1, 2, 4]), [[1, 4, 16], [0, 1, 9]])
    assert squares(np.float32(1), np.float32(2)).dtype == np.float32
    assert squares([], 1.0).shape == (0,)
    with pytest.raises(ValueError, match="shape"):
        squares([1, 2], [1, 2, 3])
    with pytest.raises(TypeError, match=r"^y_pred: expected real numbers that fit into float64, got an array of dtype complex128"):
        squares(1.0, 1j)


def test_losses_have_name_and_repr_and_compare_by_identity():
    assert repr(squares) == "<loss 'squares'>"
    assert odd.name == "odd one"
    assert (squares.__name__, squares.__doc__) == ("squares", "Return the squared error.")
    assert squares != log_cosh
    assert len({squares, log_cosh, squares}) == 2
    for copied in (copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))):
        assert copied(log_cosh) is log_cosh


# ---- In networks ----


@ALL
@of_dtypes
@pytest.mark.parametrize("sizes", [sizes for sizes, _ in NETWORKS], ids=str)
def test_gradients_in_networks_are_those_of_the_reference(loss, sizes, dtype):
    model = positive(model_of(sizes, dtype=dtype))
    X, y = (
        np.random.default_rng(0).uniform(0.5, 2, (50, sizes[0])),
        np.random.default_rng(1).uniform(0.5, 2, (50, sizes[-1])),
    )
    weight = np.random.default_rng(2).choice([0.0, 0.5, 2.0], 50)
    actual, expected = gradients(model, X, y, loss, sample_weight=weight)
    tolerance = 1e-4 if dtype == np.float32 else 1e-10
    assert actual[0] == pytest.approx(expected[0], rel=tolerance)
    assert model.loss(X, y, loss, weight) == actual[0]
    for got, wanted in zip(actual[1], expected[1], strict=True):
        np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance * np.abs(wanted).max())
    by_input = reference.input_gradient(model.weights, model.biases, model.activations, X, y, loss)
    got = model.input_gradient(X, y, loss)
    np.testing.assert_allclose(got, by_input, rtol=tolerance, atol=tolerance * np.abs(by_input).max())


@pytest.mark.parametrize("output", ["identity", "tanh", "sigmoid", "gelu", "exp", "softmax", exponential, leaky], ids=str)
@pytest.mark.parametrize("network", [((2, 3, 2), 4), *NETWORKS[1:3]], ids=str)
def test_training_follows_the_reference_for_any_output(network, output):
    trainer, X, y = trained(45, network, output=output, optimizer=Adam(0.01))
    trainer = Trainer(trainer.model, log_cosh, trainer.optimizer, batch_size=trainer.batch_size, random_state=7)
    assert_same_trajectory(trainer, X, y, seed=7, epochs=3, rtol=1e-9)


@of_dtypes
@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_custom_squares_equal_the_built_in_loss(network, dtype):
    sizes, batch_size = network
    X, y = data(300, sizes[0], sizes[-1])
    models = [MLP(sizes, "tanh", dtype=dtype, random_state=0) for _ in range(2)]
    pairs = zip(models, ("mse", squares), strict=True)
    histories = [m.fit(X, y, loss=loss, epochs=3, batch_size=batch_size, random_state=1) for m, loss in pairs]
    rtol = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(histories[1]["loss"], histories[0]["loss"], rtol=rtol)
    np.testing.assert_allclose(models[1].to_vector(), models[0].to_vector(), rtol=rtol, atol=10 * rtol)


@of_dtypes
@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_threads_and_parts_give_the_same_bits(network, dtype):
    sizes, batch_size = network
    X, y = data(700, sizes[0], sizes[-1])
    states = []
    for n_threads in (1, 2, 3):
        model = MLP(sizes, "tanh", dtype=dtype, random_state=0)
        trainer = Trainer(model, log_cosh, Adam(0.01), batch_size=batch_size, random_state=1, n_threads=n_threads)
        history = trainer.run(X, y, 2, sample_weight=np.linspace(0, 1, 700))
        states.append((state_of(trainer), history["loss"].tobytes()))
    assert states[0] == states[1] == states[2]


@of_dtypes
@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_rows_of_weight_zero_and_padding_have_no_effect(network, dtype):
    """The loss of their values is infinite or NaN."""
    sizes, _ = network
    models = [positive(MLP(sizes, "tanh", dtype=dtype, random_state=0)) for _ in range(2)]
    X, y = np.full((50, sizes[0]), 0.5), np.ones((50, sizes[-1]))
    y[20:] = -1e4
    X[20:] = -1e4  # rows for which the loss is not finite
    weight = np.repeat([1.0, 0.0], [20, 30])
    for model, rows in zip(models, (50, 20), strict=True):
        for w in model.weights:
            w[...] = np.abs(w)
        model.biases[-1][...] = 0.1
        model.fit(
            X[:rows], y[:rows], loss=odd, optimizer=SGD(0.01), sample_weight=weight[:rows], batch_size=50, shuffle=False
        )
    values = [model.loss(X[:rows], y[:rows], odd, weight[:rows]) for model, rows in zip(models, (50, 20), strict=True)]
    assert np.isnan(odd(y[30], models[0].predict(X)[30])).all()
    assert values[0] == values[1]
    assert np.isfinite(values[0])
    assert models[0].to_vector().tobytes() == models[1].to_vector().tobytes()
    storage = models[0]._network.storage.copy()
    for view in (view for views in models[0]._network.views(storage)[:2] for view in views):
        view[...] = 0
    assert not storage.any()


def test_a_loss_that_raises_ends_training():
    @jit.loss(gradient=lambda y, p: 0.0, check_range=(-1, 1))
    def picky(y, p):
        if p > 20.0:
            raise ValueError("too much")
        return 0.0

    model = MLP((1, 1), init="zeros")
    assert model.loss([[0.0]], [1.0], picky) == 0.0
    model.biases[0][...] = 30.0
    assert np.isnan(model.loss([[0.0]], [1.0], picky))
    with pytest.raises(DivergedError):
        model.fit([[0.0]], [1.0], loss=picky)
    with pytest.raises(ValueError, match=r"^function: picky or its derivative raised ValueError\('too much'"):
        picky(0.0, 30.0)


def test_any_subclass_of_the_base_class_is_accepted_as_a_loss():
    """Networks and the reference require only the base class."""

    class Borrowed(losses.CustomLoss):
        name = "borrowed"

        def address(self, dtype):
            return squares.address(dtype)

        def value(self, y_true, y_pred):
            return squares.value(y_true, y_pred)

        def gradient(self, y_true, y_pred):
            return squares.gradient(y_true, y_pred)

    model, (X, y) = model_of((3, 8, 2)), data(20, 3, 2)
    assert model.loss(X, y, Borrowed()) == model.loss(X, y, squares)
    assert Borrowed() != Borrowed()
