"""The functions of a C file: dense layers, activations and what they call.

In the texts, @ stands for the prefix of all names in the file, and @real for float or double.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from fastnn._elementary import functions as _functions
from fastnn._elementary import gated as _gated
from fastnn._elementary import sine as _sine
from fastnn._elementary.constants import SINE32, SINE64
from fastnn._elementary.numbers import Formula
from fastnn._exports.c.literals import literal
from fastnn._exports.c.numbers import body_of
from fastnn.reference.normalization import EPSILON

_FORMULAS: dict[str, Formula] = {
    formula.__name__: formula
    for formula in (
        _functions.tanh,
        _functions.sigmoid,
        _functions.relu,
        _functions.leaky_relu,
        _functions.elu,
        _functions.selu,
        _functions.softplus,
        _functions.exp,
        _gated.gelu,
        _gated.silu,
        _gated.mish,
    )
}
ACTIVATIONS = frozenset(_FORMULAS) | {"identity", "sin", "softmax", "prelu"}

_FMA = """
static inline @real @fma(@real a, @real b, @real c)
{
#if !@FUSED
    return a * b + c;
#elif defined(__GNUC__)
    return __builtin_fma@suffix(a, b, c);
#else
    return fma@suffix(a, b, c);
#endif
}
"""
_BITS = """
static inline @bits @to_bits(@real number)
{
    union { @real number; @bits bits; } u;
    u.number = number;
    return u.bits;
}

static inline @real @from_bits(@bits bits)
{
    union { @real number; @bits bits; } u;
    u.bits = bits;
    return u.number;
}
"""
SCALE = """
/* Multiplies each input by its factor. */
static void @scale(const @real *scales, const @real *x, @real *y, int n)
{
    int i;
    for (i = 0; i < n; i++) y[i] = x[i] * scales[i];
}
"""
FINISH_SUMS = """
/* Multiplies each sum by its factor, and adds its bias. */
static void @finish_sums(const @real *scales, const @real *biases, @real *y, int n)
{
    int i;
    for (i = 0; i < n; i++) y[i] = y[i] * scales[i] + biases[i];
}
"""
ADD = """
/* Adds values to others. */
static void @add(const @real *x, @real *y, int n)
{
    int i;
    for (i = 0; i < n; i++) y[i] += x[i];
}
"""
KEEP = """
/* Keeps values for a later layer. */
static void @keep(const @real *x, @real *y, int n)
{
    int i;
    for (i = 0; i < n; i++) y[i] = x[i];
}
"""
_TILE = """
/* Computes n outputs of a layer: the bias, plus the products with inputs 0, 1, 2 and so on, in this order. */
@INLINE void @tile(const int n, const @real *weights, const @real *biases, int n_in, int n_out, const @real *x, @real *y)
{
    @real sums[@TILE];
    long row = 0;
    int i, k;
    for (i = 0; i < n; i++) sums[i] = biases[i];
    for (k = 0; k < n_in; k++, row += n_out) {
        const @real input = x[k];
        for (i = 0; i < n; i++) sums[i] = @fma(input, weights[row + i], sums[i]);
    }
    for (i = 0; i < n; i++) y[i] = sums[i];
}
"""
_DENSE = """
/* Computes the sums of a layer. The number of outputs that are computed together does not change them. */
static void @dense(const @real *weights, const @real *biases, int n_in, int n_out, const @real *x, @real *y)
{
    int j = 0;
%s}
"""
_DENSE_LOOP = "    for (; j + {n} <= n_out; j += {n}) @tile({n}, weights + j, biases + j, n_in, n_out, x, y + j);\n"
_TOTAL = """
/* Adds the halves of the partial sums until one is left. */
static @real @total(@real *sums)
{
    int half, i;
    for (half = @LANES / 2; half > 0; half /= 2)
        for (i = 0; i < half; i++) sums[i] += sums[i + half];
    return sums[0];
}
"""
_NARROW = """
/* Computes the sums of a last layer with few outputs: each is a dot product, of @LANES partial sums. */
static void @narrow(const @real *weights, const @real *biases, int n_in, int n_out, const @real *x, @real *y)
{
    int i, j, k;
    for (j = 0; j < n_out; j++, weights += n_in) {
        @real sums[@LANES] = {0};
        for (k = 0; k + @LANES <= n_in; k += @LANES)
            for (i = 0; i < @LANES; i++) sums[i] = @fma(weights[k + i], x[k + i], sums[i]);
        if (k < n_in) {
            for (i = 0; i < n_in - k; i++) sums[i] = @fma(weights[k + i], x[k + i], sums[i]);
            for (; i < @LANES; i++) sums[i] += 0.0@suffix; /* makes -0 positive */
        }
        y[j] = @total(sums) + biases[j];
    }
}
"""
_ELEMENTWISE = """
static inline @real @%(name)s_of(@real x)
{
%(body)s
}

