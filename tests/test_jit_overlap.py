"""Outputs that overlap arguments in code that Numba compiles: results are those of separate arrays."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import MLP, SGD, Trainer, ops

pytest.importorskip("numba")

import numba

SIDE = 200  # more rows than kernels read before they write
OUT = slice(3 * SIDE**2, 4 * SIDE**2)  # the number of elements of a buffer
STRIDES = ((SIDE, 1), (-SIDE, 1), (SIDE + 1, -1), (2 * SIDE, 2), (-2 * SIDE, -2), (1, SIDE + 1))


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
    """Return a buffer of numbers, and the matrix in the middle of it to which results are written."""
    numbers = np.random.default_rng(0).normal(size=8 * SIDE**2)
    return numbers, numbers[OUT].reshape(SIDE, SIDE)


def starts(*strides):
    """Return first indices of views that end right before the output, share its first element, and so on."""
    span = 1 + (SIDE - 1) * sum(map(abs, strides))
    return OUT.start - span, OUT.start - span + 1, OUT.start - span // 2, OUT.start, OUT.start + 1, OUT.stop - 1, OUT.stop


def view(numbers, start, *strides):
    """Return a vector or a matrix whose first index is the start."""
    first = start - sum(min(0, stride) * (SIDE - 1) for stride in strides)
    in_bytes = tuple(stride * numbers.itemsize for stride in strides)
    return np.lib.stride_tricks.as_strided(numbers[first:], (SIDE,) * len(strides), in_bytes)


VIEWS = [(start, *strides) for strides in STRIDES for start in starts(*strides)]


@pytest.mark.parametrize("argument", ["x", "w"])
def test_layers_may_overlap_their_output(argument):
    other, bias = np.random.default_rng(1).normal(size=(2 * SIDE, 2 * SIDE))[::2, ::2], np.ones(2 * SIDE)[::2]
    for place in VIEWS:
        numbers, out = buffer()
        given = view(numbers, *place)
        x, w = (given, other) if argument == "x" else (other, given)
        wanted = ops.linear(x.copy(), w.copy(), bias)
        layer(x, w, bias, out)
        np.testing.assert_array_equal(out, wanted, err_msg=str(place))


def test_biases_may_overlap_the_output():
    x, w = np.random.default_rng(1).normal(size=(2, 2 * SIDE, 2 * SIDE))[:, ::2, ::2]
    for step in (1, 2, -1, -2, 5, -SIDE):
        for start in starts(step):
            numbers, out = buffer()
            bias = view(numbers, start, step)
            wanted = ops.linear(x, w, bias.copy())
            layer(x, w, bias, out)
            np.testing.assert_array_equal(out, wanted, err_msg=str((start, step)))


def test_inputs_of_predictions_may_overlap_the_output():
    model = MLP((SIDE, SIDE, SIDE), "tanh", dtype=np.float64, random_state=0)
    for place in VIEWS:
        numbers, out = buffer()
        x = view(numbers, *place)
        wanted = model.predict(x.copy())
        predict(model, x, out)
        np.testing.assert_array_equal(out, wanted, err_msg=str(place))


def test_elementwise_functions_may_overlap_their_output():
    for start in starts(1):
        numbers, _ = buffer()
        x, out = view(numbers, start, 1), numbers[OUT][:SIDE]
        wanted = ops.sin(x.copy())
        sines(x, out)
        np.testing.assert_array_equal(out, wanted, err_msg=str(start))


@numba.njit
def step(trainer, x, y):
    trainer.step(x, y)


@numba.njit
def step_gradient(trainer, x, g):
    trainer.step_gradient(x, g)


@pytest.mark.parametrize("call", [step, step_gradient])
@pytest.mark.parametrize("which", ["x", "y", "both"])
def test_steps_with_the_parameters_are_steps_with_their_copies(call, which):
    results = []
    for copied in (False, True):
        model = MLP((16, 16, 16), "tanh", dtype="float64", random_state=0)
        own = model.weights[0].copy() if copied else model.weights[0]
        given = np.linspace(-1, 1, 256).reshape(16, 16)
        call(Trainer(model, optimizer=SGD(0.1)), own if which != "y" else given, own[::-1] if which != "x" else given[::-1])
        results.append(model.to_vector())
    np.testing.assert_array_equal(*results)
