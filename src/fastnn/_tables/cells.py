"""The cells of tables of text: numbers, missing values, and everything else."""

from __future__ import annotations

import math

# In lower case. An empty cell is missing too.
_MISSING = frozenset({"", "na", "n/a", "nan", "null"})

FILLED = dict.fromkeys(("", "NA", "N/A", "null", "NULL"), "nan")
"""The usual spellings of missing values, and the one that NumPy reads."""


def number(text: str) -> float | None:
    """Return the number that a cell holds, in the notation that NumPy reads too, or None.

    Examples
    --------
    >>> number(" 1e3 "), number("inf"), number("1_000"), number("a")
    (1000.0, inf, None, None)
    """
    if "_" in text or not text.isascii():
        return None
    try:
        return float(text)
    except ValueError:
        return None


def is_missing(text: str) -> bool:
    """Return whether a cell says that there is no value.

    Examples
    --------
    >>> is_missing(""), is_missing("NaN"), is_missing("0")
    (True, True, False)
    """
    return text.strip().lower() in _MISSING


def refusal(value: float, text: str, allow_missing: bool) -> str | None:
    """Return why a number, or NaN for a missing value, can't be an input, or None."""
    if math.isfinite(value) or (allow_missing and math.isnan(value)):
        return None
    way_out = "; --allow-missing predicts NaN for such rows" if math.isnan(value) else ""
    return f"expected a finite number, got {text}{way_out}"
