"""The functions linear and linear_grad of fastnn.ops against the reference."""

from __future__ import annotations

import numpy as np
import pytest
from _helpers import KINDS

from fastnn import reference
from fastnn._engine import core as _core
from fastnn.ops import linear, linear_grad

DTYPES = [np.float32, np.float64]
FROM_OUTPUT = [name for name in _core.ACTIVATIONS if reference.ACTIVATIONS[name].uses == "output"]
FROM_INPUT = [name for name in _core.ACTIVATIONS if reference.ACTIVATIONS[name].uses == "input"]


def layer(n=7, n_in=5, n_out=6, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    shapes = (n, n_in), (n_in, n_out), (n_out,)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def assert_close(actual, expected):
    eps = float(np.finfo(actual.dtype).eps)
    np.testing.assert_allclose(actual, expected, rtol=64 * eps, atol=64 * eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", _core.ACTIVATIONS)
def test_linear_gives_the_values_of_the_reference(activation, dtype):
    for n, n_in, n_out in [(1, 1, 1), (7, 5, 6), (40, 33, 4), (3, 16, 17), (2, 70, 3), (31, 40, 37), (33, 40, 37)]:
        x, w, b = layer(n, n_in, n_out, dtype)
        w /= np.sqrt(dtype(n_in))
        wanted = reference.linear(*(array.astype(np.float64) for array in (x, w, b)), activation)
        actual = linear(x, w, b, activation)
        assert actual.dtype == dtype
        assert_close(actual, wanted)
        np.testing.assert_array_equal(linear(x, w, b, activation, n_threads=3), actual)
        np.testing.assert_array_equal(linear(x[0], w, b, activation), actual[0])
        np.testing.assert_array_equal(linear(x, w, np.zeros(n_out, dtype), activation), linear(x, w, None, activation))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ["identity", "softmax"])
def test_few_rows_of_large_layers_have_the_bits_of_many(activation, dtype, three_threads):
    """Kernels read such layers in another order, and threads share their columns."""
    for n_in, n_out in [(1030, 1030), (9, 1030), (17, 2500), (7, 1024), (603, 1536)]:
        x, w, b = layer(33, n_in, n_out, dtype)
        wanted = reference.linear(*(array.astype(np.float64) for array in (x, w, b)), activation)
        for n in (1, 2, 3, 5, 8, 12, 31, 33):
            actual = linear(x[:n], w, b, activation)
            assert_close(actual / n_in, wanted[:n] / n_in)
            for n_threads in (1, 2, 3, 7):
                np.testing.assert_array_equal(linear(x[:n], w, b, activation, n_threads=n_threads), actual)
            np.testing.assert_array_equal(linear(x[:n], np.asfortranarray(w), b, activation), actual)
        if activation == "identity":
            for columns in (slice(0, 5), slice(300, 401), slice(n_out - 20, n_out)):
                np.testing.assert_array_equal(linear(x, w[:, columns].copy(), b[columns]), linear(x, w, b)[:, columns])


def test_inputs_of_any_dimensions_give_outputs_of_their_shape():
    x, w, b = layer(24)
    wanted = linear(x, w, b, "softmax")
    assert linear(x[0], w, b).shape == (6,)
    np.testing.assert_array_equal(linear(x.reshape(2, 3, 4, 5), w, b, "softmax"), wanted.reshape(2, 3, 4, 6))
    crossed = x.reshape(4, 6, 5).transpose(1, 0, 2)
    np.testing.assert_array_equal(linear(crossed, w, b, "softmax"), wanted.reshape(4, 6, 6).transpose(1, 0, 2))
    for shape in [(0, 5), (3, 0, 5)]:
        assert linear(np.ones(shape), w, b).shape == (*shape[:-1], 6)
    assert linear(x, np.ones((5, 0))).shape == (24, 0)
    np.testing.assert_array_equal(linear(np.ones((3, 0)), np.ones((0, 6)), b), np.tile(b, (3, 1)))
    np.testing.assert_array_equal(linear(np.ones((3, 0)), np.ones((0, 2)), b[:2]), np.tile(b[:2], (3, 1)))


@pytest.mark.parametrize(
    ("x_shape", "w_shape", "b_shape"),
    [
        ((5,), (4, 5, 6), (6,)),
        ((7, 5), (4, 5, 6), None),
        ((4, 7, 5), (4, 5, 6), (4, 6)),
        ((7, 5), (5, 6), (4, 6)),
        ((5,), (5, 6), (4, 6)),
        ((3, 1, 7, 5), (4, 5, 6), (3, 4, 6)),
        ((2, 0, 7, 5), (5, 6), (1, 6)),
        ((4, 0, 5), (4, 5, 6), (6,)),
        ((2, 3, 5), (1, 1, 5, 2), (2,)),
    ],
)
@pytest.mark.parametrize("activation", ["tanh", "softmax"])
def test_stacks_of_matrices_are_multiplied_one_by_one(x_shape, w_shape, b_shape, activation):
    rng = np.random.default_rng(0)
    x, w, b = (None if shape is None else rng.normal(size=shape) for shape in (x_shape, w_shape, b_shape))
    wanted = reference.linear(x, w, b, activation)
    actual = linear(x, w, b, activation)
    assert actual.shape == wanted.shape
    assert_close(actual, wanted)
    out = np.empty((*wanted.shape[::-1],)).T
    assert linear(x, w, b, activation, out=out) is out
    np.testing.assert_array_equal(out, actual)


@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_give_the_same_bits_in_place_and_copied(dtype):
    for n, n_in, n_out in [(1, 40, 256), (40, 40, 256), (40, 9, 48), (3, 300, 16)]:
        x, w, b = layer(n, n_in, n_out, dtype)
        w /= np.sqrt(dtype(n_in))
        odd = np.empty(w.nbytes + 1, np.uint8)[1:].view(dtype).reshape(w.shape)
        odd[...] = w
        wanted = linear(x, w, b, "relu")
        np.testing.assert_array_equal(linear(x, odd, b, "relu"), wanted)
        np.testing.assert_array_equal(linear(x, np.asfortranarray(w), b, "relu"), wanted)
        np.testing.assert_array_equal(linear(np.asfortranarray(x), w, b, "relu"), wanted)
        assert_close(wanted, np.maximum(x.astype(float) @ w + b, 0))


def test_types_of_results_are_those_of_numpy():
    x, w, b = layer()
    single, half = ([array.astype(dtype) for array in (x, w, b)] for dtype in (np.float32, np.float16))
    wanted = linear(x, w, b)
    assert linear(*single).dtype == linear(half[0], *single[1:]).dtype == np.float32
    assert linear(*half).dtype == np.float16
    assert linear(x, *single[1:]).dtype == linear(single[0], w, b).dtype == linear(*single[:2], b).dtype == np.float64
    np.testing.assert_array_equal(linear(x.tolist(), w.tolist(), b.tolist()), wanted)
    np.testing.assert_array_equal(linear(x.astype(object), w, b), wanted)
    whole = np.arange(-17, 18).reshape(7, 5)
    for code in "bhilq":
        actual = linear(whole.astype(code), w, b)
        assert actual.dtype == np.float64
        np.testing.assert_array_equal(actual, linear(whole.astype(np.float64), w, b))
    assert linear(whole, np.eye(5, dtype=int)).dtype == np.float64
    np.testing.assert_array_equal(linear(whole > 0, w, b), linear((whole > 0).astype(float), w, b))


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_layout_gives_the_values_of_the_reference(dtype):
    x, w, b = layer(dtype=dtype)
    wanted = linear(x, w, b)
    swapped = np.dtype(dtype).newbyteorder()
    views = [
        lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
        lambda a: np.ascontiguousarray(a[..., ::-1])[..., ::-1],
        np.asfortranarray,
        lambda a: a.astype(swapped),
        lambda a: np.broadcast_to(a, a.shape),
    ]
    for view in views:
        np.testing.assert_array_equal(linear(view(x), w, b), wanted)
        np.testing.assert_array_equal(linear(view(x), view(w), view(b)), wanted)


@pytest.mark.parametrize("dtype", DTYPES)
def test_results_are_written_to_out(dtype):
    x, w, b = layer(dtype=dtype)
    wanted = linear(x, w, b, "tanh")
    guarded = np.full((9, 6), -123.0, dtype)
    buffers = [
        guarded[1:-1],
        np.empty((6, 7), dtype).T,
        np.empty((7, 12), dtype)[:, ::-2],
        np.empty((7, 6), np.dtype(dtype).newbyteorder()),
        np.empty((7, 6), np.float64),
    ]
    for out in buffers:
        assert linear(x, w, b, "tanh", out=out) is out
        np.testing.assert_array_equal(out, wanted)
    np.testing.assert_array_equal(guarded[[0, -1]], -123.0)
    square = layer(5, 5, 5, dtype)
    wanted = linear(*square)
    for i in range(2):
        given = [array.copy() for array in square]
        linear(*given, out=given[i])
        np.testing.assert_array_equal(given[i], wanted)


def test_wrong_arguments_raise():
    x, w, b = layer()
    out = np.full((7, 6), -123.0)
    wrong = [
        (ValueError, "^w: expected (shape )?...., n_in, n_out..*got .5,.", (x, w[:, 0], b)),
        (ValueError, "^x: expected (shape )?...., 5., as w has shape .5, 6..*got .7, 4.", (x[:, :4], w, b)),
        (ValueError, "^x: expected.*got (shape )?..", (1.0, w, b)),
        (ValueError, "^b: expected (shape )?...., 6..*got .5,.", (x, w, b[:5])),
        (ValueError, "^activation: expected one of 'identity'.*got 'tan'", (x, w, b, "tan")),
        (TypeError, "^activation: expected one of 'identity'.*got 3 of type int", (x, w, b, 3)),
        (
            ValueError,
            "^x, w, b: expected leading.*got shapes .2, 7, 5., .3, 5, 6. and .6,.",
            (np.stack([x] * 2), np.stack([w] * 3), b),
        ),
        (TypeError, "^x: .*got dtype complex128", (x + 1j, w, b)),
        (TypeError, "^w: .*got dtype <U1", (x, [["a"]], b)),
        (TypeError, "^b: .*got None of type NoneType", (x, w, [None] * 6)),
    ]
    for error, message, arguments in wrong:
        with pytest.raises(error, match=message):
            linear(*arguments, out=out)
    for n_threads, error in [(0, ValueError), (-1, ValueError), (1.5, TypeError), ("2", TypeError)]:
        with pytest.raises(error, match="^n_threads: .*got "):
            linear(x, w, b, out=out, n_threads=n_threads)
    np.testing.assert_array_equal(out, -123.0)
    with pytest.raises(ValueError, match="^out: expected (shape )?.7, 6..*got .6, 7."):
        linear(x, w, b, out=out.T)
    with pytest.raises(TypeError, match="^out: .*got dtype int64"):
        linear(x, w, b, out=np.zeros((7, 6), np.int64))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", FROM_OUTPUT)
def test_linear_grad_gives_the_values_of_the_reference(activation, dtype):
    for n, n_in, n_out in [(1, 1, 1), (7, 5, 6), (40, 17, 2)]:
        x, w, b = layer(n, n_in, n_out, dtype)
        w /= np.sqrt(dtype(n_in))
        a, grad_a = linear(x, w, b, activation), layer(n, n_out, 1, dtype, seed=1)[0]
        kept = [array.copy() for array in (x, w, a, grad_a)]
        wanted = reference.linear_grad(*(array.astype(np.float64) for array in (x, w, a, grad_a)), activation)
        for actual, expected in zip(linear_grad(x, w, a, grad_a, activation), wanted, strict=True):
            assert actual.dtype == dtype
            assert_close(actual, expected)
        one = linear_grad(x[0], w, a[0], grad_a[0], activation)
        for actual, expected in zip(one, linear_grad(x[:1], w, a[:1], grad_a[:1], activation), strict=True):
            assert_close(actual, expected.reshape(actual.shape))
        for array, before in zip((x, w, a, grad_a), kept, strict=True):
            np.testing.assert_array_equal(array, before)


def test_linear_grad_has_the_shapes_and_types_of_the_arguments():
    x, w, b = layer(24)
    a, grad_a = linear(x, w, b, "tanh"), layer(24, 6, 1, seed=1)[0]
    wanted = linear_grad(x, w, a, grad_a, "tanh")
    stacked = linear_grad(x.reshape(2, 12, 5), w, a.reshape(2, 12, 6), grad_a.reshape(2, 12, 6), "tanh")
    for actual, flat in zip(stacked, wanted, strict=True):
        assert_close(actual.reshape(flat.shape), flat)
    swapped = [np.asfortranarray(array.astype(array.dtype.newbyteorder())) for array in (x, w, a, grad_a)]
    for actual, native in zip(linear_grad(*swapped, "tanh"), wanted, strict=True):
        assert actual.dtype == np.float64
        assert_close(actual, native)
    for actual, aligned in zip(linear_grad(*map(KINDS["unaligned"], (x, w, a, grad_a)), "tanh"), wanted, strict=True):
        np.testing.assert_array_equal(actual, aligned)
    for array in (x, w, a, grad_a):
        array.setflags(write=False)
    for actual, writeable in zip(linear_grad(x, w, a, grad_a, "tanh"), wanted, strict=True):
        np.testing.assert_array_equal(actual, writeable)
    assert [g.dtype for g in linear_grad(*(v.astype(np.float16) for v in (x, w, a, grad_a)), "tanh")] == [np.float16] * 3
    empty = linear_grad(x[:0], w, a[:0], grad_a[:0], "tanh")
    assert [g.shape for g in empty] == [(0, 5), (5, 6), (6,)]
    assert not empty[1].any()


@pytest.mark.parametrize("activation", FROM_INPUT)
def test_linear_grad_needs_the_output(activation):
    x, w, b = layer()
    with pytest.raises(ValueError, match=f"^activation: .*got '{activation}', whose derivative does not follow"):
        linear_grad(x, w, linear(x, w, b, activation), np.ones((7, 6)), activation)


def test_linear_grad_of_wrong_shapes_raises():
    x, w, b = layer()
    a = linear(x, w, b)
    with pytest.raises(ValueError, match="^a: expected shape .7, 6., got .6, 6."):
        linear_grad(x, w, a[:6], a, "tanh")
    with pytest.raises(ValueError, match="^grad_a: expected (shape )?.7, 6..*got .7, 5."):
        linear_grad(x, w, a, a[:, :5], "tanh")
    with pytest.raises(TypeError, match="^grad_a: .*got dtype complex128"):
        linear_grad(x, w, a, a * 1j, "tanh")


LAYOUTS = {
    "rows backwards": lambda a: a[::-1].copy()[::-1],
    "columns backwards": lambda a: a[:, ::-1].copy()[:, ::-1],
    "both backwards": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "transposed": np.asfortranarray,
    "transposed, rows backwards": lambda a: np.asfortranarray(a[::-1])[::-1],
    "transposed, columns backwards": lambda a: np.asfortranarray(a[:, ::-1])[:, ::-1],
    "every other row": lambda a: np.repeat(a, 2, axis=0)[::2],
    "every other column": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_gives_the_same_bits(layout, dtype):
    """Results have the bits of contiguous arrays, whatever the layout of x and w and whichever threads read them."""
    rng, moved = np.random.default_rng(0), LAYOUTS[layout]
    for rows, n_in, n_out in ((1, 7, 5), (5, 40, 33), (9, 16, 64), (70, 33, 2), (200, 130, 48)):
        x, w = rng.normal(size=(rows, n_in)).astype(dtype), rng.normal(size=(n_in, n_out)).astype(dtype)
        expected = linear(x, w, activation="tanh", n_threads=1)
        for n_threads in (1, 2, 3, 7):
            for given in ((moved(x), w), (x, moved(w)), (moved(x), moved(w))):
                result = linear(*given, activation="tanh", n_threads=n_threads)
                np.testing.assert_array_equal(result, expected, err_msg=f"{rows} {n_threads}")


def test_threads_wait_until_rows_are_converted():
    """One thread converts few rows for all, which takes a while if the rows are long."""
    rng = np.random.default_rng(0)
    w = rng.normal(size=(60_000, 48))
    for _ in range(10):
        x = rng.normal(size=(4, 60_000)).astype(np.float32)
        expected = linear(x.astype(np.float64), w, n_threads=1)
        for n_threads in (2, 3):
            np.testing.assert_array_equal(linear(x, w, n_threads=n_threads), expected)
