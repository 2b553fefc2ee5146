"""The outputs of a network, and the way back from its outputs: backpropagation as in textbooks.

A network consists of three lists with one entry per layer: weights (n_in, n_out), biases (n_out,), and names of
activations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from fastnn._checks.floats import Array
from fastnn.reference.activations import Activation
from fastnn.reference.arguments import (
    Activations,
    Arrays,
    Normalizations,
    UnitParameters,
    checked_inputs,
    checked_network,
    checked_residual,
    checked_scales,
)
from fastnn.reference.embeddings import Embedded, embed
from fastnn.reference.inputs import n_members_of, scale_inputs, scale_inputs_grad
from fastnn.reference.members import repeat_rows, separate_outputs, separate_outputs_grad
from fastnn.reference.normalization import Normalized
from fastnn.reference.parametric import Parametric, Prelu
from fastnn.reference.residual import Connections, ResidualPass

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["forward"]
__dir__ = __all__.copy

Masks: TypeAlias = Sequence[Array | None] | None
Slopes: TypeAlias = UnitParameters


def forward(
    weights: Arrays,
    biases: Arrays,
    activations: Activations,
    X: ArrayLike,
    dropout_masks: Masks = None,
    slopes: Slopes = None,
    normalizations: Normalizations = None,
    scales: Array | None = None,
    input_mask: Array | None = None,
    alphas: UnitParameters = None,
    embeddings: Embedded | None = None,
    residual: Connections = None,
) -> list[tuple[Array, Array]]:
    """Return z = inputs @ W + b and a = activation(z) for every layer.

    Parameters
    ----------
    weights, biases : sequences of ndarrays, shapes (n_in, n_out) and (n_out,)
        The weights and biases, one array of each per layer.
    activations : sequence of str or custom activations
        The activations, one per layer. The last one is that of the output layer.
    X : array-like, shape (n, n_in)
        Rows of inputs, converted to the type of the weights.
    dropout_masks : sequence of ndarrays or None, optional
        Factors that multiply the outputs of the hidden layers before the next layer (see `dropout_mask`).
    slopes : sequence of ndarrays or None, optional
        The slopes (n_out,) of each layer with the activation "prelu".
    normalizations : sequence of Normalization or None, optional
        The normalization of each layer before or after its activation.
    scales : ndarray, shape (n_in,) or (n_members, n_in), optional
        The trained factors of the inputs (see `scale_inputs`). With factors for each member, the network is a shared
        ensemble: n is then the number of rows times that of members (see `repeat_rows`), and the last layer has weights
        and biases for each member (see `separate_outputs`).
    input_mask : ndarray, shape (n, n_in), optional
        Factors that multiply the inputs under dropout (see `dropout_mask`).
    alphas : sequence of ndarrays or None, optional
        The trained factors (n_out,) of each layer with a parametric activation (see `parametric`).
    embeddings : sequence of (Embedding, ndarray or None), optional
        The embeddings of columns of X, with their parameters: see `embed`.
    residual : sequence of Connection, optional
        The residual connections: see `ResidualPass`.

    Returns
    -------
    list of (z, a), both (n, n_out)
        One pair per layer. The sums z are those before a normalization. The outputs a are those before dropout. With
        residual connections, z includes one that ends before the activation, and a follows one that ends after it, with the
        dropout before.

    Examples
    --------
    >>> import numpy as np
    >>> W, b = [np.array([[1.0], [-1.0]])], [np.array([0.5])]
    >>> forward(W, b, ["relu"], [[1.0, 2.0], [2.0, 1.0]])
    [(array([[-0.5],
           [ 1.5]]), array([[0. ],
           [1.5]]))]
    """
    options = dropout_masks, slopes, normalizations, scales, input_mask, alphas, embeddings, residual
    return forward_pass(weights, biases, activations, X, *options)[0]


def forward_pass(
    weights: Arrays,
    biases: Arrays,
    activations: Activations,
    X: ArrayLike,
    dropout_masks: Masks,
    slopes: Slopes,
    normalizations: Normalizations,
    scales: Array | None,
    input_mask: Array | None,
    alphas: UnitParameters,
    embeddings: Embedded | None,
    residual: Connections,
) -> tuple[list[tuple[Array, Array]], ResidualPass | None]:
    """Return z and a of every layer, and the pass with residual connections if there are any."""
    n_members = n_members_of(checked_scales(weights, scales))
    functions = checked_network(weights, biases, activations, normalizations, alphas, n_members, slopes=slopes)
    inputs = first_inputs(embeddings, checked_inputs(weights, X, embeddings), n_members)
    inputs = scale_inputs(inputs, scales, input_mask)
    if checked_residual(weights, residual, n_members):
        run = ResidualPass(weights, biases, functions, residual or (), dropout_masks)
        return run.forward(inputs), run
    layers: list[tuple[Array, Array]] = []
    for layer, (w, b, function) in enumerate(zip(weights, biases, functions, strict=True)):
        separate = n_members > 1 and layer == len(weights) - 1
        z = separate_outputs(inputs, w, b, n_members) if separate else inputs @ w + b
        a = function.value(z)
        layers.append((z, a))
        inputs = _dropped(a, layer, dropout_masks)
    return layers, None


def first_inputs(embeddings: Embedded | None, X: Array, n_members: int) -> Array:
    """Return the inputs of the first layer before their scales, those of all members."""
    inputs = X if embeddings is None else embed(embeddings, X)
    return inputs if n_members == 1 else repeat_rows(inputs, n_members)


# The value of the loss shows a divergence; warnings would add nothing.


@dataclass(frozen=True)
class Pass:
    """A forward pass, and the loss of its outputs."""

    weights: Arrays
    functions: list[Activation]
    inputs: Array  # before dropout and scales
    layers: list[tuple[Array, Array]]
    masks: Masks
    loss: float
    output_delta: Array  # the gradient with respect to the last z, (n, n_out)
    # These have one entry per layer, set by `backward`: the gradients of slopes or alphas, and of gains and perhaps shifts.
    activation_gradients: list[Array | None]
    normalization_gradients: list[tuple[Array, ...] | None]
    scales: Array | None = None  # of the inputs, and their mask
    input_mask: Array | None = None
    residual: ResidualPass | None = None

    @property
    def n_members(self) -> int:
        """The number of members of a shared ensemble; 1 for a plain network."""
        return n_members_of(self.scales)

    def _is_separate(self, layer: int) -> bool:
        return self.n_members > 1 and layer == len(self.layers) - 1

    def through_inputs(self, steps: Sequence[tuple[Array, Array]]) -> tuple[Array, Array | None]:
        """Return the gradients with respect to the inputs and their scales, given the results of `backward` by layer.

        That with respect to an input is the sum over the members.
        """
        grad = self._through_weights(0, *steps[0])
        if self.residual is not None and self.residual.by_inputs is not None:
            grad = grad + self.residual.by_inputs
        by_inputs, by_scales = scale_inputs_grad(self.inputs, self.scales, self.input_mask, grad)
        if self.n_members > 1:
            by_inputs = by_inputs.reshape(-1, self.n_members, by_inputs.shape[1]).sum(axis=1)
        return by_inputs, by_scales

    def of_weights(self, steps: Sequence[tuple[Array, Array]]) -> tuple[list[Array], list[Array]]:
        """Return the gradients of all weights and biases, given the results of `backward`, first layer first."""
        by_weights: list[Array] = [inputs.T @ delta for inputs, delta in steps]
        by_biases: list[Array] = [delta.sum(axis=0) for _, delta in steps]
        if self.n_members > 1:
            inputs, delta = steps[-1]
            _, by_weights[-1], by_biases[-1] = separate_outputs_grad(inputs, self.weights[-1], delta, self.n_members)
        return by_weights, by_biases

    def _through_weights(self, layer: int, inputs: Array, delta: Array) -> Array:
        """Return the gradient with respect to a layer's inputs."""
        if self._is_separate(layer):
            return separate_outputs_grad(inputs, self.weights[layer], delta, self.n_members)[0]
        return delta @ self.weights[layer].T

    def backward(self) -> Iterator[tuple[Array, Array]]:
        """Yield the inputs of every layer and the gradient with respect to its z, from the last layer to the first."""
        if self.residual is not None:
            yield from self.residual.backward(self.output_delta)
            last = self.activation_gradients[-1]
            self.activation_gradients[:] = [*self.residual.activation_gradients[:-1], last]
            self.normalization_gradients[:] = [each and tuple(each) for each in self.residual.normalization_gradients]
            return
        delta = self.output_delta
        for layer in range(len(self.layers) - 1, 0, -1):
            z, a = self.layers[layer - 1]
            inputs = _dropped(a, layer - 1, self.masks)
            yield inputs, delta
            grad_a = _dropped(self._through_weights(layer, inputs, delta), layer - 1, self.masks)
            delta = self._through_activation(layer - 1, z, a, grad_a)
        yield scale_inputs(self.inputs, self.scales, self.input_mask), delta

    def _through_activation(self, layer: int, z: Array, a: Array, grad_a: Array) -> Array:
        function = self.functions[layer]
        if isinstance(function, Normalized):
            delta, self.normalization_gradients[layer], self.activation_gradients[layer] = function.gradients(z, grad_a)
            return delta
        if isinstance(function, Prelu | Parametric):
            self.activation_gradients[layer] = function.gradient(z, grad_a)
        return function.backward(z, a, grad_a)


def from_outputs(
    weights: Arrays,
    functions: list[Activation],
    inputs: Array,
    layers: list[tuple[Array, Array]],
    masks: Masks,
    value: float,
    gradient: Array,
    *,
    logits: bool = False,
    scales: Array | None = None,
    input_mask: Array | None = None,
    residual: ResidualPass | None = None,
) -> Pass:
    """Return the run of a loss with that gradient with respect to the outputs, or to the logits."""
    activation_gradients: list[Array | None] = [None] * len(layers)
    z, a = layers[-1]
    if isinstance(functions[-1], Prelu):
        activation_gradients[-1] = functions[-1].gradient(z, gradient)
    delta = gradient if logits else functions[-1].backward(z, a, gradient)
    run = Pass(weights, functions, inputs, layers, masks, value, delta, activation_gradients, [None] * len(layers))
    return replace(run, scales=scales, input_mask=input_mask, residual=residual)


def _dropped(a: Array, layer: int, masks: Masks) -> Array:
    """Return outputs after dropout. In the backward pass, apply it to a gradient with respect to these outputs."""
    mask = None if masks is None or layer >= len(masks) else masks[layer]
    return a if mask is None else a * mask
