"""Single steps of training, on batches that the caller passes one at a time."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

import numpy as np

from fastnn._engine.portable._network import Network
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

    def step(self, data: TrainingData, rate: float) -> float | None:
        """Make a step and return the loss before it, or change nothing and return None if loss or update are not finite."""
        one_batch = self._settings._replace(batch_size=len(data[0]), shuffle=False)
        run = Run(self.network, data, one_batch, 1, self.updates)
        run.set_rates(np.array([rate]))
        if run.advance(math.inf, 1) == "diverged":
            return None
        self.updates = run.updates
        return run.batch_loss
