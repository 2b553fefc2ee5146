"""Single steps of training, on batches that the caller passes one at a time."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._engine.losses import GIVEN_GRADIENT, NativeLoss
from fastnn._engine.portable._network import Network
from fastnn._engine.portable._rows import Array
from fastnn._engine.portable._run import Run

if TYPE_CHECKING:
    from fastnn._engine.run_settings import RunSettings
    from fastnn._engine.training_data import TrainingData


class Stepper:
    """Single steps of training, the number of updates of a trainer, and the lock for its users."""

    def __init__(self, network: Network, settings: RunSettings, updates: int) -> None:
        self.network, self.updates = network, updates
        self._lock = threading.Lock()
        self.configure(settings)

    def configure(self, settings: RunSettings) -> None:
        """Use these settings from the next step on. The caller must have acquired the trainer."""
        self._settings = settings

    @property
    def address(self) -> int:
        """Raise TypeError, because the fallback has no structure for native code."""
        raise TypeError("trainer: code that Numba or Cython compiles needs fastnn's compiled extension")

    def acquire(self) -> bool:
        """Acquire the trainer if it is free, and return whether it was."""
        return self._lock.acquire(blocking=False)

    def release(self) -> None:
        """Release the trainer."""
        self._lock.release()

    def step(self, data: TrainingData, rate: float, given: bool = False) -> float | None:
        """Make a step and return the loss before it, or change nothing and return None if loss or update are not finite.

        With `given`, the targets are the gradient of a loss with respect to the outputs, summed over rows.
        """
        run = self._run(data, rate, GIVEN_GRADIENT if given else self._settings.loss)
        if run.advance(math.inf, 1) == "diverged":
            return None
        self.updates = run.updates
        return run.batch_loss

    def apply(self, gradient: Array, rate: float) -> float | None:
        """Make an update with a gradient, a vector like the storage; return as `step`."""
        no_data = np.zeros((1, self.network.layer_sizes[0])), np.zeros((1, self.network.layer_sizes[-1])), False, None
        run = self._run(no_data, rate, GIVEN_GRADIENT)
        if not run.apply(self.network.vector(gradient)):
            return None
        self.updates = run.updates
        return run.batch_loss

    def _run(self, data: tuple[Any, ...], rate: float, loss: NativeLoss) -> Run:
        """Return a run of one step."""
        one_batch = self._settings._replace(loss=loss, batch_size=len(data[0]), shuffle=False)
        run = Run(self.network, data, one_batch, 1, self.updates)
        run.set_rates(np.array([rate]))
        return run
