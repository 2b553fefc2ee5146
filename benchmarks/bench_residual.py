"""Training steps of networks with residual connections: SimBa's critic, checked against PyTorch, then timed on one thread.

The network is that of Lee et al., "SimBa: simplicity bias for scaling up parameters in deep reinforcement learning" (2024):
a linear layer, two blocks h + W2 relu(W1 norm(h)) with four times as many units inside, a normalization and the output. The
network without connections shows what these cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from libraries import Work, torch_on
from step_races import assert_same_predictions, race

from fastnn import MLP, Adam, Trainer

N_INPUTS, N_BLOCKS = 23, 2  # states and actions of HalfCheetah


@dataclass(frozen=True)
class Case:
    """The width of the stream, and the rows of a batch."""

    width: int
    batch_size: int

    def __str__(self) -> str:
        return f"SimBa, {N_INPUTS}-{self.width}-1, batch {self.batch_size}"

    @property
    def flop(self) -> float:
        """The operations of a step."""
        products = (N_INPUTS + 1) * self.width + N_BLOCKS * 8 * self.width**2
        return 3 * 2.0 * products * self.batch_size

    def model(self, *, residual: bool = True) -> MLP:
        sizes = (N_INPUTS, self.width, *(4 * self.width, self.width) * N_BLOCKS, 1)
        normalization = ["layer_norm", *(None, "layer_norm") * N_BLOCKS]
        options: dict[str, Any] = {"normalization": normalization, "normalization_place": "after", "random_state": 0}
        return MLP(sizes, ["identity", *("relu", "identity") * N_BLOCKS], residual=2 if residual else False, **options)

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(0)
        return tuple(rng.standard_normal((self.batch_size, n), np.float32) for n in (N_INPUTS, 1))  # type: ignore[return-value]


def fastnn_step(case: Case, *, residual: bool = True) -> tuple[Work, Any]:
    """Return a function that makes a step, and the model."""
    X, y = case.data()
    trainer = Trainer(case.model(residual=residual), "mse", Adam(3e-4), n_threads=1, random_state=0)
    return lambda: trainer.step(X, y), trainer.model


def without_connections(case: Case) -> tuple[Work, Any]:
    """Return the same for the network without connections."""
    return fastnn_step(case, residual=False)


def torch_step(case: Case) -> tuple[Work, Any]:
    """Return the same with PyTorch, from the same parameters and with fused Adam, and a function that predicts."""
    torch = torch_on(1)
    X, y = map(torch.from_numpy, case.data())
    model, sizes = case.model(), case.model().layer_sizes
    linear = [torch.nn.Linear(*pair) for pair in pairwise(sizes)]
    norms = [torch.nn.LayerNorm(case.width) for _ in range(N_BLOCKS + 1)]
    with torch.no_grad():
        for layer, weights, biases in zip(linear, model.weights, model.biases, strict=True):
            layer.weight.copy_(torch.from_numpy(weights.T.copy()))
            layer.bias.copy_(torch.from_numpy(biases.copy()))
    parameters = [p for part in (*linear, *norms) for p in part.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=3e-4, fused=True)

    def predict(x: Any) -> Any:
        h = linear[0](x)
        for block in range(N_BLOCKS):
            h = h + linear[2 * block + 2](torch.relu(linear[2 * block + 1](norms[block](h))))
        return linear[-1](norms[-1](h))

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(predict(X), y).backward()
        optimizer.step()

    return step, predict


STEPS = {"fastnn": fastnn_step, "without connections": without_connections, "PyTorch": torch_step}


@pytest.mark.parametrize("n_threads", [1], indirect=True)
@pytest.mark.parametrize("contestant", STEPS)
@pytest.mark.parametrize("case", [Case(64, 64), Case(128, 256)], ids=str)
def test_step(contest, n_threads, case, contestant):
    if contestant == "PyTorch":
        assert_same_predictions(fastnn_step(case), torch_step(case), case.data()[0])
    table = "microseconds a step with residual connections, float32, 1 thread"
    race(contest, "residual", case, contestant, STEPS, table=table)
