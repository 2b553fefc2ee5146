"""Losses, optimizers and schedules as plain values, which a file can hold, and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from fastnn import _custom, losses, optimizers, schedules

_CLASSES = {
    c.__name__: c
    for c in (
        *losses.LOSSES.values(),
        *optimizers.OPTIMIZERS.values(),
        optimizers.LBFGS,
        *(getattr(schedules, name) for name in schedules.__all__),
    )
}


def described(value: Any) -> Any:
    """Return an object of ours as class name and fields, a loss of the user's own as its name, a number as itself.

    Raises
    ------
    TypeError
        If it is, or holds, a callable of the user's own.
    """
    if isinstance(value, losses.CustomLoss):
        return {"custom_loss": value.name}
    if dataclasses.is_dataclass(value) and _CLASSES.get(type(value).__name__) is type(value):
        return {"class": type(value).__name__, **_described_fields(value)}
    if callable(value):
        raise TypeError(
            f"learning_rate: expected a number or a schedule of fastnn.schedules, which files can hold, got {value!r}"
        )
    return value


def _described_fields(value: Any) -> dict[str, Any]:
    """Return the fields of an object, without options that have their defaults: versions that lack these read the rest."""
    fields = {field.name: (field, getattr(value, field.name)) for field in dataclasses.fields(value)}
    return {name: described(v) for name, (field, v) in fields.items() if not (field.kw_only and v == field.default)}


def from_description(description: Any, custom_losses: Sequence[losses.CustomLoss] = ()) -> Any:
    """Make the object that was described, or find it."""
    if not isinstance(description, dict):
        return description
    if "custom_loss" in description:
        return _custom.loss_named(description["custom_loss"], custom_losses)
    fields = {name: from_description(value) for name, value in description.items() if name != "class"}
    return _CLASSES[description["class"]](**fields)
