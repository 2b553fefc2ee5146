"""Elementary functions, of which activations and losses consist: NumPy ufuncs on the compiled kernels.

On every machine with fused multiply-add, they give the same bits as the training loop. The functions of a C library do
not.
"""

from __future__ import annotations

from fastnn.ops._ufuncs import ufunc

__all__ = ["cos", "exp", "expm1", "log", "log1p", "sin"]
__dir__ = __all__.copy

exp = ufunc(
    "exp",
    """Return e to the power of x.

>>> exp([0.0, -1000.0, 1000.0])
array([ 1.,  0., inf])
""",
)

expm1 = ufunc(
    "expm1",
    """Return exp(x) - 1, to full precision near zero.

>>> expm1([0.0, 1e-20])
array([0.e+00, 1.e-20])
""",
)

log = ufunc(
    "log",
    """Return the natural logarithm of x: -inf at 0 and NaN below.

>>> log([1.0, 0.0])
array([  0., -inf])
""",
)

log1p = ufunc(
    "log1p",
    """Return log(1 + x), to full precision near zero.

>>> log1p([0.0, 1e-20])
array([0.e+00, 1.e-20])
""",
)

sin = ufunc(
    "sin",
    """Return the sine of x, in radians.

>>> sin([0.0, -0.0])
array([ 0., -0.])
""",
)

cos = ufunc(
    "cos",
    """Return the cosine of x, in radians: the derivative of the sine as a function of its input.

>>> cos([0.0])
array([1.])
""",
)
