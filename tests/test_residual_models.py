"""Models with residual connections: parameters, copies, files, exports, estimators and errors."""

from __future__ import annotations

import copy
import ctypes
import pickle
import shutil
import subprocess

import numpy as np
import pytest
from _model_checks import assert_files_keep
from _residual import RESIDUAL, SMALL, data_for, residual_model

import fastnn
from fastnn import MLP, Adam, Trainer, reference
from fastnn._engine import core as _core

networks = pytest.mark.parametrize("name", RESIDUAL)

# ---- Parameters, copies and files ----


def test_projections_are_the_last_parameters_of_their_layers():
    model = residual_model("many")
    assert [None if p is None else p.shape for p in model.projections] == [None, None, (12, 9), None, (12, 3)]
    X, y, _ = data_for(model)
    assert [p.shape for p in model.parameters] == [g.shape for g in model.gradient(X, y)[1]]
    assert np.shares_memory(model.parameters[-1], model.projections[-1])
    assert (model.residual, model.residual_place) == (((1, 2), (1, 3), (1, 4), (4, 5)), "after")
    assert model.n_parameters == sum(p.size for p in model.parameters) == model.summary().n_parameters
    assert [layer.residual_from for layer in model.summary().layers] == [None, 1, 1, 1, 4]
    assert "adds" in str(model.summary())
    assert "layer 4" in str(model.summary())
    model.set_vector(np.arange(model.n_parameters))
    np.testing.assert_array_equal(model.to_vector(), np.arange(model.n_parameters))
    model.projections[2] = np.ones((12, 9))
    np.testing.assert_array_equal(model.projections[2], 1.0)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (False, ()),
        (None, ()),
        ([], ()),
        (0 == 1, ()),
        (True, ((1, 2), (2, 3), (3, 4), (4, 5))),
        (1, ((1, 2), (2, 3), (3, 4), (4, 5))),
        (np.int64(2), ((1, 3), (3, 5))),
        (4, ((1, 5),)),
        ((1, 3), ((1, 3),)),
        ([[3, 5], (1, 3)], ((1, 3), (3, 5))),
        ([(0, 6)], ((0, 6),)),
    ],
)
def test_short_forms_stand_for_pairs(given, expected):
    model = MLP((3, 4, 4, 4, 4, 4, 3), residual=given)
    assert model.residual == expected
    assert MLP(model.layer_sizes, residual=model.residual).residual == expected
    assert all(p is None for p in model.projections)


def test_projections_are_drawn_like_weights_and_others_keep_their_values():
    plain = MLP((3, 50, 60, 1), random_state=0)
    model = MLP((3, 50, 60, 1), random_state=0, residual=[(1, 2)])
    for got, expected in zip(model.weights, plain.weights, strict=True):
        np.testing.assert_array_equal(got, expected)
    assert model.projections[1].std() == pytest.approx(np.sqrt(2 / 50), rel=0.1)
    assert not MLP((3, 50, 60, 1), init="zeros", residual=[(1, 2)]).projections[1].any()
    assert "residual=(1, 2), residual_place='after'" in repr(model)
    assert "residual" not in repr(plain)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_have_parameters_of_their_own(copied):
    model = residual_model("he")
    other = copied(model)
    np.testing.assert_array_equal(other.to_vector(), model.to_vector())
    assert repr(other) == repr(model)
    other.projections[3] = np.zeros((33, 33)) if other.projections[3] is not None else None
    other.projections[2][:] = 9
    assert (model.projections[2] != 9).all()


@pytest.mark.parametrize("name", SMALL)
def test_files_of_models_and_trainers_keep_connections(name, tmp_path):
    model = residual_model(name)
    assert_files_keep(model, *data_for(model)[:2], Adam(0.001), tmp_path)


