"""The largest errors of the elementwise functions of fastnn.ops, in units in the last place: a table in markdown.

python benchmarks/accuracy.py                             # all functions on a sample; takes minutes
python benchmarks/accuracy.py tanh exp --stride 1         # every float32
FASTNN_ISA=baseline python benchmarks/accuracy.py         # the errors without fused multiply-add

It needs SciPy and mpmath (pip install scipy mpmath). A unit in the last place (ULP) is the spacing of the type's
numbers around the function's exact value, including subnormal numbers. An error is infinite if one of the result and
the rounded exact value is NaN or infinite and the other is not, or if their signs differ. The results for infinities
and signed zeros are in tests/test_accuracy.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from exact import exact
from numpy.typing import NDArray

import fastnn
from fastnn import _core, ops

CHUNK = 2**13
# Hard cases of float64: inputs at which kernels change formulas, or results overflow, become subnormal or vanish; roots of
# functions and derivatives; multiples of pi / 2, the last of which is the hardest to reduce (Muller et al., Handbook of
# Floating-Point Arithmetic, section on range reduction).
HARD = [
    *(0.25, 0.5, 0.625, 0.7071067811865476, 1.0, 1.4142135623730951, 2.0, 20.0, 37.5, 38.5, 39.0, 40.0),
    *(36.7, 708.4, 709.782712893384, 710.0, 745.1332191019412, 746.0, 756.0, 2.0**-60, 2.0**60, 1e9, 2.0**-1022, 2.0**1023),
    *(0.7517915246935645, 1.2784645427610738, 1.2784645427610738 - 0.25, 1.2784645427610738 + 0.25, 1.1924312145154952),
    *(np.pi / 2 * np.array([1, 2, 3, 4, 5, 11, 344, 710, 1e5, 1e8, 6e8])),
    6381956970095103 * 2.0**797,
]


def errors(actual: NDArray[Any], wanted: NDArray[Any]) -> NDArray[Any]:
    """Return the errors of results against exact values of a wider type, in units in the last place of the narrow one."""
    narrow = np.finfo(actual.dtype)
    with np.errstate(all="ignore"):
        _, exponent = np.frexp(wanted)
        unit = np.ldexp(wanted.dtype.type(1), np.maximum(exponent - 1, narrow.minexp) - narrow.nmant)
        error = np.abs(actual - wanted) / unit
        rounded = wanted.astype(actual.dtype)
    special = ~np.isfinite(rounded) | ~np.isfinite(actual)
    if special.any():
        same = (actual == rounded) | (np.isnan(actual) & np.isnan(rounded))
        error[special] = np.where(same[special], 0.0, np.inf)
    error[(np.signbit(actual) != np.signbit(wanted)) & (np.abs(wanted) > 0)] = np.inf
    return error


def singles(stride: int) -> Iterator[NDArray[np.float32]]:
    """Yield every `stride`-th of all finite and NaN float32, in the order of their bits."""
    for first in range(0, 2**32, CHUNK * stride):
        bits = np.arange(first, min(first + CHUNK * stride, 2**32), stride, np.uint64).astype(np.uint32)
        x = bits.view(np.float32)
        yield x[~np.isinf(x)]


def doubles(name: str, points: int) -> Iterator[NDArray[np.float64]]:
    """Yield about `count` float64: of every size, where the functions bend, and the hard cases with their neighbours."""
    rng = np.random.default_rng(0)
    signs = [1] if name == "log" else [1, -1]
    n, hard = points // len(signs), np.array(HARD)
    magnitudes = [
        hard,
        np.nextafter(hard, 0),
        np.nextafter(hard, np.inf),
        rng.choice(hard, n // 4) * (1 + rng.choice([-1, 1], n // 4) * 2.0 ** rng.uniform(-53, -3, n // 4)),
        rng.integers(1, 0x7FF << 52, n // 4).view(np.float64),  # random bits
        rng.integers(1, 1 << 52, n // 50).view(np.float64),  # subnormal numbers
        rng.uniform(0, 4, n // 4),
        rng.uniform(0, 40, n // 8),
        rng.uniform(0, 750, n // 8),
    ]
    x = np.concatenate([sign * part for sign in signs for part in magnitudes])
    if name == "log1p":
        x[x < -1] = 1 / x[x < -1]
        x = x[x > -1]
    for first in range(0, len(x), CHUNK):
        yield x[first : first + CHUNK]


def largest(name: str, parts: Iterable[NDArray[Any]]) -> tuple[float, Any]:
    """Return the largest error of a function, and the first input with this error."""
    function, most, where = getattr(ops, name), -1.0, None
    for x in parts:
        error = errors(function(x), exact(name, x))
        worst = int(np.argmax(error))
        if not error[worst] <= most:
            most, where = float(error[worst]), x[worst]
    return most, where


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=_core.FUNCTIONS, help="functions of fastnn.ops; all by default")
    parser.add_argument(
        "--stride", type=int, default=1009, metavar="N", help="try every N-th float32 (default: 1009; 0: none)"
    )
    parser.add_argument(
        "--float64", type=int, default=10_000, metavar="POINTS", help="number of float64 to try (default: 10000; 0: none)"
    )
    options = parser.parse_args()
    unknown = set(options.names) - set(_core.FUNCTIONS)
    if unknown:
        parser.error(f"names: got {', '.join(sorted(unknown))}, expected some of {', '.join(_core.FUNCTIONS)}")
    if options.float64 and np.finfo(np.longdouble).nmant <= np.finfo(np.float64).nmant:
        parser.error(f"--float64: got {options.float64}, expected 0 where long double is no wider than float64")
    fastnn.set_num_threads(1)
    isa, _ = _core.current_instruction_set()
    print(f"Instruction set {isa}, one float32 of {options.stride}, about {options.float64} float64.\n")
    print("| function | float32 | at | float64 | at |\n|---|---|---|---|---|", flush=True)
    for name in options.names:
        cells = []
        for parts in (
            singles(options.stride) if options.stride else (),
            doubles(name, options.float64) if options.float64 else (),
        ):
            most, where = largest(name, parts)
            cells += ["", ""] if where is None else [f"{most:.2f}", str(where)]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
