"""An optimizer in the terms of the native loop: the row of its registry, and coefficients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any

from fastnn.optimizers import SGD, Optimizer

COEFFICIENTS: Mapping[str, str] = MappingProxyType(
    {
        "momentum": "decay_1",
        "decay": "decay_1",
        "beta_1": "decay_1",
        "beta_2": "decay_2",
        "epsilon": "epsilon",
        "weight_decay": "weight_decay",
    }
)
"""By the field of an optimizer's dataclass: its name in the native update."""

ARGUMENTS = ("decay_1", "decay_2", "epsilon", "weight_decay")
"""The names in the order in which the kernels' function of arrays takes them (kernels/c_api.h)."""

# By the row of the registry: the number of arrays that the update keeps.
_MOMENTS = {"sgd": 0, "momentum": 1, "nesterov": 1, "adagrad": 1, "rmsprop": 1, "adam": 2, "adamw": 2}


def native_optimizer(
    optimizer: Optimizer,
    l1: float = 0.0,
    l2: float = 0.0,
    clip_norm: float | None = None,
    clip_value: float | None = None,
) -> dict[str, Any]:
    """Return the arguments of the native update; `moments` is the number of arrays that it keeps."""
    native = _row(optimizer) | {"l1": l1, "l2": l2}
    if clip_norm is not None:
        native["clip_norm"] = clip_norm
    if clip_value is not None:
        native["clip_value"] = clip_value
    return native


def _row(optimizer: Optimizer) -> dict[str, Any]:
    name = optimizer.name
    if isinstance(optimizer, SGD) and optimizer.momentum != 0.0:
        name = "nesterov" if optimizer.nesterov else "momentum"
    if name not in _MOMENTS:
        raise TypeError(f"optimizer: got {optimizer!r}, expected one of fastnn.optimizers")
    coefficients = {COEFFICIENTS[f.name]: getattr(optimizer, f.name) for f in fields(optimizer) if f.name in COEFFICIENTS}
    return {"name": name, "moments": _MOMENTS[name], **coefficients}
