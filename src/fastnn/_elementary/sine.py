"""The sine of numbers that are not too large."""

from __future__ import annotations

from fastnn._elementary.constants import SINE32, SINE64
from fastnn._elementary.functions import constants_of, horner
from fastnn._elementary.numbers import Number, absolute, fma, select


def sin(x: Number) -> Number:
    """Return the sine. If abs(x) exceeds the limit of the constants, the result is arbitrary."""
    c, s = constants_of(x), SINE32 if x.is_float32 else SINE64
    a = absolute(x)
    shifted = fma(a, s.inverse, c.round)
    k = shifted - c.round
    r = a
    for part in s.half_pi:
        r = fma(k, -part, r)
    z = r * r
    sine, cosine = fma(r * z, horner(z, s.sine), r), fma(z, horner(z, s.cosine), 1.0)
    # The last two bits of `shifted` number the quadrant: bit 0 swaps sine and cosine, bit 1 is moved to the sign.
    quadrant = shifted.as_int()
    one, sign = quadrant.constant(1), x.constant(-0.0).as_int()
    to_sign = 30 if x.is_float32 else 62
    chosen = select((quadrant & one).equals(one), cosine, sine)
    return (chosen.as_int() ^ ((x.as_int() ^ (quadrant << to_sign)) & sign)).as_float()
