"""Piecewise linear encoding of numeric columns, and the bins for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn._checks.masks import unmasked
from fastnn._checks.option_classes import option_class
from fastnn._checks.scalars import has_elements, integer, real, shown
from fastnn.embeddings._base import Embedding, check_one_per_column, checked_columns

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

MAX_BINS = 4096


@option_class
class PiecewiseLinear(Embedding):
    """Piecewise linear encoding of numeric columns: one output per bin, which rises from 0 to 1 within the bin.

    The output for the bin from a to b is (x - a) / (b - a), not below 0 and not above 1. The first bin has no lower limit,
    and the last one has no upper limit, so that the outputs tell all numbers apart.

    Parameters
    ----------
    columns : int or sequence of int, optional
        The columns of X. By default, all columns that are in no other embedding.
    bins : sequence of float, or sequence of such sequences
        The edges of the bins, in ascending order: one list for all columns, or one list per column. See `quantile_bins`.

    Raises
    ------
    TypeError, ValueError
        If a parameter has the wrong type or is out of range.

    References
    ----------
    Y. Gorishniy, I. Rubachev and A. Babenko, "On embeddings for numerical features in tabular deep learning", NeurIPS 2022.

    Examples
    --------
    >>> from fastnn import MLP
    >>> MLP((2, 64, 1), embeddings=PiecewiseLinear(0, bins=[0.0, 1.0, 3.0, 10.0])).weights[0].shape
    (4, 64)
    """

    name: ClassVar[str] = "piecewise_linear"
    bins: Any = None

    def __post_init__(self) -> None:
        """Check every parameter."""
        super().__post_init__()
        given = self.bins
        if not has_elements(given):
            raise TypeError(f"bins: expected edges in ascending order, got {shown(given)}")
        lists = tuple(given)
        if lists and all(has_elements(each) for each in lists):
            bins: Any = tuple(_checked_edges(f"bins[{i}]", each) for i, each in enumerate(lists))
            check_one_per_column("bins", bins, self.columns)
        else:
            bins = _checked_edges("bins", lists)
        object.__setattr__(self, "bins", bins)

    @property
    def edges(self) -> tuple[tuple[float, ...], ...]:
        """The edges of the bins of each column."""
        bins: tuple[Any, ...] = self.bins
        return bins if isinstance(bins[0], tuple) else (bins,) * len(self.columns)

    @property
    def widths(self) -> tuple[int, ...]:
        """The number of outputs of each column: its number of bins."""
        return tuple(len(edges) - 1 for edges in self.edges)


def quantile_bins(
    X: ArrayLike, columns: int | Sequence[int] | None = None, *, n_bins: int = 48
) -> tuple[tuple[float, ...], ...]:
    """Return the edges of bins for `PiecewiseLinear` that contain about as many rows each.

    They are quantiles of each column, without repetitions, so that a column with few values has fewer bins.

    Parameters
    ----------
    X : array-like, shape (n, n_in)
        The rows on which the model will be trained. NaN are left out.
    columns : int or sequence of int, optional
        The columns of X, by default all.
    n_bins : int, default 48
        The largest number of bins per column.

    Returns
    -------
    tuple of tuples of float
        The edges for each column. A column with a single value v has one bin from v - 0.5 to v + 0.5.

    Raises
    ------
    TypeError, ValueError
        If X is not a matrix of numbers, or if a column has no finite number.

    Examples
    --------
    >>> quantile_bins([[0.0], [1.0], [2.0], [3.0], [4.0]], n_bins=2)
    ((0.0, 2.0, 4.0),)
    """
    array = unmasked("X", X)
    if array.ndim != 2 or array.dtype.kind not in "fiub":
        raise ValueError(f"X: expected a matrix of numbers, got shape {array.shape} of {array.dtype}")
    chosen = tuple(range(array.shape[1])) if columns is None else checked_columns(columns)
    shares = np.linspace(0.0, 1.0, integer("n_bins", n_bins, low=1, high=MAX_BINS) + 1)
    result = []
    for column in chosen:
        if column >= array.shape[1]:
            raise ValueError(f"columns: expected columns from 0 to {array.shape[1] - 1}, got {column}")
        values = array[:, column].astype(np.float64)
        finite = values[np.isfinite(values)]
        if not finite.size:
            raise ValueError(f"X: expected finite numbers in column {column}, got none")
        # Edges must differ in float32 too.
        edges = np.unique(np.quantile(finite, shares).astype(np.float32)).tolist()
        result.append(tuple(edges) if len(edges) > 1 else (edges[0] - 0.5, edges[0] + 0.5))
    return tuple(result)


def _checked_edges(argument: str, edges: Any) -> tuple[float, ...]:
    """Return the edges of bins as a tuple of float."""
    numbers = tuple(real(argument, edge) for edge in edges)
    if not 2 <= len(numbers) <= MAX_BINS + 1:
        raise ValueError(f"{argument}: expected 2 to {MAX_BINS + 1} edges, got {len(numbers)}")
    with np.errstate(over="ignore"):
        rounded = np.array(numbers, np.float32)
    if not np.isfinite(rounded).all() or (np.diff(rounded) <= 0).any():
        raise ValueError(
            f"{argument}: expected finite edges in ascending order, which differ in float32, got {shown(numbers)}"
        )
    return numbers
