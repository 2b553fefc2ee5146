"""Optimizers on tuples and lists of arrays in code that Numba compiles.

Numba has no dicts with values of different types. In compiled code, a state is therefore a tuple, which `optimizer_state`
returns.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from fastnn import ops
from fastnn._checks.updates import listed
from fastnn._engine import core as _core
from fastnn._engine.optimizers import ARGUMENTS
from fastnn.jit import _kernels
from fastnn.jit._kernels import bare, is_aligned, is_readable
from fastnn.ops._signatures import same_parameters
from fastnn.optimizers import OPTIMIZERS, SGD
from fastnn.reference.optimizers import STATES

if TYPE_CHECKING:
    from numpy.typing import NDArray


def optimizer_state(name: str, params: Sequence[NDArray[Any]]) -> tuple[Any, ...]:
    """Return the state of an optimizer of `fastnn.ops` before its first update, for code that Numba compiles.

    Parameters
    ----------
    name : str
        The name of a function of `fastnn.ops` that has a state, such as "adam".
    params : sequence of ndarray
        The arrays that will be updated.

    Returns
    -------
    tuple
        For each list of arrays in the function's state, a tuple of arrays of zeros. If the state has "step", the number of
        updates, the last element is an array with this number.

    Raises
    ------
    ValueError
        If no function of `fastnn.ops` with a state has that name.
    TypeError
        If `params` is not a sequence of arrays.

    Examples
    --------
    >>> import numba
    >>> import numpy as np
    >>> from fastnn import jit, ops
    >>> @numba.njit
    ... def descend(params, state, steps):
    ...     for _ in range(steps):
    ...         ops.adam(params, (params[0] - 1.0, params[1] + 2.0), state, learning_rate=0.1)
    >>> params = np.zeros((2, 2)), np.zeros(3)
    >>> descend(params, jit.optimizer_state("adam", params), 500)
    >>> params[1].round(3)
    array([-2., -2., -2.])
    """
    if not STATES.get(name):
        named = ", ".join(name for name, kept in STATES.items() if kept)
        raise ValueError(f"name: expected one of {named}, got {name!r}")
    arrays = listed("params", params)
    for i, array in enumerate(arrays):
        if not isinstance(array, np.ndarray):
            raise TypeError(f"params[{i}]: expected an array, got {type(array).__name__}")
    zeros = [tuple(np.zeros_like(array, order="C") for array in arrays) for kept in STATES[name] if kept != "step"]
    return (*zeros, np.zeros(1, np.int64)) if "step" in STATES[name] else tuple(zeros)


# ---- One array, and several arrays ----


def _is_parameter(array: Any) -> bool:
    floats = (types.float32, types.float64)
    return isinstance(array, types.Array) and array.dtype in floats and array.layout == "C" and array.mutable


def _checked(param: Any, grad: Any, m: Any, v: Any, spans: Any) -> Any:
    """Return a copy of a gradient in the type of its parameter, or raise an error if the arrays do not fit together.

    For param, m and v, fill `spans` (3, 2) with the address of the first byte, and the address after the last byte.
    """


@overload(_checked)
@bare
def _checked_overload(param: Any, grad: Any, m: Any, v: Any, spans: Any) -> Callable[..., Any] | None:
    if not (_is_parameter(param) and is_readable(grad, param.ndim) and m == v == param):
        return None
    to = getattr(np, str(param.dtype))

    def checked(param: Any, grad: Any, m: Any, v: Any, spans: Any) -> Any:
        if grad.shape != param.shape:
            raise ValueError("grads: expected the shapes of the parameters, got another")
        if m.shape != param.shape or v.shape != param.shape:
            raise ValueError("state: expected the shapes of the parameters, got another")
        for place, array in enumerate((param, m, v)):
            start = array.ctypes.data if array.size else 0
            spans[place, 0], spans[place, 1] = start, start + array.nbytes
        gradient = np.empty(param.shape, to)
        gradient[...] = grad
        return gradient

    return bare(checked)


def _update(param: Any, gradient: Any, m: Any, v: Any, rule: Any) -> None:
    """Update one array."""


@overload(_update)
@bare
def _update_overload(param: Any, gradient: Any, m: Any, v: Any, rule: Any) -> Callable[..., None]:
    kernel, to = _kernels.update[param.dtype], getattr(np, str(param.dtype))

    def update(param: Any, gradient: Any, m: Any, v: Any, rule: Any) -> None:
        number, moments, updates, coefficients = rule[0], rule[1], rule[-1], rule[2:-1]
        if moments == 0:
            kernel(number, param, gradient, None, None, param.size, *coefficients, updates)
        elif moments == 1:
            kernel(number, param, gradient, m, None, param.size, *coefficients, updates)
        else:
            kernel(number, param, gradient, m, v, param.size, *coefficients, updates)

    update = register_jitable(bare(update))

    def update_in_place(param: Any, gradient: Any, m: Any, v: Any, rule: Any) -> None:
        if is_aligned(param) and is_aligned(m) and is_aligned(v):
            update(param, gradient, m, v, rule)
            return
        new, new_m, new_v = np.empty(param.shape, to), np.empty(param.shape, to), np.empty(param.shape, to)
        new[...] = param
        new_m[...] = m
        new_v[...] = v
        update(new, gradient, new_m, new_v, rule)
        v[...] = new_v  # if moments are missing, v is m, or both are param: param is therefore written last
        m[...] = new_m
        param[...] = new

    return bare(update_in_place)


# Tuples, whose elements have different types, are processed by recursion: the first element, then the others. Lists are
# processed in a loop.


def _checked_each(params: Any, grads: Any, ms: Any, vs: Any, spans: Any) -> Any:
    """Return copies of all gradients: one may be a parameter or moment that changes before the gradient is read."""


@overload(_checked_each)
@bare
def _checked_each_overload(params: Any, grads: Any, ms: Any, vs: Any, spans: Any) -> Callable[..., Any]:
    def of_a_tuple(params: Any, grads: Any, ms: Any, vs: Any, spans: Any) -> Any:
        first = _checked(params[0], grads[0], ms[0], vs[0], spans[0])
        others = _checked_each(params[1:], grads[1:], ms[1:], vs[1:], spans[1:])
        return (first,) + others  # noqa: RUF005  Numba knows no starred tuples

    def of_a_list(params: Any, grads: Any, ms: Any, vs: Any, spans: Any) -> Any:
        return [_checked(params[i], grads[i], ms[i], vs[i], spans[i]) for i in range(len(params))]

    if not isinstance(params, types.BaseTuple):
        return bare(of_a_list)
    return bare(of_a_tuple) if len(params) else lambda params, grads, ms, vs, spans: ()


def _update_each(params: Any, gradients: Any, ms: Any, vs: Any, rule: Any) -> None:
    """Update all arrays."""


@overload(_update_each)
@bare
def _update_each_overload(params: Any, gradients: Any, ms: Any, vs: Any, rule: Any) -> Callable[..., None]:
    def of_a_tuple(params: Any, gradients: Any, ms: Any, vs: Any, rule: Any) -> None:
        _update(params[0], gradients[0], ms[0], vs[0], rule)
        _update_each(params[1:], gradients[1:], ms[1:], vs[1:], rule)

    def of_a_list(params: Any, gradients: Any, ms: Any, vs: Any, rule: Any) -> None:
        for i in range(len(params)):
            _update(params[i], gradients[i], ms[i], vs[i], rule)

    if not isinstance(params, types.BaseTuple):
        return bare(of_a_list)
    return bare(of_a_tuple) if len(params) else lambda params, gradients, ms, vs, rule: None


@register_jitable
def _check_apart(spans: Any, moments: int) -> None:
    """Raise an error if a moment shares memory with a parameter or another moment. `spans` is (n, 3, 2)."""
    n = len(spans)
    for i in range(n):
        for part in range(1, moments + 1):
            for j in range(n):
                for other in range(part + 1 if j < i else part):
                    if spans[i, part, 0] < spans[j, other, 1] and spans[j, other, 0] < spans[i, part, 1]:
                        raise ValueError("state: expected an array of its own, got one that overlaps params or state")


@register_jitable
def _run(params: Any, grads: Any, ms: Any, vs: Any, rule: Any) -> None:
    if not (len(params) == len(grads) == len(ms) == len(vs)):
        raise ValueError("grads, state: expected one array per parameter, got another number")
    if not 0.0 <= rule[2] < np.inf:
        raise ValueError("learning_rate: expected a finite number >= 0, got another")
    if rule[-1] < 0:
        raise ValueError("state: expected a number of updates >= 0, got a negative one")
    spans = np.empty((len(params), 3, 2), np.int64)
    gradients = _checked_each(params, grads, ms, vs, spans)
    _check_apart(spans, rule[1])
    _update_each(params, gradients, ms, vs, rule)


@register_jitable
def _updates(step: Any) -> Any:
    if step.size != 1:
        raise ValueError("state: expected an array with one number of updates, got another")
    return np.int64(step[0])


# ---- The optimizers ----


def _are_several(arrays: Any) -> bool:
    return isinstance(arrays, types.BaseTuple | types.List | types.ListType)


def _fits(name: str, params: Any, grads: Any, state: Any) -> bool:
    """Return whether these are the types of parameters, gradients and a state of `optimizer_state`."""
    kept = STATES[name]
    if not _are_several(params) or not _are_several(grads) or not (isinstance(state, types.BaseTuple) or not kept):
        return False
    return len(state) == len(kept) and all(
        is_readable(state[i], 1) and isinstance(state[i].dtype, types.Integer) if part == "step" else _are_several(state[i])
        for i, part in enumerate(kept)
    )


def _overload(name: str) -> None:
    """Make the function of that name available in compiled code, with the same parameters and defaults as in Python."""
    function, kept = getattr(ops, name), STATES[name]
    parameters = list(inspect.signature(function).parameters)
    moments, state = len(kept) - ("step" in kept), "state" if kept else "()"
    m, v = ("state[0]", f"state[{moments - 1}]") if moments else ("params", "params")  # the kernel ignores missing moments
    number = "nesterov_number if nesterov else number" if "nesterov" in parameters else "number"
    # Coefficients of the kernel that the function lacks are 0.
    names = OPTIMIZERS.get(name, SGD).coefficient_names()
    given = {names[parameter]: f"float({parameter})" for parameter in parameters if parameter in names}
    coefficients = ", ".join(["float(learning_rate)", *(given.get(argument, "0.0") for argument in ARGUMENTS)])
    updates = f"updates(state[{moments}])" if "step" in kept else "0"
    body = f"run(params, grads, {m}, {v}, ({number}, {moments}, {coefficients}, {updates}))"
    if "step" in kept:
        body += f"\nstate[{moments}][0] += 1"
    numbers = {"number": _core.OPTIMIZERS.index(name), "nesterov_number": _core.OPTIMIZERS.index("nesterov")}
    implementation = same_parameters(function, body, run=_run, updates=_updates, **numbers)

    def chosen(params: Any, grads: Any, state: Any) -> Callable[..., None] | None:
        return implementation if _fits(name, params, grads, state) else None

    overload(function)(same_parameters(function, f"return chosen(params, grads, {state})", chosen=chosen))


for _name in STATES:
    _overload(_name)
