"""Models with embeddings: parameters, copies, files, exports and errors."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from _embedded import IDS, NETWORKS, data_for, model_with

import fastnn
from fastnn import MLP, Adam, Ensemble, Trainer, embeddings, from_torch, reference
from fastnn.embeddings import EMBEDDINGS, PBLD, PLR, Categorical, Embedding, OneHot, PiecewiseLinear, quantile_bins

# ---- Parameters, copies and files ----


def test_lists_have_the_parameters_of_embeddings_first():
    model = model_with(*NETWORKS[3])
    shapes = [(1, 7), (2, 4), (1 + 4 + 2, 33), (33,), (33, 6), (6,), (6, 3), (3,)]
    assert [p.shape for p in model.parameters] == shapes
    assert [p.shape for p in model.embedding_parameters] == shapes[:2]
    assert np.shares_memory(model.parameters[0], model.embedding_parameters[0])
    assert model.n_parameters == sum(p.size for p in model.parameters)
    model.set_vector(np.arange(model.n_parameters))
    np.testing.assert_array_equal(model.to_vector(), np.arange(model.n_parameters))
    np.testing.assert_array_equal(model.embedding_parameters[0], [np.arange(7)])
    model.embedding_parameters[1] = np.zeros((2, 4))
    assert not model.parameters[1].any()
    assert [e.columns for e in model.embeddings] == [(3,), (0, 4)]
    assert MLP((3, 1)).embeddings == ()
    assert MLP((3, 1)).embedding_parameters == []


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
def test_parts_are_views(network):
    model = model_with(*network)
    for embedding, parameters in zip(model.embeddings, model.embedding_parameters, strict=True):
        if parameters is None:
            assert embedding.shape is None
            continue
        parts = embedding.parts(parameters)
        assert sum(part.size for part in parts.values()) == parameters.size
        for part in parts.values():
            assert np.shares_memory(part, parameters)
            part[...] = 7.0
        assert (parameters == 7.0).all()


def test_the_initial_values_have_their_distributions():
    model = MLP((50, 1), embeddings=[PBLD(range(25), n_frequencies=100, sigma=2.0), PLR(n_frequencies=100)], random_state=0)
    pbld, plr = (e.parts(p) for e, p in zip(model.embeddings, model.embedding_parameters, strict=True))
    assert pbld["frequencies"].std() == pytest.approx(2.0, rel=0.1)
    assert plr["frequencies"].std() == pytest.approx(0.1, rel=0.1)
    for part, limit in ((pbld["phases"], np.pi), (pbld["weights"], 0.1), (plr["weights"], 200**-0.5)):
        assert limit * 0.97 < part.max() <= np.float32(limit)
        assert -np.float32(limit) <= part.min() < -limit * 0.97
    again = MLP((50, 1), embeddings=model.embeddings, random_state=0)
    np.testing.assert_array_equal(again.to_vector(), model.to_vector())


def test_reprs_and_summaries_name_the_embeddings():
    model = model_with(*NETWORKS[3])
    names = {"MLP": MLP, "float64": "float64", **{kind.__name__: kind for kind in EMBEDDINGS.values()}}
    for network in NETWORKS:
        assert eval(repr(model_with(*network)), names).embeddings == model_with(*network).embeddings
    summary = model.summary()
    assert summary.n_parameters == model.n_parameters
    assert [(e.name, e.n_in, e.n_out, e.n_parameters) for e in summary.embeddings] == [("plr", 1, 1, 7), ("pbld", 2, 4, 8)]
    assert summary.layers[0].n_in == 7
    assert "pbld" in str(summary)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model)), MLP.copy])
def test_copies_have_parameters_of_their_own(copied):
    model = model_with(*NETWORKS[3])
    other = copied(model)
    np.testing.assert_array_equal(other.to_vector(), model.to_vector())
    assert other.embeddings == model.embeddings
    other.embedding_parameters[0][:] = 9
    assert (model.embedding_parameters[0] != 9).all()


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
def test_files_of_models_and_trainers_keep_the_embeddings(network, tmp_path):
    model = model_with(*network)
    X, y, _ = data_for(model)
    trainer = Trainer(model, "mse", Adam(0.01), batch_size=8, random_state=3)
    trainer.run(X, y, 2)
    trainer.accumulate(X, y)
    model.save(tmp_path / "model")
    trainer.save(tmp_path / "trainer")
    Ensemble([model, model]).save(tmp_path / "ensemble")
    loaded = MLP.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert repr(loaded) == repr(model)
    np.testing.assert_array_equal(Ensemble.load(tmp_path / "ensemble").models[1].to_vector(), model.to_vector())
    again = Trainer.load(tmp_path / "trainer")
    for each in (trainer, again, pickle.loads(pickle.dumps(again))):
        each.apply()
        each.run(X, y, 2)
        np.testing.assert_array_equal(each.model.to_vector(), model.to_vector())


def test_a_target_network_follows_only_a_model_with_the_same_embeddings():
    model, target = (model_with(*NETWORKS[0]) for _ in range(2))
    model.embedding_parameters[0][...] = 3.0
    target.embedding_parameters[0][...] = 1.0
    target.blend(model, 0.5)
    np.testing.assert_array_equal(target.embedding_parameters[0], 2.0)
    for other in (MLP((3, 5, 2), "tanh", dtype="float64"), MLP((3, 5, 2), "tanh", embeddings=PBLD(), dtype="float64")):
        with pytest.raises(ValueError, match="other: expected a model with embeddings"):
            target.blend(other, 0.5)


def test_lbfgs_trains_embeddings():
    pytest.importorskip("scipy")
    model = model_with(*NETWORKS[0])
    X, y, _ = data_for(model)
    before = model.loss(X, y), model.embedding_parameters[0].copy()
    model.fit(X, y, optimizer="lbfgs", epochs=20)
    assert model.loss(X, y) < 0.9 * before[0]
    assert (model.embedding_parameters[0] != before[1]).any()


# ---- Categories and bins ----


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8, np.bool_])
def test_codes_of_any_type_have_their_outputs(dtype):
    model = MLP((1, 3), embeddings=OneHot(n_categories=3), dtype="float64")
    model.weights[0] = np.eye(3)
    codes = np.array([[0], [1], [2], [3], [200]]).astype(dtype)
    expected = np.eye(201, 3)[codes.ravel().astype(int)]
    np.testing.assert_array_equal(model.predict(codes), expected)


def test_other_numbers_have_the_last_row_of_a_table():
    model = MLP((2, 3), embeddings=Categorical([1, 0], n_categories=[2, 4], width=3), dtype="float64")
    model.weights[0] = np.vstack([np.eye(3), 10 * np.eye(3)])
    model.embedding_parameters[0][:] = np.arange(8)[:, None]
    parts = model.embeddings[0].parts(model.embedding_parameters[0])
    assert {name: part[:, 0].tolist() for name, part in parts.items()} == {"table 1": [0, 1, 2], "table 0": [3, 4, 5, 6, 7]}
    for code in (-1, 4, 0.5, np.nan, np.inf, -np.inf, 1e300):
        np.testing.assert_array_equal(model.predict([code, 1]), [71.0] * 3)
        np.testing.assert_array_equal(model.predict([3, code]), [62.0] * 3)
    np.testing.assert_array_equal(model.predict([-0.0, 0]), [30.0] * 3)
    fresh = MLP((2, 3), embeddings=model.embeddings)
    assert not fresh.embedding_parameters[0][[2, 7]].any()
    assert fresh.embedding_parameters[0][[0, 1, 3, 4, 5, 6]].all()


def test_missing_categories_are_no_errors_and_missing_numbers_are():
    model = MLP((3, 4, 1), embeddings=Categorical([1], n_categories=3))
    X, y = np.array([[0.5, np.nan, 1.0], [1.0, 2.0, np.nan]]), np.zeros((2, 1))
    before = model.to_vector()
    calls = [
        lambda: model.fit(X, y),
        lambda: model.loss(X, y),
        lambda: model.gradient(X, y),
        lambda: model.vjp(X, y),
        lambda: model.jacobian(X),
        lambda: Trainer(model).step(X, y),
        lambda: fastnn.fit_many([model], X, y),
        lambda: model.fit(X[:1], y[:1], validation_data=(X, y)),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="X: expected numbers that are finite in float32, got nan at row 1, column 2"):
            call()
    np.testing.assert_array_equal(model.to_vector(), before)
    history = model.fit(X[:1], y[:1], validation_data=(X[:1], y[:1]))
    assert np.isfinite(history["val_loss"]).all()
    assert np.isfinite(model.vjp(X[0], y[0])[0]).all()


def test_only_rows_of_categories_that_occur_have_gradients():
    model = MLP((1, 2), embeddings=Categorical(n_categories=1000, width=5), random_state=0)
    X = np.array([[3.0], [999.0], [3.0], [-1.0]])
    gradient = model.gradient(X, np.ones((4, 2)))[1][0]
    assert np.flatnonzero(gradient.any(axis=1)).tolist() == [3, 999, 1000]


def test_bins_of_quantiles():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=500), rng.integers(0, 3, 500), np.full(500, 7.0)])
    X[0, 0] = np.nan
    bins = quantile_bins(X, n_bins=10)
    assert [len(edges) for edges in bins] == [11, 3, 2]
    assert bins[1:] == ((0.0, 1.0, 2.0), (6.5, 7.5))
    counts = np.histogram(X[1:, 0], bins[0])[0]
    assert 40 <= counts.min() <= counts.max() <= 60
    assert quantile_bins(X, [2, 0], n_bins=10) == (bins[2], bins[0])
    model = MLP((3, 8, 1), embeddings=PiecewiseLinear(range(3), bins=bins))
    assert model.weights[0].shape == (10 + 2 + 1, 8)
    assert quantile_bins(np.arange(6).reshape(3, 2), 1, n_bins=1) == ((1.0, 5.0),)


# ---- Exports ----


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("opset", [13, 20])
def test_onnx_files_compute_the_same(network, dtype, opset, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    model = model_with(*network, dtype)
    X = data_for(model)[0].astype(dtype)
    model.to_onnx(tmp_path / "model.onnx", opset=opset)
    (got,) = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, {"X": X})
    tolerance = {"rtol": 1e-4, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-10, "atol": 1e-12}
    np.testing.assert_allclose(got, model.predict(X), **tolerance)
    with pytest.raises(ValueError, match="expected one of the operators"):
        MLP.from_onnx(tmp_path / "model.onnx")


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_modules_of_pytorch_compute_the_same(network, dtype):
    torch = pytest.importorskip("torch")
    model = model_with(*network, dtype, input_scale=True, input_dropout=0.2)
    model.scales[0][...] += 0.5
    X, y, _ = data_for(model)
    X = X.astype(dtype)
    module = model.to_torch()
    tolerance = {"rtol": 1e-4, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-10, "atol": 1e-12}
    np.testing.assert_allclose(module(torch.tensor(X)).detach().numpy(), model.predict(X), **tolerance)
    torch.nn.functional.mse_loss(module(torch.tensor(X)), torch.tensor(y.astype(dtype))).backward()
    by_parameters = model.gradient(X, y)[1]
    found = [
        np.concatenate([p.grad.numpy().reshape(len(p), -1) for p in each.parameters()], axis=1)
        for each in module[0].embeddings
        if list(each.parameters())
    ]
    for got, wanted in zip(found, by_parameters, strict=False):
        np.testing.assert_allclose(got, wanted, rtol=10 * tolerance["rtol"], atol=tolerance["atol"])


def test_other_formats_are_refused_by_name():
    model = model_with(*NETWORKS[3])
    with pytest.raises(ValueError, match="to_torch: expected a model without embeddings, got one with PLR, PBLD"):
        Trainer(model).to_torch()
    pytest.importorskip("torch")
    with pytest.raises((TypeError, ValueError), match="Embed"):
        from_torch(model.to_torch())


# ---- Errors ----


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("pbld", TypeError, "embeddings: expected objects of fastnn.embeddings, got 'pbld'"),
        (PBLD, TypeError, "embeddings: expected objects of fastnn.embeddings, got"),
        (
            type("Wider", (PBLD,), {"widths": (9, 9, 9)})(),
            TypeError,
            "embeddings: expected objects of fastnn.embeddings, got",
        ),
        ([PBLD([0]), 3], TypeError, "embeddings: expected objects of fastnn.embeddings, got"),
        (PBLD([0, 3]), ValueError, r"embeddings\[0\]: expected columns from 0 to 2, got 3"),
        (
            [PBLD([0]), PLR([1, 0])],
            ValueError,
            r"embeddings\[1\]: expected different columns, got 0 twice and in embeddings\[0\]",
        ),
        ([PBLD([1, 1])], ValueError, r"embeddings\[0\]: expected different columns, got 1 twice"),
        ([PBLD(), PLR()], ValueError, r"embeddings\[1\]: expected columns, since embeddings\[0\] takes all others"),
        ([PBLD(range(3)), PLR()], ValueError, r"embeddings\[1\]: expected columns that are in no other embedding"),
        ([PBLD(0)] * 64, ValueError, "embeddings: expected at most 63, got 64"),
    ],
)
def test_wrong_arguments_are_named(given, error, message):
    with pytest.raises(error, match=message):
        MLP((3, 4, 1), embeddings=given)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: PBLD([]), ValueError, "columns: expected at least one, got none"),
        (lambda: PBLD(-1), ValueError, "columns: expected an integer >= 0, got -1"),
        (lambda: PBLD("a"), TypeError, "columns: expected an integer >= 0, got 'a'"),
        (lambda: PBLD(1.5), TypeError, "columns: expected an integer >= 0, got 1.5"),
        (lambda: PBLD(n_frequencies=0), ValueError, "n_frequencies: expected an integer >= 1, got 0"),
        (lambda: PBLD(width=1), ValueError, "width: expected an integer >= 2, got 1"),
        (lambda: PLR(width=257), ValueError, "width: expected at most 256, got 257"),
        (lambda: PLR(sigma=0.0), ValueError, "sigma: expected a finite number > 0, got 0.0"),
        (lambda: PLR(frequencies=3), TypeError, "frequencies"),
        (lambda: Embedding(), TypeError, "Embedding is a base class"),
        (lambda: OneHot(0), TypeError, "n_categories: expected an integer >= 1, got None"),
        (lambda: OneHot(0, n_categories=0), ValueError, "n_categories: expected an integer >= 1, got 0"),
        (lambda: OneHot(0, n_categories=2**24 + 1), ValueError, "n_categories: expected at most 16777216"),
        (lambda: OneHot([0, 1], n_categories=[3]), ValueError, "n_categories: expected 2, one per column, got 1"),
        (
            lambda: Categorical(n_categories=[3]),
            ValueError,
            "columns: expected them for one value of n_categories per column",
        ),
        (lambda: Categorical(0, n_categories=3, width=0), ValueError, "width: expected an integer >= 1, got 0"),
        (lambda: Categorical(0, n_categories="a"), TypeError, "n_categories: expected an integer >= 1, got 'a'"),
        (lambda: PiecewiseLinear(0), TypeError, "bins: expected edges in ascending order, got None"),
        (lambda: PiecewiseLinear(0, bins=[1.0]), ValueError, "bins: expected 2 to 4097 edges, got 1"),
        (lambda: PiecewiseLinear(0, bins=[]), ValueError, "bins: expected 2 to 4097 edges, got 0"),
        (lambda: PiecewiseLinear(0, bins=[1.0, 1.0]), ValueError, "bins: expected finite edges in ascending order"),
        (lambda: PiecewiseLinear(0, bins=[1.0, 1.0 + 1e-12]), ValueError, "bins: expected .* which differ in float32"),
        (lambda: PiecewiseLinear(0, bins=[0.0, np.inf]), ValueError, "bins: expected a finite number, got inf"),
        (lambda: PiecewiseLinear([0, 1], bins=[[0.0, 1.0]]), ValueError, "bins: expected 2, one per column, got 1"),
        (lambda: PiecewiseLinear(0, bins=[[0.0, "a"]]), TypeError, r"bins\[0\]: expected"),
        (lambda: quantile_bins([1.0, 2.0]), ValueError, "X: expected a matrix of numbers"),
        (lambda: quantile_bins([[np.nan]]), ValueError, "X: expected finite numbers in column 0, got none"),
        (lambda: quantile_bins([[1.0]], 1), ValueError, "columns: expected columns from 0 to 0, got 1"),
        (lambda: quantile_bins([[1.0]], n_bins=0), ValueError, "n_bins: expected an integer >= 1, got 0"),
    ],
)
def test_wrong_embeddings_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_model_keeps_its_embeddings():
    model = model_with(*NETWORKS[0])
    with pytest.raises(AttributeError, match="embeddings: a model keeps what it was made with"):
        model.embeddings = ()


def test_all_embeddings_are_listed():
    assert {kind.__name__ for kind in EMBEDDINGS.values()} <= {*embeddings.__all__}
    assert list(EMBEDDINGS) == [kind.name for kind in EMBEDDINGS.values()]
    assert fastnn.embeddings is embeddings


def test_sparse_rows_are_refused_before_anything_changes():
    sparse = pytest.importorskip("scipy.sparse")
    model = model_with(*NETWORKS[0])
    X, y, _ = data_for(model)
    rows, before = sparse.csr_matrix(X), model.to_vector()
    calls = [
        lambda: model.predict(rows),
        lambda: model.hidden_activations(rows),
        lambda: model.loss(rows, y),
        lambda: model.gradient(rows, y),
        lambda: model.input_gradient(rows, y),
        lambda: model.vjp(rows, y),
        lambda: model.jacobian(rows),
        lambda: model.fit(rows, y),
        lambda: model.fit(X, y, validation_data=(rows, y)),
        lambda: Trainer(model).step(rows, y),
        lambda: fastnn.predict_many([model, model], rows),
        lambda: fastnn.fit_many([model], rows, y),
        lambda: Ensemble([model, model]).predict(rows),
    ]
    for call in calls:
        with pytest.raises(TypeError, match="X: expected a dense array for (a model|models) with embeddings, got a sparse"):
            call()
    np.testing.assert_array_equal(model.to_vector(), before)


def test_wrong_embeddings_of_the_reference_are_named():
    W, b = [np.ones((4, 1))], [np.zeros(1)]
    embedding = PBLD([0], n_frequencies=2, width=2)
    for given in ([(embedding, np.zeros((1, 6)))], [(embedding, None)], [(PBLD(), np.zeros((1, 7)))]):
        with pytest.raises(ValueError, match=r"embeddings|X: expected rows whose embeddings"):
            reference.forward(W, b, ["identity"], np.ones((1, 3)), embeddings=given)
    expected = reference.forward(W, b, ["identity"], np.ones((1, 3)), embeddings=[(embedding, np.zeros((1, 7)))])
    assert expected[0][0] == 3.0
