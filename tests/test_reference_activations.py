"""The activations of the reference: values, derivatives, extreme numbers, types."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest

from fastnn import reference
from fastnn.reference import ACTIVATIONS, log_softmax, softmax

ELEMENTWISE = [name for name in ACTIVATIONS if name != "softmax"]
PUBLIC = ["sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu", "silu", "selu", "mish", "softplus"]
GRADIENTS = [f"{name}_grad" for name in PUBLIC]
FROM_INPUT = {"gelu", "silu", "mish", "sin"}

# The textbook's formulas, without any care for stability.
FORMULAS = {
    "identity": lambda z: z,
    "tanh": math.tanh,
    "sigmoid": lambda z: 1 / (1 + math.exp(-z)),
    "relu": lambda z: max(z, 0.0),
    "leaky_relu": lambda z: z if z > 0 else 0.01 * z,
    "elu": lambda z: z if z > 0 else math.exp(z) - 1,
    "gelu": lambda z: z * (1 + math.erf(z / math.sqrt(2))) / 2,
    "silu": lambda z: z / (1 + math.exp(-z)),
    "softplus": lambda z: math.log(1 + math.exp(z)),
    "selu": lambda z: 1.0507009873554805 * (z if z > 0 else 1.6732632423543772 * (math.exp(z) - 1)),
    "mish": lambda z: z * math.tanh(math.log(1 + math.exp(z))),
    "sin": math.sin,
    "exp": math.exp,
}
# Limits at minus infinity and at plus infinity.
LIMITS = {
    "identity": (-math.inf, math.inf),
    "tanh": (-1.0, 1.0),
    "sigmoid": (0.0, 1.0),
    "relu": (0.0, math.inf),
    "leaky_relu": (-math.inf, math.inf),
    "elu": (-1.0, math.inf),
    "gelu": (0.0, math.inf),
    "silu": (0.0, math.inf),
    "softplus": (0.0, math.inf),
    "selu": (-1.0507009873554805 * 1.6732632423543772, math.inf),
    "mish": (0.0, math.inf),
    "exp": (0.0, math.inf),
}
DERIVATIVE_LIMITS = {
    "identity": (1.0, 1.0),
    "tanh": (0.0, 0.0),
    "sigmoid": (0.0, 0.0),
    "relu": (0.0, 1.0),
    "leaky_relu": (0.01, 1.0),
    "elu": (0.0, 1.0),
    "gelu": (0.0, 1.0),
    "silu": (0.0, 1.0),
    "softplus": (0.0, 1.0),
    "selu": (0.0, 1.0507009873554805),
    "mish": (0.0, 1.0),
    "exp": (0.0, math.inf),
}


def derivative_at(name, z):
    activation = ACTIVATIONS[name]
    return activation.slope(z, activation.value(z))


def test_every_activation_is_tested():
    assert all(name == activation.name for name, activation in ACTIVATIONS.items())
    assert set(FORMULAS) == set(ELEMENTWISE)
    assert {name for name, activation in ACTIVATIONS.items() if activation.uses == "input"} == FROM_INPUT
    for name in PUBLIC:
        assert ACTIVATIONS[name].value is getattr(reference, name)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_values_are_those_of_the_textbook(name):
    z = np.linspace(-5, 5, 101)
    expected = [FORMULAS[name](float(x)) for x in z]
    np.testing.assert_allclose(ACTIVATIONS[name].value(z), expected, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_derivatives_are_finite_differences(name):
    z = np.concatenate([-np.geomspace(0.01, 20, 50), np.geomspace(0.01, 20, 50)])
    step = 1e-6 * np.maximum(1, np.abs(z))
    value = ACTIVATIONS[name].value
    expected = (value(z + step) - value(z - step)) / (2 * step)
    np.testing.assert_allclose(derivative_at(name, z), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_derivatives_use_only_the_argument_they_name(name):
    activation, z = ACTIVATIONS[name], np.array([-1.5, 0.5, 2.0])
    a, nothing = activation.value(z), np.full(3, np.nan)
    arguments = (z, nothing) if activation.uses == "input" else (nothing, a)
    assert np.isfinite(activation.slope(*arguments)).all()


def test_derivatives_at_zero_are_those_documented():
    expected = {"relu": 0.0, "leaky_relu": 0.01, "elu": 1.0, "gelu": 0.5, "silu": 0.5, "softplus": 0.5, "sigmoid": 0.25}
    expected |= {"selu": 1.0507009873554805 * 1.6732632423543772, "mish": 0.6}
    for name in ELEMENTWISE:
        np.testing.assert_allclose(derivative_at(name, np.zeros(1)), [expected.get(name, 1.0)], rtol=1e-15)


@pytest.mark.parametrize("name", LIMITS)
def test_infinity_gives_the_limits(name):
    # Warnings would be errors.
    value = ACTIVATIONS[name].value
    for z, expected, derivative in zip((-math.inf, math.inf), LIMITS[name], DERIVATIVE_LIMITS[name], strict=True):
        assert value(np.array([z]))[0] == expected
        assert derivative_at(name, np.array([z]))[0] == derivative
    for z in (-1e308, -1e4, 1e4, 1e308):
        assert np.isfinite(value(np.array([z]))[0]) or name == "exp"
        assert np.isfinite(derivative_at(name, np.array([z]))[0]) or name == "exp"
    assert np.isnan(value(np.array([np.nan]))[0])


def test_small_values_keep_their_digits():
    # The textbook's formulas would cancel here.
    tiny = np.array([1e-20])
    assert reference.elu(-tiny)[0] == -1e-20
    assert reference.softplus(np.array([-50.0]))[0] == pytest.approx(math.exp(-50), rel=1e-14)
    assert reference.sigmoid(np.array([-700.0]))[0] == pytest.approx(math.exp(-700), rel=1e-14)
    # Phi(-10) = 7.619853024160526e-24, from tables of the normal distribution.
    assert reference.gelu(np.array([-10.0]))[0] == pytest.approx(-7.619853024160526e-23, rel=1e-13)
    assert reference.tanh_grad(np.array([1 - 2.0**-53]))[0] == pytest.approx(2.0**-52, rel=1e-15)


@pytest.mark.parametrize("name", PUBLIC + GRADIENTS)
def test_float32_is_the_rounded_float64(name):
    function = getattr(reference, name)
    x = np.linspace(-0.9, 0.9, 31, dtype=np.float32)
    got = function(x)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, function(x.astype(np.float64)).astype(np.float32))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("f4", "f4"),
        ("f8", "f8"),
        ("f2", "f2"),
        ("i1", "f2"),
        ("i2", "f4"),
        ("i4", "f8"),
        ("i8", "f8"),
        ("?", "f2"),
        (">f4", "f4"),
    ],
)
def test_result_types_are_those_of_a_ufunc(given, expected):
    for name in PUBLIC:
        assert getattr(reference, name)(np.ones(2, dtype=given)).dtype == np.dtype(expected)


@pytest.mark.parametrize("name", PUBLIC + GRADIENTS)
def test_keywords_are_those_of_a_ufunc(name):
    function = getattr(reference, name)
    x = np.linspace(-0.9, 0.9, 6).reshape(2, 3)
    expected = function(x)
    out = np.full((2, 3), 7.0)
    assert function(x, out) is out
    np.testing.assert_array_equal(out, expected)
    out = np.full((2, 3), 7.0)
    mask = x > 0
    assert function(x, out=out, where=mask) is out
    np.testing.assert_array_equal(out, np.where(mask, expected, 7.0))
    out = np.empty((2, 2, 3))
    np.testing.assert_array_equal(function(x, out=out), [expected] * 2)
    assert function(x, dtype=np.float32).dtype == np.float32
    assert isinstance(function(0.5), np.float64)
    assert function([]).shape == (0,)
    assert function(x.T).shape == (3, 2)
    assert list(inspect.signature(function).parameters) == ["x", "out", "where", "dtype"]
    assert function.__name__ == name


@pytest.mark.parametrize("wrong", [1j, "text", None, np.array([object()]), np.longdouble(1)])
def test_wrong_types_raise(wrong):
    if np.asarray(wrong).dtype == np.float64:
        pytest.skip("long double is float64 here")
    with pytest.raises(TypeError):
        reference.sigmoid(wrong)
    with pytest.raises(TypeError):
        softmax(wrong)


def test_wrong_dtypes_raise():
    with pytest.raises(TypeError, match="dtype: expected float16, float32 or float64.*got int64"):
        reference.sigmoid(0.5, dtype=np.int64)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_is_that_of_the_textbook(axis, dtype):
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(dtype)
    powers = np.exp(x.astype(np.float64))
    expected = powers / powers.sum(axis=axis, keepdims=True)
    for function, wanted in ((softmax, expected), (log_softmax, np.log(expected))):
        got = function(x, axis=axis)
        assert got.dtype == dtype
        np.testing.assert_allclose(got, wanted, rtol=1e-6 if dtype == np.float32 else 1e-14)
        out = np.empty_like(x)
        assert function(x, axis=axis, out=out) is out
        np.testing.assert_array_equal(out, got)


def test_softmax_of_extreme_numbers_is_exact():
    x = np.array([[1e308, 0.0, -1e308], [-1000.0, -1000.0, -1001.0]])
    np.testing.assert_array_equal(softmax(x)[0], [1.0, 0.0, 0.0])
    np.testing.assert_allclose(softmax(x)[1].sum(), 1.0, rtol=1e-15)
    np.testing.assert_array_equal(log_softmax(x)[0], [0.0, -1e308, -np.inf])
    assert softmax(np.empty((0, 3))).shape == (0, 3)


def test_wrong_arguments_of_softmax_raise():
    with pytest.raises(ValueError, match="x: .*got a scalar"):
        softmax(1.0)
    with pytest.raises(ValueError, match=r"out: expected (shape )?\(2,\).*got \(3,\)"):
        softmax([1.0, 2.0], out=np.empty(3))


def test_softmax_backward_multiplies_by_the_jacobian():
    activation = ACTIVATIONS["softmax"]
    rng = np.random.default_rng(1)
    z, grad_a = rng.normal(size=(5, 4)), rng.normal(size=(5, 4))
    a = activation.value(z)
    jacobians = np.einsum("ij,jk->ijk", a, np.eye(4)) - np.einsum("ij,ik->ijk", a, a)
    products = np.einsum("ijk,ik->ij", jacobians, grad_a)
    np.testing.assert_allclose(activation.backward(z, a, grad_a), products, atol=1e-15)
    np.testing.assert_allclose(activation.slope(z, a), np.einsum("ijj->ij", jacobians), rtol=1e-14)


@pytest.mark.parametrize("name", [*PUBLIC, "softmax"])
def test_values_and_derivatives_are_those_of_pytorch(name):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    theirs = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "softmax": lambda x: functional.softmax(x, dim=-1)}
    z = torch.linspace(-8, 8, 1001, dtype=torch.float64, requires_grad=True)
    a = theirs.get(name, getattr(functional, name))(z)
    # PyTorch's gelu and its derivative cancel for large negative z.
    np.testing.assert_allclose(ACTIVATIONS[name].value(z.detach().numpy()), a.detach().numpy(), rtol=1e-9, atol=1e-15)
    if name != "softmax":
        a.sum().backward()
        np.testing.assert_allclose(derivative_at(name, z.detach().numpy()), z.grad.numpy(), rtol=1e-9, atol=1e-15)
