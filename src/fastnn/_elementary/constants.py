"""Constants of the elementary functions for each type, the same as in kernels/per_isa/elementary.h."""

from __future__ import annotations

from dataclasses import dataclass


def _hex(numbers: str) -> tuple[float, ...]:
    return tuple(float.fromhex(number) for number in numbers.split())


@dataclass(frozen=True)
class Constants:
    """Format and ExpConstants of the kernels, and the coefficients of the polynomials."""

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


FLOAT32 = Constants(
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
FLOAT64 = Constants(
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
