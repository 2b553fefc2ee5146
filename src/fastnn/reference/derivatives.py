"""The loss of a network, its gradients, and the derivatives of the outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastnn._checks.floats import Array, as_float
from fastnn._checks.scalars import real
from fastnn.losses import Heads, Loss, resolve
from fastnn.reference.arguments import (
    Activations,
    Arrays,
    Normalizations,
    UnitParameters,
    checked_data,
    checked_inputs,
    checked_network,
    checked_scales,
    takes_as_labels,
)
from fastnn.reference.embeddings import Embedded, embed_grad
from fastnn.reference.gradients import add_penalty, penalty_gradient
from fastnn.reference.inputs import n_members_of
from fastnn.reference.loss_functions import function_of, packed
from fastnn.reference.members import repeat_rows
from fastnn.reference.network import Masks, Pass, Slopes, first_inputs, forward_pass, from_outputs
from fastnn.reference.residual import Connections
from fastnn.reference.target_options import for_columns, weighted_targets

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["input_gradient", "jacobian", "loss_and_gradient", "vjp"]
__dir__ = __all__.copy

Penalties: TypeAlias = Sequence[tuple[float, float]]


@np.errstate(over="ignore", invalid="ignore")
def loss_and_gradient(
    weights: Arrays,
    biases: Arrays,
    activations: Activations,
    X: ArrayLike,
    y: ArrayLike,
    loss: str | Loss = "mse",
    sample_weight: ArrayLike | None = None,
    l1: float | Sequence[float] = 0.0,
    l2: float | Sequence[float] = 0.0,
    dropout_masks: Masks = None,
    slopes: Slopes = None,
    normalizations: Normalizations = None,
    scales: Array | None = None,
    input_mask: Array | None = None,
    alphas: UnitParameters = None,
    embeddings: Embedded | None = None,
    residual: Connections = None,
) -> tuple[Any, ...]:
    """Return the mean loss over rows of data, and its gradients with respect to all parameters.

    The loss is the mean, weighted with `sample_weight`, plus l1 * sum(abs(w)) + l2 / 2 * sum(w**2) over all weights, and all
    projections of residual connections. That of a shared ensemble is the mean of the members' losses.

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
    l1, l2 : float or sequence of float, default 0.0
        Penalties l1 * sum(abs(w)) + l2 / 2 * sum(w**2) on the weights: one number for all layers, or one per layer.
    dropout_masks, slopes, normalizations, scales, input_mask, alphas, embeddings, residual
        As in `forward`. Penalties apply to weights and projections alone.

    Returns
    -------
    loss : float
    weight_gradients, bias_gradients : lists of ndarrays
        In the shapes of `weights` and `biases`.
    slope_gradients : list of ndarrays or None
        One entry per layer; only if `slopes` is given.
    normalization_gradients : list of tuples (gain_gradient, shift_gradient), (gain_gradient,) or None
        One entry per layer; only if `normalizations` is given.
    scale_gradient : ndarray, shape (n_in,)
        Only if `scales` is given.
    alpha_gradients : list of ndarrays or None
        One entry per layer; only if `alphas` is given.
    embedding_gradients : list of ndarrays or None
        One entry per embedding; only if `embeddings` is given.
    projection_gradients : list of ndarrays or None
        One entry per layer; only if `residual` is given.

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
    penalties = list(zip(_of_layers("l1", l1, len(weights)), _of_layers("l2", l2, len(weights)), strict=True))
    options = dropout_masks, slopes, normalizations, scales, input_mask, alphas, embeddings, residual
    return penalized(penalties, penalties, weights, biases, activations, X, y, resolve(loss), sample_weight, *options)