def test_a_target_network_follows_only_a_model_with_the_same_connections():
    model, target = (MLP((2, 5, 4, 1), residual=[(1, 2)], random_state=seed) for seed in (0, 1))
    model.projections[1][...], target.projections[1][...] = 3.0, 1.0
    target.blend(model, 0.5)
    np.testing.assert_array_equal(target.projections[1], 2.0)
    for other in (MLP((2, 5, 4, 1)), MLP((2, 5, 4, 1), residual=[(1, 2)], residual_place="before")):
        with pytest.raises(ValueError, match="other: expected a model with residual"):
            target.blend(other, 0.5)


# ---- Exports ----


@networks
def test_onnx_files_compute_the_same(name, tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    model = residual_model(name, np.float32)
    X = data_for(model)[0].astype(np.float32)
    model.to_onnx(tmp_path / "model.onnx")
    (outputs,) = runtime.InferenceSession(tmp_path / "model.onnx").run(None, {"X": X})
    np.testing.assert_allclose(outputs, model.predict(X), rtol=1e-3, atol=1e-3)


@pytest.mark.skipif(not shutil.which("gcc"), reason="needs a compiler")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_c_files_have_the_bits_of_predict(dtype, tmp_path):
    names = [name for name in RESIDUAL if name != "embedded"]
    models = [residual_model(name, dtype) for name in names]
    for name, model in zip(names, models, strict=True):
        model.to_c(tmp_path / f"{name}.c", name=f"predict_{name}", dtype=dtype)
    files = [str(tmp_path / f"{name}.c") for name in names]
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC"]
    fused = _core.current_instruction_set()[0] not in ("baseline", "portable")
    flags += ["-march=native"] if fused else []
    subprocess.run(["gcc", *flags, *files, "-o", str(tmp_path / "all.so"), "-lm"], check=True)
    library = ctypes.CDLL(str(tmp_path / "all.so"))
    for name, model in zip(names, models, strict=True):
        X = data_for(model)[0].astype(dtype)
        y = np.empty((len(X), model.layer_sizes[-1]), dtype)
        for row, out in zip(X, y, strict=True):
            getattr(library, f"predict_{name}")(ctypes.c_void_p(row.ctypes.data), ctypes.c_void_p(out.ctypes.data))
        if _core.current_instruction_set()[0] == "portable":
            np.testing.assert_allclose(y, model.predict(X), rtol=1e-3, atol=1e-4)
        else:
            np.testing.assert_array_equal(y, model.predict(X), err_msg=name)


# ---- Estimators ----


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer", "ignore:lbfgs failed")
def test_estimators_have_connections(tmp_path):
    pytest.importorskip("sklearn")
    from fastnn.sklearn import MLPClassifier, MLPRegressor

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 3)), rng.normal(size=60)
    options = {"hidden_layer_sizes": (8, 6, 8), "activation": "tanh", "max_iter": 5, "random_state": 0, "tol": 0.0}
    for kind, targets in ((MLPRegressor, y), (MLPClassifier, y > 0)):
        for given in (True, 2, [(1, 3), (0, 4)], [[1, 3]]):
            fitted = kind(**options, residual=given, n_iter_no_change=100).fit(X, targets)
            assert fitted.network_.residual[-1][1] >= 3
            fitted.save(tmp_path / "model")
            np.testing.assert_array_equal(kind.load(tmp_path / "model").predict(X), fitted.predict(X))
        as_array = kind(**options, residual=np.array([[1, 3]])).fit(X, targets)
        np.testing.assert_array_equal(as_array.network_.to_vector(), fitted.network_.to_vector())
    lbfgs = MLPRegressor(**options | {"max_iter": 50}, solver="lbfgs", residual=[(0, 4)]).fit(X, y)
    assert lbfgs.network_.projections[3].any()
    with pytest.raises(ValueError, match="residual: expected False: scikit-learn has no such parameter"):
        lbfgs.to_sklearn()
    for given, message in (
        ({"residual": "yes"}, "'residual' parameter of MLPRegressor must be a bool, an int"),
        ({"residual": 3}, "residual: expected 4, 7, 10, … hidden layers, .* blocks of 3, got 3"),
        ({"residual": [(1, 9)]}, r"residual\[0\]: expected at most 4"),
        ({"residual_place": "inside"}, "'residual_place' parameter of MLPRegressor must be"),
    ):
        with pytest.raises(ValueError, match=message):
            MLPRegressor(**options | given).fit(X, y)


