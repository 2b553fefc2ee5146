"""Conversion of losses, optimizers and schedules to plain values, which a file can contain, and back."""

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
        *(getattr(schedules, name) for name in schedules.__all__),
    )
}


def described(value: Any) -> Any:
    """Return fastnn's objects as class name and fields, a custom loss as its name, and a number unchanged.

    Raises
    ------
    TypeError
        If the object is, or contains, another callable of a user.
    """
    if isinstance(value, losses.CustomLoss):
        return {"custom_loss": value.name}
    if dataclasses.is_dataclass(value) and _CLASSES.get(type(value).__name__) is type(value):
        fields = {field.name: described(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"class": type(value).__name__, **fields}
    if callable(value):
        raise TypeError(
            f"learning_rate: expected a number or a schedule of fastnn.schedules, which files can hold, got {value!r}"
        )
    return value


def from_description(description: Any, custom_losses: Sequence[losses.CustomLoss] = ()) -> Any:
    """Return the object that was described: a new one, or a custom one of that name."""
    if not isinstance(description, dict):
        return description
    if "custom_loss" in description:
        return _custom.loss_named(description["custom_loss"], custom_losses)
    fields = {name: from_description(value) for name, value in description.items() if name != "class"}
    return _CLASSES[description["class"]](**fields)
