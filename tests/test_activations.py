"""The compiled activations against the reference: values and derivatives, every length, and the bits of fastnn.ops."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import ops, reference
from fastnn._engine import core as _core

DTYPES = [np.float32, np.float64]
ELEMENTWISE = [name for name in _core.ACTIVATIONS if name != "softmax"]
FROM_OUTPUT = [name for name in _core.ACTIVATIONS if reference.ACTIVATIONS[name].uses == "output"]
GUARD = -123.0


def reference_of(name, z):
    """Return value and derivative in float64; for softmax, of a row, with the diagonal of its Jacobian as derivative."""
    activation, z = reference.ACTIVATIONS[name], np.asarray(z, np.float64)
    a = activation.value(z)
    return a, activation.slope(z, a)


def numbers(n, dtype, seed=0):
    return np.random.default_rng(seed).uniform(-6, 6, n).astype(dtype)


def guarded(values, start):
    """Return a view on a copy of `values`, and a function that asserts that nothing around it has changed."""
    buffer = np.full(len(values) + 40, GUARD, values.dtype)
    inside = np.s_[start : start + len(values)]
    buffer[inside] = values

    def check():
        np.testing.assert_array_equal(np.delete(buffer, inside), GUARD)

    return buffer[inside], check


def assert_close(actual, expected):
    eps = float(np.finfo(actual.dtype).eps)
    np.testing.assert_allclose(actual.astype(np.float64), expected, rtol=8 * eps, atol=8 * eps)


def test_registry_has_the_activations_of_the_reference():
    assert set(_core.ACTIVATIONS) == set(reference.ACTIVATIONS)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", _core.ACTIVATIONS)
def test_values_are_those_of_the_reference_for_every_length(name, dtype):
    for n in range(34):
        for start in (0, 3):
            z, check = guarded(numbers(n, dtype, seed=n), start)
            expected = reference_of(name, z)[0] if n else []
            _core.activate(name, z)
            check()
            assert_close(z, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_derivatives_are_those_of_the_reference_for_every_length(name, dtype):
    for n in range(34):
        z, check = guarded(numbers(n, dtype, seed=n), 3)
        slope, check_derivative = guarded(np.zeros(n, dtype), 5)
        alone = z.copy()
        expected, expected_derivative = reference_of(name, z)
        _core.activation_derivative(name, z, slope)
        check()
        check_derivative()
        assert_close(slope, expected_derivative)
        _core.activate(name, alone)
        assert_close(z, expected)
        np.testing.assert_allclose(z, alone, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FROM_OUTPUT)
def test_gradients_are_multiplied_by_the_derivative(name, dtype):
    activation = reference.ACTIVATIONS[name]
    for n in range(1, 34):
        a = activation.value(numbers(n, np.float64, seed=n)).astype(dtype)
        outputs, check_outputs = guarded(a, 5)
        delta, check = guarded(numbers(n, dtype, seed=n + 1), 3)
        wide = a.astype(np.float64)
        expected = activation.backward(wide, wide, delta.astype(np.float64))
        _core.times_derivative(name, delta, outputs)
        check()
        check_outputs()
        np.testing.assert_array_equal(outputs, a)
        assert_close(delta / 8, expected / 8)  # for numbers up to 6


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", _core.ACTIVATIONS)
def test_rows_are_independent(name, dtype):
    """The result of a row does not depend on the other rows."""
    for shape in [(3, 1), (5, 4), (4, 17), (2, 3, 33)]:
        z = numbers(np.prod(shape), dtype).reshape(shape)
        rows = z.reshape(-1, shape[-1]).copy()
        _core.activate(name, z)
        for row, expected in zip(rows, z.reshape(-1, shape[-1]), strict=True):
            _core.activate(name, row)
            np.testing.assert_array_equal(row, expected)


def same_bits(a, b):
    """Return whether two arrays have the same bits, except for the payload of NaN."""
    integer = f"u{a.dtype.itemsize}"
    return ((a.view(integer) == b.view(integer)) | (np.isnan(a) & np.isnan(b))).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [name for name in ELEMENTWISE if name != "identity"])
def test_bits_are_those_of_ops(name, dtype):
    """This holds for numbers of every sign and size, infinities and NaN; test_accuracy.py tests how accurate they are."""
    bits = np.random.default_rng(0).integers(0, 2 ** (8 * dtype().itemsize), 50_000, f"u{dtype().itemsize}")
    x = np.concatenate(
        [bits.view(dtype), 10 * numbers(50_000, dtype), np.array([np.inf, -np.inf, np.nan, 0.0, -0.0], dtype)]
    )
    wanted = getattr(ops, name)(x)
    a, alone, slope = x.copy(), x.copy(), np.empty_like(x)
    _core.activate(name, alone)
    _core.activation_derivative(name, a, slope)
    assert same_bits(alone, wanted)
    assert same_bits(a, wanted)
    derivative = {"sin": ops.cos, "exp": np.positive}.get(name) or getattr(ops, f"{name}_grad")
    assert same_bits(slope, derivative(wanted if name in FROM_OUTPUT else x))
    if name in FROM_OUTPUT:
        delta = np.ones_like(x)
        _core.times_derivative(name, delta, x)
        assert same_bits(delta, derivative(x))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_nan_stays_in_its_lane(name, dtype):
    for where in (0, 32):
        z = np.full(33, 0.5, dtype)
        z[where] = np.nan
        slope, alone = np.empty_like(z), z.copy()
        _core.activation_derivative(name, z, slope)
        _core.activate(name, alone)
        for a in (z, alone):
            assert np.isnan(a[where])
            assert np.isfinite(np.delete(a, where)).all()
        assert np.isfinite(np.delete(slope, where)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_of_extreme_numbers_is_exact(dtype):
    z = np.array([[1e4, 0, -1e4], [-np.inf, 0, 0], [np.nan, 0, 0], [0, 0, np.nan]], dtype)
    _core.activate("softmax", z)
    np.testing.assert_array_equal(z, [[1, 0, 0], [0, 0.5, 0.5], [np.nan] * 3, [np.nan] * 3])


def test_wrong_arrays_raise():
    z = np.ones((4, 4), np.float32)
    for wrong in (z.T[::2], z.astype(np.float16), z.astype(int), z.astype(">f4"), np.broadcast_to(z, z.shape)):
        with pytest.raises(TypeError, match="a writable contiguous float32 or float64 array"):
            _core.activate("tanh", wrong)
    for name, wrong in [("tanh", z[0]), ("tanh", z.astype(np.float64)), ("softmax", z.copy())]:
        with pytest.raises(ValueError, match="derivative must be like z"):
            _core.activation_derivative(name, z, wrong)
    for name, wrong in [("tanh", z[0]), ("tanh", z.astype(np.float64)), ("gelu", z.copy())]:
        with pytest.raises(ValueError, match="delta must be like a"):
            _core.times_derivative(name, z, wrong)
    np.testing.assert_array_equal(z, 1)
