"""The gradients of several batches, which are collected for one update."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class Accumulated:
    """Gradients with respect to the parameters, laid out like the storage of a network."""

    mean: NDArray[Any]  # the gradient of the mean loss of all rows so far
    weight: float  # the total weight of these rows in the mean
    given: NDArray[Any]  # the sum of the gradients that were computed from gradients with respect to the outputs

    def with_mean(self, gradient: NDArray[Any], weight: float) -> Accumulated:
        """Return these gradients, with the mean gradient of a batch added. `weight` is the total weight of its rows."""
        if weight == 0:  # no row of the batch counts
            return self
        total = self.weight + weight
        return replace(self, mean=self.mean * (self.weight / total) + gradient * (weight / total), weight=total)

    def with_given(self, gradient: NDArray[Any]) -> Accumulated:
        """Return these gradients, with another gradient added unscaled."""
        return replace(self, given=self.given + gradient)
