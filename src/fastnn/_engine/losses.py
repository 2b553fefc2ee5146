"""A loss in the kernels' form: a row of their registry, and coefficients."""

from __future__ import annotations

from typing import Any, NamedTuple

from fastnn.losses import LOSSES, CustomLoss, Loss


class NativeLoss(NamedTuple):
    """A loss in the form for the native loop."""

    name: str
    parameter: float
    from_logits: bool
    per_row: bool  # whether the mean is over rows instead of elements
    factor: float = 1.0  # multiplies loss and gradient
    value_factor: float = 1.0  # multiplies only the loss
    custom: CustomLoss | None = None
    signed_mean: bool = False  # divides weights by their sum, which may be negative, and not by that of their magnitudes
    takes_labels: bool = False  # whether targets may be integer labels


def native_loss(loss: Loss, output_activation: Any) -> NativeLoss:
    """Return the loss for a model with that output activation, or raise ValueError if they do not match."""
    if loss.links and output_activation not in loss.links:
        expected = " or ".join(repr(link) for link in loss.links)
        pair = next((name for name, other in LOSSES.items() if output_activation in other.links), "mse")
        raise ValueError(
            f"loss: expected {expected}, got {loss.name!r} for a model with output_activation={output_activation!r}; "
            f"{output_activation!r} goes with loss {pair!r}"
        )
    custom = loss if isinstance(loss, CustomLoss) else None
    return NativeLoss(
        loss.name, loss.parameter, bool(loss.links), loss.per_row, custom=custom, takes_labels=loss.takes_labels
    )
