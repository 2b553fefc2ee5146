"""A network's outputs, its loss, and the gradients: backpropagation as in the textbook.

A network is three lists with one entry a layer: weights (n_in, n_out), biases (n_out,), names of activations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn._checks.floats import Array, as_float
from fastnn._checks.predictions import one_hot
from fastnn._checks.scalars import real
from fastnn._custom import CustomActivation
from fastnn.losses import Loss, resolve
from fastnn.reference.activations import Activation, named
from fastnn.reference.gradients import add_penalty, penalty_gradient
from fastnn.reference.losses import function_of

__all__ = ["forward", "input_gradient", "loss_and_gradient"]
__dir__ = __all__.copy

Arrays: TypeAlias = Sequence[Array]
Activations: TypeAlias = Sequence[str | Activation | CustomActivation]
Masks: TypeAlias = Sequence[Array | None] | None

_OUTPUT_ONLY = ("softmax", "exp")


def forward(
    weights: Arrays, biases: Arrays, activations: Activations, X: ArrayLike, dropout_masks: Masks = None
) -> list[tuple[Array, Array]]:
    """Return every layer's z = inputs @ W + b and a = activation(z).

    Parameters
    ----------
    weights, biases : sequences of ndarrays, shapes (n_in, n_out) and (n_out,)
        One for each layer.
    activations : sequence of str or custom activations
        One for each layer, the output layer's last.
    X : array-like, shape (n, n_in)
        Rows of inputs; computed with in the type of the weights.
    dropout_masks : sequence of ndarrays or None, optional
        What the hidden layers' outputs are multiplied with on their way into the next layer (see `dropout_mask`).

    Returns
    -------
    list of (z, a), both (n, n_out)
        The outputs a are those before dropout.

    Examples
    --------
    >>> W, b = [np.array([[1.0], [-1.0]])], [np.array([0.5])]
    >>> forward(W, b, ["relu"], [[1.0, 2.0], [2.0, 1.0]])
    [(array([[-0.5],
           [ 1.5]]), array([[0. ],
           [1.5]]))]
    """
    functions = _checked_network(weights, biases, activations)
    inputs = _inputs(weights, X)
    layers: list[tuple[Array, Array]] = []
    for layer, (w, b, function) in enumerate(zip(weights, biases, functions, strict=True)):
        z = inputs @ w + b
        a = function.value(z)
        layers.append((z, a))
        inputs = _dropped(a, layer, dropout_masks)
    return layers


# A diverging loss shows in its value; no warnings on the way there.
@np.errstate(over="ignore", invalid="ignore")
def loss_and_gradient(
    weights: Arrays,
    biases: Arrays,
    activations: Activations,
    X: ArrayLike,
    y: ArrayLike,
    loss: str | Loss = "mse",
    sample_weight: ArrayLike | None = None,
    l1: float = 0.0,
    l2: float = 0.0,
    dropout_masks: Masks = None,
) -> tuple[float, list[Array], list[Array]]:
    """Return the mean loss over rows of data, and its gradients with respect to all parameters.

    The loss is the mean, weighted with `sample_weight`, plus l1 * sum(abs(w)) + l2 / 2 * sum(w**2) over all weights.

    Parameters
    ----------
    weights, biases, activations
        The network, as in `forward`.
    X : array-like, shape (n, n_in)
        Rows of inputs.
    y : array-like, shape (n, n_out)
        Targets; also (n,) if there is one output, or integer labels for the cross-entropy.
    loss : str or Loss, default "mse"
        A name in `LOSSES`, or an object of `fastnn.losses`.
    sample_weight : array-like, shape (n,), optional
        Weights of the rows, of either sign: the mean is sum(w * l) / sum(abs(w)), and 0 if all are zero. A row of weight 0
        does not count, whatever it holds.
    l1, l2 : float, default 0.0
        Penalties.
    dropout_masks : sequence of ndarrays or None, optional
        As in `forward`.

    Returns
    -------
    loss : float
    weight_gradients, bias_gradients : lists of ndarrays
        In the shapes of `weights` and `biases`.

    References
    ----------
    D. E. Rumelhart, G. E. Hinton and R. J. Williams, "Learning representations by back-propagating errors", Nature 323,
    1986.

    Examples
    --------
    >>> W, b = [np.array([[2.0]])], [np.array([0.0])]
    >>> loss_and_gradient(W, b, ["identity"], [[1.0], [3.0]], [[2.0], [4.0]])
    (2.0, [array([[6.]])], [array([2.])])
    """
    l1, l2 = real("l1", l1, low=0.0), real("l2", l2, low=0.0)
    run = _run(weights, biases, activations, X, y, resolve(loss), sample_weight, dropout_masks)
    value, steps = run.loss, list(run.backward())[::-1]
    weight_gradients: list[Array] = [inputs.T @ delta for inputs, delta in steps]
    bias_gradients: list[Array] = [delta.sum(axis=0) for _, delta in steps]
    for w, gradient in zip(weights, weight_gradients, strict=True):
        value = float(add_penalty(value, w, l1, l2))
        gradient += penalty_gradient(w, l1, l2)
    return value, weight_gradients, bias_gradients


def input_gradient(
    weights: Arrays,
    biases: Arrays,
    activations: Activations,
    X: ArrayLike,
    y: ArrayLike,
    loss: str | Loss = "mse",
) -> Array:
    """Return the gradient of the mean loss over all rows with respect to X.

    Parameters
    ----------
    weights, biases, activations, X, y, loss
        As in `loss_and_gradient`.

    Returns
    -------
    ndarray, shape (n, n_in)

    Examples
    --------
    >>> input_gradient([np.array([[2.0]])], [np.array([0.0])], ["identity"], [[3.0]], [[4.0]])
    array([[8.]])
    """
    with np.errstate(over="ignore", invalid="ignore"):
        run = _run(weights, biases, activations, X, y, resolve(loss), None, None)
    *_, (_, first_delta) = run.backward()
    return np.asarray(first_delta @ weights[0].T)


@dataclass(frozen=True)
class _Run:
    """A forward pass and the loss at its end."""

    weights: Arrays
    functions: list[Activation]
    inputs: Array
    layers: list[tuple[Array, Array]]
    masks: Masks
    loss: float
    output_delta: Array  # the gradient with respect to the last z, (n, n_out)

    def backward(self) -> Iterator[tuple[Array, Array]]:
        """Yield the inputs and the delta of every layer, from the last to the first; delta is the gradient at its z."""
        delta = self.output_delta
        for layer in range(len(self.layers) - 1, 0, -1):
            z, a = self.layers[layer - 1]
            yield _dropped(a, layer - 1, self.masks), delta
            grad_a = _dropped(delta @ self.weights[layer].T, layer - 1, self.masks)
            delta = self.functions[layer - 1].backward(z, a, grad_a)
        yield self.inputs, delta


def _run(
    weights: Arrays,
    biases: Arrays,
    activations: Activations,
    X: ArrayLike,
    y: ArrayLike,
    loss: Loss,
    sample_weight: ArrayLike | None,
    masks: Masks,
) -> _Run:
    functions = _checked_network(weights, biases, activations)
    inputs, targets, row_weights = checked_data(weights, functions[-1], X, y, loss, sample_weight)
    counted = row_weights != 0
    if not counted.all():  # the other rows may hold anything
        inputs, targets, row_weights = inputs[counted], targets[counted], row_weights[counted]
        masks = None if masks is None else [None if mask is None else mask[counted] for mask in masks]
    layers = forward(weights, biases, activations, inputs, masks)
    z, a = layers[-1]
    value, delta = _mean_loss(loss, targets, z if loss.links else a, row_weights)
    if not loss.links:
        delta = functions[-1].backward(z, a, delta)
    return _Run(weights, functions, inputs, layers, masks, value, delta)


def checked_data(
    weights: Arrays, output: Activation, X: ArrayLike, y: ArrayLike, loss: Loss, sample_weight: ArrayLike | None
) -> tuple[Array, Array, Array]:
    """Return inputs, targets and row weights in the types and shapes to compute with, once they fit together."""
    _check_link(loss, output)
    inputs = _inputs(weights, X)
    row_weights = _row_weights(sample_weight, len(inputs))
    return inputs, _targets(loss, y, row_weights, weights[-1]), row_weights


def _mean_loss(loss: Loss, y: Array, p: Array, row_weights: Array) -> tuple[float, Array]:
    """Return sum(w_i l_i) / sum(abs(w_i)), where l_i is the loss of row i, and its gradient with respect to p."""
    function = function_of(loss)
    shares = row_weights / (np.abs(row_weights).sum() or 1.0)
    if function.mean_over == "elements":
        shares = shares / p.shape[1]
    terms = function.value(y, p, loss.parameter).astype(np.float64)
    gradient = function.gradient(y, p, loss.parameter) * shares[:, np.newaxis]
    return float(shares @ terms.sum(axis=1)), gradient.astype(p.dtype)


def _checked_network(weights: Arrays, biases: Arrays, activations: Activations) -> list[Activation]:
    if not len(weights) == len(biases) == len(activations) or len(weights) == 0:
        lengths = f"{len(weights)}, {len(biases)} and {len(activations)}"
        raise ValueError(f"weights, biases, activations: got lists of lengths {lengths}, expected one entry a layer")
    for layer, w in enumerate(weights):
        n_in = weights[layer - 1].shape[-1] if layer else "n_in"
        if w.ndim != 2 or (layer and w.shape[0] != n_in):
            raise ValueError(f"weights[{layer}]: got shape {w.shape}, expected ({n_in}, n_out)")
    for layer, (w, b) in enumerate(zip(weights, biases, strict=True)):
        if b.shape != w.shape[1:]:
            raise ValueError(f"biases[{layer}]: got shape {b.shape}, expected {w.shape[1:]}")
    functions = [named(activation, f"activations[{layer}]") for layer, activation in enumerate(activations)]
    for layer, function in enumerate(functions[:-1]):
        if function.name in _OUTPUT_ONLY:
            raise ValueError(f"activations[{layer}]: got {function.name!r}, which is for the output layer only")
    return functions


def _check_link(loss: Loss, output: Activation) -> None:
    """Raise ValueError if the loss does not go with the output activation."""
    if loss.links and output.name not in loss.links:
        links = " or ".join(repr(link) for link in loss.links)
        raise ValueError(f"loss: {loss.name!r} got the output activation {output.name!r}, expected {links}")


def _inputs(weights: Arrays, X: ArrayLike) -> Array:
    inputs = as_float("X", X)
    if inputs.ndim != 2 or inputs.shape[1] != weights[0].shape[0]:
        raise ValueError(f"X: got shape {inputs.shape}, expected (n, {weights[0].shape[0]})")
    with np.errstate(over="ignore"):
        return inputs.astype(weights[0].dtype, copy=False)


def _targets(loss: Loss, y: ArrayLike, row_weights: NDArray[np.float64], last_weights: Array) -> Array:
    n_rows, n_out = len(row_weights), last_weights.shape[1]
    given: NDArray[Any] = np.asarray(y)
    targets = as_float("y", one_hot("y", given, n_out, row_weights) if loss.takes_labels else given)
    if targets.ndim == 1 and n_out == 1:
        targets = targets[:, np.newaxis]
    if targets.shape != (n_rows, n_out):
        raise ValueError(f"y: got shape {given.shape}, expected ({n_rows}, {n_out})")
    if n_rows == 0:
        raise ValueError("X: got no rows, expected at least one")
    with np.errstate(over="ignore"):
        return targets.astype(last_weights.dtype, copy=False)


def _row_weights(sample_weight: ArrayLike | None, n_rows: int) -> NDArray[np.float64]:
    if sample_weight is None:
        return np.ones(n_rows)
    row_weights = as_float("sample_weight", sample_weight).astype(np.float64)
    if row_weights.shape != (n_rows,):
        raise ValueError(f"sample_weight: got shape {row_weights.shape}, expected ({n_rows},)")
    if not np.isfinite(row_weights).all():
        raise ValueError("sample_weight: got weights that are not finite, expected finite ones")
    return row_weights


def _dropped(a: Array, layer: int, masks: Masks) -> Array:
    """Return a after dropout, or a gradient with respect to that on its way back to a."""
    mask = None if masks is None or layer >= len(masks) else masks[layer]
    return a if mask is None else a * mask
