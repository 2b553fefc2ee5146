"""The fallback beside the reference: its formulas as NumPy runs them, and as Numba compiles them."""

from __future__ import annotations

import ast
import math
from pathlib import Path

import numpy as np
import pytest
from _helpers import HIDDEN, LOSSES_AND_LINKS, data, model_of, optimizer_of, train_reference
from _portable_runs import DTYPES, SIZES, TOLERANCE, Setting, arrays_of, assert_close, network_of, run_formulas_as, run_of

import fastnn
from fastnn import SGD
from fastnn._checks.layers import OUTPUT_ONLY
from fastnn._custom import CustomActivation
from fastnn._engine import core as _core
from fastnn._engine import portable as _portable
from fastnn._engine import targets as _targets
from fastnn._engine.losses import NativeLoss, native_loss
from fastnn._engine.portable import _layers
from fastnn._engine.portable._compile import runnable
from fastnn._views import by_kind
from fastnn.losses import CustomLoss
from fastnn.losses import resolve as resolve_loss


@pytest.fixture(params=["plain", "compiled"])
def formulas(request, monkeypatch):
    """Run the formulas in plain NumPy, then as Numba compiles them."""
    run_formulas_as(request.param, monkeypatch)


def assert_trains_as_the_reference(model, X, y, setting, **penalties):
    """Train both, and compare losses and parameters."""
    network, dtype = network_of(model), model.dtype.type
    before = network.storage.copy()
    run, _ = run_of(network, X, y, setting, penalties=penalties)
    assert run.advance(math.inf, setting.epochs) == "finished"
    options = {name: getattr(setting, name) for name in Setting._fields if name != "seed"}
    weights, biases, history = train_reference(model, X, y, setting.seed, **options, **penalties)
    assert np.abs(network.storage - before).max() > 1e-3
    np.testing.assert_allclose(run.epoch_loss, history, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    assert_close(network, weights, biases, dtype)


# ---- What there is ----


def test_interface():
    """All that the compiled module's stub declares; the registries in the same order."""
    stub = ast.parse((Path(fastnn.__file__).parent / "_core.pyi").read_text(encoding="utf-8"))
    assert stub.body
    for node in stub.body:
        if isinstance(node, ast.FunctionDef):
            assert callable(getattr(_portable, node.name))
        elif isinstance(node, ast.ClassDef):
            declared = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
            assert declared <= set(dir(getattr(_portable, node.name)))
    for registry in ("ACTIVATIONS", "LOSSES", "OPTIMIZERS"):
        assert getattr(_portable, registry) == getattr(_core, registry)
    assert _portable.usable_instruction_sets() == _portable.built_instruction_sets() == ("portable",)
    assert _portable.current_instruction_set() == ("portable", 0)


# ---- Training beside the reference ----


@pytest.mark.usefixtures("formulas")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", [*HIDDEN, *OUTPUT_ONLY])
def test_activations(activation, dtype):
    hidden, output = ("tanh", activation) if activation in OUTPUT_ONLY else (activation, activation)
    X, y = data(45, 3, 2)
    assert_trains_as_the_reference(model_of(SIZES, hidden, output, dtype=dtype), X, np.abs(y), Setting())


@pytest.mark.usefixtures("formulas")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("loss", "link"), [pair for pair in LOSSES_AND_LINKS if pair[0] not in ("mse", "mae")] + [("mae", "sin")]
)
def test_losses(loss, link, dtype):
    X, y = data(45, 3, 2, loss)
    # The cosine's gradient grows as outputs come near to 0, and rounding errors with it.
    optimizer = SGD(0.005 if loss == "cosine" else 0.1)
    setting = Setting(loss, optimizer, sample_weight=np.random.default_rng(3).uniform(0, 2, 45))
    assert_trains_as_the_reference(model_of(SIZES, "tanh", link, dtype=dtype), X, y, setting)


@pytest.mark.usefixtures("formulas")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("row", _core.OPTIMIZERS)
def test_optimizers(row, dtype):
    X, y = data(45, 3, 2)
    setting = Setting(optimizer=optimizer_of(row, learning_rate=0.01))
    assert_trains_as_the_reference(model_of(SIZES, dtype=dtype), X, y, setting)
    penalties = {"l1": 1e-3, "l2": 1e-2, "clip_value": 0.1, "clip_norm": 0.2}
    assert_trains_as_the_reference(model_of(SIZES, dtype=dtype), X, y, setting, **penalties)


@pytest.mark.usefixtures("formulas")
@pytest.mark.parametrize(("batch_size", "shuffle"), [(1, True), (7, False), (45, True), (600, False)])
def test_dropout_and_batches(batch_size, shuffle):
    X, y = data(45 if batch_size < 600 else 700, 3, 2)
    model = model_of(SIZES, ["gelu", "relu"], dropout=[0.3, 0.5])
    assert_trains_as_the_reference(model, X, y, Setting(batch_size=batch_size, shuffle=shuffle))


