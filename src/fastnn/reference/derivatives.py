"""The loss of a network, its gradients, and the derivatives of the outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastnn._checks.floats import Array, as_float
from fastnn._checks.scalars import real
from fastnn.losses import Loss, resolve
from fastnn.reference.arguments import Activations, Arrays, Members, Normalizations, UnitParameters, takes_as_labels
from fastnn.reference.backward import Gradients, gradients
from fastnn.reference.embeddings import Embedded
from fastnn.reference.gradients import add_penalty, penalty_gradient
from fastnn.reference.mean_loss import mean_loss
from fastnn.reference.members import repeat_rows
from fastnn.reference.network import Description, Masks, Slopes, forward_pass
from fastnn.reference.residual import Connections

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
    members: Members = None,
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
    dropout_masks, slopes, normalizations, scales, input_mask, alphas, embeddings, residual, members
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
    member_gradients : list of MemberScales or None
        One entry per layer; only if `members` is given.

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
    options = dropout_masks, slopes, normalizations, scales, input_mask, alphas, embeddings, residual, members
    network = Description(weights, biases, activations, *options)
    value, found = penalized(penalties, penalties, network, X, y, resolve(loss), sample_weight)
    return value, *_of_given(network, found)


def penalized(
    penalties: Penalties,
    of_projections: Penalties,
    network: Description,
    X: ArrayLike,
    y: ArrayLike,
    loss: Loss,
    sample_weight: ArrayLike | None,
) -> tuple[float, Gradients]:
    """Return the loss and the gradients, given the penalties l1 and l2 on each layer's weights and projection."""
    value, found = _loss_and_gradients(network, X, y, loss, sample_weight)
    projections = {each.end - 1: each.projection for each in network.residual or () if each.projection is not None}
    penalized = [*zip(network.weights, found.weights, penalties, strict=True)]
    penalized += [(w, found.projections[layer], of_projections[layer]) for layer, w in projections.items()]
    for w, gradient, (own_l1, own_l2) in penalized:
        value = float(add_penalty(value, w, own_l1, own_l2))
        gradient += penalty_gradient(w, own_l1, own_l2)
    return value, found


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
    members: Members = None,
) -> Array:
    """Return the gradient of the mean loss over all rows with respect to X.

    Parameters
    ----------
    weights, biases, activations, X, y, loss, slopes, normalizations, scales, alphas, embeddings, residual, members
        As in `loss_and_gradient`.

    Returns
    -------
    ndarray, shape (n, n_in)

    Examples
    --------
    >>> input_gradient([np.array([[2.0]])], [np.array([0.0])], ["identity"], [[3.0]], [[4.0]])
    array([[8.]])
    """
    options = None, slopes, normalizations, scales, None, alphas, embeddings, residual, members
    network = Description(weights, biases, activations, *options)
    with np.errstate(over="ignore", invalid="ignore"):
        return _loss_and_gradients(network, X, y, resolve(loss), None)[1].inputs


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
    members: Members = None,
) -> tuple[Any, ...]:
    """Return a vector-Jacobian product: the gradients of a function of the outputs.

    Parameters
    ----------
    weights, biases, activations, X, dropout_masks, slopes, normalizations, scales, input_mask, alphas
        As in `forward`.
    embeddings, residual, members
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
    member_gradients : list of MemberScales or None
        One entry per layer; only if `members` is given.

    Examples
    --------
    >>> W, b = [np.array([[3.0]])], [np.array([0.0])]
    >>> vjp(W, b, ["identity"], [[2.0], [4.0]], [[1.0], [10.0]])
    (array([[ 3.],
           [30.]]), [array([[42.]])], [array([11.])])
    """
    options = dropout_masks, slopes, normalizations, scales, input_mask, alphas, embeddings, residual, members
    network = Description(weights, biases, activations, *options)
    found = _vector_jacobian(network, X, G)
    return found.inputs, *_of_given(network, found)


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
    members: Members = None,
) -> Array:
    """Return the derivatives of the outputs of each row with respect to its inputs.

    Parameters
    ----------
    weights, biases, activations, X, slopes, normalizations, scales, alphas, embeddings, residual, members
        As in `forward`.

    Returns
    -------
    ndarray, shape (n, n_out, n_in)

    Examples
    --------
    >>> jacobian([np.array([[3.0], [4.0]])], [np.array([0.0])], ["identity"], [[1.0, 2.0]])
    array([[[3., 4.]]])
    """
    options = None, slopes, normalizations, scales, None, alphas, embeddings, residual, members
    network = Description(weights, biases, activations, *options)
    network.functions()
    inputs, n_out = network.checked_inputs(X), network.n_out
    result = np.empty((len(inputs), n_out, inputs.shape[1]), inputs.dtype)
    for j in range(n_out):
        one_output = np.zeros((len(inputs), n_out), inputs.dtype)
        one_output[:, j] = 1
        with np.errstate(over="ignore", invalid="ignore"):
            result[:, j] = _vector_jacobian(network, inputs, one_output).inputs
    return result


def _of_layers(argument: str, penalty: float | Sequence[float], n_layers: int) -> list[float]:
    """Return one penalty per layer."""
    each = penalty if isinstance(penalty, Sequence) else [penalty] * n_layers
    if len(each) != n_layers:
        raise ValueError(f"{argument}: expected one number, or {n_layers}, one per layer, got {len(each)}")
    return [real(argument, value, low=0.0) for value in each]


def _vector_jacobian(network: Description, X: ArrayLike, G: ArrayLike) -> Gradients:
    """Return the gradients of a function, given that with respect to the outputs."""
    run = forward_pass(network, X)
    gradient = as_float("G", G)
    expected = len(run.X), network.n_out
    if gradient.shape != expected:
        raise ValueError(f"G: expected shape {expected}, got {gradient.shape}")
    gradient = gradient.astype(run.X.dtype, copy=False)
    if network.n_members > 1:
        gradient = repeat_rows(gradient, network.n_members) / network.n_members
    return gradients(run, gradient)


def _loss_and_gradients(
    network: Description, X: ArrayLike, y: ArrayLike, loss: Loss, sample_weight: ArrayLike | None
) -> tuple[float, Gradients]:
    """Return the mean loss without penalties, and its gradients, among them those with respect to rows that count."""
    inputs, targets, row_weights = network.checked_data(network.functions()[-1], X, y, loss, sample_weight)
    counted = row_weights != 0
    if not counted.all():  # the other rows may contain any values
        inputs, targets, row_weights = inputs[counted], targets[counted], row_weights[counted]
        network = network.with_rows(counted)
    run = forward_pass(network, inputs)
    z, a = run.layers[-1]
    targets, row_weights = np.repeat(targets, network.n_members, axis=0), np.repeat(row_weights, network.n_members)
    labels = takes_as_labels(loss, np.asarray(y))
    value, gradient = mean_loss(loss, targets, z if loss.from_logits else a, row_weights, labels)
    return value, gradients(run, gradient, logits=loss.from_logits)


def _of_given(network: Description, found: Gradients) -> list[Any]:
    """Return the gradients of weights and biases, and of those kinds of parameters that the network has, in order."""
    result: list[Any] = [found.weights, found.biases]
    slopes, alphas = network.of_activations(found.activations)
    if network.slopes is not None:
        result.append(slopes)
    if network.normalizations is not None:
        result.append(found.normalizations)
    if network.scales is not None:
        result.append(found.scales)
    if network.alphas is not None:
        result.append(alphas)
    if network.embeddings is not None:
        result.append(found.embeddings)
    if network.residual is not None:
        result.append(found.projections)
    if network.members is not None:
        result.append(found.members)
    return result
