"""The elementwise functions of fastnn.ops as NumPy ufuncs, and the bits of half precision."""

from __future__ import annotations

import copy
import pickle
import sys
import types

import numpy as np
import pytest

import fastnn
from fastnn import _core, ops, reference
from fastnn.ops import activations, elementary

NAMES = [*activations.__all__, *elementary.__all__]


def test_every_function_of_the_registry_is_a_ufunc():
    assert sorted(NAMES) == sorted(_core.FUNCTIONS)


@pytest.mark.parametrize("name", NAMES)
def test_functions_have_the_attributes_of_ufuncs(name):
    function = getattr(ops, name)
    assert type(function) is np.ufunc
    assert function.__name__ == name
    assert function.types == ["e->e", "f->f", "d->d"]
    assert pickle.loads(pickle.dumps(function)) is function
    assert copy.deepcopy(function) is function


@pytest.mark.skipif(not hasattr(np.positive, "__dict__"), reason="ufuncs have attributes of their own since NumPy 2.2")
@pytest.mark.parametrize("name", NAMES)
def test_pickles_of_ufuncs_look_through_no_other_module(name, monkeypatch):
    class Warns(types.ModuleType):
        def __getattr__(self, name):
            raise AssertionError(f"{name} was asked for")

    monkeypatch.setattr(sys, "modules", {"numpy.core": Warns("numpy.core"), **sys.modules})
    assert pickle.loads(pickle.dumps(getattr(ops, name))) is getattr(ops, name)


@pytest.mark.parametrize("function", [ops.sigmoid, reference.sigmoid])
def test_where_and_dtype_work_as_for_numpys_ufuncs(function):
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


def test_casting_works_as_for_numpys_ufuncs():
    x = np.ones(3)
    with pytest.raises(TypeError, match="casting rule"):
        ops.tanh(x, dtype=np.float32, casting="safe")
    with pytest.raises(TypeError, match="Cannot cast ufunc 'tanh' output"):
        ops.tanh(x, out=np.empty(3, np.float32), casting="safe")
    with pytest.raises(TypeError, match="No loop matching"):
        ops.tanh(x, signature="g->g")


def test_at_works_as_for_numpys_ufuncs():
    x = np.array([1.0, 2.0, 3.0])
    ops.tanh.at(x, [0, 0, 2])
    once = ops.tanh(1.0)
    np.testing.assert_array_equal(x, [ops.tanh(once), 2.0, ops.tanh(3.0)])


def test_types_may_override_ufuncs():
    class Logged(np.ndarray):
        def __array_ufunc__(self, ufunc, method, *inputs, **keywords):
            return ufunc, method

    assert ops.gelu(np.ones(2).view(Logged)) == (ops.gelu, "__call__")


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # np.matrix
@pytest.mark.parametrize("kind", [np.ma.masked_array, np.matrix])
def test_subclasses_are_returned(kind):
    x = kind([[1.0, 2.0]])
    assert type(ops.tanh(x)) is type(np.tanh(x)) is type(x)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_bits_do_not_depend_on_the_position_in_an_array(name, dtype):
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
def test_half_precision_is_float32_rounded(name):
    """The test runs over every input, and NumPy rounds the results."""
    x = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    with np.errstate(all="ignore"):
        wanted = getattr(ops, name)(x.astype(np.float32)).astype(np.float16)
    actual = getattr(ops, name)(x)
    np.testing.assert_array_equal(actual, wanted)
    np.testing.assert_array_equal(np.signbit(actual)[actual == 0], np.signbit(wanted)[wanted == 0])


@pytest.mark.parametrize("name", NAMES)
def test_no_floating_point_warnings_are_given(name):
    # pytest turns warnings into errors; "raise" also reports errors that NumPy ignores by default.
    for dtype in ("f2", "f4", "f8"):
        x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 6e4, -6e4, np.finfo(dtype).tiny, np.finfo(dtype).max, -1.0], dtype)
        with np.errstate(all="raise"):
            getattr(ops, name)(x)
            getattr(ops, name)(x[::2])


@pytest.mark.parametrize("size", [1, 40_000])
def test_casts_that_overflow_are_reported(size):
    """Unlike flags that a kernel raises, those of NumPy's casts before the call are the user's to see."""
    with np.errstate(over="raise"), pytest.raises(FloatingPointError, match="overflow"):
        ops.tanh(np.full(size, 1e300), dtype=np.float32, casting="same_kind")