class Cube(CustomActivation):
    """An activation that Numba knows nothing of."""

    name = "cube"

    def address(self, dtype):
        raise AssertionError("nothing native is needed")

    def value(self, z):
        return np.asarray(z) ** 3

    def slope(self, z):
        return 3 * np.asarray(z) ** 2


@pytest.mark.usefixtures("formulas")
def test_custom_activation():
    X, y = data(45, 3, 2)
    cube = Cube()
    network = _portable.Network(SIZES, ("tanh", cube, "identity"), (0.2, 0.1, 0.0), np.float64)
    model = model_of(SIZES, dropout=[0.2, 0.1])
    for view, array in zip(by_kind(network.parameters), model.weights + model.biases, strict=True):
        view[...] = array
    weights, biases = ([array.copy() for array in network.parameters[kind]] for kind in ("weights", "biases"))
    run, _ = run_of(network, X, y, Setting())
    assert run.advance(math.inf, 3) == "finished"
    fastnn.reference.train(
        weights,
        biases,
        ["tanh", cube, "identity"],
        X,
        y,
        optimizer=SGD(0.1),
        epochs=3,
        batch_size=8,
        rng=np.random.default_rng(7),
        dropout=[0.2, 0.1],
    )
    assert_close(network, weights, biases, np.float64)


# ---- Networks beside the reference ----


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("loss", "link"), LOSSES_AND_LINKS)
def test_outputs_and_gradients(loss, link, dtype):
    X, y = data(600, 3, 2, loss)
    model = model_of(SIZES, ["silu", "elu"], link, dtype=dtype)
    network, weight = network_of(model), np.random.default_rng(1).uniform(0.1, 1, 600)
    layers = fastnn.reference.forward(model.weights, model.biases, model.activations, X)
    tolerance = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
    for got, (_, wanted) in zip(network.outputs(X), layers, strict=True):
        np.testing.assert_allclose(got, wanted, **tolerance)
    np.testing.assert_allclose(network.predict(X), layers[-1][1], **tolerance)
    np.testing.assert_allclose(network.predict(X[5]), layers[-1][1][5], **tolerance)
    gradient, by_input = np.empty_like(network.storage), np.empty(X.shape, dtype)
    target, labels = _targets.targets("y", y, 600, 2, resolve_loss(loss), np.dtype(dtype))
    native = native_loss(resolve_loss(loss), link)
    value = network.gradient(native, X, target, labels, weight, gradient)
    wanted = fastnn.reference.loss_and_gradient(model.weights, model.biases, model.activations, X, y, loss, weight)
    np.testing.assert_allclose(value, wanted[0], **tolerance)
    for got, array in zip(arrays_of(network, gradient), wanted[1] + wanted[2], strict=True):
        np.testing.assert_allclose(got, array, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * np.abs(array).max())
    network.gradient(native, X, target, labels, input_gradient=by_input)
    wanted = fastnn.reference.input_gradient(model.weights, model.biases, model.activations, X, y, loss)
    np.testing.assert_allclose(by_input, wanted, rtol=1e-3, atol=TOLERANCE[dtype] * np.abs(wanted).max())


def test_losses_with_parameters():
    """Cut probabilities and deviances, which only front doors ask for."""
    X, y = data(45, 3, 2, "binary_cross_entropy")
    cases = (("binary_cross_entropy", "sigmoid", 0.2), ("poisson", "exp", 1.0), ("cross_entropy", "softmax", 0.2))
    for name, link, parameter in cases:
        model = model_of(SIZES, "tanh", link)
        native = NativeLoss(name, parameter, True, name == "cross_entropy", factor=2.0, value_factor=0.5)
        value = network_of(model).gradient(native, X, y, False)
        np.testing.assert_allclose(value, model._network.gradient(native, X, y, False), rtol=1e-12)


class Cubic(CustomLoss):
    """A loss that Numba knows nothing of."""

    name = "cubic"

    def address(self, dtype):
        raise AssertionError("nothing native is needed")

    def value(self, y_true, y_pred):
        return np.abs(y_pred - y_true) ** 3

    def gradient(self, y_true, y_pred):
        return 3 * np.abs(y_pred - y_true) * (y_pred - y_true)


@pytest.mark.usefixtures("formulas")
@pytest.mark.parametrize("dtype", DTYPES)
def test_custom_loss(dtype):
    X, y = data(45, 3, 2)
    assert_trains_as_the_reference(model_of(SIZES, dtype=dtype), X, y, Setting(Cubic()))


@pytest.mark.parametrize("formula", ["value", "derivative"])
@pytest.mark.parametrize("name", fastnn.reference.ACTIVATIONS)
def test_formulas_are_compiled_once(name, formula):
    """The engine calls the formula itself, not the function with keywords that stands for it."""
    function = getattr(fastnn.reference.ACTIVATIONS[name], formula)
    unit = _layers.activate if formula == "value" else _layers.backward_by_element
    made = runnable(unit, **{formula: function})
    assert made is runnable(unit, **{formula: function})
    called = getattr(made, "py_func", made).__globals__[formula]
    assert called is not function
    assert getattr(called, "py_func", called).__code__ is function.formula.__code__
