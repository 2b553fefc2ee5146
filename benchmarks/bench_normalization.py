"""Training steps of networks with layer and root mean square normalization, beside PyTorch and JAX on one thread.

The network without a normalization shows what these cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from libraries import Work, jax_work, torch_on
from step_races import assert_same_predictions, race

from fastnn import MLP, SGD, Trainer

N_INPUTS, RATE, EPSILON = 23, 0.01, 1e-5


@dataclass(frozen=True)
class Case:
    """The normalization before both activations, the width of the hidden layers, and the rows of a batch."""

    normalization: str
    width: int
    batch_size: int

    def __str__(self) -> str:
        return f"{self.normalization}, {N_INPUTS}-{self.width}-{self.width}-1, batch {self.batch_size}"

    @property
    def flop(self) -> float:
        """The operations of a step, without those of the normalizations."""
        return 3 * 2.0 * (N_INPUTS * self.width + self.width**2 + self.width) * self.batch_size

    def model(self, *, normalizes: bool = True) -> MLP:
        sizes = (N_INPUTS, self.width, self.width, 1)
        return MLP(sizes, "relu", normalization=self.normalization if normalizes else None, random_state=0)

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(0)
        return tuple(rng.standard_normal((self.batch_size, n), np.float32) for n in (N_INPUTS, 1))  # type: ignore[return-value]


def fastnn_step(case: Case, *, normalizes: bool = True) -> tuple[Work, Any]:
    """Return a function that makes a step, and the model."""
    X, y = case.data()
    trainer = Trainer(case.model(normalizes=normalizes), "mse", SGD(RATE), n_threads=1)
    return lambda: trainer.step(X, y), trainer.model


def without_normalization(case: Case) -> tuple[Work, Any]:
    """Return the same for the network without a normalization."""
    return fastnn_step(case, normalizes=False)


def torch_step(case: Case) -> tuple[Work, Any]:
    """Return the same with PyTorch, from the same parameters."""
    torch = torch_on(1)
    X, y = map(torch.from_numpy, case.data())
    module = case.model().to_torch().train()
    optimizer = torch.optim.SGD(module.parameters(), lr=RATE, foreach=True)

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(module(X), y).backward()
        optimizer.step()

    return step, module


def jax_step(case: Case) -> tuple[Work, Any]:
    """Return a function that computes the parameters after the first step with JAX, as one list."""
    model = case.model()
    given = [np.ascontiguousarray(each) for each in model.parameters]

    def make(jax: Any) -> Any:
        np_ = jax.numpy

        def normalized(z: Any, parameters: list[Any]) -> Any:
            gain = parameters.pop(0)
            if case.normalization == "rms_norm":
                return z / np_.sqrt((z * z).mean(1, keepdims=True) + EPSILON) * gain
            centered = z - z.mean(1, keepdims=True)
            return centered / np_.sqrt((centered * centered).mean(1, keepdims=True) + EPSILON) * gain + parameters.pop(0)

        def loss(parameters: list[Any], X: Any, y: Any) -> Any:
            rest = list(parameters)
            for _ in range(2):
                X = jax.nn.relu(normalized(X @ rest.pop(0) + rest.pop(0), rest))
            return ((X @ rest[0] + rest[1] - y) ** 2).mean()

        def step(X: Any, y: Any, *parameters: Any) -> Any:
            gradients = jax.grad(loss)(list(parameters), X, y)
            return [p - RATE * g for p, g in zip(parameters, gradients, strict=True)]

        return step

    return jax_work(make, (*case.data(), *given), 1), None


STEPS = {"fastnn": fastnn_step, "without normalization": without_normalization, "PyTorch": torch_step, "JAX": jax_step}


@pytest.mark.parametrize("n_threads", [1], indirect=True)
@pytest.mark.parametrize("contestant", STEPS)
@pytest.mark.parametrize(
    "case", [Case(name, *shape) for name in ("layer_norm", "rms_norm") for shape in ((64, 64), (256, 256))], ids=str
)
def test_step(contest, n_threads, case, contestant):
    if contestant == "PyTorch":
        assert_same_predictions(fastnn_step(case), torch_step(case), case.data()[0])
    if contestant == "JAX":
        step, model = fastnn_step(case)
        step()
        for ours, theirs in zip(model.parameters, jax_step(case)[0](), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)
    race(
        contest, "normalization", case, contestant, STEPS, table="microseconds a step with normalizations, float32, 1 thread"
    )
