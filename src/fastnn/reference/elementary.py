"""The elementary functions in activations and losses: NumPy's functions, computed in float64 for any input."""

from __future__ import annotations

import numpy as np

from fastnn.reference.arrays import Float64, elementwise

__all__ = ["cos", "exp", "expm1", "log", "log1p", "sin"]
__dir__ = __all__.copy


@elementwise
def exp(x: Float64) -> Float64:
    """Return e to the power of x.

    Examples
    --------
    >>> exp([0.0])
    array([1.])
    """
    return np.exp(x)


@elementwise
def expm1(x: Float64) -> Float64:
    """Return exp(x) - 1, to full precision near zero.

    Examples
    --------
    >>> expm1([0.0])
    array([0.])
    """
    return np.expm1(x)


@elementwise
def log(x: Float64) -> Float64:
    """Return the natural logarithm of x: -inf at 0 and NaN below.

    Examples
    --------
    >>> log([1.0, 0.0])
    array([  0., -inf])
    """
    return np.log(x)


@elementwise
def log1p(x: Float64) -> Float64:
    """Return log(1 + x), to full precision near zero.

    Examples
    --------
    >>> log1p([0.0])
    array([0.])
    """
    return np.log1p(x)


@elementwise
def sin(x: Float64) -> Float64:
    """Return the sine of x, in radians.

    Examples
    --------
    >>> sin([0.0])
    array([0.])
    """
    return np.sin(x)


@elementwise
def cos(x: Float64) -> Float64:
    """Return the cosine of x, in radians: the derivative of the sine as a function of its input.

    Examples
    --------
    >>> cos([0.0])
    array([1.])
    """
    return np.cos(x)
