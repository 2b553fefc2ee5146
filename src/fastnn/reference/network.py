"""The outputs of a network.

A network consists of three lists with one entry per layer: weights (n_in, n_out), biases (n_out,), and names of
activations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastnn._checks.floats import Array
from fastnn.reference.activations import Activation
from fastnn.reference.arguments import Activations, Arrays, Members, Normalizations, UnitParameters
from fastnn.reference.description import Description, Masks, Slopes
from fastnn.reference.embeddings import Embedded
from fastnn.reference.residual import Connections, ResidualPass

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["forward"]
__dir__ = __all__.copy


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
