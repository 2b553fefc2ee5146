"""Activations that level off: the sigmoid and tanh on both sides, softplus below zero."""

from __future__ import annotations

import numpy as np

from fastnn.reference.arrays import Float64, elementwise

__all__ = ["sigmoid", "sigmoid_grad", "softplus", "softplus_grad", "tanh", "tanh_grad"]
__dir__ = __all__.copy


@elementwise
def sigmoid(z: Float64) -> Float64:
    """Return 1 / (1 + exp(-z)), computed so that nothing overflows.

    Examples
    --------
    >>> sigmoid([0.0])
    array([0.5])
    """
    small = np.exp(-np.abs(z))
    return np.where(z >= 0.0, 1.0, small) / (1.0 + small)


@elementwise
def sigmoid_grad(a: Float64) -> Float64:
    """Return the derivative of `sigmoid` as a function of its output: a * (1 - a).

    Examples
    --------
    >>> sigmoid_grad([0.5])
    array([0.25])
    """
    return a * (1.0 - a)


@elementwise
def tanh(z: Float64) -> Float64:
    """Return the hyperbolic tangent.

    Examples
    --------
    >>> tanh([0.0])
    array([0.])
    """
    return np.tanh(z)


@elementwise
def tanh_grad(a: Float64) -> Float64:
    """Return the derivative of `tanh` as a function of its output: 1 - a**2.

    Examples
    --------
    >>> tanh_grad([0.5])
    array([0.75])
    """
    return (1.0 - a) * (1.0 + a)


@elementwise
def softplus(z: Float64) -> Float64:
    """Return log(1 + exp(z)), computed so that nothing overflows.

    Examples
    --------
    >>> softplus([-1000.0, 1000.0])
    array([   0., 1000.])
    """
    return np.logaddexp(0.0, z)


@elementwise
def softplus_grad(a: Float64) -> Float64:
    """Return the derivative of `softplus` as a function of its output: 1 - exp(-a).

    Examples
    --------
    >>> softplus_grad([0.0])
    array([0.])
    """
    return 0.0 - np.expm1(-a)
