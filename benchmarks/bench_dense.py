"""A single dense layer: tanh(x @ w + b) in one pass, and its gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from libraries import DTYPES, Work, assert_close, jax_work, threads_text, torch_on
from shapes import DENSE

from fastnn import ops, reference

Arrays = tuple[np.ndarray, ...]


def arguments(product: Any, dtype: Any) -> Arrays:
    """Return x, w, b, a = tanh(x @ w + b), and a gradient with respect to a."""
    rng = np.random.default_rng(0)
    shapes = ((product.rows, product.n_in), (product.n_in, product.n_out), (product.n_out,))
    x, w, b = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    w /= np.sqrt(product.n_in).astype(dtype)
    a = reference.linear(x, w, b, "tanh")
    return x, w, b, a, rng.standard_normal(a.shape).astype(dtype)


# ---- Forward: from arrays to the layer's output ----


def fastnn_forward(arrays: Arrays, n_threads: int) -> Work:
    x, w, b, a, _ = arrays
    out = np.empty_like(a)
    return lambda: ops.linear(x, w, b, "tanh", out=out)


def numpy_forward(arrays: Arrays, n_threads: int) -> Work:
    x, w, b, a, _ = arrays
    out = np.empty_like(a)

    def work() -> np.ndarray:
        np.matmul(x, w, out=out)
        np.add(out, b, out=out)
        return np.tanh(out, out=out)

    return work


def torch_forward(arrays: Arrays, n_threads: int) -> Work:
    torch = torch_on(n_threads)
    x, w, b, a, _ = map(torch.from_numpy, arrays)
    out = torch.empty_like(a)
    return lambda: torch.addmm(b, x, w, out=out).tanh_()


def jax_forward(arrays: Arrays, n_threads: int) -> Work:
    return jax_work(lambda jax: lambda x, w, b: jax.numpy.tanh(x @ w + b), arrays[:3], n_threads)


# ---- Backward: from arrays to the gradients with respect to x, w and b ----


def fastnn_backward(arrays: Arrays, n_threads: int) -> Work:
    x, w, _, a, grad_a = arrays
    return lambda: ops.linear_grad(x, w, a, grad_a, "tanh")


def numpy_backward(arrays: Arrays, n_threads: int) -> Work:
    x, w, b, a, grad_a = arrays
    delta, grad_x, grad_w, grad_b = map(np.empty_like, (a, x, w, b))

    def work() -> Arrays:
        np.multiply(a, a, out=delta)
        np.subtract(1, delta, out=delta)
        np.multiply(grad_a, delta, out=delta)
        np.matmul(delta, w.T, out=grad_x)
        np.matmul(x.T, delta, out=grad_w)
        np.add.reduce(delta, axis=0, out=grad_b)
        return grad_x, grad_w, grad_b

    return work


def torch_backward(arrays: Arrays, n_threads: int) -> Work:
    """Run only the backward pass, through a graph that is kept."""
    torch = torch_on(n_threads)
    inputs = [torch.from_numpy(array).requires_grad_() for array in arrays[:3]]
    x, w, b = inputs
    a, grad_a = torch.addmm(b, x, w).tanh(), torch.from_numpy(arrays[4])
    return lambda: torch.autograd.grad(a, inputs, grad_a, retain_graph=True)


def jax_backward(arrays: Arrays, n_threads: int) -> Work:
    def gradients(x: Any, w: Any, a: Any, grad_a: Any) -> Any:
        delta = grad_a * (1 - a * a)
        return delta @ w.T, x.T @ delta, delta.sum(axis=0)

    x, w, _, a, grad_a = arrays
    return jax_work(lambda jax: gradients, (x, w, a, grad_a), n_threads)


FORWARD = {"fastnn": fastnn_forward, "NumPy": numpy_forward, "PyTorch": torch_forward, "JAX": jax_forward}
BACKWARD = {"fastnn": fastnn_backward, "NumPy": numpy_backward, "PyTorch": torch_backward, "JAX": jax_backward}


@pytest.mark.parametrize("contestant", FORWARD)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("product", DENSE, ids=lambda product: f"{product.rows} rows {product.n_in} to {product.n_out}")
@pytest.mark.parametrize("makers", [FORWARD, BACKWARD], ids=["linear", "linear_grad"])
def test_dense(contest, n_threads, makers, product, dtype, contestant):
    arrays = arguments(product, dtype)
    x, w, _, a, grad_a = arrays
    work = makers[contestant](arrays, n_threads)
    expected = a if makers is FORWARD else reference.linear_grad(x, w, a, grad_a, "tanh")
    assert_close(work(), expected, dtype)
    anchor = None if contestant == "fastnn" else makers["fastnn"](arrays, n_threads)
    name = "linear with tanh" if makers is FORWARD else "linear_grad with tanh"
    table = f"{name}, µs, {np.dtype(dtype)}, {threads_text(n_threads)}"
    flop = product.flop if makers is FORWARD else 2 * product.flop
    contest(f"{table}, {product}", contestant, work, anchor, table=table, row=str(product), flop=flop, dtype=dtype)
