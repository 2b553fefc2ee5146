"""Optimizers: one update of a list of parameters, in place, on the compiled kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import reference
from fastnn._checks.floats import Array
from fastnn._checks.scalars import real
from fastnn._checks.updates import Arrays, State, apart, check_state, checked_grads, checked_params, new_moments
from fastnn._engine import core as _core
from fastnn._engine.arrays import numbers_of
from fastnn._engine.optimizers import native_optimizer
from fastnn.ops._arrays import fits_kernels
from fastnn.ops._dispatch import array_list_function
from fastnn.optimizers import SGD, AdaGrad, Adam, AdamW, NAdam, Optimizer, RMSProp
from fastnn.reference.optimizers import STATES

__all__ = ["adagrad", "adam", "adamw", "momentum", "nadam", "rmsprop", "sgd"]
__dir__ = __all__.copy

_Function = TypeVar("_Function", bound=Callable[..., None])


def _optimizer(function: _Function) -> _Function:
    """Document a function as the reference's of the same name, and let the types of gradients override it."""
    if function.__doc__ is not None:  # it is with python -OO
        function.__doc__ = getattr(reference, function.__name__).__doc__
    return array_list_function(function)  # type: ignore[return-value]


@_optimizer
def sgd(params: Arrays, grads: Sequence[ArrayLike], learning_rate: float) -> None:
    """Subtract learning_rate * g."""
    _update(_rule("sgd"), params, grads, {}, learning_rate)


@_optimizer
def momentum(
    params: Arrays,
    grads: Sequence[ArrayLike],
    state: State,
    learning_rate: float = 0.01,
    momentum: float = 0.9,
    nesterov: bool = False,
) -> None:
    """Subtract learning_rate * v, where v = momentum * v + g, or learning_rate * (g + momentum * v) with `nesterov`."""
    _update(_rule("momentum", momentum, nesterov), params, grads, state, learning_rate)


@_optimizer
def adagrad(
    params: Arrays,
    grads: Sequence[ArrayLike],
    state: State,
    learning_rate: float = 0.01,
    epsilon: float = 1e-10,
) -> None:
    """Subtract learning_rate * g / (sqrt(s) + epsilon), where s = s + g**2."""
    _update(_rule("adagrad", epsilon), params, grads, state, learning_rate)


@_optimizer
def rmsprop(
    params: Arrays,
    grads: Sequence[ArrayLike],
    state: State,
    learning_rate: float = 0.01,
    decay: float = 0.99,
    epsilon: float = 1e-8,
) -> None:
    """Subtract learning_rate * g / (sqrt(v) + epsilon), where v = decay * v + (1 - decay) * g**2."""
    _update(_rule("rmsprop", decay, epsilon), params, grads, state, learning_rate)


@_optimizer
def adam(
    params: Arrays,
    grads: Sequence[ArrayLike],
    state: State,
    learning_rate: float = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
) -> None:
    """Subtract learning_rate * m' / (sqrt(v') + epsilon), where m' and v' are corrected means of g and g**2."""
    _update(_rule("adam", beta_1, beta_2, epsilon), params, grads, state, learning_rate)


@_optimizer
def adamw(
    params: Arrays,
    grads: Sequence[ArrayLike],
    state: State,
    learning_rate: float = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 0.01,
) -> None:
    """Multiply by 1 - learning_rate * weight_decay, then go on as `adam`."""
    _update(_rule("adamw", beta_1, beta_2, epsilon, weight_decay), params, grads, state, learning_rate)


@_optimizer
def nadam(
    params: Arrays,
    grads: Sequence[ArrayLike],
    state: State,
    learning_rate: float = 0.002,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
    momentum_decay: float = 0.004,
) -> None:
    """Step as `adam`, but along the mean of gradients as it will be after the next update."""
    _update(_rule("nadam", beta_1, beta_2, epsilon, momentum_decay), params, grads, state, learning_rate)


class _Rule(NamedTuple):
    """A function's name, the native update with its coefficients, and what its state holds."""

    name: str
    native: dict[str, Any]
    moments: tuple[str, ...]
    counts: bool


_KINDS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "momentum": SGD,
    "adagrad": AdaGrad,
    "rmsprop": RMSProp,
    "adam": Adam,
    "adamw": AdamW,
    "nadam": NAdam,
}


def _new_rule(name: str, *coefficients: Any) -> _Rule:
    native = native_optimizer(_KINDS[name](0.0, *coefficients))
    if name == "momentum" and native["moments"] == 0:  # of momentum 0, but the velocity is kept all the same
        native |= {"name": name, "moments": 1, "beta_1": 0.0}
    return _Rule(name, native, tuple(kept for kept in STATES[name] if kept != "step"), "step" in STATES[name])


# By type as well: False must not pass for a 0.0 that came before.
_known_rule = lru_cache(maxsize=128, typed=True)(_new_rule)


def _rule(name: str, *coefficients: Any) -> _Rule:
    try:
        return _known_rule(name, *coefficients)
    except TypeError:  # not a number, or not even hashable
        pass
    return _new_rule(name, *coefficients)


def _update(rule: _Rule, params: Arrays, grads: Sequence[ArrayLike], state: State, learning_rate: float) -> None:
    """Make one update: at once if all arrays are as the kernels take them, else once they have been looked at."""
    learning_rate = real("learning_rate", learning_rate, low=0.0)
    if type(state) is dict and len(state) == len(rule.moments) + rule.counts:
        moments = [state.get(name) for name in rule.moments]
        updates: Any = state.get("step") if rule.counts else 0
        counted = type(updates) is int and 0 <= updates < 2**40
        if counted and _core.update(rule.native, params, grads, moments, learning_rate, updates):
            if rule.counts:
                state["step"] = updates + 1
            return
    _update_any(rule, params, grads, state, learning_rate)


def _update_any(rule: _Rule, params: Arrays, grads: Sequence[ArrayLike], state: State, learning_rate: float) -> None:
    arrays = checked_params(params)
    gradients = checked_grads(grads, arrays, numbers_of)
    check_state(state, rule.name, STATES[rule.name], arrays)
    kept = {name: state[name] if state else new_moments(arrays) for name in rule.moments}
    moments = [[np.asarray(moment) for moment in kept[name]] for name in rule.moments]
    updates = state.get("step", 0)
    if not _core.update(rule.native, arrays, gradients, moments, learning_rate, updates):
        gradients = apart(gradients, [*arrays, *chain(*moments)])
        with np.errstate(all="ignore"):  # what doesn't fit a narrower type becomes infinite without a word
            for grad, *written in zip(gradients, arrays, *moments, strict=True):
                _update_one(rule, written, grad, learning_rate, updates)
    state.update(kept)
    if rule.counts:
        state["step"] = updates + 1


def _update_one(rule: _Rule, written: list[Array], grad: NDArray[Any], learning_rate: float, updates: int) -> None:
    """Update a parameter and its moments where they stand, or by way of contiguous copies."""
    compute = np.dtype(np.float32 if written[0].dtype.itemsize <= 4 else np.float64)
    buffers = [a if fits_kernels(a, compute) else np.array(a, dtype=compute, order="C") for a in written]
    gradient = np.require(grad, compute, ["C", "A"])
    _core.update(rule.native, buffers[:1], [gradient], [[moment] for moment in buffers[1:]], learning_rate, updates)
    for array, buffer in zip(written, buffers, strict=True):
        if buffer is not array:
            array[...] = buffer
