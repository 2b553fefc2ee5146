"""Activations and their slopes, element by element, on the compiled kernels.

A slope is a function of the activation's output where that determines it, and else (gelu, silu) of its input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn._backend import core as _core
from fastnn.ops._arrays import check_out, deliver, fits_kernels, float_types, real_array
from fastnn.reference._arrays import Array

__all__ = [
    "elu",
    "elu_grad",
    "gelu",
    "gelu_grad",
    "leaky_relu",
    "leaky_relu_grad",
    "relu",
    "relu_grad",
    "sigmoid",
    "sigmoid_grad",
    "silu",
    "silu_grad",
    "softplus",
    "softplus_grad",
    "tanh",
    "tanh_grad",
]


class _Elementwise(Protocol):
    __doc__: str | None

    def __call__(self, x: ArrayLike, /, out: Array | None = None) -> Any: ...


_Function = TypeVar("_Function", bound=_Elementwise)

_SECTIONS = """
    Parameters
    ----------
    x : array-like of real numbers
        Any shape, layout and byte order.
    out : ndarray of floating-point numbers, optional
        Where to write the result: of a shape that `x` broadcasts to. It may overlap `x`.

    Returns
    -------
    ndarray, or scalar if `x` is one
        float16 and float32 as given (float16 is computed in float32), float64 otherwise; `out` if given.

    Raises
    ------
    TypeError
        If `x` is not made of real numbers, or `out` not of floating-point numbers.
    ValueError
        If `out` has the wrong shape or is read-only.

    Examples
    --------"""


def _documented(function: _Function) -> _Function:
    """Put the sections that all functions share between the summary and the examples."""
    if function.__doc__ is not None:  # it is with python -OO
        summary, _, examples = function.__doc__.partition("    >>>")
        function.__doc__ = f"{summary.rstrip()}\n{_SECTIONS}\n    >>>{examples}"
    return function


def _values(activation: str, x: ArrayLike, out: Array | None) -> Any:
    given = real_array("x", x)
    out = check_out(out, given.shape, broadcast=True)
    compute, result = float_types(given)
    if out is not None and fits_kernels(out, compute):
        np.copyto(out, given)
        _core.activate(activation, out)
        return out
    values = np.array(given, dtype=compute, order="A")
    _core.activate(activation, _rows(values))
    return deliver(values, result, out)


def _slopes_of_outputs(activation: str, a: ArrayLike, out: Array | None) -> Any:
    def fill(outputs: Array, slopes: Array) -> None:
        slopes.fill(1.0)
        _core.times_slope(activation, slopes, outputs)

    return _slopes(fill, a, out)


def _slopes_of_inputs(activation: str, z: ArrayLike, out: Array | None) -> Any:
    def fill(inputs: Array, slopes: Array) -> None:
        _core.activation_slope(activation, inputs, slopes)

    return _slopes(fill, z, out)


def _slopes(fill: Callable[[Array, Array], None], x: ArrayLike, out: Array | None) -> Any:
    given = real_array("x", x)
    out = check_out(out, given.shape, broadcast=True)
    compute, result = float_types(given)
    copy = np.array(given, dtype=compute, order="A")  # which the kernel may overwrite
    slopes = np.empty_like(copy)
    fill(_rows(copy), _rows(slopes))
    return deliver(slopes, result, out)


def _rows(array: Array) -> NDArray[Any]:
    """Return a contiguous array as a C-contiguous one; the order of elements is no matter here."""
    return array if array.flags.c_contiguous else array.T


@_documented
def sigmoid(x: ArrayLike, /, out: Array | None = None) -> Any:
    """Return the logistic function, 1 / (1 + exp(-x)), which never overflows here.

    >>> sigmoid([0.0, -1000.0])
    array([0.5, 0. ])
    """
    return _values("sigmoid", x, out)


@_documented
def sigmoid_grad(x: ArrayLike, /, out: Array | None = None) -> Any:
    """Return the slope of `sigmoid` from its output: x * (1 - x).

    >>> sigmoid_grad([0.5, 1.0])
    array([0.25, 0.  ])
    """
    return _slopes_of_outputs("sigmoid", x, out)


@_documented
def tanh(x: ArrayLike, /, out: Array | None = None) -> Any:
    """Return the hyperbolic tangent, (exp(x) - exp(-x)) / (exp(x) + exp(-x)).

    >>> tanh([0.0, 1000.0])
    array([0., 1.])
    """
    return _values("tanh", x, out)


@_documented
def tanh_grad(x: ArrayLike, /, out: Array | None = None) -> Any:
    """Return the slope of `tanh` from its output: 1 - x**2.

    >>> tanh_grad([0.5, 1.0])
    array([0.75, 0.  ])
    """
    return _slopes_of_outputs("tanh", x, out)


@_documented
def relu(x: ArrayLike, /, out: Array | None = None) -> Any:
    """Return the rectified linear unit, max(x, 0).

    >>> relu([-1.0, 2.0])
    array([0., 2.])
    """
    return _values("relu", x, out)


@_documented
def relu_grad(x: ArrayLike, /, out: Array | None = None) -> Any:
    """Return the slope of `relu` from its output: 1 if x > 0, else 0.

    >>> relu_grad([0.0, 2.0])
    array([0., 1.])
    """
    return _slopes_of_outputs("relu", x, out)


@_documented
def leaky_relu(x: ArrayLike, /, out: Array | None = None) -> Any:
    """Return x if x > 0, else 0.01 * x.

    >>> leaky_relu([-1.0, 2.0])
    array([-0.01,  2.  ])
    """
    return _values("leaky_relu", x, out)


@_documented
def leaky_relu_grad(x: ArrayLike, /, out: Array | None = None) -> Any:
    """Return the slope of `leaky_relu` from its output: 1 if x > 0, else 0.01.

    >>> leaky_relu_grad([-0.01, 2.0])
    array([0.01, 1.  ])
    """
    return _slopes_of_outputs("leaky_relu", x, out)


@_documented
def elu(x: ArrayLike, /, out: Array | None = None) -> Any:
    """Return the exponential linear unit, x if x > 0, else exp(x) - 1 (Clevert et al. 2016, arXiv:1511.07289).

    >>> elu([0.0, 2.0])
    array([0., 2.])
    """
    return _values("elu", x, out)


@_documented
def elu_grad(x: ArrayLike, /, out: Array | None = None) -> Any:
    """Return the slope of `elu` from its output: 1 if x > 0, else x + 1.

    >>> elu_grad([-0.75, 2.0])
    array([0.25, 1.  ])
    """
    return _slopes_of_outputs("elu", x, out)


@_documented
def gelu(x: ArrayLike, /, out: Array | None = None) -> Any:
    """Return x times the normal distribution function at x, exactly (Hendrycks & Gimpel 2016, arXiv:1606.08415).

    That is x / 2 * (1 + erf(x / sqrt(2))), not its approximation by tanh.

    >>> gelu([0.0, 50.0])
    array([ 0., 50.])
    """
    return _values("gelu", x, out)


@_documented
def gelu_grad(x: ArrayLike, /, out: Array | None = None) -> Any:
    """Return the slope of `gelu` from its input: the normal distribution function plus x times its density.

    >>> gelu_grad([0.0, 50.0])
    array([0.5, 1. ])
    """
    return _slopes_of_inputs("gelu", x, out)


@_documented
def silu(x: ArrayLike, /, out: Array | None = None) -> Any:
    """Return x / (1 + exp(-x)), also called swish (Elfwing et al. 2018, arXiv:1702.03118).

    >>> silu([0.0, 1000.0])
    array([   0., 1000.])
    """
    return _values("silu", x, out)


@_documented
def silu_grad(x: ArrayLike, /, out: Array | None = None) -> Any:
    """Return the slope of `silu` from its input: s * (1 + x * (1 - s)) with s = sigmoid(x).

    >>> silu_grad([0.0, 1000.0])
    array([0.5, 1. ])
    """
    return _slopes_of_inputs("silu", x, out)


@_documented
def softplus(x: ArrayLike, /, out: Array | None = None) -> Any:
    """Return log(1 + exp(x)), which never overflows here.

    >>> softplus([-1000.0, 1000.0])
    array([   0., 1000.])
    """
    return _values("softplus", x, out)


@_documented
def softplus_grad(x: ArrayLike, /, out: Array | None = None) -> Any:
    """Return the slope of `softplus` from its output: 1 - exp(-x).

    >>> softplus_grad([0.0, 1000.0])
    array([0., 1.])
    """
    return _slopes_of_outputs("softplus", x, out)
