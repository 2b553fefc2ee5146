"""Normalizations of a layer's units over each row, with trained gains and shifts, one per unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from fastnn._checks.floats import Array
from fastnn.reference.activations import Activation

__all__ = ["Normalization", "layer_norm", "layer_norm_grad", "rms_norm", "rms_norm_grad"]
__dir__ = __all__.copy

EPSILON = 1e-5
"""The number that is added to variances and mean squares."""


def layer_norm(x: Array, gains: Array, shifts: Array) -> Array:
    """Return rows with mean 0 and variance 1, times the gains, plus the shifts.

    J. L. Ba, J. R. Kiros and G. E. Hinton, "Layer normalization", 2016.

    Parameters
    ----------
    x : ndarray, shape (n, units)
        Rows of units.
    gains, shifts : ndarray, shape (units,)
        The factor and the summand of each unit.

    Examples
    --------
    >>> layer_norm(np.array([[1.0, 3.0]]), np.array([1.0, 2.0]), np.array([0.0, 0.5])).round(3)
    array([[-1. ,  2.5]])
    """
    return _centered(x) * gains + shifts


def layer_norm_grad(x: Array, gains: Array, grad: Array) -> tuple[Array, Array, Array]:
    """Return the gradients with respect to x, gains and shifts, from the gradient (n, units) with respect to the outputs.

    Examples
    --------
    >>> x = np.array([[1.0, 3.0, 2.0]])
    >>> grad_x, grad_gains, grad_shifts = layer_norm_grad(x, np.ones(3), np.array([[1.0, 0.0, 0.0]]))
    >>> grad_x.round(3), grad_gains.round(3), grad_shifts
    (array([[ 0.204,  0.204, -0.408]]), array([-1.225,  0.   ,  0.   ]), array([1., 0., 0.]))
    """
    change = _matrix_product(_centered(x), grad * gains, _factors(x - _mean(x)))
    return change - _mean(change), np.sum(grad * _centered(x), axis=0), np.sum(grad, axis=0)


def rms_norm(x: Array, gains: Array) -> Array:
    """Return rows with mean square 1, times the gains.

    B. Zhang and R. Sennrich, "Root mean square layer normalization", NeurIPS 2019.

    Examples
    --------
    >>> rms_norm(np.array([[1.0, 7.0]]), np.array([1.0, 2.0])).round(3)
    array([[0.2, 2.8]])
    """
    return x * _factors(x) * gains


def rms_norm_grad(x: Array, gains: Array, grad: Array) -> tuple[Array, Array]:
    """Return the gradients with respect to x and gains, from the gradient (n, units) with respect to the outputs.

    Examples
    --------
    >>> grad_x, grad_gains = rms_norm_grad(np.array([[3.0, 4.0]]), np.ones(2), np.array([[1.0, 0.0]]))
    >>> grad_x.round(3), grad_gains.round(3)
    (array([[ 0.181, -0.136]]), array([0.849, 0.   ]))
    """
    unit = x * _factors(x)
    return _matrix_product(unit, grad * gains, _factors(x)), np.sum(grad * unit, axis=0)


def _mean(x: Array) -> Array:
    """Return the mean of each row, (n, 1)."""
    result: Array = np.sum(x, axis=1).reshape(-1, 1) / x.shape[1]
    return result


def _factors(x: Array) -> Array:
    """Return the factors (n, 1) that give rows the mean square 1."""
    return np.asarray(1.0 / np.sqrt(_mean(x * x) + x.dtype.type(EPSILON)))


def _centered(x: Array) -> Array:
    centered = x - _mean(x)
    return centered * _factors(centered)


def _matrix_product(unit: Array, grad: Array, factors: Array) -> Array:
    """Return grad times the derivative of the normalized units, which is the matrix factor * (I - unit unit^T / units)."""
    return factors * (grad - unit * _mean(grad * unit))


@dataclass(frozen=True, eq=False)
class Normalization:
    """The normalization of a layer.

    Attributes
    ----------
    name : str
        "layer_norm" or "rms_norm".
    gains, shifts : ndarray, shape (units,)
        The parameters. Only "layer_norm" has shifts.
    place : {"before", "after"}
        Whether the inputs or the outputs of the activation are normalized.

    Examples
    --------
    >>> Normalization("rms_norm", np.ones(2)).value(np.array([[1.0, 7.0]])).round(3)
    array([[0.2, 1.4]])
    """

    name: str
    gains: Array
    shifts: Array | None = None
    place: str = "before"

    def value(self, x: Array) -> Array:
        """Return the outputs for rows of units."""
        return layer_norm(x, self.gains, self.shifts) if self.shifts is not None else rms_norm(x, self.gains)

    def backward(self, x: Array, grad: Array) -> tuple[Array, ...]:
        """Return the gradients with respect to x, the gains, and the shifts if there are any."""
        return (rms_norm_grad if self.shifts is None else layer_norm_grad)(x, self.gains, grad)


@dataclass(frozen=True)
class Normalized(Activation):
    """An activation with a normalization before or after it.

    Attributes
    ----------
    activation : Activation
        The activation itself.
    normalization : Normalization
        The normalization.
    """

    activation: Any = None
    normalization: Any = None

    def backward(self, z: Array, a: Array, grad_a: Array) -> Array:
        """Return the gradient with respect to z, from the gradient with respect to a."""
        return self.gradients(z, grad_a)[0]

    def gradients(self, z: Array, grad_a: Array) -> tuple[Array, tuple[Array, ...], Array | None]:
        """Return the gradients with respect to z, to gains and shifts, and to the activation's parameters if it has any."""
        activation, normalization = self.activation, self.normalization
        first = z if normalization.place == "after" else normalization.value(z)
        middle = activation.value(first)
        of_normalization: tuple[Array, ...] = ()
        if normalization.place == "after":
            grad_a, *of_normalization = normalization.backward(middle, grad_a)
        of_activation = activation.gradient(first, grad_a) if hasattr(activation, "gradient") else None
        grad = activation.backward(first, middle, grad_a)
        if normalization.place == "before":
            grad, *of_normalization = normalization.backward(z, grad)
        return grad, tuple(of_normalization), of_activation


def normalized(activation: Activation, normalization: Normalization) -> Normalized:
    """Return an activation with a normalization before or after it."""
    first, second = activation.value, normalization.value
    if normalization.place == "before":
        first, second = second, first
    return Normalized(
        activation.name,
        lambda z: second(first(z)),
        activation.derivative,
        activation=activation,
        normalization=normalization,
    )


NORMALIZATIONS: Mapping[str, tuple[str, ...]] = MappingProxyType({"layer_norm": ("gains", "shifts"), "rms_norm": ("gains",)})
"""The normalizations by name, in the order of the kernels: the kinds of their parameters."""
