"""The gradients of several batches, which are collected for one update."""

from __future__ import annotations

from typing import NamedTuple

from fastnn._engine.portable._rows import Array


class Accumulated(NamedTuple):
    """Gradients with respect to the parameters, laid out like the storage of a network."""

    mean: Array  # the gradient of the mean loss of all rows so far
    given: Array  # the sum of the gradients that were computed from gradients with respect to the outputs
    weight: float  # the total weight of the rows in the mean

    def with_mean(self, gradient: Array, weight: float) -> Accumulated:
        """Return these gradients, with the mean gradient of a batch added. `weight` is the total weight of its rows."""
        if weight == 0:  # no row of the batch counts
            return self
        total = self.weight + weight
        return self._replace(mean=self.mean * (self.weight / total) + gradient * (weight / total), weight=total)

    def with_given(self, gradient: Array) -> Accumulated:
        """Return these gradients, with another gradient added unscaled."""
        return self._replace(given=self.given + gradient)
