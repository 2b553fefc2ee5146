"""Digests of trainings, by which programs on different instruction sets compare their bits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import MLP, Trainer


class Digest:
    """The digest of the bits of trainings, each of which must have the same on any number of threads."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(
        self, make: Callable[[], MLP], X: Any, y: np.ndarray, optimizer: Any, *, epochs: int = 2, **options: Any
    ) -> None:
        """Add the parameters, losses and predictions of a training, and then the Jacobian of some rows."""
        states = set()
        for n_threads in (1, 2, 3):
            model = make()
            settings = {"random_state": 2, "n_threads": n_threads} | options
            history = Trainer(model, "mse", optimizer, **settings).run(X, y, epochs)
            states.add(model.to_vector().tobytes() + history["loss"].tobytes() + model.predict(X).tobytes())
        assert len(states) == 1, (model, optimizer, options)
        assert np.isfinite(model.to_vector()).all(), (model, optimizer, options)
        self._digest.update(states.pop())
        self._digest.update(model.jacobian(X[:40]).tobytes())

    def print(self) -> None:
        """Print the digest."""
        print(self._digest.hexdigest())
