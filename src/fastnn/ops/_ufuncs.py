"""NumPy ufuncs for the names in the registry of the kernels."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from fastnn._engine import core as _core

if TYPE_CHECKING:
    import numpy as np

_SECTIONS = """
Parameters
----------
x : array-like of real numbers
    Any shape, layout and byte order.
out, where, dtype, casting, order, subok
    The keywords of every ufunc of NumPy.

Returns
-------
ndarray, or scalar if `x` is one
    For float16, float32 and float64, the same type (float16 is computed in float32). For integers and bool, the type
    to which NumPy promotes them: float16 up to 8 bits, float32 up to 16, float64 above. `out` if given.

Raises
------
TypeError
    If `x` or `out` is not of a type that fits.
ValueError
    If `out` has a shape that `x` can't be broadcast to.

Notes
-----
There are no floating-point warnings: infinities and NaN pass silently. Threads share long contiguous arrays, which
changes no bit of the result.

Examples
--------
"""


def ufunc(name: str, documentation: str) -> np.ufunc:
    """Return the ufunc of that name. Its documentation has the common sections between the summary and the examples."""
    summary, _, examples = documentation.partition(">>>")
    made = _core.make_ufunc(name, f"{summary.rstrip()}\n{_SECTIONS}>>>{examples}")
    # Without it, pickle asks each imported module for the name, and `numpy.core` warns when it is asked.
    with contextlib.suppress(AttributeError):  # before NumPy 2.2, ufuncs have no attributes of their own
        made.__module__ = "fastnn.ops"
    return made
