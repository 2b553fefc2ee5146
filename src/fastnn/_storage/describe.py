"""Conversion of losses, optimizers and schedules to plain values, which a file can contain, and back."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Sequence
from typing import Any

from fastnn import _averaging, losses, optimizers
from fastnn._layer_settings import ByKind, LayerSettings
from fastnn._schedule import Schedule
from fastnn._shared_ensemble import SharedEnsemble
from fastnn.losses._registry import loss_named

_OF_LOSSES = {c.__name__: c for c in (*losses.LOSSES.values(), losses.Heads)}


@functools.cache
def _of_optimizers() -> dict[str, type]:
    """Return the classes of optimizers, averages, schedules and shared ensembles, which may have the name of a loss."""
    from fastnn import schedules  # a seventh of the time of `import fastnn`

    of_schedules = (getattr(schedules, name) for name in schedules.__all__)
    kinds = (*optimizers.OPTIMIZERS.values(), optimizers.LBFGS, *_averaging.AVERAGES.values(), *of_schedules, SharedEnsemble)
    return {c.__name__: c for c in kinds}


def described(value: Any, name: str = "learning_rate") -> Any:
    """Return fastnn's objects as class name and fields, a custom loss as its name, and a number unchanged.

    `name` is that of the value in errors.

    Raises
    ------
    TypeError
        If the object is, or contains, another callable of a user.
    """
    if isinstance(value, losses.CustomLoss):
        return {"custom_loss": value.name}
    kind = type(value).__name__
    if _is_embedding(value) or type(value) in (_of_optimizers().get(kind), _OF_LOSSES.get(kind)):
        return {"class": kind, **_described_fields(value, name)}
    if isinstance(value, ByKind):
        return dict(value)
    if isinstance(value, LayerSettings):
        return _changed_fields(value)
    if isinstance(value, tuple):
        return [described(each) for each in value]
    if callable(value):
        raise TypeError(f"{name}: expected a number or a schedule of fastnn.schedules, which files can hold, got {value!r}")
    return value


def _described_fields(value: Any, name: str) -> dict[str, Any]:
    """Return the fields of an object, without options that have their defaults.

    Versions that lack these options can then read the rest. Errors name a schedule within a schedule as the whole.
    """
    is_schedule = isinstance(value, Schedule)
    fields = {field.name: (field, getattr(value, field.name)) for field in dataclasses.fields(value)}
    given = {key: v for key, (field, v) in fields.items() if not (field.kw_only and v == field.default)}
    return {key: described(v, name if is_schedule else key) for key, v in given.items()}


def _changed_fields(value: Any) -> dict[str, Any]:
    """Return the fields of an object that differ from their defaults."""
    fields = ((field, getattr(value, field.name)) for field in dataclasses.fields(value))
    return {field.name: described(value) for field, value in fields if value != field.default}


def layer_settings_of(description: Any) -> Any:
    """Return the settings of layers that were described."""
    if isinstance(description, list):
        return tuple(map(layer_settings_of, description))
    return None if description is None else LayerSettings(**description)


def optimizer_of(description: Any) -> Any:
    """Return the optimizer, the schedule, the average or the shared ensemble that was described."""
    if not isinstance(description, dict):
        return description
    fields = {name: optimizer_of(value) for name, value in description.items() if name != "class"}
    return _of_optimizers()[description["class"]](**fields)


def _is_embedding(value: Any) -> bool:
    module = sys.modules.get("fastnn.embeddings")  # which is loaded only if embeddings are in use
    return module is not None and type(value) in module.EMBEDDINGS.values()


def embeddings_of(descriptions: Any) -> tuple[Any, ...]:
    """Return the embeddings that were described."""
    from fastnn import embeddings

    kinds = {each.__name__: each for each in embeddings.EMBEDDINGS.values()}
    fields = [dict(description) for description in descriptions]
    return tuple(kinds[each.pop("class")](**each) for each in fields)


def loss_of(description: Any, custom_losses: Sequence[losses.CustomLoss]) -> Any:
    """Return the loss that was described, with the losses in it: a new one, or a custom one of that name."""
    if isinstance(description, list):
        return tuple(loss_of(each, custom_losses) for each in description)
    if not isinstance(description, dict):
        return description
    if "custom_loss" in description:
        return loss_named(description["custom_loss"], custom_losses)
    fields = {name: loss_of(value, custom_losses) for name, value in description.items() if name != "class"}
    return _OF_LOSSES[description["class"]](**fields)
