"""The elementwise functions of fastnn.ops in wider arithmetic: float64 for float32, and mpmath for float64.

A derivative that fastnn computes from the activation's output is a function of that output here too, as in fastnn.reference.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import mpmath
import numpy as np
import scipy.special
from mpmath.libmp import mpf_pos
from numpy.typing import NDArray

# This precision is enough for the derivatives of gelu and silu near their roots, where numbers near 1 cancel.
mpmath.mp.prec = 160
_NAMES = ("exp", "expm1", "log", "log1p", "tanh", "sin", "cos", "erfc")

_DOUBLE = SimpleNamespace(
    number=float,
    far=700,  # exp(-far) is a normal number
    sqrt=np.sqrt,
    pi=np.pi,
    erfc=scipy.special.erfc,
    **{name: getattr(np, name) for name in _NAMES if name != "erfc"},
)
# The same functions on arrays of mpmath's numbers.
_MULTIPRECISION = SimpleNamespace(
    number=mpmath.mp.mpf,
    far=12_000,
    sqrt=mpmath.mp.sqrt,
    pi=+mpmath.mp.pi,
    **{name: np.frompyfunc(getattr(mpmath.mp, name), 1, 1) for name in _NAMES},
)


def _sigmoid(m: Any, x: Any) -> Any:
    return 1 / (1 + m.exp(-x))


def _normal(m: Any, x: Any) -> Any:
    return m.erfc(-x / m.sqrt(2)) / 2


def _density(m: Any, x: Any) -> Any:
    return m.exp(-x * x / 2) / m.sqrt(2 * m.pi)


def _not_far(x: Any) -> Any:
    """Limit x to numbers for which _normal is neither 0 nor 1 in float64; beyond, mpmath takes long."""
    return np.clip(x, -60, 60)


def _gelu_grad(m: Any, x: Any) -> Any:
    return _normal(m, x) + x * _density(m, x)


def _softplus(m: Any, x: Any) -> Any:
    return np.maximum(x, 0) + m.log1p(m.exp(-abs(x)))


def _gate(m: Any, x: Any) -> Any:
    return m.tanh(_softplus(m, x))


def _mish_grad(m: Any, x: Any) -> Any:
    return _gate(m, x) + x * (1 - _gate(m, x) ** 2) * _sigmoid(m, x)


_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772

# Functions of an arithmetic m and finite x, an array of its numbers.
_FORMULAS = {
    "sigmoid": _sigmoid,
    "sigmoid_grad": lambda m, a: a * (1 - a),
    "tanh": lambda m, x: m.tanh(x),
    "tanh_grad": lambda m, a: (1 - a) * (1 + a),
    "relu": lambda m, x: np.maximum(x, 0),
    "relu_grad": lambda m, a: np.where(a > 0, 1, 0.0),
    "leaky_relu": lambda m, x: np.where(x > 0, x, x / 100),
    "leaky_relu_grad": lambda m, a: np.where(a > 0, 1, 1 / m.number(100)),
    "elu": lambda m, x: np.where(x > 0, x, m.expm1(np.minimum(x, 0))),
    "elu_grad": lambda m, a: np.where(a > 0, 1, a + 1),
    "gelu": lambda m, x: x * _normal(m, _not_far(x)),
    "gelu_grad": lambda m, x: _gelu_grad(m, _not_far(x)),
    "silu": lambda m, x: x * _sigmoid(m, x),
    "silu_grad": lambda m, x: _sigmoid(m, x) * (1 + x * _sigmoid(m, -x)),
    "selu": lambda m, x: m.number(_SELU_SCALE) * np.where(x > 0, x, m.number(_SELU_ALPHA) * m.expm1(np.minimum(x, 0))),
    "selu_grad": lambda m, a: np.where(a > 0, m.number(_SELU_SCALE), a + m.number(_SELU_SCALE) * m.number(_SELU_ALPHA)),
    "mish": lambda m, x: x * _gate(m, x),
    "mish_grad": lambda m, x: _mish_grad(m, np.maximum(x, -m.far)),
    "softplus": _softplus,
    "softplus_grad": lambda m, a: -m.expm1(-a),
    **{name: lambda m, x, name=name: getattr(m, name)(x) for name in ("cos", "exp", "expm1", "log", "log1p", "sin")},
}
# The formulas of these lose all relative accuracy near a root.
_ROOTED = ("gelu_grad", "mish_grad", "silu_grad")


def _long_doubles(numbers: NDArray[Any]) -> NDArray[np.longdouble]:
    """Round mpmath's finite numbers to 64 bits; those beyond the range of long double become zero or infinite."""
    parts = [mpf_pos(mpmath.mp.mpf(number)._mpf_, 64, "n")[:3] for number in numbers]
    signs, mantissas, exponents = zip(*parts, strict=True)
    magnitude = np.array([int(mantissa) for mantissa in mantissas], np.uint64).astype(np.longdouble)
    bounded = np.array([max(-20_000, min(exponent, 20_000)) for exponent in exponents], np.int32)
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(np.where(signs, -magnitude, magnitude), bounded)


def _multiprecision(name: str, x: NDArray[Any]) -> NDArray[np.longdouble]:
    return _long_doubles(_FORMULAS[name](_MULTIPRECISION, np.array([mpmath.mp.mpf(value) for value in x.tolist()])))


def exact(name: str, x: NDArray[Any]) -> NDArray[Any]:
    """Return the function's values in float64 for float32, in long double for float64.

    Parameters
    ----------
    name : str
        The name of a function of fastnn.ops.
    x : ndarray of float32 or float64, shape (n,)
        Finite or NaN for float32; for float64, finite numbers at which the function is finite.
    """
    if x.dtype == np.float64:
        return _multiprecision(name, x)
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64)
        values = _FORMULAS[name](_DOUBLE, wide)
    if name in _ROOTED:
        near_root = (np.abs(values) < 1e-6) & (np.abs(wide) < 2)
        if near_root.any():
            values[near_root] = _multiprecision(name, wide[near_root])
    return values
