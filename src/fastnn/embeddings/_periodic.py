"""Periodic embeddings of numeric columns."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn._checks.option_classes import option_class
from fastnn._checks.scalars import integer, real
from fastnn.embeddings._base import Embedding

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_WIDTH, MAX_FREQUENCIES = 256, 4096
"""The limits of the outputs and the frequencies per column; kernels/network.h has the first one."""


@option_class
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
    def widths(self) -> tuple[int, ...]:
        """The number of outputs of each column: `width`."""
        return (self.width,) * len(self.columns)

    @property
    def frequencies(self) -> int:
        """The number of frequencies per column: `n_frequencies`."""
        return self.n_frequencies

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


@option_class
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


@option_class
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
