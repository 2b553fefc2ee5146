"""Activations and their derivatives, elementwise, on one thread, written to an existing array."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from libraries import DTYPES, Work, assert_close, jax_work, torch_on
from shapes import ELEMENTS

from fastnn import ops, reference
from fastnn.ops import activations

# One size fits into the first-level cache; the other is in main memory.
LENGTHS = (min(ELEMENTS), max(ELEMENTS))
# The reference is slow.
CHECKED = 1000

Works = dict[str, Work]


def fastnn_works(x: np.ndarray) -> Works:
    out = np.empty_like(x)
    functions = {name: getattr(ops, name) for name in activations.__all__}
    return {name: lambda function=function: function(x, out=out) for name, function in functions.items()}


def numpy_works(x: np.ndarray) -> Works:
    """Return chains of operations on x, or on the output if it determines the derivative, into one array."""
    out = np.empty_like(x)

    def one_and_power() -> np.ndarray:
        return np.add(np.exp(np.negative(x, out=out), out=out), 1, out=out)

    return {
        "elu": lambda: np.maximum(x, np.expm1(np.minimum(x, 0, out=out), out=out), out=out),
        "elu_grad": lambda: np.add(np.minimum(x, 0, out=out), 1, out=out),
        "leaky_relu": lambda: np.maximum(x, np.multiply(x, 0.01, out=out), out=out),
        "leaky_relu_grad": lambda: np.add(np.multiply(np.greater(x, 0, out=out), 0.99, out=out), 0.01, out=out),
        "relu": lambda: np.maximum(x, 0, out=out),
        "relu_grad": lambda: np.greater(x, 0, out=out),
        "sigmoid": lambda: np.divide(1, one_and_power(), out=out),
        "sigmoid_grad": lambda: np.multiply(x, np.subtract(1, x, out=out), out=out),
        "silu": lambda: np.divide(x, one_and_power(), out=out),
        "softplus": lambda: np.logaddexp(x, 0, out=out),
        "softplus_grad": lambda: np.negative(np.expm1(np.negative(x, out=out), out=out), out=out),
        "tanh": lambda: np.tanh(x, out=out),
        "tanh_grad": lambda: np.subtract(1, np.multiply(x, x, out=out), out=out),
    }


def scipy_works(x: np.ndarray) -> Works:
    special = pytest.importorskip("scipy.special", reason="SciPy is not installed")
    out = np.empty_like(x)
    return {
        "gelu": lambda: np.multiply(x, special.ndtr(x, out=out), out=out),
        "sigmoid": lambda: special.expit(x, out=out),
        "silu": lambda: np.multiply(x, special.expit(x, out=out), out=out),
        "softplus": lambda: np.negative(special.log_expit(np.negative(x, out=out), out=out), out=out),
    }


def torch_works(x: np.ndarray) -> Works:
    """Return operators that write to one tensor; derivatives are those of the backward pass, for a gradient of ones."""
    torch = torch_on(1)
    nn, aten, z = torch._C._nn, torch.ops.aten, torch.from_numpy(x)
    out, ones = torch.empty_like(z), torch.ones_like(z)
    return {
        "elu": lambda: nn.elu(z, out=out),
        "elu_grad": lambda: aten.elu_backward.grad_input(ones, 1, 1, 1, True, z, grad_input=out),
        "gelu": lambda: nn.gelu(z, out=out),
        "gelu_grad": lambda: aten.gelu_backward.grad_input(ones, z, grad_input=out),
        "leaky_relu": lambda: nn.leaky_relu(z, out=out),
        "leaky_relu_grad": lambda: aten.leaky_relu_backward.grad_input(ones, z, 0.01, True, grad_input=out),
        "relu": lambda: torch.clamp_min(z, 0, out=out),
        "relu_grad": lambda: aten.threshold_backward.grad_input(ones, z, 0, grad_input=out),
        "sigmoid": lambda: torch.sigmoid(z, out=out),
        "sigmoid_grad": lambda: aten.sigmoid_backward.grad_input(ones, z, grad_input=out),
        "silu": lambda: nn.silu(z, out=out),
        "silu_grad": lambda: aten.silu_backward.grad_input(ones, z, grad_input=out),
        "softplus": lambda: nn.softplus(z, out=out),
        "tanh": lambda: torch.tanh(z, out=out),
        "tanh_grad": lambda: aten.tanh_backward.grad_input(ones, z, grad_input=out),
    }


def jax_works(x: np.ndarray) -> Works:
    """Return functions that JAX compiles in their first call; JAX makes a new array for every result."""
    names = ("elu", "gelu", "leaky_relu", "relu", "sigmoid", "silu", "softplus", "tanh")
    makers: dict[str, Callable[[Any], Any]] = {name: lambda jax, name=name: getattr(jax.nn, name) for name in names}
    makers |= {
        "gelu": lambda jax: lambda z: jax.nn.gelu(z, approximate=False),
        "elu_grad": lambda jax: lambda a: jax.numpy.where(a > 0, 1, a + 1),
        "gelu_grad": lambda jax: lambda z: jax.scipy.special.ndtr(z) + z * jax.scipy.stats.norm.pdf(z),
        "leaky_relu_grad": lambda jax: lambda a: jax.numpy.where(a > 0, 1, 0.01).astype(a.dtype),
        "relu_grad": lambda jax: lambda a: (a > 0).astype(a.dtype),
        "sigmoid_grad": lambda jax: lambda a: a * (1 - a),
        "silu_grad": lambda jax: lambda z: jax.nn.sigmoid(z) * (1 + z * (1 - jax.nn.sigmoid(z))),
        "softplus_grad": lambda jax: lambda a: -jax.numpy.expm1(-a),
        "tanh_grad": lambda jax: lambda a: 1 - a * a,
    }

    def compiled_when_called(make: Callable[[Any], Any]) -> Work:
        compiled = functools.cache(lambda: jax_work(make, (x,), 1))
        return lambda: compiled()()

    return {name: compiled_when_called(make) for name, make in makers.items()}


CONTESTANTS = {"fastnn": fastnn_works, "NumPy": numpy_works, "SciPy": scipy_works, "PyTorch": torch_works, "JAX": jax_works}


@pytest.mark.parametrize("n_threads", [1], indirect=True)
@pytest.mark.parametrize("contestant", CONTESTANTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("function", activations.__all__)
def test_activation(contest, n_threads, function, length, dtype, contestant):
    x = np.random.default_rng(0).standard_normal(length).astype(dtype)
    if function.endswith("_grad") and reference.ACTIVATIONS[function.removesuffix("_grad")].uses == "output":
        x = getattr(ops, function.removesuffix("_grad"))(x)
    works = CONTESTANTS[contestant](x)
    if function not in works:
        pytest.skip(f"{contestant} has no {function} of this kind")
    work = works[function]
    assert_close(np.asarray(work())[:CHECKED], getattr(reference, function)(x[:CHECKED]), dtype)
    anchor = None if contestant == "fastnn" else fastnn_works(x)[function]
    table = f"activations, ns an element, {np.dtype(dtype)}, {length} elements, 1 thread"
    # Each element is read and written once; microseconds per thousand elements are nanoseconds per element.
    traffic = 2 * 1000 * x.itemsize
    group = f"{function}, {length} elements, {np.dtype(dtype)}"
    amount = {"per": length / 1000, "nbytes": traffic, "like_a_copy": True}
    contest(group, contestant, work, anchor, table=table, row=function, dtype=dtype, **amount)
