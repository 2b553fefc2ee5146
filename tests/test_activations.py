"""The compiled activations against the oracle: value and slope, every length, units in the last place."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
import pytest

from fastnn import reference
from fastnn._backend import core as _core

DTYPES = [np.float32, np.float64]
ELEMENTWISE = [name for name in _core.ACTIVATIONS if name != "softmax"]
FROM_OUTPUT = [name for name in _core.ACTIVATIONS if reference.ACTIVATIONS[name].uses == "output"]
GUARD = -123.0

# The most that a value may be off, in units in the last place; 4 for names that don't stand here.
ULPS = {"identity": 0, "relu": 0, "leaky_relu": 1, "tanh": 2, "sigmoid": 2, "exp": 2, "elu": 2, "softplus": 2, "sin": 2}

# Formulas in long double, exact enough to measure float64 by: values from z; slopes from the output a, or from z, as the
# kernels have it. (gelu would need an erfc that NumPy does not have.)
WIDE = {
    "identity": lambda z: z,
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, z * np.longdouble("0.01")),
    "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "silu": lambda z: z / (1 + np.exp(-z)),
    "softplus": lambda z: np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))),
    "sin": np.sin,
    "exp": np.exp,
}
WIDE_SLOPES = {
    "tanh": lambda a: (1 - a) * (1 + a),
    "sigmoid": lambda a: a * (1 - a),
    "elu": lambda a: np.where(a > 0, 1, a + 1),
    "silu": lambda z: (1 + np.exp(z) + z) * (np.exp(z) / (1 + np.exp(z)) ** 2),
    "softplus": lambda a: -np.expm1(-a),
    "sin": np.cos,
}
# Where the slopes of gelu and silu are zero.
ROOTS = {"gelu": -0.7517915246935645, "silu": -1.2784645427610738}
has_long_double = np.finfo(np.longdouble).nmant > np.finfo(np.float64).nmant


def oracle(name, z):
    """Value and slope in float64; those of softmax a row, with the diagonal of its Jacobian as slope."""
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


def test_registry():
    assert set(_core.ACTIVATIONS) == set(reference.ACTIVATIONS)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", _core.ACTIVATIONS)
def test_value(name, dtype):
    for n in range(34):
        for start in (0, 3):
            z, check = guarded(numbers(n, dtype, seed=n), start)
            expected = oracle(name, z)[0] if n else []
            _core.activate(name, z)
            check()
            assert_close(z, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_value_and_slope(name, dtype):
    for n in range(34):
        z, check = guarded(numbers(n, dtype, seed=n), 3)
        slope, check_slope = guarded(np.zeros(n, dtype), 5)
        alone = z.copy()
        expected, expected_slope = oracle(name, z)
        _core.activation_slope(name, z, slope)
        check()
        check_slope()
        assert_close(slope, expected_slope)
        _core.activate(name, alone)
        assert_close(z, expected)
        np.testing.assert_allclose(z, alone, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FROM_OUTPUT)
def test_times_slope(name, dtype):
    activation = reference.ACTIVATIONS[name]
    for n in range(1, 34):
        a = activation.value(numbers(n, np.float64, seed=n)).astype(dtype)
        outputs, check_outputs = guarded(a, 5)
        delta, check = guarded(numbers(n, dtype, seed=n + 1), 3)
        wide = a.astype(np.float64)
        expected = activation.backward(wide, wide, delta.astype(np.float64))
        _core.times_slope(name, delta, outputs)
        check()
        check_outputs()
        np.testing.assert_array_equal(outputs, a)
        assert_close(delta / 8, expected / 8)  # of numbers up to 6


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", _core.ACTIVATIONS)
def test_rows(name, dtype):
    """An array of rows is worked on row by row: what one row gives does not depend on the others."""
    for shape in [(3, 1), (5, 4), (4, 17), (2, 3, 33)]:
        z = numbers(np.prod(shape), dtype).reshape(shape)
        rows = z.reshape(-1, shape[-1]).copy()
        _core.activate(name, z)
        for row, expected in zip(rows, z.reshape(-1, shape[-1]), strict=True):
            _core.activate(name, row)
            np.testing.assert_array_equal(row, expected)


def ulps(actual, exact, known=0.0):
    """Return how far `actual` is from `exact`, give or take `known`, in units in the last place of its type there."""
    info = np.finfo(actual.dtype)
    unit = np.exp2(np.maximum(np.floor(np.log2(np.maximum(np.abs(exact), info.tiny))), info.minexp) - info.nmant)
    return np.maximum(np.abs(actual.astype(exact.dtype) - exact) - known, 0) / unit


def samples(dtype):
    """All sizes down to the tiniest, and dense where the functions bend and where the slopes have roots."""
    rng = np.random.default_rng(0)
    wide = 100.0 if dtype == np.float32 else 740.0
    signs = rng.choice([-1.0, 1.0], 20_000)
    parts = [
        rng.uniform(-1, 1, 20_000),
        rng.uniform(-4, 4, 40_000),
        rng.uniform(-20, 20, 40_000),
        rng.uniform(-wide, wide, 20_000),
        signs * 10.0 ** rng.uniform(-30, 0, 20_000),
        *(root + signs[:2000] * 2.0 ** rng.uniform(-54, -2, 2000) for root in ROOTS.values()),
    ]
    return np.concatenate(parts).astype(dtype)


def strided(stride=20_011):
    """Numbers of float32 of every sign and size: each that is `stride` behind another one in the order of their bits."""
    z = np.arange(0, 2**32, stride, np.uint64).astype(np.uint32).view(np.float32)
    return z[np.isfinite(z)]


def slopes(name, x):
    """Return the slopes that the kernel finds from outputs or inputs, whichever it looks at."""
    slope = np.ones_like(x)
    if name in FROM_OUTPUT:
        _core.times_slope(name, slope, x)
    else:
        _core.activation_slope(name, x.copy(), slope)
    return slope


def assert_units(name, x, actual, exact, most, known=0.0):
    """Assert that the errors are at most so many units in the last place, and overflow where it should be."""
    rounded = exact.astype(actual.dtype)
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(actual[~finite], rounded[~finite])
    error = ulps(actual[finite], exact[finite], known)
    worst = int(np.argmax(error))
    assert error[worst] <= most, f"{name} at {x[finite][worst]!r} is off by {error[worst]:.3g} ulp"


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_units_in_the_last_place(name):
    for z in (samples(np.float32), strided()):
        a = z.copy()
        _core.activate(name, a)
        with np.errstate(over="ignore", under="ignore"):
            exact = np.asarray(reference.ACTIVATIONS[name].value(z.astype(np.float64)))
            assert_units(name, z, a, exact, ULPS.get(name, 4))


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_units_of_slopes(name):
    for x in (samples(np.float32), strided()):
        wide = x.astype(np.float64)
        with np.errstate(over="ignore", under="ignore"):
            exact = np.asarray(reference.ACTIVATIONS[name].slope(wide, wide))
            assert_units(name, x, slopes(name, x), exact, 4, known=4e-16 if name in ROOTS else 0.0)


@pytest.mark.skipif(not has_long_double, reason="nothing to measure by")
@pytest.mark.parametrize("name", WIDE)
def test_units_of_float64(name):
    z = samples(np.float64)
    a = z.copy()
    _core.activate(name, a)
    with np.errstate(over="ignore", under="ignore"):
        assert_units(name, z, a, WIDE[name](z.astype(np.longdouble)), ULPS.get(name, 4))


@pytest.mark.skipif(not has_long_double, reason="nothing to measure by")
@pytest.mark.parametrize("name", WIDE_SLOPES)
def test_units_of_float64_slopes(name):
    x = samples(np.float64)
    with np.errstate(over="ignore", under="ignore"):
        exact = WIDE_SLOPES[name](x.astype(np.longdouble))
        assert_units(name, x, slopes(name, x), exact, 4, known=np.longdouble(1e-18) if name in ROOTS else 0.0)


def exact_gelu(points):
    """Return z Phi(z) and its slope in long double, from e^(z^2 / 2) erf(z / sqrt(2)) ~ z + z^3 / 3 + z^5 / 15 + ..."""

    def integral(z):  # of e^(-t^2 / 2) from 0 to z
        term, total, n = z, z, 1
        while abs(term) > abs(total) * Decimal("1e-400"):
            n += 2
            term *= z * z / n
            total += term
        return total * (-z * z / 2).exp()

    with localcontext() as context:
        context.prec = 410
        half = integral(Decimal(45))  # sqrt(pi / 2): what lies beyond is below 1e-440
        values, slopes = [], []
        for z in map(Decimal, points):
            probability = (half + integral(z)) / (2 * half)
            values.append(str(z * probability))
            slopes.append(str(probability + z * (-z * z / 2).exp() / (2 * half)))
    return [np.array([np.longdouble(number) for number in numbers]) for numbers in (values, slopes)]


@pytest.mark.skipif(not has_long_double, reason="nothing to measure by")
def test_units_of_float64_gelu():
    root, offsets = ROOTS["gelu"], 2.0 ** np.arange(-52, -2, 4)
    z = np.concatenate([np.linspace(-38.4, 9, 80), root + offsets, root - offsets, [root, -1e-300, 1e-20, -37.51, -38.48]])
    value, slope = exact_gelu(z.tolist())
    a = z.copy()
    _core.activate("gelu", a)
    assert_units("gelu", z, a, value, 4)
    assert_units("slope of gelu", z, slopes("gelu", z), slope, 4)


# Value and slope at minus infinity, at plus infinity.
LIMITS = {
    "identity": [(-np.inf, 1), (np.inf, 1)],
    "tanh": [(-1, 0), (1, 0)],
    "sigmoid": [(0, 0), (1, 0)],
    "relu": [(0, 0), (np.inf, 1)],
    "leaky_relu": [(-np.inf, 0.01), (np.inf, 1)],
    "elu": [(-1, 0), (np.inf, 1)],
    "gelu": [(0, 0), (np.inf, 1)],
    "silu": [(0, 0), (np.inf, 1)],
    "softplus": [(0, 0), (np.inf, 1)],
    "sin": [(np.nan, np.nan), (np.nan, np.nan)],
    "exp": [(0, 0), (np.inf, np.inf)],
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LIMITS)
def test_limits(name, dtype):
    for where in (0, 32):  # in a whole vector, in the tail
        for infinity, expected in zip((-np.inf, np.inf), LIMITS[name], strict=True):
            z = np.full(33, 0.5, dtype)
            z[where] = infinity
            slope = np.empty_like(z)
            _core.activation_slope(name, z, slope)
            np.testing.assert_array_equal([z[where], slope[where]], np.array(expected, dtype))
            assert np.isfinite(np.delete(z, where)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_nan_stays_in_its_lane(name, dtype):
    for where in (0, 32):
        z = np.full(33, 0.5, dtype)
        z[where] = np.nan
        slope, alone = np.empty_like(z), z.copy()
        _core.activation_slope(name, z, slope)
        _core.activate(name, alone)
        for a in (z, alone):
            assert np.isnan(a[where])
            assert np.isfinite(np.delete(a, where)).all()
        assert np.isfinite(np.delete(slope, where)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_extremes(dtype):
    z = np.array([[1e4, 0, -1e4], [-np.inf, 0, 0], [np.nan, 0, 0], [0, 0, np.nan]], dtype)
    _core.activate("softmax", z)
    np.testing.assert_array_equal(z, [[1, 0, 0], [0, 0.5, 0.5], [np.nan] * 3, [np.nan] * 3])


def test_wrong_arrays():
    z = np.ones((4, 4), np.float32)
    for wrong in (z.T[::2], z.astype(np.float16), z.astype(int), z.astype(">f4"), np.broadcast_to(z, z.shape)):
        with pytest.raises(TypeError, match="a writable contiguous float32 or float64 array"):
            _core.activate("tanh", wrong)
    for name, wrong in [("tanh", z[0]), ("tanh", z.astype(np.float64)), ("softmax", z.copy())]:
        with pytest.raises(ValueError, match="slope must be like z"):
            _core.activation_slope(name, z, wrong)
    for name, wrong in [("tanh", z[0]), ("tanh", z.astype(np.float64)), ("gelu", z.copy())]:
        with pytest.raises(ValueError, match="delta must be like a"):
            _core.times_slope(name, z, wrong)
    np.testing.assert_array_equal(z, 1)
