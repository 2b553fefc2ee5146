"""What Numba calls by the entry point `numba_extensions` before it compiles anything: how such code comes to know fastnn."""

from __future__ import annotations

import importlib

import llvmlite.binding

from fastnn import _core

# Each adds overloads of functions or types as it is imported.
_MODULES = ("_ufuncs", "_layers", "_softmax", "_losses", "_optimizers", "_models")


def register() -> None:
    """Tell the linker the kernels by name, so that compiled code can be kept in files, and Numba of functions and types."""
    for symbol, address in _core.c_functions().items():
        llvmlite.binding.add_symbol(symbol, address)
    for name in _MODULES:
        importlib.import_module(f"fastnn.jit.{name}")
