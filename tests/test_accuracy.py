"""The accuracy of the elementwise functions in units in the last place, and their results for special values."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
import pytest

from fastnn import _core, ops, reference

DTYPES = [np.float32, np.float64]

# The most that a result may be off, in units in the last place; 4 for names that don't stand here. What is promised is 2 for
# tanh, sigmoid, exp and log, 6 for mish_grad and 4 for the rest: docs/accuracy.md.
ULPS = {
    **dict.fromkeys(["relu", "relu_grad"], 0),
    **dict.fromkeys(["leaky_relu", "leaky_relu_grad", "elu_grad", "selu_grad"], 1),
    **dict.fromkeys(["tanh", "tanh_grad", "sigmoid", "sigmoid_grad", "exp", "log", "log1p", "elu", "selu", "softplus"], 2),
    "mish_grad": 6,
}


def logistic(x):
    return 1 / (1 + np.exp(-x))


def logistic_derivative(x):
    near = np.clip(x, -12_000, 12_000)  # beyond, long double's exp(-x) is infinite, and times zero it is NaN
    return logistic(near) * (1 + near * logistic(-near))


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def mish_derivative(x):
    near = np.clip(x, -12_000, 12_000)
    gate = np.tanh(softplus(near))
    return gate + near * (1 - gate) * (1 + gate) * logistic(near)


SELU_SCALE, SELU_ALPHA = np.longdouble(1.0507009873554805), np.longdouble(1.6732632423543772)

# Formulas that are exact enough to measure float64 by in long double. (gelu would need an erfc that NumPy does not have.)
WIDE = {
    **{name: getattr(np, name) for name in ("cos", "exp", "expm1", "log", "log1p", "sin", "tanh")},
    "tanh_grad": lambda a: (1 - a) * (1 + a),
    "sigmoid": logistic,
    "sigmoid_grad": lambda a: a * (1 - a),
    "relu": lambda x: np.maximum(x, 0),
    "relu_grad": lambda a: np.where(a > 0, np.longdouble(1), 0),
    "leaky_relu": lambda x: np.where(x > 0, x, x / 100),
    "leaky_relu_grad": lambda a: np.where(a > 0, 1, np.longdouble(1) / 100),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "elu_grad": lambda a: np.where(a > 0, 1, a + 1),
    "silu": lambda x: x * logistic(x),
    "silu_grad": logistic_derivative,
    "mish": lambda x: x * np.tanh(softplus(x)),
    "mish_grad": mish_derivative,
    "selu": lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0))),
    "selu_grad": lambda a: np.where(a > 0, SELU_SCALE, a + SELU_SCALE * SELU_ALPHA),
    "softplus": softplus,
    "softplus_grad": lambda a: -np.expm1(-a),
}
# Roots of derivatives. Near them, only absolute errors of the formulas and the reference are small.
ROOTS = {
    "gelu_grad": -0.7517915246935645,
    "silu_grad": -1.2784645427610738,
    "mish_grad": -1.1924312145154952,
    "selu_grad": -1.7580993408473766,
}
needs_long_double = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant <= np.finfo(np.float64).nmant, reason="long double is no wider than float64 here"
)

# Inputs at which results overflow, become subnormal or vanish, or at which the kernels change formulas.
EDGES = {
    np.float32: [88.722839, 87.336548, 103.27893, 103.97208, 104.0, 9.5, 14.4, 14.75, 110.0, 3200.0, 1e9, 2.0**-30],
    np.float64: [709.782712893384, 708.39641853226, 744.44007192138, 745.13321910194, 746.0, 20.0, 38.5, 39.0, 756.0, 1e9],
}


def strided(dtype, parts=200_003):
    """Return numbers of every sign and size, equally spaced in the order of their bits, and NaN."""
    unsigned = np.uint32 if dtype == np.float32 else np.uint64
    x = (np.arange(parts, dtype=unsigned) * unsigned(np.iinfo(unsigned).max // parts)).view(dtype)
    return x[~np.isinf(x)]


def samples(dtype):
    """Return numbers of all sizes, dense where the functions bend and near the roots of the derivatives."""
    rng = np.random.default_rng(0)
    wide = 110.0 if dtype == np.float32 else 760.0
    signs = rng.choice([-1.0, 1.0], 20_000)
    edges = np.array([*EDGES[dtype], 0.25, 0.625, 1.0, 2.0**-60, 2.0**60], dtype)
    edges = np.concatenate([edges, np.nextafter(edges, 0), np.nextafter(edges, np.inf, dtype=dtype)])
    parts = [
        strided(dtype),
        edges,
        -edges,
        rng.uniform(-1, 1, 20_000),
        rng.uniform(-4, 4, 40_000),
        rng.uniform(-20, 20, 40_000),
        rng.uniform(-wide, wide, 20_000),
        signs * 10.0 ** rng.uniform(-30, 9, 20_000),
        *(root + signs[:2000] * 2.0 ** rng.uniform(-54, -2, 2000) for root in ROOTS.values()),
    ]
    return np.concatenate([part.astype(dtype) for part in parts])


def units(dtype, exact):
    """Return the spacing of a dtype's numbers around the exact values."""
    info = np.finfo(dtype)
    _, exponent = np.frexp(exact)
    return np.ldexp(exact.dtype.type(1), np.maximum(exponent - 1, info.minexp) - info.nmant)


