"""Activations that are linear above zero."""

from __future__ import annotations

import numpy as np

from fastnn.reference.arrays import Float64, elementwise

__all__ = [
    "elu",
    "elu_grad",
    "leaky_relu",
    "leaky_relu_grad",
    "relu",
    "relu_grad",
    "selu",
    "selu_grad",
]
__dir__ = __all__.copy


# With these constants, a layer of SELU preserves mean 0 and variance 1 (Klambauer et al. 2017, equation 14).
SELU_SCALE = 1.0507009873554805
SELU_ALPHA = 1.6732632423543772


@elementwise
def relu(z: Float64) -> Float64:
    """Return max(z, 0).

    Examples
    --------
    >>> relu([-1.0, 2.0])
    array([0., 2.])
    """
    return np.maximum(z, 0.0)


@elementwise
def relu_grad(a: Float64) -> Float64:
    """Return the derivative of `relu` as a function of its output: 1 if a > 0, else 0.

    Examples
    --------
    >>> relu_grad([0.0, 2.0])
    array([0., 1.])
    """
    return np.where(a > 0.0, 1.0, 0.0)


@elementwise
def leaky_relu(z: Float64) -> Float64:
    """Return z if z > 0, else 0.01 * z.

    Examples
    --------
    >>> leaky_relu([-1.0, 2.0])
    array([-0.01,  2.  ])
    """
    return np.where(z > 0.0, z, 0.01 * z)


@elementwise
def leaky_relu_grad(a: Float64) -> Float64:
    """Return the derivative of `leaky_relu` as a function of its output: 1 if a > 0, else 0.01.

    Examples
    --------
    >>> leaky_relu_grad([-0.01, 2.0])
    array([0.01, 1.  ])
    """
    return np.where(a > 0.0, 1.0, 0.01)


@elementwise
def elu(z: Float64) -> Float64:
    """Return z if z > 0, else exp(z) - 1.

    Clevert, Unterthiner and Hochreiter, "Fast and accurate deep network learning by exponential linear units", 2016.

    Examples
    --------
    >>> elu([0.0, 2.0])
    array([0., 2.])
    """
    return np.where(z > 0.0, z, np.expm1(np.minimum(z, 0.0)))


@elementwise
def elu_grad(a: Float64) -> Float64:
    """Return the derivative of `elu` as a function of its output: 1 if a > 0, else a + 1.

    Examples
    --------
    >>> elu_grad([-0.75, 2.0])
    array([0.25, 1.  ])
    """
    return np.where(a > 0.0, 1.0, a + 1.0)


@elementwise
def selu(z: Float64) -> Float64:
    """Return 1.0507 z if z > 0, else 1.7581 (exp(z) - 1).

    G. Klambauer, T. Unterthiner, A. Mayr and S. Hochreiter, "Self-normalizing neural networks", 2017.

    Examples
    --------
    >>> selu([0.0, 1.0])
    array([0.        , 1.05070099])
    """
    return SELU_SCALE * np.where(z > 0.0, z, SELU_ALPHA * np.expm1(np.minimum(z, 0.0)))


@elementwise
def selu_grad(a: Float64) -> Float64:
    """Return the derivative of `selu` as a function of its output: 1.0507 if a > 0, else a + 1.7581.

    Examples
    --------
    >>> selu_grad([0.0, 1.0])
    array([1.75809934, 1.05070099])
    """
    return np.where(a > 0.0, SELU_SCALE, a + SELU_SCALE * SELU_ALPHA)
