"""Activations: value and derivative, side by side.

In the formulas z is what goes into an activation and a what comes out. A derivative is written in a where a determines it,
so that training need not keep z, and in z where it does not (gelu, silu, mish, sin).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastnn import _custom
from fastnn._checks.floats import Array
from fastnn._custom import CustomActivation
from fastnn.reference.arrays import elementwise
from fastnn.reference.elementary import cos, exp, sin
from fastnn.reference.softmax import softmax, softmax_backward

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "elu",
    "elu_grad",
    "gelu",
    "gelu_grad",
    "leaky_relu",
    "leaky_relu_grad",
    "mish",
    "mish_grad",
    "relu",
    "relu_grad",
    "selu",
    "selu_grad",
    "sigmoid",
    "sigmoid_grad",
    "silu",
    "silu_grad",
    "softplus",
    "softplus_grad",
    "tanh",
    "tanh_grad",
]
__dir__ = __all__.copy

_Float64: TypeAlias = NDArray[np.float64]

# Beyond these, exp(-abs(z)) and exp(-z**2 / 2) are zero in float64. Clipping there keeps inf * 0 from being NaN.
_EXP_VANISHES = 800.0
_NORMAL_VANISHES = 40.0

# Of SELU: mean 0 and variance 1 are a fixed point of a layer with these (Klambauer et al. 2017, equation 14).
_SELU_SCALE = 1.0507009873554805
_SELU_ALPHA = 1.6732632423543772


@elementwise
def sigmoid(z: _Float64) -> _Float64:
    """Return 1 / (1 + exp(-z)), which never overflows here.

    Examples
    --------
    >>> sigmoid([0.0])
    array([0.5])
    """
    small = np.exp(-np.abs(z))
    return np.where(z >= 0.0, 1.0, small) / (1.0 + small)


@elementwise
def sigmoid_grad(a: _Float64) -> _Float64:
    """Return the derivative of `sigmoid` from its output: a * (1 - a).

    Examples
    --------
    >>> sigmoid_grad([0.5])
    array([0.25])
    """
    return a * (1.0 - a)


@elementwise
def tanh(z: _Float64) -> _Float64:
    """Return the hyperbolic tangent.

    Examples
    --------
    >>> tanh([0.0])
    array([0.])
    """
    return np.tanh(z)


@elementwise
def tanh_grad(a: _Float64) -> _Float64:
    """Return the derivative of `tanh` from its output: 1 - a**2.

    Examples
    --------
    >>> tanh_grad([0.5])
    array([0.75])
    """
    return (1.0 - a) * (1.0 + a)


@elementwise
def relu(z: _Float64) -> _Float64:
    """Return max(z, 0).

    Examples
    --------
    >>> relu([-1.0, 2.0])
    array([0., 2.])
    """
    return np.maximum(z, 0.0)


@elementwise
def relu_grad(a: _Float64) -> _Float64:
    """Return the derivative of `relu` from its output: 1 if a > 0, else 0.

    Examples
    --------
    >>> relu_grad([0.0, 2.0])
    array([0., 1.])
    """
    return np.where(a > 0.0, 1.0, 0.0)


@elementwise
def leaky_relu(z: _Float64) -> _Float64:
    """Return z if z > 0, else 0.01 * z.

    Examples
    --------
    >>> leaky_relu([-1.0, 2.0])
    array([-0.01,  2.  ])
    """
    return np.where(z > 0.0, z, 0.01 * z)


@elementwise
def leaky_relu_grad(a: _Float64) -> _Float64:
    """Return the derivative of `leaky_relu` from its output: 1 if a > 0, else 0.01.

    Examples
    --------
    >>> leaky_relu_grad([-0.01, 2.0])
    array([0.01, 1.  ])
    """
    return np.where(a > 0.0, 1.0, 0.01)


@elementwise
def elu(z: _Float64) -> _Float64:
    """Return z if z > 0, else exp(z) - 1.

    Clevert, Unterthiner and Hochreiter, "Fast and accurate deep network learning by exponential linear units", 2016.

    Examples
    --------
    >>> elu([0.0, 2.0])
    array([0., 2.])
    """
    return np.where(z > 0.0, z, np.expm1(np.minimum(z, 0.0)))


@elementwise
def elu_grad(a: _Float64) -> _Float64:
    """Return the derivative of `elu` from its output: 1 if a > 0, else a + 1.

    Examples
    --------
    >>> elu_grad([-0.75, 2.0])
    array([0.25, 1.  ])
    """
    return np.where(a > 0.0, 1.0, a + 1.0)


@elementwise
def gelu(z: _Float64) -> _Float64:
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
def gelu_grad(z: _Float64) -> _Float64:
    """Return the derivative of `gelu` from its input: the normal distribution function plus z times its density.

    Examples
    --------
    >>> gelu_grad([0.0])
    array([0.5])
    """
    near = np.clip(z, -_NORMAL_VANISHES, _NORMAL_VANISHES)
    density = np.exp(-0.5 * near**2) / math.sqrt(2.0 * math.pi)
    return 0.5 * erfc(-near / math.sqrt(2.0)) + near * density


@elementwise
def silu(z: _Float64) -> _Float64:
    """Return z * sigmoid(z), also called swish.

    S. Elfwing, E. Uchibe and K. Doya, "Sigmoid-weighted linear units", 2018.

    Examples
    --------
    >>> silu([-1000.0, 0.0, 1000.0])
    array([  -0.,    0., 1000.])
    """
    return np.asarray(np.maximum(z, -_EXP_VANISHES) * sigmoid(z))


@elementwise
def silu_grad(z: _Float64) -> _Float64:
    """Return the derivative of `silu` from its input: s * (1 + z * (1 - s)) with s = sigmoid(z).

    Examples
    --------
    >>> silu_grad([0.0])
    array([0.5])
    """
    near = np.clip(z, -_EXP_VANISHES, _EXP_VANISHES)
    return np.asarray(sigmoid(near) * (1.0 + near * sigmoid(-near)))


@elementwise
def selu(z: _Float64) -> _Float64:
    """Return 1.0507 z if z > 0, else 1.7581 (exp(z) - 1).

    G. Klambauer, T. Unterthiner, A. Mayr and S. Hochreiter, "Self-normalizing neural networks", 2017.

    Examples
    --------
    >>> selu([0.0, 1.0])
    array([0.        , 1.05070099])
    """
    return _SELU_SCALE * np.where(z > 0.0, z, _SELU_ALPHA * np.expm1(np.minimum(z, 0.0)))


@elementwise
def selu_grad(a: _Float64) -> _Float64:
    """Return the derivative of `selu` from its output: 1.0507 if a > 0, else a + 1.7581.

    Examples
    --------
    >>> selu_grad([0.0, 1.0])
    array([1.75809934, 1.05070099])
    """
    return np.where(a > 0.0, _SELU_SCALE, a + _SELU_SCALE * _SELU_ALPHA)


@elementwise
def mish(z: _Float64) -> _Float64:
    """Return z * tanh(softplus(z)).

    D. Misra, "Mish: a self regularized non-monotonic activation function", 2019.

    Examples
    --------
    >>> mish([-1000.0, 0.0, 1000.0])
    array([  -0.,    0., 1000.])
    """
    return np.maximum(z, -_EXP_VANISHES) * np.tanh(np.logaddexp(0.0, z))


@elementwise
def mish_grad(z: _Float64) -> _Float64:
    """Return the derivative of `mish` from its input: t + z * (1 - t**2) * sigmoid(z) with t = tanh(softplus(z)).

    Examples
    --------
    >>> mish_grad([0.0])
    array([0.6])
    """
    near = np.clip(z, -_EXP_VANISHES, _EXP_VANISHES)
    gate = np.tanh(np.logaddexp(0.0, near))
    return np.asarray(gate + near * (1.0 - gate) * (1.0 + gate) * sigmoid(near))


@elementwise
def softplus(z: _Float64) -> _Float64:
    """Return log(1 + exp(z)), which never overflows here.

    Examples
    --------
    >>> softplus([-1000.0, 1000.0])
    array([   0., 1000.])
    """
    return np.logaddexp(0.0, z)


@elementwise
def softplus_grad(a: _Float64) -> _Float64:
    """Return the derivative of `softplus` from its output: 1 - exp(-a).

    Examples
    --------
    >>> softplus_grad([0.0])
    array([0.])
    """
    return 0.0 - np.expm1(-a)


@elementwise
def _identity(z: _Float64) -> _Float64:
    return z


@elementwise
def _one(a: _Float64) -> _Float64:
    return np.ones_like(a)


def erfc(x: NDArray[Any]) -> _Float64:
    """Return the complementary error function, which neither NumPy nor Numba has for arrays."""
    result = np.empty(x.shape)
    for i in range(x.size):
        result.flat[i] = math.erfc(x.flat[i])
    return result


@dataclass(frozen=True)
class Activation:
    """An activation of the reference.

    Attributes
    ----------
    name : str
        The name to ask for it by.
    value : callable
        From z to a.
    derivative : callable
        To da / dz, elementwise, from what `uses` says.
    uses : {"output", "input"}
        Whether `derivative` takes a or z.

    Examples
    --------
    >>> ACTIVATIONS["tanh"].slope(None, [0.5])
    array([0.75])
    """

    name: str
    value: Callable[[Any], Any]
    derivative: Callable[[Any], Any]
    uses: Literal["output", "input"] = "output"

    def slope(self, z: Any, a: Any) -> Any:
        """Return da / dz, elementwise."""
        return self.derivative(a if self.uses == "output" else z)

    def backward(self, z: Array, a: Array, grad_a: Array) -> Array:
        """Return the gradient with respect to z from that with respect to a; all (rows, units)."""
        return np.asarray(grad_a * self.slope(z, a))


@dataclass(frozen=True)
class _Softmax(Activation):
    """The only activation whose outputs depend on one another: `derivative` is the diagonal of its Jacobian."""

    def backward(self, z: Array, a: Array, grad_a: Array) -> Array:
        """Return the product with the Jacobian of every row."""
        return softmax_backward(a, grad_a)


@dataclass(frozen=True)
class Prelu(Activation):
    """The activation with a trained slope below zero for each unit: z if z > 0, else slopes * z.

    K. He, X. Zhang, S. Ren and J. Sun, "Delving deep into rectifiers", 2015.

    Attributes
    ----------
    slopes : ndarray, shape (units,)
        Their gradient is that of the layer's outputs times min(z, 0), summed over rows.

    Examples
    --------
    >>> with_slopes(np.array([0.25, 0.5])).value(np.array([[-2.0, -2.0]]))
    array([[-0.5, -1. ]])
    """

    slopes: Any = None

    def gradient(self, z: Array, grad_a: Array) -> Array:
        """Return the gradient with respect to the slopes from that with respect to a."""
        return np.asarray((grad_a * np.where(z > 0.0, z.dtype.type(0.0), z)).sum(axis=0))


def with_slopes(slopes: Array) -> Prelu:
    """Return the activation "prelu" of a layer with these slopes.

    Examples
    --------
    >>> with_slopes(np.array([0.25])).slope(np.array([[-2.0], [2.0]]), None).T
    array([[0.25, 1.  ]])
    """
    return Prelu(
        "prelu",
        lambda z: np.where(z > 0.0, z, slopes * z),
        lambda z: np.where(z > 0.0, slopes.dtype.type(1.0), slopes),
        uses="input",
        slopes=slopes,
    )


ACTIVATIONS: Mapping[str, Activation] = MappingProxyType(
    {
        activation.name: activation
        for activation in (
            Activation("identity", _identity, _one),
            Activation("tanh", tanh, tanh_grad),
            Activation("sigmoid", sigmoid, sigmoid_grad),
            Activation("relu", relu, relu_grad),
            Activation("leaky_relu", leaky_relu, leaky_relu_grad),
            Activation("elu", elu, elu_grad),
            Activation("gelu", gelu, gelu_grad, uses="input"),
            Activation("silu", silu, silu_grad, uses="input"),
            Activation("softplus", softplus, softplus_grad),
            Activation("sin", sin, cos, uses="input"),
            Activation("exp", exp, _identity),
            _Softmax("softmax", softmax, sigmoid_grad),
            Activation("selu", selu, selu_grad),
            Activation("mish", mish, mish_grad, uses="input"),
        )
    }
)
"""The activations by name; "exp" and "softmax" are for the output layer only."""


def named(activation: str | Activation | CustomActivation, argument: str = "activation") -> Activation:
    """Return the activation of that name, or the one given."""
    if isinstance(activation, Activation):
        return activation
    if isinstance(activation, str) and activation in _custom.ACTIVATIONS:
        activation = _custom.ACTIVATIONS[activation]
    if isinstance(activation, CustomActivation):
        return Activation(activation.name, activation.value, activation.slope, uses="input")
    if not isinstance(activation, str):
        raise TypeError(f"{argument}: got {activation!r} of type {type(activation).__name__}, expected a name")
    if activation not in ACTIVATIONS:
        raise ValueError(f"{argument}: got {activation!r}, expected one of {', '.join(map(repr, ACTIVATIONS))}")
    return ACTIVATIONS[activation]
