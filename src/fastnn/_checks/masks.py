"""The check that an array has no masked elements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def unmasked(argument: str, values: Any) -> NDArray[Any]:
    """Return `values` as an array, after the same check as `refuse_masked`."""
    refuse_masked(argument, values)
    return np.asarray(values)


def refuse_masked(argument: str, values: Any) -> None:
    """Raise ValueError for masked elements, beneath which there may be any number."""
    if type(values) is not np.ndarray and np.ma.is_masked(values):
        raise ValueError(f"{argument}: expected no masked elements, got an array with some; .filled() gives them values")
