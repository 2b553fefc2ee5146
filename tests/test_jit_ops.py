"""Functions of fastnn.ops inside code that Numba compiles: they have the same bits as outside."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import _core, ops

pytest.importorskip("numba")

import numba

TypingError = numba.core.errors.TypingError

DTYPES = [np.float32, np.float64]


@numba.njit
def gelu_tanh(x):
    return ops.gelu(ops.tanh(x))


@numba.njit
def into(x, out):
    ops.sin(x, out=out)
    return ops.sigmoid(out, out)


def compiled(name):
    """Return a compiled function of arrays and numbers that calls the function with that name."""
    function = getattr(ops, name)
    return numba.njit(lambda x: function(x))


def numbers(shape=(6, 5), dtype=np.float64, seed=0):
    return np.random.default_rng(seed).normal(0, 2, shape).astype(dtype)


def read_only(shape):
    array = np.empty(shape)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("name", _core.FUNCTIONS)
def test_every_elementwise_function_has_the_bits_of_ops(name):
    function = compiled(name)
    with np.errstate(all="ignore"):
        for dtype in DTYPES:
            x = numbers((3, 50), dtype)
            np.testing.assert_array_equal(function(x), getattr(ops, name)(x), strict=True)
            for value in (x[0, 0], dtype(np.inf), dtype(-np.inf), dtype(np.nan), dtype(-0.0)):
                actual, wanted = function(value), getattr(ops, name)(value)
                np.testing.assert_array_equal(actual, wanted)
                assert np.signbit(actual) == np.signbit(wanted) or np.isnan(wanted)


def test_every_layout_and_type_gives_the_bits_of_ops():
    x = numbers((4, 6, 5))
    for given in (x, x[::2, ::-1], x.T, np.asfortranarray(x[0]), x[0, 0], x[:0], np.array(0.5), x.astype(np.float32)):
        np.testing.assert_array_equal(gelu_tanh(given), ops.gelu(ops.tanh(given)))
        assert np.shape(gelu_tanh(given)) == given.shape
    sines = compiled("sin")
    for given in (np.asfortranarray(x[0]), x[0].T, x[0]):
        np.testing.assert_array_equal(sines(given), ops.sin(given))
    for dtype in (np.int16, np.uint16, np.int32, np.int64, np.uint64):
        whole = np.arange(5, dtype=dtype)
        np.testing.assert_array_equal(gelu_tanh(whole), ops.gelu(ops.tanh(whole)), strict=True)
    assert gelu_tanh(np.arange(3, dtype=np.int8)).dtype == np.float32  # Numba has no float16 on CPUs
    assert gelu_tanh(2) == ops.gelu(ops.tanh(2))
    read_only = x.copy()
    read_only.flags.writeable = False
    np.testing.assert_array_equal(gelu_tanh(read_only), ops.gelu(ops.tanh(x)))


def test_results_are_written_to_out():
    x = numbers()
    wanted = ops.sigmoid(ops.sin(x))
    for out in (np.empty((6, 5)), np.empty((5, 6)).T, np.empty((6, 10))[:, ::2], x.copy()):
        assert into(x, out) is out
        np.testing.assert_array_equal(out, wanted)
    single = np.empty((6, 5), np.float32)
    np.testing.assert_array_equal(into(x, single), ops.sigmoid(ops.sin(x).astype(np.float32)))
    repeated = into(x[0], np.empty((3, 5)))
    np.testing.assert_array_equal(repeated, np.broadcast_to(wanted[0], (3, 5)))
    long = numbers(40)
    wanted = ops.sin(long[1:])

    @numba.njit
    def shifted(a):
        ops.sin(a[1:], out=a[:-1])

    shifted(long)
    np.testing.assert_array_equal(long[:-1], wanted)


def test_functions_can_run_in_parallel_and_without_the_gil():
    @numba.njit(parallel=True, nogil=True)
    def rows(x):
        out = np.empty_like(x)
        for i in numba.prange(len(x)):
            out[i] = ops.silu(x[i]) + ops.exp(-x[i] * x[i])
        return out

    x = numbers((200, 7))
    np.testing.assert_array_equal(rows(x), ops.silu(x) + ops.exp(-x * x))


def test_wrong_arguments_raise():
    function = compiled("tanh")
    for wrong in ("text", 1j, np.ones(2, complex), (1.0, 2.0), None):
        with pytest.raises(TypingError, match="tanh"):
            function(wrong)
    for out in (np.empty((6, 5), int), read_only((6, 5))):
        with pytest.raises(TypingError):
            into(numbers(), out)
    with pytest.raises(ValueError, match="broadcast|assign"):
        into(numbers(), np.empty((5, 5)))


# ---- Layers ----


@numba.njit
def layer(x, w, b, name):
    return ops.linear(x, w, b, name)


@numba.njit
def layer_into(x, w, b, out):
    return ops.linear(x, w, b, activation="tanh", out=out, n_threads=1)


@numba.njit
def bare_layer(x, w):
    return ops.linear(x, w)


@numba.njit
def gradients(x, w, a, grad_a):
    return ops.linear_grad(x, w, a, grad_a, "sigmoid")


@pytest.mark.parametrize("dtype", DTYPES)
def test_linear_has_the_bits_of_ops(dtype):
    x, w, b = numbers((12, 7), dtype), numbers((7, 9), dtype, 1), numbers(9, dtype, 2)
    for given in (
        x,
        x[::2, ::-1],
        x[0],
        x.reshape(3, 4, 7),
        np.asfortranarray(x),
        x[:0],
        x.astype(np.float32),
        np.rint(x).astype(int),
    ):
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(bare_layer(given, w), ops.linear(given, w), strict=True)
        for name in _core.ACTIVATIONS:
            np.testing.assert_array_equal(layer(given, w, b, name), ops.linear(given, w, b, name), strict=True)
        for out in (np.empty((*given.shape[:-1], 9), dtype), np.empty((9, *given.shape[-2::-1]), np.float64).T):
            assert layer_into(given, w, b, out) is out
            np.testing.assert_array_equal(out, ops.linear(given, w, b, "tanh", out=np.empty_like(out)))
    square = numbers((6, 6), dtype)
    wanted = ops.linear(square, square, square[0], "tanh")
    layer_into(square, square, square[0].copy(), square)
    np.testing.assert_array_equal(square, wanted)


@pytest.mark.parametrize("dtype", DTYPES)
def test_linear_grad_has_the_bits_of_ops(dtype):
    x, w = numbers((12, 7), dtype), numbers((7, 3), dtype, 1)
    for given in (x, x[::2, ::-1], x[0], x.reshape(3, 4, 7)):
        a = ops.linear(given, w, None, "sigmoid")
        for actual, wanted in zip(
            gradients(given, w, a, np.cos(a)), ops.linear_grad(given, w, a, np.cos(a), "sigmoid"), strict=True
        ):
            np.testing.assert_array_equal(actual, wanted, strict=True)


def test_wrong_layers_raise():
    x, w, b = numbers((4, 3)), numbers((3, 2)), numbers(2)
    threaded = numba.njit(lambda x, w, n: ops.linear(x, w, n_threads=n))
    wrong = [
        (lambda: threaded(x, w, 0), ValueError, "^n_threads: expected at least 1"),
        (lambda: layer_into(x, w, b, read_only((4, 2))), TypingError, "linear"),
        (lambda: layer(x[:, :2], w, b, "tanh"), ValueError, "^x: expected rows of n_in"),
        (lambda: layer(x, w, np.ones(3), "tanh"), ValueError, r"^b: expected shape \(n_out,\)"),
        (lambda: layer(x, w, b[:1], "tanh"), ValueError, r"^b: expected shape \(n_out,\)"),
        (lambda: layer(x, w, b, "tan"), ValueError, "^activation: expected the name"),
        (lambda: layer_into(x, w, b, np.empty((4, 3))), ValueError, "^out: expected the shape"),
        (lambda: layer_into(x, w, b, np.empty((3, 2))), ValueError, "^out: expected the shape"),
        (lambda: gradients(x, w, np.ones((4, 3)), np.ones((4, 2))), ValueError, r"^a: expected the shape of linear"),
        (lambda: gradients(x[:, :2], w, np.ones((4, 2)), np.ones((4, 2))), ValueError, "^x: expected rows of n_in"),
        (lambda: gradients(x, w, np.ones((4, 2)), np.ones((4, 3))), ValueError, "^grad_a"),
        (lambda: layer(x, w[0], b, "tanh"), TypingError, "linear"),
        (lambda: layer(x, w, b, 3), TypingError, "linear"),
    ]
    for call, error, message in wrong:
        with pytest.raises(error, match=message):
            call()


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_has_the_bits_of_ops(name):
    function = getattr(ops, name)
    along = numba.njit(lambda x, axis: function(x, axis))
    last = numba.njit(lambda x: function(x))
    first = numba.njit(lambda x, out: function(x, axis=0, out=out))
    x = numbers((3, 4, 5))
    for given in (x, x.astype(np.float32)[0, 0], np.rint(x[0]).astype(int), np.empty((3, 0), int)):
        np.testing.assert_array_equal(last(given), function(given), strict=True)
    for axis in range(-3, 3):
        np.testing.assert_array_equal(along(x[::2, ::-1], axis), function(x[::2, ::-1], axis), strict=True)
    out = np.empty(x.shape, np.float32)
    assert first(x, out) is out
    np.testing.assert_array_equal(out, function(x, 0, out=np.empty_like(out)))
    with pytest.raises(ValueError, match="^axis: "):
        along(x[::2, ::-1], 3)
    with pytest.raises(ValueError, match="^axis: "):
        along(x[::2, ::-1], -4)
    for shape in ((3, 4, 4), (5, 4, 3)):
        with pytest.raises(ValueError, match="^out: "):
            first(x, np.empty(shape, np.float32))
    with pytest.raises(TypingError, match="softmax"):
        first(x, read_only(x.shape))
    with pytest.raises(TypingError):
        last(1.0)
