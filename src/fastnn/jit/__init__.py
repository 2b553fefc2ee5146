"""Functions of one's own, compiled by Numba for the native loop.

It needs Numba: ``pip install "fastnn-cpu[jit]"``.
"""

from __future__ import annotations

try:
    import numba as _  # noqa: F401
except ImportError as error:
    raise ImportError(f'fastnn.jit needs Numba: pip install "fastnn-cpu[jit]" ({error})') from error

from fastnn.jit._activation import activation
from fastnn.jit._loss import loss

__all__ = ["activation", "loss"]
