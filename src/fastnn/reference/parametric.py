"""Activations with trained parameters, one per unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from fastnn._checks.floats import Array
from fastnn.reference.activations import Activation

__all__ = [
    *("PARAMETRIC", "Parametric", "Prelu", "alphas_grad", "parametric", "parametric_grad", "prelu", "prelu_grad"),
    *("slopes_grad", "with_alphas", "with_slopes"),
]
__dir__ = __all__.copy


def prelu(z: Array, slopes: Array) -> Array:
    """Return z if z > 0, else slopes * z, with one slope per unit.

    K. He, X. Zhang, S. Ren and J. Sun, "Delving deep into rectifiers", 2015.

    Examples
    --------
    >>> prelu(np.array([[-2.0, -2.0]]), np.array([0.25, 0.5]))
    array([[-0.5, -1. ]])
    """
    return np.where(z > 0.0, z, slopes * z)


def prelu_grad(z: Array, slopes: Array) -> Array:
    """Return the derivative of `prelu` with respect to its input: 1 if z > 0, else slopes.

    Examples
    --------
    >>> prelu_grad(np.array([[-2.0, 2.0]]), np.array([0.25, 0.5]))
    array([[0.25, 1.  ]])
    """
    return np.where(z > 0.0, np.ones_like(z), slopes)


def slopes_grad(z: Array, grad_a: Array) -> Array:
    """Return the gradient with respect to the slopes of `prelu`, from the gradient (n, units) with respect to its outputs.

    Examples
    --------
    >>> slopes_grad(np.array([[-2.0, 2.0], [-1.0, 1.0]]), np.array([[1.0, 1.0], [3.0, 3.0]]))
    array([-5.,  0.])
    """
    result: Array = np.sum(grad_a * np.minimum(z, np.zeros_like(z)), axis=0)
    return result


@dataclass(frozen=True)
class Prelu(Activation):
    """The activation `prelu` with its slopes.

    Attributes
    ----------
    slopes : ndarray, shape (units,)

    Examples
    --------
    >>> with_slopes(np.array([0.25, 0.5])).value(np.array([[-2.0, -2.0]]))
    array([[-0.5, -1. ]])
    """

    slopes: Any = None

    def gradient(self, z: Array, grad_a: Array) -> Array:
        """Return the gradient with respect to the slopes, from the gradient with respect to a."""
        return slopes_grad(z, grad_a)


def with_slopes(slopes: Array) -> Prelu:
    """Return the activation "prelu" of a layer with these slopes.

    Examples
    --------
    >>> with_slopes(np.array([0.25])).slope(np.array([[-2.0], [2.0]]), None).T
    array([[0.25, 1.  ]])
    """
    return Prelu("prelu", lambda z: prelu(z, slopes), lambda z: prelu_grad(z, slopes), uses="input", slopes=slopes)


def parametric(z: Array, a: Array, alphas: Array) -> Array:
    """Return z + alphas * (a - z) for the outputs a of an activation: the activation in part, with one alpha per unit.

    D. Holzmüller, L. Grinsztajn and I. Steinwart, "Better by default: strong pre-tuned MLPs and boosted trees on tabular
    data", NeurIPS 2024.

    Examples
    --------
    >>> parametric(np.array([[-2.0, -2.0]]), np.array([[0.0, 0.0]]), np.array([1.0, 0.25]))
    array([[ 0. , -1.5]])
    """
    return z + alphas * (a - z)


def parametric_grad(slope: Array, alphas: Array) -> Array:
    """Return the derivative of `parametric` with respect to z, from the activation's.

    Examples
    --------
    >>> parametric_grad(np.array([[0.0, 0.0]]), np.array([1.0, 0.25]))
    array([[0.  , 0.75]])
    """
    return 1.0 + alphas * (slope - 1.0)


def alphas_grad(z: Array, a: Array, grad: Array) -> Array:
    """Return the gradient with respect to the alphas, from the gradient (n, units) with respect to the outputs.

    Examples
    --------
    >>> alphas_grad(np.array([[-2.0], [-1.0]]), np.array([[0.0], [0.0]]), np.array([[1.0], [3.0]]))
    array([5.])
    """
    result: Array = np.sum(grad * (a - z), axis=0)
    return result


@dataclass(frozen=True)
class Parametric(Activation):
    """An activation in part, with one alpha per unit; see `parametric`.

    Attributes
    ----------
    activation : Activation
        The activation itself.
    alphas : ndarray, shape (units,)

    Examples
    --------
    >>> from fastnn.reference import ACTIVATIONS
    >>> with_alphas(ACTIVATIONS["relu"], np.array([1.0, 0.25])).value(np.array([[-2.0, -2.0]]))
    array([[ 0. , -1.5]])
    """

    activation: Any = None
    alphas: Any = None

    def gradient(self, z: Array, grad_a: Array) -> Array:
        """Return the gradient with respect to the alphas, from the gradient with respect to the outputs."""
        return alphas_grad(z, self.activation.value(z), grad_a)


def with_alphas(activation: Activation, alphas: Array) -> Parametric:
    """Return a parametric activation.

    Examples
    --------
    >>> from fastnn.reference import ACTIVATIONS
    >>> with_alphas(ACTIVATIONS["relu"], np.array([0.25])).slope(np.array([[-2.0], [2.0]]), None).T
    array([[0.75, 1.  ]])
    """

    def value(z: Array) -> Array:
        return parametric(z, activation.value(z), alphas)

    def derivative(z: Array) -> Array:
        return parametric_grad(activation.slope(z, activation.value(z)), alphas)

    return Parametric(activation.name, value, derivative, uses="input", activation=activation, alphas=alphas)


PARAMETRIC: Mapping[str, tuple[str, Callable[[Array], Activation]]] = MappingProxyType({"prelu": ("slopes", with_slopes)})
"""The activations of networks alone, by name: the kind of their parameters, and a function that takes these."""

WithParameter = Prelu | Parametric
"""The classes of activations with a parameter per unit, whose gradient their method `gradient` returns."""
