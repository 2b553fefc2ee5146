"""Further networks of the engine for one that there is."""

from __future__ import annotations

from typing import Any

from fastnn._engine import core as _core


def arguments_of(network: _core.Network) -> tuple[Any, ...]:
    """Return the arguments that make a network with the same layers, embeddings, residual connections and layout."""
    sizes = network.layer_sizes, network.activations, network.dropout
    changes_of_inputs = network.input_scale, network.input_dropout
    return (
        *(*sizes, network.dtype, network.normalizations, *changes_of_inputs, network.parametric, network.embeddings),
        *(network.residual, network.residual_place, network.n_members, network.scales_members),
    )


def network_like(network: _core.Network) -> _core.Network:
    """Return another network that is made with the same arguments, whose parameters are 0."""
    return _core.Network(*arguments_of(network))
