"""The embeddings of a model, and the sizes of its layers with them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastnn._checks.limits import MAX_UNITS, MAX_WEIGHTS

if TYPE_CHECKING:
    from fastnn.embeddings import Embedding


def embedded_columns(
    embeddings: Embedding | Sequence[Embedding], sizes: tuple[int, ...], n_members: int = 1
) -> tuple[tuple[Embedding, ...], tuple[int, ...]]:
    """Return the embeddings with their columns, and the sizes of the layers, of which the first is that of their outputs.

    Raises
    ------
    TypeError, ValueError
        If they are not embeddings of different columns, or if their outputs, or those of all members, are too many.
    """
    if isinstance(embeddings, tuple | list) and not embeddings:
        if sizes[-1] * n_members > MAX_UNITS or _n_weights(sizes, n_members) > MAX_WEIGHTS:
            raise ValueError(f"shared: expected at most {MAX_UNITS} outputs and {MAX_WEIGHTS} weights of all members")
        return (), sizes
    from fastnn.embeddings import resolve, stage_width  # only models with embeddings load it

    resolved = resolve(embeddings, sizes[0])
    widths = (stage_width(resolved, sizes[0]), *sizes[1:])
    if max(widths[0], widths[-1] * n_members) > MAX_UNITS or _n_weights(widths, n_members) > MAX_WEIGHTS:
        raise ValueError(
            f"embeddings: expected at most {MAX_UNITS} outputs and {MAX_WEIGHTS} weights, got {widths[0]} outputs"
        )
    return resolved, widths


def _n_weights(widths: tuple[int, ...], n_members: int) -> int:
    """Return the number of weights, of which the last layer has some for each member, and at most of scales and biases."""
    *hidden, last = (n_in * n_out for n_in, n_out in itertools.pairwise(widths))
    return sum(hidden) + n_members * last + (3 * n_members * sum(widths[:-1]) if n_members > 1 else 0)
