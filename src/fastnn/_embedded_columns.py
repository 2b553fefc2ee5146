"""The embeddings of a model, and the sizes of its layers with them."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastnn._checks.limits import MAX_UNITS, MAX_WEIGHTS

if TYPE_CHECKING:
    from fastnn.embeddings import Embedding


def embedded_columns(
    embeddings: Embedding | Sequence[Embedding], sizes: tuple[int, ...]
) -> tuple[tuple[Embedding, ...], tuple[int, ...]]:
    """Return the embeddings with their columns, and the sizes of the layers, of which the first is that of their outputs.

    Raises
    ------
    TypeError, ValueError
        If they are not embeddings of different columns, or if their outputs are too many.
    """
    if isinstance(embeddings, tuple | list) and not embeddings:
        return (), sizes
    from fastnn.embeddings import resolve, stage_width  # only models with embeddings load it

    resolved = resolve(embeddings, sizes[0])
    widths = (stage_width(resolved, sizes[0]), *sizes[1:])
    if widths[0] > MAX_UNITS or sum(itertools.starmap(operator.mul, itertools.pairwise(widths))) > MAX_WEIGHTS:
        raise ValueError(
            f"embeddings: expected at most {MAX_UNITS} outputs and {MAX_WEIGHTS} weights, got {widths[0]} outputs"
        )
    return resolved, widths
