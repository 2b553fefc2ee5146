"""Defining custom losses: the check of the gradient, errors, and their names, also in files."""

from __future__ import annotations

import math
import pickle

import pytest
from _helpers import data, state_of

from fastnn import MLP, Adam, Trainer, losses, reference
from fastnn.losses._registry import CUSTOM_LOSSES

pytest.importorskip("numba")

from _jit_activations import leaky, log_cosh, squares

from fastnn import jit


def absolute(y, p):
    return abs(p - y)


@pytest.mark.parametrize(
    ("function", "gradient", "options", "message"),
    [
        (
            squares._python,
            lambda y, p: p - y,
            {},
            r"expected about -?3\d\.\d+, the derivative of squares by y_pred, "
            r"got -?1\d\.\d+ at y_true = -?9\.\d+, y_pred = -?9\.\d+, where the loss is \d+\.?\d*$",
        ),
        (squares._python, lambda y, p: 2.0 * (y - p), {}, "expected about .*, got "),
        (absolute, lambda y, p: 1.0, {}, r"expected about -1, the derivative of absolute by y_pred, got 1 at "),
        (lambda y, p: p * p if y == 1.0 else p, lambda y, p: 1.0, {}, r"expected about -?1\d.*, got 1 at y_true = 1, "),
        (lambda y, p: p * p if y == 0.0 else p, lambda y, p: 1.0, {}, r"expected about -?1\d.*, got 1 at y_true = 0, "),
        (lambda y, p: p, lambda y, p: math.nan, {}, "expected about .*, got nan at "),
        (lambda y, p: -y * math.log(p), lambda y, p: y / p, {"check_range": (0, 1)}, "expected about .*, got "),
    ],
)
def test_wrong_gradients_raise(function, gradient, options, message):
    with pytest.raises(ValueError, match=f"^gradient: {message}"):
        jit.loss(gradient=gradient, **options)(function)


@pytest.mark.parametrize(
    ("function", "gradient", "check_range"),
    [
        (absolute, lambda y, p: 1.0 if p > y else -1.0, (-10, 10)),
        (absolute, lambda y, p: 0.0 if p == y else math.copysign(1.0, p - y), (-10, 10)),
        (lambda y, p: max(0.0, 1.0 - y * p), lambda y, p: -y if y * p < 1.0 else 0.0, (-3, 3)),
        (lambda y, p: -y * math.log(p), lambda y, p: -y / p, (-10, 10)),  # where the loss is finite
        (lambda y, p: -y * math.log(p), lambda y, p: -y / p, (0, 1)),
        (lambda y, p: (p - y) ** 4, lambda y, p: 4 * (p - y) ** 3, (-1e3, 1e3)),
        (lambda y, p: p, lambda y, p: 3.0, None),
    ],
)
def test_correct_gradients_are_accepted(function, gradient, check_range):
    assert jit.loss(gradient=gradient, check_range=check_range, name="right")(function)


@pytest.mark.parametrize(
    ("options", "function", "error", "message"),
    [
        ({"gradient": 3}, None, TypeError, "gradient: expected a Python function of two numbers, got 3"),
        (
            {"gradient": lambda p: p},
            None,
            TypeError,
            r"gradient: expected a .* of two numbers, got <lambda>\(p\)",
        ),
        ({}, lambda y: y, TypeError, r"function: expected a Python function of two numbers, got <lambda>\(y\)"),
        ({}, lambda y, p: undefined(p), TypeError, "function: Numba can't compile .*'undefined' is not defined"),  # noqa: F821
        ({}, lambda y, p: "1", TypeError, "function: expected a real number, got <lambda>, which returns .*"),
        ({"name": 3}, absolute, TypeError, "name: expected a string, got 3"),
        ({"name": "mse"}, absolute, ValueError, "name: expected one that no built-in function has, got 'mse'"),
        (
            {"check_range": (2, 2)},
            absolute,
            ValueError,
            r"check_range: expected .* with low < high, got \(2, 2\)",
        ),
        (
            {"check_range": (-4, -3)},
            lambda y, p: math.log(p),
            ValueError,
            r"check_range: expected .* is finite somewhere, got \(-4\.0, -3\.0\)",
        ),
    ],
)
def test_wrong_arguments_and_functions_that_cannot_be_compiled_raise(options, function, error, message):
    with pytest.raises(error, match=f"^{message}"):
        jit.loss(**{"gradient": lambda y, p: 1.0} | options)(function)


# ---- Names and files ----


def test_losses_are_found_by_name(monkeypatch):
    X, y = data(30, 3, 2)
    model = MLP((3, 8, 2), random_state=0)
    assert Trainer(model, "log_cosh").loss is losses.resolve("log_cosh") is log_cosh
    assert model.loss(X, y, "log_cosh") == model.loss(X, y, log_cosh)
    arguments = (model.weights, model.biases, model.activations, X, y)
    assert reference.loss_and_gradient(*arguments, "log_cosh")[0] == pytest.approx(model.loss(X, y, log_cosh), rel=1e-5)
    monkeypatch.setitem(CUSTOM_LOSSES, "log_cosh", log_cosh)  # restored after the test
    other = jit.loss(gradient=lambda y, p: 1.0, name="log_cosh")(lambda y, p: p)
    assert Trainer(model, "log_cosh").loss is other
    with pytest.raises(ValueError, match="gradient"):
        jit.loss(gradient=lambda y, p: 2.0, name="wrong")(lambda y, p: p)
    with pytest.raises(ValueError, match=r"^loss: expected one of 'mse', .*'log_cosh', .*got 'wrong'"):
        Trainer(model, "wrong")


def test_files_name_the_loss(tmp_path, monkeypatch):
    path = tmp_path / "a file"
    X, y = data(30, 3, 2)
    trainer = Trainer(MLP((3, 8, 2), random_state=0), log_cosh, Adam(0.01), batch_size=7, random_state=0)
    trainer.run(X, y, 2)
    trainer.save(path)
    twins = [Trainer.load(path), Trainer.load(path, custom_losses=[squares, log_cosh]), pickle.loads(pickle.dumps(trainer))]
    trainer.run(X, y, 2)
    for twin in twins:
        assert twin.loss is log_cosh
        twin.run(X, y, 2)
        assert state_of(twin) == state_of(trainer)
    other = jit.loss(gradient=lambda y, p: 1.0, name="log_cosh")(lambda y, p: p)
    assert Trainer.load(path).loss is other
    assert Trainer.load(path, custom_losses=[log_cosh]).loss is log_cosh
    monkeypatch.setitem(CUSTOM_LOSSES, "log_cosh", log_cosh)
    monkeypatch.delitem(CUSTOM_LOSSES, "log_cosh")
    with pytest.raises(ValueError, match="a file: custom_losses: expected one named 'log_cosh', got 'squares'$"):
        Trainer.load(path, custom_losses=[squares])
    assert MLP.load(path).layer_sizes == (3, 8, 2)


@pytest.mark.parametrize("given", [log_cosh, "log_cosh", None, ["log_cosh"], [leaky]])
def test_losses_given_to_load_are_checked(given, tmp_path):
    Trainer(MLP((2, 1))).save(tmp_path / "a file")
    with pytest.raises(TypeError, match="^custom_losses: expected a list of losses made by fastnn.jit, got "):
        Trainer.load(tmp_path / "a file", custom_losses=given)
