"""Compare the results of two runs of a program."""

from __future__ import annotations

import numpy as np

from fuzz.programs import Outcome

# Tolerance for float64. Rounding errors grow over the steps of training; a wrong formula differs by far more.
TOLERANCE = 1e-5


def difference(expected: Outcome, got: Outcome, exact: bool) -> str | None:
    """Return a line about the first result that differs, or None if there is none.

    Parameters
    ----------
    expected, got : Outcome
        The outcomes of two runs of one program.
    exact : bool
        Whether to compare to the last bit, instead of to rounding.
    """
    if list(expected.arrays) != list(got.arrays):
        return f"results {sorted({*expected.arrays} ^ {*got.arrays})[:3]} exist in only one run"
    for label, wanted in expected.arrays.items():
        found = got.arrays[label]
        if wanted.dtype != found.dtype or wanted.shape != found.shape:
            return f"{label}: {wanted.dtype} {wanted.shape} became {found.dtype} {found.shape}"
        same = wanted.tobytes() == found.tobytes()
        if not same and (exact or not _close(wanted, found)):
            return f"{label}: {_first_difference(wanted, found)}"
    return None


def _close(wanted: np.ndarray, found: np.ndarray) -> bool:
    """Return whether differences are small beside the largest element, and NaN and infinity are in the same places."""
    if wanted.dtype.kind != "f":
        return False
    finite = np.isfinite(wanted)
    if not np.array_equal(finite, np.isfinite(found)) or not np.array_equal(wanted[~finite], found[~finite], equal_nan=True):
        return False
    if not finite.any():
        return True
    scale = max(float(np.abs(wanted[finite]).max()), 1e-3)
    return bool(np.abs(wanted[finite] - found[finite]).max() <= TOLERANCE * scale)


def _first_difference(wanted: np.ndarray, found: np.ndarray) -> str:
    where = np.flatnonzero((wanted != found) & ~((wanted != wanted) & (found != found)))
    if where.size == 0:
        return "the same numbers in other bits"
    place = tuple(int(i) for i in np.unravel_index(where[0], wanted.shape))
    one, other = wanted[place], found[place]
    return f"{where.size} of {wanted.size} differ, first at {place}: {one!r} became {other!r}"
