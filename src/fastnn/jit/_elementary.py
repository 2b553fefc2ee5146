"""fastnn's elementary functions and activations of one number, for code that Numba compiles.

They are those of the kernels (elementary.h and activations.h), operation by operation, so that they give the same bits;
where the formulas and constants come from is said there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastnn.jit._llvm import FUSED, Body, Float, Integer, absolute, copysign, fma, maximum, minimum, scalar_function, select

# What code compiled by Numba calls, by the names that fastnn.ops has for arrays.
FUNCTIONS: dict[str, Any] = {}


def _function(body: Body) -> Body:
    """List what the body computes in FUNCTIONS."""
    FUNCTIONS[body.__name__] = scalar_function(body)
    return body


def _hex(numbers: str) -> tuple[float, ...]:
    return tuple(float.fromhex(number) for number in numbers.split())


@dataclass(frozen=True)
class _Constants:
    """What Format and ExpConstants are in the kernels, and the coefficients of the polynomials."""

    mantissa: int
    bias: int
    round: float
    smallest_normal: float
    tiny: float
    log2e: float
    ln2: float
    ln2_high: float
    ln2_low: float
    overflow: float
    underflow: float
    shift: int
    tanh_is_one: float
    expm1_even: tuple[float, ...]
    expm1_odd: tuple[float, ...]
    tanh: tuple[float, ...]
    log: tuple[float, ...]
    arctan: tuple[float, ...]
    quarter_pi: float
    quarter_pi_low: float


_FLOAT32 = _Constants(
    mantissa=23,
    bias=127,
    round=1.5 * 2**23,
    smallest_normal=2.0**-126,
    tiny=2.0**-30,
    log2e=float.fromhex("0x1.715476p0"),
    ln2=float.fromhex("0x1.62e43p-1"),
    ln2_high=float.fromhex("0x1.62e4p-1"),
    ln2_low=float.fromhex("0x1.7f7d1cp-20"),
    overflow=89.0,
    underflow=-104.0,
    shift=64,
    tanh_is_one=9.5,
    expm1_even=_hex("0x1.fffffep-2 0x1.555716p-5 0x1.6b738ap-10"),
    expm1_odd=_hex("0x1.5554bp-3 0x1.1227a4p-7"),
    tanh=_hex("0x1.800016p1 0x1.333074p0 -0x1.6a420ap-8"),
    log=_hex("0x1.55555cp-1 0x1.997b9ep-2 0x1.2ef65ep-2"),
    arctan=_hex("-0x1.55554ap-2 0x1.999196p-3 -0x1.23b514p-3 0x1.b1eb4ep-4 -0x1.f1e8d6p-5"),
    quarter_pi=float.fromhex("0x1.921fb6p-1"),
    quarter_pi_low=float.fromhex("-0x1.777a5cp-26"),
)
_FLOAT64 = _Constants(
    mantissa=52,
    bias=1023,
    round=1.5 * 2**52,
    smallest_normal=2.0**-1022,
    tiny=2.0**-60,
    log2e=float.fromhex("0x1.71547652b82fep0"),
    ln2=float.fromhex("0x1.62e42fefa39efp-1"),
    ln2_high=float.fromhex("0x1.62e42fefa3p-1"),
    ln2_low=float.fromhex("0x1.3de6af278ece6p-42"),
    overflow=710.0,
    underflow=-746.0,
    shift=512,
    tanh_is_one=20.0,
    expm1_even=_hex(
        "0x1.0000000000005p-1 0x1.55555555520fbp-5 0x1.6c16c17f35c8ep-10 0x1.a019a68880e55p-16 0x1.28a2abb97d7d5p-22"
    ),
    expm1_odd=_hex(
        "0x1.555555555553bp-3 0x1.1111111118836p-7 0x1.a01a0177f483cp-13 0x1.71de80f227566p-19 0x1.ae77c51b51155p-26"
    ),
    tanh=_hex(
        "0x1.800000000000cp1 0x1.3333333332d2dp0 -0x1.767dce3af97b3p-8 0x1.0a4e1015bad2bp-12"
        " -0x1.9978ec57a0615p-17 0x1.40bacc67995afp-21 -0x1.d6654d3ee7b2dp-26"
    ),
    log=_hex(
        "0x1.5555555555558p-1 0x1.9999999995303p-2 0x1.2492492df3033p-2 0x1.c71c62e0b7695p-3"
        " 0x1.7462b66192993p-3 0x1.39fe212d9da1bp-3 0x1.2b5b85120b2efp-3"
    ),
    arctan=_hex(
        "-0x1.555555555553dp-2 0x1.99999999957bep-3 -0x1.24924922a9e7ap-3 0x1.c71c70e4e4061p-4 -0x1.745cf8be82a38p-4"
        " 0x1.3b11173a3e9f5p-4 -0x1.10eba4a1aa9c8p-4 0x1.df0e4241ec352p-5 -0x1.9cce61d6dbf0ap-5 0x1.37cb3d3a08022p-5"
        " -0x1.2554cf99c912ep-6"
    ),
    quarter_pi=float.fromhex("0x1.921fb54442d18p-1"),
    quarter_pi_low=float.fromhex("0x1.1a62633145c07p-55"),
)


def _constants(x: Float) -> _Constants:
    return _FLOAT32 if x.is_float32 else _FLOAT64


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
    """Return q and the scale."""
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
    """Return the arctangent, to 2 ULP; not one of the kernels'.

    From t with abs(t) <= tan(pi/8): that of a is pi/4 more than that of (a - 1) / (a + 1), and pi/2 more than that of -1/a.
    The polynomial in t**2 is the minimax one for (arctan(t) - t) / t**3, relative to arctan(t), by Remez's exchange.
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


# In the place of math.atan, which would keep a loop from being made of vectors.
ARCTAN = scalar_function(_arctan)


# ---- Activations, and their slopes by the output ----


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
