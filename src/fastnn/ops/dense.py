"""The dense layer: activation(x @ w + b) in one pass, and its gradients."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._checks.floats import Array, check_shape
from fastnn._checks.scalars import thread_count
from fastnn._engine import core as _core
from fastnn.ops._arrays import check_out, deliver, fits_kernels, float_types, real_array
from fastnn.ops._dispatch import array_function, dispatched, overriding
from fastnn.reference.activations import ACTIVATIONS

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["linear", "linear_grad"]
__dir__ = __all__.copy


def linear(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    activation: str = "identity",
    *,
    out: Array | None = None,
    n_threads: int | None = None,
) -> Array:
    """Return activation(x @ w + b), with the activation applied while the sums are in the cache.

    Parameters
    ----------
    x : array-like of real numbers, shape (..., n_in)
        Rows of inputs, or one row.
    w : array-like of real numbers, shape (n_in, n_out) or (..., n_in, n_out)
        Weights, or a stack of weight matrices. Leading dimensions broadcast as in ``x @ w``.
    b : array-like of real numbers, shape (n_out,) or (..., n_out), optional
        Biases, or one row of biases per matrix of a stack: (1, n_out) is a stack of one, and gives (1, n, n_out).
    activation : str, default "identity"
        A name in `fastnn.reference.ACTIVATIONS`. "softmax" works along the last axis.
    out : ndarray of floating-point numbers, shape (..., n_out), optional
        The array that receives the result. It may overlap the arguments.
    n_threads : int, optional
        The number of threads, by default as many as the work justifies. It does not change the result.

    Returns
    -------
    ndarray, shape (..., n_out)
        Its type is the one to which NumPy promotes `x`, `w` and `b`: float32 if all are float32 (float16 is computed in
        float32), float64 for integers. `out` if given.

    Raises
    ------
    TypeError
        If an argument does not consist of real numbers, `out` is not an array of floating-point numbers, or `activation`
        is not a string.
    ValueError
        If shapes do not fit, `out` is read-only, no activation has that name, or `n_threads` is out of range.

    Examples
    --------
    >>> linear([[1.0, 2.0]], [[3.0], [-4.0]], [1.0], "relu")
    array([[0.]])
    """
    # The common case, without the checks and conversions below.
    result: Array | None = _core.linear(x, w, b, activation, out, n_threads)
    if result is not None:
        return result
    relevant = overriding((x, w, b, out))
    if relevant:
        overridden: Array = dispatched(linear, relevant, (x, w, b, activation), {"out": out, "n_threads": n_threads})
        return overridden
    return _linear(x, w, b, activation, out=out, n_threads=n_threads)


def _linear(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    activation: str = "identity",
    *,
    out: Array | None = None,
    n_threads: int | None = None,
) -> Array:
    """Return the result of `linear` for arguments that need conversions or loops over leading dimensions."""
    name, threads = _checked_activation(activation), thread_count(n_threads) or 0
    inputs, weights = real_array("x", x), real_array("w", w)
    _check_layer(inputs, weights)
    n_out = weights.shape[-1]
    biases = np.zeros(n_out, weights.dtype) if b is None else real_array("b", b)
    if biases.ndim == 0 or biases.shape[-1] != n_out:
        raise ValueError(f"b: expected shape (..., {n_out}), as w has shape {weights.shape}, got {biases.shape}")
    compute, result_type = float_types(inputs, weights, biases)
    try:
        loop = np.broadcast_shapes(inputs.shape[:-2], weights.shape[:-2], biases.shape[:-1])
    except ValueError:
        shapes = f"{inputs.shape}, {weights.shape} and {biases.shape}"
        raise ValueError(f"x, w, b: expected leading dimensions that broadcast together, got shapes {shapes}") from None
    shape = (*loop, *inputs.shape[-2:-1], n_out)
    out = check_out(out, shape)
    arrays = [a if _core.readable(a) else a.astype(compute) for a in (inputs, weights, biases)]
    in_place = out is not None and fits_kernels(out, compute) and not any(np.may_share_memory(out, a) for a in arrays)
    result = out if out is not None and in_place else np.empty(shape, compute)
    if weights.ndim == 2 and biases.ndim == 1:
        _core.linear_into(result, _as_rows(arrays[0]), arrays[1], arrays[2], name, threads)
    else:
        cores = inputs.shape[-2:], weights.shape[-2:], (n_out,)
        stacks = [np.broadcast_to(a, (*loop, *core)) for a, core in zip(arrays, cores, strict=True)]
        for i in np.ndindex(loop):
            x_i, w_i, b_i = (stack[i] for stack in stacks)
            _core.linear_into(result[i], x_i, w_i, b_i, name, threads)
    delivered: Array = result if in_place else deliver(result, result_type, out)
    return delivered


# Set here rather than by `array_function`, whose call would take as long as a small layer.
linear._implementation = _linear  # type: ignore[attr-defined]


@array_function
def linear_grad(x: ArrayLike, w: ArrayLike, a: ArrayLike, grad_a: ArrayLike, activation: str) -> tuple[Array, Array, Array]:
    """Return the gradients of a loss with respect to x, w and b of `linear`.

    With delta = grad_a * activation'(a), they are delta @ w.T, x.T @ delta, and the sums of delta over rows. For "softmax",
    whose derivative is a matrix, delta = a * (grad_a - sum(grad_a * a)) in each row.

    Parameters
    ----------
    x : array-like of real numbers, shape (..., n_in)
        The layer's inputs.
    w : array-like of real numbers, shape (n_in, n_out)
        Weights.
    a : array-like of real numbers, shape (..., n_out)
        The layer's outputs, linear(x, w, b, activation).
    grad_a : array-like of real numbers, the shape of `a`
        The gradient of the loss with respect to them.
    activation : str
        The name of an activation whose derivative follows from its output: ``fastnn.reference.ACTIVATIONS[name].uses``
        is "output".

    Returns
    -------
    grad_x : ndarray, the shape of `x`
    grad_w : ndarray, shape (n_in, n_out)
    grad_b : ndarray, shape (n_out,)
        The gradients, all of the type to which NumPy promotes the arguments, as in `linear`.

    Raises
    ------
    TypeError
        If an argument does not consist of real numbers, or `activation` is not a string.
    ValueError
        If shapes do not fit, or if the activation's derivative does not follow from its output.

    Examples
    --------
    >>> grad_x, grad_w, grad_b = linear_grad([[1.0, 2.0]], [[3.0], [-4.0]], [[5.0]], [[1.0]], "relu")
    >>> grad_x
    array([[ 3., -4.]])
    >>> grad_w.T, grad_b
    (array([[1., 2.]]), array([1.]))
    """
    quick: tuple[Array, Array, Array] | None = _core.linear_grad(x, w, a, grad_a, activation)
    if quick is not None:
        return quick
    name = _checked_activation(activation)
    allowed = [entry for entry in _core.ACTIVATIONS if ACTIVATIONS[entry].uses == "output"]
    if name not in allowed:
        raise ValueError(
            f"activation: expected one of {', '.join(map(repr, allowed))}, "
            f"got {name!r}, whose derivative does not follow from its output"
        )
    named = {"x": x, "w": w, "a": a, "grad_a": grad_a}
    given = [real_array(argument, values) for argument, values in named.items()]
    compute, result_type = float_types(*given)
    _check_layer(given[0], given[1], stacked=False)
    check_shape("a", given[2], (*given[0].shape[:-1], given[1].shape[1]))
    check_shape("grad_a", given[3], given[2].shape)

    inputs, weights = (array if _core.readable(array) else array.astype(compute) for array in given[:2])
    outputs, delta = (np.require(array, compute, ["C", "A"]) for array in given[2:])
    gradients = _core.layer_gradients(_as_rows(inputs), weights, _as_rows(outputs), _as_rows(delta), name)
    x_gradient, w_gradient, b_gradient = (gradient.astype(result_type, copy=False) for gradient in gradients)
    return x_gradient.reshape(inputs.shape), w_gradient, b_gradient


def _as_rows(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array (..., n) as (rows, n), and a single row unchanged."""
    return array if array.ndim <= 2 else array.reshape(math.prod(array.shape[:-1]), array.shape[-1])


def _checked_activation(activation: str) -> str:
    expected = f"expected one of {', '.join(map(repr, _core.ACTIVATIONS))}"
    if not isinstance(activation, str):
        raise TypeError(f"activation: {expected}, got {activation!r} of type {type(activation).__name__}")
    if activation not in _core.ACTIVATIONS:
        raise ValueError(f"activation: {expected}, got {activation!r}")
    return activation


def _check_layer(x: NDArray[Any], w: NDArray[Any], *, stacked: bool = True) -> None:
    if w.ndim < 2 or (w.ndim > 2 and not stacked):
        raise ValueError(f"w: expected shape {'(..., n_in, n_out)' if stacked else '(n_in, n_out)'}, got {w.shape}")
    if x.ndim == 0 or x.shape[-1] != w.shape[-2]:
        raise ValueError(f"x: expected shape (..., {w.shape[-2]}), as w has shape {w.shape}, got {x.shape}")
