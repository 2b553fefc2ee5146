"""A loss in the terms of the kernels: the row of their registry, and coefficients."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from fastnn.losses import LOSSES, MAE, MSE, BinaryCrossEntropy, CrossEntropy, CustomLoss, Huber, Loss, Poisson, Quantile


class NativeLoss(NamedTuple):
    """A loss in the terms of the native loop."""

    name: str
    parameter: float
    from_logits: bool
    per_row: bool  # the mean is over rows, not over elements
    factor: float = 1.0  # of loss and gradient
    value_factor: float = 1.0  # of the loss alone
    custom: CustomLoss | None = None
    signed_mean: bool = False  # weights are divided by their sum, which may be below 0; else by that of their magnitudes
    takes_labels: bool = False  # targets may be integer labels
    domain: tuple[float, float] = (-math.inf, math.inf)  # of targets
    plain: bool = False  # targets need no checks but of labels, shape, dtype, domain and finite values
    given: bool = False  # targets are the gradient by the outputs, summed over rows


GIVEN_GRADIENT = NativeLoss("", 0.0, from_logits=False, per_row=True, given=True)
"""The loss of a vector-Jacobian product, and of a step by the caller's gradient."""

# The losses whose targets need no more checks than `NativeLoss.plain` says.
_PLAIN = frozenset((MSE, MAE, Huber, Quantile, Poisson, BinaryCrossEntropy, CrossEntropy))


def native_loss(loss: Loss, output_activation: Any) -> NativeLoss:
    """Return the loss for a model with that output activation; ValueError if they don't go together."""
    if loss.links and output_activation not in loss.links:
        expected = " or ".join(repr(link) for link in loss.links)
        pair = next((name for name, other in LOSSES.items() if output_activation in other.links), "mse")
        raise ValueError(
            f"loss: expected {expected}, got {loss.name!r} for a model with output_activation={output_activation!r}; "
            f"{output_activation!r} goes with loss {pair!r}"
        )
    custom = loss if isinstance(loss, CustomLoss) else None
    return NativeLoss(
        loss.name,
        loss.parameter,
        bool(loss.links),
        loss.per_row,
        custom=custom,
        takes_labels=loss.takes_labels,
        domain=loss.domain,
        plain=type(loss) in _PLAIN,
    )
