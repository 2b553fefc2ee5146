"""Initial parameters from data, of models with embeddings, scaled inputs and parametric activations."""

from __future__ import annotations

import numpy as np
import pytest
from _embedded import data_for as rows_with_codes
from _model_checks import reference_of
from _parts import data_for, parametric_model
from _parts import model_with as scaled_model
from scipy import sparse

from fastnn import MLP, reference
from fastnn.embeddings import PBLD, PLR, Categorical, OneHot

EMBEDDINGS = [
    PBLD([0, 2], n_frequencies=3, width=5, sigma=0.5),
    Categorical(1, n_categories=4, width=3),
    OneHot(3, n_categories=3),
    PLR(5, n_frequencies=2, width=9, sigma=0.5),
]


def parametric(dtype):
    of_layers = (6, 20, 11, 2), ["relu", "mish"], ["layer_norm", None], "after", True
    model = parametric_model(*of_layers, dtype, input_scale=True)
    return model, *data_for(model, 200)[:1]


def scaled(dtype):
    model = scaled_model((6, 30, 2), dtype=dtype, input_dropout=0.3)
    return model, *data_for(model, 200)[:1]


def embedded(dtype):
    model = MLP(
        (6, 17, 9, 2),
        "gelu",
        embeddings=EMBEDDINGS,
        parametric_activation=True,
        dtype=dtype,
        random_state=0,
        input_scale=True,
    )
    model.scales[0][...] = np.linspace(-1.5, 2.0, len(model.scales[0]))
    for alphas in model.alphas[:-1]:
        alphas[...] = np.linspace(-0.5, 1.5, len(alphas))
    return model, *rows_with_codes(model, 200)[:1]


MODELS = pytest.mark.parametrize("make", [parametric, scaled, embedded])
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def sums_of(model, X):
    """Return x @ W of all layers by the reference."""
    lists, options = reference_of(model)
    layers = reference.forward(*lists, X.astype(model.dtype), **options)
    return [z - b for (z, _), b in zip(layers, model.biases, strict=True)]


@MODELS
@DTYPES
def test_every_layer_has_unit_variance(make, dtype):
    model, X = make(dtype)
    kinds = ("slopes", "gains", "shifts", "alphas", "scales", "embedding_parameters")
    before = [np.array(v) for kind in kinds for v in getattr(model, kind) if v is not None]
    model.init_from_data(X)
    after = [v for kind in kinds for v in getattr(model, kind) if v is not None]
    for own, kept in zip(after, before, strict=True):
        np.testing.assert_array_equal(own, kept)
    for sums in sums_of(model, X):
        np.testing.assert_allclose(sums.std(axis=0), 1.0, rtol=1e-3)


@MODELS
def test_biases_are_within_the_data(make):
    model, X = make(np.float64)
    model.init_from_data(X, random_state=5)
    rng = np.random.default_rng(5)
    for sums, biases in zip(sums_of(model, X), model.biases, strict=True):
        chosen = rng.integers(0, len(X), (5, sums.shape[1]))
        shares = rng.exponential(size=chosen.shape)
        expected = -(shares * np.take_along_axis(sums, chosen, axis=0)).sum(axis=0) / shares.sum(axis=0)
        np.testing.assert_allclose(biases, expected, rtol=1e-6, atol=1e-9)


def test_sparse_rows_are_scaled_too():
    vectors = []
    for form in (np.asarray, sparse.csr_matrix):
        model, X = scaled(np.float64)
        model.init_from_data(form(X), random_state=1)
        vectors.append(model.to_vector())
    np.testing.assert_array_equal(*vectors)


def test_embeddings_take_no_sparse_rows_and_codes_may_be_anything():
    model, X = embedded(np.float32)
    before, state = model.to_vector(), model._rng.bit_generator.state
    with pytest.raises(TypeError, match="X: expected a dense array for a model with embeddings"):
        model.init_from_data(sparse.csr_matrix(np.nan_to_num(X)))
    X[3, 1], X[4, 3] = np.nan, 1e300
    wrong = X.copy()
    wrong[7, 4] = np.inf
    with pytest.raises(ValueError, match="row 7, column 4"):
        model.init_from_data(wrong)
    np.testing.assert_array_equal(model.to_vector(), before)
    assert model._rng.bit_generator.state == state
    model.init_from_data(X)
    assert np.isfinite(model.to_vector()).all()
