"""Optimizers: one update of a list of parameters, in place.

All definitions are PyTorch's. A state is a dict that starts empty; the first update fills it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn._scalars import real
from fastnn.optimizers import SGD, AdaGrad, Adam, AdamW, RMSProp
from fastnn.reference._arrays import Array

__all__ = ["UPDATES", "adam", "sgd"]

Arrays: TypeAlias = Sequence[Array]
State: TypeAlias = dict[str, Any]


def sgd(params: Arrays, grads: Sequence[ArrayLike], learning_rate: float) -> None:
    """Subtract learning_rate * gradient from every parameter, in place.

    Parameters
    ----------
    params : sequence of floating-point ndarrays
        Changed in place.
    grads : sequence of array-likes
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
    for param, grad in zip(params, _checked(params, grads), strict=True):
        param -= learning_rate * grad


def adam(
    params: Arrays,
    grads: Sequence[ArrayLike],
    state: State,
    learning_rate: float = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
) -> None:
    """Make one update of Adam, in place.

    Parameters
    ----------
    params : sequence of floating-point ndarrays
        Changed in place.
    grads : sequence of array-likes
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
    optimizer = Adam(learning_rate, beta_1, beta_2, epsilon)
    checked = _checked(params, grads)
    _check_state(params, state)
    _adam(optimizer, params, checked, state, learning_rate)


def _sgd(optimizer: SGD, params: Arrays, grads: Arrays, state: State, learning_rate: float) -> None:
    if optimizer.momentum == 0.0:
        sgd(params, grads, learning_rate)
        return
    velocities = _moments(state, "velocity", params)
    for param, grad, velocity in zip(params, grads, velocities, strict=True):
        velocity *= optimizer.momentum
        velocity += grad
        step = grad + optimizer.momentum * velocity if optimizer.nesterov else velocity
        param -= learning_rate * step


def _adagrad(optimizer: AdaGrad, params: Arrays, grads: Arrays, state: State, learning_rate: float) -> None:
    for param, grad, total in zip(params, grads, _moments(state, "sum", params), strict=True):
        total += grad**2
        param -= learning_rate * grad / (np.sqrt(total) + optimizer.epsilon)


def _rmsprop(optimizer: RMSProp, params: Arrays, grads: Arrays, state: State, learning_rate: float) -> None:
    for param, grad, v in zip(params, grads, _moments(state, "v", params), strict=True):
        v *= optimizer.decay
        v += (1.0 - optimizer.decay) * grad**2
        param -= learning_rate * grad / (np.sqrt(v) + optimizer.epsilon)


def _adam(optimizer: Adam | AdamW, params: Arrays, grads: Arrays, state: State, learning_rate: float) -> None:
    state["step"] = state.get("step", 0) + 1
    # The means start at zero: after t updates of a constant g, m is g * (1 - beta_1**t).
    correction_1 = 1.0 - optimizer.beta_1 ** state["step"]
    correction_2 = 1.0 - optimizer.beta_2 ** state["step"]
    ms, vs = _moments(state, "m", params), _moments(state, "v", params)
    for param, grad, m, v in zip(params, grads, ms, vs, strict=True):
        m *= optimizer.beta_1
        m += (1.0 - optimizer.beta_1) * grad
        v *= optimizer.beta_2
        v += (1.0 - optimizer.beta_2) * grad**2
        param -= learning_rate / correction_1 * m / (np.sqrt(v) / math.sqrt(correction_2) + optimizer.epsilon)


def _adamw(optimizer: AdamW, params: Arrays, grads: Arrays, state: State, learning_rate: float) -> None:
    for param in params:
        param *= 1.0 - learning_rate * optimizer.weight_decay
    _adam(optimizer, params, grads, state, learning_rate)


UPDATES: Mapping[str, Callable[[Any, Arrays, Arrays, State, float], None]] = MappingProxyType(
    {SGD.name: _sgd, AdaGrad.name: _adagrad, RMSProp.name: _rmsprop, Adam.name: _adam, AdamW.name: _adamw}
)
"""By the optimizer's name: a function of optimizer, params, grads, state and this step's learning rate."""


def _moments(state: State, name: str, params: Arrays) -> list[NDArray[Any]]:
    """Return the arrays that `state` keeps under `name`, zeros at first: one for each of `params`."""
    if name not in state:
        state[name] = [np.zeros_like(param) for param in params]
    moments: list[NDArray[Any]] = state[name]
    return moments


def _checked(params: Arrays, grads: Sequence[ArrayLike]) -> list[NDArray[Any]]:
    """Return the gradients as arrays, once nothing can fail any more after the first parameter has changed."""
    if len(params) != len(grads):
        raise ValueError(f"grads: got {len(grads)} arrays, expected {len(params)}, one for each of params")
    arrays = [np.asarray(grad) for grad in grads]
    for index, (param, grad) in enumerate(zip(params, arrays, strict=True)):
        if not isinstance(param, np.ndarray) or param.dtype.kind != "f":
            kind = param.dtype if isinstance(param, np.ndarray) else type(param).__name__
            raise TypeError(f"params[{index}]: got {kind}, expected a floating-point ndarray to change in place")
        if not param.flags.writeable:
            raise ValueError(f"params[{index}]: got a read-only array, expected one to change in place")
        if grad.dtype.kind not in "fiu":
            raise TypeError(f"grads[{index}]: got dtype {grad.dtype}, expected real numbers")
        if grad.shape != param.shape:
            raise ValueError(f"grads[{index}]: got shape {grad.shape}, expected {param.shape}")
    return arrays


def _check_state(params: Arrays, state: State) -> None:
    if not isinstance(state, dict):
        raise TypeError(f"state: got {type(state).__name__}, expected a dict, empty before the first update")
    shapes = [param.shape for param in params]
    for name in ("m", "v"):
        if state and [np.shape(moment) for moment in state.get(name, [])] != shapes:
            raise ValueError(f"state: its {name!r} does not fit params, expected an empty dict or that of these params")