static void @%(name)s(@real *y, int n)
{
    int i;
    for (i = 0; i < n; i++) y[i] = @%(name)s_of(y[i]);
}
"""
_SOFTMAX = """
static void @softmax(@real *y, int n)
{
    @real sums[@LANES] = {0}, top = y[0], scale;
    int i;
    for (i = 1; i < n; i++) top = y[i] > top ? y[i] : top;
    for (i = 0; i < n; i++) y[i] -= top;
    @exp(y, n);
    for (i = 0; i < n; i++) sums[i % @LANES] += y[i];
    scale = 1.0@suffix / @total(sums);
    for (i = 0; i < n; i++) y[i] *= scale;
}
"""
# The same sums as in the kernels: partial sums, one for each lane.
_LAYER_NORM = """
static void @layer_norm(const @real *gains, const @real *shifts, @real *y, int n)
{
    @real sums[@LANES] = {0}, squares[@LANES] = {0}, mean, factor;
    int i;
    for (i = 0; i < n; i++) sums[i %% @LANES] += y[i];
    mean = @total(sums) / (@real)n;
    for (i = 0; i < n; i++) y[i] -= mean;
    for (i = 0; i < n; i++) squares[i %% @LANES] = @fma(y[i], y[i], squares[i %% @LANES]);
    factor = 1.0@suffix / sqrt@suffix(@total(squares) / (@real)n + %(epsilon)s);
    for (i = 0; i < n; i++) y[i] = @fma(y[i] * factor, gains[i], shifts[i]);
}
"""
_RMS_NORM = """
static void @rms_norm(const @real *gains, @real *y, int n)
{
    @real squares[@LANES] = {0}, factor;
    int i;
    for (i = 0; i < n; i++) squares[i %% @LANES] = @fma(y[i], y[i], squares[i %% @LANES]);
    factor = 1.0@suffix / sqrt@suffix(@total(squares) / (@real)n + %(epsilon)s);
    for (i = 0; i < n; i++) y[i] = y[i] * factor * gains[i];
}
"""
_NORMALIZATIONS = {"layer_norm": _LAYER_NORM, "rms_norm": _RMS_NORM}
_PRELU = """
static void @prelu(const @real *slopes, @real *y, int n)
{
    int i;
    for (i = 0; i < n; i++) y[i] = y[i] > 0.0@suffix ? y[i] : slopes[i] * y[i];
}
"""
_PARAMETRIC = """
/* z + a (f(z) - z), with one a per unit. */
static void @parametric_%(name)s(const @real *alphas, @real *y, int n)
{
    @real z[64];
    int i, k, m;
    for (k = 0; k < n; k += 64) {
        m = n - k < 64 ? n - k : 64;
        for (i = 0; i < m; i++) z[i] = y[k + i];
        @%(name)s(y + k, m);
        for (i = 0; i < m; i++) y[k + i] = @fma(alphas[k + i], y[k + i] - z[i], z[i]);
    }
}
"""
# The kernels compute large floats as doubles, and large doubles with the C library.
_WAVE = """
static inline @real @near_%(name)s(@real x)
{
%(body)s
}

