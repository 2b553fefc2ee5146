"""Elementwise functions and softmax of fastnn.ops against the reference: every length, layout and type."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from fastnn import ops, reference
from fastnn.ops import activations, elementary

ELEMENTWISE = [*activations.__all__, *elementary.__all__]
SOFTMAX = ["softmax", "log_softmax"]
DTYPES = [np.float32, np.float64]
GUARD = -123.0

LAYOUTS = {
    "strided": lambda x: np.repeat(x, 3, axis=1)[:, ::3],
    "reversed": lambda x: x[::-1, ::-1],
    "column order": np.asfortranarray,
    "transposed": lambda x: x.reshape(3, 4, 5).transpose(2, 0, 1),
    "byte-swapped": lambda x: x.astype(x.dtype.newbyteorder()),
    "read-only": lambda x: np.broadcast_to(x, x.shape),
    "repeated": lambda x: np.broadcast_to(x[0], (4, 5)),
    "misaligned": lambda x: misaligned(x),
    "empty": lambda x: x[:0],
    "no dimensions": lambda x: x[0, 0],
}


def misaligned(x):
    raw = np.empty(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    raw[...] = x
    assert not raw.flags.aligned
    return raw


def numbers(shape, dtype=np.float64, scale=2.0, seed=0):
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(dtype)


def assert_close(actual, expected, dtype=None):
    """Assert equality to a few units in the last place of `dtype`, that of the result."""
    dtype = np.dtype(np.asarray(actual).dtype if dtype is None else dtype)
    eps = float(np.finfo(dtype).eps)
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    np.testing.assert_allclose(actual, expected, rtol=8 * eps, atol=8 * eps)


def expected(name, x):
    """Return the value of the reference, in float64."""
    with np.errstate(divide="ignore"):  # log_softmax of an empty array
        return getattr(reference, name)(np.asarray(x, np.float64))


def test_names_are_those_of_the_reference():
    assert set(ops.__all__) <= set(reference.__all__)
    reference_only = {"ACTIVATIONS", "LOSSES", "UPDATES", "Activation", "LossFunction"}
    networks = {"blend", "dropout_mask", "forward", "input_gradient", "jacobian", "loss_and_gradient", "train", "vjp"}
    of_models = {"Normalization", "layer_norm", "layer_norm_grad", "rms_norm", "rms_norm_grad", "ema_share"}
    of_models |= {"embed", "embed_grad", "scale_inputs", "scale_inputs_grad", "Connection"}
    of_models |= {"MemberScales", "mean_of_members", "repeat_rows", "scaled_sums", "scaled_sums_grad"}
    of_models |= {"separate_outputs", "separate_outputs_grad"}
    assert set(ops.__all__) == set(reference.__all__) - reference_only - networks - of_models
    assert {f"{name}_grad" for name in activations.__all__ if not name.endswith("_grad")} <= set(activations.__all__)


@pytest.mark.parametrize("name", sorted(set(ops.__all__) - set(ELEMENTWISE)))
def test_signatures_are_those_of_the_reference(name):
    actual, wanted = (inspect.signature(getattr(module, name)).parameters for module in (ops, reference))
    assert [(p.name, p.kind, p.default) for p in actual.values()] == [(p.name, p.kind, p.default) for p in wanted.values()]


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_every_function_is_documented(name):
    text = inspect.getdoc(getattr(ops, name))
    sections = ["Parameters", "Returns", "Raises", "Examples", ">>>"]
    assert [text.index(section) for section in sections] == sorted(text.index(section) for section in sections)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*ELEMENTWISE, *SOFTMAX])
def test_every_length_gives_the_values_of_the_reference(name, dtype):
    function = getattr(ops, name)
    for n in range(34):
        x, out = numbers(n, dtype, seed=n), np.full(n + 40, GUARD, dtype)
        assert_close(function(x), expected(name, x), dtype)
        for start in (3, 16):
            assert function(x, out=out[start : start + n]).base is out
            assert_close(out[start : start + n], expected(name, x), dtype)
            np.testing.assert_array_equal(out[:start], GUARD)
            np.testing.assert_array_equal(out[start + n :], GUARD)
            out.fill(GUARD)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_every_layout_gives_the_values_of_the_reference(name, layout):
    for dtype in DTYPES:
        x = layout(numbers((12, 5), dtype))
        before = np.array(x)
        actual = getattr(ops, name)(x)
        assert actual.shape == x.shape
        assert actual.dtype == dtype
        assert_close(actual, expected(name, x))
        np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_types_of_results_are_those_of_numpy(name):
    function = getattr(ops, name)
    x = np.arange(10).reshape(2, 5)
    for code in "?bBhHiIlLqQ":
        values = x.astype(code)
        assert function(values).dtype == np.tanh(values).dtype == getattr(reference, name)(values).dtype
        assert_close(function(values), expected(name, values))
    half = function(x.astype(np.float16) / 8)
    assert half.dtype == np.float16
    assert_close(half, expected(name, x / 8))
    assert_close(function([[0.25, 1], [2, True]]), expected(name, [[0.25, 1], [2, 1]]))


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_scalars_give_scalars(name):
    function = getattr(ops, name)
    for x, scalar in [(0.5, np.float64), (1, np.float64), (True, np.float16), (np.array(0.5), np.float64)]:
        assert type(function(x)) is scalar
        assert_close(function(x), expected(name, x))
    assert type(function(np.float32(0.5))) is np.float32
    assert type(function(np.float16(0.5))) is np.float16
    out = np.zeros(())
    assert function(0.5, out=out) is out
    assert_close(out, expected(name, 0.5))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_extreme_numbers_give_the_values_of_the_reference(name, dtype):
    x = np.array([np.nan, np.inf, -np.inf, 1e4, -1e4, 1e30, -1e30, 88.0, -88.0, 1e-30, -1e-30, 0.0, -0.0], dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        wanted = getattr(reference, name)(x)
    assert_close(getattr(ops, name)(x), wanted)
    # A NaN stays in its lane.
    many = np.full(33, 0.5, dtype)
    many[17] = np.nan
    assert np.isfinite(np.delete(getattr(ops, name)(many), 17)).all()


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_results_are_written_to_out(name):
    function, x = getattr(ops, name), numbers((6, 5))
    wanted = expected(name, x)
    buffers = [
        np.empty((6, 5)),
        np.empty((6, 5), np.float32),
        np.empty((6, 5), np.float16),
        np.empty((6, 5), np.longdouble),
        np.empty((6, 5), np.dtype(np.float64).newbyteorder()),
        np.empty((5, 6)).T,
        np.empty((12, 5))[::-2],
        misaligned(np.empty((6, 5))),
    ]
    for out in buffers:
        assert function(x, out=out) is out
        assert_close(out, wanted, f"f{min(out.dtype.itemsize, 8)}")
    assert function(x, out=(buffers[0],)) is buffers[0]
    assert function(x, buffers[0]) is buffers[0]
    repeated = np.empty((2, 6, 5))
    function(x, out=repeated)
    assert_close(repeated, np.broadcast_to(wanted, (2, 6, 5)))


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_out_may_overlap_the_input(name):
    function = getattr(ops, name)
    for read, write in [(np.s_[:], np.s_[:]), (np.s_[1:], np.s_[:-1]), (np.s_[:-1], np.s_[1:]), (np.s_[:], np.s_[::-1])]:
        x = numbers(50)
        wanted = expected(name, x[read])
        function(x[read], out=x[write])
        assert_close(x[write], wanted)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_wrong_types_of_ufuncs_raise(name):
    function, x = getattr(ops, name), numbers((4, 2))
    for wrong in ([1j], ["1"], b"1", np.array(["2020-01-01"], "M8[D]"), {}, None, np.array([1.0], object)):
        with pytest.raises(TypeError, match=f"^ufunc '{name}' not supported for the input types"):
            function(wrong)
    if np.dtype(np.longdouble).itemsize > 8:
        with pytest.raises(TypeError, match="not supported for the input types"):
            function(np.ones(2, np.longdouble))
    for out in (np.zeros((4, 2), int), [0.0, 0.0], "text"):
        with pytest.raises(TypeError, match="output|return arrays"):
            function(x, out=out)
    for shape in [(3,), (2,), (4, 1), (4, 3), ()]:
        out = np.full(shape, GUARD)
        with pytest.raises(ValueError, match="output operand|broadcast together"):
            function(x, out=out)
        np.testing.assert_array_equal(out, GUARD)
    fixed = np.full((4, 2), GUARD)
    fixed.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        function(x, out=fixed)


@pytest.mark.parametrize("name", SOFTMAX)
def test_wrong_types_raise(name):
    function = getattr(ops, name)
    objects = [np.array([value], object) for value in (None, "1", 1j, np.complex64(1), {})]
    for x in ([1j], ["1"], b"1", np.array(["2020-01-01"], "M8[D]"), {}, None, *objects):
        with pytest.raises(TypeError, match="^x: .*got "):
            function(x)
    if np.dtype(np.longdouble).itemsize > 8:
        with pytest.raises(TypeError, match="^x: expected real numbers.*got dtype .*"):
            function(np.ones(2, np.longdouble))
    with pytest.raises(ValueError, match="^x: .*inhomogeneous"):
        function([[1.0], [1.0, 2.0]])
    for out in ([0.0, 0.0], np.zeros(2, int), np.zeros(2, complex), "text"):
        with pytest.raises(TypeError, match="^out: expected an ndarray of floating-point numbers.*got .*"):
            function(numbers(2), out=out)


@pytest.mark.parametrize("name", SOFTMAX)
def test_wrong_out_raises(name):
    function = getattr(ops, name)
    for shape in [(3,), (2,), (4, 1), (4, 3), ()]:
        out = np.full(shape, GUARD)
        with pytest.raises(ValueError, match="^out: expected (shape )?.*got .*"):
            function(numbers((4, 2)), out=out)
        np.testing.assert_array_equal(out, GUARD)
    fixed = np.full((4, 2), GUARD)
    fixed.flags.writeable = False
    with pytest.raises(ValueError, match="^out: .*got a read-only array"):
        function(numbers((4, 2)), out=fixed)


@pytest.mark.parametrize("name", SOFTMAX)
def test_softmax_gives_the_values_of_the_reference(name):
    function = getattr(ops, name)
    for shape in [(7,), (4, 5), (3, 4, 5), (2, 3, 4, 5), (3, 0), (0, 3)]:
        x = numbers(shape, scale=5.0)
        for axis in range(-len(shape), len(shape)):
            with np.errstate(divide="ignore"):
                wanted = getattr(reference, name)(x, axis=axis)
            for given in (x, np.asfortranarray(x), x.astype(x.dtype.newbyteorder()), np.broadcast_to(x, shape)):
                assert_close(function(given, axis), wanted)
            single = function(x.astype(np.float32), axis=axis)
            assert single.dtype == np.float32
            np.testing.assert_allclose(single, wanted, rtol=4e-6, atol=1e-6)
            out = np.asfortranarray(np.empty(shape))
            assert function(x, axis, out) is out
            assert_close(out, wanted)
    assert function(x.astype(np.float16)).dtype == np.float16
    assert function([1, 2]).dtype == np.float64
    square = numbers((9, 9))
    wanted = getattr(reference, name)(square, axis=0)
    function(square, axis=0, out=square.T)
    assert_close(square.T, wanted)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_of_extreme_numbers_is_exact(dtype):
    x = np.array([[1e4, 0, -1e4], [-np.inf, 0, 0], [np.nan, 0, 0], [0, 0, np.nan], [np.inf, 0, 0]], dtype)
    wanted = [[1, 0, 0], [0, 0.5, 0.5], [np.nan] * 3, [np.nan] * 3, [np.nan] * 3]
    assert_close(ops.softmax(x), wanted, dtype)
    wanted = [[0, -1e4, -2e4], [-np.inf, -np.log(2), -np.log(2)], [np.nan] * 3, [np.nan] * 3, [np.nan] * 3]
    assert_close(ops.log_softmax(x), wanted, dtype)
    assert np.isnan(ops.softmax(np.full(5, -np.inf, dtype))).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("large", [1e6, -1e6, 3e38])
def test_log_softmax_of_large_numbers_keeps_their_differences(dtype, large):
    x = np.array([large, large, large], dtype)
    expected = np.full(3, -np.log(3.0))
    for count in (1, 2, 40):  # the row alone and among others
        got = ops.log_softmax(np.tile(x, (count, 1)))
        np.testing.assert_allclose(got, np.tile(expected, (count, 1)), rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("name", SOFTMAX)
def test_softmax_along_any_axis_is_that_of_the_last_one(name):
    function = getattr(ops, name)
    with pytest.raises(ValueError, match="^x: expected at least one dimension.*got a scalar"):
        function(1.0)
    with pytest.raises(ValueError, match="^axis: expected -2 to 1.*got 2"):
        function(np.ones((2, 2)), axis=2)
    with pytest.raises(TypeError, match="^axis: expected an integer.*got 0.5 of type float"):
        function(np.ones((2, 2)), axis=0.5)


@pytest.mark.parametrize("name", ["mse_loss", "binary_cross_entropy", "cross_entropy"])
def test_losses_are_those_of_the_reference(name):
    function, wanted = getattr(ops, name), getattr(reference, name)
    y_true, y_pred = np.array([[0.0, 1.0], [0.5, 0.5]]), np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)
    assert function(y_true, y_pred) == function(y_true.tolist(), y_pred=y_pred) == wanted(y_true, y_pred)
    assert inspect.getdoc(function) == inspect.getdoc(wanted)
    with pytest.raises(TypeError, match="^y_pred: expected real numbers.*got dtype complex64"):
        function(y_true, y_pred * 1j)
