"""Defining custom activations: values, the check of the derivative, errors. Nothing else imports Numba."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from _helpers import run_script

import fastnn
from fastnn import MLP, ops, reference

pytest.importorskip("numba")

import numba
from _jit_activations import FORMULAS, arctan, leaky, swish
from numba.core.caching import NullCache

from fastnn import jit
from fastnn.jit import _compile

HALF = 0.5

# ---- Values and derivatives ----


@pytest.mark.parametrize("activation", FORMULAS, ids=repr)
def test_values_and_derivatives_of_arrays_are_those_of_the_formula(activation):
    value, derivative = FORMULAS[activation]
    z = np.random.default_rng(0).normal(0, 3, (7, 5))
    np.testing.assert_allclose(activation(z), value(z), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(activation.value(z), value(z), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(activation.slope(z), derivative(z), rtol=1e-12, atol=1e-15)


def test_activations_can_be_called_with_any_real_numbers():
    z = np.arange(-6, 6).reshape(3, 4)
    kept = z.copy()
    for given in (z, z.tolist(), np.asfortranarray(z), z.astype(float)[::-1][::-1], z.astype("f4"), z.astype(">f8")):
        np.testing.assert_allclose(swish(given), reference.silu(z), rtol=1e-6)
    np.testing.assert_array_equal(z, kept)
    assert swish(z.astype("f4")).dtype == swish.slope(np.float32(1)).dtype == np.float32
    assert leaky(-2) == -0.02
    assert isinstance(leaky(-2), float)
    assert leaky([]).shape == (0,)
    with pytest.raises(TypeError):
        leaky("text")


# ---- Definition ----


@pytest.mark.parametrize(
    ("function", "derivative", "uses", "message"),
    [
        (
            lambda z: z * z,
            lambda z: z,
            "input",
            r"expected about -19.*, got -9\.\d+ at z = -9\.\d+, where the output is 99\.\d+",
        ),
        (
            lambda z: z if z < 2.0 else 2.0,
            lambda z: 1.0,
            "input",
            r"expected about 0, the derivative of .*, got 1 at z = \d\.\d+, ",
        ),
        (math.fabs, lambda z: 1.0, "input", None),
        (lambda z: math.tanh(z), lambda a: 1.0 - a * a, "input", "expected about .*, got "),
        (lambda z: math.tanh(z), lambda z: 1.0 - math.tanh(z) ** 2, "output", "expected about .*, got "),
        (lambda z: 1e-6 * z, lambda z: 2e-6, "input", r"expected about 1e-06.*, got 2e-06 at z = "),
        (lambda z: z, lambda z: math.nan, "input", "expected about 1, .*, got nan at z = "),
        (
            lambda z: math.exp(z),
            lambda z: math.exp(z) if z > -2.0 else 0.0,
            "input",
            r"expected about .*, got 0 at z = -[2-9]\.\d+",
        ),
    ],
)
def test_wrong_derivatives_raise(function, derivative, uses, message):
    if message is None:
        function, message = (lambda z: abs(z)), r"expected about -1, .*, got 1 at z = -\d"
    with pytest.raises(ValueError, match=f"^derivative: {message}"):
        jit.activation(derivative=derivative, uses=uses)(function)


@pytest.mark.parametrize(
    ("function", "derivative", "check_range"),
    [
        (lambda z: z if z > 0.0 else 0.0, lambda z: 1.0 if z > 0.0 else 0.0, (-10, 10)),
        (lambda z: z if z > 0.0 else 0.0, lambda z: 1.0 if z >= 0.0 else 0.0, (-10, 10)),
        (lambda z: min(max(z, 0.0), 6.0), lambda z: 1.0 if 0.0 < z < 6.0 else 0.0, (-20, 20)),
        (lambda z: math.log(z), lambda z: 1.0 / z if z > 0.0 else math.nan, (-10, 10)),  # where the formula is finite
        (lambda z: math.erf(z), lambda z: 2.0 / math.sqrt(math.pi) * math.exp(-z * z), (-10, 10)),
        (lambda z: math.exp(z * z), lambda z: 2.0 * z * math.exp(z * z), (-10, 10)),
        (lambda z: math.exp(z * z), lambda z: 2.0 * z * math.exp(z * z), (-100, 100)),  # which overflows
        (lambda z: math.sin(30.0 * z), lambda z: 30.0 * math.cos(30.0 * z), (-10, 10)),
        (lambda z: math.floor(z), lambda z: 0.0, (-10, 10)),
        (lambda z: z, lambda z: 1, (1e-9, 2e-9)),
        (lambda z: z**3, lambda z: 3 * z * z, (-1e6, 1e6)),
        (lambda z: z > 0.0, lambda z: False, (-10, 10)),
    ],
)
def test_correct_derivatives_are_accepted(function, derivative, check_range):
    assert jit.activation(derivative=derivative, check_range=check_range)(function)


def test_a_deliberately_different_derivative_is_accepted_without_the_check():
    sign = jit.activation(derivative=lambda z: 1.0 if abs(z) < 1.0 else 0.0, check_range=None)(
        lambda z: 1.0 if z > 0 else -1.0
    )
    np.testing.assert_array_equal(sign.slope([-2.0, 0.5]), [0.0, 1.0])


def test_activations_may_call_compiled_functions():
    @numba.njit
    def half(z):
        return 0.5 * z

    made = jit.activation(derivative=numba.njit(lambda z: half(2.0) * 0.5))(numba.njit(lambda z: half(z)))
    assert made(3.0) == 1.5
    assert MLP((1, 1), output_activation=made, dtype=float).predict([[0.0]]) == 0.0


def test_division_by_zero_gives_infinity():
    inverse = jit.activation(derivative=lambda z: -1.0 / (z * z))(lambda z: 1.0 / z)
    assert inverse(0.0) == np.inf
    assert not np.isfinite(MLP((1, 3, 1), inverse, init="zeros").predict([0.0])).any()


def test_literals_have_the_type_of_the_network():
    block = leaky._block(np.dtype("f4"))
    for function in block._functions.values():
        function.compile((numba.float32,))
        assert str(function.nopython_signatures[0]) == "(float32,) -> float32"


def test_globals_and_closure_variables_have_the_type_of_the_network():
    scale = 0.1
    made = jit.activation(derivative=lambda z: scale, check_range=None)(lambda z, a=0.5: scale * z * HALF * math.pi + a)
    function, derivative = made._block(np.dtype("f4"))._functions.values()
    call = numba.njit(lambda z: function(z) + derivative(z))
    call.compile((numba.float32,))
    assert str(call.nopython_signatures[0].return_type) == "float32"


ELEMENTARY = {
    "exp": [math.exp, np.exp, ops.exp],
    "expm1": [math.expm1, np.expm1, ops.expm1],
    "log": [math.log, np.log, ops.log],
    "log1p": [math.log1p, np.log1p, ops.log1p],
    "tanh": [math.tanh, np.tanh, ops.tanh],
    "sigmoid": [ops.sigmoid],
    "softplus": [ops.softplus],
}


@pytest.mark.parametrize("name", ELEMENTARY)
def test_elementary_functions_are_those_of_the_kernels(name):
    """However they are called, they have the kernels' bits, and no call of the C library is left."""
    z = np.random.default_rng(0).uniform(0.1, 3, 1000).astype(np.float32)
    forms = [eval("lambda z: f(z)", {"f": function}) for function in ELEMENTARY[name]]
    forms += [(lambda f: lambda z: f(z))(function) for function in ELEMENTARY[name]]
    modules = {"math": math, "np": np, "ops": ops, "fastnn": fastnn}
    forms += [eval(f"lambda z: {module}.{name}(z)", modules) for module in ("ops", "fastnn.ops")]
    forms += [eval(f"lambda z: {module}.{name}(z)", modules) for module in ("math", "np") if hasattr(modules[module], name)]
    forms += [eval(f"lambda z: (lambda x: ops.{name}(x))(z)", modules)]
    for form in forms:
        made = jit.activation(derivative=lambda z: 0.0, check_range=None)(form)
        model = MLP((1, 1), output_activation=made, init="zeros")
        model.weights[0][...] = 1.0
        np.testing.assert_array_equal(model.predict(z[:, None])[:, 0], getattr(ops, name)(z))


