"""Activations with trained parameters, one per unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from fastnn._checks.floats import Array
from fastnn.reference.activations import Activation

__all__ = ["PARAMETRIC", "Prelu", "prelu", "prelu_grad", "slopes_grad", "with_slopes"]
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


PARAMETRIC: Mapping[str, tuple[str, Callable[[Array], Activation]]] = MappingProxyType({"prelu": ("slopes", with_slopes)})
"""The activations of networks alone, by name: the kind of their parameters, and a function that takes these."""
