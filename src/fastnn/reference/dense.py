"""The dense layer: activation(x @ w + b), and its gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastnn._checks.floats import Array, check_shape, float_type
from fastnn._checks.masks import unmasked
from fastnn._checks.scalars import integer
from fastnn.reference.activations import ACTIVATIONS, Activation, named

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["linear", "linear_grad"]
__dir__ = __all__.copy


def linear(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    activation: str | Activation = "identity",
    *,
    out: Array | None = None,
    n_threads: int | None = None,
) -> Array:
    """Return activation(x @ w + b).

    Parameters
    ----------
    x : array-like, shape (..., n_in)
        Rows of inputs, or one row.
    w : array-like, shape (n_in, n_out) or (..., n_in, n_out)
        Weights, or a stack of them: leading dimensions broadcast as in ``x @ w``.
    b : array-like, shape (n_out,) or (..., n_out), optional
        Biases, or a stack of them.
    activation : str, default "identity"
        A name in `ACTIVATIONS`.
    out : ndarray, optional
        The array that receives the result.
    n_threads : int, optional
        Has no effect. The parameter exists because the compiled function has it.

    Returns
    -------
    ndarray, shape (..., n_out)
        The result, in float32 if `x`, `w` and `b` are all float32, and otherwise in float64. `out` if given.

    Raises
    ------
    ValueError
        If shapes do not fit, or no activation has that name.

    Examples
    --------
    >>> linear([[1.0, 2.0]], [[3.0], [-4.0]], [1.0], "relu")
    array([[0.]])
    """
    if n_threads is not None:
        integer("n_threads", n_threads, low=1)
    function = named(activation)
    given = [unmasked("x", x), unmasked("w", w)] + ([] if b is None else [unmasked("b", b)])
    inputs, weights, *bias = (array.astype(float_type(*given), copy=False) for array in given)
    _check_layer(inputs, weights)
    z = inputs @ weights
    if bias:
        if bias[0].shape[-1:] != weights.shape[-1:]:
            raise ValueError(f"b: expected shape (..., {weights.shape[-1]}), got {bias[0].shape}")
        rows = inputs.ndim > 1 and bias[0].ndim > 1  # one bias of the stack serves all rows
        z = z + (bias[0][..., None, :] if rows else bias[0])
    a: Array = np.asarray(function.value(z))
    if out is None:
        return a
    check_shape("out", out, a.shape)
    np.copyto(out, a, casting="same_kind")
    return out


def linear_grad(
    x: ArrayLike, w: ArrayLike, a: ArrayLike, grad_a: ArrayLike, activation: str | Activation
) -> tuple[Array, Array, Array]:
    """Return the gradients of a loss with respect to x, w and b of `linear`.

    With delta = grad_a * activation'(a), they are delta @ w.T, x.T @ delta, and the sums of delta over rows.

    Parameters
    ----------
    x : array-like, shape (..., n_in)
        The layer's inputs.
    w : array-like, shape (n_in, n_out)
        Weights.
    a : array-like, shape (..., n_out)
        The layer's outputs, linear(x, w, b, activation).
    grad_a : array-like, the shape of `a`
        The gradient of the loss with respect to them.
    activation : str
        The name of an activation whose derivative follows from its output.

    Returns
    -------
    grad_x : ndarray, the shape of `x`
    grad_w : ndarray, shape (n_in, n_out)
    grad_b : ndarray, shape (n_out,)

    Raises
    ------
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
    function = named(activation)
    if function.uses != "output":
        allowed = ", ".join(repr(name) for name, entry in ACTIVATIONS.items() if entry.uses == "output")
        message = f"activation: expected one of {allowed}, got {function.name!r}"
        raise ValueError(f"{message}, whose derivative does not follow from its output")
    given = [unmasked(name, array) for name, array in (("x", x), ("w", w), ("a", a), ("grad_a", grad_a))]
    inputs, weights, outputs, grad_outputs = (array.astype(float_type(*given), copy=False) for array in given)
    _check_layer(inputs, weights)
    if weights.ndim > 2:
        raise ValueError(f"w: expected shape (n_in, n_out), got {weights.shape}")
    check_shape("a", outputs, (*inputs.shape[:-1], weights.shape[1]))
    check_shape("grad_a", grad_outputs, outputs.shape)
    delta = function.backward(outputs, outputs, grad_outputs)
    rows, delta_rows = (array.reshape(-1, array.shape[-1]) for array in (inputs, delta))
    return delta @ weights.T, rows.T @ delta_rows, delta_rows.sum(axis=0)


def _check_layer(x: Array, w: Array) -> None:
    if w.ndim < 2:
        raise ValueError(f"w: expected shape (..., n_in, n_out), got {w.shape}")
    if x.ndim == 0 or x.shape[-1] != w.shape[-2]:
        raise ValueError(f"x: expected shape (..., {w.shape[-2]}), got {x.shape}")
