"""Errors for methods of a subclass, or of an object, that native code would not call."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastnn._derivatives import Differentiated

_COMPUTING = ("forward", "backward", "loss", "gradient")
_OF_COMPILED_CODE = {
    "model": ("predict", "loss", "gradient", "vjp", "jacobian"),
    "trainer": ("step", "step_gradient", "accumulate", "apply"),
}


def check_model(model: Differentiated) -> None:
    """Raise TypeError if a model overrides a method that training in native code would not call."""
    for name in _own_methods(model, _COMPUTING):
        raise TypeError(
            f"model: {type(model).__name__} has a method {name} of its own, which training doesn't call: it computes in "
            "native code. loss= and activation= take functions made by fastnn.jit; a loop of your own can use "
            "model.gradient and fastnn.ops"
        )


def check_predict(model: Differentiated) -> None:
    """Raise TypeError if a model overrides `predict`, which the metrics of a training would not call."""
    for name in _own_methods(model, ("predict",)):
        raise TypeError(
            f"metrics: {type(model).__name__} has a method {name} of its own, which training doesn't call: it computes in "
            "native code. A callback can compute measures of model.predict"
        )


def check_for_compiled_code(owner: Any, argument: str) -> None:
    """Raise TypeError if a model or a trainer overrides a method that compiled code would not call."""
    for name in _own_methods(owner, _OF_COMPILED_CODE[argument]):
        raise TypeError(
            f"{argument}: {type(owner).__name__} has a method {name} of its own, which compiled code doesn't call: it uses "
            "native code. A function that Numba compiles can do the same with what the method returns"
        )


def check_step(trainer: Any, step: Any) -> None:
    """Raise TypeError if a trainer overrides `step`: its method must be the given one, that of `Trainer`."""
    if getattr(trainer.step, "__func__", None) is not step:
        raise TypeError(
            f"run: {type(trainer).__name__} has a step of its own, which run doesn't call: it trains in native code. "
            "Call step for each batch, or override run too"
        )


def _own_methods(owner: Any, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of the names that an object has itself, or by a class that is not fastnn's."""
    kind: Any = type(owner)
    by_class = _of_class(kind, names)
    if owner.__dict__.keys().isdisjoint(names):  # each call of compiled code with a model or a trainer comes here
        return by_class
    return (*by_class, *(name for name in names if name in owner.__dict__))


@functools.lru_cache(maxsize=256)
def _of_class(kind: Any, names: tuple[str, ...]) -> tuple[str, ...]:
    methods = ((name, getattr(kind, name)) for name in names if hasattr(kind, name))
    return tuple(name for name, method in methods if not str(getattr(method, "__module__", "")).startswith("fastnn."))
