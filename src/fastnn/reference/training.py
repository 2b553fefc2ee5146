"""Training by gradient descent on batches: the same computation as in the compiled trainer, written to be read."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn._averaging import EMA, SWA, Averaging
from fastnn._block_settings import BlockSettings, blocks_of
from fastnn._checks.floats import Array
from fastnn._checks.scalars import integer, real
from fastnn._checks.updates import State
from fastnn._layer_settings import EMBEDDED, KINDS, LayerSettings, check_layer_settings
from fastnn._rates import Scheduled, check_scheduled, evaluate
from fastnn.losses import Loss, resolve
from fastnn.optimizers import Optimizer
from fastnn.reference.arguments import (
    Activations,
    Arrays,
    Members,
    Normalizations,
    UnitParameters,
    takes_as_labels,
)
from fastnn.reference.averages import blend, ema_share
from fastnn.reference.backward import Gradients
from fastnn.reference.derivatives import penalized
from fastnn.reference.dropout import INPUT_LAYER, dropout_mask, dropout_rates
from fastnn.reference.embeddings import Embedded, absent_rows
from fastnn.reference.gradients import norm_factors, sum_of_squares
from fastnn.reference.members import MemberScales
from fastnn.reference.network import Description, Slopes
from fastnn.reference.residual import Connections
from fastnn.reference.target_options import weighted_targets
from fastnn.reference.updates import RULES, Constants, orthogonal_update, update_present
from fastnn.schedules import rates

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

__all__ = ["train"]
__dir__ = __all__.copy


def train(
    weights: Arrays,
    biases: Arrays,
    activations: Activations,
    X: ArrayLike,
    y: ArrayLike,
    *,
    loss: str | Loss = "mse",
    optimizer: Optimizer,
    epochs: int,
    batch_size: int,
    shuffle: bool = True,
    rng: np.random.Generator | None = None,
    sample_weight: ArrayLike | None = None,
    l1: float = 0.0,
    l2: Scheduled = 0.0,
    dropout_factor: Scheduled = 1.0,
    label_smoothing_factor: Scheduled = 1.0,
    clip_value: float | None = None,
    clip_norm: float | None = None,
    dropout: float | Sequence[float] = 0.0,
    slopes: Slopes = None,
    normalizations: Normalizations = None,
    scales: Array | None = None,
    input_dropout: float = 0.0,
    alphas: UnitParameters = None,
    embeddings: Embedded | None = None,
    residual: Connections = None,
    members: Members = None,
    drop_last: bool = False,
    averaging: Averaging | None = None,
    averages: Arrays = (),
    layer_settings: LayerSettings | Sequence[LayerSettings | None] | None = None,
    lazy_updates: bool = False,
) -> list[float]:
    """Train a network in place, and return the loss of every epoch.

    An epoch takes the rows in the order of `rng.permutation`, or in their own order without `shuffle`, in batches of
    `batch_size` rows. The last batch may be smaller, unless `drop_last` leaves it out. A step on a batch computes the
    gradient with penalties, clips its values, then its norm, and calls the optimizer, whose state is empty at first.

    Parameters
    ----------
    weights, biases : sequences of ndarrays, shapes (n_in, n_out) and (n_out,)
        One per layer. They are changed in place.
    activations : sequence of str or custom activations
        One per layer, the output layer's last.
    X : array-like, shape (n, n_in)
        Rows of inputs.
    y : array-like, shape (n, n_out)
        Targets; also (n,) if there is one output, or integer labels for the cross-entropy.
    loss : str or Loss, default "mse"
        A name in `LOSSES`, or an object of `fastnn.losses`.
    optimizer : Optimizer
        An object of `fastnn.optimizers`.
    epochs, batch_size : int
        The number of epochs, at least 0, and the number of rows per step, at least 1.
    shuffle : bool, default True
        Draw a new order for every epoch.
    rng : numpy.random.Generator, optional
        The source of random numbers for the order and for dropout. By default, a new generator.
    sample_weight : array-like, shape (n,), optional
        Weights of the rows in a batch's mean, of either sign, as in `loss_and_gradient`.
    l1, l2 : float, default 0.0
        Penalties on the weights and projections: l1 * sum(abs(w)) + l2 / 2 * sum(w**2). l2 may be a schedule.
    clip_value : float, optional
        Clip every element of the gradients to [-clip_value, clip_value].
    clip_norm : float, optional
        Scale all gradients by min(1, clip_norm / (norm + 1e-6)), with the norm over all parameters.
    dropout_factor : float or schedule, default 1.0
        The factor of all probabilities of dropout, from 0 to 1.
    label_smoothing_factor : float or schedule, default 1.0
        The factor of the label smoothing of the loss, from 0 to 1.
    dropout : float or sequence of float, default 0.0
        The probability of dropping a hidden unit, for all hidden layers or for each.
    slopes : sequence of ndarrays or None, optional
        The slopes of each layer with the activation "prelu". They are changed in place. Penalties and weight decay do not
        apply to them.
    normalizations : sequence of Normalization or None, optional
        The normalization of each layer, whose parameters are treated like slopes.
    scales : ndarray, shape (n_in,) or (n_members, n_in), optional
        The trained factors of the inputs, which are treated like slopes; those of each member make a shared ensemble.
    input_dropout : float, default 0.0
        The probability of dropping an input.
    alphas : sequence of ndarrays or None, optional
        The trained factors of parametric activations, which are treated like slopes.
    embeddings : sequence of (Embedding, ndarray or None), optional
        The embeddings of columns of X, whose parameters are treated like slopes.
    residual : sequence of Connection, optional
        The residual connections, whose projections are treated like weights.
    members : sequence of MemberScales or None, optional
        The scales of members in hidden layers, which are treated like slopes.
    drop_last : bool, default False
        Leave out the last batch of an epoch if it is smaller than the others.
    averaging : EMA or SWA, optional
        The average of the parameters that is computed: after each update, or at the end of each epoch.
    averages : sequence of ndarrays
        Arrays of zeros that become the averages of all weights, then all biases, then slopes, gains and shifts, scales,
        alphas, the parameters of embeddings, projections, and scales of outputs.
    layer_settings : LayerSettings or sequence of LayerSettings and None, optional
        Factors of learning rate, epsilon and weight decay, penalties, and frozen parameters: one for all layers, or one per
        layer, as in `fastnn.LayerSettings`.
    lazy_updates : bool, default False
        Whether updates leave out the rows of tables of categories that are in no row of the batch, and their moments.

    Returns
    -------
    list of float
        One loss per epoch, including penalties: the mean over its rows. A row counts with the weight `abs(sample_weight)`,
        times the mean weight of its outputs that are observed. Each batch counts with its loss before the update.

    Examples
    --------
    >>> from fastnn.optimizers import SGD
    >>> W, b = [np.zeros((1, 1))], [np.zeros(1)]
    >>> losses = train(W, b, ["identity"], [[0.0], [1.0]], [[1.0], [3.0]], optimizer=SGD(0.5), epochs=100, batch_size=2)
    >>> W[0].round(6), b[0].round(6)
    (array([[2.]]), array([1.]))
    """
    network = Description(
        *(weights, biases, activations, None, slopes, normalizations, scales, None, alphas, embeddings, residual, members)
    )
    loss = resolve(loss)
    inputs, targets, row_weights = network.checked_data(network.functions()[-1], X, y, loss, sample_weight)
    labels = takes_as_labels(loss, np.asarray(y))
    shares = np.abs(row_weights) * weighted_targets(targets, loss.target_options, labels=labels).rows
    if labels:
        targets = np.asarray(y)
    epochs, batch_size = integer("epochs", epochs, low=0), integer("batch_size", batch_size, low=1)
    rng = np.random.default_rng() if rng is None else rng
    drop = [*dropout_rates(input_dropout, 1), *dropout_rates(dropout, len(weights) - 1)]
    sizes = [weights[0].shape[0], *(w.shape[1] for w in weights[:-1])]  # of the inputs and the hidden layers
    slopes = [None] * len(weights) if slopes is None else slopes
    normalizations = [None] * len(weights) if normalizations is None else normalizations
    alphas = [None] * len(weights) if alphas is None else alphas
    of_members: Sequence[MemberScales | None] = [None] * len(weights) if members is None else members
    all_scales = [scales, *(None if each is None else each.inputs for each in of_members[1:])]
    output_scales = [None if each is None else each.outputs for each in of_members]
    of_embeddings = [] if embeddings is None else [array for _, array in embeddings]
    connections = {each.end - 1: each.projection for each in residual or ()}
    projections = [connections.get(layer) for layer in range(len(weights))]
    by_kind = [weights, biases, slopes, *_by_kind(normalizations), alphas, all_scales, output_scales, projections]
    groups, updates = _groups(layer_settings, optimizer, by_kind, of_embeddings), 0
    settings = [group.settings for group in groups if group.kind == "weights"]
    of_projections = {group.layer: group.settings for group in groups if group.kind == "projections"}
    l2 = check_scheduled("l2", l2)
    given = [array for n in normalizations if n is not None for array in (n.gains, n.shifts)]
    parameters = (*weights, *biases, *slopes, *given, *all_scales, *alphas, *of_embeddings, *projections, *output_scales)
    averaged = [array for array in parameters if array is not None]
    history, n_averaged = [], 0
    for epoch in range(epochs):
        order = rng.permutation(len(inputs)) if shuffle else np.arange(len(inputs))
        end = len(inputs) // batch_size * batch_size if drop_last else len(inputs)
        batches = [order[start : min(start + batch_size, end)] for start in range(0, end, batch_size)]
        total, total_weight = 0.0, 0.0
        for rows, rate in zip(batches, rates(optimizer.learning_rate, updates, len(batches)), strict=True):
            strengths = l1, float(rates(l2, updates, 1)[0])
            penalties = [own.penalties(*strengths) for own in settings]
            others_of = {layer: own.penalties(*strengths) for layer, own in of_projections.items()}
            own_penalties = [others_of.get(layer, (0.0, 0.0)) for layer in range(len(weights))]
            factor = float(evaluate(dropout_factor, np.array(updates), "dropout_factor", 1.0, with_high=True))
            of_step = _smoothed_less(loss, label_smoothing_factor, updates)
            input_mask, *masks = _draw_masks(rng, drop, factor, len(rows) * network.n_members, sizes, weights[0].dtype)
            own = dataclasses.replace(network, dropout_masks=masks, input_mask=input_mask)
            of_batch = inputs[rows], targets[rows], of_step, row_weights[rows]
            with np.errstate(over="ignore", invalid="ignore"):
                value, gradients = penalized(penalties, own_penalties, own, *of_batch)
            found = _gradients_by_kind(network, gradients)
            trained = [group for group in groups if not group.settings.is_frozen]
            counted = inputs[rows[row_weights[rows] != 0]]
            absent = absent_rows(embeddings, counted) if lazy_updates and embeddings else []
            grads = clip([found[group.kind][group.layer] for group in trained], clip_value, clip_norm)
            for group, grad in zip(trained, grads, strict=True):
                own_rate = group.settings.learning_rate_factor * float(rate)
                constants = Constants(**group.settings.coefficients(optimizer, updates))
                if optimizer.is_orthogonal(group.layer, group.kind, len(weights)):
                    m = group.state.setdefault("m", [np.zeros_like(group.array)])[0]
                    orthogonal_update(group.array, grad, m, constants, own_rate, constants.decay)
                    continue
                left_out = absent[group.layer] if absent and group.kind == EMBEDDED else None
                update_present(left_out, RULES[optimizer.rule], constants, group.array, grad, group.state, own_rate)
            updates += 1
            if isinstance(averaging, EMA):
                blend(averages, averaged, ema_share(updates, averaging.decay, averaging.bias_correction))
            seen = float(shares[rows].sum())
            total, total_weight = total + seen * value, total_weight + seen
        if isinstance(averaging, SWA) and epoch + 1 >= averaging.start:
            n_averaged += 1
            blend(averages, averaged, 1 / n_averaged)
        history.append(total / total_weight if total_weight else 0.0)
    return history


class _Group(NamedTuple):
    """A parameter with its settings and the state of its optimizer."""

    layer: int
    kind: str
    array: Array
    settings: BlockSettings
    state: State


def _groups(
    layer_settings: LayerSettings | Sequence[LayerSettings | None] | None,
    optimizer: Optimizer,
    by_kind: Sequence[Sequence[Any]],
    of_embeddings: Sequence[Array | None],
) -> list[_Group]:
    """Return all parameters, given those of each kind, one array per layer, or None, and those of each embedding."""
    layers = list(zip(*by_kind, strict=True))
    embedded = [array is not None for array in of_embeddings]
    kinds = [[kind for kind, array in zip(KINDS, of_layer, strict=True) if array is not None] for of_layer in layers]
    blocks = blocks_of(check_layer_settings("layer_settings", layer_settings), optimizer, kinds, embedded)
    groups = []
    for layer, of_layer in enumerate(layers):
        for kind, array in zip(KINDS, of_layer, strict=True):
            if array is not None:
                own = BlockSettings.default(kind) if blocks is None else blocks.layers[layer][kind]
                groups.append(_Group(layer, kind, array, own, State()))
    for i, array in enumerate(of_embeddings):
        if array is not None:
            own = BlockSettings.default(EMBEDDED) if blocks is None else blocks.embeddings[i]
            groups.append(_Group(i, EMBEDDED, array, own, State()))
    return groups


def _by_kind(normalizations: Normalizations) -> list[list[Any]]:
    """Return the gains and the shifts of each layer."""
    return [[None if n is None else getattr(n, name) for n in normalizations or ()] for name in ("gains", "shifts")]


def _gradients_by_kind(network: Description, found: Gradients) -> dict[str, list[Any]]:
    """Return the gradients of each kind, one entry per layer or embedding."""
    slopes, alphas = network.of_activations(found.activations)
    gains, shifts = ([None if g is None or i >= len(g) else g[i] for g in found.normalizations] for i in range(2))
    of_units = {"slopes": slopes, "gains": gains, "shifts": shifts, "alphas": alphas}
    inputs = [None if each is None else each.inputs for each in found.members[1:]]
    outputs = [None if each is None else each.outputs for each in found.members]
    scales = {"scales": [found.scales, *inputs], "output_scales": outputs}
    matrices = {"weights": found.weights, "biases": found.biases, "projections": found.projections}
    return matrices | of_units | scales | {EMBEDDED: found.embeddings}


def clip(grads: Sequence[Array], clip_value: float | None, clip_norm: float | None) -> list[Array]:
    """Return the gradients after clipping their values, and then their common norm."""
    clipped = list(grads)
    if clip_value is not None:
        bound = real("clip_value", clip_value, low=0.0, exclude_low=True)
        clipped = [np.clip(grad, -bound, bound) for grad in clipped]
    if clip_norm is not None:
        bound = real("clip_norm", clip_norm, low=0.0, exclude_low=True)
        dtype = np.result_type(np.float32, *clipped)
        first, second = norm_factors(lambda by: sum(float(sum_of_squares(grad, by)) for grad in clipped), bound, dtype)
        clipped = [grad * first * second for grad in clipped]
    return clipped


def _smoothed_less(loss: Loss, factor: Scheduled, updates: int) -> Loss:
    """Return the loss of a step, whose label smoothing is multiplied by a factor."""
    share = float(evaluate(factor, np.array(updates), "label_smoothing_factor", 1.0, with_high=True))
    changed: Any = loss
    return loss if share == 1.0 else dataclasses.replace(changed, label_smoothing=share * changed.label_smoothing)


def _draw_masks(
    rng: np.random.Generator, drop: list[float], factor: float, n_rows: int, sizes: list[int], dtype: DTypeLike
) -> list[Array | None]:
    """Return the masks of the inputs and the hidden layers for one step. Without dropout, no random numbers are drawn."""
    if not any(drop):
        return [None] * len(drop)
    key = int(rng.integers(0, 2**64, dtype=np.uint64))
    return [
        dropout_mask(key, layer, n_rows, n_units, p * factor, dtype) if p else None
        for layer, (p, n_units) in enumerate(zip(drop, sizes, strict=True), INPUT_LAYER)
    ]
