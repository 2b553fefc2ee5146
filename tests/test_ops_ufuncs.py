"""The elementwise functions of fastnn.ops as NumPy ufuncs, and half precision to the last bit."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import fastnn
from fastnn import _core, ops, reference
from fastnn.ops import activations, elementary

NAMES = [*activations.__all__, *elementary.__all__]


def test_registry():
    assert sorted(NAMES) == sorted(_core.FUNCTIONS)


@pytest.mark.parametrize("name", NAMES)
def test_is_a_ufunc(name):
    function = getattr(ops, name)
    assert type(function) is np.ufunc
    assert function.__name__ == name
    assert function.types == ["e->e", "f->f", "d->d"]
    assert pickle.loads(pickle.dumps(function)) is function
    assert copy.deepcopy(function) is function


@pytest.mark.parametrize("function", [ops.sigmoid, reference.sigmoid])
def test_where_and_dtype(function):
    x = np.linspace(-3, 3, 40).reshape(8, 5)
    where = x > 0
    out = np.full_like(x, -7.0)
    assert function(x, out=out, where=where) is out
    np.testing.assert_array_equal(out[~where], -7.0)
    np.testing.assert_allclose(out[where], 1 / (1 + np.exp(-x[where])), rtol=1e-15)
    assert function(x, dtype=np.float32).dtype == np.float32
    assert function(np.arange(3, dtype=np.int8), dtype=np.float64).dtype == np.float64
    np.testing.assert_array_equal(function(x, dtype="f4"), function(x.astype("f4")))
    with pytest.raises(TypeError):
        function(x, dtype=np.int32)


def test_casting():
    x = np.ones(3)
    with pytest.raises(TypeError, match="casting rule"):
        ops.tanh(x, dtype=np.float32, casting="safe")
    with pytest.raises(TypeError, match="Cannot cast ufunc 'tanh' output"):
        ops.tanh(x, out=np.empty(3, np.float32), casting="safe")
    with pytest.raises(TypeError, match="No loop matching"):
        ops.tanh(x, signature="g->g")


def test_at():
    x = np.array([1.0, 2.0, 3.0])
    ops.tanh.at(x, [0, 0, 2])
    once = ops.tanh(1.0)
    np.testing.assert_array_equal(x, [ops.tanh(once), 2.0, ops.tanh(3.0)])


def test_array_ufunc():
    class Logged(np.ndarray):
        def __array_ufunc__(self, ufunc, method, *inputs, **keywords):
            return ufunc, method

    assert ops.gelu(np.ones(2).view(Logged)) == (ops.gelu, "__call__")


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # np.matrix
@pytest.mark.parametrize("kind", [np.ma.masked_array, np.matrix])
def test_subclasses_stay(kind):
    x = kind([[1.0, 2.0]])
    assert type(ops.tanh(x)) is type(np.tanh(x)) is type(x)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_bits_do_not_depend_on_place(name, dtype):
    function = getattr(ops, name)
    x = np.random.default_rng(0).normal(0, 3, 700).astype(dtype)
    wanted = function(x)
    spread = np.zeros((700, 3), dtype)
    spread[:, 1] = x
    np.testing.assert_array_equal(function(spread[:, 1]), wanted)
    np.testing.assert_array_equal(function(x[::-1])[::-1], wanted)
    np.testing.assert_array_equal(function(x.astype(x.dtype.newbyteorder())), wanted)
    np.testing.assert_array_equal([function(value) for value in x[:20]], wanted[:20])
    out = spread.copy()
    function(x, out=out[:, 2])
    np.testing.assert_array_equal(out[:, 2], wanted)
    np.testing.assert_array_equal(out[:, :2], spread[:, :2])


def test_long_arrays_have_the_bits_of_short_ones():
    x = np.random.default_rng(0).normal(0, 3, 700_001).astype("f4")
    wanted = np.concatenate([ops.gelu(part) for part in np.array_split(x, 100)])
    threads = fastnn.get_num_threads()
    try:
        for n in (1, 2, 5):
            fastnn.set_num_threads(n)
            np.testing.assert_array_equal(ops.gelu(x), wanted)
    finally:
        fastnn.set_num_threads(threads)


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_is_that_of_float32(name):
    """By way of every input, and of NumPy's rounding of the results."""
    x = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    with np.errstate(all="ignore"):
        wanted = getattr(ops, name)(x.astype(np.float32)).astype(np.float16)
    actual = getattr(ops, name)(x)
    np.testing.assert_array_equal(actual, wanted)
    np.testing.assert_array_equal(np.signbit(actual)[actual == 0], np.signbit(wanted)[wanted == 0])


@pytest.mark.parametrize("name", NAMES)
def test_no_warnings(name):
    # pytest turns warnings into errors; "raise" would tell of what NumPy ignores.
    for dtype in ("f2", "f4", "f8"):
        x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 6e4, -6e4, np.finfo(dtype).tiny, np.finfo(dtype).max, -1.0], dtype)
        with np.errstate(all="raise"):
            getattr(ops, name)(x)
            getattr(ops, name)(x[::2])


@pytest.mark.parametrize("size", [1, 40_000])
def test_casts_that_overflow_are_reported(size):
    """What is raised before a function is called is not its own, and stays."""
    with np.errstate(over="raise"), pytest.raises(FloatingPointError, match="overflow"):
        ops.tanh(np.full(size, 1e300), dtype=np.float32, casting="same_kind")
