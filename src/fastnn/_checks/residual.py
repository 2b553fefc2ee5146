"""Checks of residual connections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from fastnn._checks.limits import MAX_WEIGHTS
from fastnn._checks.scalars import integer, shown

Connections: TypeAlias = tuple[tuple[int, int], ...]  # where each begins and ends; layer 0 is the inputs

PLACES = ("before", "after")
_EXPECTED = "expected pairs (from, to) of layers, the number of layers in a block, or True for blocks of one"


def residual_connections(residual: Any, place: Any, widths: Sequence[int]) -> tuple[Connections, str]:
    """Return pairs of layers in the order of their ends, and the place of the sums.

    `widths` are the numbers of the first layer's inputs and of each layer's outputs.
    """
    if not isinstance(place, str):
        raise TypeError(f"residual_place: expected 'before' or 'after', got {shown(place)} of type {type(place).__name__}")
    if place not in PLACES:
        raise ValueError(f"residual_place: expected 'before' or 'after', got {place!r}")
    connections = pairs_of_layers(residual, len(widths) - 1)
    check_place(place, connections)
    ends = [end for _, end in connections]
    if twice := [end for end in ends if ends.count(end) > 1]:
        raise ValueError(
            f"residual: expected at most one connection to each layer, got {ends.count(twice[0])} to {twice[0]}"
        )
    n_weights = sum(n_from * n_to for _, n_from, n_to in projected(connections, widths))
    if n_weights > MAX_WEIGHTS:
        raise ValueError(f"residual: expected at most {MAX_WEIGHTS} weights of projections, got {n_weights}")
    return connections, place


def check_place(place: str, connections: Connections) -> None:
    """Raise ValueError if there are no connections that a place could be for."""
    if not connections and place != "after":
        raise ValueError(f"residual_place: expected the default 'after' without residual connections, got {place!r}")


def projected(connections: Connections, widths: Sequence[int]) -> list[tuple[int, int, int]]:
    """Return the layers, counted from 0, in which connections with a projection end, and the shapes of the projections."""
    shapes = [(end - 1, widths[begin], widths[end]) for begin, end in connections]
    return [(layer, n_from, n_to) for layer, n_from, n_to in shapes if n_from != n_to]


def pairs_of_layers(residual: Any, n_layers: int) -> Connections:
    """Return the pairs of layers that a user's value stands for, in the order of their ends."""
    if residual is None:
        return ()
    if isinstance(residual, bool | np.bool_):
        return _blocks(1, n_layers - 1) if residual else ()
    if not isinstance(residual, Sequence) or isinstance(residual, str):
        if hasattr(residual, "__index__"):
            return _blocks(integer("residual", residual, low=1), n_layers - 1)
        raise TypeError(f"residual: {_EXPECTED}, got {shown(residual)} of type {type(residual).__name__}")
    given = list(residual)
    if len(given) == 2 and all(hasattr(each, "__index__") for each in given):
        given = [tuple(given)]  # a single pair
    return tuple(sorted((_pair(f"residual[{i}]", each, n_layers) for i, each in enumerate(given)), key=lambda pair: pair[1]))


def _blocks(n_in_block: int, n_hidden: int) -> Connections:
    """Return the connections of blocks of hidden layers, which begin behind the first one."""
    if n_hidden <= n_in_block or (n_hidden - 1) % n_in_block:
        counts = ", ".join(str(1 + n_blocks * n_in_block) for n_blocks in (1, 2, 3))
        expected = f"expected {counts}, … hidden layers, which are a first one and blocks of {n_in_block}"
        raise ValueError(f"residual: {expected}, got {n_hidden} hidden {'layer' if n_hidden == 1 else 'layers'}")
    return tuple((begin, begin + n_in_block) for begin in range(1, n_hidden, n_in_block))


def _pair(argument: str, given: Any, n_layers: int) -> tuple[int, int]:
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) != 2:
        raise TypeError(f"{argument}: expected a pair (from, to) of layers, got {shown(given)}")
    begin, end = (integer(argument, each, low=0, high=n_layers) for each in given)
    if begin >= end:
        raise ValueError(
            f"{argument}: expected a later layer than {begin} as the end, the output layer being {n_layers}, got {end}"
        )
    return begin, end
