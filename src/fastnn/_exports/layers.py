"""A layer as the formats of other libraries and languages describe it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from fastnn._checks.layers import Activation


@dataclass(frozen=True, eq=False)
class Layer:
    """A dense layer: activation(x @ weights + bias).

    Parameters
    ----------
    weights : ndarray of shape (n_in, n_out)
        The weights.
    bias : ndarray of shape (n_out,)
        The bias of each unit.
    activation : str or CustomActivation
        The activation.
    slopes : ndarray of shape (n_out,), optional
        The trained slope of each unit, for activations that have them.
    """

    weights: NDArray[Any]
    bias: NDArray[Any]
    activation: Activation
    slopes: NDArray[Any] | None = None

    def astype(self, dtype: Any) -> Layer:
        """Return the layer with parameters of another type."""
        slopes = None if self.slopes is None else self.slopes.astype(dtype)
        return Layer(self.weights.astype(dtype), self.bias.astype(dtype), self.activation, slopes)
