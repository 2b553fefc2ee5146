"""A layer as the formats of other libraries and languages describe it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from fastnn._checks.layers import Activation

if TYPE_CHECKING:
    from fastnn.embeddings import Embedding


@dataclass(frozen=True, eq=False)
class Normalization:
    """The normalization of a layer's units.

    Parameters
    ----------
    name : str
        "layer_norm" or "rms_norm".
    place : str
        "before" or "after" the activation.
    gains, shifts : ndarray of shape (n_out,)
        The parameters. Only "layer_norm" has shifts.
    """

    name: str
    place: str
    gains: NDArray[Any]
    shifts: NDArray[Any] | None = None

    def astype(self, dtype: Any) -> Normalization:
        """Return the normalization with parameters of another type."""
        shifts = None if self.shifts is None else self.shifts.astype(dtype)
        return Normalization(self.name, self.place, self.gains.astype(dtype), shifts)


@dataclass(frozen=True, eq=False)
class Stage:
    """What stands before the first layer: embeddings of columns of X.

    Parameters
    ----------
    embeddings : tuple of (Embedding, ndarray or None)
        The embeddings, and their parameters.
    passed : tuple of int
        The columns that pass as they are, behind the outputs of all embeddings.
    """

    embeddings: tuple[tuple[Embedding, NDArray[Any] | None], ...]
    passed: tuple[int, ...]

    @property
    def n_in(self) -> int:
        """The number of columns of X."""
        return sum(len(embedding.columns) for embedding, _ in self.embeddings) + len(self.passed)


@dataclass(frozen=True, eq=False)
class Layer:
    """A dense layer: activation(x @ weights + bias), perhaps with a normalization before or after the activation.

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
    normalization : Normalization, optional
        The normalization of the units. An output layer has none.
    scales : ndarray of shape (n_in,), optional
        The trained factors of the inputs, which multiply x first. Only a first layer has them.
    alphas : ndarray of shape (n_out,), optional
        The trained alphas of a parametric activation.
    """

    weights: NDArray[Any]
    bias: NDArray[Any]
    activation: Activation
    slopes: NDArray[Any] | None = None
    normalization: Normalization | None = None
    scales: NDArray[Any] | None = None
    alphas: NDArray[Any] | None = None

    def normalizes(self, place: str) -> bool:
        """Return whether there is a normalization in this place."""
        return self.normalization is not None and self.normalization.place == place

    def astype(self, dtype: Any) -> Layer:
        """Return the layer with parameters of another type."""

        def converted(values: NDArray[Any] | None) -> NDArray[Any] | None:
            return None if values is None else values.astype(dtype)

        normalization = None if self.normalization is None else self.normalization.astype(dtype)
        return Layer(
            *(self.weights.astype(dtype), self.bias.astype(dtype), self.activation, converted(self.slopes)),
            *(normalization, converted(self.scales), converted(self.alphas)),
        )
