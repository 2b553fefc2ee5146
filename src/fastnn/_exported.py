"""Models in the formats of other libraries and languages."""

from __future__ import annotations

from typing import Any

from fastnn._exports.layers import Layer
from fastnn._stored import Stored


class Exported(Stored):
    """Exporting and importing; a base of `MLP`."""

    def _layers(self) -> list[Layer]:
        """Return the layers with live views of the parameters."""
        parts = zip(self.weights, self.biases, self.activations, self.slopes, strict=True)
        return [Layer(*part) for part in parts]

    def to_torch(self) -> Any:
        """Return a module of PyTorch with the same layers, parameters and dropout rates.

        Returns
        -------
        torch.nn.Sequential
            A module in evaluation mode, in which it computes what `predict` computes. Its method ``train()`` turns dropout
            on. It shares no memory with the model.

        Raises
        ------
        ValueError
            If PyTorch has no module for an activation: "sin", "exp", and custom activations.
        ImportError
            If PyTorch is not installed.

        See Also
        --------
        fastnn.from_torch : The reverse.

        Examples
        --------
        >>> from fastnn import MLP
        >>> MLP((2, 8, 1), "tanh", dropout=0.5).to_torch()  # doctest: +SKIP
        Sequential(
          (0): Linear(in_features=2, out_features=8, bias=True)
          (1): Tanh()
          (2): Dropout(p=0.5, inplace=False)
          (3): Linear(in_features=8, out_features=1, bias=True)
        )
        """
        from fastnn._exports import pytorch

        return pytorch.module_of(self._layers(), self.dropout)
