"""The column names of data frames, and their comparison with those on which a model was trained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

from fastnn._checks.scalars import has_elements

Names: TypeAlias = tuple[str, ...]

# The largest number of names in a message.
_MOST = 5


def names_of(argument: str, value: Any) -> Names | None:
    """Return the column names of a frame, or of one row of it, or None if the columns have no names.

    Columns whose names are not text, such as numbers, count as columns without names.

    Raises
    ------
    TypeError
        If some of the names are text and others are not.
    """
    if type(value) is np.ndarray:
        return None
    names = labels_of(value) or _labels_of_row(value)
    text = sum(isinstance(name, str) for name in names)
    if 0 < text < len(names):
        kinds = ", ".join(sorted({type(name).__name__ for name in names}))
        raise TypeError(
            f"{argument}: expected column names that are all text, got types {kinds}; X.columns.astype(str) makes them text"
        )
    return tuple(str(name) for name in names) if text else None


def labels_of(value: Any) -> list[Any]:
    """Return the column labels of a data frame (pandas, polars, PyArrow and others), or an empty list for other data."""
    if isinstance(value, np.ndarray | list | tuple):
        return []
    # In a PyArrow table, `columns` contains the columns themselves.
    for attribute in ("column_names", "columns"):
        found = getattr(value, attribute, None)
        if isinstance(found, Iterable) and not isinstance(found, str):
            return list(found)
    return []


def _labels_of_row(value: Any) -> list[Any]:
    """Return the index of a single row of a frame."""
    index = getattr(value, "index", None)
    return list(index) if getattr(value, "ndim", None) == 1 and isinstance(index, Iterable) else []


def check_same(argument: str, names: Names | None, expected: Names | None) -> None:
    """Raise ValueError if columns are not those of the model. Nothing is checked if either side has no names."""
    if names is None or expected is None or names == expected:
        return
    unexpected = [name for name in names if name not in expected]
    missing = [name for name in expected if name not in names]
    parts = [f"unexpected {listed(unexpected)}"] * bool(unexpected) + [f"no {listed(missing)}"] * bool(missing)
    different = " and ".join(parts) or _order(names, expected)
    raise ValueError(
        f"{argument}: expected the columns that the model was trained on, {listed(expected)} in this order, got "
        f"{different}; model.feature_names has them all, and None there forgets them"
    )


def _order(names: Names, expected: Names) -> str:
    """Return a text about the first difference in order. The names are the same, but may contain duplicates."""
    shorter = min(len(names), len(expected))
    place = next((i for i in range(shorter) if names[i] != expected[i]), shorter)
    got, wanted = (repr(some[place]) if place < len(some) else "none" for some in (names, expected))
    return f"another order, with {got} instead of {wanted} as column {place}"


def checked_names(argument: str, value: Any, n_in: int) -> Names | None:
    """Return names from a user or a file, one per input, as a tuple, or None for None."""
    if value is None:
        return None
    expected = f"{n_in} names of columns, or None"
    if not has_elements(value):
        raise TypeError(f"{argument}: expected {expected}, got {value!r}")
    names = tuple(value)
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        raise TypeError(
            f"{argument}: expected {expected}, got {wrong[0]!r} of type {type(wrong[0]).__name__} among the names"
        )
    if len(names) != n_in:
        raise ValueError(f"{argument}: expected {expected}, got {len(names)} names")
    return tuple(map(str, names))


def listed(names: Sequence[str]) -> str:
    """Return names as text, with the number of those that are left out."""
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(map(repr, names[:_MOST])) + more
