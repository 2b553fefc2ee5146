"""All parameters in one vector, so that an update takes a few operations, whatever the number of layers."""

from __future__ import annotations

from itertools import accumulate, pairwise

import numpy as np

from fastnn._bench.works import Array


def flattened(parameters: list[Array]) -> Array:
    """Return a new vector of the elements of all arrays, one after the other."""
    return np.concatenate([p.ravel() for p in parameters])


def views(vector: Array, like: list[Array]) -> list[Array]:
    """Return views of a vector in the shapes of some arrays."""
    ends = accumulate((array.size for array in like), initial=0)
    return [vector[start:end].reshape(array.shape) for (start, end), array in zip(pairwise(ends), like, strict=True)]
