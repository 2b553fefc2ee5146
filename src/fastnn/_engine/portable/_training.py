"""Steps of training on a piece of the data: rows that stand side by side in the order in which batches take them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn._engine.portable._compile import compiled, put, shared
from fastnn._engine.portable._losses import Loss, divisor
from fastnn._engine.portable._optimizers import Optimizer, add_penalty, clip, coefficients, update
from fastnn._engine.portable._step import Buffers, Layers, backward, find_loss, forward, forward_with, weights_of


class Account(NamedTuple):
    """Where a run stands."""

    position: NDArray[np.int64]  # epochs that have ended, rows of the present one that were seen, updates over all runs
    snapshot_updates: NDArray[np.int64]  # (1,), updates when the snapshot was taken; -1: there is none
    sums: NDArray[np.float64]  # of the present epoch's losses and weights; and the last batch's loss
    epoch_loss: NDArray[np.float64]


EPOCH, ROW, UPDATES = range(3)
LOSS_SUM, WEIGHT_SUM, BATCH_LOSS = range(3)


class Training(NamedTuple):
    """What is to be done, and where its results go."""

    layers: Layers
    loss: Loss
    optimizer: Optimizer
    parameters: NDArray[Any]  # a vector, as those below
    m: NDArray[Any]  # moments, empty where the optimizer has none
    v: NDArray[Any]
    gradient: NDArray[Any]
    snapshot: NDArray[Any]  # rows of parameters and of each moment, when the last epoch with a finite loss began
    buffers: Buffers
    n_rows: int
    batch_size: int
    loss_by_rows: bool  # a batch counts in the epoch's loss by its rows, not by their weights
    account: Account


class Piece(NamedTuple):
    """Rows of several batches, and what there is for each batch."""

    x: NDArray[Any]
    y: NDArray[Any]
    sample_weight: NDArray[np.float64]
    ends: NDArray[np.int64]  # batch i has the rows from ends[i] to ends[i + 1]
    rates: NDArray[np.float64]  # one a batch
    low_keys: NDArray[np.uint32]  # of dropout, (batches, layers), or (batches, 0) without
    high_keys: NDArray[np.uint32]
    features: NDArray[np.bool_]  # which ones a batch has, (batches, n_in), where updates are lazy; else (batches, 0)


@compiled
def train(t: Training, piece: Piece, first: int, end: int, outputs_stand: bool) -> int:
    """Take a step for each batch from first to end, and return where it ended: at the first whose loss is not finite.

    Nothing has changed for that one. If the outputs stand in the buffers already, there is one batch.
    """
    for batch in range(first, end):
        rows = slice(piece.ends[batch], piece.ends[batch + 1])
        x, y, sample_weight = piece.x[rows], piece.y[rows].reshape(-1), piece.sample_weight[rows]
        total_weight = divisor(t.loss, sample_weight)
        if np.any(sample_weight != 0.0):
            if not outputs_stand:
                keys = piece.low_keys[batch], piece.high_keys[batch]
                forward(t.layers, t.parameters, x, t.buffers, t.loss.from_logits, *keys)
            loss = find_loss(t.layers, t.loss, t.buffers, y, sample_weight, total_weight)
            backward(t.layers, t.parameters, x, t.buffers, t.gradient)
        else:
            loss = 0.0
            put(t.gradient, 0.0)
        loss += penalties(t, total_weight, piece.features[batch])
        seen = float(len(x)) if t.loss_by_rows else total_weight
        if not math.isfinite(loss) or not math.isfinite(t.account.sums[LOSS_SUM] + loss * seen):
            return batch
        if t.account.position[ROW] == 0:
            take_snapshot(t)
        clip(t.optimizer, t.gradient)
        descend(t, piece.rates[batch], piece.features[batch])
        enter(t, loss, seen, len(x))
    return end


def train_with(custom: Sequence[Any], t: Training, piece: Piece) -> int:
    """Do the same for all batches where layers have activations of the user's own, which only Python can call."""
    for batch in range(len(piece.rates)):
        x = piece.x[piece.ends[batch] : piece.ends[batch + 1]]
        keys = piece.low_keys[batch], piece.high_keys[batch]
        forward_with(custom, t.layers, t.parameters, x, t.buffers, t.loss.from_logits, *keys)
        if train(t, piece, batch, batch + 1, True) == batch:
            return batch
    return len(piece.rates)


@shared
def penalties(t: Training, total_weight: float, features: Any) -> float:
    """Add the penalties' slopes to the gradient, and return their value."""
    value = 0.0
    if t.optimizer.l1 == 0.0 and t.optimizer.l2 == 0.0:
        return value
    for layer in range(len(t.layers.activations)):
        w = weights_of(t.parameters, t.layers, layer).reshape(-1)
        if layer == 0 and len(features):
            w = w * np.repeat(features, t.layers.sizes[1])
        value += add_penalty(t.optimizer, total_weight, w, weights_of(t.gradient, t.layers, layer).reshape(-1))
    return value


@shared
def take_snapshot(t: Training) -> None:
    """Keep parameters and moments."""
    t.snapshot[0] = t.parameters
    if len(t.m):
        t.snapshot[1] = t.m
    if len(t.v):
        t.snapshot[2] = t.v
    t.account.snapshot_updates[0] = t.account.position[UPDATES]


@shared
def descend(t: Training, rate: float, features: Any) -> None:
    """Call the optimizer, whose update leaves alone the weights of features that are not named, if some are."""
    c = coefficients(t.optimizer, rate, t.account.position[UPDATES], t.parameters)
    if len(features) == 0:
        update(t.optimizer.kind, t.parameters, t.gradient, t.m, t.v, c)
        return
    named = np.repeat(features, t.layers.sizes[1])
    parameters, m, v = t.parameters.copy(), t.m.copy(), t.v.copy()
    update(t.optimizer.kind, t.parameters, t.gradient, t.m, t.v, c)
    for now, before in ((t.parameters, parameters), (t.m, m), (t.v, v)):
        first = now[: named.size]  # the first layer's weights, if the optimizer keeps such an array
        put(first, np.where(named[: first.size], first, before[: named.size]))


@shared
def enter(t: Training, loss: float, seen: float, rows: int) -> None:
    """Count a batch."""
    position, sums = t.account.position, t.account.sums
    sums[LOSS_SUM] += loss * seen
    sums[WEIGHT_SUM] += seen
    sums[BATCH_LOSS] = loss
    position[UPDATES] += 1
    position[ROW] += rows
    if position[ROW] == t.n_rows:
        t.account.epoch_loss[position[EPOCH]] = sums[LOSS_SUM] / sums[WEIGHT_SUM] if sums[WEIGHT_SUM] > 0.0 else 0.0
        position[EPOCH] += 1
        position[ROW] = 0
        sums[LOSS_SUM] = sums[WEIGHT_SUM] = 0.0
