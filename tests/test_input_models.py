"""Models with scales and dropout of inputs: parameters, copies, files, exports, estimators and errors."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from _model_checks import assert_files_keep
from _parts import IDS, NETWORKS, data_for, model_with

import fastnn
from fastnn import MLP, Adam, AdamW, Trainer, reference

# ---- Parameters, copies and files ----


def test_lists_have_scales_after_the_other_parameters_of_the_first_layer():
    model = model_with(*NETWORKS[1])
    shapes = [(4, 17), (17,), (17,), (17,), (17,), (4,), (17, 33), (33,), (33,), (33, 3), (3,)]
    assert [p.shape for p in model.parameters] == [p.shape for p in model.gradient(*data_for(model)[:2])[1]] == shapes
    assert np.shares_memory(model.parameters[5], model.scales[0])
    assert model.scales[1:] == [None, None]
    assert model.n_parameters == sum(p.size for p in model.parameters) == model.summary().n_parameters
    model.set_vector(np.arange(model.n_parameters))
    np.testing.assert_array_equal(model.to_vector(), np.arange(model.n_parameters))


def test_initial_scales_leave_a_model_as_it_is():
    model, plain = MLP((3, 20, 1), input_scale=True, input_dropout=0.5, random_state=0), MLP((3, 20, 1), random_state=0)
    X = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_array_equal(model.predict(X), plain.predict(X))
    np.testing.assert_array_equal(model.scales[0], 1.0)
    assert (plain.input_scale, plain.input_dropout, plain.scales) == (False, 0.0, [None, None])
    assert (model.input_scale, model.input_dropout) == (True, 0.5)
    assert "output_activation='identity', input_scale=True, input_dropout=0.5, dtype=float32)" in repr(model)


def test_penalties_and_decay_do_not_change_scales():
    model = MLP((2, 40, 3), "relu", input_scale=True, random_state=0)
    model.weights[1][...] = 0.0  # so that nothing before it has a gradient
    model.biases[1][...] = 1.0
    Trainer(model, "mse", AdamW(1e-9, weight_decay=0.5), l1=0.01, l2=0.1).run(np.ones((8, 2)), np.ones((8, 3)), 1)
    np.testing.assert_array_equal(model.scales[0], 1.0)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_have_parameters_of_their_own(copied):
    model = model_with(*NETWORKS[1], input_dropout=0.25)
    other = copied(model)
    np.testing.assert_array_equal(other.to_vector(), model.to_vector())
    assert (other.input_scale, other.input_dropout) == (True, 0.25)
    other.scales[0][:] = 9
    assert (model.scales[0] != 9).all()


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
def test_files_of_models_and_trainers_keep_both(network, tmp_path):
    model = model_with(*network, input_dropout=0.25)
    X, y, _ = data_for(model)
    assert_files_keep(model, X, y, Adam(0.01), tmp_path)


def test_a_target_network_follows_only_a_model_with_scales():
    model, target = (MLP((2, 5, 1), input_scale=True, random_state=seed) for seed in (0, 1))
    model.scales[0][...] = 3.0
    target.blend(model, 0.5)
    np.testing.assert_array_equal(target.scales[0], 2.0)
    with pytest.raises(ValueError, match="other: expected a model with input_scale True, got one with False"):
        target.blend(MLP((2, 5, 1)), 0.5)


# ---- Training ----


def test_lbfgs_trains_scales_and_refuses_dropout():
    pytest.importorskip("scipy")
    X = np.random.default_rng(0).normal(size=(64, 5))
    model = MLP((5, 9, 1), "tanh", input_scale=True, dtype="float64", random_state=0)
    assert model.fit(X, X[:, :1] ** 2, optimizer="lbfgs", epochs=200)["loss"][-1] < 0.1
    assert (model.scales[0] != 1.0).all()
    with pytest.raises(ValueError, match="optimizer: .* 'lbfgs', got it for a model with input_dropout 0.5"):
        MLP((5, 9, 1), input_dropout=0.5).fit(X, X[:, :1], optimizer="lbfgs")


def test_steps_from_gradients_use_scales():
    model = model_with((5, 9, 2), input_dropout=0.3)
    X, y, _ = data_for(model)
    trainer = Trainer(model, "mse", Adam(0.01), random_state=0)
    before = model.scales[0].copy()
    trainer.step_gradient(X, y)
    trainer.accumulate(X, y)
    trainer.apply()
    assert (model.scales[0] != before).all()


# ---- Exports ----


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_onnx_files_keep_scales(network, dtype, tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    model = model_with(*network, dtype, input_dropout=0.2)
    X = data_for(model)[0].astype(dtype) + dtype(0.1)
    model.to_onnx(tmp_path / "model.onnx")
    (outputs,) = runtime.InferenceSession(tmp_path / "model.onnx").run(None, {"X": X})
    np.testing.assert_allclose(outputs, model.predict(X), rtol=1e-3, atol=1e-4)
    read = MLP.from_onnx(tmp_path / "model.onnx")
    assert read.input_scale
    np.testing.assert_array_equal(read.to_vector(), model.to_vector())


def test_onnx_steps_on_the_inputs_other_than_factors_are_refused(tmp_path):
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    for operator, message in (("Add", "expected a Gemm or MatMul on the inputs"), ("Mul", None), ("Div", None)):
        constants = [
            numpy_helper.from_array(a, name) for name, a in (("s", np.float32([2, 4, 8])), ("W", np.eye(3, dtype="f")))
        ]
        nodes = [helper.make_node(operator, ["X", "s"], ["z"]), helper.make_node("MatMul", ["z", "W"], ["y"])]
        values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in ("X", "y")]
        graph = helper.make_graph(nodes, "g", values[:1], values[1:], constants)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), tmp_path / "x.onnx")
        if message is None:
            scales = MLP.from_onnx(tmp_path / "x.onnx").scales[0]
            np.testing.assert_array_equal(scales, [2, 4, 8] if operator == "Mul" else [0.5, 0.25, 0.125])
        else:
            with pytest.raises(ValueError, match=message):
                MLP.from_onnx(tmp_path / "x.onnx")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_modules_of_pytorch_keep_both(dtype):
    torch = pytest.importorskip("torch")
    model = model_with((5, 24, 3), "silu", dtype=dtype, input_dropout=0.25, dropout=0.5)
    X, y, _ = data_for(model)
    module = model.to_torch()
    assert [type(part).__name__ for part in module] == ["Dropout", "Scale", "Linear", "SiLU", "Dropout", "Linear"]
    outputs = module(torch.from_numpy(X.astype(dtype)))
    tolerance = {"rtol": 2e-4, "atol": 2e-6} if dtype == "float32" else {"rtol": 1e-9, "atol": 1e-13}
    np.testing.assert_allclose(model.predict(X), outputs.detach().numpy(), **tolerance)
    torch.nn.functional.mse_loss(outputs, torch.from_numpy(y.astype(dtype))).backward()
    by_scale = next(part.weight.grad for part in module if type(part).__name__ == "Scale")
    np.testing.assert_allclose(model.gradient(X, y)[1][2], by_scale.numpy(), **tolerance)
    again = fastnn.from_torch(pickle.loads(pickle.dumps(module)))
    np.testing.assert_array_equal(again.to_vector(), model.to_vector())
    assert (again.input_scale, again.input_dropout, again.dropout) == (True, 0.25, (0.5,))


def test_trainers_take_the_state_of_scales_from_pytorch():
    torch = pytest.importorskip("torch")
    model = model_with((5, 24, 3), "silu", dtype="float64")
    X, y, _ = data_for(model)
    trainer = Trainer(model, "mse", Adam(0.01), batch_size=len(X), shuffle=False)
    trainer.run(X, y, 2)
    module, optimizer = trainer.to_torch()
    for _ in range(3):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(module(torch.from_numpy(X)), torch.from_numpy(y)).backward()
        optimizer.step()
    back = Trainer.from_torch(module, optimizer, "mse", batch_size=len(X), shuffle=False)
    trainer.run(X, y, 3)
    np.testing.assert_allclose(back.model.scales[0], model.scales[0], rtol=1e-9)
    trainer.run(X, y, 1)
    back.run(X, y, 1)
    np.testing.assert_allclose(back.model.scales[0], model.scales[0], rtol=1e-9)


def test_misplaced_modules_are_named():
    nn = pytest.importorskip("torch").nn
    from fastnn._exports.pytorch_parts import Scale

    for parts, message in (
        ([nn.Linear(2, 3), Scale(3)], "expected one Scale, of the inputs"),
        ([Scale(2), Scale(2), nn.Linear(2, 3)], "expected one Scale, of the inputs"),
        ([Scale(3), nn.Linear(2, 3)], "expected 2 scales, one per input of"),
        ([nn.Dropout(0.1), nn.Dropout(0.1), nn.Linear(2, 3)], "expected one Dropout of inputs"),
        ([nn.Dropout(1.0), nn.Linear(2, 3)], "expected a probability below 1"),
    ):
        with pytest.raises(ValueError, match=f"module: {message}"):
            fastnn.from_torch(nn.Sequential(*parts))


# ---- Estimators ----


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer", "ignore:lbfgs failed")
def test_estimators_have_both(tmp_path):
    pytest.importorskip("sklearn")
    from fastnn.sklearn import MLPClassifier, MLPRegressor

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 3)), rng.normal(size=60)
    options = {"hidden_layer_sizes": (8,), "max_iter": 5, "random_state": 0, "input_scale": True}
    for kind, targets in ((MLPRegressor, y), (MLPClassifier, y > 0)):
        fitted = kind(**options, input_dropout=0.2).fit(X, targets)
        assert (fitted.network_.scales[0] != 1.0).all()
        assert fitted.network_.input_dropout == 0.2
        fitted.save(tmp_path / "model")
        np.testing.assert_array_equal(kind.load(tmp_path / "model").predict(X), fitted.predict(X))
        with pytest.raises(ValueError, match="input_scale: expected False: scikit-learn has no such parameter"):
            fitted.to_sklearn()
        members = kind(**options, n_members=2).fit(X, targets).members_
        assert all((member.network_.scales[0] != 1.0).all() for member in members)
    lbfgs = MLPRegressor(**options, solver="lbfgs").fit(X, y)
    assert (lbfgs.network_.scales[0] != 1.0).all()
    lbfgs.coefs_ = [np.ones((3, 4)), np.ones((4, 1))]
    lbfgs.intercepts_ = [np.zeros(4), np.zeros(1)]
    scales = lbfgs.network_.scales[0].copy()
    lbfgs.predict(X)
    np.testing.assert_array_equal(lbfgs.network_.scales[0], scales)
    lbfgs.set_params(input_scale=False).predict(X)
    assert not lbfgs.network_.input_scale
    for given, message in (
        ({"input_dropout": 0.1, "solver": "lbfgs"}, "input_dropout: expected another solver"),
        ({"input_dropout": 1.0}, "'input_dropout' parameter of MLPRegressor must be"),
        ({"input_scale": "yes"}, "'input_scale' parameter of MLPRegressor must be"),
    ):
        with pytest.raises(ValueError, match=message):
            MLPRegressor(**options | given).fit(X, y)


# ---- Errors ----


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"input_scale": 1}, TypeError, "input_scale: expected"),
        ({"input_scale": [1.0, 2.0]}, TypeError, "input_scale: expected"),
        ({"input_dropout": 1.0}, ValueError, "input_dropout: expected .*got 1.0"),
        ({"input_dropout": [0.1, 0.2]}, TypeError, "input_dropout: expected"),
    ],
)
def test_wrong_arguments_are_named(options, error, message):
    with pytest.raises(error, match=message):
        MLP((2, 3, 1), **options)


def test_a_model_keeps_what_it_was_made_with():
    model = MLP((2, 3, 1), input_scale=True)
    for name in ("input_scale", "input_dropout"):
        with pytest.raises(AttributeError, match=f"{name}: a model keeps what it was made with"):
            setattr(model, name, 0)


def test_wrong_scales_of_the_reference_are_named():
    with pytest.raises(ValueError, match=r"scales: expected shape \(2,\), one per input, got \(3,\)"):
        reference.forward([np.ones((2, 1))], [np.zeros(1)], ["identity"], np.ones((1, 2)), scales=np.ones(3))
