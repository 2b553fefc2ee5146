"""Training steps of shared ensembles (TabM-mini and TabM), checked against PyTorch, then timed on one thread.

The network is that of Gorishniy, Kotelnikov and Babenko, "TabM: advancing tabular deep learning with parameter-efficient
ensembling" (2025), with 32 members and smaller layers. One network on a batch with as many rows as all members see together
shows what scales and outputs of their own cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from libraries import Work, torch_on
from step_races import assert_same_predictions, race

from fastnn import MLP, Adam, SharedEnsemble, Trainer

N_INPUTS, N_MEMBERS = 8, 32  # columns as in California housing


@dataclass(frozen=True)
class Case:
    """The width of both hidden layers, the rows of a batch, and the kind of the ensemble."""

    width: int
    batch_size: int
    kind: str = "mini"

    def __str__(self) -> str:
        name = "TabM" if self.kind == "full" else "TabM-mini"
        return f"{name}, {'-'.join(map(str, self.sizes))}, {N_MEMBERS} members, batch {self.batch_size}"

    @property
    def sizes(self) -> tuple[int, ...]:
        return N_INPUTS, self.width, self.width, 1

    @property
    def flop(self) -> float:
        """The operations of a step."""
        return 3 * 2.0 * sum(n_in * n_out for n_in, n_out in pairwise(self.sizes)) * self.batch_size * N_MEMBERS

    def model(self) -> MLP:
        return MLP(self.sizes, "relu", shared=SharedEnsemble(N_MEMBERS, kind=self.kind), random_state=0)

    def data(self, n_copies: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Return a batch whose rows are repeated."""
        rng = np.random.default_rng(0)
        X, y = (rng.standard_normal((self.batch_size, n), np.float32) for n in (N_INPUTS, 1))
        return np.repeat(X, n_copies, axis=0), np.repeat(y, n_copies, axis=0)


def step_of(model: MLP, X: np.ndarray, y: np.ndarray) -> tuple[Work, Any]:
    """Return a function that makes a step, and the model."""
    trainer = Trainer(model, "mse", Adam(1e-3), n_threads=1, random_state=0)
    return lambda: trainer.step(X, y), trainer.model


def fastnn_step(case: Case) -> tuple[Work, Any]:
    """Return the step of the shared ensemble."""
    return step_of(case.model(), *case.data())


def one_network(case: Case) -> tuple[Work, Any]:
    """Return the step of one network on the rows of all members."""
    return step_of(MLP(case.sizes, "relu", random_state=0), *case.data(N_MEMBERS))


def torch_step(case: Case) -> tuple[Work, Any]:
    """Return the step with PyTorch, from the same parameters and with fused Adam, and a function that predicts."""
    torch = torch_on(1)
    (X, y), model = map(torch.from_numpy, case.data()), case.model()

    def parameter(values: np.ndarray) -> Any:
        return torch.nn.Parameter(torch.from_numpy(np.array(values)))

    weights, biases = ([parameter(array) for array in arrays[:-1]] for arrays in (model.weights, model.biases))
    scales, output_scales = (
        [None if array is None else parameter(array) for array in arrays[:-1]]
        for arrays in (model.scales, model.output_scales)
    )
    heads = parameter(model.weights[-1].T.reshape(N_MEMBERS, case.width, 1))  # (members, n_in, 1)
    head_biases = parameter(model.biases[-1][:, None])
    others = [array for array in (*scales, *output_scales) if array is not None]
    parameters = [heads, head_biases, *weights, *biases, *others]
    optimizer = torch.optim.Adam(parameters, lr=1e-3, fused=True)

    def members(x: Any) -> Any:
        h = x[:, None].expand(-1, N_MEMBERS, -1)  # (rows, members, n_in)
        for w, b, r, s in zip(weights, biases, scales, output_scales, strict=True):
            h = (h if r is None else h * r) @ w
            h = torch.relu((h if s is None else h * s) + b)
        return torch.einsum("nki,kio->nko", h, heads) + head_biases

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(members(X), y[:, None].expand(-1, N_MEMBERS, -1)).backward()
        optimizer.step()

    return step, lambda x: members(x).mean(dim=1)


STEPS = {"fastnn": fastnn_step, "one network": one_network, "PyTorch": torch_step}


@pytest.mark.parametrize("n_threads", [1], indirect=True)
@pytest.mark.parametrize("contestant", STEPS)
@pytest.mark.parametrize("case", [Case(64, 64), Case(128, 256), Case(64, 64, "full"), Case(128, 256, "full")], ids=str)
def test_step(contest, n_threads, case, contestant):
    if contestant == "PyTorch":
        assert_same_predictions(fastnn_step(case), torch_step(case), case.data()[0])
    race(contest, "shared", case, contestant, STEPS, table="microseconds a step of a shared ensemble, float32, 1 thread")
