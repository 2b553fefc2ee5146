"""The training of many networks at once: checked against trainings one after the other, and timed beside other libraries."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pytest
from libraries import Work, assert_close, checks_only, jax_work, threads_text, torch_on

import fastnn

DTYPE = np.float32


@dataclass(frozen=True)
class Crowd:
    """Networks of one shape, which are trained on the same rows in the same order, by plain gradient descent."""

    n_models: int
    layer_sizes: tuple[int, ...]
    n_rows: int
    batch_size: int
    epochs: int
    different_rates: bool

    def __str__(self) -> str:
        sizes = "-".join(map(str, self.layer_sizes))
        return f"{self.n_models} x {sizes}, {'different rates' if self.different_rates else 'one rate'}"

    @cached_property
    def X(self) -> np.ndarray:
        return np.random.default_rng(0).uniform(-1, 1, (self.n_rows, self.layer_sizes[0])).astype(DTYPE)

    @cached_property
    def y(self) -> np.ndarray:
        return np.sin(self.X.sum(axis=1, keepdims=True) * np.ones(self.layer_sizes[-1], DTYPE)).astype(DTYPE)

    @property
    def rates(self) -> list[float]:
        return [0.01 * (1 + k / self.n_models) if self.different_rates else 0.01 for k in range(self.n_models)]

    @property
    def optimizers(self) -> list[fastnn.SGD]:
        return [fastnn.SGD(rate) for rate in self.rates]

    @property
    def steps(self) -> int:
        return self.epochs * self.n_rows // self.batch_size

    @property
    def flop(self) -> float:
        """Return the operations of a step of all networks."""
        products = sum(a * b * (6 if a != self.layer_sizes[0] else 4) for a, b in itertools.pairwise(self.layer_sizes))
        return float(self.n_models * self.batch_size * products)

    def new_models(self) -> list[fastnn.MLP]:
        return [fastnn.MLP(self.layer_sizes, "tanh", random_state=seed) for seed in range(self.n_models)]

    def stacked(self) -> list[np.ndarray]:
        """Return weights and biases of all models, layer by layer, (n_models, …)."""
        return [np.stack(arrays) for arrays in zip(*(model.parameters for model in self.new_models()), strict=True)]


# Long enough that the preparation of 1000 models is a small part.
SHAPES = {(2, 2, 1): (4, 4, 20_000), (8, 16, 1): (992, 32, 30), (64, 64, 64, 2): (960, 64, 8)}


def crowds() -> list[Crowd]:
    shapes = [(k, sizes) for sizes in SHAPES for k in (8, 64, 1000) if k < 1000 or len(sizes) == 3]
    return [Crowd(k, sizes, *SHAPES[sizes], rates) for k, sizes in shapes for rates in (False, True)]


def by_fastnn(crowd: Crowd, epochs: int, n_threads: int) -> Work:
    models, options = crowd.new_models(), {"batch_size": crowd.batch_size, "epochs": epochs, "shuffle": False}

    def work() -> list[fastnn.MLP]:
        fastnn.fit_many(models, crowd.X, crowd.y, optimizer=crowd.optimizers, **options)
        return models

    return work


def by_loop(crowd: Crowd, epochs: int, n_threads: int) -> Work:
    models, options = crowd.new_models(), {"batch_size": crowd.batch_size, "epochs": epochs, "shuffle": False}

    def work() -> list[fastnn.MLP]:
        for model, optimizer in zip(models, crowd.optimizers, strict=True):
            model.fit(crowd.X, crowd.y, optimizer=optimizer, **options)
        return models

    return work


def forward(parameters, x, tanh):
    *hidden, (w, b) = zip(parameters[::2], parameters[1::2], strict=True)
    for hidden_w, hidden_b in hidden:
        x = tanh(x @ hidden_w + hidden_b)
    return x @ w + b


def batches(crowd: Crowd) -> tuple[np.ndarray, np.ndarray]:
    """Return the batches of an epoch, (steps, batch_size, columns)."""
    return tuple(a.reshape(-1, crowd.batch_size, a.shape[1]) for a in (crowd.X, crowd.y))


def by_jax(crowd: Crowd, epochs: int, n_threads: int) -> Work:
    """Train by `scan` over epochs and batches, of a step that `vmap` maps over the networks."""

    def make(jax):
        def step(parameters, rate, x, y):
            def loss(parameters):
                return jax.numpy.mean((forward(parameters, x, jax.numpy.tanh) - y) ** 2)

            gradient = jax.grad(loss)(parameters)
            return [w - rate * g for w, g in zip(parameters, gradient, strict=True)]

        of_all = jax.vmap(step, in_axes=(0, 0, None, None))

        def train(rates, X, y, *parameters):
            def batch(parameters, xy):
                return of_all(parameters, rates, *xy), None

            def epoch(parameters, _):
                return jax.lax.scan(batch, parameters, (X, y))[0], None

            return jax.lax.scan(epoch, list(parameters), None, length=epochs)[0]

        return train

    return jax_work(make, (np.array(crowd.rates, DTYPE), *batches(crowd), *crowd.stacked()), n_threads)


def by_torch(crowd: Crowd, epochs: int, n_threads: int) -> Work:
    """Train by a loop over the batches, of a gradient that `vmap` maps over the networks."""
    torch = torch_on(n_threads)
    parameters = tuple(torch.from_numpy(array) for array in crowd.stacked())
    rates = [torch.tensor(crowd.rates).reshape(-1, *[1] * (array.ndim - 1)) for array in parameters]
    X, y = map(torch.from_numpy, batches(crowd))

    def loss(parameters, x, y):
        return torch.mean((forward(parameters, x, torch.tanh) - y) ** 2)

    gradient = torch.func.vmap(torch.func.grad(loss), in_dims=(0, None, None))

    def work():
        for _ in range(epochs):
            for batch, targets in zip(X, y, strict=True):
                for array, rate, of_array in zip(parameters, rates, gradient(parameters, batch, targets), strict=True):
                    array -= rate * of_array
        return parameters

    return work


def by_joblib(crowd: Crowd, epochs: int, n_threads: int) -> Work:
    """Fit scikit-learn's estimators in processes, which start before the clock. Its loss is half as large."""
    joblib, neural_network = pytest.importorskip("joblib"), pytest.importorskip("sklearn.neural_network")
    options: dict[str, Any] = {"solver": "sgd", "momentum": 0.0, "alpha": 0.0, "tol": 0.0, "shuffle": False}
    options |= {"activation": "tanh", "batch_size": crowd.batch_size, "max_iter": epochs, "n_iter_no_change": epochs + 1}
    estimators = [
        neural_network.MLPRegressor(
            hidden_layer_sizes=crowd.layer_sizes[1:-1], learning_rate_init=2 * rate, random_state=0, **options
        )
        for rate in crowd.rates
    ]
    target = crowd.y[:, 0] if crowd.layer_sizes[-1] == 1 else crowd.y

    def work():
        with joblib.parallel_config("loky", n_jobs=n_threads):
            return joblib.Parallel()(joblib.delayed(fitted)(estimator, crowd.X, target) for estimator in estimators)

    return work


