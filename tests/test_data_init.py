"""Initial parameters from data: unit variance in every layer, and biases among the values."""

from __future__ import annotations

import numpy as np
import pytest
from _normalized import model_with
from scipy import sparse

from fastnn import MLP, reference

X = np.random.default_rng(0).normal(3, [0.01, 1, 100, 5], (400, 4))
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def by_hand(model, X, seed):
    """Return weights and biases by the definition, in plain NumPy."""
    rng, weights, biases = np.random.default_rng(seed), [], []
    inputs = X
    for w, activation in zip(model.weights, model.activations, strict=True):
        sums = inputs @ w
        scales = sums.std(axis=0)
        chosen = rng.integers(0, len(X), (5, w.shape[1]))
        shares = rng.exponential(size=(5, w.shape[1]))
        shares /= shares.sum(axis=0)
        weights.append(w / scales)
        biases.append(-(shares * np.take_along_axis(sums / scales, chosen, axis=0)).sum(axis=0))
        inputs = reference.forward(weights[-1:], biases[-1:], [activation], inputs)[-1][1]
    return weights, biases


@pytest.mark.parametrize("sizes", [(4, 3), (4, 8, 1), (4, 30, 20, 10, 2)])
@pytest.mark.parametrize("activation", ["relu", "tanh", "mish"])
def test_the_definition(sizes, activation):
    model = MLP(sizes, activation, dtype=np.float64, random_state=0)
    weights, biases = by_hand(model, X, 5)
    model.init_from_data(X, random_state=5)
    for found, expected in zip([*model.weights, *model.biases], [*weights, *biases], strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-8)


@DTYPES
def test_every_activation_has_inputs_of_unit_variance(dtype):
    model = MLP((4, 50, 40, 3), ["relu", "sigmoid"], dtype=dtype, random_state=0)
    model.init_from_data(X)
    inputs = X.astype(dtype)
    for w, b, outputs in zip(model.weights, model.biases, [*model.hidden_activations(X), None], strict=True):
        z = inputs @ w + b
        np.testing.assert_allclose(z.std(axis=0), 1.0, rtol=1e-3)
        assert (z.min(axis=0) < 0).all()
        assert (z.max(axis=0) > 0).all()
        inputs = outputs


def test_biases_are_left_alone_on_demand():
    model = MLP((4, 20, 1), random_state=0)
    for bias in model.biases:
        bias[...] = 0.5
    model.init_from_data(X, biases=False)
    assert all((bias == 0.5).all() for bias in model.biases)
    np.testing.assert_allclose((X @ model.weights[0]).std(axis=0), 1.0, rtol=1e-3)


def test_the_random_numbers_are_those_of_the_model_or_of_a_seed():
    def vector(seed, **options):
        model = MLP((4, 20, 1), random_state=seed)
        model.init_from_data(X, **options)
        return model.to_vector()

    np.testing.assert_array_equal(vector(0), vector(0))
    assert not np.array_equal(vector(0), vector(0, random_state=1))
    np.testing.assert_array_equal(vector(0, random_state=1), vector(0, random_state=np.random.default_rng(1)))
    plain = MLP((4, 20, 1), random_state=0)
    plain.init_from_data(X, random_state=1)
    assert plain._rng.bit_generator.state == MLP((4, 20, 1), random_state=0)._rng.bit_generator.state


@DTYPES
def test_normalized_layers_and_slopes_keep_their_other_parameters(dtype):
    model = model_with((4, 17, 9, 3), ["prelu", "silu"], ["layer_norm", "rms_norm"], ["before", "after"], dtype)
    before = [
        np.array(array) for kind in ("slopes", "gains", "shifts") for array in getattr(model, kind) if array is not None
    ]
    model.init_from_data(X)
    after = [array for kind in ("slopes", "gains", "shifts") for array in getattr(model, kind) if array is not None]
    for own, kept in zip(after, before, strict=True):
        np.testing.assert_array_equal(own, kept)
    hidden = model.hidden_activations(X)[-1]
    np.testing.assert_allclose((hidden @ model.weights[-1]).std(axis=0), 1.0, rtol=1e-3)


def test_forms_of_inputs(tmp_path):
    dense = X * (np.random.default_rng(1).random(X.shape) < 0.5)
    np.save(tmp_path / "x.npy", dense)
    vectors = []
    for rows in (
        dense,
        sparse.csr_matrix(dense),
        np.load(tmp_path / "x.npy", mmap_mode="r"),
        dense.tolist(),
        np.asfortranarray(dense),
    ):
        model = MLP((4, 20, 1), dtype=np.float64, random_state=0)
        model.init_from_data(rows)
        vectors.append(model.to_vector())
    for vector in vectors[1:]:
        np.testing.assert_array_equal(vector, vectors[0])


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_of_many_rows_a_part_is_used(form, monkeypatch):
    monkeypatch.setattr("fastnn._data_init._MAX_ELEMENTS", 100 * 25)
    rng = np.random.default_rng(3)
    rows = np.sort(rng.choice(400, 100, replace=False))
    part, whole = (MLP((4, 20, 1), dtype=np.float64, random_state=0) for _ in range(2))
    part.init_from_data(X[rows], random_state=rng)
    whole.init_from_data(form(X), random_state=3)
    np.testing.assert_array_equal(part.to_vector(), whole.to_vector())


def test_units_without_variance_keep_their_weights():
    model = MLP((4, 5, 2), init="zeros")
    model.init_from_data(X)
    assert not any(w.any() for w in model.weights)
    model = MLP((2, 5, 2), dtype=np.float64, random_state=0)
    before = model.weights[0].copy()
    model.init_from_data([[0.1, 0.3]] * 7)
    np.testing.assert_array_equal(model.weights[0], before)
    np.testing.assert_allclose(model.biases[0], -(np.array([0.1, 0.3]) @ before))


@pytest.mark.parametrize(
    ("rows", "error", "text"),
    [
        (X[:, :3], ValueError, "X: expected"),
        (X[:1], ValueError, "X: expected at least two rows"),
        (X[0], ValueError, "X: expected at least two rows"),
        (np.where(X[7, 2] == X, np.nan, X), ValueError, "row 7, column 2"),
        ("rows", TypeError, "X: expected"),
        (X / np.abs(X).max() * 3e38, OverflowError, "X: the products with the weights of layer 1"),
        (X * 1e-42, OverflowError, "X: the inputs of layer 1 vary too little"),
    ],
)
def test_wrong_data_change_nothing(rows, error, text):
    model = MLP((4, 20, 1), random_state=0)
    before, state = model.to_vector(), model._rng.bit_generator.state
    with pytest.raises(error, match=text):
        model.init_from_data(rows)
    np.testing.assert_array_equal(model.to_vector(), before)
    assert error is OverflowError or model._rng.bit_generator.state == state
    with pytest.raises(TypeError, match="biases"):
        model.init_from_data(X, biases=1)
    with pytest.raises(TypeError, match="bias"):
        model.init_from_data(X, bias=True)
