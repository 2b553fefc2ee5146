"""Initial weights: shapes, distributions, the random numbers that are drawn, and names."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastnn import MLP
from fastnn._initializers import INITIALIZERS, initialize

VARIANCES = {
    "glorot": lambda n_in, n_out: 2 / (n_in + n_out),
    "he": lambda n_in, n_out: 2 / n_in,
    "lecun": lambda n_in, n_out: 1 / n_in,
}
NAMES = [f"{scheme}_{shape}" for scheme in VARIANCES for shape in ("uniform", "normal")]
RELU_FAMILY = ["relu", "leaky_relu", "elu", "gelu", "silu", "softplus"]
OTHERS = ["identity", "tanh", "sigmoid", "sin", "softmax", "exp", object()]


def test_every_initializer_is_tested():
    assert set(INITIALIZERS) == {*NAMES, "zeros"}


@pytest.mark.parametrize("init", ["auto", *NAMES, "zeros"])
def test_weights_have_the_shapes_and_type_of_the_model(init):
    weights = initialize((3, 5, 4, 1), ["relu", "tanh", "identity"], init, np.random.default_rng(0))
    assert [w.shape for w in weights] == [(3, 5), (5, 4), (4, 1)]
    assert all(w.dtype == np.float64 and w.flags.c_contiguous for w in weights)


@pytest.mark.parametrize("init", NAMES)
def test_weights_have_the_mean_and_variance_of_their_distribution(init):
    scheme, shape = init.split("_")
    n_in, n_out = 300, 500
    (w,) = initialize((n_in, n_out), ["relu"], init, np.random.default_rng(1))
    variance = VARIANCES[scheme](n_in, n_out)
    # Mean and variance are taken over 150 000 independent draws.
    assert abs(w.mean()) < 5 * math.sqrt(variance / w.size)
    assert w.var() == pytest.approx(variance, rel=0.02)
    limit = math.sqrt(3 * variance)
    if shape == "uniform":
        assert 0.999 * limit < np.abs(w).max() <= limit
        assert np.mean(np.abs(w) < limit / 2) == pytest.approx(0.5, abs=0.01)
    else:
        assert np.abs(w).max() > 1.5 * limit
        assert np.mean(np.abs(w) < math.sqrt(variance)) == pytest.approx(0.6827, abs=0.01)


def test_weights_are_drawn_layer_by_layer():
    rng = np.random.default_rng(2)
    limits = [math.sqrt(6 / (2 + 3)), math.sqrt(6 / (3 + 1))]
    expected = [rng.uniform(-limits[0], limits[0], (2, 3)), rng.uniform(-limits[1], limits[1], (3, 1))]
    got = initialize((2, 3, 1), ["tanh", "identity"], "glorot_uniform", np.random.default_rng(2))
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_array_equal(g, e)


def test_each_layer_may_have_an_initializer():
    got = initialize((2, 3, 3, 1), ["tanh"] * 3, ["he_normal", "zeros", "auto"], np.random.default_rng(2))
    rng = np.random.default_rng(2)
    expected = [rng.normal(0.0, 1.0, (2, 3)), np.zeros((3, 3)), rng.uniform(-math.sqrt(1.5), math.sqrt(1.5), (3, 1))]
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_allclose(g, e, rtol=1e-15)
    model = MLP((2, 3, 1), init=["glorot_normal", "zeros"], random_state=0)
    assert model.weights[0].any()
    assert not model.weights[1].any()
    with pytest.raises(ValueError, match="init: expected one name, or 2, one per layer, the output layer's last, got 1"):
        MLP((2, 3, 1), init=["zeros"])
    with pytest.raises(TypeError, match=r"init\[1\]: expected one of 'auto'"):
        MLP((2, 3, 1), init=["zeros", None])


def test_zeros_draw_no_random_numbers():
    rng = np.random.default_rng(3)
    (w,) = initialize((2, 3), ["tanh"], "zeros", rng)
    np.testing.assert_array_equal(w, np.zeros((2, 3)))
    assert rng.random() == np.random.default_rng(3).random()


@pytest.mark.parametrize(
    ("activation", "expected"),
    [*((name, "he_normal") for name in RELU_FAMILY), *((name, "glorot_uniform") for name in OTHERS)],
)
def test_auto_depends_on_the_activation_of_each_layer(activation, expected):
    # The second layer is under test; the first takes the other branch.
    first = "tanh" if expected == "he_normal" else "relu"
    got = initialize((4, 6, 5), [first, activation], "auto", np.random.default_rng(4))
    rng = np.random.default_rng(4)
    initialize((4, 6), [first], "auto", rng)
    (second,) = initialize((6, 5), [activation], expected, rng)
    np.testing.assert_array_equal(got[1], second)


def test_wrong_init_raises():
    rng = np.random.default_rng(5)
    with pytest.raises(ValueError, match=r"init: expected one of 'auto', 'glorot_uniform', .* 'zeros'.*got 'xavier'"):
        initialize((2, 3), ["tanh"], "xavier", rng)
    with pytest.raises(TypeError, match="init: expected one of 'auto'.*got 0 of type int"):
        initialize((2, 3), ["tanh"], 0, rng)
