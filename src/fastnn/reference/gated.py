"""Activations that multiply their input by a probability; their derivatives take the input z."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.reference.arrays import Float64, elementwise
from fastnn.reference.sigmoids import sigmoid, softplus

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["gelu", "gelu_grad", "mish", "mish_grad", "silu", "silu_grad"]
__dir__ = __all__.copy

# Beyond these, exp(-abs(z)) and exp(-z**2 / 2) are zero in float64. Clipping there keeps inf * 0 from being NaN.
_EXP_VANISHES = 800.0
_NORMAL_VANISHES = 40.0


@elementwise
def gelu(z: Float64) -> Float64:
    """Return z times the normal distribution function at z: z * erfc(-z / sqrt(2)) / 2, not its tanh approximation.

    D. Hendrycks and K. Gimpel, "Gaussian error linear units", 2016.

    Examples
    --------
    >>> gelu([-50.0, 0.0, 50.0])
    array([-0.,  0., 50.])
    """
    # 1 + erf(x) would lose every digit for large negative x; erfc(-x) is the same without the cancellation.
    return np.maximum(z, -_NORMAL_VANISHES) * 0.5 * erfc(-z / math.sqrt(2.0))


@elementwise
def gelu_grad(z: Float64) -> Float64:
    """Return the derivative of `gelu` as a function of its input: the normal distribution function plus z times its density.

    Examples
    --------
    >>> gelu_grad([0.0])
    array([0.5])
    """
    near = np.clip(z, -_NORMAL_VANISHES, _NORMAL_VANISHES)
    density = np.exp(-0.5 * near**2) / math.sqrt(2.0 * math.pi)
    return 0.5 * erfc(-near / math.sqrt(2.0)) + near * density


@elementwise
def silu(z: Float64) -> Float64:
    """Return z * sigmoid(z), also called swish.

    S. Elfwing, E. Uchibe and K. Doya, "Sigmoid-weighted linear units", 2018.

    Examples
    --------
    >>> silu([-1000.0, 0.0, 1000.0])
    array([  -0.,    0., 1000.])
    """
    return np.asarray(np.maximum(z, -_EXP_VANISHES) * sigmoid(z))


@elementwise
def silu_grad(z: Float64) -> Float64:
    """Return the derivative of `silu` as a function of its input: s * (1 + z * (1 - s)) with s = sigmoid(z).

    Examples
    --------
    >>> silu_grad([0.0])
    array([0.5])
    """
    near = np.clip(z, -_EXP_VANISHES, _EXP_VANISHES)
    return np.asarray(sigmoid(near) * (1.0 + near * sigmoid(-near)))


@elementwise
def mish(z: Float64) -> Float64:
    """Return z * tanh(softplus(z)).

    D. Misra, "Mish: a self regularized non-monotonic activation function", 2019.

    Examples
    --------
    >>> mish([-1000.0, 0.0, 1000.0])
    array([  -0.,    0., 1000.])
    """
    return np.asarray(np.maximum(z, -_EXP_VANISHES) * np.tanh(softplus(z)))


@elementwise
def mish_grad(z: Float64) -> Float64:
    """Return the derivative of `mish` as a function of its input.

    With t = tanh(softplus(z)), it is t + z * (1 - t**2) * sigmoid(z).

    Examples
    --------
    >>> mish_grad([0.0])
    array([0.6])
    """
    near = np.clip(z, -_EXP_VANISHES, _EXP_VANISHES)
    gate = np.tanh(softplus(near))
    return np.asarray(gate + near * (1.0 - gate) * (1.0 + gate) * sigmoid(near))


def erfc(x: NDArray[Any]) -> Float64:
    """Return the complementary error function of every element. Neither NumPy nor Numba has it for arrays."""
    values, result = x.copy().reshape(-1), np.empty(x.size)
    for i in range(values.size):
        result[i] = math.erfc(values[i])
    return result.reshape(x.shape)
