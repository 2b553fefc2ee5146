"""Reinforcement learning: a point mass on a line learns to come to rest at 0, by policy gradient with a learned baseline.

An episode is 64 actions, each of which the actor predicts from one row, and then one update of both networks on these 64
rows. For a Gaussian policy, a step by the policy gradient is one by the mean squared error to mean + advantage * noise.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Protocol

import numpy as np

import fastnn
from fastnn._bench.peers import _jax_functions
from fastnn._bench.peers.numpy_ import NumpyTrainer
from fastnn._bench.shapes import ACTOR_CRITIC
from fastnn._bench.works import RATE, TrainingWork, initial_parameters

WORK = TrainingWork(ACTOR_CRITIC, np.dtype(np.float32), "adam")
STEPS = ACTOR_CRITIC.rows
SECONDS_A_STEP, NOISE, DISCOUNT = 0.1, 0.5, 0.9


class Learner(Protocol):
    """A network that predicts and is trained in turns."""

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the outputs for rows, or for one row."""

    def step(self, X: np.ndarray, y: np.ndarray) -> None:
        """Update once by Adam on all rows."""


class Agent:
    """An actor and a critic in their environment."""

    def __init__(self, actor: Learner, critic: Learner) -> None:
        self.actor, self.critic = actor, critic
        self.rng = np.random.default_rng(0)

    def run(self, episodes: int) -> list[float]:
        """Return the mean reward of each episode."""
        return [self.episode() for _ in range(episodes)]

    def episode(self) -> float:
        states, means, rewards = np.empty((STEPS, 2), np.float32), np.empty(STEPS, np.float32), np.empty(STEPS)
        noise = NOISE * self.rng.standard_normal(STEPS)
        place, speed = self.rng.uniform(-1, 1, 2)
        for i in range(STEPS):
            states[i, 0], states[i, 1] = place, speed
            means[i] = force = self.actor.predict(states[i])[0]
            speed += SECONDS_A_STEP * (float(force) + noise[i])
            place += SECONDS_A_STEP * speed
            rewards[i] = -(place * place) - 0.1 * speed * speed
        returns = discounted(rewards)
        advantages = returns - self.critic.predict(states)[:, 0]
        targets = means + advantages / (advantages.std() + 1e-6) * noise
        self.actor.step(states, targets[:, None].astype(np.float32))
        self.critic.step(states, returns[:, None].astype(np.float32))
        return float(rewards.mean())


def discounted(rewards: np.ndarray) -> np.ndarray:
    """Return the sum of each reward and those after it, with weights that decrease by a constant factor."""
    returns, later = np.empty_like(rewards), 0.0
    for i in range(len(rewards) - 1, -1, -1):
        returns[i] = later = rewards[i] + DISCOUNT * later
    return returns


class FastnnLearner:
    def __init__(self) -> None:
        self.model = fastnn.MLP(WORK.case.layer_sizes, "tanh", random_state=0)
        self.predict = self.model.predict
        self.step = fastnn.Trainer(self.model, "mse", fastnn.Adam(RATE)).step


class NumpyLearner:
    def __init__(self) -> None:
        self.trainer = NumpyTrainer(WORK, 1)
        parameters = self.trainer.parameters()  # live
        *self.hidden, self.output = zip(parameters[::2], parameters[1::2], strict=True)

    def predict(self, X: np.ndarray) -> np.ndarray:
        for w, b in self.hidden:
            X = X @ w
            X += b
            np.tanh(X, out=X)
        return X @ self.output[0] + self.output[1]

    def step(self, X: np.ndarray, y: np.ndarray) -> None:
        self.trainer.prepare(X, y)
        self.trainer.train(1)


class TorchLearner:
    def __init__(self) -> None:
        import torch

        torch.set_num_threads(1)
        self.torch = torch
        layers = [layer for sizes in pairwise(WORK.case.layer_sizes) for layer in (torch.nn.Linear(*sizes), torch.nn.Tanh())]
        self.model = torch.nn.Sequential(*layers[:-1])
        with torch.no_grad():
            for parameter, initial in zip(self.model.parameters(), initial_parameters(WORK), strict=True):
                parameter.copy_(torch.from_numpy(initial.T))
        self.optimizer = torch.optim.Adam(self.model.parameters(), RATE, fused=True)

    def predict(self, X: np.ndarray) -> np.ndarray:
        with self.torch.inference_mode():
            return self.model(self.torch.from_numpy(X)).numpy()

    def step(self, X: np.ndarray, y: np.ndarray) -> None:
        X_, y_ = self.torch.from_numpy(X), self.torch.from_numpy(y)
        self.torch.nn.functional.mse_loss(self.model(X_), y_).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


class JaxLearner:
    def __init__(self) -> None:
        import jax

        _jax_functions.make_client(1, asynchronous=False)
        self.state = _jax_functions.initial_state(WORK)
        self.forward = jax.jit(_jax_functions.forward_of(WORK))
        self.update = jax.jit(_jax_functions.step_of(WORK), donate_argnums=0)

    def predict(self, X: np.ndarray) -> np.ndarray:
        return np.asarray(self.forward(self.state[0], X))

    def step(self, X: np.ndarray, y: np.ndarray) -> None:
        self.state = self.update(self.state, X, y)


class SklearnLearner:
    def __init__(self) -> None:
        from sklearn.neural_network import MLPRegressor

        options = {"hidden_layer_sizes": WORK.case.layer_sizes[1:-1], "activation": "tanh", "learning_rate_init": RATE}
        self.model = MLPRegressor(**options, alpha=0)
        rows = np.zeros((STEPS, 2), np.float32)
        self.model.partial_fit(rows, rows[:, 0])  # makes parameters, which are then replaced by those from which all start
        initial = initial_parameters(WORK)
        optimizer = self.model._optimizer
        optimizer.t = 0
        for array in (*optimizer.ms, *optimizer.vs):
            array[...] = 0
        for array, values in zip(self.model.coefs_ + self.model.intercepts_, initial[::2] + initial[1::2], strict=True):
            array[...] = values

    def predict(self, X: np.ndarray) -> np.ndarray:
        return self.model.predict(np.atleast_2d(X)).reshape(*X.shape[:-1], 1)

    def step(self, X: np.ndarray, y: np.ndarray) -> None:
        self.model.partial_fit(X, y[:, 0])


LEARNERS: dict[str, Any] = {
    "fastnn": FastnnLearner,
    "NumPy": NumpyLearner,
    "PyTorch": TorchLearner,
    "JAX": JaxLearner,
    "scikit-learn": SklearnLearner,
}
IMPORTS = {"fastnn": "fastnn", "NumPy": "numpy", "PyTorch": "torch", "JAX": "jax", "scikit-learn": "sklearn"}


def agent(contestant: str) -> Agent:
    """Return an untrained agent."""
    return Agent(LEARNERS[contestant](), LEARNERS[contestant]())
