"""Embeddings of columns: the loss of a small network and its gradients, on one thread."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from libraries import DTYPES, Work, assert_close, torch_on

import fastnn
from fastnn import reference
from fastnn.embeddings import PBLD, PLR, Categorical, Embedding, OneHot, PiecewiseLinear

ROWS, N_IN, HIDDEN = 256, 8, 64


@dataclass(frozen=True)
class Compared:
    """An embedding of all columns, and the same by PyTorch.

    Parameters
    ----------
    embedding : Embedding
        The embedding in fastnn.
    n_categories : int or None
        The number of categories of each column, or None for numeric columns.
    by_torch : callable or None
        Returns the outputs (rows, outputs) from the module torch, rows of inputs and the parts of the parameters.
    """

    embedding: Embedding
    n_categories: int | None = None
    by_torch: Callable[[Any, Any, dict[str, Any]], Any] | None = None

    def model(self, dtype: Any) -> fastnn.MLP:
        """Return the network."""
        return fastnn.MLP((N_IN, HIDDEN, 1), "tanh", embeddings=self.embedding, dtype=dtype, random_state=0)

    def data(self, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return inputs and targets."""
        rng = np.random.default_rng(0)
        size = (ROWS, N_IN)
        X = rng.standard_normal(size) if self.n_categories is None else rng.integers(0, self.n_categories, size)
        return X.astype(dtype), rng.standard_normal((ROWS, 1)).astype(dtype)


def pbld(torch: Any, X: Any, parts: dict[str, Any]) -> Any:
    waves = torch.cos(2 * math.pi * X[:, :, None] * parts["frequencies"] + parts["phases"])
    linear = torch.bmm(waves.transpose(0, 1), parts["weights"]).transpose(0, 1) + parts["biases"]
    return torch.cat([linear, X[:, :, None]], 2).flatten(1)


def plr(torch: Any, X: Any, parts: dict[str, Any]) -> Any:
    angles = 2 * math.pi * X[:, :, None] * parts["frequencies"]
    waves = torch.cat([torch.cos(angles), torch.sin(angles)], 2)
    return torch.relu(torch.bmm(waves.transpose(0, 1), parts["weights"]).transpose(0, 1) + parts["biases"]).flatten(1)


def tables(torch: Any, X: Any, parts: dict[str, Any]) -> Any:
    codes = X.long().T
    return torch.cat([torch.nn.functional.embedding(c, t) for c, t in zip(codes, parts.values(), strict=True)], 1)


COMPARED = {
    "PBLD, 16 frequencies": Compared(PBLD(range(N_IN)), by_torch=pbld),
    "PLR, 16 frequencies": Compared(PLR(range(N_IN)), by_torch=plr),
    "16 bins": Compared(PiecewiseLinear(range(N_IN), bins=np.linspace(-2, 2, 17).tolist())),
    "one-hot, 8 categories": Compared(OneHot(range(N_IN), n_categories=8), 8),
    "1000 categories": Compared(Categorical(range(N_IN), n_categories=1000), 1000, tables),
}


def fastnn_gradient(compared: Compared, dtype: Any) -> Work:
    model, (X, y) = compared.model(dtype), compared.data(dtype)
    return lambda: model.gradient(X, y)


def numpy_gradient(compared: Compared, dtype: Any) -> Work:
    model, (X, y) = compared.model(dtype), compared.data(dtype)
    embedded = list(zip(model.embeddings, model.embedding_parameters, strict=True))

    def work() -> tuple[float, list[np.ndarray]]:
        lists = model.weights, model.biases, model.activations
        value, of_weights, of_biases, of_embeddings = reference.loss_and_gradient(*lists, X, y, embeddings=embedded)
        own = [gradient for gradient in of_embeddings if gradient is not None]
        return value, [*own, *(g for pair in zip(of_weights, of_biases, strict=True) for g in pair)]

    return work


