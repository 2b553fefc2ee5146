"""Predictions of many rows by small networks, which must have the bits of predictions of one row at a time."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import MLP, predict_many

SIZES = [(2, 2, 1), (1, 1), (4, 3), (3, 4, 2), (5, 8, 8, 4), (8, 7, 1), (4, 1, 4), (8, 16, 1), (3, 2, 5)]
MOST_ROWS = 300
ROWS = [1, 3, 4, 5, 8, 16, 17, 63, 64, 65, 128, 129, MOST_ROWS]
ACTIVATIONS = ["tanh", "sigmoid", "relu", "gelu", "softplus", "prelu"]


def one_by_one(model, X):
    return np.stack([model.predict(row) for row in X])


def problem(sizes, dtype, activation="tanh", output="identity", n=MOST_ROWS):
    model = MLP(sizes, activation, output, dtype=dtype, random_state=1)
    for bias in model.biases:
        bias[...] = np.linspace(-0.5, 0.5, len(bias))
    return model, np.random.default_rng(0).standard_normal((n, sizes[0])).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", SIZES)
def test_any_number_of_rows_gives_the_bits_of_single_rows(sizes, dtype):
    model, X = problem(sizes, dtype)
    expected = one_by_one(model, X)
    for n in ROWS:
        for n_threads in (1, 2, 3):
            np.testing.assert_array_equal(model.predict(X[:n], n_threads=n_threads), expected[:n])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("output", ["identity", "sigmoid", "softmax"])
def test_every_activation_gives_the_bits_of_single_rows(activation, output, dtype):
    model, X = problem((3, 4, 4, 2), dtype, activation, output, 50)
    np.testing.assert_array_equal(model.predict(X), one_by_one(model, X))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_kind_of_array_gives_the_bits_of_plain_rows(dtype):
    model, X = problem((4, 4, 2), dtype, n=150)
    X = np.round(X * 4)
    expected = one_by_one(model, X)
    wide = np.zeros((300, 9), dtype)
    wide[::2, 1::2] = X
    wider = np.zeros((150, 7), dtype)
    wider[:, :4] = X
    backwards = np.ascontiguousarray(X[::-1])[::-1]
    swapped = X.astype(X.dtype.newbyteorder())
    for given in (np.asfortranarray(X), wide[::2, 1::2], wider[:, :4], backwards, X.astype(np.int8), swapped):
        np.testing.assert_array_equal(model.predict(given), expected)


def test_numbers_that_are_not_finite_stay_in_their_rows():
    model, X = problem((3, 4, 1), np.float32, n=40)
    expected = model.predict(X)
    X[[2, 17, 39]] = [[np.nan, 0, 0], [np.inf, 1, 1], [0, -np.inf, 0]]
    found = model.predict(X)
    others = np.setdiff1d(np.arange(40), [2, 17, 39])
    np.testing.assert_array_equal(found[others], expected[others])
    np.testing.assert_array_equal(found, one_by_one(model, X))
    assert np.isnan(found[2]).all()


# Models are predicted in calls of up to 256 rows, of which the last may have fewer than a vector has lanes.
@pytest.mark.parametrize("n", [1, 16, 40, 257, 259, 263, 271, 300])
def test_many_models_give_the_bits_of_each_alone(n):
    models = [MLP((3, 4, 2), "tanh", random_state=seed) for seed in range(5)]
    models += [MLP((3, 8, 8, 2), "relu", random_state=seed) for seed in range(3)]
    models += [MLP((3, *[2] * 12, 2), "tanh", random_state=seed) for seed in range(3)]
    X = np.random.default_rng(0).standard_normal((n, 3)).astype(np.float32)
    for found, model in zip(predict_many(models, X), models, strict=True):
        np.testing.assert_array_equal(found, one_by_one(model, X))
    of_each = np.random.default_rng(1).standard_normal((len(models), n, 3)).astype(np.float32)
    for found, model, own in zip(predict_many(models, of_each), models, of_each, strict=True):
        np.testing.assert_array_equal(found, one_by_one(model, own))


def test_hidden_activations_agree_with_predictions():
    model, X = problem((3, 4, 2), np.float32, n=40)
    hidden = model.hidden_activations(X)
    of_rows = [model.hidden_activations(row) for row in X]
    for layer, activations in enumerate(hidden):
        np.testing.assert_array_equal(activations, np.stack([of_row[layer] for of_row in of_rows]))
    np.testing.assert_array_equal(model.predict(X), one_by_one(model, X))
