"""A loss in the terms of the kernels: the row of their registry, and coefficients."""

from __future__ import annotations

from typing import Any, NamedTuple

from fastnn.losses import LOSSES, CustomLoss, Loss
from fastnn.losses._options import TargetOptions


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
    targets: TargetOptions = TargetOptions()


def native_loss(loss: Loss, output_activation: Any, n_out: int | None = None) -> NativeLoss:
    """Return the loss for a model with that output activation; ValueError if they don't go together.

    A loss with weights of outputs needs the number of outputs, `n_out`.
    """
    if loss.links and output_activation not in loss.links:
        expected = " or ".join(repr(link) for link in loss.links)
        pair = next((name for name, other in LOSSES.items() if output_activation in other.links), "mse")
        raise ValueError(
            f"loss: expected {expected}, got {loss.name!r} for a model with output_activation={output_activation!r}; "
            f"{output_activation!r} goes with loss {pair!r}"
        )
    options = loss.target_options
    _check_one_per_output("output_weights", options.output_weights, n_out)
    custom = loss if isinstance(loss, CustomLoss) else None
    return NativeLoss(
        loss.name,
        loss.parameter,
        bool(loss.links),
        loss.per_row,
        custom=custom,
        takes_labels=loss.takes_labels,
        targets=options,
    )


def _check_one_per_output(option: str, values: tuple[float, ...] | None, n_out: int | None) -> None:
    if values is not None and len(values) != n_out:
        raise ValueError(f"loss: expected {n_out} {option}, one for each output of the model, got {len(values)}")
