"""A layer as the formats of other libraries and languages describe it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from fastnn._checks.layers import Activation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.embeddings import Embedding

Change: TypeAlias = "Callable[[str, NDArray[Any]], NDArray[Any]]"


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

    def mapped(self, change: Change) -> Normalization:
        """Return the normalization with changed parameters, as in `Layer.mapped`."""
        return Normalization(self.name, self.place, change("gains", self.gains), _mapped(change, "shifts", self.shifts))


@dataclass(frozen=True, eq=False)
class Residual:
    """A residual connection, at the layer in which it ends.

    Parameters
    ----------
    begin : int
        The layer whose outputs it adds, before a normalization of outputs. Layer 0 is the inputs of the first layer.
    place : str
        Whether it adds to the inputs of the activation, "before", or to its outputs, "after".
    projection : ndarray of shape (n_begin, n_out), optional
        The matrix in between, where the widths differ.
    """

    begin: int
    place: str
    projection: NDArray[Any] | None = None

    def mapped(self, change: Change) -> Residual:
        """Return the connection with a changed projection, as in `Layer.mapped`."""
        return Residual(self.begin, self.place, _mapped(change, "projections", self.projection))


def begins_at(layers: Sequence[Layer], begin: int) -> bool:
    """Return whether a residual connection begins behind that number of layers."""
    return any(layer.residual is not None and layer.residual.begin == begin for layer in layers)


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
    scales : ndarray of shape (n_in,) or (n_members, n_in), optional
        The trained factors of the inputs, which multiply x first: (n_in,) in a first layer only, or those of each member of
        a shared ensemble, in any layer but the last. That has n_out weights and biases for each member, side by side.
    alphas : ndarray of shape (n_out,), optional
        The trained alphas of a parametric activation.
    residual : Residual, optional
        The residual connection that ends here.
    output_scales : ndarray of shape (n_members, n_out), optional
        The trained factors of x @ weights for each member, beside scales and biases of the same shape.
    """

    weights: NDArray[Any]
    bias: NDArray[Any]
    activation: Activation
    slopes: NDArray[Any] | None = None
    normalization: Normalization | None = None
    scales: NDArray[Any] | None = None
    alphas: NDArray[Any] | None = None
    residual: Residual | None = None
    output_scales: NDArray[Any] | None = None

    @property
    def n_members(self) -> int:
        """The number of members whose scales the layer has; 1 without members."""
        return len(self.scales) if self.scales is not None and self.scales.ndim == 2 else 1

    def normalizes(self, place: str) -> bool:
        """Return whether there is a normalization in this place."""
        return self.normalization is not None and self.normalization.place == place

    def adds(self, place: str) -> bool:
        """Return whether a residual connection ends in this place."""
        return self.residual is not None and self.residual.place == place

    def mapped(self, change: Change) -> Layer:
        """Return the layer with `change(kind, values)` in place of each array. Kinds of parameters are those of models."""
        return Layer(
            weights=change("weights", self.weights),
            bias=change("biases", self.bias),
            activation=self.activation,
            slopes=_mapped(change, "slopes", self.slopes),
            normalization=None if self.normalization is None else self.normalization.mapped(change),
            scales=_mapped(change, "scales", self.scales),
            alphas=_mapped(change, "alphas", self.alphas),
            residual=None if self.residual is None else self.residual.mapped(change),
            output_scales=_mapped(change, "output_scales", self.output_scales),
        )

    def astype(self, dtype: Any) -> Layer:
        """Return the layer with parameters of another type."""
        return self.mapped(lambda _, values: values.astype(dtype))


def _mapped(change: Change, kind: str, values: NDArray[Any] | None) -> NDArray[Any] | None:
    return None if values is None else change(kind, values)


def widths_of(layers: Sequence[Layer]) -> list[int]:
    """Return the number of units of each layer; for a shared ensemble, those of one member."""
    *hidden, last = (layer.weights.shape[1] for layer in layers)
    return [*hidden, last // layers[0].n_members]
