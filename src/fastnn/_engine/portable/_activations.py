"""Activations in the step: value and slope, the slope from the output a wherever that determines it.

They are right to the roundings of a training step; those that are right for every element by itself are the oracle's.
z, a, slope and delta are vectors, one row of n units after the other; kind is the place in `ACTIVATIONS`. Numbers are made
of the vectors' type first: compiled, a float beside float32 would make float64 of all.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnn._engine.portable._compile import put, shared

ACTIVATIONS = (
    "identity",
    "tanh",
    "sigmoid",
    "relu",
    "leaky_relu",
    "elu",
    "gelu",
    "silu",
    "softplus",
    "sin",
    "exp",
    "softmax",
)
IDENTITY, TANH, SIGMOID, RELU, LEAKY_RELU, ELU, GELU, SILU, SOFTPLUS, SIN, EXP, SOFTMAX = range(len(ACTIVATIONS))
CUSTOM = -1  # the user's own, which only Python can call

# Those whose slope the output does not tell.
FROM_INPUT = (GELU, SILU, SIN)

# Beyond these, erfc(z) and exp(-z) are 0 or infinity. A limit there keeps infinity * 0 from being NaN.
_NORMAL_VANISHES = 40.0
_EXP_VANISHES = 800.0
_ROOT_HALF = math.sqrt(0.5)
_DENSITY_AT_0 = 1.0 / math.sqrt(2.0 * math.pi)


@shared
def value(kind: int, z: Any, n: int) -> None:
    """Make z the activation of z."""
    number = z.dtype.type
    zero, one, two = number(0.0), number(1.0), number(2.0)
    if kind == TANH:
        put(z, one - two / (np.exp(z + z) + one))  # np.tanh, compiled, takes up to ten times as long
    elif kind == SIGMOID:
        put(z, one / (one + np.exp(-z)))
    elif kind == RELU:
        put(z, np.maximum(z, zero))
    elif kind == LEAKY_RELU:
        put(z, np.maximum(z, number(0.01) * z))
    elif kind == ELU:
        put(z, np.where(z > zero, z, np.expm1(z)))
    elif kind == GELU:
        put(z, np.maximum(z, number(-_NORMAL_VANISHES)) * normal_probability(z))
    elif kind == SILU:
        put(z, np.maximum(z, number(-_EXP_VANISHES)) / (one + np.exp(-z)))
    elif kind == SOFTPLUS:
        put(z, np.maximum(z, zero) + np.log1p(np.exp(-np.abs(z))))
    elif kind == SIN:
        put(z, np.sin(z))
    elif kind == EXP:
        put(z, np.exp(z))
    elif kind == SOFTMAX:
        put(z, softmax(z, n))


@shared
def slope_from_output(kind: int, a: Any, slope: Any) -> None:
    """Make slope the derivative where the output is a. Softmax has none: see `times_slope`."""
    number = a.dtype.type
    zero, one = number(0.0), number(1.0)
    if kind == IDENTITY:
        put(slope, one)
    elif kind == TANH:
        put(slope, (one - a) * (one + a))
    elif kind == SIGMOID:
        put(slope, a * (one - a))
    elif kind == RELU:
        put(slope, np.where(a > zero, one, zero))
    elif kind == LEAKY_RELU:
        put(slope, np.where(a > zero, one, number(0.01)))
    elif kind == ELU:
        put(slope, np.where(a > zero, one, a + one))
    elif kind == SOFTPLUS:
        put(slope, -np.expm1(-a))
    elif kind == EXP:
        put(slope, a)


@shared
def slope_from_input(kind: int, z: Any, slope: Any) -> None:
    """Make slope the derivative at z, of the activations `FROM_INPUT`."""
    number = z.dtype.type
    half, one = number(0.5), number(1.0)
    if kind == GELU:
        near = np.minimum(np.maximum(z, number(-_NORMAL_VANISHES)), number(_NORMAL_VANISHES))
        put(slope, normal_probability(z) + near * np.exp(-half * near * near) * number(_DENSITY_AT_0))
    elif kind == SILU:
        near = np.minimum(np.maximum(z, number(-_EXP_VANISHES)), number(_EXP_VANISHES))
        probability = one / (one + np.exp(-near))
        put(slope, probability * (one + near / (one + np.exp(near))))
    elif kind == SIN:
        put(slope, np.cos(z))


@shared
def value_and_slope(kind: int, z: Any, slope: Any, n: int) -> None:
    """Make slope the derivative at z, and z the activation of z."""
    if kind in FROM_INPUT:
        slope_from_input(kind, z, slope)
        value(kind, z, n)
    else:
        value(kind, z, n)
        slope_from_output(kind, z, slope)


@shared
def times_slope(kind: int, delta: Any, a: Any, slope: Any, n: int) -> None:
    """Make delta, the gradient with respect to the outputs a, that with respect to what went into the activation."""
    if kind == SOFTMAX:
        put(delta, a * (delta - sums_of_rows(delta * a, n)))
    else:
        delta *= slope


@shared
def normal_probability(z: Any) -> Any:
    """Return the normal distribution function at z."""
    result = np.empty_like(z)
    for i in range(z.size):  # neither NumPy nor Numba has erfc of arrays
        result[i] = 0.5 * math.erfc(-_ROOT_HALF * z[i])
    return result


@shared
def softmax(z: Any, n: int) -> Any:
    """Return exp(z) divided by its sum over each row."""
    powers = np.exp(z - maxima_of_rows(z, n))
    return powers / sums_of_rows(powers, n)


@shared
def maxima_of_rows(z: Any, n: int) -> Any:
    """Return at every element the maximum of its row."""
    rows = z.reshape(-1, n)
    maxima = rows[:, 0].copy()
    for j in range(1, n):
        maxima = np.maximum(maxima, rows[:, j])
    return np.repeat(maxima, n)


@shared
def sums_of_rows(z: Any, n: int) -> Any:
    """Return at every element the sum of its row."""
    return np.repeat(np.sum(z.reshape(-1, n), axis=1), n)