def torch_gradient(compared: Compared, dtype: Any) -> Work:
    torch = torch_on(1)
    if compared.by_torch is None:
        pytest.skip("the comparison has no form for PyTorch")
    model = compared.model(dtype)
    X, y = map(torch.from_numpy, compared.data(dtype))
    parameters = [torch.from_numpy(p.copy()).requires_grad_() for p in model.parameters]

    def work() -> tuple[Any, Any]:
        own, w, b, v, c = parameters
        parts = model.embeddings[0].parts(own)
        hidden = torch.tanh(torch.addmm(b, compared.by_torch(torch, X, parts), w))
        value = torch.nn.functional.mse_loss(torch.addmm(c, hidden, v), y)
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
    assert_close((value, list(gradients)), numpy_gradient(compared, dtype)(), dtype)
    anchor = None if contestant == "fastnn" else fastnn_gradient(compared, dtype)
    table = f"a network with embeddings, loss and gradient, µs, {np.dtype(dtype)}, 1 thread"
    row = f"{name}, {N_IN} columns, {ROWS} rows"
    contest(f"{table}: {row}", contestant, work, anchor, table=table, row=row, dtype=dtype)


# ---- Training with many categories ----

STEPS, RATE = 20, 0.001


@dataclass(frozen=True)
class Table:
    """A network with a table of categories, and the rows of an epoch."""

    n_categories: int

    def model(self) -> fastnn.MLP:
        """Return the network."""
        tables = Categorical(1, n_categories=self.n_categories)
        return fastnn.MLP((2, HIDDEN, 1), "tanh", embeddings=tables, random_state=0)

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Return inputs and targets."""
        rng = np.random.default_rng(0)
        X = np.column_stack([rng.standard_normal(STEPS * ROWS), rng.integers(0, self.n_categories, STEPS * ROWS)])
        return X.astype(np.float32), np.sin(X[:, :1]).astype(np.float32)


def fastnn_epoch(table: Table, *, lazy: bool) -> Work:
    settings = {"batch_size": ROWS, "shuffle": False, "lazy_updates": lazy, "n_threads": 1}
    trainer, (X, y) = fastnn.Trainer(table.model(), "mse", fastnn.Adam(RATE), **settings), table.data()
    return lambda: trainer.run(X, y, 1)["loss"][0]


def torch_epoch(table: Table) -> Work:
    torch = torch_on(1)
    model = table.model()
    own, w, b, v, c = (torch.from_numpy(p.copy()).requires_grad_() for p in model.parameters)
    X, y = map(torch.from_numpy, table.data())
    optimizers = torch.optim.SparseAdam([own], lr=RATE), torch.optim.Adam([w, b, v, c], lr=RATE, fused=True)

    def work() -> float:
        total = 0.0
        for i in range(0, len(X), ROWS):
            x, codes = X[i : i + ROWS, :1], X[i : i + ROWS, 1].long()
            inputs = torch.cat([torch.nn.functional.embedding(codes, own, sparse=True), x], 1)
            loss = torch.nn.functional.mse_loss(torch.addmm(c, torch.tanh(torch.addmm(b, inputs, w)), v), y[i : i + ROWS])
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
            total += loss.item()
        return total / STEPS

    return work


EPOCHS: dict[str, Callable[[Table], Work]] = {
    "lazy": lambda table: fastnn_epoch(table, lazy=True),
    "exact": lambda table: fastnn_epoch(table, lazy=False),
    "PyTorch, SparseAdam": torch_epoch,
}


@pytest.mark.parametrize("n_threads", [1], indirect=True)
@pytest.mark.parametrize("contestant", EPOCHS)
@pytest.mark.parametrize("n_categories", [1000, 100_000, 1_000_000])
def test_epoch(contest, n_threads, n_categories, contestant):
    compared = Table(n_categories)
    work = EPOCHS[contestant](compared)
    np.testing.assert_allclose(work(), EPOCHS["lazy"](compared)(), rtol=1e-2 if contestant == "exact" else 1e-4)
    anchor = None if contestant == "lazy" else EPOCHS["lazy"](compared)
    table = f"{STEPS} steps of Adam with a table of categories, µs, float32, 1 thread"
    row = f"{n_categories} categories, {ROWS} rows"
    contest(f"{table}: {row}", contestant, work, anchor, table=table, row=row, dtype=np.float32)
