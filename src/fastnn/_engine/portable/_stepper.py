"""Single steps of training on the caller's batches."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._engine.portable._network import Network
from fastnn._engine.portable._rows import Array, SparseRows
from fastnn._engine.portable._run import Run


class Stepper:
    """Single steps of training, the number of updates of a trainer, and the lock that its users take in turn."""

    def __init__(
        self,
        network: Network,
        loss: tuple[str, float, bool, bool, float, float, Any, bool],
        optimizer: dict[str, Any],
        moments: Array,
        updates: int,
        bit_generator: np.random.BitGenerator,
        n_threads: int | None,
    ) -> None:
        self.network, self.updates, self.rate = network, updates, 0.0
        self._lock = threading.Lock()
        self.configure(loss, optimizer, moments, bit_generator, n_threads)

    def configure(
        self,
        loss: tuple[str, float, bool, bool, float, float, Any, bool],
        optimizer: dict[str, Any],
        moments: Array,
        bit_generator: np.random.BitGenerator,
        n_threads: int | None,
    ) -> None:
        """Set the trainer's settings from the next step on; the caller has acquired the trainer."""
        self._loss, self._optimizer, self._moments = loss, optimizer, moments
        self._bit_generator, self._n_threads = bit_generator, n_threads

    @property
    def address(self) -> int:
        """Raise TypeError: the fallback has no structure for native code."""
        raise TypeError("trainer: code that Numba or Cython compiles needs fastnn's compiled extension")

    def acquire(self) -> bool:
        """Acquire the trainer if it is free, and return whether it was."""
        return self._lock.acquire(blocking=False)

    def release(self) -> None:
        """Release the trainer for others."""
        self._lock.release()

    def step(
        self, x: Array | SparseRows, y: Array, labels: bool, sample_weight: NDArray[np.float64] | None, rate: float
    ) -> float | None:
        """Make a step, and return the loss before it; return None if loss or update are not finite, and change nothing."""
        run = Run(
            self.network,
            self._loss,
            self._optimizer,
            self._moments,
            self.updates,
            x,
            y,
            labels,
            sample_weight,
            len(x),
            1,
            False,
            self._bit_generator,
            self._n_threads,
        )
        run.set_rates(np.array([rate]))
        if run.advance(math.inf, 1) == "diverged":
            return None
        self.updates = run.updates
        return run.batch_loss
