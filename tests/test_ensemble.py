"""Ensembles: mean, spread and quantiles of their models; files, copies, and the parameters of all models."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest

import fastnn
from fastnn import MLP, Ensemble, _engine, predict_many
from fastnn import _ensemble as module
from fastnn._engine import core as _core
from fastnn._storage.safetensors import dump, parse


def models_of(n=7, sizes=(3, 8, 2), activation="tanh", output="softmax", **options):
    return [MLP(sizes, activation, output, random_state=seed, **options) for seed in range(n)]


def rows(n=50, n_in=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n, n_in))


# ---- Predictions ----


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_models", [1, 2, 7])
def test_mean_and_spread(dtype, n_models):
    ensemble, X = Ensemble(models_of(n_models, dtype=dtype)), rows()
    outputs = predict_many(ensemble, X).astype(np.float64)
    tolerance = {"rtol": 1e-6 if dtype == np.float32 else 1e-13, "atol": 1e-7 if dtype == np.float32 else 1e-15}
    for result, expected in (
        (ensemble.predict(X), outputs.mean(axis=0)),
        (ensemble(X), outputs.mean(axis=0)),
        (ensemble.std(X), outputs.std(axis=0)),
        *([(ensemble.std(X, ddof=1), outputs.std(axis=0, ddof=1))] if n_models > 1 else []),
    ):
        assert (result.dtype, result.shape) == (dtype, (50, 2))
        np.testing.assert_allclose(result, expected, **tolerance)
    mean, deviation = ensemble.predict(X, return_std=True)
    assert (mean.tobytes(), deviation.tobytes()) == (ensemble.predict(X).tobytes(), ensemble.std(X).tobytes())
    np.testing.assert_allclose(mean.sum(axis=1), 1.0, rtol=1e-6)  # the mean of probabilities


def test_sums_have_one_order():
    """The sum over the models runs in their order and in float64, whatever the shape of the rest."""
    big = MLP((1, 1), init="zeros", dtype=np.float64)
    models = [big.copy() for _ in range(4)]
    for model, value in zip(models, (1e16, 1.0, 1.0, -1e16), strict=True):
        model.biases[0][0] = value
    for order in (models, models[::-1], models[1:] + models[:1]):
        total = 0.0
        for model in order:
            total += model.biases[0][0]
        for n in (1, 3, 200):
            assert (Ensemble(order).predict(np.ones((n, 1))) == total / 4).all()


@pytest.mark.parametrize("q", [0.1, 0, 1, [0.0, 0.3, 1.0], np.array([[0.2, 0.5]]), np.float32(0.25)])
def test_quantiles_are_those_of_numpy(q):
    ensemble, X = Ensemble(models_of()), rows()
    for inputs in (X, X[0]):
        result, expected = ensemble.quantiles(inputs, q), np.quantile(predict_many(ensemble, inputs), q, axis=0)
        assert result.shape == expected.shape
        np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_one_row_no_rows_and_sparse_rows():
    sparse = pytest.importorskip("scipy.sparse")
    ensemble, X = Ensemble(models_of()), rows()
    for method in (ensemble.predict, ensemble.std, lambda X: ensemble.quantiles(X, 0.3)):
        assert method(X[0]).tobytes() == method(X)[0].tobytes()
        assert method(X[:0]).shape == (0, 2)
        assert method(sparse.csr_matrix(X)).tobytes() == method(X.astype(np.float32)).tobytes()
        assert method(X.tolist()).tobytes() == method(X).tobytes()


def test_blocks_of_rows_give_the_same_bits(monkeypatch):
    """Many rows are predicted in blocks, so that the outputs of all models are never in memory at once."""
    sparse = pytest.importorskip("scipy.sparse")
    ensemble, X = Ensemble(models_of()), rows(1000)
    table = sparse.csr_matrix(X)
    calls = [
        lambda: np.stack(ensemble.predict(X, return_std=True)),
        lambda: ensemble.predict(table),
        lambda: ensemble.quantiles(X, [0.1, 0.5]),
        lambda: ensemble.quantiles(X.tolist(), 0.5),
    ]
    whole = [call().tobytes() for call in calls]
    for at_once in (1, 700, 7 * 2 * 999):
        monkeypatch.setattr(module, "_OUTPUTS_AT_ONCE", at_once)
        assert [call().tobytes() for call in calls] == whole


def test_results_do_not_depend_on_threads(three_threads):
    ensemble, X = Ensemble(models_of(20, (3, 50, 2))), rows(700)
    for method in (ensemble.predict, ensemble.std, lambda X, **options: ensemble.quantiles(X, 0.3, **options)):
        expected = method(X).tobytes()
        assert all(method(X, n_threads=n).tobytes() == expected for n in (1, 2, 3, 7))


def test_mean_goes_to_out():
    ensemble, X = Ensemble(models_of()), rows().astype(np.float32)
    expected = ensemble.predict(X).tobytes()
    for out in (np.empty((50, 2), np.float32), np.empty((2, 50), np.float32).T, X[:, :2]):
        assert ensemble.predict(X.copy(), out=out) is out
        assert out.tobytes() == expected
    out = np.empty((50, 2), np.float32)
    mean, _ = ensemble.predict(rows(), out=out, return_std=True)
    assert mean is out


def test_training_a_model_takes_effect():
    models = models_of(output="identity")
    ensemble, X = Ensemble(models), rows()
    before = ensemble.predict(X)
    models[2].fit(X, X[:, :2], epochs=1)
    assert (ensemble.predict(X) != before).any()
    np.testing.assert_allclose(ensemble.predict(X), predict_many(models, X).mean(axis=0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda e: e.predict(rows(n_in=4)), ValueError, r"X: expected shape \(3,\) or \(n, 3\), got \(50, 4\)"),
        (lambda e: e.predict(np.ones((7, 5, 3))), ValueError, r"X: expected shape \(3,\) or \(n, 3\), got \(7, 5, 3\)"),
        (lambda e: e.predict(rows(), out=np.empty((50, 2))), ValueError, "out: expected float32"),
        (lambda e: e.predict(rows(), return_std=1), TypeError, "return_std: expected True or False"),
        (lambda e: e.predict(rows(), std=True), TypeError, r"Ensemble.predict\(\) got an unexpected keyword argument 'std'"),
        (lambda e: e.predict(rows(), n_threads=-1), ValueError, "n_threads: "),
        (lambda e: e.std(rows(), ddof=7), ValueError, "ddof: expected less than 7, the number of models, got 7"),
        (lambda e: e.std(rows(), ddof=-1), ValueError, "ddof: "),
        (lambda e: e.std(rows(), ddof=0.5), TypeError, "ddof: "),
        (lambda e: e.quantiles(rows(), 1.5), ValueError, "q: expected probabilities from 0 to 1, got 1.5"),
        (lambda e: e.quantiles(rows(), [0.1, np.nan]), ValueError, "q: "),
        (lambda e: e.quantiles(rows(), "median"), TypeError, "q: "),
        (
            lambda e: e.set_vectors(np.ones((7, 3))),
            ValueError,
            r"V: expected shape \(7, 50\), one row per model, got \(7, 3\)",
        ),
        (lambda e: e.set_vectors(np.ones(50)), ValueError, "V: "),
        (lambda e: e.set_vectors([["a"] * 50] * 7), TypeError, "V: "),
    ],
)
def test_wrong_calls(call, error, message):
    ensemble = Ensemble(models_of())
    before = ensemble.to_vectors()
    with pytest.raises(error, match=f"^{message}"):
        call(ensemble)
    assert ensemble.to_vectors().tobytes() == before.tobytes()


# ---- A sequence of models ----


def test_a_sequence_of_models():
    models = models_of()
    ensemble = Ensemble(iter(models))
    assert ensemble.models == tuple(models) == tuple(ensemble)
    assert (len(ensemble), ensemble[-1], models[3] in ensemble) == (7, models[-1], True)
    assert isinstance(ensemble[1:3], Ensemble)
    assert ensemble[1:3].models == tuple(models[1:3])
    assert repr(ensemble) == f"<Ensemble of 7 models, the first {models[0]!r}>"
    assert repr(Ensemble(models[:1])) == f"<Ensemble of 1 model, {models[0]!r}>"
    with pytest.raises(ValueError, match="at least one"):
        ensemble[7:]
    with pytest.raises(AttributeError):
        ensemble.models = models


# ---- The parameters of all models ----


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [(3, 2), (3, 8, 2), (4, 30, 17, 9), (2, 5, 1)])
def test_vectors(dtype, sizes):
    models = models_of(9, sizes, "prelu", "identity", dtype=dtype)
    ensemble = Ensemble(models)
    vectors = ensemble.to_vectors()
    assert vectors.dtype == dtype
    assert vectors.tobytes() == np.stack([model.to_vector() for model in models]).tobytes()
    for V in (
        vectors[::-1],
        np.asfortranarray(2 * vectors),
        vectors.astype(">f8"),
        (10 * vectors).astype(int),
        vectors.tolist(),
    ):
        ensemble.set_vectors(V)
        expected = np.asarray(V).astype(dtype)
        assert ensemble.to_vectors().tobytes() == expected.tobytes()
        assert np.stack([model.to_vector() for model in models]).tobytes() == expected.tobytes()
        X = rows(4, sizes[0])
        twin = MLP(sizes, "prelu", dtype=dtype)
        twin.set_vector(expected[5])
        assert predict_many(models, X)[5].tobytes() == twin.predict(X).tobytes()  # the padding is still zero


def test_vectors_of_different_architectures():
    same_number = [MLP((2, 3, 1), "relu"), MLP((2, 3, 1), "tanh")]
    assert Ensemble(same_number).to_vectors().shape == (2, 13)
    ensemble = Ensemble([*same_number, MLP((2, 4, 1))])
    for call in (ensemble.to_vectors, lambda: ensemble.set_vectors(np.ones((3, 13)))):
        with pytest.raises(ValueError, match=r"^models\[2\]: expected 13 parameters, like models\[0\], got 17"):
            call()


def test_vectors_may_be_views_of_parameters():
    models = [MLP((2, 2), random_state=seed) for seed in range(1)]
    ensemble = Ensemble(models)
    padded = models[0]._network.storage[np.newaxis, :6]
    expected = padded.copy()
    ensemble.set_vectors(padded)
    assert ensemble.to_vectors().tobytes() == expected.tobytes()


# ---- Files, copies, pickles ----


def test_files(tmp_path):
    shared = np.random.default_rng(5)
    models = [MLP((3, h, 2), a, dropout=0.1, random_state=shared) for h, a in ((4, "relu"), (9, "prelu"), (4, "tanh"))]
    models.insert(1, MLP((3, 2), random_state=1))
    models[2].feature_names = ["a", "b", "c"]
    ensemble, X = Ensemble(models), rows()
    ensemble.save(tmp_path / "e.safetensors")
    loaded = Ensemble.load(tmp_path / "e.safetensors")
    assert loaded.predict(X).tobytes() == ensemble.predict(X).tobytes()
    assert [repr(model) for model in loaded] == [repr(model) for model in models]
    assert [model.feature_names for model in loaded] == [None, None, ("a", "b", "c"), None]
    assert [model.dropout for model in loaded] == [model.dropout for model in models]
    # Training goes on with the same bits, also where models share a generator.
    for both in (models, loaded):
        for model in both:
            model.fit(X, X[:, :2], epochs=2, batch_size=8)
    assert loaded.predict(X).tobytes() == ensemble.predict(X).tobytes()


@pytest.mark.parametrize(
    "make", [copy.copy, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))], ids=("copy", "deep", "pickle")
)
def test_copies(make):
    ensemble, X = Ensemble(models_of()), rows()
    other = make(ensemble)
    assert other.predict(X).tobytes() == ensemble.predict(X).tobytes()
    assert (other[0] is ensemble[0]) == (make is copy.copy)


def test_subclasses_are_loaded(tmp_path):
    class Named(Ensemble):
        def __init__(self, name):
            raise AssertionError

    Ensemble(models_of()).save(tmp_path / "e")
    assert type(Named.load(tmp_path / "e")) is Named


def test_files_of_another_kind_are_refused(tmp_path):
    MLP((3, 2)).save(tmp_path / "model")
    Ensemble(models_of()).save(tmp_path / "ensemble")
    with pytest.raises(ValueError, match="expected an ensemble, got a model, to be read by MLP.load"):
        Ensemble.load(tmp_path / "model")
    with pytest.raises(ValueError, match="expected a model, got an ensemble, to be read by fastnn.Ensemble.load"):
        MLP.load(tmp_path / "ensemble")
    with pytest.raises(TypeError, match=r"^Ensemble.save\(\) got an unexpected keyword argument 'name'"):
        Ensemble(models_of()).save(tmp_path / "ensemble", name=1)


def changed(path, change):
    with open(path, "rb") as file:
        metadata, arrays = parse(file)
    config = json.loads(metadata["fastnn"])
    change(config, arrays)
    path.write_bytes(b"".join(dump(arrays, {"fastnn": json.dumps(config)})))


@pytest.mark.parametrize(
    "change",
    [
        lambda config, arrays: config.pop("models"),
        lambda config, arrays: config["models"].clear(),
        lambda config, arrays: config.update(models=3),
        lambda config, arrays: config["models"].append(config["models"][0]),
        lambda config, arrays: config["models"][0].update(rng=0),
        lambda config, arrays: config["models"][1].update(rng=5),
        lambda config, arrays: config["models"][1].update(rng=-1),
        lambda config, arrays: config["models"][1].update(layer_sizes=[3, 9, 2]),
        lambda config, arrays: config["models"][1].update(dtype="float64"),
        lambda config, arrays: arrays.pop("members.1.biases.0"),
        lambda config, arrays: arrays.update(other=arrays["members.0.weights.0"]),
        lambda config, arrays: arrays.update({"members.1.weights.1": np.ones((8, 3), np.float32)}),
    ],
)
def test_damaged_files_are_refused(tmp_path, change):
    path = tmp_path / "e.safetensors"
    Ensemble(models_of(2)).save(path)
    changed(path, change)
    with pytest.raises(ValueError, match=r"e.safetensors: damaged, or of another version"):
        Ensemble.load(path)


def test_custom_activations(tmp_path):
    pytest.importorskip("numba")

    @fastnn.jit.activation(derivative=lambda z: 3 * z * z, uses="input")
    def cube(z):
        return z * z * z

    ensemble, X = Ensemble(models_of(3, activation=cube)), rows()
    ensemble.save(tmp_path / "e")
    for options in ({}, {"custom_activations": [cube]}):
        assert Ensemble.load(tmp_path / "e", **options).predict(X).tobytes() == ensemble.predict(X).tobytes()
    with pytest.raises(TypeError, match=r"^custom_activations: "):
        Ensemble.load(tmp_path / "e", custom_activations=["cube"])


# ---- The engine's second checks ----


@pytest.mark.skipif(_engine.fallback is not None, reason="the fallback can't leave arrays")
def test_the_engine_checks_shapes_again():
    a, b = (model._network for model in (MLP((3, 2)), MLP((3, 4))))
    x = np.ones((2, 3), np.float32)
    for call in (
        lambda: _core.predict_many((a, b), x),
        lambda: _core.predict_many((a, a), np.ones((3, 2, 3), np.float32)),
        lambda: _core.predict_many((a, a), x, np.empty((2, 2, 3), np.float32)),
        lambda: _core.set_vectors((a, a), np.ones((2, 9), np.float32)),
        lambda: _core.spread(np.ones((0, 2)), 1.0),
        lambda: _core.spread(np.ones((3, 2)), 1.0, np.ones(3)),
    ):
        with pytest.raises(ValueError, match="expected|must"):
            call()
