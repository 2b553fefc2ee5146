"""fastnn's elementary functions and activations of one number, for code that Numba compiles.

They repeat the kernels' functions (elementary.h and activations.h) operation by operation, and give the same bits. Those
two files name the sources of the formulas and constants.
"""

from __future__ import annotations

from typing import Any

from fastnn.jit._elementary_constants import FLOAT32, FLOAT64, Constants
from fastnn.jit._llvm import FUSED, Body, Float, Integer, absolute, copysign, fma, maximum, minimum, scalar_function, select

# The functions for compiled code, under the names of their counterparts for arrays in fastnn.ops.
FUNCTIONS: dict[str, Any] = {}


def _function(body: Body) -> Body:
    """Return a decorator that enters a function in FUNCTIONS."""
    FUNCTIONS[body.__name__] = scalar_function(body)
    return body


def _constants(x: Float) -> Constants:
    return FLOAT32 if x.is_float32 else FLOAT64


# ---- Elementary functions ----


def _horner(x: Float, coefficients: tuple[float, ...]) -> Float:
    result = x.constant(coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        result = fma(x, result, coefficient)
    return result


def _expm1_reduced(r: Float) -> Float:
    c = _constants(r)
    z = r * r
    return fma(z, fma(r, _horner(z, c.expm1_odd), _horner(z, c.expm1_even)), r)


def _exp_parts(x: Float, shift: int, rough: bool = False) -> tuple[Float, Float]:
    """Return q and s with exp(x) = s * (1 + q)."""
    c = _constants(x)
    round_ = c.round + (c.bias + shift)
    shifted = fma(x, c.log2e, round_)
    k = shifted - round_
    scale = (shifted.as_int() << c.mantissa).as_float()
    r = fma(k, -c.ln2, x) if rough else fma(k, -c.ln2_low, fma(k, -c.ln2_high, x))
    return _expm1_reduced(r), scale


@_function
def exp(x: Float) -> Float:
    c = _constants(x)
    q, s = _exp_parts(minimum(c.overflow, maximum(c.underflow, x)), 0)
    negative = x < 0.0
    bits = s.as_int()
    s = (bits + select(negative, bits.constant(c.shift << c.mantissa), bits.constant(-(1 << c.mantissa)))).as_float()
    return fma(s, q, s) * select(negative, x.constant(2.0**-c.shift), x.constant(2.0))


@_function
def expm1(x: Float) -> Float:
    c = _constants(x)
    q, s = _exp_parts(minimum(c.overflow, maximum(-40.0, x)), -1)
    half = fma(s, q, s - 0.5)
    return select(absolute(x) < c.tiny, x, half + half)


@_function
def sigmoid(x: Float) -> Float:
    c = _constants(x)
    q, s = _exp_parts(maximum(c.underflow, -absolute(x)), c.shift)
    e = fma(s, q, s) * 2.0**-c.shift
    base = select(x < 0.0, e, x.constant(1.0))
    return fma(-base, e / (e + 1.0), base)


@_function
def tanh(x: Float) -> Float:
    c = _constants(x)
    a = minimum(c.tanh_is_one, absolute(x))
    u = a * a
    q, s = _exp_parts(a + a, 0, rough=True)
    small = a < 0.625
    numerator = select(small, a * u, x.constant(2.0))
    denominator = select(small, _horner(u, c.tanh), fma(s, q, s + 1.0))
    return copysign(select(small, a, x.constant(1.0)) - numerator / denominator, x)


def _exponent(x: Float) -> Integer:
    return (x.as_int() + -x.constant(0.70710678118654752).as_int()) >> _constants(x).mantissa


def _times_power(x: Float, e: Integer) -> Float:
    return (x.as_int() + (e << _constants(x).mantissa)).as_float()


def _to_float(n: Integer, like: Float) -> Float:
    round_ = _constants(like).round
    return (n + like.constant(round_).as_int()).as_float() - round_


def _log_parts(e: Float, f: Float) -> Float:
    c = _constants(f)
    t = f / (f + 2.0)
    z, h = t * t, f * 0.5 * f
    low = fma(t, fma(z, _horner(z, c.log), h), e * c.ln2_low)
    return fma(e, c.ln2_high, f - (h - low))


def _log_domain(x: Float, value: Float) -> Float:
    inf = float("inf")
    outside = select(x.equals(0.0), x.constant(-inf), x.constant(float("nan")))
    return select(x < inf, select(x > 0.0, value, outside), x + x)


@_function
def log(x: Float) -> Float:
    c = _constants(x)
    subnormal = x < c.smallest_normal
    y = select(subnormal, x * 2.0**c.mantissa, x)
    e = _exponent(y)
    f = _times_power(y, -e) - 1.0
    shift = select(subnormal, x.constant(float(c.mantissa)), x.constant(0.0))
    return _log_domain(x, _log_parts(_to_float(e, x) - shift, f))


@_function
def log1p(x: Float) -> Float:
    u = x + 1.0
    e = _exponent(u)
    s = _times_power(x.constant(1.0), -e)
    f = select(x > 2.0**60, _times_power(u, -e) - 1.0, fma(x, s, s - 1.0))
    return select(absolute(x) < _constants(x).tiny, x, _log_domain(u, _log_parts(_to_float(e, x), f)))


def _arctan(x: Float) -> Float:
    """Return the arctangent, within 2 ULP. The kernels lack this function.

    The argument is reduced to abs(t) <= tan(pi/8): arctan(a) is pi/4 + arctan((a - 1) / (a + 1)), and pi/2 + arctan(-1/a).
    The polynomial in t**2 is the minimax approximation of (arctan(t) - t) / t**3 relative to arctan(t). Remez's algorithm
    gave its coefficients.
    """
    c = _constants(x)
    a, one = absolute(x), x.constant(1.0)
    small, large = a < 0.41421356, a > 2.41421356
    numerator = select(small, a, select(large, -one, a - 1.0))
    denominator = select(small, one, select(large, a, a + 1.0))
    quarters = select(small, x.constant(0.0), select(large, one + 1.0, one))
    t = numerator / denominator
    z = t * t
    low = fma(t * z, _horner(z, c.arctan), quarters * c.quarter_pi_low)
    return copysign(quarters * c.quarter_pi + (t + low), x)


# This function replaces math.atan, which would prevent the vectorisation of loops.
ARCTAN = scalar_function(_arctan)


# ---- Activations, and their derivatives as functions of the output ----


@_function
def tanh_grad(a: Float) -> Float:
    return fma(-a, a, 1.0) if FUSED else (a.constant(1.0) - a) * (a.constant(1.0) + a)


@_function
def sigmoid_grad(a: Float) -> Float:
    return a * (a.constant(1.0) - a)


@_function
def relu(z: Float) -> Float:
    return maximum(0.0, z)


@_function
def relu_grad(a: Float) -> Float:
    return select(a > 0.0, a.constant(1.0), a.constant(0.0))


@_function
def leaky_relu(z: Float) -> Float:
    return maximum(z * 0.01, z)


@_function
def leaky_relu_grad(a: Float) -> Float:
    return select(a > 0.0, a.constant(1.0), a.constant(0.01))


@_function
def elu(z: Float) -> Float:
    return select(z > 0.0, z, expm1(z))


@_function
def elu_grad(a: Float) -> Float:
    return select(a > 0.0, a.constant(1.0), a + 1.0)


@_function
def softplus(z: Float) -> Float:
    return maximum(0.0, z) + log1p(exp(-absolute(z)))


@_function
def softplus_grad(a: Float) -> Float:
    return -expm1(-a)
