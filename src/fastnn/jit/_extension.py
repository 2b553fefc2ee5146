"""The entry point `numba_extensions`, by which Numba learns of fastnn before it compiles anything."""

from __future__ import annotations

import importlib

import llvmlite.binding

from fastnn._engine import core as _core

# Each of these modules registers overloads of functions, or types, when it is imported.
_MODULES = ("_ufuncs", "_layers", "_softmax", "_losses", "_optimizers", "_models", "_derivatives", "_steps")


def register() -> None:
    """Make the kernels known to the linker, and functions and types to Numba.

    Compiled code refers to the kernels by name, so that it can be cached in files. Without the compiled extension there
    are no kernels, and nothing is registered.
    """
    symbols = _core.c_functions()
    if not symbols:
        return
    for symbol, address in symbols.items():
        llvmlite.binding.add_symbol(symbol, address)
    for name in _MODULES:
        importlib.import_module(f"fastnn.jit.{name}")
