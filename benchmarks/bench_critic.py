"""Updates of two critics as in DroQ: checked against PyTorch without dropout, then timed on one thread.

DroQ (Hiraoka et al., "Dropout Q-functions for doubly efficient reinforcement learning", ICLR 2022) trains critics of two
hidden layers with layer normalization and dropout towards the smaller prediction of two averaged copies. An update draws a
batch from the memory of transitions, predicts with the copies, takes a step of Adam with each critic, and moves the copies
towards them. The actor is updated once in 20 updates of the critics, and is left out: the actions after each transition are
given. Dropout is after the activation, and only in the steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from libraries import Work, torch_on
from step_races import assert_same_predictions, race

from fastnn import MLP, Adam, Trainer

N_STATES, N_ACTIONS, N_TRANSITIONS = 17, 6, 100_000  # of HalfCheetah
DISCOUNT, TAU = np.float32(0.99), 0.005


@dataclass(frozen=True)
class Critic:
    """The width of both hidden layers, the rows of a batch, and the probability that a unit is dropped."""

    width: int
    batch_size: int
    dropout: float = 0.01

    def __str__(self) -> str:
        return f"two critics {N_STATES + N_ACTIONS}-{self.width}-{self.width}-1, batch {self.batch_size}"

    @property
    def flop(self) -> float:
        """The operations of an update: two predictions, and two steps of three times as many."""
        products = (N_STATES + N_ACTIONS) * self.width + self.width**2 + self.width
        return 2 * (1 + 3) * 2.0 * products * self.batch_size

    def models(self) -> list[MLP]:
        sizes = (N_STATES + N_ACTIONS, self.width, self.width, 1)
        options = {"normalization": "layer_norm", "dropout": self.dropout}
        return [MLP(sizes, "relu", random_state=seed, **options) for seed in range(2)]


def memory() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return states with actions, (n, 23), the same after each transition, and rewards (n, 1)."""
    rng = np.random.default_rng(0)
    return tuple(rng.standard_normal((N_TRANSITIONS, columns), np.float32) for columns in (23, 23, 1))  # type: ignore[return-value]


def fastnn_update(critic: Critic) -> tuple[Work, Any]:
    """Return a function that makes an update, and the critics."""
    x, after, reward = memory()
    rng, critics = np.random.default_rng(1), critic.models()
    copies = [each.copy() for each in critics]
    trainers = [Trainer(each, "mse", Adam(3e-4), n_threads=1, random_state=0) for each in critics]

    def update() -> None:
        rows = rng.integers(0, N_TRANSITIONS, critic.batch_size)
        following = after[rows]
        target = reward[rows] + DISCOUNT * np.minimum(copies[0].predict(following), copies[1].predict(following))
        batch = x[rows]
        for copy, trainer in zip(copies, trainers, strict=True):
            trainer.step(batch, target)
            copy.blend(trainer.model, TAU)

    return update, critics


def torch_update(critic: Critic) -> tuple[Work, Any]:
    """Return the same with PyTorch, from the same parameters and with fused Adam."""
    torch = torch_on(1)
    x, after, reward = map(torch.from_numpy, memory())
    rng = np.random.default_rng(1)
    critics, copies = ([model.to_torch() for model in critic.models()] for _ in range(2))
    optimizer = torch.optim.Adam([p for each in critics for p in each.parameters()], lr=3e-4, fused=True)
    for copy in copies:
        copy.eval()

    def update() -> None:
        rows = torch.from_numpy(rng.integers(0, N_TRANSITIONS, critic.batch_size))
        with torch.no_grad():
            following = after[rows]
            target = reward[rows] + DISCOUNT * torch.minimum(copies[0](following), copies[1](following))
        batch = x[rows]
        loss = sum(torch.nn.functional.mse_loss(each(batch), target) for each in critics)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for each, copy in zip(critics, copies, strict=True):
                torch._foreach_lerp_(list(copy.parameters()), list(each.parameters()), TAU)

    return update, critics


UPDATES = {"fastnn": fastnn_update, "PyTorch": torch_update}


@pytest.mark.parametrize("n_threads", [1], indirect=True)
@pytest.mark.parametrize("contestant", UPDATES)
@pytest.mark.parametrize("critic", [Critic(64, 64), Critic(256, 64), Critic(256, 256)], ids=str)
def test_update(contest, n_threads, critic, contestant):
    if contestant != "fastnn":
        same = Critic(critic.width, critic.batch_size, dropout=0.0)
        assert_same_predictions(fastnn_update(same), torch_update(same), memory()[0][:100], atol=1e-4)
    race(contest, "critics", critic, contestant, UPDATES, table="microseconds an update of two critics, float32, 1 thread")
