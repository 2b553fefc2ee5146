"""Passes through networks with residual connections, by the reference itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn._engine.portable._blocks import Gradients
from fastnn._engine.portable._layers import Layer
from fastnn._engine.portable._pass import Pass
from fastnn._engine.portable._rows import Array
from fastnn.reference import residual as _reference
from fastnn.reference.activations import Activation
from fastnn.reference.arguments import checked_network
from fastnn.reference.embeddings import embed
from fastnn.reference.normalization import Normalization
from fastnn.reference.parametric import PARAMETRIC

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

_OF_ACTIVATIONS = tuple(dict.fromkeys(kind for kind, _ in PARAMETRIC.values()))  # the kinds of their own parameters


class ResidualLayers(NamedTuple):
    """The layers in the form of the reference. The arrays are those of the network."""

    weights: Sequence[Array]
    biases: Sequence[Array]
    functions: list[Activation]
    connections: list[_reference.Connection]


def residual_layers(
    activations: Sequence[Any],
    normalizations: Sequence[tuple[str, str] | None],
    parameters: Mapping[str, Sequence[Any]],
    residual: Sequence[tuple[int, int]],
    place: str,
) -> ResidualLayers:
    """Return the layers of a network, given its parameters by kind."""
    of_layers = [
        None if each is None else Normalization(each[0], gains, shifts, each[1])
        for each, gains, shifts in zip(normalizations, parameters["gains"], parameters["shifts"], strict=True)
    ]
    weights, biases = parameters["weights"], parameters["biases"]
    of_activations: dict[str, Any] = {kind: parameters[kind] for kind in _OF_ACTIVATIONS}
    functions = checked_network(weights, biases, activations, of_layers, parameters["alphas"], **of_activations)
    projections = parameters["projections"]
    connections = [_reference.Connection(begin, end, place, projections[end - 1]) for begin, end in residual]
    return ResidualLayers(weights, biases, functions, connections)


class ResidualPass(Pass):
    """The pass of batches with a certain number of rows through a network with residual connections."""

    def __init__(self, own: ResidualLayers, layers: Sequence[Layer], n_rows: int, dtype: DTypeLike, **options: Any) -> None:
        super().__init__(layers, n_rows, dtype, **options)
        self._own, self._logits = own, options["logits"]
        self.grad_outputs = np.empty((n_rows, layers[-1].biases.size), dtype)

    def forward(self, x: Array, keys: tuple[Array, Any] | None = None, dropout_factor: float = 1.0) -> Array:
        """Compute the `outputs` of all layers, as `Pass.forward` does."""
        self._rows = x
        inputs = self.change_inputs(embed(self._embeddings, x) if self._embeddings else x, keys, dropout_factor)
        masks: list[Array | None] = [None] * len(self._layers)
        for i, layer in enumerate(self._layers):
            if keys is not None and layer.dropout > 0.0:
                shape, dtype = (len(x), layer.biases.size), layer.biases.dtype
                rate = layer.dropout * dropout_factor
                masks[i] = self._factors(rate, shape[0] * shape[1], keys[0][i], keys[1]).reshape(shape).astype(dtype)
        self._run = _reference.ResidualPass(*self._own, masks)
        layers = self._run.forward(inputs)
        self.outputs = [a for _, a in layers]
        if self._logits:
            self.outputs[-1] = layers[-1][0]
        return self.outputs[-1]

    def backward(self, gradients: Gradients | None) -> Array:
        """Set the gradients of all parameters, and return the gradient with respect to the z of the first layer."""
        run, last = self._run, self._run.functions[-1]
        z, a = run.steps[-1].first, run.steps[-1].activated
        delta = self.grad_outputs if self._logits else last.backward(z, a, self.grad_outputs)
        steps = list(run.backward(delta))[::-1]
        if not self._logits and hasattr(last, "gradient"):
            run.activation_gradients[-1] = last.gradient(z, self.grad_outputs)
        self._first_delta = steps[0][1]
        if gradients is not None:
            for layer, (inputs, of_z) in enumerate(steps):
                found = {"weights": inputs.T @ of_z, "biases": of_z.sum(axis=0)}
                found |= dict(zip(("gains", "shifts"), run.normalization_gradients[layer] or (), strict=False))
                found |= dict.fromkeys((*_OF_ACTIVATIONS, "alphas"), run.activation_gradients[layer])
                found["projections"] = run.projection_gradients[layer]
                own = gradients.layers[layer]._asdict()
                for kind, values in found.items():
                    if own[kind] is not None and values is not None:
                        own[kind][...] = values
            if gradients.layers[0].scales is not None:
                gradients.layers[0].scales[:] = self._through_inputs()[1]
            if self._embeddings:
                self._through_embeddings(gradients.embeddings)
        return self._first_delta

    def _first_gradient(self) -> Array:
        grad = self._first_delta @ self._layers[0].weights.T
        return grad if self._run.by_inputs is None else grad + self._run.by_inputs
