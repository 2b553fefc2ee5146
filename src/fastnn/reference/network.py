"""The outputs of a network, its loss, and its gradients: backpropagation as in textbooks.

A network consists of three lists with one entry per layer: weights (n_in, n_out), biases (n_out,), and names of
activations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from fastnn._checks.floats import Array
from fastnn._checks.scalars import real
from fastnn.losses import Loss, resolve
from fastnn.reference.activations import Activation, Prelu
from fastnn.reference.arguments import Activations, Arrays, Slopes, checked_data, checked_inputs, checked_network
from fastnn.reference.gradients import add_penalty, penalty_gradient
from fastnn.reference.losses import function_of

__all__ = ["forward", "input_gradient", "loss_and_gradient"]
__dir__ = __all__.copy

Masks: TypeAlias = Sequence[Array | None] | None


def forward(
    weights: Arrays,
    biases: Arrays,
    activations: Activations,
    X: ArrayLike,
    dropout_masks: Masks = None,
    slopes: Slopes = None,
) -> list[tuple[Array, Array]]:
    """Return z = inputs @ W + b and a = activation(z) for every layer.

    Parameters
    ----------
    weights, biases : sequences of ndarrays, shapes (n_in, n_out) and (n_out,)
        One per layer.
    activations : sequence of str or custom activations
        One per layer, the output layer's last.
    X : array-like, shape (n, n_in)
        Rows of inputs, converted to the type of the weights.
    dropout_masks : sequence of ndarrays or None, optional
        Factors that multiply the outputs of the hidden layers before the next layer (see `dropout_mask`).
    slopes : sequence of ndarrays or None, optional
        The slopes (n_out,) of each layer with the activation "prelu".

    Returns
    -------
    list of (z, a), both (n, n_out)
        One pair per layer. The outputs a are those before dropout.

    Examples
    --------
    >>> W, b = [np.array([[1.0], [-1.0]])], [np.array([0.5])]
    >>> forward(W, b, ["relu"], [[1.0, 2.0], [2.0, 1.0]])
    [(array([[-0.5],
           [ 1.5]]), array([[0. ],
           [1.5]]))]
    """
    functions = checked_network(weights, biases, activations, slopes)
    inputs = checked_inputs(weights, X)
    layers: list[tuple[Array, Array]] = []
    for layer, (w, b, function) in enumerate(zip(weights, biases, functions, strict=True)):
        z = inputs @ w + b
        a = function.value(z)
        layers.append((z, a))
        inputs = _dropped(a, layer, dropout_masks)
    return layers


# The value of the loss shows a divergence; warnings would add nothing.
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
    slopes: Slopes = None,
) -> tuple[Any, ...]:
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
        Weights w of the rows, of either sign. The mean of the rows' losses l is sum(w * l) / sum(abs(w)), and 0 if all
        weights are zero. A row of weight 0 does not count, whatever it contains.
    l1, l2 : float, default 0.0
        Penalties l1 * sum(abs(w)) + l2 / 2 * sum(w**2) on the weights.
    dropout_masks, slopes : sequences of ndarrays or None, optional
        As in `forward`. Penalties do not apply to slopes.

    Returns
    -------
    loss : float
    weight_gradients, bias_gradients : lists of ndarrays
        In the shapes of `weights` and `biases`.
    slope_gradients : list of ndarrays or None
        One entry per layer; only if `slopes` is given.

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
    run = _run(weights, biases, activations, X, y, resolve(loss), sample_weight, dropout_masks, slopes)
    value, steps = run.loss, list(run.backward())[::-1]
    weight_gradients: list[Array] = [inputs.T @ delta for inputs, delta in steps]
    bias_gradients: list[Array] = [delta.sum(axis=0) for _, delta in steps]
    for w, gradient in zip(weights, weight_gradients, strict=True):
        value = float(add_penalty(value, w, l1, l2))
        gradient += penalty_gradient(w, l1, l2)
    if slopes is None:
        return value, weight_gradients, bias_gradients
    return value, weight_gradients, bias_gradients, run.slope_gradients


def input_gradient(
    weights: Arrays,
    biases: Arrays,
    activations: Activations,
    X: ArrayLike,
    y: ArrayLike,
    loss: str | Loss = "mse",
    slopes: Slopes = None,
) -> Array:
    """Return the gradient of the mean loss over all rows with respect to X.

    Parameters
    ----------
    weights, biases, activations, X, y, loss, slopes
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
        run = _run(weights, biases, activations, X, y, resolve(loss), None, None, slopes)
    *_, (_, first_delta) = run.backward()
    return np.asarray(first_delta @ weights[0].T)


@dataclass(frozen=True)
class _Run:
    """A forward pass, and the loss of its outputs."""

    weights: Arrays
    functions: list[Activation]
    inputs: Array
    layers: list[tuple[Array, Array]]
    masks: Masks
    loss: float
    output_delta: Array  # the gradient with respect to the last z, (n, n_out)
    slope_gradients: list[Array | None]  # one per layer, set by `backward`

    def backward(self) -> Iterator[tuple[Array, Array]]:
        """Yield the inputs of every layer and the gradient with respect to its z, from the last layer to the first."""
        delta = self.output_delta
        for layer in range(len(self.layers) - 1, 0, -1):
            z, a = self.layers[layer - 1]
            yield _dropped(a, layer - 1, self.masks), delta
            grad_a = _dropped(delta @ self.weights[layer].T, layer - 1, self.masks)
            function = self.functions[layer - 1]
            if isinstance(function, Prelu):
                self.slope_gradients[layer - 1] = function.gradient(z, grad_a)
            delta = function.backward(z, a, grad_a)
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
    slopes: Slopes,
) -> _Run:
    functions = checked_network(weights, biases, activations, slopes)
    inputs, targets, row_weights = checked_data(weights, functions[-1], X, y, loss, sample_weight)
    counted = row_weights != 0
    if not counted.all():  # the other rows may hold any values
        inputs, targets, row_weights = inputs[counted], targets[counted], row_weights[counted]
        masks = None if masks is None else [None if mask is None else mask[counted] for mask in masks]
    layers = forward(weights, biases, activations, inputs, masks, slopes)
    slope_gradients: list[Array | None] = [None] * len(layers)
    z, a = layers[-1]
    value, delta = _mean_loss(loss, targets, z if loss.links else a, row_weights)
    if isinstance(functions[-1], Prelu):
        slope_gradients[-1] = functions[-1].gradient(z, delta)
    if not loss.links:
        delta = functions[-1].backward(z, a, delta)
    return _Run(weights, functions, inputs, layers, masks, value, delta, slope_gradients)


def _mean_loss(loss: Loss, y: Array, p: Array, row_weights: Array) -> tuple[float, Array]:
    """Return sum(w_i l_i) / sum(abs(w_i)), where l_i is the loss of row i, and its gradient with respect to p."""
    function = function_of(loss)
    shares = row_weights / (np.abs(row_weights).sum() or 1.0)
    if function.mean_over == "elements":
        shares = shares / p.shape[1]
    terms = function.value(y, p, loss.parameter).astype(np.float64)
    gradient = function.gradient(y, p, loss.parameter) * shares[:, np.newaxis]
    return float(shares @ terms.sum(axis=1)), gradient.astype(p.dtype)


def _dropped(a: Array, layer: int, masks: Masks) -> Array:
    """Return outputs after dropout. In the backward pass, apply it to a gradient with respect to these outputs."""
    mask = None if masks is None or layer >= len(masks) else masks[layer]
    return a if mask is None else a * mask
