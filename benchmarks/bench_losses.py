"""Losses on one thread: their values from predictions, and the loss of a model with its gradient, as in training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from libraries import DTYPES, Work, assert_close, jax_work, torch_on
from shapes import OUTPUT_LAYER_INPUTS as N_IN
from shapes import OUTPUTS

import fastnn
from fastnn import ops, reference

Works = dict[str, Work]

# The losses that all contestants have.
COMPARED = ("mse", "mae", "huber", "quantile", "poisson", "binary_cross_entropy", "cross_entropy")


def text(shape: tuple[int, int]) -> str:
    return f"{shape[0]}×{shape[1]}"


# ---- Functions of arrays ----


def inputs(shape: tuple[int, int], dtype: Any) -> tuple[np.ndarray, ...]:
    """Return logits and real targets, probabilities and targets of 0 and 1, rows of probabilities and labels."""
    rng = np.random.default_rng(0)
    z, y = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    return z, y, ops.sigmoid(z), (y > 0).astype(dtype), ops.softmax(z), rng.integers(0, shape[1], shape[0])


def fastnn_works(module: Any, shape: tuple[int, int], dtype: Any) -> Works:
    """Return calls of `fastnn.ops`, or of the reference."""
    z, y, p, yes, rows, labels = inputs(shape, dtype)
    out = np.empty_like(z)
    return {
        "softmax": lambda: module.softmax(z, out=out),
        "log_softmax": lambda: module.log_softmax(z, out=out),
        "mse_loss": lambda: module.mse_loss(y, z),
        "binary_cross_entropy": lambda: module.binary_cross_entropy(yes, p),
        "cross_entropy": lambda: module.cross_entropy(labels, rows),
    }


def numpy_works(shape: tuple[int, int], dtype: Any) -> Works:
    z, y, p, yes, rows, labels = inputs(shape, dtype)
    out, every = np.empty_like(z), np.arange(len(z))

    def softmax() -> np.ndarray:
        np.exp(np.subtract(z, z.max(axis=1, keepdims=True), out=out), out=out)
        return np.divide(out, out.sum(axis=1, keepdims=True), out=out)

    def log_softmax() -> np.ndarray:
        np.subtract(z, z.max(axis=1, keepdims=True), out=out)
        return np.subtract(out, np.log(np.exp(out).sum(axis=1, keepdims=True)), out=out)

    def mse_loss() -> Any:
        difference = np.subtract(z, y, out=out).ravel()
        return difference @ difference / difference.size

    return {
        "softmax": softmax,
        "log_softmax": log_softmax,
        "mse_loss": mse_loss,
        "binary_cross_entropy": lambda: -np.mean(yes * np.log(p) + (1 - yes) * np.log1p(-p)),
        "cross_entropy": lambda: -np.log(rows[every, labels]).mean(),
    }


def torch_works(shape: tuple[int, int], dtype: Any) -> Works:
    torch = torch_on(1)
    z, y, p, yes, rows, labels = map(torch.from_numpy, inputs(shape, dtype))
    functional, out = torch.nn.functional, torch.empty_like(z)
    return {
        "softmax": lambda: torch.softmax(z, 1, out=out),
        "log_softmax": lambda: torch.log_softmax(z, 1, out=out),
        "mse_loss": lambda: functional.mse_loss(z, y),
        "binary_cross_entropy": lambda: functional.binary_cross_entropy(p, yes),
        "cross_entropy": lambda: functional.nll_loss(rows.log(), labels),
    }


def sklearn_works(shape: tuple[int, int], dtype: Any) -> Works:
    """Return the metrics with the same definition; log_loss takes probabilities of the class 1, or of all classes."""
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    z, y, p, yes, rows, labels = inputs(shape, dtype)
    works = {"mse_loss": lambda: metrics.mean_squared_error(y, z)}
    if shape[1] == 1:
        works["binary_cross_entropy"] = lambda: metrics.log_loss(yes.ravel(), p.ravel())
    else:
        works["cross_entropy"] = lambda: metrics.log_loss(labels, rows)
    return works


FUNCTIONS = ("softmax", "log_softmax", "mse_loss", "binary_cross_entropy", "cross_entropy")
VALUES = {
    "fastnn": lambda shape, dtype: fastnn_works(ops, shape, dtype),
    "reference": lambda shape, dtype: fastnn_works(reference, shape, dtype),
    "NumPy": numpy_works,
    "PyTorch": torch_works,
    "scikit-learn": sklearn_works,
}


@pytest.mark.parametrize("n_threads", [1], indirect=True)
@pytest.mark.parametrize("contestant", VALUES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", OUTPUTS, ids=lambda shape: f"{shape[0]} rows of {shape[1]}")
@pytest.mark.parametrize("function", FUNCTIONS)
def test_values(contest, n_threads, function, shape, dtype, contestant):
    works = VALUES[contestant](shape, dtype)
    if function not in works:
        pytest.skip(f"{contestant} has no {function} for this shape")
    assert_close(works[function](), VALUES["reference"](shape, dtype)[function](), dtype)
    anchor = None if contestant == "fastnn" else VALUES["fastnn"](shape, dtype)[function]
    table, row = f"losses and softmax, µs, {np.dtype(dtype)}, 1 thread", f"{function}, {text(shape)}"
    contest(f"{table}: {row}", contestant, works[function], anchor, table=table, row=row, dtype=dtype)


# ---- The loss of a linear layer's outputs, and the gradients of the layer's parameters ----


def model_data(loss: str, shape: tuple[int, int], dtype: Any) -> tuple[np.ndarray, ...]:
    """Return X, w, b, and targets in the domain of the loss; labels for the cross-entropy."""
    rng = np.random.default_rng(0)
    X, w = (rng.standard_normal(size).astype(dtype) for size in ((shape[0], N_IN), (N_IN, shape[1])))
    targets = {
        "poisson": lambda: rng.poisson(2.0, shape).astype(dtype),
        "binary_cross_entropy": lambda: rng.integers(0, 2, shape).astype(dtype),
        "cross_entropy": lambda: rng.integers(0, shape[1], shape[0]),
    }
    y = targets.get(loss, lambda: rng.standard_normal(shape).astype(dtype))()
    return X, w / 4, np.zeros(shape[1], dtype), y


def fastnn_gradient(loss: str, arrays: tuple[np.ndarray, ...]) -> Work:
    X, w, b, y = arrays
    model = fastnn.MLP(w.shape, dtype=w.dtype)
    model.weights[0][...], model.biases[0][...] = w, b
    return lambda: model.gradient(X, y, loss)


def reference_gradient(loss: str, arrays: tuple[np.ndarray, ...]) -> Work:
    X, w, b, y = arrays

    def work() -> tuple[float, list[np.ndarray]]:
        value, weight_gradients, bias_gradients = reference.loss_and_gradient([w], [b], ["identity"], X, y, loss)
        return value, [*weight_gradients, *bias_gradients]

    return work


def torch_gradient(loss: str, arrays: tuple[np.ndarray, ...]) -> Work:
    torch = torch_on(1)
    X, w, b, y = map(torch.from_numpy, arrays)
    parameters = [w.requires_grad_(), b.requires_grad_()]
    functional = torch.nn.functional
    losses = {
        "mse": functional.mse_loss,
        "mae": functional.l1_loss,
        "huber": functional.huber_loss,
        "quantile": lambda p, y: torch.maximum(0.5 * (y - p), -0.5 * (y - p)).mean(),
        "poisson": functional.poisson_nll_loss,
        "binary_cross_entropy": functional.binary_cross_entropy_with_logits,
        "cross_entropy": functional.cross_entropy,
    }

    def work() -> tuple[Any, Any]:
        value = losses[loss](torch.addmm(b, X, w), y)
        return value.detach(), torch.autograd.grad(value, parameters)

    return work


def jax_gradient(loss: str, arrays: tuple[np.ndarray, ...]) -> Work:
    def make(jax: Any) -> Any:
        jnp = jax.numpy
        losses = {
            "mse": lambda p, y: ((p - y) ** 2).mean(),
            "mae": lambda p, y: jnp.abs(p - y).mean(),
            "huber": lambda p, y: jnp.where(jnp.abs(p - y) <= 1, 0.5 * (p - y) ** 2, jnp.abs(p - y) - 0.5).mean(),
            "quantile": lambda p, y: jnp.maximum(0.5 * (y - p), -0.5 * (y - p)).mean(),
            "poisson": lambda z, y: (jnp.exp(z) - y * z).mean(),
            "binary_cross_entropy": lambda z, y: (jax.nn.softplus(z) - y * z).mean(),
            "cross_entropy": lambda z, y: -jnp.take_along_axis(jax.nn.log_softmax(z), y[:, None], axis=1).mean(),
        }
        return jax.value_and_grad(lambda w, b, X, y: losses[loss](X @ w + b, y), argnums=(0, 1))

    X, w, b, y = arrays
    return jax_work(make, (w, b, X, y), 1)


GRADIENTS = {"fastnn": fastnn_gradient, "reference": reference_gradient, "PyTorch": torch_gradient, "JAX": jax_gradient}


@pytest.mark.parametrize("n_threads", [1], indirect=True)
@pytest.mark.parametrize("contestant", GRADIENTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", OUTPUTS, ids=lambda shape: f"{shape[0]} rows of {shape[1]}")
@pytest.mark.parametrize("loss", COMPARED)
def test_gradient(contest, n_threads, loss, shape, dtype, contestant):
    if loss == "cross_entropy" and shape[1] == 1:
        pytest.skip("the cross-entropy of one class is 0")
    arrays = model_data(loss, shape, dtype)
    work = GRADIENTS[contestant](loss, arrays)
    value, gradients = work()
    expected_value, expected = reference_gradient(loss, arrays)()
    assert_close((value, list(gradients)), (expected_value, expected), dtype)
    anchor = None if contestant == "fastnn" else fastnn_gradient(loss, arrays)
    table, row = f"a layer's loss and gradient, µs, {np.dtype(dtype)}, 1 thread", f"{loss}, {N_IN} inputs, {text(shape)}"
    contest(f"{table}: {row}", contestant, work, anchor, table=table, row=row, dtype=dtype)
