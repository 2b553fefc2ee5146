"""A loss in the kernels' form: a row of their registry, and coefficients."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from fastnn.losses import LOSSES, CustomLoss, Heads, Loss
from fastnn.losses._heads import Head
from fastnn.losses._options import TargetOptions


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
    parameters: tuple[float, ...] = ()
    n_targets: int = 0  # the number of columns of the targets; 0 for one per output
    heads: tuple[NativeHead, ...] = ()
    targets: TargetOptions = TargetOptions()
    domain: tuple[float, float] = (-math.inf, math.inf)  # the range of targets
    only_ends_of_domain: bool = False  # whether targets are one of its two ends
    plain: bool = False  # whether something counts wherever a row of targets is observed
    given: bool = False  # whether targets are the gradient with respect to the outputs, summed over rows


GIVEN_GRADIENT = NativeLoss("", 0.0, from_logits=False, per_row=True, given=True)
"""The loss of a vector-Jacobian product, and of a step with the caller's gradient."""


def smoothed_less(loss: NativeLoss, factor: float) -> NativeLoss:
    """Return the loss with its label smoothing multiplied by a factor."""
    if factor == 1.0:
        return loss
    return loss._replace(targets=loss.targets._replace(label_smoothing=factor * loss.targets.label_smoothing))


class NativeHead(NamedTuple):
    """The loss of certain columns of the outputs and of the targets."""

    first: int  # the first column of the outputs
    n_out: int
    first_target: int
    labels: bool  # whether the targets are one column of labels
    weight: float
    loss: NativeLoss


def native_loss(loss: Loss, output_activation: Any, n_out: int | None = None) -> NativeLoss:
    """Return the loss for a model with that output activation and number of outputs, or raise ValueError for a mismatch.

    The number of outputs is needed unless the loss has one output per target and no options per output.
    """
    if loss.links and output_activation not in loss.links:
        expected = " or ".join(repr(link) for link in loss.links)
        pair = next((name for name, other in LOSSES.items() if output_activation in other.links), "mse")
        raise ValueError(
            f"loss: expected {expected}, got {loss.name!r} for a model with output_activation={output_activation!r}; "
            f"{output_activation!r} goes with loss {pair!r}"
        )
    if loss.from_logits and _has_parameters(output_activation):
        raise ValueError(
            f"loss: expected an output activation without parameters for {loss.name!r}, which takes its inputs, got "
            f"{output_activation!r}"
        )
    if n_out is None and not loss.one_output_per_target:
        raise TypeError(f"n_out: expected the number of outputs for loss {loss.name!r}, got None")
    options, n_targets = loss.target_options, None if n_out is None else loss.n_targets(n_out)
    if isinstance(options.pos_weight, float):
        if n_targets is None:
            raise TypeError(f"n_out: expected the number of outputs for {loss!r}, got None")
        options = options._replace(pos_weight=(options.pos_weight,) * n_targets)
    _check_one_per_target("output_weights", options.output_weights, n_targets)
    _check_one_per_target("pos_weight", options.pos_weight, n_targets)
    heads = _native_heads(loss.parts(n_out)) if n_out is not None and isinstance(loss, Heads) else ()
    return NativeLoss(
        loss.name,
        loss.parameter,
        loss.from_logits,
        loss.per_row,
        custom=loss if isinstance(loss, CustomLoss) else None,
        takes_labels=loss.takes_labels,
        parameters=loss.parameters,
        n_targets=n_targets or 0,
        heads=heads,
        targets=options,
        domain=loss.domain,
        only_ends_of_domain=loss.only_ends_of_domain,
        plain=_is_plain(loss, options, heads),
    )


def _is_plain(loss: Loss, options: TargetOptions, heads: tuple[NativeHead, ...]) -> bool:
    may_count_nothing = 0 in (options.output_weights or ()) and (loss.takes_labels or options.ignores_missing)
    return not may_count_nothing and (bool(heads) or not isinstance(loss, Heads)) and all(head.loss.plain for head in heads)


def builtin_losses(output_activation: Any, n_out: int) -> list[NativeLoss | None]:
    """Return the built-in losses without options, by their numbers, for a model; None for those that don't suit it."""
    from fastnn._engine import core  # which may be the fallback, and that imports this file

    natives: list[NativeLoss | None] = []
    for name in core.LOSSES:
        try:
            natives.append(native_loss(LOSSES[name](), output_activation, n_out))
        except (TypeError, ValueError):
            natives.append(None)
    return natives


def _has_parameters(activation: Any) -> bool:
    from fastnn._engine import core  # which may be the fallback, and that imports this file

    return activation in core.LAYER_ACTIVATIONS and activation not in core.ACTIVATIONS


def _check_one_per_target(option: str, values: float | tuple[float, ...] | None, n_targets: int | None) -> None:
    if isinstance(values, tuple) and len(values) != n_targets:
        raise ValueError(f"loss: expected {n_targets} {option}, one per column of targets, got {len(values)}")


def _native_heads(heads: tuple[Head, ...]) -> tuple[NativeHead, ...]:
    natives = []
    for i, (columns, targets, labels, weight, loss) in enumerate(heads):
        n_out = columns.stop - columns.start
        try:
            own = native_loss(loss, "identity", n_out)
        except ValueError as error:
            raise ValueError(f"loss: heads[{i}]: {str(error).removeprefix('loss: ')}") from None
        natives.append(NativeHead(columns.start, n_out, targets.start, labels, weight, own))
    return tuple(natives)
