"""Many networks at once: predictions, parameters, and spreads over networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn._engine.portable._blocks import by_layer
from fastnn._engine.portable._network import Network
from fastnn._engine.portable._rows import Array, SparseRows


def networks_of(models: Any, kind: type[Any]) -> tuple[Network, ...] | None:
    """Return the networks of a list or tuple of models, if each is exactly of that kind and they have one interface.

    Networks have one interface if their inputs, outputs and dtype are the same. The result is None for anything else.
    """
    if type(models) not in (list, tuple) or not models or any(type(model) is not kind for model in models):
        return None
    networks = tuple(model._network for model in models)
    return networks if len({_interface(network) for network in networks}) == 1 else None


def _interface(network: Network) -> tuple[int, int, np.dtype[Any]]:
    return network.layer_sizes[0], network.layer_sizes[-1], network.dtype


def predict_many(
    networks: Sequence[Network], x: Array | SparseRows, out: Array | None = None, n_threads: int | None = None
) -> Array:
    """Return the outputs of networks with one interface: (n_networks, n, n_out), without n if x is one row (n_in,).

    x has rows (n, n_in) for all networks, or (n_networks, n, n_in). A given out has that shape, and the networks' dtype.
    """
    n_in = networks[0].layer_sizes[0]
    if not 1 <= len(x.shape) <= 3 or x.shape[-1] != n_in or (len(x.shape) == 3 and len(x) != len(networks)):
        raise ValueError(f"X: expected shape ({n_in},), (n, {n_in}) or ({len(networks)}, n, {n_in}), got {x.shape}")
    each = x if len(x.shape) == 3 and not isinstance(x, SparseRows) else [x] * len(networks)
    result = np.stack([network.predict(rows) for network, rows in zip(networks, each, strict=True)])
    if out is None:
        return result
    out[...] = result
    return out


def spread(values: Array, divisor: float, mean: Array | None = None, deviation: Array | None = None) -> None:
    """Set mean and standard deviation over the first axis, where they are given.

    Sums run in float64, in the order of that axis. `divisor` is that of the sum of squares.
    """
    with np.errstate(all="ignore"):
        total = np.zeros(values.shape[1:])
        for value in values:
            total += value
        total /= len(values)
        if mean is not None:
            mean[...] = total
        if deviation is not None:
            squares = np.zeros(values.shape[1:])
            for value in values:
                squares += np.square(value - total)
            deviation[...] = np.sqrt(squares / divisor)


def get_vectors(networks: Sequence[Network]) -> Array:
    """Return the parameters of networks, (n_networks, n_parameters), in the order of `MLP.to_vector`."""
    return np.stack([np.concatenate([view.reshape(-1) for view in by_layer(network.parameters)]) for network in networks])


def set_vectors(networks: Sequence[Network], vectors: Array) -> None:
    """Set the parameters of networks from the rows of an array, in the order of `MLP.to_vector`."""
    for network, vector in zip(networks, vectors.copy(), strict=True):
        start = 0
        for view in by_layer(network.parameters):
            view[...] = vector[start : start + view.size].reshape(view.shape)
            start += view.size
