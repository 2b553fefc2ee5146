"""Custom activations and losses for several test files, and the activations' formulas in NumPy."""

from __future__ import annotations

import math

import numpy as np

from fastnn import jit, reference

SIZES = (3, 13, 9, 2)  # layer widths that need padding


@jit.activation(derivative=lambda a: 1.0 if a > 0.0 else 0.01, uses="output")
def leaky(z):
    """Return z if it is positive, else a hundredth of it."""
    return z if z > 0.0 else 0.01 * z


def swish_derivative(z):
    s = 1.0 / (1.0 + math.exp(-z))
    return s * (1.0 + z * (1.0 - s))


@jit.activation(derivative=swish_derivative)
def swish(z):
    return z / (1.0 + math.exp(-z))


@jit.activation(derivative=lambda z: -math.sin(z))
def cosine(z):
    return math.cos(z)


@jit.activation(derivative=lambda a: a, uses="output", name="e to the z")
def exponential(z):
    return math.exp(z)


@jit.activation(derivative=lambda z: 0.5 / math.sqrt(abs(z)) * (1 if z > 0 else -1))
def root(z):
    """Return a function whose derivative at zero is infinite."""
    return 1.0 + math.sqrt(abs(z))


@jit.activation(derivative=lambda z: (z / z) * math.cos(z))
def sine(z):
    """Return a function whose derivative at zero is computed as NaN."""
    return math.sin(z)


@jit.activation(derivative=lambda z: 1.0 / (1.0 + z * z))
def arctan(z):
    return math.atan(z)


@jit.loss(gradient=lambda y_true, y_pred: y_pred - y_true)
def half_error(y_true, y_pred):
    """Return the squared error as scikit-learn defines it."""
    e = y_pred - y_true
    return 0.5 * e * e


@jit.loss(gradient=lambda y, p: 2.0 * (p - y))
def squares(y, p):
    """Return the squared error."""
    return (p - y) * (p - y)


@jit.loss(gradient=lambda y_true, y_pred: math.tanh(y_pred - y_true))
def log_cosh(y_true, y_pred):
    e = abs(y_pred - y_true)
    return e + math.log1p(math.exp(-2.0 * e)) - math.log(2.0)


@jit.loss(gradient=lambda y, p: math.exp(p) - y / p, check_range=(0.1, 3), name="odd one")
def odd(y, p):
    """Return a loss that is infinite or NaN for the zeros in the padding."""
    return math.exp(p) - y * math.log(p)


FORMULAS = {
    leaky: (lambda z: np.where(z > 0, z, 0.01 * z), lambda z: np.where(z > 0, 1.0, 0.01)),
    swish: (lambda z: z / (1 + np.exp(-z)), lambda z: reference.silu_grad(z)),
    cosine: (np.cos, lambda z: -np.sin(z)),
    exponential: (np.exp, np.exp),
    root: (lambda z: 1 + np.sqrt(np.abs(z)), lambda z: 0.5 * np.sign(z) / np.sqrt(np.abs(z))),
    sine: (np.sin, np.cos),
    arctan: (np.arctan, lambda z: 1 / (1 + z * z)),
}
