"""The table of functions of arrays as the fallback runs them: compiled by Numba, or as they stand where Numba is missing."""

from __future__ import annotations

import dis
import hashlib
import importlib.util
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar

from fastnn import reference

_Function = TypeVar("_Function", bound=Callable[..., Any])

# In compiled functions it is SciPy's BLAS that multiplies matrices.
_FOUND = all(importlib.util.find_spec(module) is not None for module in ("numba", "scipy"))
if _FOUND:
    import numba

COMPILED: bool = _FOUND and not numba.config.DISABLE_JIT

_PLAIN: dict[FunctionType, Callable[..., Any]] = {}
_BY_NUMBA: dict[FunctionType, Callable[..., Any]] = {}

# Of these NumPy has loops of vector instructions. Numba's loops take ten times as long.
_VECTORIZED = (reference.tanh, reference.exp, reference.sin, reference.cos)


def runnable(function: _Function) -> _Function:
    """Return a function of arrays as the fallback runs it.

    A function of `fastnn.reference` that stands for a formula becomes the formula. Functions that the given one calls by
    name become runnable too. Numba compiles each at its first call for every dtype, and keeps it on disk. Methods and
    closures, which call what a user has written, stay as they are.
    """
    numba_compiles = COMPILED and function not in _VECTORIZED
    return _made(function, _BY_NUMBA if numba_compiles else _PLAIN)  # type: ignore[no-any-return]


def _made(function: Any, table: dict[FunctionType, Callable[..., Any]]) -> Any:
    formula = getattr(function, "formula", function)
    if not isinstance(formula, FunctionType) or formula.__closure__ is not None:
        return formula
    if formula not in table:
        table[formula] = _bound(formula, table)
    return table[formula]


def _bound(formula: FunctionType, table: dict[FunctionType, Callable[..., Any]]) -> Callable[..., Any]:
    """Return a copy of a function that calls runnable functions."""
    names = {each.argval for each in dis.get_instructions(formula) if each.opname == "LOAD_GLOBAL"}
    named = {name: formula.__globals__.get(name) for name in names}
    called = {name: _made(value, table) for name, value in named.items() if isinstance(value, FunctionType)}
    copy = FunctionType(formula.__code__, formula.__globals__ | called, formula.__name__, formula.__defaults__)
    if table is _PLAIN:
        return copy
    # Numba names the file on disk by the function, and looks for changes in its own file alone, not in those of the
    # functions that it calls.
    copy.__qualname__ = f"{formula.__qualname__}_{_digest()}"
    copy.__module__ = formula.__module__
    made: Callable[..., Any] = numba.njit(copy, cache=True, nogil=True, error_model="numpy")
    return made


@cache
def _digest() -> str:
    """Return a name for the text of all files here and in the reference."""
    folders = Path(__file__).parent, Path(reference.__file__).parent
    texts = [path.read_bytes() for folder in folders for path in sorted(folder.glob("*.py"))]
    return hashlib.sha256(b"".join(texts)).hexdigest()[:16]
