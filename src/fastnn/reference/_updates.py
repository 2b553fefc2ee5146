"""The optimizers' formulas, each a function of optimizer, params, grads, state and this step's learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastnn.optimizers import SGD, AdaGrad, Adam, AdamW, RMSProp
from fastnn.reference._states import Arrays, State, new_moments

_Formula: TypeAlias = Callable[[Any, Arrays, Arrays, State, float], None]


def _descent(optimizer: SGD, params: Arrays, grads: Arrays, state: State, learning_rate: float) -> None:
    for param, grad in zip(params, grads, strict=True):
        param -= learning_rate * grad


def _momentum(optimizer: SGD, params: Arrays, grads: Arrays, state: State, learning_rate: float) -> None:
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


def _moments(state: State, name: str, params: Arrays) -> list[NDArray[Any]]:
    """Return the arrays that `state` keeps under `name`, zeros at first: one for each of `params`."""
    if name not in state:
        state[name] = new_moments(params)
    moments: list[NDArray[Any]] = state[name]
    return moments


FORMULAS: Mapping[str, _Formula] = MappingProxyType(
    {
        "sgd": _descent,
        "momentum": _momentum,
        "adagrad": _adagrad,
        "rmsprop": _rmsprop,
        "adam": _adam,
        "adamw": _adamw,
    }
)
"""By the name of the function that makes the update."""


def _sgd(optimizer: SGD, params: Arrays, grads: Arrays, state: State, learning_rate: float) -> None:
    formula = _descent if optimizer.momentum == 0.0 else _momentum
    formula(optimizer, params, grads, state, learning_rate)


UPDATES: Mapping[str, _Formula] = MappingProxyType(
    {SGD.name: _sgd, AdaGrad.name: _adagrad, RMSProp.name: _rmsprop, Adam.name: _adam, AdamW.name: _adamw}
)
"""By the optimizer's name: a function of optimizer, params, grads, state and this step's learning rate."""
