"""Numba's compiler where it is there. Where it isn't, functions stay what they are: NumPy's work, array by array."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])

# In compiled functions it is SciPy's BLAS that multiplies matrices.
_FOUND = all(importlib.util.find_spec(module) is not None for module in ("numba", "scipy"))
if _FOUND:
    import numba
    from numba.extending import register_jitable

COMPILED: bool = _FOUND and not numba.config.DISABLE_JIT


def compiled(function: _Function) -> _Function:
    """Return the function compiled for the types that it is called with, and kept on disk; or itself, without Numba."""
    if not COMPILED:
        return function
    # Numba names what it keeps by the function, and looks at its own file alone: not at those of the functions it calls.
    function.__qualname__ += f"_{_digest()}"
    made: _Function = numba.njit(function, cache=True, nogil=True, error_model="numpy")
    return made


def _digest() -> str:
    """Return a name for the text of all files here."""
    texts = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    return hashlib.sha256(b"".join(texts)).hexdigest()[:16]


def shared(function: _Function) -> _Function:
    """Return the function as it is, for Python, and make it known to those that are compiled.

    Its text is what both can run: whole arrays, no None, every variable of one type. Compiled, a number written beside
    float32 arrays makes float64 of their sum, where NumPy rounds to float32; `put` takes either.
    """
    if not COMPILED:
        return function
    made: _Function = register_jitable(function)
    return made


@shared
def put(to: Any, values: Any) -> None:
    """Copy values, an array or a number, to an array; what Numba makes of this line is too long to be made everywhere."""
    to[...] = values
