"""Types of numbers in code that Numba compiles: the rule of fastnn.ops, for every function and every pair of types."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fastnn import MLP, SGD, Trainer, ops

pytest.importorskip("numba")

import numba
from numba import types

from fastnn.jit import _kernels

NAMES = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64")
DTYPES = [np.dtype(name) for name in NAMES]
# Each type occurs once on either side, with types that are promoted to the first, to the second, and to a third.
PAIRS = [(DTYPES[i], DTYPES[j]) for i, j in zip(range(11), (9, 2, 9, 3, 1, 10, 6, 9, 7, 0, 4), strict=True)]


def numbers(shape, dtype, largest=None):
    """Return numbers up to the largest of the type, whose products float32 cannot represent."""
    if dtype.kind == "f":
        return np.random.default_rng(0).uniform(-1, 1, shape).astype(dtype)
    top = 1 if dtype.kind == "b" else min(np.iinfo(dtype).max, 2**50) if largest is None else largest
    return (top - np.arange(np.prod(shape)).reshape(shape) % 7 % (top + 1)).astype(dtype)


def array_type(dtype):
    return types.Array(types.boolean if dtype.kind == "b" else getattr(types, dtype.name), 2, "C")


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_rule_is_that_of_ops(count):
    for dtypes in itertools.product(DTYPES, repeat=count):
        arrays = [np.zeros((1, 1), dtype) for dtype in dtypes]
        outside = ops.softmax(*arrays) if count == 1 else ops.linear(*arrays[:2], *(b[0] for b in arrays[2:]))
        assert str(_kernels.float_of(*map(array_type, dtypes))) == str(outside.dtype), dtypes


def test_the_rule_of_elementwise_functions_is_that_of_ufuncs():
    """For 8-bit integers, the functions outside return float16, computed in float32; Numba has no float16."""
    for dtype in DTYPES:
        outside = ops.sin(np.zeros((1, 1), dtype)).dtype
        for kind in (array_type(dtype), array_type(dtype).dtype):
            expected = "float32" if outside == np.float16 else str(outside)
            assert str(_kernels.elementwise_float_of(kind)) == expected, dtype


@numba.njit
def layer(x, w, b):
    return ops.linear(x, w, b)


@pytest.mark.parametrize(("one", "other"), PAIRS[::2], ids=str)
def test_layers_follow_the_rule(one, other):
    x, w, b = numbers((5, 3), one), numbers((3, 4), other), numbers(4, other)
    np.testing.assert_array_equal(layer(x, w, b), ops.linear(x, w, b), strict=True)


def test_biases_count_for_the_type():
    x, w, b = numbers((5, 3), np.dtype("f4")), numbers((3, 4), np.dtype("f4")), numbers(4, np.dtype("i4"))
    np.testing.assert_array_equal(layer(x, w, b), ops.linear(x, w, b), strict=True)


@pytest.mark.parametrize("dtype", [DTYPES[3]], ids=str)
def test_softmax_follows_the_rule(dtype):
    x = numbers((5, 3), dtype)
    np.testing.assert_array_equal(numba.njit(lambda x: ops.softmax(x))(x), ops.softmax(x), strict=True)


@numba.njit
def gradients(x, w, a, grad_a):
    return ops.linear_grad(x, w, a, grad_a, "relu")


@pytest.mark.parametrize(
    "names", [("int16", "float32", "int8", "bool"), ("float32", "float32", "float32", "uint32")], ids=str
)
def test_gradients_follow_the_rule(names):
    arrays = [numbers(shape, np.dtype(name)) for shape, name in zip([(5, 3), (3, 4), (5, 4), (5, 4)], names, strict=True)]
    for actual, wanted in zip(gradients(*arrays), ops.linear_grad(*arrays, "relu"), strict=True):
        np.testing.assert_array_equal(actual, wanted, strict=True)


@numba.njit
def losses(y, p, labels, likely):
    return ops.mse_loss(y, p), ops.cross_entropy(labels, likely)


@pytest.mark.parametrize(("one", "other"), PAIRS[::4], ids=str)
def test_losses_follow_the_rule(one, other):
    y, p = numbers((5, 3), one), numbers((5, 3), other)
    labels = numbers(5, one if one.kind in "iub" else np.dtype(np.int16), 1)
    likely = np.ones((5, 3), other)
    assert losses(y, p, labels, likely) == (ops.mse_loss(y, p), ops.cross_entropy(labels, likely))


@pytest.mark.parametrize("kind", ["bool", "int64"])
def test_gradients_of_optimizers_are_converted(kind):
    @numba.njit
    def step(param, other, grad, velocity):
        ops.momentum((param,), (grad,), ((velocity,),), 0.1)
        ops.sgd((other,), (grad,), 0.1)

    param, other, velocity, grad = np.ones(4, np.float32), np.ones(4), np.zeros(4, np.float32), numbers(4, np.dtype(kind))
    step(param, other, grad, velocity)
    expected, same = np.ones(4, np.float32), np.ones(4)
    ops.momentum([expected], [grad], {}, 0.1)
    ops.sgd([same], [grad], 0.1)
    np.testing.assert_array_equal(param, expected)
    np.testing.assert_array_equal(other, same)


@numba.njit
def predict_and_step(model, trainer, X, y):
    return model.predict(X), trainer.step(X, y)


@pytest.mark.parametrize(("one", "other"), PAIRS[1::2], ids=str)
def test_models_convert_inputs(one, other):
    X, y = numbers((6, 3), one, 1), numbers((6, 2), other, 1)
    models = [MLP((3, 4, 2), random_state=0) for _ in range(2)]
    trainers = [Trainer(model, optimizer=SGD(0.1)) for model in models]
    outputs, loss = predict_and_step(models[0], trainers[0], X, y)
    np.testing.assert_array_equal(outputs, models[1].predict(X), strict=True)
    assert loss == trainers[1].step(X, y)
    np.testing.assert_array_equal(models[0].to_vector(), models[1].to_vector())


def test_numbers_follow_the_rule():
    """The numbers are Python's, NumPy's, and arrays without dimensions."""

    @numba.njit
    def of_numbers(x):
        return ops.sin(x), ops.tanh(x)

    for value in (True, 3, 0.5, *(dtype.type(1) for dtype in DTYPES), np.array(0.5), np.array(3, np.int16)):
        for actual, function in zip(of_numbers(value), (ops.sin, ops.tanh), strict=True):
            wanted = function(np.asarray(value))
            if wanted.dtype == np.float16:
                wanted = function(np.float32(value))
            assert actual == wanted, value
            assert np.shape(actual) == ()
