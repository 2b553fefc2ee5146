"""Pictures made of characters: images, and curves among points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SHADES = " ░▒▓█"
_Array = NDArray[Any]


def image(pixels: _Array, max_pixel: float) -> list[str]:
    """Draw an image, with two characters per pixel.

    Parameters
    ----------
    pixels : ndarray, shape (height, width)
        Numbers from 0 to `max_pixel`.
    max_pixel : float
        The number that is drawn in the darkest shade.

    Examples
    --------
    >>> image(np.array([[0, 4], [8, 16]]), 16)
    ['  ░░', '▒▒██']
    """
    shades = np.rint(pixels / max_pixel * (len(_SHADES) - 1)).astype(int)
    return ["".join(2 * _SHADES[shade] for shade in row) for row in shades]


def curves(layers: Sequence[tuple[str, _Array, _Array]], width: int, height: int) -> list[str]:
    """Draw points, later ones over earlier ones, in a frame with the range of y beside it.

    Parameters
    ----------
    layers : sequence of (character, x, y)
        The character for the points of a layer, and their coordinates.
    width, height : int
        Numbers of characters within the frame.
    """
    layers = [(character, x.ravel(), y.ravel()) for character, x, y in layers]
    all_x, all_y = (np.concatenate([layer[axis] for layer in layers]) for axis in (1, 2))
    low, high = float(all_y.min()), float(all_y.max())
    cells = [[" "] * width for _ in range(height)]
    for character, x, y in layers:
        columns = _cells(x, float(all_x.min()), float(all_x.max()), width)
        rows = height - 1 - _cells(y, low, high, height)
        for row, column in zip(rows, columns, strict=True):
            cells[row][column] = character
    labels = [f"{high:5.1f}"] + [" " * 5] * (height - 2) + [f"{low:5.1f}"]
    drawn = [f"{label} │{''.join(row)}".rstrip() for label, row in zip(labels, cells, strict=True)]
    ends = f"{all_x.min():<{width - 5}.1f}{all_x.max():5.1f}"
    return [*drawn, " " * 7 + "─" * width, " " * 7 + ends]


def _cells(values: _Array, low: float, high: float, count: int) -> NDArray[np.intp]:
    """Return the index of the cell that each value is in, of `count` equal cells between low and high."""
    return np.clip((values - low) / (high - low) * count, 0, count - 1).astype(np.intp)
