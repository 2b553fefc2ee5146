"""Gradients of several batches, on their way into one update."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class Accumulated:
    """Gradients by the parameters, laid out like a network's storage."""

    mean: NDArray[Any]  # of the losses of all rows so far
    weight: float  # of all rows so far in the mean
    given: NDArray[Any]  # the sum of gradients that came from gradients by the outputs

    def with_mean(self, gradient: NDArray[Any], weight: float) -> Accumulated:
        """Return these and the mean gradient of a batch whose rows have that weight together."""
        if weight == 0:  # nothing of the batch counts
            return self
        total = self.weight + weight
        return replace(self, mean=self.mean * (self.weight / total) + gradient * (weight / total), weight=total)

    def with_given(self, gradient: NDArray[Any]) -> Accumulated:
        """Return these and a gradient that is added as it stands."""
        return replace(self, given=self.given + gradient)
