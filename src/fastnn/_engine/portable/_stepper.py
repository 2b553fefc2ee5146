"""Single steps of training, on batches that the caller brings one at a time."""

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
    """Single steps of training; the count of updates, whoever makes them; and the lock that one trainer at a time holds."""

    def __init__(self, network: Network, settings: RunSettings, updates: int) -> None:
        self.network, self.updates = network, updates
        self._lock = threading.Lock()
        self.configure(settings)

    def configure(self, settings: RunSettings) -> None:
        """Train by these settings from the next step on. Acquire before."""
        self._settings = settings

    @property
    def address(self) -> int:
        """Refuse: there is nothing that native code could have."""
        raise TypeError("trainer: code that Numba or Cython compiles needs fastnn's compiled extension")

    def acquire(self) -> bool:
        """Return whether the trainer was free and is the caller's now."""
        return self._lock.acquire(blocking=False)

    def release(self) -> None:
        """Let others have the trainer."""
        self._lock.release()

    def step(self, data: TrainingData, rate: float) -> float | None:
        """Return the loss before a step on a batch; None if loss or update are not finite, and nothing has changed."""
        one_batch = self._settings._replace(batch_size=len(data[0]), shuffle=False)
        run = Run(self.network, data, one_batch, 1, self.updates)
        run.set_rates(np.array([rate]))
        if run.advance(math.inf, 1) == "diverged":
            return None
        self.updates = run.updates
        return run.batch_loss
