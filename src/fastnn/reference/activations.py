"""The activations by name: value and derivative, side by side.

In the formulas, z is the input of an activation and a is its output. If a determines the derivative, the derivative is
written as a function of a, so that training need not keep z. Otherwise (gelu, silu, mish, sin) it is a function of z.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from fastnn import _custom
from fastnn._checks.floats import Array
from fastnn._custom import CustomActivation
from fastnn.reference.arrays import Float64, elementwise
from fastnn.reference.elementary import cos, exp, sin
from fastnn.reference.gated import gelu, gelu_grad, mish, mish_grad, silu, silu_grad
from fastnn.reference.rectifiers import elu, elu_grad, leaky_relu, leaky_relu_grad, relu, relu_grad, selu, selu_grad
from fastnn.reference.sigmoids import sigmoid, sigmoid_grad, softplus, softplus_grad, tanh, tanh_grad
from fastnn.reference.softmax import softmax, softmax_backward

__all__ = ["ACTIVATIONS", "Activation"]
__dir__ = __all__.copy


@elementwise
def _identity(z: Float64) -> Float64:
    return z


@elementwise
def _one(a: Float64) -> Float64:
    return np.ones_like(a)


@dataclass(frozen=True)
class Activation:
    """An activation of the reference.

    Attributes
    ----------
    name : str
        The name that models take.
    value : callable
        Maps z to a.
    derivative : callable
        Maps a or z to da / dz, element by element; `uses` says which of the two.
    uses : {"output", "input"}
        Whether `derivative` takes a ("output") or z ("input").
    product : callable, optional
        Maps a and the gradient with respect to a to the gradient with respect to z. Only activations whose outputs depend
        on one another have it. Their `derivative` is the diagonal of the Jacobian.

    Examples
    --------
    >>> ACTIVATIONS["tanh"].slope(None, [0.5])
    array([0.75])
    """

    name: str
    value: Callable[[Any], Any]
    derivative: Callable[[Any], Any]
    uses: Literal["output", "input"] = "output"
    product: Callable[[Array, Array], Array] | None = None

    def slope(self, z: Any, a: Any) -> Any:
        """Return da / dz, element by element."""
        return self.derivative(a if self.uses == "output" else z)

    def backward(self, z: Array, a: Array, grad_a: Array) -> Array:
        """Return the gradient with respect to z, from the gradient with respect to a. All arrays are (rows, units)."""
        if self.product is not None:
            return self.product(a, grad_a)
        return np.asarray(grad_a * self.slope(z, a))


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
            Activation("softmax", softmax, sigmoid_grad, product=softmax_backward),
            Activation("selu", selu, selu_grad),
            Activation("mish", mish, mish_grad, uses="input"),
        )
    }
)
"""The activations by name, in the order of the kernels. "exp" and "softmax" are only for the output layer."""


def named(activation: str | Activation | CustomActivation, argument: str = "activation") -> Activation:
    """Return the activation of that name, or a given activation unchanged."""
    if isinstance(activation, Activation):
        return activation
    if isinstance(activation, str) and activation in _custom.ACTIVATIONS:
        activation = _custom.ACTIVATIONS[activation]
    if isinstance(activation, CustomActivation):
        return Activation(activation.name, activation.value, activation.slope, uses="input")
    if not isinstance(activation, str):
        raise TypeError(f"{argument}: expected a name, got {activation!r} of type {type(activation).__name__}")
    if activation not in ACTIVATIONS:
        raise ValueError(f"{argument}: expected one of {', '.join(map(repr, ACTIVATIONS))}, got {activation!r}")
    return ACTIVATIONS[activation]
