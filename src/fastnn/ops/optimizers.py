"""Optimizers: one update of a list of parameters, in place, on the compiled kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn._backend import core as _core
from fastnn._native import native_optimizer
from fastnn._scalars import integer, real
from fastnn.ops._arrays import fits_kernels
from fastnn.optimizers import SGD, Adam
from fastnn.reference._arrays import Array
from fastnn.reference.optimizers import State, _check_state, _checked

__all__ = ["adam", "sgd"]


def sgd(params: Sequence[Array], grads: Sequence[ArrayLike], learning_rate: float) -> None:
    """Subtract learning_rate * gradient from every parameter, in place.

    Parameters
    ----------
    params : sequence of floating-point ndarrays
        Changed in place; any layout. C-contiguous float32 and float64 are the fast ones.
    grads : sequence of array-likes of real numbers
        One for each of `params`, of its shape.
    learning_rate : float
        >= 0.

    Raises
    ------
    TypeError, ValueError
        If `params` and `grads` don't fit together or can't be computed with. Nothing has changed then.

    Examples
    --------
    >>> w = np.array([1.0, 2.0])
    >>> sgd([w], [np.array([1.0, -1.0])], 0.5)
    >>> w
    array([0.5, 2.5])
    """
    learning_rate = real("learning_rate", learning_rate, low=0.0)
    rule = native_optimizer(SGD(learning_rate))
    for param, grad in zip(params, _checked(params, grads), strict=True):
        _update(rule, param, grad, [], learning_rate, 0)


def adam(
    params: Sequence[Array],
    grads: Sequence[ArrayLike],
    state: State,
    learning_rate: float = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
) -> None:
    """Make one update of Adam, in place.

    At update t = 1, 2, ...: m = beta_1 * m + (1 - beta_1) * g, v = beta_2 * v + (1 - beta_2) * g**2, then
    w = w - learning_rate * m' / (sqrt(v') + epsilon) with m' = m / (1 - beta_1**t) and v' = v / (1 - beta_2**t).

    Parameters
    ----------
    params : sequence of floating-point ndarrays
        Changed in place; any layout. C-contiguous float32 and float64 are the fast ones.
    grads : sequence of array-likes of real numbers
        One for each of `params`, of its shape.
    state : dict
        Empty before the first update; afterwards "step", the number of updates, and "m" and "v", lists of the running
        means of gradients and of their squares. Changed in place.
    learning_rate, beta_1, beta_2, epsilon : float
        As in `fastnn.optimizers.Adam`.

    Raises
    ------
    TypeError, ValueError
        If `params`, `grads` and `state` don't fit together or can't be computed with. Nothing has changed then.

    References
    ----------
    D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.

    Examples
    --------
    >>> w, state = np.array([1.0, 2.0]), {}
    >>> adam([w], [np.array([3.0, -4.0])], state, learning_rate=0.5)
    >>> w.round(6), state["step"]
    (array([0.5, 2.5]), 1)
    """
    learning_rate = real("learning_rate", learning_rate, low=0.0)
    rule = native_optimizer(Adam(learning_rate, beta_1, beta_2, epsilon))
    checked = _checked(params, grads)
    _check_state(params, state)
    for name in ("m", "v"):
        moments = state.get(name, [])
        if not all(isinstance(a, np.ndarray) and a.dtype.kind == "f" and a.flags.writeable for a in moments):
            raise TypeError(f"state: its {name!r} must be floating-point ndarrays that can be written to")
        state[name] = moments or [np.zeros(param.shape, _compute_type(param)) for param in params]
    updates = integer("state['step']", state.get("step", 0), low=0)
    for param, grad, m, v in zip(params, checked, state["m"], state["v"], strict=True):
        _update(rule, param, grad, [m, v], learning_rate, updates)
    state["step"] = updates + 1


def _compute_type(param: Array) -> np.dtype[Any]:
    return np.dtype(np.float32 if param.dtype.itemsize <= 4 else np.float64)


def _update(
    rule: dict[str, Any], param: Array, grad: NDArray[Any], moments: list[Array], learning_rate: float, updates: int
) -> None:
    """Update a parameter and its moments where they stand, or by way of contiguous copies."""
    compute = _compute_type(param)
    changed = [param, *moments]
    buffers = [a if fits_kernels(a, compute) else np.array(a, dtype=compute, order="C") for a in changed]
    # The kernel asks for a writable gradient, and must not see it change while it works.
    usable = fits_kernels(grad, compute) and not any(np.may_share_memory(grad, buffer) for buffer in buffers)
    gradient = grad if usable else np.array(grad, dtype=compute, order="C")
    m, v = buffers[1:] if moments else (None, None)
    _core.update(rule, buffers[0], gradient, m, v, learning_rate, updates)
    for array, buffer in zip(changed, buffers, strict=True):
        if buffer is not array:
            array[...] = buffer
