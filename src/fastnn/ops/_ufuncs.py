"""From a name of the kernels' registry to a NumPy ufunc with a docstring."""

from __future__ import annotations

import numpy as np

from fastnn._engine import core as _core

_SECTIONS = """
Parameters
----------
x : array-like of real numbers
    Any shape, layout and byte order.
out, where, dtype, casting, order, subok
    As of every ufunc of NumPy.

Returns
-------
ndarray, or scalar if `x` is one
    float16, float32 and float64 as given (float16 is computed in float32); of integers and bool what NumPy promotes
    them to: float16 up to 8 bits, float32 up to 16, float64 above. `out` if given.

Raises
------
TypeError
    If `x` or `out` is not of a type that fits.
ValueError
    If `out` has a shape that `x` can't be broadcast to.

Notes
-----
No floating-point warnings: infinities and NaN go through in silence. Long contiguous arrays are shared among threads,
which changes no bit.

Examples
--------
"""


def ufunc(name: str, documentation: str) -> np.ufunc:
    """Return the ufunc; the sections that all have in common go between summary and examples."""
    summary, _, examples = documentation.partition(">>>")
    made = _core.make_ufunc(name, f"{summary.rstrip()}\n{_SECTIONS}>>>{examples}")
    return made
