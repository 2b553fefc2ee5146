"""Optimizers: one update of a list of parameters, in place, on the compiled kernels.

They have the names, parameters and documentation of the reference's functions.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import lru_cache, update_wrapper
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from fastnn import reference
from fastnn._checks.floats import Array
from fastnn._checks.scalars import real
from fastnn._checks.updates import Arrays, State, apart, check_state, checked_grads, checked_params, new_moments
from fastnn._engine import core as _core
from fastnn._engine.arrays import numbers_of
from fastnn._engine.optimizers import native_optimizer
from fastnn.ops._arrays import fits_kernels
from fastnn.ops._dispatch import array_list_function
from fastnn.ops._signatures import same_parameters
from fastnn.optimizers import OPTIMIZERS, SGD
from fastnn.reference.optimizers import STATES

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["adagrad", "adam", "adamw", "lion", "momentum", "nadam", "rmsprop", "sgd"]
__dir__ = __all__.copy

_Function = TypeVar("_Function", bound=Callable[..., None])


class _Rule(NamedTuple):
    """The name of a function, its native update with the coefficients, and the contents of its state."""

    name: str
    native: dict[str, Any]
    moments: tuple[str, ...]
    counts: bool


def _new_rule(name: str, *coefficients: Any) -> _Rule:
    """Return the rule of a function. `coefficients` are its arguments after the learning rate, in order."""
    native = native_optimizer(OPTIMIZERS.get(name, SGD)(0.0, *coefficients))
    if name == "momentum" and native["moments"] == 0:  # even with momentum 0, the state has a velocity
        native |= {"name": name, "moments": 1}
    return _Rule(name, native, tuple(kept for kept in STATES[name] if kept != "step"), "step" in STATES[name])


# typed=True distinguishes False from a previous 0.0.
_known_rule = lru_cache(maxsize=128, typed=True)(_new_rule)


def _rule(name: str, *coefficients: Any) -> _Rule:
    try:
        return _known_rule(name, *coefficients)
    except TypeError:  # not a number, or not hashable
        pass
    return _new_rule(name, *coefficients)


def _update(rule: _Rule, params: Arrays, grads: Sequence[ArrayLike], state: State, learning_rate: float) -> None:
    """Make one update: directly if the kernels can use all arrays as they are, otherwise after checks and conversions."""
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
        with np.errstate(all="ignore"):  # numbers that don't fit into a narrower type become infinite, without a warning
            for grad, *written in zip(gradients, arrays, *moments, strict=True):
                _update_one(rule, written, grad, learning_rate, updates)
    state.update(kept)
    if rule.counts:
        state["step"] = updates + 1


def _update_one(rule: _Rule, written: list[Array], grad: NDArray[Any], learning_rate: float, updates: int) -> None:
    """Update a parameter and its moments directly, or through contiguous copies."""
    compute = np.dtype(np.float32 if written[0].dtype.itemsize <= 4 else np.float64)
    buffers = [a if fits_kernels(a, compute) else np.array(a, dtype=compute, order="C") for a in written]
    gradient = np.require(grad, compute, ["C", "A", "W"])  # the fallback compiles for arrays that can be written only
    moments = [[buffer] for buffer in buffers[1:]]
    changed = _core.update(rule.native, buffers[:1], [gradient], moments, learning_rate, updates)
    assert changed, "these arrays are contiguous, of one type, and apart"
    for array, buffer in zip(written, buffers, strict=True):
        if buffer is not array:
            array[...] = buffer


# ---- The functions ----


def _compiled(function: _Function) -> _Function:
    """Return the compiled counterpart of a function of the reference, which the types of gradients can override."""
    names = list(inspect.signature(function).parameters)
    state = "state" if "state" in names else "{}"
    coefficients = names[names.index("learning_rate") + 1 :]
    rule = f"rule({', '.join([repr(function.__name__), *coefficients])})"
    call = f"update({rule}, params, grads, {state}, learning_rate)"
    made = update_wrapper(same_parameters(function, call, update=_update, rule=_rule), function)
    made.__module__ = __name__
    return array_list_function(made)  # type: ignore[return-value]


sgd = _compiled(reference.sgd)
momentum = _compiled(reference.momentum)
adagrad = _compiled(reference.adagrad)
rmsprop = _compiled(reference.rmsprop)
adam = _compiled(reference.adam)
adamw = _compiled(reference.adamw)
nadam = _compiled(reference.nadam)
lion = _compiled(reference.lion)
