"""Constants of the elementary functions for each type, the same as in kernels/per_isa/elementary*.h and activations.h."""

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


@dataclass(frozen=True)
class Gates:
    """Constants of gelu, silu and mish."""

    gelu_far: float
    gelu_a: float
    gelu_p: tuple[float, ...]
    gelu_q: tuple[float, ...]
    silu_far: float
    mish_far: float
    mish_vanishes: float


GATES32 = Gates(
    gelu_far=14.75,
    gelu_a=float.fromhex("0x1.40d932p1"),
    gelu_p=_hex("0x1.394b34p0 0x1.9632ccp-2 0x1.1ca0fcp-4 0x1.6faa9p-8"),
    gelu_q=_hex("0x1.113ca2p0 0x1.187b06p-1 0x1.4c93bcp-3 0x1.c676bep-6 0x1.254feep-9"),
    silu_far=110.0,
    mish_far=20.0,
    mish_vanishes=-110.0,
)
GATES64 = Gates(
    gelu_far=39.0,
    gelu_a=float.fromhex("0x1.40d931ff62706p1"),
    gelu_p=_hex(
        "0x1.3c6f9bda8259ap1 0x1.90070a7059323p0 0x1.483c946b8fe24p-1 0x1.7bacf4f518aa5p-3"
        " 0x1.3e9955cf50912p-5 0x1.82c8e1d3a8a73p-8 0x1.47dafa00a08e5p-11 0x1.61ec1650c5d44p-15"
        " 0x1.76ce070193079p-20"
    ),
    gelu_q=_hex(
        "0x1.b106a43b4317ap0 0x1.6a407d4b7555p0 0x1.84089cbf58988p-1 0x1.2429986065c45p-2"
        " 0x1.41cfc5d570ac7p-4 0x1.06533e4de675bp-6 0x1.390598bc912acp-9 0x1.06c248115037bp-12"
        " 0x1.1a639a2e2ab22p-16 0x1.2b0d0ba2a56b2p-21"
    ),
    silu_far=756.0,
    mish_far=20.0,
    mish_vanishes=-756.0,
)


@dataclass(frozen=True)
class Sine:
    """Constants of the sine, for abs(x) <= limit. The parts add up to pi / 2."""

    inverse: float
    limit: float
    half_pi: tuple[float, ...]
    sine: tuple[float, ...]
    cosine: tuple[float, ...]


SINE32 = Sine(
    inverse=float.fromhex("0x1.45f306p-1"),
    limit=3200.0,
    half_pi=_hex("0x1.921p0 0x1.f6ap-13 0x1.11p-26 0x1.68c234p-39"),
    sine=_hex("-0x1.555546p-3 0x1.110778p-7 -0x1.9953fep-13"),
    cosine=_hex("-0x1p-1 0x1.55554ap-5 -0x1.6c0c2ap-10 0x1.99e91p-16"),
)
SINE64 = Sine(
    inverse=float.fromhex("0x1.45f306dc9c883p-1"),
    limit=1000000000.0,
    half_pi=_hex("0x1.921fb4p0 0x1.4442dp-24 0x1.84698p-48 0x1.3198ap-69 0x1.701b839a25205p-92"),
    sine=_hex(
        "-0x1.5555555555548p-3 0x1.111111110f75dp-7 -0x1.a01a019bf222ep-13 0x1.71de355f05599p-19"
        " -0x1.ae5e5471f5501p-26 0x1.5d8e3511cdb44p-33"
    ),
    cosine=_hex(
        "-0x1p-1 0x1.555555555554bp-5 -0x1.6c16c16c15016p-10 0x1.a01a019c8f3eep-16 -0x1.27e4f7f19d4b2p-22"
        " 0x1.1ee9dbd0d86a6p-29 -0x1.8fa681e385241p-37"
    ),
)
