"""The check of blocks of numbers that are read without text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._tables.cells import refusal
from fastnn._tables.columns import column_text

if TYPE_CHECKING:
    from numpy.typing import NDArray


def check_finite(
    block: NDArray[Any],
    source: str,
    start: int,
    places: Sequence[int],
    names: Sequence[str] | None,
    allow_missing: bool,
) -> None:
    """Raise ValueError with row and column if a number is not finite.

    Rows are counted from 1 in the message. `start` is the number of rows before the block.
    """
    if block.dtype.kind != "f":
        return
    wrong = np.isinf(block) if allow_missing else ~np.isfinite(block)
    if wrong.any():
        row, column = (int(place) for place in np.argwhere(wrong)[0])
        value = float(block[row, column])
        problem = refusal(value, f"{value}", allow_missing)
        raise ValueError(f"{source}, row {start + row + 1}, {column_text(places[column], names)}: {problem}")
