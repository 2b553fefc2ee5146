"""The columns of X that each of a model's embeddings takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn._checks.scalars import has_elements, shown
from fastnn.embeddings._base import Embedding
from fastnn.embeddings._registry import EMBEDDINGS

MAX_EMBEDDINGS = 63
"""The largest number of embeddings in a model. kernels/network.h has one more, for the columns that pass."""


def resolve(embeddings: Embedding | Sequence[Embedding], n_in: int) -> tuple[Embedding, ...]:
    """Return the embeddings of a model with their columns, which must be different columns of X.

    Raises
    ------
    TypeError, ValueError
        If they are not embeddings, or if their columns do not fit.
    """
    given: tuple[Any, ...] = tuple(embeddings) if has_elements(embeddings) else (embeddings,)
    kinds = EMBEDDINGS.values()  # no subclasses, whose arrays the kernels would not know
    if not all(type(each) in kinds for each in given):
        raise TypeError(f"embeddings: expected objects of fastnn.embeddings, got {shown(embeddings)}")
    if len(given) > MAX_EMBEDDINGS:
        raise ValueError(f"embeddings: expected at most {MAX_EMBEDDINGS}, got {len(given)}")
    taken: dict[int, int] = {}
    for i, each in enumerate(given):
        for column in each.columns or ():
            if column >= n_in:
                raise ValueError(f"embeddings[{i}]: expected columns from 0 to {n_in - 1}, got {column}")
            if column in taken:
                other = f" and in embeddings[{taken[column]}]" if taken[column] != i else ""
                raise ValueError(f"embeddings[{i}]: expected different columns, got {column} twice{other}")
            taken[column] = i
    rest = tuple(column for column in range(n_in) if column not in taken)
    without = [i for i, each in enumerate(given) if each.columns is None]
    if len(without) > 1:
        first, second = without[:2]
        raise ValueError(f"embeddings[{second}]: expected columns, since embeddings[{first}] takes all others, got None")
    if without and not rest:
        raise ValueError(f"embeddings[{without[0]}]: expected columns that are in no other embedding, got none")
    return tuple(each.with_columns(rest) if each.columns is None else each for each in given)


def passed_columns(embeddings: Sequence[Embedding], n_in: int) -> tuple[int, ...]:
    """Return the columns of X that pass to the first layer as they are."""
    taken = {column for each in embeddings for column in each.columns}
    return tuple(column for column in range(n_in) if column not in taken)


def stage_width(embeddings: Sequence[Embedding], n_in: int) -> int:
    """Return the number of inputs of the first layer: the outputs of all embeddings, and the columns that pass."""
    return sum(sum(each.widths) for each in embeddings) + len(passed_columns(embeddings, n_in))