# ---- Errors ----


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"residual": "all"}, TypeError, "residual: expected pairs"),
        ({"residual": 1.5}, TypeError, "residual: expected pairs"),
        ({"residual": 0}, ValueError, "residual: expected an integer >= 1"),
        ({"residual": 3}, ValueError, "residual: expected 4, 7, 10, … hidden layers, .* blocks of 3, got 3 hidden layers"),
        ({"residual": [(1, 2, 3)]}, TypeError, r"residual\[0\]: expected a pair"),
        ({"residual": [(1, 2), 3]}, TypeError, r"residual\[1\]: expected a pair"),
        ({"residual": [(2, 2)]}, ValueError, r"residual\[0\]: expected a later layer than 2"),
        ({"residual": [(1, 5)]}, ValueError, r"residual\[0\]: expected at most 4, got 5"),
        ({"residual": [(-1, 2)]}, ValueError, r"residual\[0\]: expected an integer >= 0"),
        ({"residual": [(True, 2)]}, TypeError, r"residual\[0\]: expected an integer"),
        ({"residual": [(1, 3), (2, 3)]}, ValueError, "residual: expected at most one connection to each layer, got 2 to 3"),
        ({"residual_place": "inside"}, ValueError, "residual_place: expected 'before' or 'after', got 'inside'"),
        ({"residual_place": None}, TypeError, "residual_place: expected 'before' or 'after', got None"),
    ],
)
def test_wrong_arguments_are_named(options, error, message):
    with pytest.raises(error, match=message):
        MLP((2, 3, 3, 3, 1), **options)


def test_a_model_keeps_what_it_was_made_with():
    model = residual_model("identity")
    for name in ("residual", "residual_place"):
        with pytest.raises(AttributeError, match=f"{name}: a model keeps what it was made with"):
            setattr(model, name, False)


def test_sparse_inputs_can_not_be_added():
    sparse = pytest.importorskip("scipy.sparse")
    model = residual_model("inputs")
    X, y, _ = data_for(model)
    rows, message = sparse.csr_matrix(X), "X: expected a dense array for a residual connection from the inputs, got a sparse"
    for call in (
        model.predict,
        model.init_from_data,
        model.hidden_activations,
        model.jacobian,
        lambda rows: model.fit(rows, y),
        lambda rows: model.gradient(rows, y),
        lambda rows: Trainer(model).step(rows, y),
        lambda rows: fastnn.predict_many([model], rows),
    ):
        before = model.to_vector()
        with pytest.raises(TypeError, match=message):
            call(rows)
        np.testing.assert_array_equal(model.to_vector(), before)


def test_wrong_connections_of_the_reference_are_named():
    W, b = [np.ones((2, 3)), np.ones((3, 3)), np.ones((3, 1))], [np.zeros(3), np.zeros(3), np.zeros(1)]
    Connection = reference.Connection
    for residual in (
        [Connection(1, 1)],
        [Connection(1, 4)],
        [Connection(1, 2, "inside")],
        [Connection(1, 3)],
        [Connection(1, 2, "after", np.eye(3))],
        [Connection(0, 2, "after", np.ones((3, 3)))],
        [Connection(1, 2), Connection(0, 2, "after", np.ones((2, 3)))],
    ):
        with pytest.raises(ValueError, match="residual"):
            reference.forward(W, b, ["relu", "relu", "identity"], np.ones((1, 2)), residual=residual)
