"""The functions exp, expm1, log, log1p, tanh, sigmoid and arctan, and the activations that consist of them."""

from __future__ import annotations

from fastnn._elementary.constants import FLOAT32, FLOAT64, Constants
from fastnn._elementary.numbers import Bits, Number, absolute, copysign, fma, maximum, minimum, select
from fastnn.reference.rectifiers import SELU_ALPHA, SELU_SCALE


def constants_of(x: Number) -> Constants:
    """Return the constants for the type of a number."""
    return FLOAT32 if x.is_float32 else FLOAT64


# ---- Elementary functions ----


def horner(x: Number, coefficients: tuple[float, ...]) -> Number:
    """Return the polynomial with these coefficients, the constant one first."""
    result = x.constant(coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        result = fma(x, result, coefficient)
    return result


def _expm1_reduced(r: Number) -> Number:
    c = constants_of(r)
    z = r * r
    return fma(z, fma(r, horner(z, c.expm1_odd), horner(z, c.expm1_even)), r)


def exp_parts(x: Number, shift: int, rough: bool = False) -> tuple[Number, Number]:
    """Return q and s with exp(x) = 2**-shift * s * (1 + q)."""
    c = constants_of(x)
    round_ = c.round + (c.bias + shift)
    shifted = fma(x, c.log2e, round_)
    k = shifted - round_
    scale = (shifted.as_int() << c.mantissa).as_float()
    r = fma(k, -c.ln2, x) if rough else fma(k, -c.ln2_low, fma(k, -c.ln2_high, x))
    return _expm1_reduced(r), scale


def exp(x: Number) -> Number:
    c = constants_of(x)
    q, s = exp_parts(minimum(c.overflow, maximum(c.underflow, x)), 0)
    negative = x < 0.0
    bits = s.as_int()
    s = (bits + select(negative, bits.constant(c.shift << c.mantissa), bits.constant(-(1 << c.mantissa)))).as_float()
    return fma(s, q, s) * select(negative, x.constant(2.0**-c.shift), x.constant(2.0))


def expm1(x: Number) -> Number:
    c = constants_of(x)
    q, s = exp_parts(minimum(c.overflow, maximum(-40.0, x)), -1)
    half = fma(s, q, s - 0.5)
    return select(absolute(x) < c.tiny, x, half + half)


def sigmoid(x: Number) -> Number:
    c = constants_of(x)
    q, s = exp_parts(maximum(c.underflow, -absolute(x)), c.shift)
    e = fma(s, q, s) * 2.0**-c.shift
    base = select(x < 0.0, e, x.constant(1.0))
    return fma(-base, e / (e + 1.0), base)


def tanh(x: Number) -> Number:
    c = constants_of(x)
    a = minimum(c.tanh_is_one, absolute(x))
    u = a * a
    q, s = exp_parts(a + a, 0, rough=True)
    small = a < 0.625
    numerator = select(small, a * u, x.constant(2.0))
    denominator = select(small, horner(u, c.tanh), fma(s, q, s + 1.0))
    return copysign(select(small, a, x.constant(1.0)) - numerator / denominator, x)


def _exponent(x: Number) -> Bits:
    return (x.as_int() + -x.constant(0.70710678118654752).as_int()) >> constants_of(x).mantissa


def _times_power(x: Number, e: Bits) -> Number:
    return (x.as_int() + (e << constants_of(x).mantissa)).as_float()


def _to_float(n: Bits, like: Number) -> Number:
    round_ = constants_of(like).round
    return (n + like.constant(round_).as_int()).as_float() - round_


def _log_parts(e: Number, f: Number) -> Number:
    c = constants_of(f)
    t = f / (f + 2.0)
    z, h = t * t, f * 0.5 * f
    low = fma(t, fma(z, horner(z, c.log), h), e * c.ln2_low)
    return fma(e, c.ln2_high, f - (h - low))


def _log_domain(x: Number, value: Number) -> Number:
    inf = float("inf")
    outside = select(x.equals(0.0), x.constant(-inf), x.constant(float("nan")))
    return select(x < inf, select(x > 0.0, value, outside), x + x)


def log(x: Number) -> Number:
    c = constants_of(x)
    subnormal = x < c.smallest_normal
    y = select(subnormal, x * 2.0**c.mantissa, x)
    e = _exponent(y)
    f = _times_power(y, -e) - 1.0
    shift = select(subnormal, x.constant(float(c.mantissa)), x.constant(0.0))
    return _log_domain(x, _log_parts(_to_float(e, x) - shift, f))


def log1p(x: Number) -> Number:
    u = x + 1.0
    e = _exponent(u)
    s = _times_power(x.constant(1.0), -e)
    f = select(x > 2.0**60, _times_power(u, -e) - 1.0, fma(x, s, s - 1.0))
    return select(absolute(x) < constants_of(x).tiny, x, _log_domain(u, _log_parts(_to_float(e, x), f)))


def arctan(x: Number) -> Number:
    """Return the arctangent, within 2 ULP. The kernels lack this function.

    The argument is reduced to abs(t) <= tan(pi/8): arctan(a) is pi/4 + arctan((a - 1) / (a + 1)), and pi/2 + arctan(-1/a).
    The polynomial in t**2 is the minimax approximation of (arctan(t) - t) / t**3 relative to arctan(t). Remez's algorithm
    gave its coefficients.
    """
    c = constants_of(x)
    a, one = absolute(x), x.constant(1.0)
    small, large = a < 0.41421356, a > 2.41421356
    numerator = select(small, a, select(large, -one, a - 1.0))
    denominator = select(small, one, select(large, a, a + 1.0))
    quarters = select(small, x.constant(0.0), select(large, one + 1.0, one))
    t = numerator / denominator
    z = t * t
    low = fma(t * z, horner(z, c.arctan), quarters * c.quarter_pi_low)
    return copysign(quarters * c.quarter_pi + (t + low), x)


# ---- Activations, and their derivatives as functions of the output ----


def tanh_grad(a: Number) -> Number:
    return fma(-a, a, 1.0) if a.fused else (a.constant(1.0) - a) * (a.constant(1.0) + a)


def sigmoid_grad(a: Number) -> Number:
    return a * (a.constant(1.0) - a)


def relu(z: Number) -> Number:
    return maximum(0.0, z)


def relu_grad(a: Number) -> Number:
    return select(a > 0.0, a.constant(1.0), a.constant(0.0))


def leaky_relu(z: Number) -> Number:
    return maximum(z * 0.01, z)


def leaky_relu_grad(a: Number) -> Number:
    return select(a > 0.0, a.constant(1.0), a.constant(0.01))


def elu(z: Number) -> Number:
    return select(z > 0.0, z, expm1(z))


def elu_grad(a: Number) -> Number:
    return select(a > 0.0, a.constant(1.0), a + 1.0)


def selu(z: Number) -> Number:
    return select(z > 0.0, z * SELU_SCALE, expm1(z) * (SELU_SCALE * SELU_ALPHA))


def softplus(z: Number) -> Number:
    return maximum(0.0, z) + log1p(exp(-absolute(z)))


def softplus_grad(a: Number) -> Number:
    return -expm1(-a)
