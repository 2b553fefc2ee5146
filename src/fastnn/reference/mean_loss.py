"""The mean of a loss over rows, and its gradient with respect to the outputs."""

from __future__ import annotations

import math

import numpy as np

from fastnn._checks.floats import Array
from fastnn.losses import Heads, Loss
from fastnn.reference.loss_functions import function_of, packed
from fastnn.reference.target_options import for_columns, weighted_targets

__all__ = ["mean_loss"]
__dir__ = __all__.copy


def mean_loss(loss: Loss, y: Array, p: Array, row_weights: Array, labels: bool) -> tuple[float, Array]:
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
        of_head, by_head = mean_loss(head.loss, own, p[:, head.columns], observed, head.labels)
        value += head.weight * of_head
        gradient[:, head.columns] = head.weight * by_head
    return value, gradient
