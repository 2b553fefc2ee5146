"""Changes to users' functions that make loops vectorisable: fastnn's elementary functions, and numbers of the right type."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
from numba import types

import fastnn
from fastnn import ops
from fastnn.jit._elementary import ARCTAN, FUNCTIONS
from fastnn.jit._elementwise import elementwise

# The functions of _elementary.py, by the identity of the function in users' code, which would be called for each number.
_ELEMENTARY: dict[int, Any] = {
    id(getattr(module, name)): function
    for name, function in FUNCTIONS.items()
    for module in (math, np, ops)
    if hasattr(module, name)
}
_ELEMENTARY |= {id(arctan): ARCTAN for arctan in (math.atan, np.arctan)}
# The same for code that takes arrays too.
_ELEMENTWISE = {identity: elementwise(function) for identity, function in _ELEMENTARY.items()}


def translated(function: FunctionType, number: Any, takes_arrays: bool = False) -> FunctionType:
    """Return the function with literals, globals and cells replaced."""
    how = number, takes_arrays
    code = function.__code__
    outside = {name: value for name, value in function.__globals__.items() if name in names_of(code)}
    made = FunctionType(
        _code(code, how),
        {**function.__globals__, **{name: _replaced(value, how) for name, value in outside.items()}},
        function.__name__,
        tuple(_replaced(value, how) for value in function.__defaults__ or ()),
        tuple(CellType(_replaced(value, how)) for value in cells_of(function)),
    )
    made.__kwdefaults__ = function.__kwdefaults__
    made.__qualname__ = function.__qualname__
    return made


def names_of(code: CodeType) -> set[str]:
    """Return the names of globals and attributes in code, including nested functions."""
    return set(code.co_names).union(*(names_of(constant) for constant in _inner(code)))


def cells_of(function: FunctionType) -> list[Any]:
    """Return the variables that a function takes from the functions around it."""
    try:
        return [cell.cell_contents for cell in function.__closure__ or ()]
    except ValueError:
        names = ", ".join(function.__code__.co_freevars)
        raise TypeError(f"function: expected {names} to be defined by now, got {function.__name__} before that") from None


def _inner(code: CodeType) -> Iterator[CodeType]:
    return (constant for constant in code.co_consts if isinstance(constant, CodeType))


def _code(code: CodeType, how: tuple[Any, bool]) -> CodeType:
    constants = (_code(c, how) if isinstance(c, CodeType) else _replaced(c, how) for c in code.co_consts)
    return code.replace(co_consts=tuple(constants))


def _replaced(value: Any, how: tuple[Any, bool]) -> Any:
    number, takes_arrays = how
    if isinstance(value, float):
        return np.float32(value) if number == types.float32 else value  # float64 would spread to all results
    if isinstance(value, ModuleType):
        return _modules(how).get(value, value)
    return (_ELEMENTWISE if takes_arrays else _ELEMENTARY).get(id(value), value)


@lru_cache
def _modules(how: tuple[Any, bool]) -> dict[ModuleType, ModuleType]:
    """Return copies of modules in which the same functions and numbers are replaced."""
    made: dict[ModuleType, ModuleType] = {}
    for module in (math, np, ops, fastnn):
        made[module] = ModuleType(module.__name__)
        for name, value in vars(module).items():
            stand_in = made.get(value) if isinstance(value, ModuleType) else _replaced(value, how)
            setattr(made[module], name, value if stand_in is None else stand_in)
    return made