static @real @%(name)s(@real x)
{
    const @real size = x < 0.0@suffix ? -x : x;
    return size <= %(limit)s ? @near_%(name)s(x) : %(far)s;
}
"""
_SINES = """
static void @sin(@real *y, int n)
{
    int i, near = 1;
    for (i = 0; i < n; i++) near &= y[i] >= -%(limit)s && y[i] <= %(limit)s;
    if (near)
        for (i = 0; i < n; i++) y[i] = @near_sine(y[i]);
    else
        for (i = 0; i < n; i++) y[i] = @sine(y[i]);
}
"""
# The formulas of functions of angles, and their names in the C library.
_OF_ANGLES = {"sine": (_sine.sin, "sin"), "cosine": (_sine.cos, "cos")}
_TYPES = {"float32": ("float", "uint32_t", "int32_t", "f"), "float64": ("double", "uint64_t", "int64_t", "")}
_ONLY_LINEAR = frozenset({"identity", "relu", "leaky_relu", "prelu"})
_TILES = (128, 64, 32, 16, 8, 4, 2, 1)
_SMALLEST_TILE = 8  # every target has it


def rendered(text: str, prefix: str, dtype: np.dtype[Any]) -> str:
    """Return a text with the names of the types, and with a prefix instead of @."""
    for token, word in zip(("@real", "@bits", "@signed", "@suffix"), _TYPES[dtype.name], strict=True):
        text = text.replace(token, word)
    return text.replace("@", f"{prefix}_")


def reads_bits(activations: Iterable[str]) -> bool:
    """Return whether any of these activations consists of operations on the bits of numbers."""
    return not set(activations) <= _ONLY_LINEAR


def layer_functions(prefix: str, dtype: np.dtype[Any], widest: int, narrow: bool, *, total: bool) -> Iterator[str]:
    """Yield the functions that compute the sums of layers.

    `widest` is the largest number of outputs of a layer that is not narrow, or 0. `total` says whether a function adds up
    partial sums.
    """
    yield rendered(_FMA, prefix, dtype)
    if widest:
        loops = "".join(map(_loop, [n for n in _TILES if n <= widest]))
        yield rendered(_TILE + _DENSE % loops, prefix, dtype)
    if total:
        yield rendered(_TOTAL, prefix, dtype)
    if narrow:
        yield rendered(_NARROW, prefix, dtype)


def normalization_functions(prefix: str, dtype: np.dtype[Any], names: Iterable[str]) -> Iterator[str]:
    """Yield the functions of normalizations, after those of `layer_functions`."""
    for name in dict.fromkeys(names):
        yield rendered(_NORMALIZATIONS[name] % {"epsilon": literal(EPSILON, dtype)}, prefix, dtype)


def _loop(n: int) -> str:
    loop = _DENSE_LOOP.format(n=n)
    return f"#if @TILE >= {n}\n{loop}#endif\n" if n > _SMALLEST_TILE else loop


def activation_functions(
    prefix: str, dtype: np.dtype[Any], names: Iterable[str], waves: Sequence[str] = ()
) -> Iterator[str]:
    """Yield the functions of activations, after those of `layer_functions`, and those of angles that others call."""
    needed = dict.fromkeys(name for name in names if name != "identity")
    if reads_bits(needed) or waves:
        yield rendered(_BITS, prefix, dtype)
    yield from _functions_of_angles(prefix, dtype, dict.fromkeys([*(["sine"] if "sin" in needed else []), *waves]))
    if "softmax" in needed:
        needed = {"exp": None} | needed
    for name in needed:
        if name in _FORMULAS:
            body = _indented(body_of(_FORMULAS[name], dtype, "x"))
            yield rendered(_ELEMENTWISE % {"name": name, "body": body}, prefix, dtype)
        elif name == "softmax":
            yield rendered(_SOFTMAX, prefix, dtype)
        elif name == "prelu":
            yield rendered(_PRELU, prefix, dtype)
        else:
            yield rendered(_SINES % _wave_texts("sine", dtype, ""), prefix, dtype)


def parametric_functions(prefix: str, dtype: np.dtype[Any], names: Iterable[str]) -> Iterator[str]:
    """Yield the functions of parametric activations, after those of the activations."""
    for name in dict.fromkeys(names):
        yield rendered(_PARAMETRIC % {"name": name}, prefix, dtype)


def _functions_of_angles(prefix: str, dtype: np.dtype[Any], names: Iterable[str]) -> Iterator[str]:
    """Yield these functions of one number, which compute large floats as doubles, and large doubles by the C library."""
    double, each = np.dtype(np.float64), list(names)
    if each and dtype != double:
        yield rendered(_FMA + _BITS, f"{prefix}_double", double)
    for name in each:
        far = f"{_OF_ANGLES[name][1]}(x)"
        if dtype != double:
            yield rendered(_WAVE % _wave_texts(name, double, far), f"{prefix}_double", double)
            far = f"(float)@double_{name}((double)x)"
        yield rendered(_WAVE % _wave_texts(name, dtype, far), prefix, dtype)


def _wave_texts(name: str, dtype: np.dtype[Any], far: str) -> dict[str, str]:
    limit = SINE32.limit if dtype == np.float32 else SINE64.limit
    body = _indented(body_of(_OF_ANGLES[name][0], dtype, "x"))
    return {"name": name, "body": body, "limit": literal(limit, dtype), "far": far}


def _indented(lines: list[str]) -> str:
    return "\n".join(line if line.startswith("#") else f"    {line}" for line in lines)
