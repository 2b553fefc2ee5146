"""Models with parametric activations: parameters, copies, files, exports, estimators and errors."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from _model_checks import assert_files_keep
from _parts import PARAMETRIC, PARAMETRIC_IDS, data_for, parametric_model

import fastnn
from fastnn import MLP, Adam, Trainer, reference
from fastnn._engine import core as _core

networks = pytest.mark.parametrize("network", PARAMETRIC, ids=PARAMETRIC_IDS)
HIDDEN = [name for name in _core.ACTIVATIONS if name not in ("identity", "exp", "softmax")]

# ---- Parameters, copies and files ----


def test_lists_have_alphas_after_gains_and_shifts():
    model = parametric_model(*PARAMETRIC[1], input_scale=True)
    shapes = [(4, 17), (17,), (17,), (17,), (17,), (4,), (17, 33), (33,), (33,), (33,), (33, 3), (3,)]
    assert [p.shape for p in model.parameters] == [p.shape for p in model.gradient(*data_for(model)[:2])[1]] == shapes
    assert np.shares_memory(model.parameters[4], model.alphas[0])
    assert model.parametric_activation == (True, True)
    assert model.n_parameters == sum(p.size for p in model.parameters) == model.summary().n_parameters
    assert "parametric selu" in str(model.summary())
    model.set_vector(np.arange(model.n_parameters))
    np.testing.assert_array_equal(model.to_vector(), np.arange(model.n_parameters))


def test_initial_alphas_are_the_activation_itself():
    model, plain = (
        MLP((3, 20, 1), "gelu", parametric_activation=[True], random_state=0),
        MLP((3, 20, 1), "gelu", random_state=0),
    )
    X = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_allclose(model.predict(X), plain.predict(X), rtol=1e-5, atol=1e-6)
    assert (plain.parametric_activation, plain.alphas) == ((False,), [None, None])
    assert "output_activation='identity', parametric_activation=True, dtype=float32)" in repr(model)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_have_parameters_of_their_own(copied):
    model = parametric_model(*PARAMETRIC[3])
    other = copied(model)
    np.testing.assert_array_equal(other.to_vector(), model.to_vector())
    assert other.parametric_activation == (False, True, False)
    other.alphas[1][:] = 9
    assert (model.alphas[1] != 9).all()


@networks
def test_files_of_models_and_trainers_keep_alphas(network, tmp_path):
    model = parametric_model(*network)
    X, y, _ = data_for(model)
    X += 0.1
    assert_files_keep(model, X, y, Adam(0.001), tmp_path)


def test_a_target_network_follows_only_a_model_with_alphas():
    model, target = (MLP((2, 5, 1), parametric_activation=True, random_state=seed) for seed in (0, 1))
    model.alphas[0][...] = 3.0
    target.blend(model, 0.5)
    np.testing.assert_array_equal(target.alphas[0], 2.0)
    with pytest.raises(ValueError, match="other: expected a model with parametric"):
        target.blend(MLP((2, 5, 1)), 0.5)


# ---- Exports ----


@pytest.mark.parametrize("activation", HIDDEN)
@pytest.mark.parametrize("normalization", [None, "layer_norm"])
@pytest.mark.parametrize("opset", [18, 20])
def test_onnx_files_keep_alphas(activation, normalization, opset, tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    for place in ("before", "after") if normalization else ("before",):
        model = parametric_model((4, 17, 6, 3), [activation] * 2, normalization, place, [True, False], np.float32)
        X = data_for(model)[0].astype(np.float32) + np.float32(0.1)
        model.to_onnx(tmp_path / "model.onnx", opset=opset)
        (outputs,) = runtime.InferenceSession(tmp_path / "model.onnx").run(None, {"X": X})
        np.testing.assert_allclose(outputs, model.predict(X), rtol=1e-3, atol=1e-4)
        read = MLP.from_onnx(tmp_path / "model.onnx")
        if activation in ("relu", "leaky_relu"):  # in part, they are leaky rectifiers
            assert read.activations[0] == "prelu"
            np.testing.assert_allclose(read.predict(X), model.predict(X), rtol=1e-3, atol=1e-4)
        else:
            assert read.parametric_activation == (True, False)
            np.testing.assert_array_equal(read.to_vector(), model.to_vector())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("place", ["before", "after"])
def test_modules_of_pytorch_keep_alphas(dtype, place):
    torch = pytest.importorskip("torch")
    model = parametric_model((5, 24, 9, 3), ["selu", "mish"], "layer_norm", place, True, np.dtype(dtype), dropout=0.5)
    X, y, _ = data_for(model)
    X += 0.1
    module = model.to_torch()
    outputs = module(torch.from_numpy(X.astype(dtype)))
    tolerance = {"rtol": 2e-3, "atol": 2e-5} if dtype == "float32" else {"rtol": 1e-8, "atol": 1e-12}
    np.testing.assert_allclose(model.predict(X), outputs.detach().numpy(), **tolerance)
    torch.nn.functional.mse_loss(outputs, torch.from_numpy(y.astype(dtype))).backward()
    by_alphas = next(part.weight.grad for part in module if type(part).__name__ == "Parametric")
    np.testing.assert_allclose(model.gradient(X, y)[1][4], by_alphas.numpy(), **tolerance)
    again = fastnn.from_torch(pickle.loads(pickle.dumps(module)))
    assert repr(again) == repr(model)
    np.testing.assert_array_equal(again.to_vector(), model.to_vector())
    trainer = Trainer(model, "mse", Adam(0.01), batch_size=len(X), shuffle=False)
    trainer.run(X, y, 2)
    back = Trainer.from_torch(
        *trainer.to_torch(), "mse", batch_size=len(X), shuffle=False, random_state=trainer.random_state
    )
    np.testing.assert_array_equal(back.model.alphas[0], model.alphas[0])


def test_misplaced_modules_are_named():
    nn = pytest.importorskip("torch").nn
    from fastnn._exports.pytorch_parts import Parametric

    for parts, message in (
        ([Parametric(nn.Tanh(), 2), nn.Linear(2, 3)], "expected a Linear first"),
        ([nn.Linear(2, 3), Parametric(nn.Tanh(), 3)], "expected parametric activations of hidden layers"),
        ([nn.Linear(2, 3), Parametric(nn.Tanh(), 2), nn.Linear(3, 1)], "expected 3 alphas, one per unit"),
        ([nn.Linear(2, 3), Parametric(nn.PReLU(), 3), nn.Linear(3, 1)], "expected one of ReLU"),
        ([nn.Linear(2, 3), Parametric(nn.Identity(), 3), nn.Linear(3, 1)], "expected one of ReLU"),
        ([nn.Linear(2, 3), nn.Tanh(), Parametric(nn.Tanh(), 3), nn.Linear(3, 1)], "expected one activation per Linear"),
        ([nn.Linear(2, 3), Parametric(nn.Tanh(), 3), nn.Tanh(), nn.Linear(3, 1)], "expected one activation per Linear"),
        ([nn.Linear(2, 3), Parametric(nn.ELU(2.0), 3), nn.Linear(3, 1)], "expected ELU"),
    ):
        with pytest.raises(ValueError, match=f"module: {message}"):
            fastnn.from_torch(nn.Sequential(*parts))


# ---- Estimators ----


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer", "ignore:lbfgs failed")
def test_estimators_have_alphas(tmp_path):
    pytest.importorskip("sklearn")
    from fastnn.sklearn import MLPClassifier, MLPRegressor

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 3)), rng.normal(size=60)
    options = {"hidden_layer_sizes": (8, 6), "activation": "tanh", "max_iter": 5, "random_state": 0}
    for kind, targets in ((MLPRegressor, y), (MLPClassifier, y > 0)):
        for given in (True, [False, True], np.array([True, True])):
            fitted = kind(**options, parametric_activation=given).fit(X, targets)
            assert (fitted.network_.alphas[1] != 1.0).all()
            fitted.save(tmp_path / "model")
            np.testing.assert_array_equal(kind.load(tmp_path / "model").predict(X), fitted.predict(X))
        with pytest.raises(ValueError, match="parametric_activation: expected False: scikit-learn has no such parameter"):
            fitted.set_params(parametric_activation=True).to_sklearn()
    lbfgs = MLPRegressor(**options, solver="lbfgs", parametric_activation=True).fit(X, y)
    assert (lbfgs.network_.alphas[0] != 1.0).all()
    for given, message in (
        ({"parametric_activation": [True]}, "parametric_activation: expected 2: one per hidden layer"),
        ({"parametric_activation": "yes"}, "'parametric_activation' parameter of MLPRegressor must be True or False"),
        ({"parametric_activation": True, "activation": "identity"}, "parametric_activation: expected False for the act"),
    ):
        with pytest.raises(ValueError, match=message):
            MLPRegressor(**options | given).fit(X, y)


# ---- Errors ----


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"parametric_activation": 1}, TypeError, "parametric_activation: expected"),
        ({"parametric_activation": [True, 0.5]}, TypeError, r"parametric_activation\[1\]: expected"),
        ({"parametric_activation": [True]}, ValueError, "parametric_activation: expected 2, one per hidden layer, got 1"),
        ({"parametric_activation": True, "activation": ["relu", "prelu"]}, ValueError, "for the activation 'prelu' of .*1"),
        ({"parametric_activation": True, "activation": "identity"}, ValueError, "for the activation 'identity' of .*0"),
    ],
)
def test_wrong_arguments_are_named(options, error, message):
    with pytest.raises(error, match=message):
        MLP((2, 3, 3, 1), **options)


def test_a_model_keeps_what_it_was_made_with():
    model = MLP((2, 3, 1), parametric_activation=True)
    with pytest.raises(AttributeError, match="parametric_activation: a model keeps what it was made with"):
        model.parametric_activation = False


def test_wrong_alphas_of_the_reference_are_named():
    W, b = [np.ones((2, 3)), np.ones((3, 1))], [np.zeros(3), np.zeros(1)]
    for alphas, activation in (
        ([np.ones(2), None], "relu"),
        ([np.ones(3)], "relu"),
        ([None, np.ones(1)], "relu"),
        ([np.ones(3), None], "identity"),
    ):
        with pytest.raises(ValueError, match="alphas"):
            reference.forward(W, b, [activation, "identity"], np.ones((1, 2)), alphas=alphas)
