"""The base class of the schedules, and the curve that several of them follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastnn._checks.option_classes import Options
from fastnn._checks.scalars import integer, real

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Schedule(Options):
    """The base of the schedules: checks of their parameters."""

    def _check_real(self, field: str, *, high: float = np.inf) -> None:
        """Convert `field` to a float in [0, high], or raise an error."""
        object.__setattr__(self, field, real(field, getattr(self, field), low=0.0, high=high))

    def _check_count(self, field: str) -> None:
        """Convert `field` to an int of at least 1, or raise an error."""
        object.__setattr__(self, field, integer(field, getattr(self, field), low=1))


def half_cosine(start: float, end: float, done: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return half a cosine from `start` to `end`, at the shares `done` of the way, which are from 0 to 1."""
    return np.asarray(end + (start - end) * 0.5 * (1.0 + np.cos(np.pi * done)))
