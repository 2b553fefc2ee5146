"""Threads share the outputs of layers where rows are few: losses and derivatives of all networks keep their bits."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

import fastnn
from fastnn import MLP, SharedEnsemble
from fastnn.embeddings import PLR, Categorical

pytestmark = pytest.mark.usefixtures("three_threads")  # which gives back the limit that the tests change

# Several threads share the outputs of each layer of more than a few units, in either dtype.
SIZES = (150, 300, 170, 300, 4)
KINDS = {
    "plain": {},
    "one layer": {"layer_sizes": (150, 300)},
    "one output": {"layer_sizes": (150, 300, 170, 1)},
    "narrow": {"layer_sizes": (150, 300, 5, 300, 200)},
    "layer_norm": {"normalization": "layer_norm"},
    "rms_norm after": {"normalization": "rms_norm", "normalization_place": "after"},
    "parametric": {"parametric_activation": True},
    "scaled inputs": {"input_scale": True},
    "residual": {"layer_sizes": (300, 300, 300, 4), "residual": True},
    "shared": {"shared": SharedEnsemble(3)},
    "embedded": {"embeddings": [PLR(range(10), width=5), Categorical(10, 6, width=4)]},
}


def results(model, X, y, n_threads):
    """Return the bits of a loss and its derivatives, of those of the outputs, and of the outputs."""
    dense = not scipy.sparse.issparse(X)
    found = [model.predict(X, n_threads=n_threads), model.loss(X, y), *model.gradient(X, y)[1]]
    gradients = model.vjp(X, y, inputs=dense, n_threads=n_threads)
    for part in gradients if dense else [gradients]:
        found += part if isinstance(part, list) else [part]
    if dense:
        found.append(model.input_gradient(X, y))
    return [np.asarray(value).tobytes() for value in found]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_any_number_of_threads_gives_the_same_bits(kind, dtype):
    options = {"layer_sizes": SIZES, "activation": "gelu"} | KINDS[kind]
    model = MLP(dtype=dtype, random_state=0, **options)
    rng = np.random.default_rng(1)
    X, y = rng.random((90, model.layer_sizes[0])).astype(dtype), rng.random((90, model.layer_sizes[-1])).astype(dtype)
    if kind == "embedded":
        X[:, 10] = np.floor(6 * X[:, 10])
    for n in (1, 2, 7, 8, 9, 40, 90):
        fastnn.set_num_threads(1)
        expected = results(model, X[:n], y[:n], 1)
        for many in (2, 3, 5):
            fastnn.set_num_threads(many)
            assert results(model, X[:n], y[:n], many) == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_rows_have_the_same_bits_for_any_number_of_threads(dtype):
    model = MLP(SIZES, dtype=dtype, random_state=0)
    X = scipy.sparse.random_array((40, SIZES[0]), density=0.2, rng=np.random.default_rng(1), dtype=dtype).tocsr()
    y = np.random.default_rng(2).random((40, SIZES[-1])).astype(dtype)
    for n in (1, 5, 40):
        fastnn.set_num_threads(1)
        expected = results(model, X[:n], y[:n], 1)
        for many in (2, 3, 5):
            fastnn.set_num_threads(many)
            assert results(model, X[:n], y[:n], many) == expected


# More weights than a second-level cache holds: then, threads share the outputs for all rows of a strip of predictions.
LARGE = {
    "plain": {"layer_sizes": (600, 1100, 700, 1100, 4)},
    "narrow": {"layer_sizes": (900, 1100, 5, 1100, 900)},
    "layer_norm": {"layer_sizes": (600, 1100, 1100, 4), "normalization": "layer_norm"},
    "residual": {"layer_sizes": (900, 900, 900, 900), "residual": True},
    "scaled inputs": {"layer_sizes": (600, 1100, 1100, 1), "input_scale": True, "parametric_activation": True},
    "embedded": {"layer_sizes": (150, 1100, 1300, 4), "embeddings": [PLR(range(10), width=5)]},
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", LARGE)
def test_predictions_of_large_networks_have_the_same_bits_for_any_number_of_threads(kind, dtype):
    model = MLP(activation="gelu", dtype=dtype, random_state=0, **LARGE[kind])
    X = np.random.default_rng(1).random((300, model.layer_sizes[0])).astype(dtype)
    fastnn.set_num_threads(1)
    expected, hidden = model.predict(X), model.hidden_activations(X)
    for n in (1, 8, 9, 17, 40, 127, 128, 129, 300):
        for many in (1, 2, 3, 5):
            fastnn.set_num_threads(many)
            np.testing.assert_array_equal(model.predict(X[:n], n_threads=many), expected[:n], f"{n} rows, {many} threads")
            for got, wanted in zip(model.hidden_activations(X[:n]), hidden, strict=True):
                np.testing.assert_array_equal(got, wanted[:n], f"{n} rows, {many} threads")
