"""The comparison of derivatives with difference quotients: which derivatives it refuses, and which it accepts."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn._custom import CustomActivation
from fastnn.losses import CustomLoss

pytest.importorskip("numba")

from fastnn import jit
from fastnn.jit._check import check_derivative, check_gradient


def logistic(z):
    return 0.5 + 0.5 * np.tanh(0.5 * z)


RANGES = [(-10.0, 10.0), (-1.0, 1.0), (0.0, 1e-3), (50.0, 60.0), (-1e4, 1e4)]
ACTIVATIONS = {
    "line": (lambda z: z, lambda z: np.ones_like(z)),
    "slight": (lambda z: 1e-3 * z, lambda z: np.full_like(z, 1e-3)),
    "square": (lambda z: z * z, lambda z: 2 * z),
    "cubic": (lambda z: z**3 - z, lambda z: 3 * z * z - 1),
    "raised": (lambda z: 1e3 + np.tanh(z / 10), lambda z: 0.1 * (1 - np.tanh(z / 10) ** 2)),
    "silu": (lambda z: z * logistic(z), lambda z: logistic(z) * (1 + z * (1 - logistic(z)))),
    "wave": (lambda z: np.sin(3 * z), lambda z: 3 * np.cos(3 * z)),
    "kinked": (lambda z: np.where(z > 0, z, 0.01 * z), lambda z: np.where(z > 0, 1.0, 0.01)),
    "root": (lambda z: np.sqrt(np.abs(z)), lambda z: 0.5 * np.sign(z) / np.sqrt(np.abs(z))),
}
LOSSES = {
    "squares": (lambda y, p: (p - y) ** 2, lambda y, p: 2 * (p - y)),
    "absolute": (lambda y, p: np.abs(p - y), lambda y, p: np.sign(p - y)),
    "log cosh": (lambda y, p: np.logaddexp(p - y, y - p), lambda y, p: np.tanh(p - y)),
    "fourth power": (lambda y, p: (p - y) ** 4, lambda y, p: 4 * (p - y) ** 3),
    "entropy": (lambda y, p: -y * np.log(p), lambda y, p: -y / p),
}


def activation(value, derivative, factor=1.0):
    def of(function, factor):
        return lambda self, z: np.asarray(factor * function(np.asarray(z)))

    methods = {"name": "made", "address": None, "value": of(value, 1.0), "slope": of(derivative, factor)}
    return type("Made", (CustomActivation,), methods)()


def loss(value, gradient, factor=1.0):
    methods = {
        "name": "made",
        "address": None,
        "value": lambda self, y, p: value(y, p),
        "gradient": lambda self, y, p: factor * gradient(y, p),
    }
    return type("Made", (CustomLoss,), methods)()


@pytest.mark.parametrize("within", RANGES, ids=str)
@pytest.mark.parametrize("name", ACTIVATIONS)
@np.errstate(all="ignore")
def test_correct_derivatives_are_accepted_and_wrong_ones_refused(name, within):
    """Errors of half a percent are found wherever the derivative is not negligible."""
    check_derivative(activation(*ACTIVATIONS[name]), within)
    if name == "raised" and within in RANGES[2:]:  # rounding hides the error here
        return
    for factor in (1.005, 0.995):
        with pytest.raises(ValueError, match="^derivative: expected about .*, the derivative of made, got "):
            check_derivative(activation(*ACTIVATIONS[name], factor), within)


@pytest.mark.parametrize("within", RANGES[:4], ids=str)
@pytest.mark.parametrize("name", LOSSES)
@np.errstate(all="ignore")
def test_correct_gradients_are_accepted_and_wrong_ones_refused(name, within):
    check_gradient(loss(*LOSSES[name]), within)
    if (name, within) == ("fourth power", RANGES[2]):  # its gradient is below 1e-8
        return
    for factor in (1.005, 0.995):
        with pytest.raises(ValueError, match="^gradient: expected about .*, the derivative of made by y_pred, got "):
            check_gradient(loss(*LOSSES[name], factor), within)


@pytest.mark.parametrize("within", RANGES, ids=str)
def test_rounding_errors_are_allowed_for(within):
    check_derivative(activation(lambda z: 1e6 + np.sin(z), np.cos), within)
    check_gradient(loss(lambda y, p: 1e6 + (p - y) ** 2, lambda y, p: 2 * (p - y)), within)


def test_derivatives_that_are_wrong_at_one_end_are_refused():
    within = (-10.0, 10.0)
    for low, high in ((-10.0, -9.9), (9.9, 10.0), (0.0, 0.1)):
        made = activation(np.sin, lambda z: np.cos(z) * np.where((z > low) & (z < high), 1.005, 1.0))  # noqa: B023
        with pytest.raises(ValueError, match="^derivative: expected about "):
            check_derivative(made, within)


def test_decorators_check_the_default_ranges():
    with pytest.raises(ValueError, match="^derivative: expected about "):
        jit.activation(derivative=lambda z: 2.01 * z)(lambda z: z * z)
    with pytest.raises(ValueError, match="^gradient: expected about "):
        jit.loss(gradient=lambda y, p: 2.01 * (p - y))(lambda y, p: (p - y) * (p - y))