def fitted(estimator: Any, X: np.ndarray, y: np.ndarray) -> Any:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(X, y)


CONTESTANTS = {
    "fastnn": by_fastnn,
    "one after the other": by_loop,
    "JAX scan, vmap": by_jax,
    "torch.func vmap": by_torch,
    "scikit-learn, joblib": by_joblib,
}
# So slow that a shorter training is timed.
SHORTER = {"torch.func vmap": 100, "scikit-learn, joblib": 50}


def check(crowd: Crowd, contestant: str, n_threads: int) -> None:
    """Compare the parameters after two epochs with those of fastnn."""
    ours = by_fastnn(crowd, 2, n_threads)()
    found = CONTESTANTS[contestant](crowd, 2, n_threads)()
    if contestant in ("fastnn", "one after the other"):
        for model, other in zip(found, ours, strict=True):
            np.testing.assert_array_equal(model.to_vector(), other.to_vector())
    elif contestant != "scikit-learn, joblib":  # whose networks begin with other weights
        expected = [np.stack(arrays) for arrays in zip(*(model.parameters for model in ours), strict=True)]
        assert_close([np.asarray(array) for array in found], expected, DTYPE)


@pytest.mark.parametrize("contestant", CONTESTANTS)
@pytest.mark.parametrize("crowd", crowds(), ids=str)
def test_many(contest, crowd, n_threads, contestant, request):
    if crowd.n_models == 1000 and (contestant == "scikit-learn, joblib" or checks_only(request)):
        pytest.skip("it would take minutes")
    check(crowd, contestant, n_threads)
    epochs = 1 if checks_only(request) else max(1, crowd.epochs // SHORTER.get(contestant, 1))
    steps = epochs * crowd.n_rows // crowd.batch_size
    contest(
        f"{crowd}, {threads_text(n_threads)}",
        contestant,
        CONTESTANTS[contestant](crowd, epochs, n_threads),
        None if contestant == "fastnn" else by_fastnn(crowd, crowd.epochs, n_threads),
        table=f"microseconds for a step of all networks, float32, {threads_text(n_threads)}",
        row=str(crowd),
        per=steps,
        anchor_per=crowd.steps,
        flop=crowd.flop,
    )
