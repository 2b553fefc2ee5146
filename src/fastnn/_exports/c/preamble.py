"""The directives and types at the beginning of a C file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastnn._exports.c import embeddings
from fastnn._exports.c.functions import reads_bits
from fastnn._exports.layers import Layer, Stage, widths_of

_TYPES = """
typedef char @needs_a_@real_of_%(bits)d_bits[sizeof(@real) == %(bytes)d ? 1 : -1];
enum { @n_inputs = %(n_in)d, @n_outputs = %(n_out)d };
"""
# Compilers that contract products and sums would change bits. GCC ignores the pragma of C.
_OPEN = """
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC optimize("fp-contract=off")
#else
#pragma STDC FP_CONTRACT OFF
#endif
"""
CLOSE = """
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif
"""
_FUSED = """
/* Whether to use fused multiply-add: if the target has it. Define %(name)s as 1 or 0 to decide otherwise. */
#ifndef %(name)s
#if defined(__FP_FAST_FMA%(suffix)s) || defined(__FMA__) || defined(__aarch64__) || defined(_M_ARM64)
#define %(name)s 1
#elif defined(__ARM_FEATURE_FMA) && defined(__ARM_FP) && (__ARM_FP & %(bytes)d)
#define %(name)s 1
#elif defined(__riscv_flen) && __riscv_flen >= %(bits)d
#define %(name)s 1
#elif defined(_MSC_VER) && defined(__AVX2__)
#define %(name)s 1
#else
#define %(name)s 0
#endif
#endif
"""
_INCLUDES = """
#if %s && !defined(__GNUC__)
#include <math.h>
#endif
"""
# Sums that are computed together stay in registers.
_TILES = """
#if defined(__GNUC__)
#define @INLINE static inline __attribute__((always_inline))
#else
#define @INLINE static inline
#endif
#if defined(__AVX2__)
#define @TILE %(wide)d
#elif defined(__SSE2__) || defined(__ARM_NEON) || defined(_M_X64)
#define @TILE %(medium)d
#else
#define @TILE 8
#endif
"""
_ROUNDING = """
#if defined(__FAST_MATH__)
#error "compile this file without -ffast-math: the activations round on purpose"
#endif
#if defined(__FLT_EVAL_METHOD__) && (__FLT_EVAL_METHOD__ == 1 || __FLT_EVAL_METHOD__ == 2)
#error "compile this file for arithmetic without excess precision (for 32-bit x86: -msse2 -mfpmath=sse)"
#endif
"""


def adds_up(layers: Sequence[Layer], narrow: bool) -> bool:
    """Return whether any function adds up partial sums."""
    return narrow or any(layer.activation == "softmax" or layer.normalization is not None for layer in layers)


def preamble(layers: Sequence[Layer], prefix: str, dtype: np.dtype[Any], narrow: bool, stage: Stage | None) -> Iterator[str]:
    """Yield the directives, types and constants before the parameters."""
    waves = bool(embeddings.waves_of(stage)) or any(layer.activation == "sin" for layer in layers)
    activations = [layer.activation for layer in layers]
    lanes = 64 // dtype.itemsize
    types = [dtype]
    if waves and dtype == np.float32:
        types.append(np.dtype(np.float64))
    names = [f"{prefix}_FUSED", f"{prefix}_double_FUSED"]
    if waves or reads_bits(str(name) for name in activations):
        yield _ROUNDING
        yield "\n#include <stdint.h>\n"
    for each, macro in zip(types, names, strict=False):
        suffix = "F" if each == np.float32 else ""
        yield _FUSED % {"name": macro, "suffix": suffix, "bytes": each.itemsize, "bits": 8 * each.itemsize}
    normalizes = any(layer.normalization is not None for layer in layers)
    yield "\n#include <math.h>\n" if waves or normalizes else _INCLUDES % names[0]
    if not narrow or len(layers) > 1:
        yield _TILES % {"wide": 512 // dtype.itemsize, "medium": 128 // dtype.itemsize}
    if adds_up(layers, narrow):
        yield f"\n#define @LANES {lanes}\n"
    sizes = {"n_in": layers[0].weights.shape[0] if stage is None else stage.n_in, "n_out": widths_of(layers)[-1]}
    yield _TYPES % ({"bytes": dtype.itemsize, "bits": 8 * dtype.itemsize} | sizes)
    yield _OPEN