def penalized(
    penalties: Penalties,
    of_projections: Penalties,
    weights: Arrays,
    biases: Arrays,
    activations: Activations,
    X: ArrayLike,
    y: ArrayLike,
    loss: Loss,
    sample_weight: ArrayLike | None,
    masks: Masks,
    slopes: Slopes,
    normalizations: Normalizations,
    scales: Array | None,
    input_mask: Array | None,
    alphas: UnitParameters,
    embeddings: Embedded | None,
    residual: Connections,
) -> tuple[Any, ...]:
    """Return the result of `loss_and_gradient`, given the penalties l1 and l2 on each layer's weights and projection."""
    options = masks, slopes, normalizations, scales, input_mask, alphas, embeddings, residual
    run, inputs = _run(weights, biases, activations, X, y, loss, sample_weight, *options)
    value, steps = run.loss, list(run.backward())[::-1]
    by_inputs, scale_gradient = run.through_inputs(steps)
    weight_gradients, bias_gradients = run.of_weights(steps)
    projection_gradients = _projection_gradients(run)
    projections = {each.end - 1: each.projection for each in residual or () if each.projection is not None}
    penalized = [*zip(weights, weight_gradients, penalties, strict=True)]
    penalized += [(w, projection_gradients[layer], of_projections[layer]) for layer, w in projections.items()]
    for w, gradient, (own_l1, own_l2) in penalized:
        value = float(add_penalty(value, w, own_l1, own_l2))
        gradient += penalty_gradient(w, own_l1, own_l2)
    of_embeddings = _through_embeddings(embeddings, inputs, by_inputs)[1]
    others = _other_gradients(run, slopes, normalizations, scale_gradient, alphas)
    last = [] if residual is None else [projection_gradients]
    return value, weight_gradients, bias_gradients, *others, *of_embeddings, *last


