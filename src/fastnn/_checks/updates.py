"""Checks of the arguments of the optimizers' functions (parameters, gradients, state) before anything changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastnn._checks.floats import Array
from fastnn._checks.masks import unmasked
from fastnn._checks.scalars import integer

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Arrays: TypeAlias = Sequence[Array]
State: TypeAlias = dict[str, Any]


def new_moments(params: Arrays) -> list[NDArray[Any]]:
    """Return zeros for each parameter, in its type but at least float32, which squares of gradients need."""
    return [np.zeros(param.shape, np.result_type(param, np.float32)) for param in params]


def checked_params(params: Iterable[Array]) -> list[NDArray[Any]]:
    """Return the parameters. Subclasses of ndarray become ndarrays with the same memory."""
    arrays = listed("params", params)
    for index, array in enumerate(arrays):
        _check_writable(f"params[{index}]", array)
    return [np.asarray(array) for array in arrays]


def checked_grads(
    grads: Iterable[ArrayLike], params: Arrays, to_array: Callable[[str, Any], NDArray[Any]]
) -> list[NDArray[Any]]:
    """Return the gradients as arrays of real numbers. `to_array` takes the name of an argument and its value."""
    given = listed("grads", grads)
    if len(given) != len(params):
        raise ValueError(f"grads: expected {len(params)} arrays, one for each of params, got {len(given)}")
    arrays = [to_array(f"grads[{index}]", grad) for index, grad in enumerate(given)]
    for index, (grad, param) in enumerate(zip(arrays, params, strict=True)):
        if grad.dtype.kind not in "fiub":
            raise TypeError(f"grads[{index}]: expected real numbers, got dtype {grad.dtype}")
        if grad.shape != param.shape:
            raise ValueError(f"grads[{index}]: expected shape {param.shape}, got {grad.shape}")
    return arrays


def check_state(state: State, name: str, names: Sequence[str], params: Arrays) -> None:
    """Raise an error unless a state is empty, or is one of this optimizer for these parameters, with all of `names`."""
    if not isinstance(state, dict):
        raise TypeError(f"state: expected a dict, empty before the first update, got {type(state).__name__}")
    if not state:
        return
    if state.keys() != set(names):
        raise ValueError(f"state: expected an empty dict or {list(names)}, as {name} leaves it, got {list(state)}")
    moment_names = [kept for kept in names if kept != "step"]
    for kept in moment_names:
        moments = state[kept]
        if not isinstance(moments, list | tuple) or len(moments) != len(params):
            got = f"{len(moments)} arrays" if isinstance(moments, list | tuple) else type(moments).__name__
            raise ValueError(f"state[{kept!r}]: expected a list of {len(params)} arrays, one for each of params, got {got}")
        for index, (moment, param) in enumerate(zip(moments, params, strict=True)):
            _check_writable(f"state[{kept!r}][{index}]", moment)
            if moment.shape != param.shape:
                raise ValueError(f"state[{kept!r}][{index}]: expected shape {param.shape}, got {moment.shape}")
    _check_apart(state, moment_names, params)
    if "step" in state:
        integer("state['step']", state["step"], low=0)


def _check_apart(state: State, names: Sequence[str], params: Arrays) -> None:
    """Raise an error if a moment shares memory with a parameter or another moment."""
    written = [(f"params[{index}]", param) for index, param in enumerate(params)]
    for kept in names:
        for index, moment in enumerate(state[kept]):
            argument = f"state[{kept!r}][{index}]"
            for other, array in written:
                if np.may_share_memory(moment, array) and np.shares_memory(moment, array):
                    raise ValueError(f"{argument}: expected an array of its own, got one that shares memory with {other}")
            written.append((argument, moment))


def apart(grads: Arrays, written: Arrays) -> list[NDArray[Any]]:
    """Return the gradients. Those that share memory with parameters or moments are copied."""
    return [grad.copy() if any(np.may_share_memory(grad, array) for array in written) else grad for grad in grads]


def listed(argument: str, arrays: Iterable[Any]) -> list[Any]:
    """Return arrays as a list, or raise TypeError with the argument's name."""
    try:
        return list(arrays)
    except TypeError:
        raise TypeError(f"{argument}: expected a list of arrays, got {type(arrays).__name__}") from None


def _check_writable(argument: str, array: object) -> None:
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise TypeError(f"{argument}: expected a floating-point ndarray to change in place, got {kind}")
    if not array.flags.writeable:
        raise ValueError(f"{argument}: expected an array to change in place, got a read-only one")
    unmasked(argument, array)
