"""Activations of one's own for several test files, with NumPy's formulas of them."""

from __future__ import annotations

import math

import numpy as np

from fastnn import jit, reference

SIZES = (3, 13, 9, 2)  # widths that need padding


@jit.activation(derivative=lambda a: 1.0 if a > 0.0 else 0.01, uses="output")
def leaky(z):
    """Return z, or a hundredth of it."""
    return z if z > 0.0 else 0.01 * z


def swish_slope(z):
    s = 1.0 / (1.0 + math.exp(-z))
    return s * (1.0 + z * (1.0 - s))


@jit.activation(derivative=swish_slope)
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
    """Return a function whose slope at zero is infinite."""
    return 1.0 + math.sqrt(abs(z))


@jit.activation(derivative=lambda z: (z / z) * math.cos(z))
def sine(z):
    """Return a function whose slope at zero comes out as NaN."""
    return math.sin(z)


FORMULAS = {
    leaky: (lambda z: np.where(z > 0, z, 0.01 * z), lambda z: np.where(z > 0, 1.0, 0.01)),
    swish: (lambda z: z / (1 + np.exp(-z)), lambda z: reference.silu_grad(z)),
    cosine: (np.cos, lambda z: -np.sin(z)),
    exponential: (np.exp, np.exp),
    root: (lambda z: 1 + np.sqrt(np.abs(z)), lambda z: 0.5 * np.sign(z) / np.sqrt(np.abs(z))),
    sine: (np.sin, np.cos),
}
