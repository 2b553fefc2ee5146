"""Results that are written where arguments stand, in code that Numba compiles: those for arrays that are apart."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fastnn import MLP, ops

pytest.importorskip("numba")

import numba

SIDE = 4
# Where rows of four may stand in one buffer: apart, side by side, one within the other, reversed, and interleaved.
STARTS = (0, 8, 14, 15, 16, 17, 31, 32, 40)
STRIDES = ((5, 1), (-5, 1), (5, -1), (8, 2), (-8, -2), (1, 5))  # of one of Numba's types


@numba.njit
def layer(x, w, b, out):
    ops.linear(x, w, b, out=out)


@numba.njit
def predict(model, x, out):
    model.predict(x, out=out)


@numba.njit
def sines(x, out):
    ops.sin(x, out=out)


def buffer():
    return np.random.default_rng(0).normal(size=100)


def view(array, start, strides):
    """Return a matrix of any strides in a buffer, that has its smallest address at the start."""
    first = start - sum(min(0, stride) * (SIDE - 1) for stride in strides)
    in_bytes = tuple(stride * array.itemsize for stride in strides)
    return np.lib.stride_tricks.as_strided(array[first:], (SIDE, SIDE), in_bytes)


VIEWS = [(start, strides) for start, strides in itertools.product(STARTS, STRIDES)]


@pytest.mark.parametrize("argument", ["x", "w"])
def test_layers(argument):
    other, bias = np.random.default_rng(1).normal(size=(SIDE, SIDE)), np.ones(SIDE)
    for start, strides in VIEWS:
        a = buffer()
        given, out = view(a, start, strides), a[16:32].reshape(SIDE, SIDE)
        x, w = (given, other) if argument == "x" else (other, given)
        wanted = ops.linear(x.copy(), w.copy(), bias)
        layer(x, w, bias, out)
        np.testing.assert_array_equal(out, wanted, err_msg=str((start, strides)))


def test_biases():
    x, w = np.random.default_rng(1).normal(size=(2, SIDE, SIDE))
    for start, step in itertools.product(range(8, 34), (2, -1, -2, 5)):
        a = buffer()
        bias, out = a[start + 3 * max(0, -step) :: step][:SIDE], a[16:32].reshape(SIDE, SIDE)
        wanted = ops.linear(x, w, bias.copy())
        layer(x, w, bias, out)
        np.testing.assert_array_equal(out, wanted, err_msg=str((start, step)))


def test_predictions():
    model = MLP((SIDE, 3, SIDE), "tanh", dtype=np.float64, random_state=0)
    for start, strides in VIEWS:
        a = buffer()
        x, out = view(a, start, strides), a[16:32].reshape(SIDE, SIDE)
        wanted = model.predict(x.copy())
        predict(model, x, out)
        np.testing.assert_array_equal(out, wanted, err_msg=str((start, strides)))


def test_elementwise_functions():
    for start, length in itertools.product(range(40), (1, 5, 12)):
        a = buffer()
        x, out = a[start : start + length], a[16 : 16 + length]
        wanted = ops.sin(x.copy())
        sines(x, out)
        np.testing.assert_array_equal(out, wanted, err_msg=str((start, length)))
