"""What Numba calls by the entry point `numba_extensions` before it compiles anything: how such code comes to know fastnn."""

from __future__ import annotations

import importlib

import llvmlite.binding

from fastnn._engine import core as _core

# Each adds overloads of functions or types as it is imported.
_MODULES = ("_ufuncs", "_layers", "_softmax", "_losses", "_optimizers", "_models")


def register() -> None:
    """Tell the linker the kernels by name, so that compiled code can be kept in files, and Numba of functions and types.

    Without the compiled extension there are none.
    """
    symbols = _core.c_functions()
    if not symbols:
        return
    for symbol, address in symbols.items():
        llvmlite.binding.add_symbol(symbol, address)
    for name in _MODULES:
        importlib.import_module(f"fastnn.jit.{name}")
