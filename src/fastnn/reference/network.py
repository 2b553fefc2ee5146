"""A network, as the functions of this package hand it on, and its outputs.

A network consists of three lists with one entry per layer: weights (n_in, n_out), biases (n_out,), and names of
activations. Everything else is optional.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastnn._checks.floats import Array
from fastnn.losses import Loss
from fastnn.reference.activations import Activation
from fastnn.reference.arguments import (
    Activations,
    Arrays,
    Members,
    Normalizations,
    UnitParameters,
    checked_data,
    checked_inputs,
    checked_network,
    checked_residual,
    checked_scales,
)
from fastnn.reference.embeddings import Embedded, embed
from fastnn.reference.inputs import n_members_of, scale_inputs
from fastnn.reference.members import MemberScales, repeat_rows, scaled_sums, separate_outputs
from fastnn.reference.residual import Connections, ResidualPass

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["forward"]
__dir__ = __all__.copy

Masks: TypeAlias = Sequence[Array | None] | None
Slopes: TypeAlias = UnitParameters


@dataclass(frozen=True, eq=False)
class Description:
    """A network, and the factors by which a step drops units. The fields are the arguments of `forward`."""

    weights: Arrays
    biases: Arrays
    activations: Activations
    dropout_masks: Masks = None
    slopes: Slopes = None
    normalizations: Normalizations = None
    scales: Array | None = None
    input_mask: Array | None = None
    alphas: UnitParameters = None
    embeddings: Embedded | None = None
    residual: Connections = None
    members: Members = None

    @property
    def n_members(self) -> int:
        """The number of members of a shared ensemble; 1 for a plain network."""
        return n_members_of(self.scales)

    @property
    def n_out(self) -> int:
        """The number of outputs."""
        return int(self.weights[-1].shape[1]) // self.n_members

    def is_separate(self, layer: int) -> bool:
        """Return whether each member has weights and biases of its own in a layer."""
        return self.n_members > 1 and layer == len(self.weights) - 1

    def functions(self) -> list[Activation]:
        """Return the activation of each layer, with its normalization, or raise an error if the parts do not fit."""
        checked_scales(self.weights, self.scales)
        lists = self.weights, self.biases, self.activations, self.normalizations, self.alphas
        functions = checked_network(*lists, self.n_members, self.members, slopes=self.slopes)
        checked_residual(self.weights, self.residual, self.n_members)
        return functions

    def checked_inputs(self, X: ArrayLike) -> Array:
        """Return rows of inputs in the type of the weights, or raise an error if they do not fit."""
        return checked_inputs(self.weights, X, self.embeddings)

    def checked_data(
        self, output: Activation, X: ArrayLike, y: ArrayLike, loss: Loss, sample_weight: ArrayLike | None
    ) -> tuple[Array, Array, Array]:
        """Return inputs, targets and row weights in the types and shapes of the computation, if they fit together."""
        return checked_data(self.weights, output, X, y, loss, sample_weight, self.embeddings, self.n_members)

    def with_rows(self, counted: NDArray[np.bool_]) -> Description:
        """Return the same network, with the masks of some rows of the data."""
        passed = np.repeat(counted, self.n_members)
        masks = None if self.dropout_masks is None else [None if m is None else m[passed] for m in self.dropout_masks]
        return replace(self, dropout_masks=masks, input_mask=None if self.input_mask is None else self.input_mask[passed])

    def first_inputs(self, X: Array) -> Array:
        """Return the inputs of the first layer before dropout and scales, those of all members."""
        inputs = X if self.embeddings is None else embed(self.embeddings, X)
        return inputs if self.n_members == 1 else repeat_rows(inputs, self.n_members)

    def changed(self, inputs: Array) -> Array:
        """Return the inputs of the first layer after dropout and scales."""
        return scale_inputs(inputs, self.scales, self.input_mask)

    def of_members(self, layer: int) -> MemberScales | None:
        """Return the scales that members have in a hidden layer, if they have any."""
        return None if self.members is None else self.members[layer]

    def scaled(self, inputs: Array, layer: int) -> Array:
        """Return the inputs of a layer behind the first one, after the scales of members."""
        own = self.of_members(layer)
        return inputs if own is None else scale_inputs(inputs, own.inputs)

    def sums(self, inputs: Array, layer: int) -> Array:
        """Return the sums z of a layer, given its inputs after scales."""
        lists, own = (self.weights[layer], self.biases[layer]), self.of_members(layer)
        if own is not None:
            return scaled_sums(inputs, *lists, own.outputs)
        return separate_outputs(inputs, *lists, self.n_members) if self.is_separate(layer) else inputs @ lists[0] + lists[1]

    def of_activations(self, gradients: Sequence[Array | None]) -> tuple[list[Any], list[Any]]:
        """Return the gradients of slopes and of alphas, one entry per layer, given those of all such parameters."""
        parametric = [False] * len(gradients) if self.alphas is None else [array is not None for array in self.alphas]
        each = list(zip(gradients, parametric, strict=True))
        return [None if alpha else g for g, alpha in each], [g if alpha else None for g, alpha in each]

    def dropped(self, a: Array, layer: int) -> Array:
        """Return outputs after dropout. In the backward pass, apply it to a gradient with respect to these outputs."""
        masks = self.dropout_masks
        mask = None if masks is None or layer >= len(masks) else masks[layer]
        return a if mask is None else a * mask


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
    members: Members = None,
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
    members : sequence of MemberScales or None, optional
        The scales of members in each hidden layer, with biases (n_members, n_out), if they have scales in all of them.

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
    options = dropout_masks, slopes, normalizations, scales, input_mask, alphas, embeddings, residual, members
    return forward_pass(Description(weights, biases, activations, *options), X).layers


@dataclass(frozen=True, eq=False)
class Forward:
    """A pass through a network."""

    network: Description
    functions: list[Activation]
    X: Array
    inputs: Array  # of the first layer, before dropout and scales
    layers: list[tuple[Array, Array]]  # z and a
    residual: ResidualPass | None = None  # of a network with residual connections


def forward_pass(network: Description, X: ArrayLike) -> Forward:
    """Pass rows through a network, and return all values that the way back needs."""
    functions, rows = network.functions(), network.checked_inputs(X)
    first = network.first_inputs(rows)
    inputs = network.changed(first)
    if network.residual:
        run = ResidualPass(network.weights, network.biases, functions, network.residual, network.dropout_masks)
        return Forward(network, functions, rows, first, run.forward(inputs), run)
    layers: list[tuple[Array, Array]] = []
    for layer, function in enumerate(functions):
        z = network.sums(network.scaled(inputs, layer) if layer else inputs, layer)
        a = function.value(z)
        layers.append((z, a))
        inputs = network.dropped(a, layer)
    return Forward(network, functions, rows, first, layers)
