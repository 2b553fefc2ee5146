"""Embeddings of columns of X: what the first layer takes in their place, and the derivatives.

Each formula takes a description of `fastnn.embeddings`, the values x (n, columns) of its columns, and the matrix of its
parameters, or None. Outputs are (n, columns, outputs per column).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from fastnn._checks.floats import Array
from fastnn.embeddings import Embedding, passed_columns

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
    outputs = [FORMULAS[e.name].value(e, X[:, e.columns], p).reshape(len(X), -1) for e, p in embeddings]
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
        end = start + len(e.columns) * e.n_outputs
        of_outputs = grad[:, start:end].reshape(len(X), len(e.columns), e.n_outputs)
        by_columns, by_parameters = FORMULAS[e.name].gradients(e, X[:, e.columns], p, of_outputs)
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
    return np.concatenate([_linear(e, parts, _waves(e, parts, x)[0]), x[:, :, np.newaxis]], axis=2)


def pbld_gradients(e: Any, x: Array, p: Array, grad: Array) -> tuple[Array, Array]:
    """Return the gradients of `pbld`."""
    by_columns, by_parameters = _linear_gradients(e, p, x, *_waves(e, e.parts(p), x), grad[:, :, :-1])
    return by_columns + grad[:, :, -1], by_parameters


def plr(e: Any, x: Array, p: Array) -> Array:
    """Return the ReLU of a linear map of the cosines and sines of each column with trained frequencies.

    Y. Gorishniy, I. Rubachev and A. Babenko, "On embeddings for numerical features in tabular deep learning", NeurIPS 2022.
    """
    parts = e.parts(p)
    return np.maximum(_linear(e, parts, _waves(e, parts, x)[0]), 0)


def plr_gradients(e: Any, x: Array, p: Array, grad: Array) -> tuple[Array, Array]:
    """Return the gradients of `plr`."""
    waves, derivatives = _waves(e, e.parts(p), x)
    return _linear_gradients(e, p, x, waves, derivatives, np.where(_linear(e, e.parts(p), waves) > 0, grad, 0))


FORMULAS: dict[str, Formula] = {"pbld": Formula(pbld, pbld_gradients), "plr": Formula(plr, plr_gradients)}
"""The formulas by name."""
