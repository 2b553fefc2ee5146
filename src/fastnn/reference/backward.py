"""The way back from the outputs of a network: backpropagation as in textbooks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn._checks.floats import Array
from fastnn.reference.activations import Activation
from fastnn.reference.description import Description
from fastnn.reference.embeddings import embed_grad
from fastnn.reference.inputs import scale_inputs_grad
from fastnn.reference.members import separate_outputs_grad
from fastnn.reference.network import Forward
from fastnn.reference.normalization import Normalized
from fastnn.reference.parametric import Parametric, Prelu


@dataclass(frozen=True)
class Gradients:
    """The gradients of a function of the outputs."""

    inputs: Array  # with respect to the rows of X
    # Lists with one entry per layer, or None for layers without such parameters.
    weights: list[Array]
    biases: list[Array]
    slopes: list[Any]
    normalizations: list[Any]
    alphas: list[Any]
    projections: list[Any]
    scales: Array | None
    embeddings: list[Any]  # one entry per embedding

    def of_given(self, network: Description) -> list[Any]:
        """Return the gradients of weights and biases, and of those kinds of parameters that the network has, in order."""
        result: list[Any] = [self.weights, self.biases]
        if network.slopes is not None:
            result.append(self.slopes)
        if network.normalizations is not None:
            result.append(self.normalizations)
        if network.scales is not None:
            result.append(self.scales)
        if network.alphas is not None:
            result.append(self.alphas)
        if network.embeddings is not None:
            result.append(self.embeddings)
        if network.residual is not None:
            result.append(self.projections)
        return result


def gradients(run: Forward, by_outputs: Array, *, logits: bool = False) -> Gradients:
    """Return the gradients of a function, from that with respect to the outputs of a pass, or to the last z."""
    return _Backward(run).gradients(by_outputs, logits)


class _Backward:
    """A pass back through the layers."""

    def __init__(self, run: Forward) -> None:
        self._run, self._network = run, run.network
        # One entry per layer: the gradients of slopes or alphas, and of gains and perhaps shifts.
        self._of_activations: list[Array | None] = [None] * len(run.layers)
        self._of_normalizations: list[tuple[Array, ...] | None] = [None] * len(run.layers)

    def gradients(self, by_outputs: Array, logits: bool) -> Gradients:
        run, network = self._run, self._network
        steps = list(self._steps(self._last_delta(by_outputs, logits)))[::-1]
        by_weights: list[Array] = [inputs.T @ delta for inputs, delta in steps]
        by_biases: list[Array] = [delta.sum(axis=0) for _, delta in steps]
        if network.n_members > 1:
            inputs, delta = steps[-1]
            _, by_weights[-1], by_biases[-1] = separate_outputs_grad(inputs, network.weights[-1], delta, network.n_members)
        by_first, of_scales = self._through_inputs(*steps[0])
        by_inputs: Array = by_first
        of_embeddings: list[Any] = []
        if network.embeddings is not None:
            by_inputs, of_embeddings = embed_grad(network.embeddings, run.X, by_first)
        parametric = [False] * len(steps) if network.alphas is None else [array is not None for array in network.alphas]
        by_activation = list(zip(self._of_activations, parametric, strict=True))
        return Gradients(
            np.asarray(by_inputs),
            *(by_weights, by_biases, [None if of_alphas else gradient for gradient, of_alphas in by_activation]),
            *(self._of_normalizations, [gradient if of_alphas else None for gradient, of_alphas in by_activation]),
            [None] * len(steps) if run.residual is None else run.residual.projection_gradients,
            of_scales,
            of_embeddings,
        )

    def _last_delta(self, by_outputs: Array, logits: bool) -> Array:
        """Return the gradient with respect to the last z."""
        (z, a), function = self._run.layers[-1], self._run.functions[-1]
        if isinstance(function, Prelu):
            self._of_activations[-1] = function.gradient(z, by_outputs)
        return by_outputs if logits else function.backward(z, a, by_outputs)

    def _steps(self, delta: Array) -> Iterator[tuple[Array, Array]]:
        """Yield the inputs of every layer and the gradient with respect to its z, from the last layer to the first."""
        run, network = self._run, self._network
        if run.residual is not None:
            yield from run.residual.backward(delta)
            self._of_activations[:-1] = run.residual.activation_gradients[:-1]
            self._of_normalizations = [each and tuple(each) for each in run.residual.normalization_gradients]
            return
        for layer in range(len(run.layers) - 1, 0, -1):
            z, a = run.layers[layer - 1]
            inputs = network.dropped(a, layer - 1)
            yield inputs, delta
            grad_a = network.dropped(self._through_weights(layer, inputs, delta), layer - 1)
            delta = self._through_activation(run.functions[layer - 1], layer - 1, z, a, grad_a)
        yield network.changed(run.inputs), delta

    def _through_weights(self, layer: int, inputs: Array, delta: Array) -> Array:
        """Return the gradient with respect to a layer's inputs."""
        weights = self._network.weights[layer]
        if self._network.is_separate(layer):
            return separate_outputs_grad(inputs, weights, delta, self._network.n_members)[0]
        return delta @ weights.T

    def _through_activation(self, function: Activation, layer: int, z: Array, a: Array, grad_a: Array) -> Array:
        if isinstance(function, Normalized):
            delta, self._of_normalizations[layer], self._of_activations[layer] = function.gradients(z, grad_a)
            return delta
        if isinstance(function, Prelu | Parametric):
            self._of_activations[layer] = function.gradient(z, grad_a)
        return function.backward(z, a, grad_a)

    def _through_inputs(self, inputs: Array, delta: Array) -> tuple[Array, Array | None]:
        """Return the gradients with respect to the inputs, summed over the members, and to their scales."""
        network, residual = self._network, self._run.residual
        grad = self._through_weights(0, inputs, delta)
        if residual is not None and residual.by_inputs is not None:
            grad = grad + residual.by_inputs
        by_inputs, by_scales = scale_inputs_grad(self._run.inputs, network.scales, network.input_mask, grad)
        if network.n_members > 1:
            by_inputs = by_inputs.reshape(-1, network.n_members, by_inputs.shape[1]).sum(axis=1)
        return by_inputs, by_scales
