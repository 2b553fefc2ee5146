"""Further networks of the engine for one that there is."""

from __future__ import annotations

from fastnn._engine import core as _core


def network_like(network: _core.Network) -> _core.Network:
    """Return a network with the same layers, embeddings, residual connections and layout, whose parameters are 0."""
    sizes = network.layer_sizes, network.activations, network.dropout
    changes_of_inputs = network.input_scale, network.input_dropout
    return _core.Network(
        *(*sizes, network.dtype, network.normalizations, *changes_of_inputs, network.parametric, network.embeddings),
        *(network.residual, network.residual_place, network.n_members, network.scales_members),
    )
