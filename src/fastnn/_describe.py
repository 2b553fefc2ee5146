"""Losses, optimizers and schedules as plain values, which a file can hold, and back."""

from __future__ import annotations

import dataclasses
from typing import Any

from fastnn import losses, optimizers, schedules

_CLASSES = {
    c.__name__: c
    for c in (
        *losses.LOSSES.values(),
        *optimizers.OPTIMIZERS.values(),
        *(getattr(schedules, name) for name in schedules.__all__),
    )
}


def described(value: Any) -> Any:
    """Return an object of ours as class name and fields, a number as itself.

    Raises
    ------
    TypeError
        If it is, or holds, a callable of the user's own.
    """
    if dataclasses.is_dataclass(value) and _CLASSES.get(type(value).__name__) is type(value):
        fields = {field.name: described(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"class": type(value).__name__, **fields}
    if callable(value):
        raise TypeError(f"learning_rate: got {value!r}, which can't be saved; the schedules of fastnn.schedules can")
    return value


def from_description(description: Any) -> Any:
    """Make the object that was described."""
    if not isinstance(description, dict):
        return description
    fields = {name: from_description(value) for name, value in description.items() if name != "class"}
    return _CLASSES[description["class"]](**fields)
