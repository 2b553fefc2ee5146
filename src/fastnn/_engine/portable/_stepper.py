"""Single steps of training, on batches that the caller brings one at a time."""

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
    """Single steps of training; the count of updates, whoever makes them; and the lock that one trainer at a time holds."""

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
        """Have these from the next step on. Acquire before."""
        self._loss, self._optimizer, self._moments = loss, optimizer, moments
        self._bit_generator, self._n_threads = bit_generator, n_threads

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

    def step(
        self, x: Array | SparseRows, y: Array, labels: bool, sample_weight: NDArray[np.float64] | None, rate: float
    ) -> float | None:
        """Return the loss before a step on a batch; None if loss or update are not finite, and nothing has changed."""
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
