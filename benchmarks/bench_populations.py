"""Predictions of many models: checked against each model's own, then timed beside a loop and beside batched products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest
from libraries import Work, assert_close, jax_work, threads_text, torch_on

import fastnn

DTYPE = np.float32


@dataclass(frozen=True)
class Population:
    """Models of one shape, and the rows of each."""

    n_models: int
    layer_sizes: tuple[int, ...]
    n_rows: int

    def __str__(self) -> str:
        sizes = "-".join(map(str, self.layer_sizes))
        return f"{self.n_models} x {sizes}, {self.n_rows} row{'s' * (self.n_rows > 1)}"

    @cached_property
    def models(self) -> list[fastnn.MLP]:
        return [fastnn.MLP(self.layer_sizes, "tanh", random_state=seed) for seed in range(self.n_models)]

    @cached_property
    def X(self) -> np.ndarray:
        """Rows of each model."""
        return np.random.default_rng(0).normal(size=(self.n_models, self.n_rows, self.layer_sizes[0])).astype(DTYPE)

    @cached_property
    def layers(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Weights (n_models, n_in, n_out) and biases (n_models, 1, n_out) of each layer."""
        by_layer = zip(*(zip(model.weights, model.biases, strict=True) for model in self.models), strict=True)
        return [(np.stack([w for w, _ in layer]), np.stack([b for _, b in layer])[:, np.newaxis]) for layer in by_layer]

    @property
    def flop(self) -> float:
        return 2.0 * self.n_models * self.n_rows * sum(w[0].size for w, _ in self.layers)


POPULATIONS = [
    Population(1000, (4, 32, 2), 1),
    Population(64, (4, 16, 2), 4),
    Population(32, (64, 64, 2), 1),
    Population(8, (32, 64, 64, 2), 1000),
]


def by_fastnn(p: Population, n_threads: int) -> Work:
    return lambda: fastnn.predict_many(p.models, p.X)


def by_loop(p: Population, n_threads: int) -> Work:
    return lambda: np.stack([model.predict(x) for model, x in zip(p.models, p.X, strict=True)])


def forward(x, layers, product, tanh):
    """Return the outputs of all models by products of stacks of matrices."""
    for w, b in layers[:-1]:
        x = tanh(product(x, w) + b)
    w, b = layers[-1]
    return product(x, w) + b


def by_matmul(p: Population, n_threads: int) -> Work:
    return lambda: forward(p.X, p.layers, np.matmul, np.tanh)


def by_einsum(p: Population, n_threads: int) -> Work:
    return lambda: forward(p.X, p.layers, lambda x, w: np.einsum("kni,kio->kno", x, w), np.tanh)


def of_one_model(tanh: Callable) -> Callable:
    def predict(x, layers):
        for w, b in layers[:-1]:
            x = tanh(x @ w + b)
        w, b = layers[-1]
        return x @ w + b

    return predict


def by_jax(p: Population, n_threads: int) -> Work:
    arrays = [array for layer in p.layers for array in layer]

    def make(jax):
        predict = of_one_model(jax.numpy.tanh)
        return jax.vmap(lambda x, *flat: predict(x, list(zip(flat[::2], flat[1::2], strict=True))))

    return jax_work(make, (p.X, *arrays), n_threads)


def by_torch(p: Population, n_threads: int) -> Work:
    torch = torch_on(n_threads)
    X, layers = torch.from_numpy(p.X), [tuple(map(torch.from_numpy, layer)) for layer in p.layers]
    predict = torch.func.vmap(of_one_model(torch.tanh))

    def work():
        with torch.inference_mode():
            return predict(X, layers)

    return work


CONTESTANTS = {
    "fastnn": by_fastnn,
    "loop over predict": by_loop,
    "NumPy matmul": by_matmul,
    "NumPy einsum": by_einsum,
    "JAX vmap": by_jax,
    "torch.func vmap": by_torch,
}


@pytest.mark.parametrize("contestant", CONTESTANTS)
@pytest.mark.parametrize("population", POPULATIONS, ids=str)
def test_population(contest, population, n_threads, contestant):
    work, ours = CONTESTANTS[contestant](population, n_threads), by_fastnn(population, n_threads)
    own = [model.predict(x) for model, x in zip(population.models, population.X, strict=True)]
    assert np.array_equal(ours(), own)
    assert_close(work(), np.stack(own), DTYPE)
    contest(
        f"predictions of {population}, {threads_text(n_threads)}",
        contestant,
        work,
        None if contestant == "fastnn" else ours,
        table=f"microseconds for the predictions of a population, float32, {threads_text(n_threads)}",
        row=str(population),
        flop=population.flop,
    )


@pytest.mark.parametrize("contestant", ["fastnn", "NumPy"])
@pytest.mark.parametrize("n_rows", [1, 1000])
def test_mean_and_spread(contest, n_rows, n_threads, contestant):
    ensemble = fastnn.Ensemble([fastnn.MLP((64, 64, 2), "tanh", random_state=seed) for seed in range(32)])
    X = np.random.default_rng(0).normal(size=(n_rows, 64)).astype(DTYPE)

    def by_numpy():
        outputs = fastnn.predict_many(ensemble, X)
        return outputs.mean(axis=0), outputs.std(axis=0)

    def by_ensemble():
        return ensemble.predict(X, return_std=True)

    work = by_ensemble if contestant == "fastnn" else by_numpy
    assert_close(work(), by_numpy(), DTYPE)
    contest(
        f"mean and spread of 32 x 64-64-2, {n_rows} rows, {threads_text(n_threads)}",
        contestant,
        work,
        None if contestant == "fastnn" else by_ensemble,
        table=f"microseconds for the mean and spread of 32 x 64-64-2, float32, {threads_text(n_threads)}",
        row=f"{n_rows} rows",
    )
