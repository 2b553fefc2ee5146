"""Embeddings of input columns: what a model computes from single columns of X before its first layer.

Each object describes the embedding of some columns, and does no arithmetic. `fastnn.MLP` takes a list of them. Every column
that is in none of them passes to the first layer as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fastnn._checks.options import explained_fields
from fastnn._checks.scalars import integer, real, shown

__all__ = ["EMBEDDINGS", "PBLD", "PLR", "Embedding"]
__dir__ = __all__.copy

MAX_EMBEDDINGS, MAX_WIDTH, MAX_FREQUENCIES = 63, 256, 4096
"""The limits of the number of embeddings, of the outputs per column, and of frequencies; kernels/api.h has the first two."""


@dataclass(frozen=True)
class Embedding:
    """The base class of the embeddings, which holds the columns.

    Parameters
    ----------
    columns : int or sequence of int, optional
        The columns of X. By default, all columns that are in no other embedding.
    """

    name: ClassVar[str] = ""
    columns: Any = None

    def __post_init__(self) -> None:
        """Check every parameter."""
        if type(self) is Embedding:
            raise TypeError("Embedding is a base class, expected one of the classes in fastnn.embeddings.EMBEDDINGS")
        if self.columns is not None:
            object.__setattr__(self, "columns", _checked_columns(self.columns))

    @property
    def n_outputs(self) -> int:
        """The number of outputs per column."""
        raise NotImplementedError

    @property
    def shape(self) -> tuple[int, int] | None:
        """The shape of the matrix of parameters, or None without parameters. The columns must be set."""
        return None

    def with_columns(self, columns: tuple[int, ...]) -> Self:
        """Return the same embedding of these columns."""
        return replace(self, columns=columns)

    def parts(self, parameters: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return views of the parts of the parameters by name: see the class for their names and shapes."""
        raise NotImplementedError

    def initial(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw the initial parameters."""
        raise NotImplementedError


@dataclass(frozen=True)
class _Periodic(Embedding):
    """The fields that periodic embeddings share. Row j of the parameters is that of column number j of the embedding."""

    _has_phases: ClassVar[bool]
    _n_waves: ClassVar[int]  # per frequency
    _n_kept: ClassVar[int]  # outputs that are the column itself
    n_frequencies: int = 16
    width: int = 4
    sigma: float = 0.1

    def __post_init__(self) -> None:
        """Check every parameter."""
        super().__post_init__()
        number = integer("n_frequencies", self.n_frequencies, low=1, high=MAX_FREQUENCIES)
        object.__setattr__(self, "n_frequencies", number)
        object.__setattr__(self, "width", integer("width", self.width, low=1 + self._n_kept, high=MAX_WIDTH))
        object.__setattr__(self, "sigma", real("sigma", self.sigma, low=0.0, exclude_low=True))

    @property
    def n_outputs(self) -> int:
        """The number of outputs per column: `width`."""
        return self.width

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the parts for one column, in their order within a row."""
        n, n_linear = self.n_frequencies, self.width - self._n_kept
        phases: dict[str, tuple[int, ...]] = {"phases": (n,)} if self._has_phases else {}
        return {"frequencies": (n,), **phases, "weights": (self._n_waves * n, n_linear), "biases": (n_linear,)}

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the matrix of parameters, with one row per column."""
        return len(self.columns), sum(math.prod(shape) for shape in self._shapes().values())

    def parts(self, parameters: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return views of the parts of the parameters by name, each with the columns as its first axis.

        Examples
        --------
        >>> from fastnn import MLP
        >>> model = MLP((3, 8, 1), embeddings=PBLD([0, 2], n_frequencies=4))
        >>> parts = model.embeddings[0].parts(model.embedding_parameters[0])
        >>> {name: view.shape for name, view in parts.items()}
        {'frequencies': (2, 4), 'phases': (2, 4), 'weights': (2, 4, 3), 'biases': (2, 3)}
        """
        parts, start = {}, 0
        for name, shape in self._shapes().items():
            end = start + math.prod(shape)
            parts[name] = parameters[:, start:end].reshape(len(parameters), *shape)
            start = end
        return parts

    def initial(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw the initial parameters."""
        result = np.empty(self.shape)
        for name, part in self.parts(result).items():
            if name == "frequencies":
                part[...] = rng.normal(0.0, self.sigma, part.shape)
            else:
                n_waves = self._shapes()["weights"][0]
                limit = math.pi if name == "phases" else 1 / math.sqrt(n_waves)
                part[...] = rng.uniform(-limit, limit, part.shape)
        return result


@explained_fields
@dataclass(frozen=True)
class PBLD(_Periodic):
    """Periodic embedding of numeric columns with phases: cosines, a linear map of these, and the column itself.

    A column x becomes the outputs of cos(2 pi w x + b) @ W + c, followed by x. All of w, b, W and c are trained, and each
    column has its own. This is the embedding of RealMLP.

    Parameters
    ----------
    columns : int or sequence of int, optional
        The columns of X. By default, all columns that are in no other embedding.
    n_frequencies : int, default 16
        The number of frequencies w, and of phases b, per column.
    width : int, default 4
        The number of outputs per column, from 2 to 256: those of the linear map, and the column itself.
    sigma : float, default 0.1
        The standard deviation of the initial frequencies, which are normally distributed. Larger values let the model vary
        faster along a column. The phases begin evenly distributed from -pi to pi, and W and c between
        plus and minus 1 / sqrt(n_frequencies).

    Raises
    ------
    TypeError, ValueError
        If a parameter has the wrong type or is out of range.

    References
    ----------
    D. Holzmüller, L. Grinsztajn and I. Steinwart, "Better by default: strong pre-tuned MLPs and boosted trees on tabular
    data", NeurIPS 2024.

    Examples
    --------
    >>> from fastnn import MLP
    >>> model = MLP((3, 64, 1), embeddings=PBLD())
    >>> model.weights[0].shape
    (12, 64)
    """

    name: ClassVar[str] = "pbld"
    _has_phases: ClassVar[bool] = True
    _n_waves: ClassVar[int] = 1
    _n_kept: ClassVar[int] = 1


@explained_fields
@dataclass(frozen=True)
class PLR(_Periodic):
    """Periodic embedding of numeric columns: cosines and sines, a linear map of these, and a ReLU.

    A column x becomes relu([cos(2 pi w x), sin(2 pi w x)] @ W + c). All of w, W and c are trained, and each column has its
    own.

    Parameters
    ----------
    columns : int or sequence of int, optional
        The columns of X. By default, all columns that are in no other embedding.
    n_frequencies : int, default 16
        The number of frequencies w per column.
    width : int, default 8
        The number of outputs per column, from 1 to 256.
    sigma : float, default 0.1
        The standard deviation of the initial frequencies, which are normally distributed. Larger values let the model vary
        faster along a column. W and c begin evenly distributed between plus and minus 1 / sqrt(2 n_frequencies).

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
    >>> MLP((3, 64, 1), embeddings=[PLR([0, 1], width=10)]).weights[0].shape
    (21, 64)
    """

    name: ClassVar[str] = "plr"
    _has_phases: ClassVar[bool] = False
    _n_waves: ClassVar[int] = 2
    _n_kept: ClassVar[int] = 0
    width: int = 8


EMBEDDINGS: dict[str, type[Embedding]] = {each.name: each for each in (PBLD, PLR)}
"""The embeddings by name."""


def resolve(embeddings: Embedding | Sequence[Embedding], n_in: int) -> tuple[Embedding, ...]:
    """Return the embeddings of a model with their columns, which must be different columns of X.

    Raises
    ------
    TypeError, ValueError
        If they are not embeddings, or if their columns do not fit.
    """
    is_list = isinstance(embeddings, Iterable) and not isinstance(embeddings, str)
    given: tuple[Any, ...] = tuple(embeddings) if is_list else (embeddings,)  # type: ignore[arg-type]
    if not all(isinstance(each, Embedding) for each in given):
        raise TypeError(f"embeddings: expected objects of fastnn.embeddings, got {shown(embeddings)}")
    if len(given) > MAX_EMBEDDINGS:
        raise ValueError(f"embeddings: expected at most {MAX_EMBEDDINGS}, got {len(given)}")
    taken: dict[int, int] = {}
    for i, each in enumerate(given):
        for column in each.columns or ():
            if column >= n_in:
                raise ValueError(f"embeddings[{i}]: expected columns from 0 to {n_in - 1}, got {column}")
            if column in taken:
                other = f" and in embeddings[{taken[column]}]" if taken[column] != i else ""
                raise ValueError(f"embeddings[{i}]: expected different columns, got {column} twice{other}")
            taken[column] = i
    rest = tuple(column for column in range(n_in) if column not in taken)
    without = [i for i, each in enumerate(given) if each.columns is None]
    if len(without) > 1:
        first, second = without[:2]
        raise ValueError(f"embeddings[{second}]: expected columns, since embeddings[{first}] takes all others, got None")
    if without and not rest:
        raise ValueError(f"embeddings[{without[0]}]: expected columns that are in no other embedding, got none")
    return tuple(each.with_columns(rest) if each.columns is None else each for each in given)


def passed_columns(embeddings: Sequence[Embedding], n_in: int) -> tuple[int, ...]:
    """Return the columns of X that pass to the first layer as they are."""
    taken = {column for each in embeddings for column in each.columns}
    return tuple(column for column in range(n_in) if column not in taken)


def stage_width(embeddings: Sequence[Embedding], n_in: int) -> int:
    """Return the number of inputs of the first layer: the outputs of all embeddings, and the columns that pass."""
    return sum(each.n_outputs * len(each.columns) for each in embeddings) + len(passed_columns(embeddings, n_in))


def _checked_columns(columns: Any) -> tuple[int, ...]:
    """Return the columns as a tuple of int."""
    if isinstance(columns, str) or not isinstance(columns, Iterable):
        columns = (columns,)
    checked = tuple(integer("columns", column, low=0, high=2**31 - 2) for column in columns)
    if not checked:
        raise ValueError("columns: expected at least one, got none")
    return checked
