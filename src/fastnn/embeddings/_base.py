"""The base class of embeddings, and checks that they share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from fastnn._checks.option_classes import Options, option_class
from fastnn._checks.scalars import has_elements, integer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@option_class
class Embedding(Options):
    """The base class of the embeddings, which holds the columns.

    Parameters
    ----------
    columns : int or sequence of int, optional
        The columns of X. By default, all columns that are in no other embedding.

    Examples
    --------
    >>> from fastnn import embeddings
    >>> isinstance(embeddings.PBLD([0, 3]), embeddings.Embedding)
    True
    >>> embeddings.PBLD([0, 3]).columns
    (0, 3)
    """

    name: ClassVar[str] = ""
    columns: Any = None

    def __post_init__(self) -> None:
        """Check every parameter."""
        if type(self) is Embedding:
            raise TypeError("Embedding is a base class, expected one of the classes in fastnn.embeddings.EMBEDDINGS")
        if self.columns is not None:
            object.__setattr__(self, "columns", checked_columns(self.columns))

    # The following describe embeddings whose columns are set.

    @property
    def widths(self) -> tuple[int, ...]:
        """The number of outputs of each column."""
        raise NotImplementedError

    @property
    def shape(self) -> tuple[int, int] | None:
        """The shape of the matrix of parameters, or None without parameters."""
        return None

    @property
    def first_rows(self) -> tuple[int, ...]:
        """The row of the parameters at which those of each column begin."""
        return (0,) * len(self.columns)

    @property
    def frequencies(self) -> int:
        """The number of frequencies per column, or 0 if the embedding is not periodic."""
        return 0

    @property
    def categories(self) -> tuple[int, ...]:
        """The number of categories of each column, or nothing if the columns are numeric."""
        return ()

    @property
    def has_table(self) -> bool:
        """Whether each category has a row of parameters."""
        return bool(self.categories) and self.shape is not None

    @property
    def edges(self) -> tuple[tuple[float, ...], ...]:
        """The edges of the bins of each column, or nothing without bins."""
        return ()

    def with_columns(self, columns: tuple[int, ...]) -> Self:
        """Return the same embedding of these columns."""
        return replace(self, columns=columns)

    def parts(self, parameters: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return views of the parts of the parameters by name: see the class for their names and shapes."""
        raise NotImplementedError

    def initial(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw the initial parameters."""
        raise NotImplementedError


def check_one_per_column(argument: str, values: tuple[Any, ...], columns: tuple[int, ...] | None) -> None:
    """Raise ValueError unless there is one value per column."""
    if columns is None:
        raise ValueError(f"columns: expected them for one value of {argument} per column, got None")
    if len(values) != len(columns):
        raise ValueError(f"{argument}: expected {len(columns)}, one per column, got {len(values)}")


def checked_columns(columns: Any) -> tuple[int, ...]:
    """Return the columns as a tuple of int."""
    if not has_elements(columns):
        columns = (columns,)
    checked = tuple(integer("columns", column, low=0, high=2**31 - 2) for column in columns)
    if not checked:
        raise ValueError("columns: expected at least one, got none")
    return checked
