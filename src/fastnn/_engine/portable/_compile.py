"""Functions of arrays in the form for the fallback: compiled by Numba, or unchanged if Numba is missing."""

from __future__ import annotations

import dis
import hashlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any, TypeAlias

from fastnn import reference

Function: TypeAlias = Callable[..., Any]

# In compiled functions, SciPy's BLAS multiplies matrices.
FOUND = all(importlib.util.find_spec(module) is not None for module in ("numba", "scipy"))
if FOUND:
    import numba

COMPILED: bool = FOUND and not numba.config.DISABLE_JIT

# For these functions, NumPy has loops of vector instructions. Numba's loops take up to ten times as long.
_VECTORIZED = frozenset(each.formula for each in (reference.tanh, reference.exp, reference.sin, reference.cos))


def formula(*args: Any) -> Any:
    """Stand for a formula in the text of a function. `runnable` replaces it."""
    raise NotImplementedError


def runnable(function: Function, **formulas: Function) -> Function:
    """Return a function of arrays in the form for the fallback, with formulas in place of names in its text.

    The functions that it calls by name become runnable too. A function of `fastnn.reference` that stands for a formula is
    replaced by the formula. Numba compiles the result at its first call for every dtype, and caches it on disk. Functions
    are not compiled if they call users' code (methods and closures), or formulas that NumPy computes faster.
    """
    given = _given(formulas)
    by_numba = COMPILED and all(_is_plain(each) and each not in _VECTORIZED for _, each in given)
    return _made(function, given, by_numba) if all(_is_plain(each) for _, each in given) else _bound(function, given, False)


def pointer(function: Function, result: str, arguments: Sequence[Any], **formulas: Function) -> int | None:
    """Return the address of a compiled function, with formulas as in `runnable`, for the functions of `_pointers`.

    Examples give the types of the arguments. Numba also compiles formulas that NumPy computes faster. Return None if Numba
    is missing or cannot compile a formula.
    """
    given = _given(formulas)
    if not COMPILED or not all(_is_plain(each) for _, each in given):
        return None
    return int(_pointer(function, given, tuple(numba.typeof(each) for each in arguments), result).address)


def is_vectorized(function: Any) -> bool:
    """Return whether NumPy computes a formula, or the formula for which a function stands, much faster than Numba."""
    return _formula_of(function) in _VECTORIZED


def _given(formulas: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple((name, _formula_of(each)) for name, each in formulas.items())


def _is_plain(function: Function) -> bool:
    return isinstance(function, FunctionType) and function.__closure__ is None


def _bound(function: Any, formulas: tuple[tuple[str, Function], ...], by_numba: bool) -> Function:
    """Return a copy of a function that calls the formulas and runnable functions."""
    copy = _copy(function, formulas, by_numba)
    if not by_numba:
        return copy
    _name(copy, function, formulas)
    compiled: Function = numba.njit(copy, cache=True, nogil=True, error_model="numpy")
    return compiled


@cache
def _pointer(function: Any, formulas: tuple[tuple[str, Function], ...], types: Any, result: str) -> Any:
    copy = _copy(function, formulas, True)
    _name(copy, function, formulas, "pointer")
    return numba.cfunc(getattr(numba.types, result)(*types), cache=True, error_model="numpy")(copy)


def _copy(function: Any, formulas: tuple[tuple[str, Function], ...], by_numba: bool) -> FunctionType:
    names = {each.argval for each in dis.get_instructions(function) if each.opname == "LOAD_GLOBAL"}
    called = {name: function.__globals__.get(name) for name in names} | dict(formulas)
    made = {name: _made(_formula_of(each), (), by_numba) for name, each in called.items() if _is_plain(_formula_of(each))}
    return FunctionType(function.__code__, function.__globals__ | dict(formulas) | made, function.__name__)


def _name(copy: FunctionType, function: Any, formulas: tuple[tuple[str, Function], ...], *form: str) -> None:
    """Name a function so that Numba finds the right file on disk.

    Numba names the file by the function, and looks for changes only in the function's file, not in those of the functions
    that it calls.
    """
    copy.__qualname__ = "_".join([function.__name__, *(each.__name__ for _, each in formulas), *form, _digest()])
    copy.__module__ = function.__module__


# Each is made only once, so that Numba compiles it once per dtype.
_made = cache(_bound)


def _formula_of(function: Any) -> Any:
    return getattr(function, "formula", function)


@cache
def _digest() -> str:
    """Return a name for the text of all files here and in the reference."""
    folders = Path(__file__).parent, Path(reference.__file__).parent
    texts = [path.read_bytes() for folder in folders for path in sorted(folder.glob("*.py"))]
    return hashlib.sha256(b"".join(texts)).hexdigest()[:16]
