"""Errors for methods of a subclass that training in native code would not call."""

from __future__ import annotations

import functools
from typing import Any

from fastnn._derivatives import Differentiated

_COMPUTING = frozenset({"forward", "backward", "loss", "gradient"})


def check_model(model: Differentiated) -> None:
    """Raise TypeError if a model overrides a method that training in native code would not call."""
    kind: Any = type(model)
    own = _own_methods(kind)
    if not own and _COMPUTING.isdisjoint(model.__dict__):
        return
    for name in own | (_COMPUTING & model.__dict__.keys()):
        raise TypeError(
            f"model: {type(model).__name__} has a method {name} of its own, which training doesn't call: it computes in "
            "native code. loss= and activation= take functions made by fastnn.jit; a loop of your own can use "
            "model.gradient and fastnn.ops"
        )


def check_step(trainer: Any, step: Any) -> None:
    """Raise TypeError if a trainer overrides `step`: its method must be the given one, that of `Trainer`."""
    if getattr(trainer.step, "__func__", None) is not step:
        raise TypeError(
            f"run: {type(trainer).__name__} has a step of its own, which run doesn't call: it trains in native code. "
            "Call step for each batch, or override run too"
        )


@functools.lru_cache(maxsize=64)
def _own_methods(kind: Any) -> frozenset[str]:
    return frozenset(name for name in _COMPUTING if getattr(kind, name, None) is not getattr(Differentiated, name, None))
