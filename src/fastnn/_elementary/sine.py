"""The sine and the cosine of numbers that are not too large."""

from __future__ import annotations

from fastnn._elementary.constants import SINE32, SINE64
from fastnn._elementary.functions import constants_of, horner
from fastnn._elementary.numbers import Bits, Number, absolute, fma, select


def sin(x: Number) -> Number:
    """Return the sine. If abs(x) exceeds the limit of the constants, the result is arbitrary."""
    sine, cosine, quadrant = _parts(x)
    one, sign = quadrant.constant(1), x.constant(-0.0).as_int()
    chosen = select((quadrant & one).equals(one), cosine, sine)
    return (chosen.as_int() ^ ((x.as_int() ^ (quadrant << _to_sign(x))) & sign)).as_float()


def cos(x: Number) -> Number:
    """Return the cosine. If abs(x) exceeds the limit of the constants, the result is arbitrary."""
    sine, cosine, quadrant = _parts(x)
    one, sign = quadrant.constant(1), x.constant(-0.0).as_int()
    chosen = select((quadrant & one).equals(one), sine, cosine)
    return (chosen.as_int() ^ (((quadrant + one) << _to_sign(x)) & sign)).as_float()


def _to_sign(x: Number) -> int:
    """Return the distance of bit 1 from the sign."""
    return 30 if x.is_float32 else 62


def _parts(x: Number) -> tuple[Number, Number, Bits]:
    """Return sine and cosine of abs(x) less a multiple of pi/2, and an integer whose last two bits number the quadrant.

    Bit 0 swaps sine and cosine, and bit 1 is moved to the sign.
    """
    c, s = constants_of(x), SINE32 if x.is_float32 else SINE64
    a = absolute(x)
    shifted = fma(a, s.inverse, c.round)
    k = shifted - c.round
    r = a
    for part in s.half_pi:
        r = fma(k, -part, r)
    z = r * r
    sine, cosine = fma(r * z, horner(z, s.sine), r), fma(z, horner(z, s.cosine), 1.0)
    return sine, cosine, shifted.as_int()
