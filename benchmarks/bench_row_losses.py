"""Losses of distributions, directions and heads, losses with options, and losses of rows that users write, on one thread.

Each is the loss of a linear layer's outputs and its gradients by the layer's parameters, as in training.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from libraries import DTYPES, Work, assert_close, torch_on
from shapes import OUTPUT_LAYER_INPUTS as N_IN

import fastnn
from fastnn import losses, reference

ROWS = 1024


@dataclass(frozen=True)
class Compared:
    """A loss, and the same by other means.

    Parameters
    ----------
    loss : Loss
        The loss in fastnn.
    n_out : int
        The number of outputs.
    targets : callable
        Returns targets from a generator of random numbers and their shape.
    by_hand : callable
        Returns the loss and its gradient by the outputs, from outputs and targets, in NumPy.
    by_torch : callable or None
        Returns the loss from `torch.nn.functional`, outputs and targets; None if PyTorch has no such loss.
    n_in : int
        The number of inputs of the layer.
    """

    loss: fastnn.losses.Loss
    n_out: int
    targets: Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
    by_hand: Callable[[np.ndarray, np.ndarray], tuple[Any, np.ndarray]]
    by_torch: Callable[[Any, Any, Any], Any] | None = None
    n_in: int = N_IN

    def arrays(self, dtype: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return X, w, b and targets."""
        rng = np.random.default_rng(0)
        X, w = (rng.standard_normal(shape).astype(dtype) for shape in ((ROWS, self.n_in), (self.n_in, self.n_out)))
        y = self.targets(rng, (ROWS, self.loss.n_targets(self.n_out)))
        return X, w / 4, np.zeros(self.n_out, dtype), y.astype(dtype)


# ---- By hand ----


def gaussian_nll(p: np.ndarray, y: np.ndarray) -> tuple[Any, np.ndarray]:
    k = y.shape[1]
    error, s = p[:, :k] - y, p[:, k:]
    precision = np.exp(-s)
    square = error * error * precision
    return (s + square).mean() / 2, np.concatenate([error * precision, (1 - square) / 2], axis=1) / y.size


def multi_quantile(p: np.ndarray, y: np.ndarray) -> tuple[Any, np.ndarray]:
    places = np.repeat(np.array((0.1, 0.5, 0.9), p.dtype), y.shape[1])
    error = np.tile(y, 3) - p
    return np.maximum(places * error, (places - 1) * error).mean(), np.where(error > 0, -places, 1 - places) / p.size


def log_softmax(p: np.ndarray) -> np.ndarray:
    shifted = p - p.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def kl_divergence(p: np.ndarray, y: np.ndarray) -> tuple[Any, np.ndarray]:
    logs = log_softmax(p)
    return (y * (np.log(y) - logs)).sum() / len(y), (np.exp(logs) - y) / len(y)


def cosine(p: np.ndarray, y: np.ndarray) -> tuple[Any, np.ndarray]:
    p2, y2 = ((a * a).sum(axis=1, keepdims=True) + 1e-12 for a in (p, y))
    lengths = np.sqrt(p2 * y2)
    similarity = (p * y).sum(axis=1, keepdims=True) / lengths
    return 1 - similarity.mean(), (p * (similarity / p2) - y / lengths) / len(y)


def hinge(p: np.ndarray, y: np.ndarray) -> tuple[Any, np.ndarray]:
    short = np.maximum(1 - y * p, 0)
    return short.mean(), np.where(short > 0, -y, 0) / y.size


def squared_hinge(p: np.ndarray, y: np.ndarray) -> tuple[Any, np.ndarray]:
    short = np.maximum(1 - y * p, 0)
    return (short * short).mean(), -2 * y * short / y.size


def heads(p: np.ndarray, y: np.ndarray) -> tuple[Any, np.ndarray]:
    error, logs, every = p[:, :2] - y[:, :2], log_softmax(p[:, 2:]), np.arange(len(y))
    labels, gradient = y[:, 2].astype(np.int64), np.empty_like(p)
    gradient[:, :2] = error * (2 / error.size)
    np.exp(logs, out=gradient[:, 2:])
    gradient[every, 2 + labels] -= 1
    gradient[:, 2:] *= 0.5 / len(y)
    return (error * error).mean() - 0.5 * logs[every, labels].mean(), gradient


def missing(p: np.ndarray, y: np.ndarray) -> tuple[Any, np.ndarray]:
    observed = ~np.isnan(y)
    error, n = np.where(observed, p - y, 0), observed.sum()
    return (error * error).sum() / n, 2 * error / n


