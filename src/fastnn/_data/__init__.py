"""The data set that the demonstrations, tests and benchmarks use; its origin and license are in CITATION.md."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["load_digits"]


def load_digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the handwritten digits: 1797 images of 8 x 8 pixels.

    Returns
    -------
    images : ndarray of uint8, shape (1797, 64)
        Grey values 0 (white) to 16 (black), the image's rows one after the other.
    labels : ndarray of int64, shape (1797,)
        The digits 0 to 9 that the images show.

    Examples
    --------
    >>> images, labels = load_digits()
    >>> images.shape, images.max()
    ((1797, 64), np.uint8(16))
    >>> labels[:12]
    array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1])
    """
    with files(__name__).joinpath("digits.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return arrays["images"], arrays["labels"].astype(np.int64)