def input_gradient(
    weights: Arrays,
    biases: Arrays,
    activations: Activations,
    X: ArrayLike,
    y: ArrayLike,
    loss: str | Loss = "mse",
    slopes: Slopes = None,
    normalizations: Normalizations = None,
    scales: Array | None = None,
    alphas: UnitParameters = None,
    embeddings: Embedded | None = None,
    residual: Connections = None,
) -> Array:
    """Return the gradient of the mean loss over all rows with respect to X.

    Parameters
    ----------
    weights, biases, activations, X, y, loss, slopes, normalizations, scales, alphas, embeddings, residual
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
        options = None, slopes, normalizations, scales, None, alphas, embeddings, residual
        run, inputs = _run(weights, biases, activations, X, y, resolve(loss), None, *options)
    steps = list(run.backward())[::-1]
    return _through_embeddings(embeddings, inputs, run.through_inputs(steps)[0])[0]


@np.errstate(over="ignore", invalid="ignore")
def vjp(
    weights: Arrays,
    biases: Arrays,
    activations: Activations,
    X: ArrayLike,
    G: ArrayLike,
    dropout_masks: Masks = None,
    slopes: Slopes = None,
    normalizations: Normalizations = None,
    scales: Array | None = None,
    input_mask: Array | None = None,
    alphas: UnitParameters = None,
    embeddings: Embedded | None = None,
    residual: Connections = None,
) -> tuple[Any, ...]:
    """Return a vector-Jacobian product: the gradients of a function of the outputs.

    Parameters
    ----------
    weights, biases, activations, X, dropout_masks, slopes, normalizations, scales, input_mask, alphas, embeddings, residual
        As in `forward`.
    G : array-like, shape (n, n_out)
        The gradient of the function with respect to the outputs, which are means over the members of a shared ensemble.

    Returns
    -------
    input_gradient : ndarray, shape (n, n_in)
        The gradient of the function with respect to the inputs.
    weight_gradients, bias_gradients : lists of ndarrays
        The gradients with respect to the parameters, summed over rows, in the shapes of `weights` and `biases`.
    slope_gradients : list of ndarrays or None
        One entry per layer; only if `slopes` is given.
    normalization_gradients : list of tuples (gain_gradient, shift_gradient), (gain_gradient,) or None
        One entry per layer; only if `normalizations` is given.
    scale_gradient : ndarray, shape (n_in,)
        Only if `scales` is given.
    alpha_gradients : list of ndarrays or None
        One entry per layer; only if `alphas` is given.
    embedding_gradients : list of ndarrays or None
        One entry per embedding; only if `embeddings` is given.
    projection_gradients : list of ndarrays or None
        One entry per layer; only if `residual` is given.

    Examples
    --------
    >>> W, b = [np.array([[3.0]])], [np.array([0.0])]
    >>> vjp(W, b, ["identity"], [[2.0], [4.0]], [[1.0], [10.0]])
    (array([[ 3.],
           [30.]]), [array([[42.]])], [array([11.])])
    """
    n_members = n_members_of(checked_scales(weights, scales))
    functions = checked_network(weights, biases, activations, normalizations, alphas, n_members, slopes=slopes)
    inputs = checked_inputs(weights, X, embeddings)
    options = dropout_masks, slopes, normalizations, scales, input_mask, alphas, embeddings, residual
    layers, residual_pass = forward_pass(weights, biases, activations, inputs, *options)
    gradient = as_float("G", G)
    expected = len(inputs), layers[-1][1].shape[1]
    if gradient.shape != expected:
        raise ValueError(f"G: expected shape {expected}, got {gradient.shape}")
    gradient = gradient.astype(inputs.dtype, copy=False)
    if n_members > 1:
        gradient = repeat_rows(gradient, n_members) / n_members
    first = first_inputs(embeddings, inputs, n_members)
    run = from_outputs(
        *(weights, functions, first, layers, dropout_masks, 0.0, gradient),
        scales=scales,
        input_mask=input_mask,
        residual=residual_pass,
    )
    steps = list(run.backward())[::-1]
    by_first, scale_gradient = run.through_inputs(steps)
    by_inputs, of_embeddings = _through_embeddings(embeddings, inputs, by_first)
    others = _other_gradients(run, slopes, normalizations, scale_gradient, alphas)
    last = [] if residual is None else [_projection_gradients(run)]
    return by_inputs, *run.of_weights(steps), *others, *of_embeddings, *last


def jacobian(
    weights: Arrays,
    biases: Arrays,
    activations: Activations,
    X: ArrayLike,
    slopes: Slopes = None,
    normalizations: Normalizations = None,
    scales: Array | None = None,
    alphas: UnitParameters = None,
    embeddings: Embedded | None = None,
    residual: Connections = None,
) -> Array:
    """Return the derivatives of the outputs of each row with respect to its inputs.

    Parameters
    ----------
    weights, biases, activations, X, slopes, normalizations, scales, alphas, embeddings, residual
        As in `forward`.

    Returns
    -------
    ndarray, shape (n, n_out, n_in)

    Examples
    --------
    >>> jacobian([np.array([[3.0], [4.0]])], [np.array([0.0])], ["identity"], [[1.0, 2.0]])
    array([[[3., 4.]]])
    """
    inputs = checked_inputs(weights, X, embeddings)
    n_out = weights[-1].shape[1] // n_members_of(checked_scales(weights, scales))
    result = np.empty((len(inputs), n_out, inputs.shape[1]), inputs.dtype)
    for j in range(n_out):
        one_output = np.zeros((len(inputs), n_out), inputs.dtype)
        one_output[:, j] = 1
        options = None, slopes, normalizations, scales, None, alphas, embeddings, residual
        result[:, j] = vjp(weights, biases, activations, inputs, one_output, *options)[0]
    return result


def _of_layers(argument: str, penalty: float | Sequence[float], n_layers: int) -> list[float]:
    """Return one penalty per layer."""
    each = penalty if isinstance(penalty, Sequence) else [penalty] * n_layers
    if len(each) != n_layers:
        raise ValueError(f"{argument}: expected one number, or {n_layers}, one per layer, got {len(each)}")
    return [real(argument, value, low=0.0) for value in each]


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
    normalizations: Normalizations,
    scales: Array | None,
    input_mask: Array | None,
    alphas: UnitParameters,
    embeddings: Embedded | None,
    residual: Connections,
) -> tuple[Pass, Array]:
    """Return the pass, and the rows of X that count."""
    n_members = n_members_of(checked_scales(weights, scales))
    functions = checked_network(weights, biases, activations, normalizations, alphas, n_members, slopes=slopes)
    data = checked_data(weights, functions[-1], X, y, loss, sample_weight, embeddings, n_members)
    inputs, targets, row_weights = data
    counted = row_weights != 0
    if not counted.all():  # the other rows may contain any values
        inputs, targets, row_weights = inputs[counted], targets[counted], row_weights[counted]
        passed = np.repeat(counted, n_members)
        masks = None if masks is None else [None if mask is None else mask[passed] for mask in masks]
        input_mask = None if input_mask is None else input_mask[passed]
    others = masks, slopes, normalizations, scales, input_mask, alphas, embeddings, residual
    layers, residual_pass = forward_pass(weights, biases, activations, inputs, *others)
    z, a = layers[-1]
    targets, row_weights = np.repeat(targets, n_members, axis=0), np.repeat(row_weights, n_members)
    labels = takes_as_labels(loss, np.asarray(y))
    value, gradient = _mean_loss(loss, targets, z if loss.from_logits else a, row_weights, labels)
    options: dict[str, Any] = {"logits": loss.from_logits, "scales": scales, "input_mask": input_mask}
    options["residual"] = residual_pass
    first = first_inputs(embeddings, inputs, n_members)
    return from_outputs(weights, functions, first, layers, masks, value, gradient, **options), inputs


def _through_embeddings(embeddings: Embedded | None, X: Array, grad: Array) -> tuple[Array, list[Any]]:
    """Return the gradient with respect to X, and a list with the gradients of embeddings, if there are any."""
    if embeddings is None:
        return np.asarray(grad), []
    by_inputs, of_embeddings = embed_grad(embeddings, X, grad)
    return by_inputs, [of_embeddings]


def _projection_gradients(run: Pass) -> list[Any]:
    """Return the gradients of projections of residual connections, one entry per layer."""
    return [None] * len(run.layers) if run.residual is None else run.residual.projection_gradients


def _other_gradients(
    run: Pass, slopes: Slopes, normalizations: Normalizations, scale_gradient: Array | None, alphas: UnitParameters
) -> list[Any]:
    """Return the gradients of the parameters that are given besides weights and biases, kind by kind."""
    result: list[Any] = []
    parametric = [False] * len(run.layers) if alphas is None else [array is not None for array in alphas]
    by_activation = list(zip(run.activation_gradients, parametric, strict=True))
    if slopes is not None:
        result.append([None if of_alphas else gradient for gradient, of_alphas in by_activation])
    if normalizations is not None:
        result.append(run.normalization_gradients)
    if scale_gradient is not None:
        result.append(scale_gradient)
    if alphas is not None:
        result.append([gradient if of_alphas else None for gradient, of_alphas in by_activation])
    return result


def _mean_loss(loss: Loss, y: Array, p: Array, row_weights: Array, labels: bool) -> tuple[float, Array]:
    """Return the weighted mean of the loss over all observed targets, and its gradient with respect to p.

    The mean is sum(w_i u_ij l_ij) / sum(abs(w_i) u_ij), where l_ij is the loss of element j of row i, w_i the weight of its
    sample, and u_ij the weight of its output, or 0 if its target is not observed; see `weighted_targets`.
    With several heads, it is the weighted sum of their means.
    """
    if isinstance(loss, Heads):
        return _sum_of_heads(loss, y, p, row_weights)
    function = function_of(loss)
    targets = weighted_targets(y, loss.target_options, labels=labels)
    divisor = np.abs(row_weights) @ targets.rows * (1 if function.mean_over == "rows" else y.shape[1])
    shares = row_weights[:, np.newaxis] * targets.elements / (divisor or math.inf)
    parameter = packed(loss.parameter, loss.parameters)
    terms = function.value(targets.y, p, parameter).astype(np.float64)
    gradient = function.gradient(targets.y, p, parameter)
    of_terms, of_outputs = for_columns(shares, terms.shape[1]), for_columns(shares, p.shape[1])
    value = float((np.where(of_terms == 0, 0, terms) * of_terms).sum())
    return value, (np.where(of_outputs == 0, 0, gradient) * of_outputs).astype(p.dtype)


def _sum_of_heads(loss: Heads, y: Array, p: Array, row_weights: Array) -> tuple[float, Array]:
    targets = weighted_targets(y, loss.target_options, labels=False)
    value, gradient, observed = 0.0, np.empty_like(p), row_weights * targets.rows
    for head in loss.parts(p.shape[1]):
        own = targets.y[:, head.targets]
        if head.labels:
            own = (own == np.arange(head.columns.stop - head.columns.start)).astype(p.dtype)
        of_head, by_head = _mean_loss(head.loss, own, p[:, head.columns], observed, head.labels)
        value += head.weight * of_head
        gradient[:, head.columns] = head.weight * by_head
    return value, gradient
