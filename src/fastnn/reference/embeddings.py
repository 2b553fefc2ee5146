"""Embeddings of columns of X: what the first layer takes in their place, and the derivatives.

Each formula takes a description of `fastnn.embeddings`, the values x (n, columns) of its columns, and the matrix of its
parameters, or None. Outputs are (n, outputs): those of one column after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from fastnn._checks.floats import Array
from fastnn.embeddings import Embedding, passed_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["embed", "embed_grad"]
__dir__ = __all__.copy

Embedded: TypeAlias = Sequence[tuple[Embedding, Array | None]]
"""The embeddings of a network, each with the matrix of its parameters, or None if it has none."""

_TWO_PI = 2 * np.pi


def embed(embeddings: Embedded, X: Array) -> Array:
    """Return the inputs of the first layer: the outputs of each embedding, column by column, then the other columns of X.

    Parameters
    ----------
    embeddings : sequence of (Embedding, ndarray or None)
        The embeddings, whose columns are set, and their parameters.
    X : ndarray, shape (n, n_in)
        Rows of inputs.

    Examples
    --------
    >>> from fastnn.embeddings import PBLD
    >>> embedding = PBLD([1], n_frequencies=1, width=2)
    >>> parameters = np.array([[0.5, 0.0, 10.0, 1.0]])  # frequency, phase, weight, bias
    >>> embed([(embedding, parameters)], np.array([[7.0, 2.0], [8.0, 3.0]]))
    array([[11.,  2.,  7.],
           [-9.,  3.,  8.]])
    """
    outputs = [FORMULAS[e.name].value(e, X[:, e.columns], p) for e, p in embeddings]
    return np.concatenate([*outputs, X[:, _passed(embeddings, X.shape[1])]], axis=1)


def embed_grad(embeddings: Embedded, X: Array, grad: Array) -> tuple[Array, list[Array | None]]:
    """Return the gradients with respect to X and to the parameters, from that with respect to the outputs of `embed`.

    Examples
    --------
    >>> from fastnn.embeddings import PBLD
    >>> parameters = np.array([[0.0, 0.0, 10.0, 1.0]])
    >>> embed_grad([(PBLD([0], n_frequencies=1, width=2), parameters)], np.array([[3.0]]), np.array([[1.0, 0.5]]))
    (array([[0.5]]), [array([[0., 0., 1., 1.]])])
    """
    grad_X, gradients, start = np.zeros_like(X), list[Array | None](), 0
    for e, p in embeddings:
        end = start + sum(e.widths)
        by_columns, by_parameters = FORMULAS[e.name].gradients(e, X[:, e.columns], p, grad[:, start:end])
        grad_X[:, e.columns] = by_columns
        gradients.append(by_parameters)
        start = end
    grad_X[:, _passed(embeddings, X.shape[1])] = grad[:, start:]
    return grad_X, gradients


def _passed(embeddings: Embedded, n_in: int) -> list[int]:
    return list(passed_columns([e for e, _ in embeddings], n_in))


class Formula(NamedTuple):
    """The formula of an embedding, and its gradients with respect to the columns and to the parameters."""

    value: Callable[[Any, Array, Any], Array]
    gradients: Callable[[Any, Array, Any, Array], tuple[Array, Array | None]]


def _waves(e: Any, parts: dict[str, Array], x: Array) -> tuple[Array, Array]:
    """Return the waves (n, columns, waves) and their derivatives by the angles."""
    angles = (x * x.dtype.type(_TWO_PI))[:, :, np.newaxis] * parts["frequencies"]
    if "phases" in parts:
        angles = angles + parts["phases"]
    cosines, sines = np.cos(angles), np.sin(angles)
    if "phases" in parts:
        return cosines, -sines
    return np.concatenate([cosines, sines], axis=2), np.concatenate([-sines, cosines], axis=2)


def _linear(e: Any, parts: dict[str, Array], waves: Array) -> Array:
    return np.asarray(np.einsum("ijk,jko->ijo", waves, parts["weights"]) + parts["biases"])


def _linear_gradients(e: Any, p: Array, x: Array, waves: Array, derivatives: Array, grad: Array) -> tuple[Array, Array]:
    """Return the gradients with respect to x and the parameters, from that with respect to the outputs of the linear map."""
    parts, result = e.parts(p), np.zeros_like(p)
    of = e.parts(result)
    by_angles = np.einsum("ijo,jko->ijk", grad, parts["weights"]) * derivatives
    if "phases" not in parts:  # cosines and sines of the same angles
        of_cosines, of_sines = np.split(by_angles, 2, axis=2)
        by_angles = of_cosines + of_sines
    else:
        of["phases"][...] = by_angles.sum(axis=0)
    two_pi = x.dtype.type(_TWO_PI)
    of["frequencies"][...] = two_pi * np.einsum("ijk,ij->jk", by_angles, x)
    of["weights"][...] = np.einsum("ijk,ijo->jko", waves, grad)
    of["biases"][...] = grad.sum(axis=0)
    return two_pi * np.einsum("ijk,jk->ij", by_angles, parts["frequencies"]), result


def pbld(e: Any, x: Array, p: Array) -> Array:
    """Return a linear map of the cosines of each column with trained frequencies and phases, and the column itself.

    D. Holzmüller, L. Grinsztajn and I. Steinwart, "Better by default", NeurIPS 2024.
    """
    parts = e.parts(p)
    linear = _linear(e, parts, _waves(e, parts, x)[0])
    return np.concatenate([linear, x[:, :, np.newaxis]], axis=2).reshape(len(x), sum(e.widths))


def pbld_gradients(e: Any, x: Array, p: Array, grad: Array) -> tuple[Array, Array]:
    """Return the gradients of `pbld`."""
    grad = grad.reshape(len(x), len(e.columns), e.widths[0])
    by_columns, by_parameters = _linear_gradients(e, p, x, *_waves(e, e.parts(p), x), grad[:, :, :-1])
    return by_columns + grad[:, :, -1], by_parameters


def plr(e: Any, x: Array, p: Array) -> Array:
    """Return the ReLU of a linear map of the cosines and sines of each column with trained frequencies.

    Y. Gorishniy, I. Rubachev and A. Babenko, "On embeddings for numerical features in tabular deep learning", NeurIPS 2022.
    """
    parts = e.parts(p)
    return np.maximum(_linear(e, parts, _waves(e, parts, x)[0]), 0).reshape(len(x), sum(e.widths))


def plr_gradients(e: Any, x: Array, p: Array, grad: Array) -> tuple[Array, Array]:
    """Return the gradients of `plr`."""
    waves, derivatives = _waves(e, e.parts(p), x)
    linear = _linear(e, e.parts(p), waves)
    return _linear_gradients(e, p, x, waves, derivatives, np.where(linear > 0, grad.reshape(linear.shape), 0))


def _category(x: Array, n: int) -> NDArray[np.int64]:
    """Return the category of each number: n for one that is not among the codes 0 to n - 1."""
    known = (x >= 0) & (x < n) & (np.floor(x) == x)
    return np.where(known, x, n).astype(np.int64)


def one_hot(e: Any, x: Array, p: None) -> Array:
    """Return 1 for the category of each row and 0 for all others; 0 for all if the category is missing."""
    each = zip(x.T, e.categories, strict=True)
    return np.concatenate([np.eye(n + 1, n, dtype=x.dtype)[_category(codes, n)] for codes, n in each], axis=1)


def one_hot_gradients(e: Any, x: Array, p: None, grad: Array) -> tuple[Array, None]:
    """Return the gradients of `one_hot`, which are 0."""
    return np.zeros_like(x), None


def _rows(e: Any, x: Array) -> NDArray[np.int64]:
    """Return the row of the table for each code, (n, columns)."""
    each = zip(x.T, e.categories, e.first_rows, strict=True)
    return np.stack([first + _category(codes, n) for codes, n, first in each], axis=1)


def absent_rows(embeddings: Embedded, X: Array) -> list[NDArray[np.bool_] | None]:
    """Return for each embedding with a table of categories which of its rows no row of X has, and None for the others."""
    found: list[NDArray[np.bool_] | None] = []
    for e, p in embeddings:
        absent = None
        if e.has_table and p is not None:
            absent = np.ones(len(p), np.bool_)
            absent[_rows(e, X[:, e.columns])] = False
        found.append(absent)
    return found


def categorical(e: Any, x: Array, p: Array) -> Array:
    """Return the row of the table for the category of each column."""
    return p[_rows(e, x)].reshape(len(x), len(e.columns) * p.shape[1])


def categorical_gradients(e: Any, x: Array, p: Array, grad: Array) -> tuple[Array, Array]:
    """Return the gradients of `categorical`: those by codes are 0."""
    result = np.zeros_like(p)
    np.add.at(result, _rows(e, x), grad.reshape(len(x), len(e.columns), p.shape[1]))
    return np.zeros_like(x), result


def _bins(e: Any, x: Array) -> tuple[Array, Array, Array, NDArray[np.bool_], NDArray[np.bool_]]:
    """Return values, left edges and widths of all bins, and which bins have a lower and an upper limit."""
    edges = [np.array(each, x.dtype) for each in e.edges]
    limited = np.concatenate([np.arange(len(each) - 1) > 0 for each in edges])
    below = np.concatenate([np.arange(len(each) - 1) < len(each) - 2 for each in edges])
    left, widths = np.concatenate([each[:-1] for each in edges]), np.concatenate([np.diff(each) for each in edges])
    return np.repeat(x, e.widths, axis=1), left, widths, limited, below


def piecewise_linear(e: Any, x: Array, p: None) -> Array:
    """Return the share of each bin that lies below x.

    Y. Gorishniy, I. Rubachev and A. Babenko, "On embeddings for numerical features in tabular deep learning", NeurIPS 2022.
    """
    values, left, widths, limited, below = _bins(e, x)
    shares = (values - left) / widths
    return np.where(limited & (shares < 0), 0, np.where(below & (shares > 1), 1, shares)).astype(x.dtype)


def piecewise_linear_gradients(e: Any, x: Array, p: None, grad: Array) -> tuple[Array, None]:
    """Return the gradients of `piecewise_linear`."""
    values, left, widths, limited, below = _bins(e, x)
    right = np.concatenate([np.array(each[1:], x.dtype) for each in e.edges])
    by_bin = np.where((~limited | (values > left)) & (~below | (values < right)), grad / widths, 0)
    starts = np.concatenate([[0], np.cumsum(e.widths)[:-1]])
    return np.add.reduceat(by_bin, starts, axis=1).astype(x.dtype), None


FORMULAS: dict[str, Formula] = {
    "pbld": Formula(pbld, pbld_gradients),
    "plr": Formula(plr, plr_gradients),
    "one_hot": Formula(one_hot, one_hot_gradients),
    "categorical": Formula(categorical, categorical_gradients),
    "piecewise_linear": Formula(piecewise_linear, piecewise_linear_gradients),
}
"""The formulas by name."""
