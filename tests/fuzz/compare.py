"""Whether two runs of a program came to the same results."""

from __future__ import annotations

import numpy as np

from fuzz.programs import Outcome

# Rounding grows through the steps of training; a wrong formula differs by far more.
TOLERANCE = {"float64": 1e-6, "float32": 3e-2}


def difference(expected: Outcome, got: Outcome, exact: bool) -> str | None:
    """Return a line about the first result that differs, None if there is none.

    Parameters
    ----------
    expected, got : Outcome
        Of the same program.
    exact : bool
        To the last bit; else to rounding.
    """
    if list(expected.arrays) != list(got.arrays):
        return f"results {sorted({*expected.arrays} ^ {*got.arrays})[:3]} are there once only"
    for label, wanted in expected.arrays.items():
        found = got.arrays[label]
        if wanted.dtype != found.dtype or wanted.shape != found.shape:
            return f"{label}: {wanted.dtype} {wanted.shape} became {found.dtype} {found.shape}"
        same = wanted.tobytes() == found.tobytes()
        if not same and (exact or not _close(wanted, found, TOLERANCE[expected.dtype])):
            return f"{label}: {_first_difference(wanted, found)}"
    return None


def _close(wanted: np.ndarray, found: np.ndarray, tolerance: float) -> bool:
    """Return whether differences are small beside the largest element; NaN and infinity must be the same.

    Of float64 all of them; of float32 their mean: rounding decides now and then whether an output lies above its target or
    below, where the derivative of a loss jumps, and so moves a few weights by a whole step.
    """
    if wanted.dtype.kind != "f":
        return False
    finite = np.isfinite(wanted)
    if not np.array_equal(finite, np.isfinite(found)) or not np.array_equal(wanted[~finite], found[~finite], equal_nan=True):
        return False
    if not finite.any():
        return True
    differences = np.abs(wanted[finite].astype(float) - found[finite])
    scale = max(float(np.abs(wanted[finite]).max()), 1e-3)
    return bool((differences.max() if wanted.dtype == np.float64 else differences.mean()) <= tolerance * scale)


def _first_difference(wanted: np.ndarray, found: np.ndarray) -> str:
    where = np.flatnonzero((wanted != found) & ~((wanted != wanted) & (found != found)))
    if where.size == 0:
        return "the same numbers in other bits"
    place = tuple(int(i) for i in np.unravel_index(where[0], wanted.shape))
    one, other = wanted[place], found[place]
    return f"{where.size} of {wanted.size} differ, first at {place}: {one!r} became {other!r}"
