"""The jobs of the recipe's steps, and the check that all steps reach the same losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from recipe import step_0_numpy, step_1_elementwise, step_2_layers, step_3_update, step_4_native, step_5_float32
from workloads import xor as tutorial

from fastnn._data import load_digits
from fastnn.ops import mse_loss

STEPS: Mapping[str, Any] = {
    "0 NumPy": step_0_numpy.NeuralNetwork,
    "1 elementwise": step_1_elementwise.WithElementwise,
    "2 layers": step_2_layers.WithLayers,
    "3 update": step_3_update.WithUpdate,
    "4 native": step_4_native.NeuralNetwork,
    "5 float32": step_5_float32.InFloat32,
}
FIRST, LAST = min(STEPS), max(STEPS)
_NATIVE = [step for step in STEPS if step >= "4"]


@dataclass(frozen=True)
class Job:
    """Rows in float64, and the arguments of the class and its `train`.

    `timed` holds numbers of epochs that take milliseconds: for the steps whose loop is in Python, and for the native ones.
    """

    name: str
    layer_sizes: tuple[int, int, int]
    X: np.ndarray
    y: np.ndarray
    epochs: int
    timed: tuple[int, int]
    batch_size: int
    rate: float

    def network(self, step: str) -> Any:
        """Return the network of a step, with the same initial parameters for all steps."""
        np.random.seed(0)
        return STEPS[step](*self.layer_sizes, self.rate)

    def train(self, network: Any, epochs: int) -> None:
        network.train(self.X, self.y, epochs, self.batch_size, self.rate)

    def timed_epochs(self, step: str) -> int:
        return self.timed[step in _NATIVE]

    def updates(self, step: str) -> int:
        """Return the number of updates that a call of the work makes."""
        return self.timed_epochs(step) * -(-len(self.X) // self.batch_size)

    def work(self, step: str) -> Callable[[], None]:
        """Return a call that continues training."""
        network, epochs = self.network(step), self.timed_epochs(step)
        return lambda: self.train(network, epochs)


def xor() -> Job:
    return Job("XOR, 2-2-1, batch 4", (2, 2, 1), tutorial.X, tutorial.Y, tutorial.EPOCHS, (200, 10_000), 4, tutorial.RATE)


def digits() -> Job:
    images, labels = load_digits()
    rows = 1792  # 56 whole batches
    return Job("64-128-10, batch 32", (64, 128, 10), images[:rows] / 16, np.eye(10)[labels[:rows]], 10, (1, 2), 32, 0.01)


JOBS = {job.name: job for job in (xor(), digits())}


@cache
def losses(job: str, step: str) -> list[float]:
    """Return the loss after each tenth of the epochs."""
    network, tenths = JOBS[job].network(step), []
    for _ in range(10):
        JOBS[job].train(network, JOBS[job].epochs // 10)
        tenths.append(mse_loss(JOBS[job].y, network.forward(JOBS[job].X)))
    return tenths


def check(job: str, step: str) -> None:
    """Assert that a step learns, and gives the same losses as plain NumPy, up to rounding in its dtype."""
    expected = losses(job, FIRST)
    assert expected[-1] < expected[0] / 2
    rtol, atol = (1e-3, 1e-10) if step == LAST else (1e-9, 1e-20)
    np.testing.assert_allclose(losses(job, step), expected, rtol=rtol, atol=atol)
