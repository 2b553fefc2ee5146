"""Shared ensembles: members that share all weights but those of separate outputs, and have scales and perhaps biases.

Y. Gorishniy, A. Kotelnikov and A. Babenko, "TabM: advancing tabular deep learning with parameter-efficient ensembling",
ICLR 2025, name this ensemble TabM-mini, or TabM with scales around every hidden matrix. It follows Y. Wen, D. Tran and
J. Ba, "BatchEnsemble: an alternative approach to efficient ensemble and lifelong learning", ICLR 2020.

Rows of all members pass through the network together: row ``i * n_members + m`` is row i of the data as member m sees it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastnn._checks.floats import Array
from fastnn.reference.inputs import of_rows

__all__ = [
    *("MemberScales", "mean_of_members", "repeat_rows", "scaled_sums", "scaled_sums_grad", "separate_outputs"),
    "separate_outputs_grad",
]
__dir__ = __all__.copy


@dataclass(frozen=True, eq=False)
class MemberScales:
    """The factors of a hidden layer, by which the members of a shared ensemble differ. Its biases are (n_members, n_out).

    Attributes
    ----------
    outputs : ndarray, shape (n_members, n_out)
        The factors of the products of inputs and weights.
    inputs : ndarray, shape (n_members, n_in), optional
        The factors of the inputs. Those of the first layer are the `scales` of the network.

    Examples
    --------
    >>> MemberScales(np.ones((2, 3))).outputs.shape
    (2, 3)
    """

    outputs: Array
    inputs: Array | None = None


def repeat_rows(x: Array, n_members: int) -> Array:
    """Return the rows of x, each once for each member.

    Examples
    --------
    >>> repeat_rows(np.array([[1.0], [2.0]]), 2).ravel()
    array([1., 1., 2., 2.])
    """
    return np.repeat(x, n_members, axis=0)


def mean_of_members(a: Array, n_members: int) -> Array:
    """Return the mean over members (n, units) of rows (n * n_members, units).

    Examples
    --------
    >>> mean_of_members(np.array([[1.0], [3.0], [5.0], [5.0]]), 2).ravel()
    array([2., 5.])
    """
    mean: Array = np.mean(a.reshape(-1, n_members, a.shape[1]), axis=1)
    return mean


def scaled_sums(x: Array, weights: Array, biases: Array, scales: Array) -> Array:
    """Return the sums ``(x @ weights) * scales + biases``, in which each member has scales and biases of its own.

    Parameters
    ----------
    x : ndarray, shape (n * n_members, n_in)
        The inputs, after their own scales.
    weights : ndarray, shape (n_in, n_out)
        The weights of all members.
    biases, scales : ndarray, shape (n_members, n_out)
        The biases and scales of each member.

    Examples
    --------
    >>> scaled_sums(np.array([[1.0], [1.0]]), np.array([[3.0]]), np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])).ravel()
    array([3., 7.])
    """
    return (x @ weights) * of_rows(scales, len(x)) + of_rows(biases, len(x))


def scaled_sums_grad(x: Array, weights: Array, scales: Array, delta: Array) -> tuple[Array, Array, Array, Array]:
    """Return the gradients with respect to x, weights, biases and scales, from that with respect to the sums.

    Examples
    --------
    >>> x, delta = np.array([[1.0], [2.0]]), np.array([[1.0], [10.0]])
    >>> scaled_sums_grad(x, np.array([[3.0]]), np.array([[1.0], [2.0]]), delta)
    (array([[ 3.],
           [60.]]), array([[41.]]), array([[ 1.],
           [10.]]), array([[ 3.],
           [60.]]))
    """
    by_products = delta * of_rows(scales, len(x))
    by_scales = (delta * (x @ weights)).reshape(-1, *scales.shape).sum(axis=0)
    by_biases = delta.reshape(-1, *scales.shape).sum(axis=0)
    return by_products @ weights.T, x.T @ by_products, by_biases, by_scales


def separate_outputs(x: Array, weights: Array, biases: Array, n_members: int) -> Array:
    """Return the sums z (n * n_members, n_out) of a layer in which each member has weights and biases of its own.

    Parameters
    ----------
    x : ndarray, shape (n * n_members, n_in)
        The inputs.
    weights : ndarray, shape (n_in, n_members * n_out)
        The weights of all members, side by side.
    biases : ndarray, shape (n_members * n_out,)
        The biases, likewise.
    n_members : int
        The number of members.

    Examples
    --------
    >>> separate_outputs(np.array([[1.0], [1.0]]), np.array([[3.0, 4.0]]), np.array([0.0, 1.0]), 2).ravel()
    array([3., 5.])
    """
    z = np.matmul(_by_member(x, n_members), _of_members(weights, n_members)) + biases.reshape(n_members, 1, -1)
    return _rows(z)


def separate_outputs_grad(x: Array, weights: Array, delta: Array, n_members: int) -> tuple[Array, Array, Array]:
    """Return the gradients with respect to x, weights and biases, from that with respect to the sums.

    Examples
    --------
    >>> x, delta = np.array([[1.0], [2.0]]), np.array([[1.0], [10.0]])
    >>> separate_outputs_grad(x, np.array([[3.0, 4.0]]), delta, 2)
    (array([[ 3.],
           [40.]]), array([[ 1., 20.]]), array([ 1., 10.]))
    """
    own_x, own_delta = _by_member(x, n_members), _by_member(delta, n_members)
    grad_x = np.matmul(own_delta, _of_members(weights, n_members).swapaxes(1, 2))
    grad_weights = np.matmul(own_x.swapaxes(1, 2), own_delta)  # (n_members, n_in, n_out)
    return _rows(grad_x), grad_weights.swapaxes(0, 1).reshape(weights.shape), own_delta.sum(axis=1).ravel()


def _by_member(a: Array, n_members: int) -> Array:
    """Return rows as (n_members, n, units)."""
    return a.reshape(-1, n_members, a.shape[1]).swapaxes(0, 1)


def _rows(a: Array) -> Array:
    """Return the reverse of `_by_member`."""
    return a.swapaxes(0, 1).reshape(-1, a.shape[2])


def _of_members(weights: Array, n_members: int) -> Array:
    """Return weights as (n_members, n_in, n_out)."""
    return weights.reshape(len(weights), n_members, -1).swapaxes(0, 1)
