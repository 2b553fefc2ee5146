"""Models in the formats of other libraries and languages."""

from __future__ import annotations

from fastnn._exports.layers import Layer
from fastnn._stored import Stored


class Exported(Stored):
    """Exporting and importing; a base of `MLP`."""

    def _layers(self) -> list[Layer]:
        """Return the layers with live views of the parameters."""
        parts = zip(self.weights, self.biases, self.activations, self.slopes, strict=True)
        return [Layer(*part) for part in parts]