def pos_weight(p: np.ndarray, y: np.ndarray) -> tuple[Any, np.ndarray]:
    yes, exponential = 1 / (1 + np.exp(-p)), np.log1p(np.exp(-np.abs(p)))
    value = (1 - y) * p + (1 + 2 * y) * (exponential + np.maximum(-p, 0))
    return value.mean(), ((1 - y) * yes - 3 * y * (1 - yes)) / y.size


def label_smoothing(p: np.ndarray, y: np.ndarray) -> tuple[Any, np.ndarray]:
    logs, smooth = log_softmax(p), 0.9 * y + 0.1 / y.shape[1]
    return -(smooth * logs).sum() / len(y), (np.exp(logs) - smooth) / len(y)


def normal(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.standard_normal(shape)


def partly_missing(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return np.where(rng.random(shape) < 0.2, np.nan, rng.standard_normal(shape))


def distributions(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.dirichlet(np.ones(shape[1]), shape[0])


def signs(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.choice([-1.0, 1.0], shape)


def zeros_and_ones(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.integers(0, 2, shape)


def one_hot(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return np.eye(shape[1])[rng.integers(0, shape[1], shape[0])]


def numbers_and_labels(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return np.column_stack([rng.standard_normal((shape[0], 2)), rng.integers(0, 5, shape[0])])


COMPARED = {
    "gaussian_nll": Compared(
        losses.GaussianNLL(), 8, normal, gaussian_nll,
        lambda F, p, y: F.gaussian_nll_loss(p[:, :4], y, p[:, 4:].exp()),
    ),
    "multi_quantile": Compared(losses.MultiQuantile(), 12, normal, multi_quantile),
    "kl_divergence": Compared(
        losses.KLDivergence(), 10, distributions, kl_divergence,
        lambda F, p, y: F.kl_div(F.log_softmax(p, 1), y, reduction="batchmean"),
    ),
    "cosine": Compared(losses.Cosine(), 10, normal, cosine, lambda F, p, y: 1 - F.cosine_similarity(p, y).mean()),
    "hinge": Compared(losses.Hinge(), 4, signs, hinge, lambda F, p, y: F.relu(1 - y * p).mean()),
    "squared_hinge": Compared(losses.SquaredHinge(), 4, signs, squared_hinge),
    "heads": Compared(
        losses.Heads([((0, 2), "mse"), ((2, 7), "cross_entropy", 0.5)]), 7, numbers_and_labels, heads,
        lambda F, p, y: F.mse_loss(p[:, :2], y[:, :2]) + 0.5 * F.cross_entropy(p[:, 2:], y[:, 2].long()),
    ),
    "mse, missing targets": Compared(losses.MSE(missing="ignore"), 4, partly_missing, missing),
    "binary_cross_entropy, pos_weight": Compared(
        losses.BinaryCrossEntropy(pos_weight=3.0), 4, zeros_and_ones, pos_weight,
        lambda F, p, y: F.binary_cross_entropy_with_logits(p, y, pos_weight=p.new_tensor(3.0)),
    ),
    "cross_entropy, label_smoothing": Compared(
        losses.CrossEntropy(label_smoothing=0.1), 10, one_hot, label_smoothing,
        lambda F, p, y: F.cross_entropy(p, y, label_smoothing=0.1),
    ),
}  # fmt: skip


def fastnn_gradient(compared: Compared, dtype: Any, loss: Any = None) -> Work:
    X, w, b, y = compared.arrays(dtype)
    model = fastnn.MLP(w.shape, dtype=w.dtype)
    model.weights[0][...], model.biases[0][...] = w, b
    chosen = compared.loss if loss is None else loss
    return lambda: model.gradient(X, y, chosen)


def reference_gradient(compared: Compared, dtype: Any) -> tuple[float, list[np.ndarray]]:
    X, w, b, y = compared.arrays(dtype)
    value, of_weights, of_biases = reference.loss_and_gradient([w], [b], ["identity"], X, y, compared.loss)
    return value, [*of_weights, *of_biases]


def numpy_gradient(compared: Compared, dtype: Any) -> Work:
    X, w, b, y = compared.arrays(dtype)

    def work() -> tuple[Any, list[np.ndarray]]:
        value, delta = compared.by_hand(X @ w + b, y)
        return value, [X.T @ delta, delta.sum(axis=0)]

    return work


def torch_gradient(compared: Compared, dtype: Any) -> Work:
    torch = torch_on(1)
    if compared.by_torch is None:
        pytest.skip("PyTorch has no such loss")
    X, w, b, y = map(torch.from_numpy, compared.arrays(dtype))
    parameters = [w.requires_grad_(), b.requires_grad_()]

    def work() -> tuple[Any, Any]:
        value = compared.by_torch(torch.nn.functional, torch.addmm(b, X, w), y)
        return value.detach(), torch.autograd.grad(value, parameters)

    return work


GRADIENTS = {"fastnn": fastnn_gradient, "NumPy": numpy_gradient, "PyTorch": torch_gradient}


@pytest.mark.parametrize("n_threads", [1], indirect=True)
@pytest.mark.parametrize("contestant", GRADIENTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", COMPARED)
def test_gradient(contest, n_threads, name, dtype, contestant):
    compared = COMPARED[name]
    work = GRADIENTS[contestant](compared, dtype)
    value, gradients = work()
    assert_close((value, list(gradients)), reference_gradient(compared, dtype), dtype)
    anchor = None if contestant == "fastnn" else fastnn_gradient(compared, dtype)
    table, row = (
        f"a layer's loss and gradient, µs, {np.dtype(dtype)}, 1 thread",
        f"{name}, {N_IN} inputs, {ROWS}×{compared.n_out}",
    )
    contest(f"{table}: {row}", contestant, work, anchor, table=table, row=row, dtype=dtype)


# ---- The same losses, written by a user for Numba ----


def gaussian_nll_row(y_true: Any, y_pred: Any, out: Any) -> Any:
    k, total = len(y_true), 0.0
    share = 1.0 / k
    for j in range(k):
        error, s = y_pred[j] - y_true[j], y_pred[k + j]
        precision = math.exp(-s)
        square = error * error * precision
        out[j] = share * (error * precision)
        out[k + j] = share * (0.5 * (1.0 - square))
        total += s + square
    return 0.5 * share * total


def cosine_row(y_true: Any, y_pred: Any, out: Any) -> Any:
    product = p2 = y2 = 0.0
    for j in range(len(y_pred)):
        product += y_pred[j] * y_true[j]
        p2 += y_pred[j] * y_pred[j]
        y2 += y_true[j] * y_true[j]
    p2, y2 = p2 + 1e-12, y2 + 1e-12
    lengths = math.sqrt(p2) * math.sqrt(y2)
    similarity = product / lengths
    of_prediction, of_target = similarity / p2, 1.0 / lengths
    for j in range(len(y_pred)):
        out[j] = y_pred[j] * of_prediction - y_true[j] * of_target
    return 1.0 - similarity


@functools.cache
def custom(name: str, n_out: int) -> Any:
    """Return a loss of rows that computes the same as the built-in loss of that name."""
    numba = pytest.importorskip("numba", reason="Numba is not installed")
    from fastnn import jit

    gradient = {"gaussian_nll": gaussian_nll_row, "cosine": cosine_row}[name]
    sizes = {"n_targets": n_out // 2, "n_outputs": n_out} if name == "gaussian_nll" else {}
    compiled = numba.njit(gradient)
    make = jit.loss(per_row=True, gradient=gradient, name=f"{name} of {n_out} by a user", check_range=None, **sizes)
    return make(lambda y_true, y_pred: compiled(y_true, y_pred, np.empty_like(y_pred)))


@pytest.mark.parametrize("n_threads", [1], indirect=True)
@pytest.mark.parametrize("contestant", ["fastnn", "numba, per_row"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_out", [2, 8, 16, 64])
@pytest.mark.parametrize("name", ["gaussian_nll", "cosine"])
def test_custom_loss(contest, n_threads, name, n_out, dtype, contestant):
    compared = replace(COMPARED[name], n_out=n_out)
    work = fastnn_gradient(compared, dtype, None if contestant == "fastnn" else custom(name, n_out))
    assert_close(work(), reference_gradient(compared, dtype), dtype)
    anchor = None if contestant == "fastnn" else fastnn_gradient(compared, dtype)
    table, row = (
        f"a built-in loss and the same by a user, µs, {np.dtype(dtype)}, 1 thread",
        f"{name}, {ROWS}×{compared.n_out}",
    )
    contest(f"{table}: {row}", contestant, work, anchor, table=table, row=row, dtype=dtype)
