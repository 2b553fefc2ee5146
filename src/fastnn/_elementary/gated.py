"""The activations that multiply z by a gate: gelu, silu and mish."""

from __future__ import annotations

from fastnn._elementary.constants import GATES32, GATES64, Gates
from fastnn._elementary.functions import constants_of, exp_parts, horner
from fastnn._elementary.numbers import Number, absolute, fma, maximum, minimum, select


def _gates_of(z: Number) -> Gates:
    return GATES32 if z.is_float32 else GATES64


def _bell_parts(t: Number, square: Number) -> tuple[Number, Number]:
    """Return q and s with exp(-t**2 / 2) = 2**-shift * s * (1 + q)."""
    if t.fused:
        error = fma(t, t, -square)
    else:
        bits, low_bits = t.as_int(), (constants_of(t).mantissa + 2) // 2
        upper = (bits & bits.constant(-(1 << low_bits))).as_float()
        error = fma(t - upper, t + upper, upper * upper - square)
    q, s = exp_parts(square * -0.5, constants_of(t).shift)
    return fma(error * -0.5, q + 1.0, q), s


def _value_of_side(z: Number, left: Number) -> Number:
    return fma(left, -(2.0 ** -constants_of(z).shift), maximum(-0.0, z))


def gelu(z: Number) -> Number:
    g = _gates_of(z)
    t = minimum(g.gelu_far, absolute(z))
    square = t * t
    u = fma(square, horner(t, g.gelu_q), t)
    v = fma(u, g.gelu_a, t * horner(t, g.gelu_p)) + 2.0
    q, s = _bell_parts(t, square)
    left = s * (u * (z.constant(1.0) / v))
    return _value_of_side(z, fma(left, q, left))


def silu(z: Number) -> Number:
    c = constants_of(z)
    t = minimum(_gates_of(z).silu_far, absolute(z))
    q, s = exp_parts(-t, c.shift)
    e = fma(s, q, s) * 2.0**-c.shift
    scaled = s * (z.constant(1.0) - e / (e + 1.0))
    return _value_of_side(z, fma(scaled, q, scaled) * t)


def mish(z: Number) -> Number:
    g, unshift = _gates_of(z), 2.0 ** -constants_of(z).shift
    near = minimum(g.mish_far, maximum(g.mish_vanishes, z))
    positive = z > 0.0
    q, scale = exp_parts(near, constants_of(z).shift)
    s = scale * unshift
    e, square = fma(s, q, s), s * s
    m = fma(q, fma(square, q, (square + s) * 2.0), (square + s * 2.0) + 2.0)
    gate = select(positive, z.constant(2.0), e + 2.0) / m
    scaled = scale * (near * gate)
    left = fma(scaled, q, scaled) * unshift
    return select(z > g.mish_far, z, select(positive, fma(-near, gate, near), left))
