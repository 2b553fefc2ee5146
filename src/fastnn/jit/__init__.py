"""Custom functions, which Numba compiles for the native loop, and the use of fastnn in code that Numba compiles.

This module needs Numba: ``pip install "fastnn-cpu[jit]"``.
"""

from __future__ import annotations

try:
    import numba as _  # noqa: F401
except ImportError as error:
    raise ImportError(f'fastnn.jit needs Numba: pip install "fastnn-cpu[jit]" ({error})') from error

from fastnn.jit import _extension
from fastnn.jit._activation import activation
from fastnn.jit._handles import as_numba
from fastnn.jit._loss import loss
from fastnn.jit._optimizers import optimizer_state

__all__ = ["activation", "as_numba", "loss", "optimizer_state"]

_extension.register()  # numba.typeof does not use entry points
__dir__ = __all__.copy
