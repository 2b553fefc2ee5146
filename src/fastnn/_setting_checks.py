"""The names of a trainer's settings, the checks of their values, and the reasons why other attributes can't be assigned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from fastnn import _averaging
from fastnn._checks import seeds as _seeds
from fastnn._checks.scalars import flag, integer, real, thread_count
from fastnn._layer_settings import check_layer_settings
from fastnn._rates import check_scheduled
from fastnn.losses import resolve as resolve_loss
from fastnn.optimizers import resolve as resolve_optimizer

DEFAULT_BATCH_SIZE = 32
"""The default number of rows in a batch."""


def _limit(argument: str, value: Any) -> float | None:
    return None if value is None else real(argument, value, low=0.0, exclude_low=True)


CHECKS: Mapping[str, Callable[[str, Any], Any]] = MappingProxyType(
    {
        "loss": lambda _, value: resolve_loss(value),
        "optimizer": lambda _, value: resolve_optimizer("adam" if value is None else value),
        "batch_size": partial(integer, low=1, way="; len(X) makes one batch of all rows"),
        "shuffle": flag,
        "drop_last": flag,
        "l1": lambda name, value: real(name, value, low=0.0),
        "l2": check_scheduled,
        "dropout_factor": partial(check_scheduled, high=1.0, with_high=True),
        "label_smoothing_factor": partial(check_scheduled, high=1.0, with_high=True),
        "clip_norm": _limit,
        "clip_value": _limit,
        "layer_settings": check_layer_settings,
        "lazy_updates": flag,
        "averaging": lambda _, value: None if value is None else _averaging.resolve(value),
        "n_threads": lambda _, value: thread_count(value),
        "_rng": lambda _, value: _seeds.generator(value),
    }
)
"""For each setting of a trainer: a function that maps its name and an assigned value to the value to keep."""

DENSE = "expected False for dense rows without tables of categories, in which no features are absent"
"""The end of errors about lazy updates of dense rows."""

FACTORS = ("dropout_factor", "label_smoothing_factor")
"""The settings that multiply a setting of the model or of the loss, in all steps or by a schedule."""

OPTIONS = ("batch_size", "shuffle", "l1", "l2", "clip_norm", "clip_value", "lazy_updates", "n_threads")
"""The settings that the entry "options" of all files of trainers contains."""

REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "model": "a trainer keeps its model; Trainer(model, …) trains another",
        "epochs": "it is an argument of run; a callback ends a run by returning True",
        "history": "run fills one for each run",
        "comm": "a trainer keeps its ranks; Trainer(model, …, comm=…) makes another",
        "n_shards": "a trainer keeps its shards; Trainer(model, …, n_shards=…) makes another",
        "updates": "it counts the updates; an optimizer of another kind starts at 0",
    }
)
"""For each attribute of a trainer that can't be assigned: the reason."""