def test_arctangents_are_accurate():
    forms = [eval(f"lambda z: {form}(z)", {"math": math, "np": np}) for form in ("math.atan", "np.arctan")]
    z = np.concatenate([[-np.inf, -0.0, 0.0, np.inf, np.nan, 1e-310], np.random.default_rng(0).normal(0, 2, 5000)])
    for form in forms:
        made = jit.activation(derivative=lambda z: 1.0 / (1.0 + z * z))(form)
        ulp = np.spacing(np.abs(np.arctan(z)))
        assert np.nanmax(np.abs(made(z) - np.arctan(z)) / ulp) <= 2
        np.testing.assert_array_equal(np.signbit(made(z)), np.signbit(np.arctan(z)))
        np.testing.assert_array_equal(np.isnan(made(z)), np.isnan(z))
        model = MLP((1, 1), output_activation=made, init="zeros")
        model.weights[0][...] = 1.0
        single = np.abs(z[6:].astype(np.float32))
        error = model.predict(single[:, None])[:, 0] - np.arctan(single.astype(float))
        assert (np.abs(error) <= 2 * np.spacing(np.arctan(single))).all()


@pytest.mark.parametrize("number", ["float", "double"])
@pytest.mark.parametrize("activation", [leaky, swish, arctan], ids=repr)
def test_loops_over_blocks_are_vectorized(activation, number, monkeypatch):
    dtype = np.dtype(np.float32 if number == "float" else np.float64)
    monkeypatch.setattr(_compile, "_BLOCKS", {})
    monkeypatch.setattr(_compile, "cache_of", lambda function, key: NullCache())  # inspect the compiler's output
    block = activation._compiled(dtype)
    assert re.search(rf"store <\d+ x {number}>", block.inspect_llvm())


