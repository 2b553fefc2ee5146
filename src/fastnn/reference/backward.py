"""The way back from the outputs of a network: backpropagation as in textbooks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn._checks.floats import Array
from fastnn.reference.activations import Activation
from fastnn.reference.embeddings import embed_grad
from fastnn.reference.inputs import scale_inputs_grad
from fastnn.reference.members import MemberScales, scaled_sums_grad, separate_outputs_grad
from fastnn.reference.network import Forward
from fastnn.reference.normalization import Normalized
from fastnn.reference.parametric import WithParameter

__all__ = ["Gradients", "gradients"]
__dir__ = __all__.copy


@dataclass(frozen=True)
class Gradients:
    """The gradients of a function of the outputs."""

    inputs: Array  # with respect to the rows of X
    # Lists with one entry per layer, or None for layers without such parameters.
    weights: list[Array]
    biases: list[Array]
    activations: list[Any]  # with respect to the parameters of activations
    normalizations: list[Any]
    projections: list[Any]
    scales: Array | None
    embeddings: list[Any]  # one entry per embedding
    members: list[MemberScales | None]


def gradients(run: Forward, by_outputs: Array, *, logits: bool = False) -> Gradients:
    """Return the gradients of a function, from that with respect to the outputs of a pass, or to the last z."""
    return _Backward(run).gradients(by_outputs, logits)


class _Backward:
    """A pass back through the layers."""

    def __init__(self, run: Forward) -> None:
        self._run, self._network = run, run.network
        # One entry per layer: the gradients of parameters of activations, of gains and perhaps shifts, and of scales.
        self._of_activations: list[Array | None] = [None] * len(run.layers)
        self._of_normalizations: list[tuple[Array, ...] | None] = [None] * len(run.layers)
        self._of_member_inputs: list[Array | None] = [None] * len(run.layers)

    def gradients(self, by_outputs: Array, logits: bool) -> Gradients:
        run, network = self._run, self._network
        steps = list(self._steps(self._last_delta(by_outputs, logits)))[::-1]
        each = [self._sums_grad(layer, *step)[1:] for layer, step in enumerate(steps)]
        by_first, of_scales = self._through_inputs(*steps[0])
        by_inputs: Array = by_first
        of_embeddings: list[Any] = []
        if network.embeddings is not None:
            by_inputs, of_embeddings = embed_grad(network.embeddings, run.X, by_first)
        of_members = zip(each, self._of_member_inputs, strict=True)
        return Gradients(
            np.asarray(by_inputs),
            weights=[own[0] for own in each],
            biases=[own[1] for own in each],
            activations=self._of_activations,
            normalizations=self._of_normalizations,
            projections=[None] * len(steps) if run.residual is None else run.residual.projection_gradients,
            scales=of_scales,
            embeddings=of_embeddings,
            members=[MemberScales(own[2], inputs) if own[2:] else None for own, inputs in of_members],
        )

    def _sums_grad(self, layer: int, inputs: Array, delta: Array) -> tuple[Array, ...]:
        """Return the gradients with respect to a layer's inputs after scales, its weights, biases and scales of outputs."""
        network, weights = self._network, self._network.weights[layer]
        own = network.of_members(layer)
        if own is not None:
            return scaled_sums_grad(inputs, weights, own.outputs, delta)
        if network.is_separate(layer):
            return separate_outputs_grad(inputs, weights, delta, network.n_members)
        return delta @ weights.T, inputs.T @ delta, delta.sum(axis=0)

    def _last_delta(self, by_outputs: Array, logits: bool) -> Array:
        """Return the gradient with respect to the last z."""
        (z, a), function = self._run.layers[-1], self._run.functions[-1]
        if isinstance(function, WithParameter):
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
            dropped = network.dropped(a, layer - 1)
            inputs = network.scaled(dropped, layer)
            yield inputs, delta
            grad = self._sums_grad(layer, inputs, delta)[0]
            if own := network.of_members(layer):
                grad, self._of_member_inputs[layer] = scale_inputs_grad(dropped, own.inputs, None, grad)
            grad_a = network.dropped(grad, layer - 1)
            delta = self._through_activation(run.functions[layer - 1], layer - 1, z, a, grad_a)
        yield network.changed(run.inputs), delta

    def _through_activation(self, function: Activation, layer: int, z: Array, a: Array, grad_a: Array) -> Array:
        if isinstance(function, Normalized):
            delta, self._of_normalizations[layer], self._of_activations[layer] = function.gradients(z, grad_a)
            return delta
        if isinstance(function, WithParameter):
            self._of_activations[layer] = function.gradient(z, grad_a)
        return function.backward(z, a, grad_a)

    def _through_inputs(self, inputs: Array, delta: Array) -> tuple[Array, Array | None]:
        """Return the gradients with respect to the inputs, summed over the members, and to their scales."""
        network, residual = self._network, self._run.residual
        grad = self._sums_grad(0, inputs, delta)[0]
        if residual is not None and residual.by_inputs is not None:
            grad = grad + residual.by_inputs
        by_inputs, by_scales = scale_inputs_grad(self._run.inputs, network.scales, network.input_mask, grad)
        if network.n_members > 1:
            by_inputs = by_inputs.reshape(-1, network.n_members, by_inputs.shape[1]).sum(axis=1)
        return by_inputs, by_scales