def assert_units(name, x, exact, known=0.0):
    """Assert that errors are small, give or take `known`, and that overflow and NaN occur where they should."""
    actual = getattr(ops, name)(x)
    with np.errstate(over="ignore", under="ignore"):
        rounded = exact.astype(x.dtype)
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(actual[~finite], rounded[~finite])
    x, actual, exact = x[finite], actual[finite], exact[finite]
    error = np.maximum(np.abs(actual - exact) - known, 0) / units(x.dtype, exact)
    worst = int(np.argmax(error))
    assert error[worst] <= ULPS.get(name, 4), f"{name} at {x[worst]!r} is off by {error[worst]:.3g} ulp"
    nonzero = exact != 0
    np.testing.assert_array_equal(np.signbit(actual[nonzero]), np.signbit(exact[nonzero]))


@pytest.mark.parametrize("name", _core.FUNCTIONS)
def test_float32_errors_are_within_the_promised_units(name):
    x = samples(np.float32)
    with np.errstate(all="ignore"):
        exact = np.asarray(getattr(reference, name)(x.astype(np.float64)))
    assert_units(name, x, exact, known=4e-16 if name in ROOTS else 0.0)


@needs_long_double
@pytest.mark.parametrize("name", WIDE)
def test_float64_errors_are_within_the_promised_units(name):
    x = samples(np.float64)
    with np.errstate(all="ignore"):
        exact = WIDE[name](x.astype(np.longdouble))
    assert_units(name, x, exact, known=np.longdouble(1e-18) if name in ROOTS else 0.0)


def exact_gelu(points):
    """Return x Phi(x) and its derivative in long double, from e^(x^2/2) erf(x/sqrt(2)) ~ x + x^3/3 + x^5/15 + ..."""

    def integral(x):  # of e^(-t^2 / 2) from 0 to x
        term, total, n = x, x, 1
        while abs(term) > abs(total) * Decimal("1e-400"):
            n += 2
            term *= x * x / n
            total += term
        return total * (-x * x / 2).exp()

    with localcontext() as context:
        context.prec = 410
        half = integral(Decimal(45))  # sqrt(pi / 2): the tail beyond 45 is below 1e-440
        values, derivatives = [], []
        for x in map(Decimal, points):
            probability = (half + integral(x)) / (2 * half)
            values.append(str(x * probability))
            derivatives.append(str(probability + x * (-x * x / 2).exp() / (2 * half)))
    return [np.array([np.longdouble(number) for number in numbers]) for numbers in (values, derivatives)]


@needs_long_double
def test_float64_gelu_errors_are_within_the_promised_units():
    root, offsets = ROOTS["gelu_grad"], 2.0 ** np.arange(-52, -2, 4)
    x = np.concatenate([np.linspace(-38.4, 9, 80), root + offsets, root - offsets, [root, -1e-300, 1e-20, -37.51, -38.48]])
    for name, exact in zip(("gelu", "gelu_grad"), exact_gelu(x.tolist()), strict=True):
        assert_units(name, x, exact)


LN_2 = 0.6931471805599453
# Results for -inf, -0, 0 and inf. NaN gives NaN, except where a function only compares with 0.
SPECIAL = {
    "tanh": [-1, -0.0, 0, 1],
    "tanh_grad": [-np.inf, 1, 1, -np.inf],
    "sigmoid": [0, 0.5, 0.5, 1],
    "sigmoid_grad": [-np.inf, -0.0, 0, -np.inf],
    "relu": [0, -0.0, 0, np.inf],
    "relu_grad": [0, 0, 0, 1],
    "leaky_relu": [-np.inf, -0.0, 0, np.inf],
    "leaky_relu_grad": [0.01, 0.01, 0.01, 1],
    "elu": [-1, -0.0, 0, np.inf],
    "elu_grad": [-np.inf, 1, 1, 1],
    "gelu": [-0.0, -0.0, 0, np.inf],
    "gelu_grad": [-0.0, 0.5, 0.5, 1],
    "silu": [-0.0, -0.0, 0, np.inf],
    "silu_grad": [-0.0, 0.5, 0.5, 1],
    "selu": [-1.7580993408473766, -0.0, 0, np.inf],
    "selu_grad": [-np.inf, 1.7580993408473766, 1.7580993408473766, 1.0507009873554805],
    "mish": [-0.0, -0.0, 0, np.inf],
    "mish_grad": [-0.0, 0.6, 0.6, 1],
    "softplus": [0, LN_2, LN_2, np.inf],
    "softplus_grad": [-np.inf, -0.0, 0, 1],
    "sin": [np.nan, -0.0, 0, np.nan],
    "cos": [np.nan, 1, 1, np.nan],
    "exp": [0, 1, 1, np.inf],
    "expm1": [-1, -0.0, 0, np.inf],
    "log": [np.nan, -np.inf, -np.inf, np.inf],
    "log1p": [np.nan, -0.0, 0, np.inf],
}
AT_NAN = {"relu_grad": 0, "leaky_relu_grad": 0.01}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", _core.FUNCTIONS)
def test_special_values_have_exact_results(name, dtype):
    """Zeros have the right sign, in every lane of a vector and in the remainder."""
    x = np.tile(np.array([-np.inf, -0.0, 0.0, np.inf, np.nan], dtype), 17)
    expected = np.tile(np.array([*SPECIAL[name], AT_NAN.get(name, np.nan)], dtype), 17)
    actual = getattr(ops, name)(x)
    np.testing.assert_allclose(actual, expected, rtol=np.finfo(dtype).eps)
    zero = expected == 0
    np.testing.assert_array_equal(np.signbit(actual[zero]), np.signbit(expected[zero]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["tanh", "elu", "sin", "expm1", "log1p"])
def test_subnormal_numbers_are_not_flushed_to_zero(name, dtype):
    """Functions that are the identity near zero return them unchanged."""
    x = np.finfo(dtype).smallest_subnormal * np.arange(-1000, 1001, dtype=dtype)
    np.testing.assert_array_equal(getattr(ops, name)(x), x)