RIGHT = {"derivative": lambda z: 1.0}


@pytest.mark.parametrize(
    ("options", "function", "error", "message"),
    [
        ({"derivative": 3}, None, TypeError, "derivative: expected a Python function of one number, got 3"),
        (
            {"derivative": math.cos},
            None,
            TypeError,
            "derivative: expected a Python function of one number, got <built-in function cos>",
        ),
        (
            {"derivative": lambda z, b: z},
            None,
            TypeError,
            r"derivative: expected a Python function of one number, got <lambda>\(z, b\)",
        ),
        ({"derivative": lambda z: undefined(z)}, abs, TypeError, "derivative: Numba can't compile <lambda> of a float64: "),  # noqa: F821
        (
            {"derivative": lambda z: "1"},
            abs,
            TypeError,
            "derivative: expected a real number, got <lambda>, which returns .*",
        ),
        (RIGHT, 5, TypeError, "function: expected a Python function of one number, got 5"),
        (RIGHT, lambda: 1.0, TypeError, r"function: expected a Python function of one number, got <lambda>\(\)"),
        (RIGHT, lambda z: undefined(z), TypeError, "function: Numba can't compile .*'undefined' is not defined"),  # noqa: F821
        (RIGHT, lambda z: z * 1j, TypeError, "function: expected a real number, got <lambda>, which returns complex128"),
        (RIGHT, lambda z: None, TypeError, "function: expected a real number, got <lambda>, which returns none"),
        ({**RIGHT, "uses": "both"}, None, ValueError, "uses: expected 'input' or 'output', got 'both'"),
        ({**RIGHT, "uses": None}, None, ValueError, "uses: expected 'input' or 'output', got None"),
        ({**RIGHT, "name": 3}, abs, TypeError, "name: expected a string, got 3"),
        ({**RIGHT, "name": ""}, abs, ValueError, "name: expected one that no built-in function has, got ''"),
        ({**RIGHT, "name": "relu"}, abs, ValueError, "name: expected one that no built-in function has, got 'relu'"),
        ({**RIGHT, "check_range": 3}, None, TypeError, r"check_range: expected \(low, high\) or None, got 3"),
        (
            {**RIGHT, "check_range": (1, 2, 3)},
            None,
            TypeError,
            r"check_range: expected \(low, high\) or None, got \(1, 2, 3\)",
        ),
        (
            {**RIGHT, "check_range": (2, 2)},
            None,
            ValueError,
            r"check_range: expected \(low, high\) with low < high, got \(2, 2\)",
        ),
        ({**RIGHT, "check_range": ("a", 2)}, None, TypeError, "check_range: expected a finite number, got 'a'"),
        ({**RIGHT, "check_range": (0, math.inf)}, None, ValueError, "check_range: expected a finite number, got inf"),
        (
            {**RIGHT, "check_range": (-4, -3)},
            lambda z: math.log(z),
            ValueError,
            r"check_range: expected .* is finite somewhere, got \(-4\.0, -3\.0\)",
        ),
    ],
)
def test_wrong_arguments_and_functions_that_cannot_be_compiled_raise(options, function, error, message):
    function = (lambda z: z) if function is abs else function
    with pytest.raises(error, match=f"^{message}"):
        jit.activation(**options)(function)


def test_functions_that_raise_at_zero_are_refused_at_definition():
    def picky(z):
        if z == 0.0:
            raise ValueError("nothing")
        return z

    for check_range in ((-10, 10), None):
        with pytest.raises(ValueError, match=r"^function: picky or its derivative raised ValueError\('nothing'\), expected"):
            jit.activation(derivative=lambda z: 1.0, check_range=check_range)(picky)


def test_functions_whose_variables_are_not_defined_yet_are_refused():
    with pytest.raises(TypeError, match="^function: expected factor to be defined by now, got scaled"):

        @jit.activation(derivative=lambda z: 2.0)
        def scaled(z):
            return factor * z

    factor = 2.0
    assert jit.activation(derivative=lambda z: 2.0)(lambda z: factor * z)(3.0) == 6.0


# ---- Numba itself ----


def test_importing_fastnn_does_not_import_numba():
    run_script("import sys, fastnn; from fastnn import *; assert 'numba' not in sys.modules; assert 'jit' in dir(fastnn)")


def test_without_numba():
    script = "import sys; sys.modules['numba'] = None; import fastnn; fastnn.jit"
    result = run_script(script, check=False)
    assert result.returncode == 1
    assert 'ImportError: fastnn.jit needs Numba: pip install "fastnn-cpu[jit]"' in result.stderr


def test_without_the_compiler_the_error_says_so(monkeypatch):
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    with pytest.raises(RuntimeError, match=r"^fastnn.jit: expected Numba's compiler, got NUMBA_DISABLE_JIT"):
        jit.activation(derivative=lambda z: 2.0 * z, uses="input")(lambda z: z * z)
