"""A trainer's settings: how each is checked, and their form in the native loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import _arrays, _random
from fastnn._arguments import NativeLoss
from fastnn._scalars import flag, integer, real
from fastnn.losses import resolve as resolve_loss
from fastnn.optimizers import Adam, Optimizer
from fastnn.optimizers import resolve as resolve_optimizer


class Native(NamedTuple):
    """Settings as native code takes them."""

    loss: NativeLoss
    optimizer: dict[str, Any]
    batch_size: int
    shuffle: bool
    n_threads: int | None
    rng: np.random.Generator
    moments: NDArray[Any]
    kind: type[Optimizer]
    start: object  # another one for every optimizer that starts anew
    rate: float  # of compiled code's steps; NaN, at which they diverge, stands for a schedule

    def same_run(self, other: Native) -> bool:
        """Return whether a run goes on as it is with the others, but for learning rates."""
        if self.rng is not other.rng or self.moments is not other.moments or self.start is not other.start:
            return False
        return self[:5] == other[:5]


def _limit(argument: str, value: Any) -> float | None:
    return None if value is None else real(argument, value, low=0.0, exclude_low=True)


CHECKS: Mapping[str, Callable[[str, Any], Any]] = MappingProxyType(
    {
        "loss": lambda _, value: resolve_loss(value),
        "optimizer": lambda _, value: Adam() if value is None else resolve_optimizer(value),
        "batch_size": lambda name, value: integer(name, value, low=1),
        "shuffle": flag,
        "l1": lambda name, value: real(name, value, low=0.0),
        "l2": lambda name, value: real(name, value, low=0.0),
        "clip_norm": _limit,
        "clip_value": _limit,
        "lazy_updates": flag,
        "n_threads": lambda _, value: _arrays.thread_count(value),
        "_rng": lambda _, value: _random.generator(value),
    }
)
"""By attribute of a trainer: from its name and a value to the value that is kept. All take effect when assigned."""

OPTIONS = ("batch_size", "shuffle", "l1", "l2", "clip_norm", "clip_value", "lazy_updates", "n_threads")
"""Those that are numbers, as files have them."""

REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "model": "a trainer keeps its model; Trainer(model, …) trains another",
        "epochs": "it is an argument of run; a callback ends a run by returning True",
        "updates": "it counts the updates; an optimizer of another kind starts at 0",
    }
)
"""By attribute of a trainer that can't be assigned: why not."""

ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "lr": "learning_rate",
        "weight_decay": "optimizer = fastnn.AdamW(…, weight_decay=…), or l2",
        "momentum": "optimizer = fastnn.SGD(…, momentum=…)",
        "max_grad_norm": "clip_norm",
        "clipnorm": "clip_norm",
        "clipvalue": "clip_value",
        "seed": "random_state",
        "callbacks": "run(…, callbacks=…)",
        "progress": "run(…, progress=…)",
        "verbose": "run(…, progress=True)",
        "validation_data": "run(…, validation_data=…)",
        "dropout": "MLP(…, dropout=…)",
    }
)
"""By name that other libraries have for a setting: where it is here."""
