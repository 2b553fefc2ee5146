"""The columns of a table that become the inputs of a model, found by name or by number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastnn._checks.columns import Names, listed


@dataclass(frozen=True)
class Wanted:
    """The columns that a model needs.

    Attributes
    ----------
    count : int
        The number of the model's inputs.
    names : tuple of str, optional
        The names of the inputs, if the model has names.
    chosen : tuple of str, optional
        The columns that the user chose instead: names, or numbers from 1 if the table has no names.
    """

    count: int
    names: Names | None = None
    chosen: Names | None = None

    def are_in(self, names: Sequence[str]) -> bool:
        """Return whether these names include all columns that are wanted by name, and not by number."""
        by_number = self.chosen is not None and all(each.isdecimal() for each in self.chosen)
        wanted = self.names if self.chosen is None or by_number else self.chosen
        return wanted is not None and set(wanted) <= set(names)


def places(source: str, names: Sequence[str] | None, width: int, wanted: Wanted) -> list[int]:
    """Return the places of the wanted columns, counted from 0, in the order of the model's inputs.

    Parameters
    ----------
    source : str
        The table's name in messages.
    names : sequence of str, optional
        The names of the table's columns, if they have names.
    width : int
        The number of the table's columns.
    wanted : Wanted
        The columns to find.

    Raises
    ------
    ValueError
        If a column is missing, its name occurs twice, or the number of columns is not that of the inputs.

    Examples
    --------
    >>> places("a.csv", ["id", "height", "age"], 3, Wanted(2, ("age", "height")))
    [2, 1]
    """
    if wanted.chosen is not None and len(wanted.chosen) != wanted.count:
        raise ValueError(
            f"--columns: expected {_counted(wanted.count)}, one per input of the model, got {len(wanted.chosen)}"
        )
    by_name = wanted.chosen or wanted.names
    if names is not None and by_name is not None:
        return _places_of_names(source, names, by_name)
    if wanted.chosen is not None:
        return [_place_of_number(source, number, width) for number in wanted.chosen]
    if width != wanted.count:
        got = f"{width}: {listed(names)}" if names else f"{width}"
        raise ValueError(f"{source}: expected {_counted(wanted.count)}, got {got}; --columns chooses some of them")
    return list(range(width))


def unused(names: Sequence[str] | None, used: Sequence[int]) -> list[str]:
    """Return the names of columns that are not used."""
    return [name for place, name in enumerate(names or ()) if place not in set(used)]


def column_text(place: int, names: Sequence[str] | None) -> str:
    """Return how messages call a column.

    Examples
    --------
    >>> column_text(1, None), column_text(1, ["age", "height"])
    ('column 2', "column 2 ('height')")
    """
    return f"column {place + 1}" + (f" ({names[place]!r})" if names else "")


def _places_of_names(source: str, names: Sequence[str], wanted: Names) -> list[int]:
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ValueError(f"{source}: expected columns {listed(wanted)}, got no {listed(missing)} among {listed(names)}")
    twice = [name for name in wanted if names.count(name) > 1]
    if twice:
        raise ValueError(f"{source}: expected one column {twice[0]!r}, got {names.count(twice[0])}")
    return [names.index(name) for name in wanted]


def _place_of_number(source: str, text: str, width: int) -> int:
    number = int(text) if text.isascii() and text.isdecimal() else 0
    if not 1 <= number <= width:
        raise ValueError(
            f"--columns: expected numbers from 1 to {width}, because the columns of {source} have no names, got {text!r}"
        )
    return number - 1


def _counted(count: int) -> str:
    return f"{count} column{'s' * (count != 1)}"
