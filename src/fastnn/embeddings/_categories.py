"""Embeddings of columns of categories."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any, ClassVar

from fastnn._checks.limits import MAX_UNITS
from fastnn._checks.option_classes import option_class
from fastnn._checks.scalars import has_elements, integer
from fastnn.embeddings._base import Embedding, check_one_per_column

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_CATEGORIES = 2**24  # float32 tells that many codes apart


@option_class
class _Coded(Embedding):
    """The fields that embeddings of categories share."""

    n_categories: Any = None

    def __post_init__(self) -> None:
        """Check every parameter."""
        super().__post_init__()
        given = self.n_categories
        if not has_elements(given):
            object.__setattr__(self, "n_categories", integer("n_categories", given, low=1, high=MAX_CATEGORIES))
            return
        numbers = tuple(integer("n_categories", number, low=1, high=MAX_CATEGORIES) for number in given)
        check_one_per_column("n_categories", numbers, self.columns)
        object.__setattr__(self, "n_categories", numbers)

    @property
    def categories(self) -> tuple[int, ...]:
        """The number of categories of each column."""
        numbers = self.n_categories
        return numbers if isinstance(numbers, tuple) else (numbers,) * len(self.columns)


@option_class
class OneHot(_Coded):
    """One output per category: 1 for the category of a row, and 0 for all others.

    The columns contain the codes 0, 1, … below the number of categories, as numbers. Any other number, and NaN, stands for a
    category that is missing or unknown: all outputs are 0.

    Parameters
    ----------
    columns : int or sequence of int, optional
        The columns of X. By default, all columns that are in no other embedding.
    n_categories : int or sequence of int
        The number of categories: one for all columns, or one per column.

    Raises
    ------
    TypeError, ValueError
        If a parameter has the wrong type or is out of range.

    Examples
    --------
    >>> from fastnn import MLP
    >>> MLP((3, 64, 1), embeddings=OneHot([1, 2], n_categories=[4, 7])).weights[0].shape
    (12, 64)
    """

    name: ClassVar[str] = "one_hot"

    @property
    def widths(self) -> tuple[int, ...]:
        """The number of outputs of each column: its number of categories."""
        return self.categories


@option_class
class Categorical(_Coded):
    """Trained vectors of categories: a row of a table for each.

    The columns contain the codes 0, 1, … below the number of categories, as numbers. Any other number, and NaN, stands for a
    category that is missing or unknown, for which each column has one more vector.

    Parameters
    ----------
    columns : int or sequence of int, optional
        The columns of X. By default, all columns that are in no other embedding.
    n_categories : int or sequence of int
        The number of categories: one for all columns, or one per column.
    width : int, default 8
        The number of outputs per column.

    Raises
    ------
    TypeError, ValueError
        If a parameter has the wrong type or is out of range.

    Notes
    -----
    The vectors begin with a normal distribution of variance 1, and those of missing categories with zeros.

    Examples
    --------
    >>> from fastnn import MLP
    >>> model = MLP((3, 64, 1), embeddings=Categorical(2, n_categories=100, width=5))
    >>> model.weights[0].shape, model.embedding_parameters[0].shape
    ((7, 64), (101, 5))
    """

    name: ClassVar[str] = "categorical"
    width: int = 8

    def __post_init__(self) -> None:
        """Check every parameter."""
        super().__post_init__()
        object.__setattr__(self, "width", integer("width", self.width, low=1, high=MAX_UNITS))

    @property
    def widths(self) -> tuple[int, ...]:
        """The number of outputs of each column: `width`."""
        return (self.width,) * len(self.columns)

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the table: the rows of one column after the other, each with one more row than categories."""
        return sum(self.categories) + len(self.columns), self.width

    @property
    def first_rows(self) -> tuple[int, ...]:
        """The row of the table at which that of each column begins."""
        return tuple(accumulate((number + 1 for number in self.categories[:-1]), initial=0))

    def parts(self, parameters: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return views of the table of each column, by the name "table" and the column's number in X.

        The last row of a table is the vector for missing categories.

        Examples
        --------
        >>> from fastnn import MLP
        >>> model = MLP((3, 8, 1), embeddings=Categorical([0, 2], n_categories=[4, 9], width=2))
        >>> parts = model.embeddings[0].parts(model.embedding_parameters[0])
        >>> {name: view.shape for name, view in parts.items()}
        {'table 0': (5, 2), 'table 2': (10, 2)}
        """
        each = zip(self.columns, self.first_rows, self.categories, strict=True)
        return {f"table {column}": parameters[first : first + number + 1] for column, first, number in each}

    def initial(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw the initial parameters."""
        result = rng.normal(size=self.shape)
        for table in self.parts(result).values():
            table[-1] = 0.0
        return result
