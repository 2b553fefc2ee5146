"""The architecture of a model, as its users see it: what it was made with, and keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from fastnn._checks.layers import Activation
    from fastnn._checks.residual import Connections
    from fastnn._engine import core as _core
    from fastnn._shared_ensemble import SharedEnsemble
    from fastnn.embeddings import Embedding


class Architecture:
    """The sizes, activations and options of a model; a base of `MLP`."""

    _network: _core.Network
    _shared: SharedEnsemble | None

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """The number of inputs, the number of units of each hidden layer, and the number of outputs."""
        return self._network.layer_sizes

    @property
    def activations(self) -> tuple[Activation, ...]:
        """The activations, one per layer. The last one is that of the output layer."""
        return self._network.activations

    @property
    def dropout(self) -> tuple[float, ...]:
        """The dropout probabilities, one per hidden layer."""
        return self._network.dropout[:-1]

    @property
    def normalization(self) -> tuple[str | None, ...]:
        """The normalizations, one per hidden layer: "layer_norm", "rms_norm" or None."""
        return tuple(None if each is None else each[0] for each in self._network.normalizations[:-1])

    @property
    def normalization_place(self) -> tuple[str | None, ...]:
        """The places of the normalizations, one per hidden layer: "before" or "after" the activation, or None."""
        return tuple(None if each is None else each[1] for each in self._network.normalizations[:-1])

    @property
    def parametric_activation(self) -> tuple[bool, ...]:
        """Whether the activations have a trained alpha per unit, one per hidden layer."""
        return self._network.parametric[:-1]

    @property
    def residual(self) -> Connections:
        """The residual connections: pairs of the layers where they begin and end. Layer 0 is the inputs."""
        return self._network.residual

    @property
    def residual_place(self) -> str:
        """Whether residual connections end "before" or "after" the activation."""
        return self._network.residual_place

    @property
    def input_scale(self) -> bool:
        """Whether each input is multiplied by a trained factor."""
        return self._network.input_scale

    @property
    def input_dropout(self) -> float:
        """The probability of dropping an input in training."""
        return self._network.input_dropout

    @property
    def _drops(self) -> bool:
        """Whether training drops inputs or units, and draws random numbers for that."""
        return self.input_dropout > 0.0 or any(self.dropout)

    def _later_options(self) -> dict[str, Any]:
        """Return the options of `MLP` that files of the first versions lack, of those that differ from their defaults."""
        options: dict[str, Any] = {}
        if any(self.normalization):
            options |= {"normalization": self.normalization, "normalization_place": self.normalization_place}
        if any(self.parametric_activation):
            options["parametric_activation"] = self.parametric_activation
        given = {"input_scale": self.input_scale, "input_dropout": self.input_dropout}
        options |= {name: value for name, value in given.items() if value}
        return options | ({"residual": self.residual, "residual_place": self.residual_place} if self.residual else {})

    @property
    def shared(self) -> SharedEnsemble | None:
        """The members of a shared ensemble, or None if the model is one network."""
        return self._shared

    def _refuse_shared(self, method: str) -> None:
        """Raise ValueError if the model is a shared ensemble, for methods that take one network."""
        if self.shared is not None:
            raise ValueError(f"{method}: expected a single network, got a model with shared={self.shared!r}")

    @property
    def _shared_options(self) -> dict[str, Any] | None:
        """The parameters of the shared ensemble, for files."""
        if self._shared is None:
            return None
        return {name: value for name, value in vars(self._shared).items() if (name, value) != ("kind", "mini")}

    @property
    def embeddings(self) -> tuple[Embedding, ...]:
        """The embeddings of columns of X, with the columns of each."""
        return self._network.embeddings

    @property
    def _codes(self) -> tuple[int, ...]:
        """The columns of X that contain the codes of categories."""
        return tuple(column for each in self.embeddings if each.categories for column in each.columns)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the parameters: float32 or float64."""
        return self._network.dtype
